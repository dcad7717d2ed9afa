"""Layer lists and PyTorch modules as models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.interop import Imported, Standardisation, from_layers
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED, Model
from fedproof.learning.predicting import Predictor
from fedproof.learning.reference import predict
from tests.interop import torchlike as nn
from tests.learning.scenes import make_plan


@pytest.mark.parametrize(
    ("layers", "loss", "model"),
    [
        ([("Linear", 4, 1)], None, Model.linear(4)),
        ([("Linear", 4, 1)], LOG, Model.logistic(4)),
        ([("Linear", 4, 1), "Sigmoid"], None, Model.logistic(4)),
        ([("Linear", 4, 3)], None, Model.softmax(4, 3)),
        ([["Linear", 4, 3], "Softmax"], None, Model.softmax(4, 3)),
        ([("Linear", 31, 16), "ReLU", ("Linear", 16, 1), "Sigmoid"], None, Model.perceptron(31, [16], 1)),
        ([("Linear", 31, 16), ("ReLU",), ("Linear", 16, 1)], None, Model.perceptron(31, [16], 1, SQUARED)),
        ([nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)], CROSS_ENTROPY,
         Model.perceptron(5, [4, 3], 2)),
    ],
)  # fmt: skip
def test_a_list_of_layers_is_a_model(layers: list[Any], loss: str | None, model: Model) -> None:
    assert from_layers(layers, loss).model == model


def test_a_torch_module_brings_its_weights() -> None:
    first, second = nn.Linear(5, 4), nn.Linear(4, 3, bias=False, seed=2)
    found = from_layers(nn.Sequential(first, nn.ReLU(), second, nn.Softmax(dim=1)))
    assert found.weights is not None
    x = np.random.default_rng(4).normal(0, 1, (20, 5))
    hidden = np.maximum(x @ first.weight._values.T.astype(float) + first.bias._values, 0)  # type: ignore[union-attr]
    z = hidden @ second.weight._values.T.astype(float)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.allclose(predict(found.model, found.weights, x), p, rtol=0, atol=1e-12)


def test_weights_start_a_task_rounded_to_its_scales() -> None:
    found = from_layers([nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid()])
    plan = make_plan(found.model)
    start = found.start(plan)
    assert found.weights is not None
    for real, back, scale in zip(found.weights, plan.real(start), plan.weight_scales(), strict=True):
        assert np.abs(real - back).max() <= 0.5 / scale * (1 + 1e-6)


def test_weights_of_raw_features_are_rewritten_for_standardised_ones() -> None:
    found = from_layers([nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)])
    raw = np.random.default_rng(1).normal([10, -5, 0], [3, 0.1, 1], (50, 3))
    inputs = Standardisation.of_rows(raw, ["a", "b", "c"])
    ready = found.from_raw(inputs)
    assert found.weights is not None
    assert ready.weights is not None
    ours = Predictor.real(ready.model, ready.weights).predict(inputs.standardise(raw))
    assert np.allclose(ours, Predictor.real(found.model, found.weights).predict(raw), rtol=0, atol=1e-12)


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(), nn.Conv2d(), "LSTM", ("Conv1d", 3, 4), object(), 7])
def test_a_layer_outside_the_family_is_named_with_what_is_left_to_it(layer: Any) -> None:
    with pytest.raises(InputError) as refused:
        from_layers([("Linear", 4, 3), layer, ("Linear", 3, 1)])
    kind = layer if isinstance(layer, str) else layer[0] if isinstance(layer, tuple) else type(layer).__name__
    assert str(refused.value).startswith(f"layer 2 ({kind!r}) is outside the family of proven training")
    assert "bounded update statement" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ([], "no layers"),
        ("Linear", "is no list of layers"),
        (7, "is no list of layers"),
        (["ReLU"], "comes first, where a dense layer is needed"),
        (["Sigmoid"], "comes last"),
        ([("Linear", 4, 3), ("Linear", 3, 1)], "comes after layer 1 ('Linear'), where a relu layer is needed"),
        ([("Linear", 4, 3), "ReLU"], "comes last, where a dense layer is needed"),
        ([("Linear", 4, 3), "Softmax", ("Linear", 3, 1)], "comes after layer 1"),
        ([("Linear", 4, 3), "ReLU", ("Linear", 4, 1)], "layer 3 ('Linear') has 4 inputs, but layer 1"),
        ([("Linear", 4, 3), "Sigmoid"], "a sigmoid over 3 outputs"),
        ([("Linear", 4, 1), "Softmax"], "cross-entropy has two outputs or more"),
        ([("Linear", 4)], 'write ("Linear", inputs, outputs)'),
        ([("Linear", 4, 2.0)], "whole numbers"),
        ([("Linear", True, 2)], "whole numbers"),
        ([("Linear", 0, 2)], "whole numbers"),
        ([("Linear", 4, 10**9)], "whole numbers"),
        ([("Linear", 2, 1, [[1, "x"]])], "not numbers"),
        ([("Linear", 2, 1, [[1, 10**400]])], "not numbers"),
        ([("Linear", 2, 1, [[1, 2, 3]])], "shape (1, 3); (1, 2) is needed"),
        ([("Linear", 2, 1, [[1, np.nan]])], "NaN or infinite"),
        ([("Linear", 2, 1, None, [1.0])], "a bias and no weights"),
        ([("Linear", 2, 2, [[1, 2], [3, 4]]), "ReLU", ("Linear", 2, 1)], "some layers have weights"),
        ([("Linear", 4, 1), ("Sigmoid", 3)], "takes no arguments"),
        ([nn.Linear(4, 3), nn.Softmax(dim=0)], "another dimension"),
        ([("Linear", 2, 2), "ReLU"] * 9 + [("Linear", 2, 2)], "more than 18"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_refused_in_one_line(layers: Any, line: str) -> None:
    with pytest.raises(InputError) as refused:
        from_layers(layers)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_endless_list_of_layers_ends() -> None:
    with pytest.raises(InputError, match="more than"):
        from_layers("ReLU" for _ in iter(int, 1))


def test_a_loss_that_the_end_contradicts_is_refused() -> None:
    with pytest.raises(InputError, match="ends in a sigmoid"):
        from_layers([("Linear", 4, 1), "Sigmoid"], SQUARED)
    with pytest.raises(InputError, match="hinge"):
        from_layers([("Linear", 4, 1)], "hinge")


def test_a_start_needs_weights_of_the_same_model_that_fit() -> None:
    plan = make_plan(Model.logistic(4))
    with pytest.raises(InputError, match="only an architecture"):
        from_layers([("Linear", 4, 1), "Sigmoid"]).start(plan)
    with pytest.raises(InputError, match="another model"):
        from_layers([("Linear", 4, 1, [[1, 2, 3, 4]])]).start(plan)
    with pytest.raises(InputError, match="layer 1: a weight beyond"):
        Imported(Model.logistic(4), (np.full((5, 1), 1e30),)).start(plan)
    with pytest.raises(InputError, match="4"):
        Imported(Model.logistic(4), (np.ones((5, 1)),)).from_raw(Standardisation(("a",), (0.0,), (1.0,)))
