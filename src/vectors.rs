//! Field vectors: conversions and elementwise arithmetic.

use ark_bn254::Fr;
use ark_ff::{batch_inversion, Field, PrimeField, UniformRand, Zero};
use num_bigint::BigUint;
use numpy::{PyArray1, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use rayon::prelude::*;

use crate::error::{bad, run, Result};
use crate::field::{fr_to_be, fr_to_uint, frs_from_be, FrInt, FrOne, FrVec, MAX_LENGTH};
use crate::random;

/// Below this many elements a second thread costs more than it brings.
pub const GRAIN: usize = 2048;

/// A 1-d `int64` argument, copied for the same reason as `FrVec`.
pub struct I64Vec(pub Vec<i64>);

impl<'py> FromPyObject<'_, 'py> for I64Vec {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        integers(object, "int64").map(I64Vec)
    }
}

/// A 1-d `int32` argument.
pub struct I32Vec(pub Vec<i32>);

impl<'py> FromPyObject<'_, 'py> for I32Vec {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        integers(object, "int32").map(I32Vec)
    }
}

fn integers<T: numpy::Element + Copy>(object: Borrowed<'_, '_, PyAny>, dtype: &str) -> PyResult<Vec<T>> {
    let untyped = object
        .cast::<PyUntypedArray>()
        .map_err(|_| PyTypeError::new_err(format!("expected a numpy {dtype} array of shape (n,)")))?;
    if untyped.ndim() != 1 {
        return Err(PyValueError::new_err(format!(
            "expected an array of shape (n,), got {:?}",
            untyped.shape()
        )));
    }
    let array = object
        .cast::<PyArray1<T>>()
        .map_err(|_| PyTypeError::new_err(format!("expected dtype {dtype}, got {}", untyped.dtype())))?;
    if !array.is_aligned() {
        return Err(PyValueError::new_err("the array is not aligned; pass a copy"));
    }
    let array = array
        .try_readonly()
        .map_err(|_| PyValueError::new_err("the array is being written to"))?;
    Ok(array.as_array().iter().copied().collect())
}

/// Elements of signed 64-bit integers.
#[pyfunction]
pub fn fr_from_i64(py: Python<'_>, a: I64Vec) -> PyResult<FrVec> {
    run(py, || {
        Ok(FrVec(
            a.0.par_iter().with_min_len(GRAIN).map(|&v| Fr::from(v)).collect(),
        ))
    })
}

/// Elements of integers of any sign, reduced mod r.
#[pyfunction]
pub fn fr_from_ints(values: Vec<FrInt>) -> FrVec {
    FrVec(values.into_iter().map(|value| value.0).collect())
}

/// Canonical integers in `[0, r)`.
#[pyfunction]
pub fn fr_to_ints(py: Python<'_>, a: FrVec) -> PyResult<Vec<BigUint>> {
    run(py, || Ok(a.0.iter().map(fr_to_uint).collect()))
}

/// Elements of consecutive 32-byte big-endian words, each below r.
#[pyfunction]
pub fn fr_from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<FrVec> {
    run(py, || frs_from_be(&data).map(FrVec))
}

/// Consecutive 32-byte big-endian words.
#[pyfunction]
pub fn fr_to_bytes<'py>(py: Python<'py>, a: FrVec) -> PyResult<std::borrow::Cow<'py, [u8]>> {
    run(py, || Ok(a.0.iter().flat_map(fr_to_be).collect::<Vec<u8>>().into()))
}

/// Signed representatives in `(-r/2, r/2)`, refused where they exceed 64 bits.
#[pyfunction]
pub fn fr_to_i64<'py>(py: Python<'py>, a: FrVec) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let values = run(py, || {
        a.0.iter()
            .enumerate()
            .map(|(i, v)| signed(i, v))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok(PyArray1::from_vec(py, values))
}

fn signed(index: usize, value: &Fr) -> Result<i64> {
    if let [low, 0, 0, 0] = value.into_bigint().0 {
        if let Ok(positive) = i64::try_from(low) {
            return Ok(positive);
        }
    } else if let [low, 0, 0, 0] = (-*value).into_bigint().0 {
        if let Some(negative) = 0i64.checked_sub_unsigned(low) {
            return Ok(negative);
        }
    }
    Err(bad(format!(
        "element {index} does not fit into a signed 64-bit integer"
    )))
}

fn zip(a: &[Fr], b: &[Fr], op: impl Fn(Fr, Fr) -> Fr + Sync) -> Result<FrVec> {
    let values = match (a, b) {
        _ if a.len() == b.len() => a
            .par_iter()
            .zip(b)
            .with_min_len(GRAIN)
            .map(|(&a, &b)| op(a, b))
            .collect(),
        (&[a], _) => b.par_iter().with_min_len(GRAIN).map(|&b| op(a, b)).collect(),
        (_, &[b]) => a.par_iter().with_min_len(GRAIN).map(|&a| op(a, b)).collect(),
        _ => {
            return Err(bad(format!(
                "lengths {} and {} differ and neither is 1",
                a.len(),
                b.len()
            )))
        }
    };
    Ok(FrVec(values))
}

/// Elementwise sum; a vector of length 1 is repeated.
#[pyfunction]
pub fn fr_add(py: Python<'_>, a: FrVec, b: FrVec) -> PyResult<FrVec> {
    run(py, || zip(&a.0, &b.0, |a, b| a + b))
}

/// Elementwise difference; a vector of length 1 is repeated.
#[pyfunction]
pub fn fr_sub(py: Python<'_>, a: FrVec, b: FrVec) -> PyResult<FrVec> {
    run(py, || zip(&a.0, &b.0, |a, b| a - b))
}

/// Elementwise product; a vector of length 1 is repeated.
#[pyfunction]
pub fn fr_mul(py: Python<'_>, a: FrVec, b: FrVec) -> PyResult<FrVec> {
    run(py, || zip(&a.0, &b.0, |a, b| a * b))
}

/// Elementwise negative.
#[pyfunction]
pub fn fr_neg(py: Python<'_>, a: FrVec) -> PyResult<FrVec> {
    run(py, || Ok(FrVec(a.0.iter().map(|&v| -v).collect())))
}

/// Elementwise inverse; zero is refused.
#[pyfunction]
pub fn fr_inverse(py: Python<'_>, mut a: FrVec) -> PyResult<FrVec> {
    run(py, move || {
        if let Some(i) = a.0.iter().position(Fr::is_zero) {
            return Err(bad(format!("element {i} is zero and has no inverse")));
        }
        batch_inversion(&mut a.0);
        Ok(a)
    })
}

/// Sum of all elements, shape (1, 4); zero for an empty vector.
#[pyfunction]
pub fn fr_sum(py: Python<'_>, a: FrVec) -> PyResult<FrVec> {
    run(py, || Ok(FrVec(vec![a.0.par_iter().with_min_len(GRAIN).sum()])))
}

/// Inner product of two vectors of equal length, shape (1, 4).
#[pyfunction]
pub fn fr_dot(py: Python<'_>, a: FrVec, b: FrVec) -> PyResult<FrVec> {
    run(py, || {
        if a.0.len() != b.0.len() {
            return Err(bad(format!("lengths {} and {} differ", a.0.len(), b.0.len())));
        }
        Ok(FrVec(vec![a
            .0
            .par_iter()
            .zip(&b.0)
            .with_min_len(GRAIN)
            .map(|(a, b)| *a * b)
            .sum()]))
    })
}

/// `1, base, base^2, ...`: n powers.
#[pyfunction]
pub fn fr_powers(py: Python<'_>, base: FrOne, n: usize) -> PyResult<FrVec> {
    run(py, || powers(base.0, n).map(FrVec))
}

/// The first `n` powers of `base`, in blocks that start at an exponentiation of their own.
pub fn powers(base: Fr, n: usize) -> Result<Vec<Fr>> {
    check_length(n)?;
    let mut values = vec![Fr::zero(); n];
    values.par_chunks_mut(GRAIN).enumerate().for_each(|(block, chunk)| {
        let mut power = base.pow([(block * GRAIN) as u64]);
        for value in chunk {
            *value = power;
            power *= base;
        }
    });
    Ok(values)
}

/// Refuses lengths that only a mistake can ask for.
pub fn check_length(n: usize) -> Result<()> {
    if n > MAX_LENGTH {
        return Err(bad(format!("length {n} is above the limit of {MAX_LENGTH}")));
    }
    Ok(())
}

/// n uniformly random elements from the operating system; a 32-byte seed is for tests.
#[pyfunction]
#[pyo3(signature = (n, seed=None))]
pub fn fr_random(py: Python<'_>, n: usize, seed: Option<PyBackedBytes>) -> PyResult<FrVec> {
    run(py, || {
        check_length(n)?;
        let mut rng = random::rng(seed.as_deref())?;
        Ok(FrVec((0..n).map(|_| Fr::rand(&mut rng)).collect()))
    })
}
