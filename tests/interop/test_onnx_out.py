"""Exported files: what a runtime predicts from them, against our predictions."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from fedproof.data import Schema
from fedproof.errors import InputError
from fedproof.interop import Origin, ServedModel, Standardisation, check_onnx, read_onnx, write_onnx
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.predicting import Predictor
from tests.learning.scenes import KINDS, make_trace


def scene(name: str, raw: bool = True) -> tuple[ServedModel, Float]:
    """A trained model and 400 rows, some of which are clipped."""
    trace = make_trace(name, epochs=2)
    model = trace.plan.model
    f = model.widths[0]
    inputs = Standardisation(
        tuple(f"feature {j}" for j in range(f)),
        tuple(37.5 * j - 20 for j in range(f)),
        tuple(0.3 + j for j in range(f)),
    )
    ready = np.random.default_rng(8).normal(0, 3, (400, f))
    classes = () if model.loss == SQUARED else tuple("abcdef"[: max(model.outputs, 2)])
    served = ServedModel(trace.plan, trace.end, inputs if raw else None, classes, target=(5.0, 2.5))
    if not raw:
        return served, np.clip(ready, -8, 2047 / 256)
    return served, np.array(inputs.centre) + ready * np.array(inputs.scale)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_a_runtime_predicts_what_we_predict(name: str, raw: bool, double: bool) -> None:
    served, features = scene(name, raw)
    error = check_onnx(write_onnx(served, double), served, features)
    assert error.real <= (1e-12 if double else 1e-5)
    assert error.exact <= error.bound


@pytest.mark.parametrize("name", KINDS)
def test_all_outputs_are_there_in_raw_units(name: str) -> None:
    served, features = scene(name)
    assert served.inputs is not None
    session = onnxruntime.InferenceSession(write_onnx(served, double=True), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"features": features}), strict=True))
    plain = served.predictor.floating()
    ready = served.inputs.standardise(features)
    if served.plan.model.loss == SQUARED:
        assert np.allclose(found["value"], 5 + 2.5 * plain.decision(ready), rtol=0, atol=1e-11)
        return
    assert np.array_equal(found["class"], plain.predict(ready))
    assert np.allclose(found["probability"], plain.predict_proba(ready), rtol=0, atol=1e-12)
    assert np.allclose(found["decision"], plain.decision(ready), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", KINDS)
def test_a_plain_chain_comes_back_with_every_integer(name: str) -> None:
    served, _ = scene(name, raw=False)
    found = read_onnx(write_onnx(served, double=True))
    assert found.model == served.plan.model
    for ours, back in zip(served.weights, found.start(served.plan), strict=True):
        assert np.array_equal(ours, back)


@pytest.mark.parametrize("name", ["logistic", "softmax"])
def test_standardisation_in_the_file_is_that_of_the_schema(name: str) -> None:
    served, features = scene(name)
    assert served.inputs is not None
    schema = Schema("s", served.inputs.names, served.inputs.centre, served.inputs.scale, ("a", "b"), 64)
    assert Standardisation.of(schema) == served.inputs
    assert np.array_equal(schema.standardise(features), served.inputs.standardise(features))
    assert schema.count_clipped(features) == served.inputs.clipped(features) > 0


def test_the_file_says_what_it_is_and_where_it_comes_from() -> None:
    served, _ = scene("perceptron of classes")
    blob = write_onnx(replace(served, origin=Origin("proven", "7", b"\x01" * 64)))
    model = onnx.load_from_string(blob)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["fedproof.plan_digest"] == served.plan.digest().hex()
    assert said["fedproof.plan"].encode() == served.plan.encode()
    assert (said["fedproof.training"], said["fedproof.task"]) == ("proven", "7")
    assert said["fedproof.model_commitment"] == "01" * 64
    assert json.loads(said["fedproof.features"]) == [f"feature {j}" for j in range(4)]
    assert json.loads(said["fedproof.classes"]) == ["a", "b", "c"]
    assert [entry.version for entry in model.opset_import] == [17]
    assert blob == write_onnx(replace(served, origin=Origin("proven", "7", b"\x01" * 64)))


def test_no_file_calls_itself_proven_by_default_or_without_a_commitment() -> None:
    served, _ = scene("logistic")
    said = {entry.key: entry.value for entry in onnx.load_from_string(write_onnx(served)).metadata_props}
    assert said["fedproof.training"] == "unknown"
    for origin in ({"training": "proven"}, {"training": "proven", "task": "7"}, {"training": "surely"}):
        with pytest.raises(InputError, match="origin"):
            Origin(**origin)


def test_a_file_of_another_model_is_noticed() -> None:
    served, features = scene("softmax")
    other = ServedModel(served.plan, tuple(-matrix for matrix in served.weights), served.inputs)
    with pytest.raises(InputError, match="rounding explains"):
        check_onnx(write_onnx(other), served, features)
    with pytest.raises(InputError, match="'value' from 'features'"):
        check_onnx(write_onnx(other), *scene("linear"))


def test_features_that_float32_cannot_hold_ask_for_float64() -> None:
    served, _ = scene("logistic")
    inputs = Standardisation(("a", "b", "c", "d"), (0.0, 1e6, 0.0, 0.0), (1.0, 0.5, 1.0, 1.0))
    far = replace(served, inputs=inputs)
    with pytest.raises(InputError, match="feature 'b': float32 is too coarse"):
        write_onnx(far)
    features = np.random.default_rng(1).normal(inputs.centre, inputs.scale, (50, 4))
    assert check_onnx(write_onnx(far, double=True), far, features).real <= 1e-9


def test_a_bounded_task_makes_no_file_that_could_say_proven() -> None:
    served, _ = scene(next(iter(KINDS)))
    plan: Any = BoundedPlan.choose(served.plan.rows, served.plan.columns, served.plan.model, 1.0)
    with pytest.raises(InputError, match="only a plan of training is exported; that of bounded updates proves no"):
        ServedModel(plan, served.weights, origin=Origin("proven", "7", bytes(64)))


def test_parts_that_do_not_belong_together_are_refused() -> None:
    served, _ = scene("softmax")
    with pytest.raises(InputError, match="2 class names for 4 classes"):
        replace(served, classes=("a", "b"))
    with pytest.raises(InputError, match="1 features, but the model reads 3"):
        replace(served, inputs=Standardisation(("a",), (0.0,), (1.0,)))
    with pytest.raises(InputError, match="target"):
        replace(served, target=(0.0, 0.0))
    for wrong in (((), (), ()), (("a",), (np.nan,), (1.0,)), (("a",), (0.0,), (0.0,)), (("a",), (0.0, 1.0), (1.0,))):
        with pytest.raises(InputError, match="standardisation"):
            Standardisation(*wrong)


def test_the_losses_are_those_that_the_heads_stand_for() -> None:
    for name, loss in (("logistic", LOG), ("deep perceptron", CROSS_ENTROPY), ("linear", SQUARED)):
        assert read_onnx(write_onnx(scene(name, raw=False)[0])).model.loss == loss


def test_nothing_optional_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, fedproof.interop as i; i.from_layers([('Linear', 2, 1)]);"
        "print(sorted({'onnx', 'onnxruntime', 'sklearn', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"onnx is not installed: pip install 'fedproof\[onnx\]'"):
        write_onnx(scene("logistic")[0])


def test_float_predictor_reads_the_exported_weights() -> None:
    served, features = scene("perceptron of a target", raw=False)
    found = read_onnx(write_onnx(served, double=True))
    assert found.weights is not None
    ours = Predictor.real(found.model, found.weights).predict(features)
    assert np.allclose(ours, served.predictor.floating().predict(features), rtol=0, atol=1e-12)
