//! delta and eta of one circuit by many, over a first phase: the second phase of a setup (protocol, section 9).
//!
//! It begins with a key that anybody computes from the first phase and the circuit, in which delta and eta are 1. A
//! contribution multiplies both, and divides what lies over them. A key whose delta or eta is 1 proves anything, so that
//! a state is no proving key before somebody contributed.
//!
//! The transcript shows `[eta]_1`, too, which a key does not have, as Groth16 shows `[delta]_1`. It gives a forger
//! nothing: sort the accepted equation by powers of eta as in section 3 of the protocol. With eta in G1, A, C and D may
//! have a part in eta^1 more, which meets only the equations for eta^1 and eta^2; the one for eta^0, which is Groth16's
//! for (x, c), and the one for eta^-1, which rules out that A or C lie over eta, stay as they are.

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{Field, UniformRand, Zero};
use ark_groth16::{ProvingKey as ArkKey, VerifyingKey as ArkVerifyingKey};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::codec::{Form, Reader};
use crate::contributions::{Beacon, Transcript};
use crate::error::{bad, CoreError, Result};
use crate::evm::product_is_one;
use crate::groth16::{check_entries, Key};
use crate::msm::sum_of_multiples;
use crate::phase_one::{multiplied, PhaseOne};
use crate::points::msm;
use crate::r1cs::{Shape, System};
use crate::random::SecretRng;
use crate::sparse::Coefficient;

const MAGIC: &[u8] = b"fedproof/phase2/v1\0";

/// A key on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseTwo {
    /// Digest of the first phase, with all its contributions.
    first: [u8; 32],
    key: Key,
    pub transcript: Transcript,
}

fn empty(first: &[u8; 32], circuit: &[u8; 32]) -> Transcript {
    Transcript::new(2, &[b"delta and eta", first, circuit])
}

impl PhaseTwo {
    /// The key with delta and eta 1. Whoever computes it gets the same.
    pub fn start(system: &System, phase: &PhaseOne) -> Result<Self> {
        let first = phase.transcript.digest();
        Ok(Self {
            first,
            transcript: empty(&first, &system.digest),
            key: undivided(system, phase)?,
        })
    }

    /// One contribution more to what is verified first, over a first phase that the caller has verified. What it
    /// multiplies by is wiped, and comes from `rng` or from the beacon alone.
    ///
    /// A contributor that divides whatever stands in a file is an oracle: the points of `[1 | x]`, put behind those of h
    /// by whoever had the file before and taken out by whoever has it next, come back over delta, and with them
    /// `C' = C + sum (x_j - x'_j) IC_j / delta` proves any x' (the tests here do it).
    pub fn contribute(
        self,
        system: &System,
        phase: &PhaseOne,
        name: &str,
        beacon: Option<Beacon>,
        rng: &mut SecretRng,
    ) -> Result<Self> {
        if let Some(beacon) = &beacon {
            check_fresh(phase, &beacon.value)?;
        }
        self.verify(system, phase, rng)?;
        self.add(name, beacon, rng)
    }

    fn add(mut self, name: &str, beacon: Option<Beacon>, rng: &mut SecretRng) -> Result<Self> {
        let factors = self.transcript.contribute(name, beacon, rng)?;
        let [delta, eta] = &factors[..] else {
            return Err(bad("a second phase has two secrets"));
        };
        self.multiply(delta, eta)?;
        Ok(self)
    }

    fn multiply(&mut self, delta: &Fr, eta: &Fr) -> Result<()> {
        let inverse = |x: &Fr| {
            let found = x.inverse().map(Zeroizing::new);
            found.ok_or_else(|| CoreError::Internal("ceremony: a factor is zero".into()))
        };
        let (over_delta, over_eta) = (inverse(delta)?, inverse(eta)?);
        let divided = |points: &[G1Affine], x: &Fr| multiplied(points, &Zeroizing::new(vec![*x; points.len()]));
        let key = &mut self.key;
        key.committed = divided(&key.committed, &over_eta);
        key.eta_g2 = key.eta_g2.map(|point| (point * eta).into_affine());
        key.ark.h_query = divided(&key.ark.h_query, &over_delta);
        key.ark.l_query = divided(&key.ark.l_query, &over_delta);
        key.ark.delta_g1 = (key.ark.delta_g1 * delta).into_affine();
        key.ark.vk.delta_g2 = (key.ark.vk.delta_g2 * delta).into_affine();
        Ok(())
    }

    /// Refuses anything but the key of this circuit over this first phase, with the delta and eta that the transcript
    /// leads to. The first phase is checked apart.
    ///
    /// Each list is compared under random weights w with what it should be. For the wires' values A_j(tau) that is
    /// `sum_i (A w)_i L_i(tau)`: one transform of numbers, and one sum of multiples of the powers, in place of the
    /// transforms of points that `start` takes. A false list passes with probability 2^-254.
    pub fn verify(&self, system: &System, phase: &PhaseOne, rng: &mut SecretRng) -> Result<()> {
        if self.first != phase.transcript.digest() {
            return Err(bad("the key was made over another first phase"));
        }
        let key = &self.key;
        let size = system.domain_size();
        if key.circuit != system.digest || key.shape != system.shape || key.ark.h_query.len() + 1 != size {
            return Err(bad("the key was made for another circuit"));
        }
        if size > phase.size() {
            return Err(too_small(size, phase));
        }
        self.transcript.verify()?;
        self.transcript
            .beacons()
            .try_for_each(|value| check_fresh(phase, value))?;
        key.binds_all_wires()?;
        let (pk, vk) = (&key.ark, &key.ark.vk);
        if (vk.alpha_g1, pk.beta_g1, vk.beta_g2) != (phase.alpha_g1[0], phase.beta_g1[0], phase.beta_g2) {
            return Err(bad("the key's alpha or beta is not the first phase's"));
        }
        let (one, two) = (G1Affine::generator(), G2Affine::generator());
        let (delta, eta) = (vk.delta_g2, key.eta_g2);
        let heads = self.transcript.heads();
        if heads[0] != pk.delta_g1 || !product_is_one(vec![heads[0], -one], vec![two, delta])? {
            return Err(bad("the key's delta is not the one that the contributions lead to"));
        }
        if let Some(eta) = eta {
            if !product_is_one(vec![heads[1], -one], vec![two, eta])? {
                return Err(bad("the key's eta is not the one that the contributions lead to"));
            }
        }

        let Shape { wires, .. } = key.shape;
        let (statement, instance) = (key.shape.statement(), key.shape.instance());
        let weights = weights_of(wires, rng);
        let wrong = |name: &str| bad(format!("the key's points of {name} are not those of its circuit"));
        let expected = Expected::of(system, &weights)?;
        if msm(&pk.a_query, &weights)? != expected.at(0, &phase.tau_g1).into_affine() {
            return Err(wrong("A"));
        }
        if msm(&pk.b_g1_query, &weights)? != expected.at(1, &phase.tau_g1).into_affine()
            || sum_of_multiples(&pk.b_g2_query, &weights) != expected.at(1, &phase.tau_g2)
        {
            return Err(wrong("B"));
        }
        for (name, wires, points, divisor) in [
            ("public wires", 0..statement, &vk.gamma_abc_g1, Some(two)),
            ("committed wires", statement..instance, &key.committed, eta),
            ("private wires", instance..wires, &pk.l_query, Some(delta)),
        ] {
            let Some(divisor) = divisor else { continue };
            let mut own = vec![Fr::zero(); key.shape.wires];
            own[wires.clone()].copy_from_slice(&weights[wires.clone()]);
            let undivided = Expected::of(system, &own)?.wires(phase).into_affine();
            let sum = msm(points, &weights[wires])?;
            if !product_is_one(vec![sum, -undivided], vec![divisor, two])? {
                return Err(wrong(name));
            }
        }
        let weights = weights_of(size - 1, rng);
        let weights = &weights[..];
        let undivided = msm(&phase.tau_g1[size..2 * size - 1], weights)? - msm(&phase.tau_g1[..size - 1], weights)?;
        let sum = msm(&pk.h_query, weights)?;
        if !product_is_one(vec![sum, (-undivided).into_affine()], vec![delta, two])? {
            return Err(wrong("h"));
        }
        Ok(())
    }

    pub fn circuit(&self) -> &[u8; 32] {
        &self.key.circuit
    }

    /// The key, once both phases are finished and this one holds, too: it says of itself that many made it. The first
    /// phase is checked apart.
    pub fn key(&self, system: &System, phase: &PhaseOne, rng: &mut SecretRng) -> Result<Key> {
        phase.transcript.check_finished("first")?;
        self.transcript.check_finished("second")?;
        self.verify(system, phase, rng)?;
        let mut key = self.key.clone();
        key.verifying_key().check()?;
        key.by_many = true;
        Ok(key)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.first);
        self.key.write_body(&mut out)?;
        self.transcript.write(&mut out)?;
        Ok(out)
    }

    /// Reads what `to_bytes` wrote; with `check`, tests every point for curve and subgroup, and nothing else.
    pub fn from_bytes(bytes: &[u8], check: bool) -> Result<Self> {
        let versions = [(MAGIC, Form::Packed)];
        let mut reader = Reader::of(bytes, bytes.len(), &versions, "second phase of a setup", check)?;
        let first = reader.array()?;
        let key = Key::read_body(&mut reader, bytes.len())?;
        let transcript = empty(&first, &key.circuit).read(&mut reader)?;
        reader.end()?;
        Ok(Self { first, key, transcript })
    }
}

/// The beacon of a first phase was known before its second began.
fn check_fresh(phase: &PhaseOne, value: &[u8; 32]) -> Result<()> {
    if phase.transcript.beacons().any(|known| known == value) {
        return Err(bad(
            "this beacon is that of the first phase: take a value that is drawn later",
        ));
    }
    Ok(())
}

fn weights_of(count: usize, rng: &mut SecretRng) -> Vec<Fr> {
    (0..count).map(|_| Fr::rand(rng)).collect()
}

fn too_small(size: usize, phase: &PhaseOne) -> CoreError {
    bad(format!(
        "the circuit has a domain of {size}, and the first phase is for {} rows at most",
        phase.size()
    ))
}

/// For each matrix the coefficients of the polynomial whose value on row i is that of the matrix at the weights.
struct Expected([Vec<Fr>; 3]);

impl Expected {
    fn of(system: &System, weights: &[Fr]) -> Result<Self> {
        let domain = domain_of(system.domain_size())?;
        Ok(Self([0, 1, 2].map(|matrix: usize| {
            domain.ifft(&system.matrices[matrix].apply(&system.pool, weights))
        })))
    }

    /// The polynomial of a matrix at tau, times what the powers are multiplied by.
    fn at<P: SWCurveConfig<ScalarField = Fr>>(&self, matrix: usize, powers: &[Affine<P>]) -> Projective<P> {
        sum_of_multiples(powers, &self.0[matrix])
    }

    /// `sum_j w_j K_j`.
    fn wires(&self, phase: &PhaseOne) -> G1Projective {
        self.at(0, &phase.beta_g1) + self.at(1, &phase.alpha_g1) + self.at(2, &phase.tau_g1)
    }
}

fn domain_of(size: usize) -> Result<Radix2EvaluationDomain<Fr>> {
    Radix2EvaluationDomain::<Fr>::new(size)
        .filter(|domain| domain.size() == size)
        .ok_or_else(|| CoreError::Internal("setup: no evaluation domain is large enough".into()))
}

/// The key of a circuit over a first phase, with delta and eta 1.
fn undivided(system: &System, phase: &PhaseOne) -> Result<Key> {
    check_entries(system)?;
    let size = system.domain_size();
    if size > phase.size() {
        return Err(too_small(size, phase));
    }
    let domain = domain_of(size)?;
    // the value of each row's Lagrange polynomial at tau, also times alpha and beta
    let ((tau_g1, tau_g2), (alpha_g1, beta_g1)) = rayon::join(
        || (lagrange(&phase.tau_g1, domain), lagrange(&phase.tau_g2, domain)),
        || (lagrange(&phase.alpha_g1, domain), lagrange(&phase.beta_g1, domain)),
    );
    let columns: Vec<Columns> = (0..3).map(|matrix| Columns::of(system, matrix)).collect();
    let sums = |matrix: usize, basis: &[G1Affine]| columns[matrix].sums(system, basis);
    // K_j = beta A_j(tau) + alpha B_j(tau) + C_j(tau)
    let parts = [sums(0, &beta_g1), sums(1, &alpha_g1), sums(2, &tau_g1)];
    let wires: Vec<G1Projective> = (0..system.shape.wires)
        .into_par_iter()
        .map(|wire| parts.iter().map(|part| part[wire]).sum())
        .collect();
    let mut instance = G1Projective::normalize_batch(&wires);
    let private = instance.split_off(system.shape.instance());
    let committed = instance.split_off(system.shape.statement());
    let powers: Vec<G1Projective> = (0..size - 1)
        .into_par_iter()
        .map(|k| phase.tau_g1[size + k] - phase.tau_g1[k])
        .collect();
    let vk = ArkVerifyingKey {
        alpha_g1: phase.alpha_g1[0],
        beta_g2: phase.beta_g2,
        gamma_g2: G2Affine::generator(),
        delta_g2: G2Affine::generator(),
        gamma_abc_g1: instance,
    };
    let key = Key {
        shape: system.shape,
        circuit: system.digest,
        eta_g2: (!committed.is_empty()).then(G2Affine::generator),
        committed,
        ark: ArkKey {
            vk,
            beta_g1: phase.beta_g1[0],
            delta_g1: G1Affine::generator(),
            a_query: G1Projective::normalize_batch(&sums(0, &tau_g1)),
            b_g1_query: G1Projective::normalize_batch(&sums(1, &tau_g1)),
            b_g2_query: Projective::normalize_batch(&columns[1].sums(system, &tau_g2)),
            h_query: G1Projective::normalize_batch(&powers),
            l_query: private,
        },
        by_many: false,
    };
    key.binds_all_wires()?;
    Ok(key)
}

/// `[s L_i(tau)]` for each row i, from `[s tau^k]`.
fn lagrange<P: SWCurveConfig<ScalarField = Fr>>(
    powers: &[Affine<P>],
    domain: Radix2EvaluationDomain<Fr>,
) -> Vec<Affine<P>> {
    let powers: Vec<Projective<P>> = powers[..domain.size()].iter().map(|point| point.into_group()).collect();
    Projective::normalize_batch(&domain.ifft(&powers))
}

/// A matrix by columns: wire j has entries `starts[j]..starts[j + 1]`, each a row and a coefficient of the pool.
struct Columns {
    starts: Vec<usize>,
    entries: Vec<(u32, u32)>,
}

impl Columns {
    fn of(system: &System, matrix: usize) -> Self {
        let rows = &system.matrices[matrix];
        let mut starts = vec![0; system.shape.wires + 1];
        for &wire in &rows.cols {
            starts[wire as usize + 1] += 1;
        }
        for wire in 0..system.shape.wires {
            starts[wire + 1] += starts[wire];
        }
        let (mut next, mut entries) = (starts.clone(), vec![(0, 0); rows.cols.len()]);
        for row in 0..rows.len() {
            for (wire, coefficient) in rows.row(row) {
                let place = &mut next[wire as usize];
                entries[*place] = (row as u32, coefficient);
                *place += 1;
            }
        }
        Self { starts, entries }
    }

    /// For each wire the sum of its coefficients times the points of their rows.
    fn sums<P: SWCurveConfig<ScalarField = Fr>>(&self, system: &System, basis: &[Affine<P>]) -> Vec<Projective<P>> {
        self.starts
            .par_windows(2)
            .map(|bounds| {
                let mut sum = Projective::zero();
                let (mut bases, mut scalars) = (Vec::new(), Vec::new());
                for &(row, coefficient) in &self.entries[bounds[0]..bounds[1]] {
                    let point = basis[row as usize];
                    match system.pool[coefficient as usize] {
                        Coefficient::One => sum += point,
                        Coefficient::MinusOne => sum -= point,
                        Coefficient::Other(value) => {
                            bases.push(point);
                            scalars.push(value);
                        }
                    }
                }
                sum + sum_of_multiples(&bases, &scalars)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::One;

    use crate::groth16::tests::{dealt, system};

    /// A ceremony with known secrets gives the key that arkworks' setup gives with them, point for point.
    #[test]
    fn makes_what_a_dealer_of_the_same_secrets_makes() {
        let [alpha, beta, delta, eta] = [3u64, 5, 7, 11].map(Fr::from);
        let (system, seed) = (system(), [7; 32]);
        let domain = Radix2EvaluationDomain::<Fr>::new(system.domain_size()).unwrap();
        let tau = domain.sample_element_outside_domain(&mut SecretRng::from_seed(&seed));
        for log in [2, 4] {
            let mut first = PhaseOne::start(log).unwrap();
            first.multiply(&tau, &alpha, &beta).unwrap();
            let mut second = PhaseTwo::start(&system, &first).unwrap();
            second.multiply(&Fr::from(3u64), &eta).unwrap();
            second.multiply(&(delta / Fr::from(3u64)), &Fr::one()).unwrap();
            assert_eq!(second.key, dealt(&system, [alpha, beta, delta, eta], &seed));
        }
    }

    /// The whole attack of `contribute`'s comment, on a build without its first line.
    #[test]
    fn a_contributor_that_divides_unseen_points_lets_others_prove_anything() {
        let (system, mut rng) = (system(), SecretRng::from_seed(&[9; 32]));
        let mut first = PhaseOne::start(2).unwrap();
        for (name, log) in [("a", None), ("b", None), ("block", Some(0))] {
            let beacon = log.map(|log| Beacon { value: [1; 32], log });
            first = first.contribute(name, beacon, &mut rng).unwrap();
        }
        let honest = PhaseTwo::start(&system, &first).unwrap();
        let (n, public) = (honest.key.ark.h_query.len(), system.shape.statement());
        let mut padded = honest.clone();
        padded.key.ark.h_query.extend(&honest.key.ark.vk.gamma_abc_g1);
        let refused = padded.clone().contribute(&system, &first, "north", None, &mut rng);
        assert_eq!(refused.unwrap_err(), bad("the key was made for another circuit"));

        let mut divided = padded
            .add("north", None, &mut rng)
            .unwrap()
            .add("south", None, &mut rng)
            .unwrap();
        let over_delta = divided.key.ark.h_query.split_off(n);
        assert_eq!(over_delta.len(), public);
        let last = Beacon { value: [2; 32], log: 0 };
        let finished = divided
            .contribute(&system, &first, "block", Some(last.clone()), &mut rng)
            .unwrap();
        let key = finished.key(&system, &first, &mut rng).unwrap();
        // the beacon's factor is public
        let before = finished.transcript.digests()[2];
        let factor = last.factors(&before, 2).unwrap()[0].inverse().unwrap();

        // c0 * x = w and c1 * w = c0: x = 1 / c1
        let z = [1u64, 1, 5, 1, 5].map(Fr::from);
        let d = Some(key.commit(&z[2..4]).unwrap());
        let mut proof = key.prove(&system, &z, &mut rng).unwrap();
        let verifying = key.verifying_key();
        assert!(verifying.verify(&[z[1]], &proof, d).unwrap());
        let claimed = Fr::from(77u64);
        assert!(!verifying.verify(&[claimed], &proof, d).unwrap());
        proof.c = (proof.c + over_delta[1] * (factor * (z[1] - claimed))).into_affine();
        assert!(verifying.verify(&[claimed], &proof, d).unwrap());
    }

    #[test]
    fn refuses_a_first_phase_that_is_too_small() {
        let error = PhaseTwo::start(&system(), &PhaseOne::start(1).unwrap()).unwrap_err();
        assert_eq!(
            error,
            bad("the circuit has a domain of 4, and the first phase is for 2 rows at most")
        );
    }
}
