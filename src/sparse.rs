//! Sparse matrices in compressed rows over a pool of distinct coefficients.

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::error::{bad, run, Result};
use crate::field::FrVec;
use crate::vectors::{I32Vec, I64Vec};

/// How a pooled coefficient acts; nearly all of a circuit's are 1 or -1, and those need no multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coefficient {
    One,
    MinusOne,
    Other(Fr),
}

impl From<Fr> for Coefficient {
    fn from(value: Fr) -> Self {
        if value.is_one() {
            Self::One
        } else if value == -Fr::one() {
            Self::MinusOne
        } else {
            Self::Other(value)
        }
    }
}

/// Compressed rows: row i holds entries `starts[i]..starts[i + 1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub starts: Vec<usize>,
    pub cols: Vec<u32>,
    pub ids: Vec<u32>,
}

impl Rows {
    /// Rows of what came from Python. `name` stands in messages.
    pub fn new(name: &str, indptr: &[i64], cols: &[i64], ids: &[i32], wires: usize, pool: usize) -> Result<Self> {
        let index = |what: &str, value: i64| {
            u32::try_from(value).map_err(|_| bad(format!("{name}: {what} {value} is out of range")))
        };
        let starts = indptr
            .iter()
            .map(|&v| index("indptr", v).map(|v| v as usize))
            .collect::<Result<_>>()?;
        let cols = cols.iter().map(|&v| index("column", v)).collect::<Result<_>>()?;
        let ids = ids
            .iter()
            .map(|&v| index("coefficient id", v.into()))
            .collect::<Result<_>>()?;
        Self { starts, cols, ids }.checked(name, wires, pool)
    }

    /// Refuses rows that reach outside `wires` columns or `pool` coefficients.
    pub fn checked(self, name: &str, wires: usize, pool: usize) -> Result<Self> {
        let entries = self.cols.len();
        if entries != self.ids.len() {
            return Err(bad(format!(
                "{name}: {entries} columns but {} coefficient ids",
                self.ids.len()
            )));
        }
        if self.starts.first() != Some(&0) || self.starts.last() != Some(&entries) || !self.starts.is_sorted() {
            return Err(bad(format!(
                "{name}: indptr must rise from 0 to the number of entries, {entries}"
            )));
        }
        if let Some(col) = self.cols.iter().find(|&&col| col as usize >= wires) {
            return Err(bad(format!("{name}: column {col} is not below {wires}")));
        }
        if let Some(id) = self.ids.iter().find(|&&id| id as usize >= pool) {
            return Err(bad(format!("{name}: coefficient id {id} is not below {pool}")));
        }
        Ok(self)
    }

    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The entries of row i as (column, coefficient id).
    pub fn row(&self, i: usize) -> impl Iterator<Item = (u32, u32)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.cols[range.clone()]
            .iter()
            .copied()
            .zip(self.ids[range].iter().copied())
    }

    /// Matrix times vector.
    pub fn apply(&self, pool: &[Coefficient], z: &[Fr]) -> Vec<Fr> {
        let row = |i| {
            self.row(i).fold(Fr::zero(), |acc, (col, id)| match pool[id as usize] {
                Coefficient::One => acc + z[col as usize],
                Coefficient::MinusOne => acc - z[col as usize],
                Coefficient::Other(value) => acc + z[col as usize] * value,
            })
        };
        (0..self.len()).into_par_iter().with_min_len(512).map(row).collect()
    }
}

/// Matrix times vector; the matrix comes as compressed rows over a pool of coefficients.
#[pyfunction]
pub fn sparse_apply(
    py: Python<'_>,
    indptr: I64Vec,
    cols: I64Vec,
    coeff_ids: I32Vec,
    pool: FrVec,
    z: FrVec,
) -> PyResult<FrVec> {
    run(py, || {
        let rows = Rows::new("matrix", &indptr.0, &cols.0, &coeff_ids.0, z.0.len(), pool.0.len())?;
        let pool: Vec<Coefficient> = pool.0.into_iter().map(Coefficient::from).collect();
        Ok(FrVec(rows.apply(&pool, &z.0)))
    })
}
