//! KZG commitments in coefficient form over powers of tau (protocol, sections 2 and 4).

use std::collections::BTreeMap;

use ark_bn254::{Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::scalar_mul::BatchMulPreprocessing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::UniformRand;
use zeroize::Zeroizing;

use crate::codec::{put_count, put_g1s, Form, Reader};
use crate::error::{bad, Result};
use crate::evm::product_is_one;
use crate::points::{g2_encode, msm};
use crate::poly::{divide_linear, evaluate};
use crate::random::{self, SecretRng};
use crate::vectors::{check_length, powers};

const MAGIC: &[u8] = b"fedproof/srs/v1\0";

/// `[tau^i]_1` for `i < size`, and `[tau^k]_2` for k = 1 and some others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powers {
    g1: Vec<G1Affine>,
    g2: BTreeMap<usize, G2Affine>,
}

impl Powers {
    /// Powers by one dealer, who forgets tau. For development.
    pub fn generate(size: usize, g2_powers: &[usize], rng: &mut SecretRng) -> Result<Self> {
        check_length(size)?;
        if size < 2 {
            return Err(bad(format!("at least 2 powers are needed, got {size}")));
        }
        if let Some(k) = g2_powers.iter().find(|&&k| k >= size) {
            return Err(bad(format!(
                "power {k} of G2 is not below the size {size}, so nobody could check it"
            )));
        }
        let tau = random::nonzero(rng);
        let exponents = Zeroizing::new(powers(*tau, size)?);
        let g1 = BatchMulPreprocessing::new(G1Projective::from(G1Affine::generator()), size).batch_mul(&exponents);
        let g2 = std::iter::once(&1)
            .chain(g2_powers)
            .map(|&k| (k, (G2Affine::generator() * exponents[k]).into_affine()))
            .collect();
        Ok(Self { g1, g2 })
    }

    /// Powers that others made; the caller has checked them.
    pub fn of(g1: Vec<G1Affine>, g2: impl IntoIterator<Item = (usize, G2Affine)>) -> Result<Self> {
        let powers = Self {
            g1,
            g2: g2.into_iter().collect(),
        };
        powers.complete()?;
        Ok(powers)
    }

    pub fn size(&self) -> usize {
        self.g1.len()
    }

    /// `sum_j coeffs_j [tau^(offset + j)]_1`.
    pub fn commit(&self, coeffs: &[Fr], offset: usize) -> Result<G1Affine> {
        let range = offset..offset.saturating_add(coeffs.len());
        let points = self.g1.get(range).ok_or_else(|| {
            bad(format!(
                "{} coefficients at offset {offset} do not fit into {} powers",
                coeffs.len(),
                self.size()
            ))
        })?;
        msm(points, coeffs)
    }

    /// The value at x and the commitment to `(f - f(x)) / (X - x)`.
    pub fn open(&self, coeffs: &[Fr], x: Fr) -> Result<(Fr, G1Affine)> {
        if coeffs.len() > self.size() {
            return Err(bad(format!(
                "{} coefficients do not fit into {} powers",
                coeffs.len(),
                self.size()
            )));
        }
        Ok((evaluate(coeffs, x), self.commit(&divide_linear(coeffs, x), 0)?))
    }

    pub fn g2_power(&self, k: usize) -> Result<G2Affine> {
        let missing = || {
            bad(format!(
                "power {k} of G2 is not among {:?}",
                self.g2.keys().collect::<Vec<_>>()
            ))
        };
        self.g2.get(&k).copied().ok_or_else(missing)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = MAGIC.to_vec();
        put_g1s(&mut out, &self.g1, Form::Eip)?;
        put_count(&mut out, self.g2.len())?;
        for (&k, point) in &self.g2 {
            put_count(&mut out, k)?;
            out.extend_from_slice(&g2_encode(point));
        }
        Ok(out)
    }

    /// Reads what `to_bytes` wrote; with `check`, tests every point and that they are powers of one tau.
    pub fn from_bytes(bytes: &[u8], check: bool) -> Result<Self> {
        let mut reader = Reader::new(bytes, MAGIC, "powers file", check)?;
        let g1 = reader.g1s()?;
        let mut g2 = BTreeMap::new();
        for _ in 0..reader.count()? {
            let k = reader.count()?;
            if g2.last_key_value().is_some_and(|(&last, _)| last >= k) || k >= g1.len() {
                return Err(bad(format!(
                    "the powers file lists power {k} of G2 out of order or beyond its size"
                )));
            }
            g2.insert(k, reader.g2()?);
        }
        reader.end()?;
        let powers = Self { g1, g2 };
        powers.complete()?;
        if check && !powers.consistent(&mut random::rng(None)?)? {
            return Err(bad("the powers file does not hold consecutive powers of one tau"));
        }
        Ok(powers)
    }

    fn complete(&self) -> Result<()> {
        if self.g1.len() < 2
            || !self.g2.contains_key(&1)
            || self.g2.last_key_value().is_some_and(|(&k, _)| k >= self.g1.len())
        {
            return Err(bad(
                "the powers file lacks tau itself in G1 or G2, or a power of G2 in G1",
            ));
        }
        Ok(())
    }

    /// One pairing product under random weights: `e(P_(i+1), [1]) = e(P_i, [tau])` for all i, and
    /// `e(P_k, [1]) = e([1], T_k)` for each power k of G2. A false file passes with probability about 2^-254.
    fn consistent(&self, rng: &mut SecretRng) -> Result<bool> {
        if self.g1[0] != G1Affine::generator() || self.g1[1].is_zero() {
            return Ok(false);
        }
        let weights: Vec<Fr> = (1..self.size()).map(|_| Fr::rand(rng)).collect();
        let low = msm(&self.g1[..self.size() - 1], &weights)?;
        let mut high = msm(&self.g1[1..], &weights)?.into_group();
        let mut twins = G2Affine::identity().into_group();
        for (&k, point) in &self.g2 {
            let weight = Fr::rand(rng);
            high += self.g1[k] * weight;
            twins += *point * weight;
        }
        let left = vec![high.into_affine(), -low, -G1Affine::generator()];
        product_is_one(
            left,
            vec![G2Affine::generator(), self.g2_power(1)?, twins.into_affine()],
        )
    }
}
