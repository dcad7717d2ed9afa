"""Models in and out: ONNX files, layer lists and PyTorch modules, and estimators in the manner of scikit-learn.

Importing this package imports neither onnx nor scikit-learn nor PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedproof.interop.chain import Imported
from fedproof.interop.inputs import Standardisation
from fedproof.interop.layers import from_layers
from fedproof.interop.onnx_in import read_onnx
from fedproof.interop.onnx_out import OnnxError, Origin, ServedModel, check_onnx, write_onnx
from fedproof.interop.precision import PrecisionReport, PrecisionWarning
from fedproof.interop.runner import Federation, Outcome, Part, Publicity, Runner, SimulatedRunner
from fedproof.interop.states import state_arrays, state_from, state_model, state_option

if TYPE_CHECKING:
    from fedproof.interop.estimator import FederatedClassifier, FederatedRegressor

__all__ = [
    "FederatedClassifier",
    "FederatedRegressor",
    "Federation",
    "Imported",
    "OnnxError",
    "Origin",
    "Outcome",
    "Part",
    "PrecisionReport",
    "PrecisionWarning",
    "Publicity",
    "Runner",
    "ServedModel",
    "SimulatedRunner",
    "Standardisation",
    "check_onnx",
    "from_layers",
    "read_onnx",
    "state_arrays",
    "state_from",
    "state_model",
    "state_option",
    "write_onnx",
]


def __getattr__(name: str) -> Any:
    """The estimators, which need scikit-learn, are imported when they are asked for."""
    if name not in ("FederatedClassifier", "FederatedRegressor"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fedproof.interop import estimator

    return getattr(estimator, name)
