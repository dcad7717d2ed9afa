"""A PyTorch state dict as the arrays of a bounded task, and back."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof.app.training import Training
from fedproof.errors import InputError
from fedproof.interop import state_arrays, state_from, state_model, state_option
from fedproof.statements.labels import BINARY
from tests.interop.torchlike import Tensor

STATE = {
    "conv.weight": Tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)),
    "norm.weight": Tensor(np.ones(2, dtype=np.float64)),
    "norm.num_batches_tracked": Tensor(np.array(7)),
    "scale": Tensor(np.array(0.5, dtype=np.float16)),
}


def test_floating_point_entries_go_out_and_come_back() -> None:
    arrays = state_arrays(STATE)
    assert [(array.shape, array.dtype) for array in arrays] == [
        ((2, 3, 2, 2), np.float64), ((2,), np.float64), ((1,), np.float64),
    ]  # fmt: skip
    back = state_from(STATE, [array + 1 for array in arrays])
    assert {name: (values.shape, values.dtype) for name, values in back.items()} == {
        "conv.weight": ((2, 3, 2, 2), np.float32), "norm.weight": ((2,), np.float64), "scale": ((), np.float16),
    }  # fmt: skip
    assert back["scale"] == 1.5
    assert np.array_equal(back["conv.weight"].reshape(-1), np.arange(1, 25))


def test_the_option_gives_the_model(tmp_path: object) -> None:
    assert state_option(STATE) == "arrays:2x3x2x2,2,1"
    plan = Training.parse(state_option(STATE), 1, "bounded").usual_plan(64, 5, BINARY, 9)
    assert plan.model == state_model(STATE)
    plan.model.check(state_arrays(STATE))


def test_what_does_not_belong_together_is_one_line() -> None:
    for wrong in (state_arrays(STATE)[:-1], [*state_arrays(STATE)[:-1], np.zeros(2)]):
        with pytest.raises(InputError, match="do not belong to the 3 entries"):
            state_from(STATE, wrong)
    with pytest.raises(InputError, match="no floating-point entry"):
        state_arrays({"count": np.array(3)})
