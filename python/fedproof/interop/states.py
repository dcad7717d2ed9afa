"""A PyTorch state dict as the arrays of a bounded task, and back. PyTorch is never imported.

Floating-point entries are taken, in the order of the dict; whole numbers, as a batch normalisation's count, stay where
they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.arrays import OtherModel
from fedproof.learning.baseline import Float


def state_arrays(state: Mapping[str, Any]) -> list[Float]:
    """The floating-point entries as float64 arrays, copies of their own; a single number has shape (1,).

    Raises:
        InputError: there is none.
    """
    found = [np.atleast_1d(values.astype(np.float64)) for values in _floats(state).values()]
    if not found:
        raise InputError("the state dict has no floating-point entry, so there is nothing to train")
    return found


def state_model(state: Mapping[str, Any], labels: str = "binary") -> OtherModel:
    """The model that a task describes; `--model` takes the text of its shapes (`state_option`)."""
    return OtherModel(tuple(array.shape for array in state_arrays(state)), labels)


def state_option(state: Mapping[str, Any]) -> str:
    """What `fedproof market init --tasks ROWS COLUMNS --statement bounded --model` takes for such a model."""
    return "arrays:" + ",".join("x".join(map(str, array.shape)) for array in state_arrays(state))


def state_from(state: Mapping[str, Any], arrays: Sequence[Any]) -> dict[str, np.ndarray]:
    """The floating-point entries of a state dict with other values, in its own shapes and precisions.

    `module.load_state_dict({k: torch.from_numpy(v) for k, v in state_from(state, arrays).items()}, strict=False)`

    Raises:
        InputError: another number of arrays, or of values in one.
    """
    floats = _floats(state)
    given = [np.asarray(array) for array in arrays]
    if [values.size for values in floats.values()] != [array.size for array in given]:
        raise InputError(f"{len(given)} arrays do not belong to the {len(floats)} entries of the state dict")
    return {
        name: array.reshape(values.shape).astype(values.dtype)
        for (name, values), array in zip(floats.items(), given, strict=True)
    }


def _floats(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {name: _values(entry) for name, entry in state.items()}
    return {name: values for name, values in found.items() if np.issubdtype(values.dtype, np.floating)}


def _values(entry: Any) -> np.ndarray:
    """A tensor's values, wherever it is, or those of an array."""
    return np.asarray(entry.detach().cpu().numpy() if hasattr(entry, "detach") else entry)
