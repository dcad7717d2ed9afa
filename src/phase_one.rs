//! Powers of tau by many: the first phase of a setup, for KZG and for the keys of every circuit (protocol, section 9).
//!
//! What is published is what BGM17 publishes ("Scalable Multi-party Computation for zk-SNARK Parameters in the Random
//! Beacon Model", ePrint 2017/1050): powers of tau in both groups, and in G1 also times alpha and times beta.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::UniformRand;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::codec::{put_count, put_g1s, put_g2s, Form, Reader};
use crate::contributions::{Beacon, Transcript};
use crate::error::{bad, Result};
use crate::evm::product_is_one;
use crate::kzg::Powers;
use crate::msm::sum_of_multiples;
use crate::points::{g2_encode, msm};
use crate::random::SecretRng;
use crate::vectors::powers;

const MAGIC: &[u8] = b"fedproof/phase1/v1\0";

/// A circuit of 2^24 rows: a file of 6.4 GB.
const MAX_LOG: usize = 24;

/// Multiplications that a thread takes at a time.
const GRAIN: usize = 64;

/// tau, alpha and beta, with which powers of them are published for circuits of up to `2^log` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseOne {
    log: usize,
    /// `[tau^i]_1` for `i < 2n - 1`.
    pub tau_g1: Vec<G1Affine>,
    /// `[tau^i]_2` for `i < n`.
    pub tau_g2: Vec<G2Affine>,
    /// `[alpha tau^i]_1` and `[beta tau^i]_1` for `i < n`.
    pub alpha_g1: Vec<G1Affine>,
    pub beta_g1: Vec<G1Affine>,
    pub beta_g2: G2Affine,
    pub transcript: Transcript,
}

fn empty(log: usize) -> Result<Transcript> {
    if log == 0 || log > MAX_LOG {
        return Err(bad(format!(
            "a setup is for circuits of 2^1 to 2^{MAX_LOG} rows, not 2^{log}"
        )));
    }
    Ok(Transcript::new(3, &[b"powers of tau", &[log as u8]]))
}

impl PhaseOne {
    /// Where every setup for `2^log` rows begins: all secrets are 1.
    pub fn start(log: usize) -> Result<Self> {
        let (transcript, size) = (empty(log)?, 1 << log);
        let (one, two) = (G1Affine::generator(), G2Affine::generator());
        Ok(Self {
            log,
            tau_g1: vec![one; 2 * size - 1],
            tau_g2: vec![two; size],
            alpha_g1: vec![one; size],
            beta_g1: vec![one; size],
            beta_g2: two,
            transcript,
        })
    }

    /// The most rows of a circuit.
    pub fn size(&self) -> usize {
        self.tau_g2.len()
    }

    /// One contribution more to what is verified first: secrets multiply powers alone, and nothing that somebody put in
    /// their place. What it multiplies by is wiped, and comes from `rng` or from the beacon alone.
    pub fn contribute(mut self, name: &str, beacon: Option<Beacon>, rng: &mut SecretRng) -> Result<Self> {
        self.verify(rng)?;
        let factors = self.transcript.contribute(name, beacon, rng)?;
        let [tau, alpha, beta] = &factors[..] else {
            return Err(bad("a first phase has three secrets"));
        };
        self.multiply(tau, alpha, beta)?;
        Ok(self)
    }

    pub(crate) fn multiply(&mut self, tau: &Fr, alpha: &Fr, beta: &Fr) -> Result<()> {
        let exponents = Zeroizing::new(powers(*tau, self.tau_g1.len())?);
        let size = self.size();
        let times = |secret: &Fr| -> Zeroizing<Vec<Fr>> {
            Zeroizing::new(exponents[..size].iter().map(|power| *power * secret).collect())
        };
        self.alpha_g1 = multiplied(&self.alpha_g1, &times(alpha));
        self.beta_g1 = multiplied(&self.beta_g1, &times(beta));
        self.tau_g1 = multiplied(&self.tau_g1, &exponents);
        self.tau_g2 = multiplied(&self.tau_g2, &exponents);
        self.beta_g2 = (self.beta_g2 * beta).into_affine();
        Ok(())
    }

    /// Refuses anything but the powers of the secrets that the transcript leads to.
    pub fn verify(&self, rng: &mut SecretRng) -> Result<()> {
        self.transcript.verify()?;
        if self.transcript.heads() != [self.tau_g1[1], self.alpha_g1[0], self.beta_g1[0]] {
            return Err(bad("the powers are not of the secrets that the contributions lead to"));
        }
        if !self.consistent(rng)? {
            return Err(bad("the file does not hold consecutive powers of one tau"));
        }
        Ok(())
    }

    /// Each list has the ratio tau, under random weights, and tau is the same in both groups: so that 1 is the power
    /// before tau in both. A false list passes with probability 2^-254.
    fn consistent(&self, rng: &mut SecretRng) -> Result<bool> {
        let (one, two) = (G1Affine::generator(), G2Affine::generator());
        let (tau_g1, tau_g2) = (self.tau_g1[1], self.tau_g2[1]);
        let weights: Vec<Fr> = (1..self.tau_g1.len()).map(|_| Fr::rand(rng)).collect();
        for list in [&self.tau_g1, &self.alpha_g1, &self.beta_g1] {
            let weights = &weights[..list.len() - 1];
            let low = msm(&list[..list.len() - 1], weights)?;
            let high = msm(&list[1..], weights)?;
            if !product_is_one(vec![high, -low], vec![two, tau_g2])? {
                return Ok(false);
            }
        }
        let last = self.tau_g2.len() - 1;
        let low = sum_of_multiples(&self.tau_g2[..last], &weights).into_affine();
        let high = sum_of_multiples(&self.tau_g2[1..], &weights).into_affine();
        // the weighted list in G2, tau itself, and beta, each with its twin in G1
        Ok(product_is_one(vec![one, -tau_g1], vec![high, low])?
            && product_is_one(vec![one, -tau_g1], vec![tau_g2, two])?
            && product_is_one(vec![one, -self.beta_g1[0]], vec![self.beta_g2, two])?)
    }

    /// Powers for KZG out of these: `size` in G1, and those of G2 that are named.
    pub fn powers(&self, size: usize, g2_powers: &[usize]) -> Result<Powers> {
        if size > self.tau_g1.len() {
            return Err(bad(format!(
                "the setup has {} powers of tau, which are too few for {size}",
                self.tau_g1.len()
            )));
        }
        let mut twins = vec![(1, self.tau_g2[1])];
        for &k in g2_powers {
            let point = self.tau_g2.get(k);
            let point = point.ok_or_else(|| bad(format!("the setup has no power {k} of tau in G2")))?;
            twins.push((k, *point));
        }
        Powers::of(self.tau_g1[..size].to_vec(), twins)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_count(&mut out, self.log)?;
        for list in [&self.tau_g1, &self.alpha_g1, &self.beta_g1] {
            put_g1s(&mut out, list, Form::Eip)?;
        }
        put_g2s(&mut out, &self.tau_g2)?;
        out.extend_from_slice(&g2_encode(&self.beta_g2));
        self.transcript.write(&mut out)?;
        Ok(out)
    }

    /// Reads what `to_bytes` wrote; with `check`, tests every point for curve and subgroup, and nothing else.
    pub fn from_bytes(bytes: &[u8], check: bool) -> Result<Self> {
        let mut reader = Reader::new(bytes, MAGIC, "first phase of a setup", check)?;
        let log = reader.count()?;
        let transcript = empty(log)?;
        let (tau_g1, alpha_g1, beta_g1) = (reader.g1s()?, reader.g1s()?, reader.g1s()?);
        let (tau_g2, beta_g2) = (reader.g2s()?, reader.g2()?);
        let size = 1 << log;
        if [
            tau_g1.len() + 1,
            2 * alpha_g1.len(),
            2 * beta_g1.len(),
            2 * tau_g2.len(),
        ] != [2 * size; 4]
        {
            return Err(bad("the first phase of a setup has other lengths than its header says"));
        }
        let transcript = transcript.read(&mut reader)?;
        reader.end()?;
        Ok(Self {
            log,
            tau_g1,
            tau_g2,
            alpha_g1,
            beta_g1,
            beta_g2,
            transcript,
        })
    }
}

/// Each point times its scalar.
pub fn multiplied<P: SWCurveConfig<ScalarField = Fr>>(points: &[Affine<P>], scalars: &[Fr]) -> Vec<Affine<P>> {
    let products: Vec<Projective<P>> = points
        .par_iter()
        .zip(scalars)
        .with_min_len(GRAIN)
        .map(|(point, scalar)| point.into_group() * *scalar) // G1 has a quick way for projective points alone
        .collect();
    Projective::normalize_batch(&products)
}
