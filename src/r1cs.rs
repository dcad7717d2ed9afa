//! Rank-1 constraint systems over the wires `[1 | x | c | private]`, in one canonical form.

use std::collections::HashMap;

use ark_bn254::Fr;
use ark_ff::{One, Zero};
use sha3::{Digest, Keccak256};

use crate::codec::{put_count, put_u32s, Reader};
use crate::error::{bad, Result};
use crate::field::{fr_to_be, frs_from_be};
use crate::sparse::{Coefficient, Rows};

const MAGIC: &[u8] = b"fedproof/r1cs/v1";

/// The largest evaluation domain of BN254's scalar field, and the limit on wires.
const MAX_SIZE: usize = 1 << 28;

/// Each public input costs the verifier a multiplication on chain, so far fewer are in use.
const MAX_PUBLIC: usize = 1 << 16;

/// Numbers of wires of each kind. `public` does not count the wire 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub public: usize,
    pub committed: usize,
    pub wires: usize,
}

impl Shape {
    pub fn new(public: usize, committed: usize, wires: usize) -> Result<Self> {
        if public > MAX_PUBLIC {
            return Err(bad(format!(
                "{public} public inputs are above the limit of {MAX_PUBLIC}"
            )));
        }
        let instance = public.checked_add(committed).and_then(|n| n.checked_add(1));
        if wires > MAX_SIZE || instance.is_none_or(|n| n > wires) {
            return Err(bad(format!(
                "1 + {public} public + {committed} committed wires do not fit into {wires} wires"
            )));
        }
        Ok(Self {
            public,
            committed,
            wires,
        })
    }

    /// Wires `[1 | x]`.
    pub fn statement(&self) -> usize {
        1 + self.public
    }

    /// Wires `[1 | x | c]`.
    pub fn instance(&self) -> usize {
        self.statement() + self.committed
    }
}

/// A constraint system `A z * B z = C z`.
///
/// The caller's rows come first. One row `z_j * 0 = 0` for each wire of `[1 | x]` follows: see `committed.rs`.
#[derive(Debug)]
pub struct System {
    pub shape: Shape,
    pub pool: Vec<Coefficient>,
    pub matrices: [Rows; 3],
    pub digest: [u8; 32],
    encoding: Vec<u8>,
}

impl System {
    /// Brings rows into canonical form: columns rise, none twice, no zero; coefficients are numbered by first use, 1 first.
    pub fn new(shape: Shape, pool: &[Fr], matrices: [Rows; 3]) -> Result<Self> {
        let rows = matrices[0].len();
        if matrices.iter().any(|matrix| matrix.len() != rows) {
            return Err(bad("a, b and c do not have the same number of rows"));
        }
        if rows + shape.statement() > MAX_SIZE {
            return Err(bad(format!(
                "{rows} rows are above the limit of the field's evaluation domain"
            )));
        }
        let mut coefficients = Interned::default();
        coefficients.id(Fr::one());
        let mut matrices = matrices.map(|matrix| canonical(&matrix, pool, &mut coefficients));
        let encoding = encode(shape, rows, &coefficients.values, &matrices)?;
        let [a, b, c] = &mut matrices;
        for wire in 0..shape.statement() {
            a.cols.push(wire as u32);
            a.ids.push(0);
            for matrix in [&mut *a, &mut *b, &mut *c] {
                matrix.starts.push(matrix.cols.len());
            }
        }
        Ok(Self {
            shape,
            pool: coefficients.values.into_iter().map(Coefficient::from).collect(),
            matrices,
            digest: Keccak256::digest(&encoding).into(),
            encoding,
        })
    }

    pub fn constraints(&self) -> usize {
        self.matrices[0].len()
    }

    pub fn domain_size(&self) -> usize {
        self.constraints().next_power_of_two()
    }

    /// The first row that z does not satisfy. Refuses a z of another length or without its leading 1.
    pub fn first_unsatisfied(&self, z: &[Fr]) -> Result<Option<usize>> {
        let [a, b, c] = self.products(z)?;
        Ok((0..a.len()).find(|&i| a[i] * b[i] != c[i]))
    }

    /// A z, B z and C z. Refuses a z of another length or without its leading 1.
    pub fn products(&self, z: &[Fr]) -> Result<[Vec<Fr>; 3]> {
        if z.len() != self.shape.wires {
            return Err(bad(format!(
                "the circuit has {} wires, the assignment {}",
                self.shape.wires,
                z.len()
            )));
        }
        if !z[0].is_one() {
            return Err(bad("wire 0 is the constant 1, the assignment has another value"));
        }
        Ok([0, 1, 2].map(|m: usize| self.matrices[m].apply(&self.pool, z)))
    }

    /// Row i of a matrix as (coefficient, wire).
    pub fn entries(&self, matrix: usize, row: usize) -> Vec<(Fr, usize)> {
        let value = |id: u32| match self.pool[id as usize] {
            Coefficient::One => Fr::one(),
            Coefficient::MinusOne => -Fr::one(),
            Coefficient::Other(value) => value,
        };
        self.matrices[matrix]
            .row(row)
            .map(|(col, id)| (value(id), col as usize))
            .collect()
    }

    pub fn to_bytes(&self) -> &[u8] {
        &self.encoding
    }

    /// Accepts exactly what `to_bytes` writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, MAGIC, "constraint system", true)?;
        let shape = Shape::new(reader.count()?, reader.count()?, reader.count()?)?;
        let (rows, pool) = (reader.count()?, reader.count()?);
        let pool = frs_from_be(reader.items(pool, 32)?)?;
        let mut matrix = |name: &str| {
            let entries = reader.count()?;
            let starts: Vec<usize> = std::iter::once(0)
                .chain(reader.u32s(rows)?.into_iter().scan(0usize, |end, length| {
                    *end = end.checked_add(length as usize)?;
                    Some(*end)
                }))
                .collect();
            let (cols, ids) = (reader.u32s(entries)?, reader.u32s(entries)?);
            Rows { starts, cols, ids }.checked(name, shape.wires, pool.len())
        };
        let matrices = [matrix("a")?, matrix("b")?, matrix("c")?];
        reader.end()?;
        let system = Self::new(shape, &pool, matrices)?;
        if system.encoding != bytes {
            return Err(bad("the constraint system is not in canonical form"));
        }
        Ok(system)
    }
}

/// Distinct coefficients in the order of their first use.
#[derive(Default)]
struct Interned {
    values: Vec<Fr>,
    ids: HashMap<Fr, u32>,
}

impl Interned {
    fn id(&mut self, value: Fr) -> u32 {
        *self.ids.entry(value).or_insert_with(|| {
            self.values.push(value);
            (self.values.len() - 1) as u32
        })
    }
}

fn canonical(matrix: &Rows, pool: &[Fr], coefficients: &mut Interned) -> Rows {
    let mut known: Vec<Option<u32>> = vec![None; pool.len()];
    let mut result = Rows {
        starts: vec![0],
        ..Rows::default()
    };
    let mut row: Vec<(u32, u32)> = Vec::new();
    for i in 0..matrix.len() {
        row.clear();
        row.extend(matrix.row(i));
        row.sort_by_key(|entry| entry.0);
        for same in row.chunk_by(|left, right| left.0 == right.0) {
            let id = match same {
                [(_, id)] => match known[*id as usize] {
                    Some(id) => Some(id),
                    None if pool[*id as usize].is_zero() => None,
                    None => {
                        let new = coefficients.id(pool[*id as usize]);
                        known[*id as usize] = Some(new);
                        Some(new)
                    }
                },
                _ => {
                    let sum: Fr = same.iter().map(|(_, id)| pool[*id as usize]).sum();
                    (!sum.is_zero()).then(|| coefficients.id(sum))
                }
            };
            if let Some(id) = id {
                result.cols.push(same[0].0);
                result.ids.push(id);
            }
        }
        result.starts.push(result.cols.len());
    }
    result
}

/// The canonical encoding, whose keccak-256 is the circuit's digest.
fn encode(shape: Shape, rows: usize, pool: &[Fr], matrices: &[Rows; 3]) -> Result<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    for count in [shape.public, shape.committed, shape.wires, rows, pool.len()] {
        put_count(&mut out, count)?;
    }
    out.extend(pool.iter().flat_map(fr_to_be));
    for matrix in matrices {
        put_count(&mut out, matrix.cols.len())?;
        for bounds in matrix.starts.windows(2) {
            put_count(&mut out, bounds[1] - bounds[0])?;
        }
        put_u32s(&mut out, &matrix.cols);
        put_u32s(&mut out, &matrix.ids);
    }
    Ok(out)
}
