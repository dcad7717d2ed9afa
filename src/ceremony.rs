//! The Python classes of a setup of many: thin faces of `phase_one` and `phase_two`.

use std::borrow::Cow;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::classes::{ProvingKey, R1cs, Srs};
use crate::contributions::{Beacon, Transcript};
use crate::error::{bad, run, Result};
use crate::phase_one;
use crate::phase_two;
use crate::random;

type Bytes = Cow<'static, [u8]>;

/// A name, the beacon's value and the logarithm of its hashes where it was one, and the digest with this contribution.
type Contribution = (String, Option<(Bytes, u8)>, Bytes);

fn beacon(value: Option<(PyBackedBytes, u8)>) -> Result<Option<Beacon>> {
    let Some((value, log)) = value else { return Ok(None) };
    let value: &[u8] = &value;
    let value = value
        .try_into()
        .map_err(|_| bad(format!("a beacon has 32 bytes, got {}", value.len())))?;
    Ok(Some(Beacon { value, log }))
}

fn contributions(transcript: &Transcript) -> Vec<Contribution> {
    transcript
        .records
        .iter()
        .zip(&transcript.digests()[1..])
        .map(|(record, digest)| {
            let beacon = record.beacon.as_ref();
            (
                record.name.clone(),
                beacon.map(|beacon| (beacon.value.to_vec().into(), beacon.log)),
                digest.to_vec().into(),
            )
        })
        .collect()
}

/// Powers of tau by many, and whether they were verified: nobody changes them, so that once is enough.
#[pyclass(frozen, module = "fedproof._core")]
pub struct PhaseOne(phase_one::PhaseOne, OnceLock<()>);

impl PhaseOne {
    fn of(phase: phase_one::PhaseOne) -> Self {
        Self(phase, OnceLock::new())
    }

    fn verified(&self) -> Result<&phase_one::PhaseOne> {
        if self.1.get().is_none() {
            self.0.verify(&mut random::rng(None)?)?;
            let _ = self.1.set(());
        }
        Ok(&self.0)
    }
}

#[pymethods]
impl PhaseOne {
    #[staticmethod]
    fn start(py: Python<'_>, log: usize) -> PyResult<Self> {
        run(py, || phase_one::PhaseOne::start(log).map(Self::of))
    }

    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    fn digest(&self) -> Bytes {
        self.0.transcript.digest().to_vec().into()
    }

    fn contributions(&self) -> Vec<Contribution> {
        contributions(&self.0.transcript)
    }

    #[pyo3(signature = (name, beacon=None, seed=None))]
    fn contribute(
        &self,
        py: Python<'_>,
        name: String,
        beacon: Option<(PyBackedBytes, u8)>,
        seed: Option<PyBackedBytes>,
    ) -> PyResult<Self> {
        run(py, || {
            let mut rng = random::rng_for(b"phase one", seed.as_deref())?;
            self.0
                .clone()
                .contribute(&name, self::beacon(beacon)?, &mut rng)
                .map(Self::of)
        })
    }

    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        run(py, || self.verified().map(drop))
    }

    fn srs(&self, py: Python<'_>, size: usize, g2_powers: Vec<usize>) -> PyResult<Srs> {
        run(py, || self.0.powers(size, &g2_powers).map(Srs))
    }

    fn to_bytes(&self, py: Python<'_>) -> PyResult<Bytes> {
        run(py, || self.0.to_bytes().map(Cow::Owned))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<Self> {
        run(py, || phase_one::PhaseOne::from_bytes(&data, true).map(Self::of))
    }
}

/// The key of one circuit on its way through many hands.
#[pyclass(frozen, module = "fedproof._core")]
pub struct PhaseTwo(phase_two::PhaseTwo);

#[pymethods]
impl PhaseTwo {
    #[staticmethod]
    fn start(py: Python<'_>, r1cs: &R1cs, first: &PhaseOne) -> PyResult<Self> {
        run(py, || {
            first.0.transcript.check_finished("first")?;
            phase_two::PhaseTwo::start(&r1cs.0, first.verified()?).map(PhaseTwo)
        })
    }

    #[getter]
    fn circuit_digest(&self) -> Bytes {
        self.0.circuit().to_vec().into()
    }

    fn digest(&self) -> Bytes {
        self.0.transcript.digest().to_vec().into()
    }

    fn contributions(&self) -> Vec<Contribution> {
        contributions(&self.0.transcript)
    }

    #[pyo3(signature = (name, r1cs, first, beacon=None, seed=None))]
    fn contribute(
        &self,
        py: Python<'_>,
        name: String,
        r1cs: &R1cs,
        first: &PhaseOne,
        beacon: Option<(PyBackedBytes, u8)>,
        seed: Option<PyBackedBytes>,
    ) -> PyResult<Self> {
        run(py, || {
            // factors are of one circuit alone, whatever else a seed is used for
            let purpose = [&b"phase two"[..], self.0.circuit()].concat();
            let mut rng = random::rng_for(&purpose, seed.as_deref())?;
            self.0
                .clone()
                .contribute(&r1cs.0, first.verified()?, &name, self::beacon(beacon)?, &mut rng)
                .map(PhaseTwo)
        })
    }

    fn verify(&self, py: Python<'_>, r1cs: &R1cs, first: &PhaseOne) -> PyResult<()> {
        run(py, || {
            self.0.verify(&r1cs.0, first.verified()?, &mut random::rng(None)?)
        })
    }

    fn key(&self, py: Python<'_>, r1cs: &R1cs, first: &PhaseOne) -> PyResult<ProvingKey> {
        run(py, || {
            self.0
                .key(&r1cs.0, first.verified()?, &mut random::rng(None)?)
                .map(ProvingKey)
        })
    }

    fn to_bytes(&self, py: Python<'_>) -> PyResult<Bytes> {
        run(py, || self.0.to_bytes().map(Cow::Owned))
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: PyBackedBytes) -> PyResult<Self> {
        run(py, || phase_two::PhaseTwo::from_bytes(&data, true).map(PhaseTwo))
    }
}
