//! Poseidon with circomlib's parameters (x^5, 8 full rounds), one to twelve inputs.

use std::borrow::Cow;

use ark_bn254::Fr;
use light_poseidon::parameters::bn254_x5::get_poseidon_parameters;
use light_poseidon::{Poseidon, PoseidonHasher, PoseidonParameters};
use num_bigint::BigUint;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use crate::error::{bad, run, CoreError, Result};
use crate::field::{fr_to_uint, FrVec};

const MAX_ARITY: usize = 12;

/// Hashes per task: making a hasher copies its round constants.
const BATCH: usize = 64;

/// Round constants, MDS rows, number of full rounds, number of partial rounds.
type Parameters = (Vec<BigUint>, Vec<Vec<BigUint>>, usize, usize);

fn parameters(k: usize) -> Result<PoseidonParameters<Fr>> {
    let width = u8::try_from(k + 1).ok().filter(|_| (1..=MAX_ARITY).contains(&k));
    let width = width.ok_or_else(|| bad(format!("Poseidon takes 1 to {MAX_ARITY} inputs, got {k}")))?;
    get_poseidon_parameters(width).map_err(|error| CoreError::Internal(error.to_string()))
}

/// Poseidon of each group of k consecutive elements.
#[pyfunction]
pub fn poseidon(py: Python<'_>, inputs: FrVec, k: usize) -> PyResult<FrVec> {
    run(py, || {
        parameters(k)?;
        if !inputs.0.len().is_multiple_of(k) {
            return Err(bad(format!("{} elements are not groups of {k}", inputs.0.len())));
        }
        let hashes: Result<Vec<Vec<Fr>>> = inputs
            .0
            .par_chunks(k * BATCH)
            .map(|batch| hash_batch(batch, k))
            .collect();
        Ok(FrVec(hashes?.concat()))
    })
}

fn hash_batch(batch: &[Fr], k: usize) -> Result<Vec<Fr>> {
    let mut hasher = Poseidon::new(parameters(k)?);
    batch
        .chunks_exact(k)
        .map(|group| {
            hasher
                .hash(group)
                .map_err(|error| CoreError::Internal(error.to_string()))
        })
        .collect()
}

/// Constants for k inputs: round r adds `constants[r * (k + 1) + i]` to element i; then `new_i = sum_j mds[i][j] old_j`.
#[pyfunction]
pub fn poseidon_parameters(py: Python<'_>, k: usize) -> PyResult<Parameters> {
    run(py, || {
        let p = parameters(k)?;
        let ints = |row: &Vec<Fr>| row.iter().map(fr_to_uint).collect::<Vec<_>>();
        Ok((
            ints(&p.ark),
            p.mds.iter().map(ints).collect(),
            p.full_rounds,
            p.partial_rounds,
        ))
    })
}

/// Keccak-256 as Ethereum uses it.
#[pyfunction]
pub fn keccak256(py: Python<'_>, data: PyBackedBytes) -> PyResult<Cow<'static, [u8]>> {
    run(py, || Ok(Cow::Owned(Keccak256::digest(&data[..]).to_vec())))
}
