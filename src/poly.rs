//! Polynomials in coefficient form, lowest degree first.

use ark_bn254::Fr;
use ark_ff::{Field, Zero};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::error::run;
use crate::field::{FrOne, FrVec};
use crate::vectors::GRAIN;

/// Value at x; zero for an empty vector.
#[pyfunction]
pub fn poly_eval(py: Python<'_>, coeffs: FrVec, x: FrOne) -> PyResult<FrVec> {
    run(py, || Ok(FrVec(vec![evaluate(&coeffs.0, x.0)])))
}

/// Coefficients of `(f - f(x)) / (X - x)`, one fewer than `coeffs`.
#[pyfunction]
pub fn poly_divide_linear(py: Python<'_>, coeffs: FrVec, x: FrOne) -> PyResult<FrVec> {
    run(py, || Ok(FrVec(divide_linear(&coeffs.0, x.0))))
}

/// Horner's rule in blocks, each shifted by a power of x.
pub fn evaluate(coeffs: &[Fr], x: Fr) -> Fr {
    coeffs
        .par_chunks(GRAIN)
        .enumerate()
        .map(|(block, chunk)| {
            let value = chunk.iter().rev().fold(Fr::zero(), |acc, c| acc * x + c);
            value * x.pow([(block * GRAIN) as u64])
        })
        .sum()
}

/// Synthetic division; the remainder, which is `f(x)`, is dropped.
pub fn divide_linear(coeffs: &[Fr], x: Fr) -> Vec<Fr> {
    let mut quotient = vec![Fr::zero(); coeffs.len().saturating_sub(1)];
    let mut carry = Fr::zero();
    for (slot, coeff) in quotient.iter_mut().zip(coeffs.iter().skip(1)).rev() {
        carry = carry * x + coeff;
        *slot = carry;
    }
    quotient
}
