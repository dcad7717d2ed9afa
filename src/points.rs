//! Curve points in the encodings of EIP-196 and EIP-197, and arithmetic on G1.

use std::borrow::Cow;

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup, ScalarMul};
use ark_ff::{BigInt, PrimeField, Zero};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use rayon::prelude::*;

use crate::error::{bad, run, Result};
use crate::field::{limbs_from_be, limbs_to_be, FrOne, FrVec};
use crate::msm::sum_of_multiples;

pub const G1_BYTES: usize = 64;
pub const G2_BYTES: usize = 128;

fn coordinate(word: &[u8; 32], what: &str) -> Result<Fq> {
    Fq::from_bigint(limbs_from_be(word)).ok_or_else(|| bad(format!("{what}: a coordinate is not below p")))
}

fn words<'a, const N: usize>(bytes: &'a [u8], what: &str) -> Result<&'a [[u8; 32]; N]> {
    let (words, rest) = bytes.as_chunks::<32>();
    match words.try_into() {
        Ok(words) if rest.is_empty() => Ok(words),
        _ => Err(bad(format!("{what} has {} bytes, got {}", 32 * N, bytes.len()))),
    }
}

/// Decodes without the curve equation; for data that is known by its digest.
pub fn g1_decode_unchecked(bytes: &[u8]) -> Result<G1Affine> {
    let [x, y] = words::<2>(bytes, "a G1 point")?;
    let (x, y) = (coordinate(x, "G1 point")?, coordinate(y, "G1 point")?);
    Ok(if x.is_zero() && y.is_zero() {
        G1Affine::identity()
    } else {
        G1Affine::new_unchecked(x, y)
    })
}

/// Decodes and checks the curve equation. G1 has prime order, so no subgroup check is needed.
pub fn g1_decode(bytes: &[u8]) -> Result<G1Affine> {
    let point = g1_decode_unchecked(bytes)?;
    g1_valid(&point)?;
    Ok(point)
}

/// Refuses a point off the curve.
pub fn g1_valid(point: &G1Affine) -> Result<()> {
    if !point.is_on_curve() {
        return Err(bad("G1 point is not on the curve"));
    }
    Ok(())
}

/// Decodes without curve and subgroup checks; for data that is known by its digest.
pub fn g2_decode_unchecked(bytes: &[u8]) -> Result<G2Affine> {
    let [x1, x0, y1, y0] = words::<4>(bytes, "a G2 point")?;
    let x = Fq2::new(coordinate(x0, "G2 point")?, coordinate(x1, "G2 point")?);
    let y = Fq2::new(coordinate(y0, "G2 point")?, coordinate(y1, "G2 point")?);
    Ok(if x.is_zero() && y.is_zero() {
        G2Affine::identity()
    } else {
        G2Affine::new_unchecked(x, y)
    })
}

/// Decodes and checks the curve equation and the subgroup of order r.
pub fn g2_decode(bytes: &[u8]) -> Result<G2Affine> {
    let point = g2_decode_unchecked(bytes)?;
    g2_valid(&point)?;
    Ok(point)
}

/// Refuses a point off the curve or outside the subgroup.
pub fn g2_valid(point: &G2Affine) -> Result<()> {
    if !point.is_on_curve() {
        return Err(bad("G2 point is not on the curve"));
    }
    if !point.is_in_correct_subgroup_assuming_on_curve() {
        return Err(bad("G2 point is not in the subgroup of order r"));
    }
    Ok(())
}

/// 64 bytes, zero for the point at infinity.
pub fn g1_encode(point: &G1Affine) -> [u8; G1_BYTES] {
    let mut bytes = [0u8; G1_BYTES];
    if let Some((x, y)) = point.xy() {
        bytes[..32].copy_from_slice(&limbs_to_be(&x.into_bigint()));
        bytes[32..].copy_from_slice(&limbs_to_be(&y.into_bigint()));
    }
    bytes
}

/// 128 bytes, the imaginary part of each coordinate first, zero for the point at infinity.
pub fn g2_encode(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut bytes = [0u8; G2_BYTES];
    if let Some((x, y)) = point.xy() {
        for (word, part) in bytes.chunks_exact_mut(32).zip([x.c1, x.c0, y.c1, y.c0]) {
            word.copy_from_slice(&limbs_to_be(&part.into_bigint()));
        }
    }
    bytes
}

/// A coordinate as it lies in memory: Montgomery form, little-endian.
fn pack(coordinate: &Fq) -> [u8; 32] {
    let mut word = [0u8; 32];
    for (bytes, limb) in word.chunks_exact_mut(8).zip(coordinate.0 .0) {
        bytes.copy_from_slice(&limb.to_le_bytes());
    }
    word
}

fn unpack(word: &[u8; 32], what: &str) -> Result<Fq> {
    let (limbs, _) = word.as_chunks::<8>();
    let limbs = BigInt::<4>(std::array::from_fn(|i| u64::from_le_bytes(limbs[i])));
    if limbs >= Fq::MODULUS {
        return Err(bad(format!("{what}: a coordinate is not below p")));
    }
    Ok(Fq::new_unchecked(limbs))
}

/// `g1_encode` with each coordinate packed.
pub fn g1_pack(point: &G1Affine) -> [u8; G1_BYTES] {
    let mut bytes = [0u8; G1_BYTES];
    if let Some((x, y)) = point.xy() {
        bytes[..32].copy_from_slice(&pack(&x));
        bytes[32..].copy_from_slice(&pack(&y));
    }
    bytes
}

/// What `g1_pack` wrote, without the curve equation.
pub fn g1_unpack(bytes: &[u8]) -> Result<G1Affine> {
    let [x, y] = words::<2>(bytes, "a G1 point")?;
    let (x, y) = (unpack(x, "G1 point")?, unpack(y, "G1 point")?);
    Ok(if x.is_zero() && y.is_zero() {
        G1Affine::identity()
    } else {
        G1Affine::new_unchecked(x, y)
    })
}

/// `g2_encode` with each coordinate packed.
pub fn g2_pack(point: &G2Affine) -> [u8; G2_BYTES] {
    let mut bytes = [0u8; G2_BYTES];
    if let Some((x, y)) = point.xy() {
        for (word, part) in bytes.chunks_exact_mut(32).zip([x.c1, x.c0, y.c1, y.c0]) {
            word.copy_from_slice(&pack(&part));
        }
    }
    bytes
}

/// What `g2_pack` wrote, without curve and subgroup checks.
pub fn g2_unpack(bytes: &[u8]) -> Result<G2Affine> {
    let [x1, x0, y1, y0] = words::<4>(bytes, "a G2 point")?;
    let x = Fq2::new(unpack(x0, "G2 point")?, unpack(x1, "G2 point")?);
    let y = Fq2::new(unpack(y0, "G2 point")?, unpack(y1, "G2 point")?);
    Ok(if x.is_zero() && y.is_zero() {
        G2Affine::identity()
    } else {
        G2Affine::new_unchecked(x, y)
    })
}

/// Consecutive G1 points.
pub fn g1s_decode(bytes: &[u8], check: bool) -> Result<Vec<G1Affine>> {
    if !bytes.len().is_multiple_of(G1_BYTES) {
        return Err(bad(format!("G1 points take 64 bytes each, got {} bytes", bytes.len())));
    }
    let decode = if check { g1_decode } else { g1_decode_unchecked };
    bytes.par_chunks_exact(G1_BYTES).with_min_len(256).map(decode).collect()
}

fn owned(bytes: &[u8]) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.to_vec())
}

/// `p + q`.
#[pyfunction]
pub fn g1_add(py: Python<'_>, p: PyBackedBytes, q: PyBackedBytes) -> PyResult<Cow<'static, [u8]>> {
    run(py, || {
        Ok(owned(&g1_encode(&(g1_decode(&p)? + g1_decode(&q)?).into_affine())))
    })
}

/// `k * p`.
#[pyfunction]
pub fn g1_mul(py: Python<'_>, p: PyBackedBytes, k: FrOne) -> PyResult<Cow<'static, [u8]>> {
    run(py, || Ok(owned(&g1_encode(&(g1_decode(&p)? * k.0).into_affine()))))
}

/// `-p`.
#[pyfunction]
pub fn g1_neg(py: Python<'_>, p: PyBackedBytes) -> PyResult<Cow<'static, [u8]>> {
    run(py, || Ok(owned(&g1_encode(&-g1_decode(&p)?))))
}

/// The generator of G1 times each scalar, as consecutive points.
#[pyfunction]
pub fn g1_multiples(py: Python<'_>, scalars: FrVec) -> PyResult<Cow<'static, [u8]>> {
    run(py, || {
        let points = G1Projective::generator().batch_mul(&scalars.0);
        Ok(Cow::Owned(points.iter().flat_map(g1_encode).collect()))
    })
}

/// The generator of G2 times each scalar, as consecutive points.
#[pyfunction]
pub fn g2_multiples(py: Python<'_>, scalars: FrVec) -> PyResult<Cow<'static, [u8]>> {
    run(py, || {
        let points = G2Projective::generator().batch_mul(&scalars.0);
        Ok(Cow::Owned(points.iter().flat_map(g2_encode).collect()))
    })
}

/// `sum k_i * p_i` over consecutive 64-byte points.
#[pyfunction]
pub fn g1_msm(py: Python<'_>, points: PyBackedBytes, scalars: FrVec) -> PyResult<Cow<'static, [u8]>> {
    run(py, || {
        let points = g1s_decode(&points, true)?;
        Ok(owned(&g1_encode(&msm(&points, &scalars.0)?)))
    })
}

/// `sum k_i * p_i`; the lengths must agree.
pub fn msm(points: &[G1Affine], scalars: &[Fr]) -> Result<G1Affine> {
    if points.len() != scalars.len() {
        return Err(bad(format!("{} points but {} scalars", points.len(), scalars.len())));
    }
    Ok(sum_of_multiples(points, scalars).into_affine())
}

/// The standard generator (1, 2).
#[pyfunction]
pub fn g1_generator() -> Cow<'static, [u8]> {
    owned(&g1_encode(&G1Affine::generator()))
}

/// The standard generator of EIP-197.
#[pyfunction]
pub fn g2_generator() -> Cow<'static, [u8]> {
    owned(&g2_encode(&G2Affine::generator()))
}

/// Refuses what is not 64 bytes of a point on the curve.
#[pyfunction]
pub fn g1_check(py: Python<'_>, p: PyBackedBytes) -> PyResult<()> {
    run(py, || g1_decode(&p).map(drop))
}

/// Refuses what is not 128 bytes of a point of the subgroup of order r.
#[pyfunction]
pub fn g2_check(py: Python<'_>, p: PyBackedBytes) -> PyResult<()> {
    run(py, || g2_decode(&p).map(drop))
}
