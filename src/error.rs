//! The border to Python: one error type, and one guard through which every computation runs.

use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// What a kernel can refuse. Messages name positions and lengths, never secret values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoreError {
    /// The caller's input is wrong; becomes `ValueError`.
    Value(String),
    /// A kernel failed in a way its caller cannot cause; becomes `RuntimeError`.
    Internal(String),
}

pub type Result<T> = std::result::Result<T, CoreError>;

/// Shorthand for the one error that user input can cause.
pub fn bad(message: impl Into<String>) -> CoreError {
    CoreError::Value(message.into())
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Value(message) => PyValueError::new_err(message),
            CoreError::Internal(message) => PyRuntimeError::new_err(message),
        }
    }
}

/// Runs a kernel without the interpreter lock and turns a panic into `RuntimeError`.
///
/// PyO3 would raise `PanicException`, which derives from `BaseException` and slips past `except Exception`.
pub fn run<T, F>(py: Python<'_>, kernel: F) -> PyResult<T>
where
    T: Send,
    F: FnOnce() -> Result<T> + Send,
{
    let outcome = py.detach(|| catch_unwind(AssertUnwindSafe(kernel)));
    match outcome {
        Ok(result) => result.map_err(PyErr::from),
        // The payload may quote operands, so it is not passed on.
        Err(_) => Err(CoreError::Internal("a kernel of fedproof._core failed; please report the call".into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_a_panic_into_a_runtime_error() {
        Python::initialize();
        Python::attach(|py| {
            let error = run::<(), _>(py, || panic!("secret operand")).unwrap_err();
            assert!(error.is_instance_of::<PyRuntimeError>(py));
            assert!(!error.to_string().contains("secret"));
        });
    }
}
