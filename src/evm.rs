//! The precompiles 0x06, 0x07 and 0x08 as EIP-196 and EIP-197 define them: `ValueError` where the precompile fails.

use std::borrow::Cow;

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::CurveGroup;
use ark_ff::{One, PrimeField};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::error::{bad, run, Result};
use crate::points::{g1_decode, g1_encode, g2_decode, G1_BYTES};

const PAIR_BYTES: usize = 192;

/// The input as the EVM reads it: zeros beyond its end, anything beyond `N` ignored.
fn padded<const N: usize>(data: &[u8]) -> [u8; N] {
    let mut input = [0u8; N];
    let length = data.len().min(N);
    input[..length].copy_from_slice(&data[..length]);
    input
}

/// Precompile 0x06: sum of two G1 points.
#[pyfunction]
pub fn ec_add(py: Python<'_>, data: PyBackedBytes) -> PyResult<Cow<'static, [u8]>> {
    run(py, || add(&data).map(|sum| Cow::Owned(sum.to_vec())))
}

/// Precompile 0x07: G1 point times a 256-bit scalar, which need not be below r.
#[pyfunction]
pub fn ec_mul(py: Python<'_>, data: PyBackedBytes) -> PyResult<Cow<'static, [u8]>> {
    run(py, || mul(&data).map(|product| Cow::Owned(product.to_vec())))
}

/// Precompile 0x08: whether the product of the pairings is one; true for empty input.
#[pyfunction]
pub fn ec_pairing(py: Python<'_>, data: PyBackedBytes) -> PyResult<bool> {
    run(py, || pairing(&data))
}

/// What `ec_add` computes.
pub fn add(data: &[u8]) -> Result<[u8; G1_BYTES]> {
    let input = padded::<128>(data);
    let sum = g1_decode(&input[..G1_BYTES])? + g1_decode(&input[G1_BYTES..])?;
    Ok(g1_encode(&sum.into_affine()))
}

/// What `ec_mul` computes.
pub fn mul(data: &[u8]) -> Result<[u8; G1_BYTES]> {
    let input = padded::<96>(data);
    let product = g1_decode(&input[..G1_BYTES])? * Fr::from_be_bytes_mod_order(&input[G1_BYTES..]);
    Ok(g1_encode(&product.into_affine()))
}

/// What `ec_pairing` computes.
pub fn pairing(data: &[u8]) -> Result<bool> {
    if !data.len().is_multiple_of(PAIR_BYTES) {
        return Err(bad(format!(
            "pairing input takes 192 bytes a pair, got {} bytes",
            data.len()
        )));
    }
    let mut left = Vec::with_capacity(data.len() / PAIR_BYTES);
    let mut right = Vec::with_capacity(data.len() / PAIR_BYTES);
    for pair in data.chunks_exact(PAIR_BYTES) {
        left.push(g1_decode(&pair[..G1_BYTES])?);
        right.push(g2_decode(&pair[G1_BYTES..])?);
    }
    product_is_one(left, right)
}

/// Whether `prod e(left_i, right_i) = 1`.
pub fn product_is_one(left: Vec<G1Affine>, right: Vec<G2Affine>) -> Result<bool> {
    Ok(Bn254::multi_pairing(left, right).0.is_one())
}
