//! How field elements cross the border: numpy `uint64 (n, 4)` limbs in Montgomery form, 32-byte big-endian words, Python ints.

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};
use num_bigint::{BigInt as SignedInt, BigUint, Sign};
use numpy::ndarray::Axis;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::error::{bad, Result};

/// The longest vector any function makes out of a bare number (2 GiB of limbs).
pub const MAX_LENGTH: usize = 1 << 26;

/// A vector of field elements taken from, or handed to, numpy.
#[derive(Clone, Debug)]
pub struct FrVec(pub Vec<Fr>);

/// One field element: a `FrVec` of length 1, or an `int` in `[0, r)`.
#[derive(Clone, Copy, Debug)]
pub struct FrOne(pub Fr);

/// A Python integer of any sign and size, reduced mod r.
#[derive(Clone, Copy, Debug)]
pub struct FrInt(pub Fr);

fn from_limbs(limbs: [u64; 4]) -> Option<Fr> {
    let limbs = BigInt::<4>(limbs);
    (limbs < Fr::MODULUS).then(|| Fr::new_unchecked(limbs))
}

fn not_reduced(row: usize) -> PyErr {
    PyValueError::new_err(format!(
        "row {row} is not a field element: its limbs are not below the modulus"
    ))
}

impl<'py> FromPyObject<'_, 'py> for FrVec {
    type Error = PyErr;

    /// Copies, so that no other thread can change the values while the interpreter lock is released.
    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let untyped = object
            .cast::<PyUntypedArray>()
            .map_err(|_| PyTypeError::new_err("expected a numpy uint64 array of shape (n, 4)"))?;
        if untyped.ndim() != 2 || untyped.shape()[1] != 4 {
            return Err(PyValueError::new_err(format!(
                "expected an array of shape (n, 4), got {:?}",
                untyped.shape()
            )));
        }
        let array = object
            .cast::<PyArray2<u64>>()
            .map_err(|_| PyTypeError::new_err(format!("expected dtype uint64, got {}", untyped.dtype())))?;
        if !array.is_aligned() {
            return Err(PyValueError::new_err(
                "the array is not aligned to 8 bytes; pass a copy",
            ));
        }
        let array = array
            .try_readonly()
            .map_err(|_| PyValueError::new_err("the array is being written to"))?;
        let mut values = Vec::with_capacity(array.shape()[0]);
        if array.is_c_contiguous() {
            let limbs = array
                .as_slice()
                .map_err(|_| PyValueError::new_err("the array is not contiguous"))?;
            for (row, limbs) in limbs.chunks_exact(4).enumerate() {
                let limbs = [limbs[0], limbs[1], limbs[2], limbs[3]];
                values.push(from_limbs(limbs).ok_or_else(|| not_reduced(row))?);
            }
        } else {
            for (row, limbs) in array.as_array().axis_iter(Axis(0)).enumerate() {
                let limbs = [limbs[0], limbs[1], limbs[2], limbs[3]];
                values.push(from_limbs(limbs).ok_or_else(|| not_reduced(row))?);
            }
        }
        Ok(FrVec(values))
    }
}

impl<'py> IntoPyObject<'py> for FrVec {
    type Target = PyArray2<u64>;
    type Output = Bound<'py, Self::Target>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let rows = self.0.len();
        let limbs: Vec<u64> = self.0.iter().flat_map(|value| value.0 .0).collect();
        PyArray1::from_vec(py, limbs).reshape([rows, 4])
    }
}

impl<'py> FromPyObject<'_, 'py> for FrOne {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.cast::<PyUntypedArray>().is_ok() {
            let FrVec(values) = object.extract()?;
            return match values[..] {
                [value] => Ok(FrOne(value)),
                _ => Err(PyValueError::new_err(format!(
                    "expected one field element, got {}",
                    values.len()
                ))),
            };
        }
        let value: SignedInt = object
            .extract()
            .map_err(|_| PyTypeError::new_err("expected a numpy uint64 array of shape (1, 4), or an int"))?;
        let (Sign::NoSign | Sign::Plus, magnitude) = value.into_parts() else {
            return Err(PyValueError::new_err("a field element is not negative"));
        };
        uint_to_fr(&magnitude)
            .map(FrOne)
            .ok_or_else(|| PyValueError::new_err("the int is not below the modulus"))
    }
}

impl<'py> FromPyObject<'_, 'py> for FrInt {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(small) = object.extract::<i64>() {
            return Ok(FrInt(Fr::from(small)));
        }
        let value: SignedInt = object
            .extract()
            .map_err(|_| PyTypeError::new_err("expected a list of int"))?;
        let (sign, magnitude) = value.into_parts();
        let reduced =
            uint_to_fr(&(magnitude % modulus())).ok_or_else(|| PyValueError::new_err("the int cannot be reduced"))?;
        Ok(FrInt(if sign == Sign::Minus { -reduced } else { reduced }))
    }
}

/// r, the order of the group and the characteristic of the field.
pub fn modulus() -> BigUint {
    Fr::MODULUS.into()
}

/// The element of a canonical integer; `None` when it is not below r.
pub fn uint_to_fr(value: &BigUint) -> Option<Fr> {
    let digits = value.to_u64_digits();
    let mut limbs = [0u64; 4];
    limbs.get_mut(..digits.len())?.copy_from_slice(&digits);
    Fr::from_bigint(BigInt(limbs))
}

/// The canonical integer of an element.
pub fn fr_to_uint(value: &Fr) -> BigUint {
    value.into_bigint().into()
}

/// Reads 32 big-endian bytes as limbs, least significant first.
pub fn limbs_from_be(word: &[u8; 32]) -> BigInt<4> {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().rev().zip(word.chunks_exact(8)) {
        let mut buffer = [0u8; 8];
        buffer.copy_from_slice(bytes);
        *limb = u64::from_be_bytes(buffer);
    }
    BigInt(limbs)
}

/// Writes limbs, least significant first, as 32 big-endian bytes.
pub fn limbs_to_be(limbs: &BigInt<4>) -> [u8; 32] {
    let mut word = [0u8; 32];
    for (bytes, limb) in word.chunks_exact_mut(8).zip(limbs.0.iter().rev()) {
        bytes.copy_from_slice(&limb.to_be_bytes());
    }
    word
}

/// The element of a canonical 32-byte word.
pub fn fr_from_be(word: &[u8; 32]) -> Option<Fr> {
    Fr::from_bigint(limbs_from_be(word))
}

/// The canonical 32-byte word of an element.
pub fn fr_to_be(value: &Fr) -> [u8; 32] {
    limbs_to_be(&value.into_bigint())
}

/// The elements of consecutive canonical words.
pub fn frs_from_be(bytes: &[u8]) -> Result<Vec<Fr>> {
    let (words, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(bad(format!(
            "field elements take 32 bytes each, got {} bytes",
            bytes.len()
        )));
    }
    words
        .iter()
        .enumerate()
        .map(|(i, word)| fr_from_be(word).ok_or_else(|| bad(format!("word {i} is not below the modulus"))))
        .collect()
}
