//! The Python classes: thin faces of `kzg`, `r1cs` and `groth16`.

use std::borrow::Cow;
use std::io::{self, Read};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyIterator};
use zeroize::Zeroizing;

use crate::error::run;
use crate::field::{FrOne, FrVec};
use crate::groth16::{self, proof_decode, proof_encode, Key, VerifyingKey};
use crate::kzg::Powers;
use crate::points::{g1_decode, g1_encode, g2_decode, g2_encode};
use crate::r1cs::{Shape, System};
use crate::random;
use crate::sparse::Rows;
use crate::vectors::{I32Vec, I64Vec};

type Bytes = Cow<'static, [u8]>;

/// The content of a file: `bytes` as they are, or a copy of any other buffer, such as a mapped file or a part of one.
///
/// A copy, because who else holds such a buffer could change it, or cut its file, while it is read.
enum Content {
    Bytes(PyBackedBytes),
    Copy(Vec<u8>),
}

impl<'py> FromPyObject<'_, 'py> for Content {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.extract::<PyBackedBytes>() {
            return Ok(Self::Bytes(bytes));
        }
        let buffer = PyBuffer::<u8>::get(&object)
            .map_err(|_| PyTypeError::new_err("expected bytes, or another buffer of bytes"))?;
        buffer.to_vec(object.py()).map(Self::Copy)
    }
}

impl std::ops::Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Copy(copy) => copy,
        }
    }
}

/// The `bytes` of an iterator, one after another. Each is taken under the interpreter lock and read without it.
struct Chunks {
    iterator: Py<PyIterator>,
    current: Option<PyBackedBytes>,
    read: usize,
    /// What the iterator raised.
    raised: Option<PyErr>,
}

impl Chunks {
    fn of(iterable: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            iterator: iterable.try_iter()?.unbind(),
            current: None,
            read: 0,
            raised: None,
        })
    }

    fn next(&self) -> PyResult<Option<PyBackedBytes>> {
        Python::attach(|py| {
            let next = self.iterator.bind(py).clone().next();
            next.map(|chunk| Ok(chunk?.extract()?)).transpose()
        })
    }
}

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.current.as_deref().map_or(&[][..], |chunk| &chunk[self.read..]);
            if !rest.is_empty() || out.is_empty() {
                let taken = rest.len().min(out.len());
                out[..taken].copy_from_slice(&rest[..taken]);
                self.read += taken;
                return Ok(taken);
            }
            self.read = 0;
            match self.next() {
                Ok(Some(chunk)) => self.current = Some(chunk),
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.raised = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
    }
}

/// Powers of tau for KZG.
#[pyclass(frozen, module = "fedproof._core")]
pub struct Srs(pub Powers);

#[pymethods]
impl Srs {
    /// Powers by one dealer: for development and tests.
    #[staticmethod]
    #[pyo3(signature = (size, g2_powers, seed=None))]
    fn generate(py: Python<'_>, size: usize, g2_powers: Vec<usize>, seed: Option<PyBackedBytes>) -> PyResult<Self> {
        run(py, || {
            Powers::generate(size, &g2_powers, &mut random::rng_for(b"powers", seed.as_deref())?).map(Srs)
        })
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    #[pyo3(signature = (coeffs, offset=0))]
    fn commit(&self, py: Python<'_>, coeffs: FrVec, offset: usize) -> PyResult<Bytes> {
        run(py, || Ok(g1_encode(&self.0.commit(&coeffs.0, offset)?).to_vec().into()))
    }

    fn open(&self, py: Python<'_>, coeffs: FrVec, x: FrOne) -> PyResult<(FrVec, Bytes)> {
        run(py, || {
            let (value, quotient) = self.0.open(&coeffs.0, x.0)?;
            Ok((FrVec(vec![value]), g1_encode(&quotient).to_vec().into()))
        })
    }

    fn g2_power(&self, py: Python<'_>, k: usize) -> PyResult<Bytes> {
        run(py, || Ok(g2_encode(&self.0.g2_power(k)?).to_vec().into()))
    }

    fn to_bytes(&self, py: Python<'_>) -> PyResult<Bytes> {
        run(py, || self.0.to_bytes().map(Cow::Owned))
    }

    #[staticmethod]
    #[pyo3(signature = (data, check=true))]
    fn from_bytes(py: Python<'_>, data: Content, check: bool) -> PyResult<Self> {
        run(py, || Powers::from_bytes(&data, check).map(Srs))
    }
}

type Matrix = (I64Vec, I64Vec, I32Vec);

/// A constraint system over the wires `[1 | x | c | private]`.
#[pyclass(frozen, module = "fedproof._core")]
pub struct R1cs(pub System);

#[pymethods]
impl R1cs {
    #[new]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        num_public: usize,
        num_committed: usize,
        num_wires: usize,
        pool: FrVec,
        a: Matrix,
        b: Matrix,
        c: Matrix,
    ) -> PyResult<Self> {
        run(py, || {
            let shape = Shape::new(num_public, num_committed, num_wires)?;
            let rows = |name, (indptr, cols, ids): &Matrix| {
                Rows::new(name, &indptr.0, &cols.0, &ids.0, num_wires, pool.0.len())
            };
            System::new(shape, &pool.0, [rows("a", &a)?, rows("b", &b)?, rows("c", &c)?]).map(R1cs)
        })
    }

    #[getter]
    fn num_public(&self) -> usize {
        self.0.shape.public
    }

    #[getter]
    fn num_committed(&self) -> usize {
        self.0.shape.committed
    }

    #[getter]
    fn num_wires(&self) -> usize {
        self.0.shape.wires
    }

    #[getter]
    fn num_constraints(&self) -> usize {
        self.0.constraints()
    }

    #[getter]
    fn domain_size(&self) -> usize {
        self.0.domain_size()
    }

    fn first_unsatisfied(&self, py: Python<'_>, z: FrVec) -> PyResult<Option<usize>> {
        run(py, || self.0.first_unsatisfied(&z.0))
    }

    fn digest(&self) -> Bytes {
        Cow::Owned(self.0.digest.to_vec())
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.to_bytes())
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<Self> {
        run(py, || System::from_bytes(&data).map(R1cs))
    }
}

/// One dealer of keys for several circuits: for development and tests.
#[pyclass(frozen, module = "fedproof._core")]
pub struct Dealer(groth16::Dealer);

#[pymethods]
impl Dealer {
    #[new]
    #[pyo3(signature = (seed=None))]
    fn new(seed: Option<PyBackedBytes>) -> PyResult<Self> {
        Ok(Self(groth16::Dealer::random(&mut random::rng_for(
            b"dealer",
            seed.as_deref(),
        )?)))
    }
}

/// A Groth16 key with a committed segment.
#[pyclass(frozen, module = "fedproof._core")]
pub struct ProvingKey(pub Key);

#[pymethods]
impl ProvingKey {
    /// A key by one dealer, by default one of its own: for development and tests.
    #[staticmethod]
    #[pyo3(signature = (r1cs, seed=None, dealer=None))]
    fn setup(
        py: Python<'_>,
        r1cs: &R1cs,
        seed: Option<PyBackedBytes>,
        dealer: Option<PyRef<'_, Dealer>>,
    ) -> PyResult<Self> {
        let dealer = dealer.as_deref();
        run(py, || {
            // delta and eta are of one circuit alone, whatever else a seed is used for
            let mut rng = random::rng_for(&[&b"key"[..], &r1cs.0.digest].concat(), seed.as_deref())?;
            match dealer {
                Some(dealer) => Key::setup(&r1cs.0, &dealer.0, &mut rng),
                None => Key::setup(&r1cs.0, &groth16::Dealer::random(&mut rng), &mut rng),
            }
            .map(ProvingKey)
        })
    }

    #[getter]
    fn circuit_digest(&self) -> Bytes {
        Cow::Owned(self.0.circuit.to_vec())
    }

    /// Made by many, and not by one dealer.
    #[getter]
    fn by_many(&self) -> bool {
        self.0.by_many
    }

    fn commit(&self, py: Python<'_>, c_values: FrVec) -> PyResult<Bytes> {
        run(py, || Ok(g1_encode(&self.0.commit(&c_values.0)?).to_vec().into()))
    }

    #[pyo3(signature = (r1cs, z, seed=None))]
    fn prove(&self, py: Python<'_>, r1cs: &R1cs, z: FrVec, seed: Option<PyBackedBytes>) -> PyResult<Bytes> {
        let z = Zeroizing::new(z.0); // the caller's array stays as it is
        run(py, || {
            let proof = self
                .0
                .prove(&r1cs.0, &z, &mut random::rng_for(b"proof", seed.as_deref())?)?;
            Ok(proof_encode(&proof).into())
        })
    }

    fn verifying_key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let vk = self.0.verifying_key();
        let dict = PyDict::new(py);
        dict.set_item("alpha_g1", PyBytes::new(py, &g1_encode(&vk.alpha_g1)))?;
        dict.set_item("beta_g2", PyBytes::new(py, &g2_encode(&vk.beta_g2)))?;
        dict.set_item("delta_g2", PyBytes::new(py, &g2_encode(&vk.delta_g2)))?;
        dict.set_item("eta_g2", vk.eta_g2.map(|eta| PyBytes::new(py, &g2_encode(&eta))))?;
        dict.set_item(
            "ic",
            vk.ic
                .iter()
                .map(|point| PyBytes::new(py, &g1_encode(point)))
                .collect::<Vec<_>>(),
        )?;
        Ok(dict)
    }

    fn to_bytes(&self, py: Python<'_>) -> PyResult<Bytes> {
        run(py, || self.0.to_bytes().map(Cow::Owned))
    }

    #[staticmethod]
    #[pyo3(signature = (data, check=false))]
    fn from_bytes(py: Python<'_>, data: Content, check: bool) -> PyResult<Self> {
        run(py, || Key::from_bytes(&data, check).map(ProvingKey))
    }

    #[staticmethod]
    #[pyo3(signature = (chunks, size, check=false))]
    fn from_chunks(py: Python<'_>, chunks: &Bound<'_, PyAny>, size: usize, check: bool) -> PyResult<Self> {
        let mut chunks = Chunks::of(chunks)?;
        let found = run(py, || Key::read(&mut chunks, size, check).map(ProvingKey));
        match chunks.raised {
            Some(error) => Err(error),
            None => found,
        }
    }
}

/// Whether the proof (and D, for a key with a committed segment) is valid for the public inputs.
#[pyfunction]
#[pyo3(signature = (vk, public, proof, d))]
pub fn groth16_verify(
    py: Python<'_>,
    vk: &Bound<'_, PyDict>,
    public: FrVec,
    proof: PyBackedBytes,
    d: Option<PyBackedBytes>,
) -> PyResult<bool> {
    let field = |name: &str| {
        vk.get_item(name)?
            .ok_or_else(|| PyValueError::new_err(format!("the verifying key lacks {name:?}")))
    };
    let point = |name: &str| field(name)?.extract::<PyBackedBytes>().map_err(PyErr::from);
    let (alpha_g1, beta_g2, delta_g2) = (point("alpha_g1")?, point("beta_g2")?, point("delta_g2")?);
    let eta_g2: Option<PyBackedBytes> = field("eta_g2")?.extract()?;
    let ic: Vec<PyBackedBytes> = field("ic")?.extract()?;
    run(py, || {
        let vk = VerifyingKey {
            alpha_g1: g1_decode(&alpha_g1)?,
            beta_g2: g2_decode(&beta_g2)?,
            delta_g2: g2_decode(&delta_g2)?,
            eta_g2: eta_g2.map(|eta| g2_decode(&eta)).transpose()?,
            ic: ic.iter().map(|point| g1_decode(point)).collect::<Result<_, _>>()?,
        };
        vk.verify(&public.0, &proof_decode(&proof)?, d.map(|d| g1_decode(&d)).transpose()?)
    })
}
