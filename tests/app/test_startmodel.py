"""Models from elsewhere as a task's start: what is taken, near what, and the one line for everything else."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fedproof.app.startmodel import MOVED_BY, Start, first_model
from fedproof.app.taskmodel import RoundModel
from fedproof.app.telling import Silent
from fedproof.data import Schema, Table
from fedproof.errors import InputError
from fedproof.interop import ServedModel, Standardisation, write_onnx
from fedproof.interop.inputs import unnamed
from fedproof.learning.architecture import Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.fixed import Int
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.predicting import Predictor
from tests.interop.graphs import GEMM1, GEMM2, RELU, SOFTMAX, blob, node
from tests.learning.scenes import KINDS, make_plan

FEATURES = ("one", "two", "three")
MLP = Model.perceptron(3, [4], 2)


def public(shift: float = 0.0, regression: bool = False) -> Table:
    draw = np.random.default_rng(3)
    x = np.round(draw.normal(size=(40, 3)) * (1, 20, 300) + (0, 50 + shift, 7), 3)
    z = (x - (0, 50, 7)) / (1, 20, 300) @ (1, -1, 0.5)
    if regression:
        return Table("rows", x, FEATURES, 12 * z + 70 + shift, (), "cost")
    return Table("rows", x, FEATURES, (z > 0).astype(np.int64), ("no", "yes"))


def setting(model: Model, shift: float = 0.0) -> tuple[TrainingPlan, Schema, Table]:
    table = public(shift, model.loss == "squared error")
    schema = Schema.from_public(table, 64)
    return choose_precision(model, schema.quantise(table.features), 64), schema, table


def written(folder: Path, content: bytes | object, name: str = "start") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def distance(plan: TrainingPlan, one: GlobalModel, other: tuple[Int, ...]) -> float:
    layers = zip(one.layers, other, plan.weight_scales(), strict=True)
    return max(float(np.abs(a - b).max()) / scale for a, b, scale in layers)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_chain_is_where_a_task_starts_but_for_a_fresh_draw(kind: str, tmp_path: Path) -> None:
    plan = make_plan(KINDS[kind])
    weights = plan.start(9)
    start = Start.read(written(tmp_path, write_onnx(ServedModel(plan, weights), double=True)))
    first, again, other = (start.first(plan, None, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)
    assert first.fits(plan)
    assert 0 < distance(plan, first, weights) <= 1 / MOVED_BY
    assert not np.array_equal(first.weights, plan.model.flatten(weights))


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("model", [Model.logistic(3), MLP, Model.linear(3)], ids=lambda model: model.kind)
def test_a_file_that_standardises_is_rewritten_for_the_schema(model: Model, double: bool, tmp_path: Path) -> None:
    """The export of one task, with its schema, as the start of a task with another."""
    (plan, schema, _), (theirs, other, table) = setting(model), setting(model, shift=13)
    weights, target = plan.start(4), (schema.target.centre, schema.target.scale) if schema.target else (0.0, 1.0)
    served = ServedModel(plan, weights, Standardisation.of(schema), schema.classes, target)
    first = Start.read(written(tmp_path, write_onnx(served, double))).first(theirs, other, 1)
    here = Predictor.exact(plan, weights).floating().decision(schema.standardise(table.features))
    there = Predictor.exact(theirs, first.layers).floating().decision(other.standardise(table.features))
    if schema.target and other.target:
        here = target[0] + target[1] * here
        there = other.target.centre + other.target.scale * there
    spread = target[1] if schema.target else 1.0
    assert np.abs(here - there).max() < 0.02 * spread


def test_what_task_model_wrote_is_a_start(tmp_path: Path) -> None:
    plan, schema, _ = setting(MLP)
    model = GlobalModel.start(plan, 5)
    document = RoundModel(3, 2, model, bytes(64), "ab").to_json(schema, "cd")
    first = Start.read(written(tmp_path, document)).first(plan, schema, 1)
    assert distance(plan, first, model.layers) <= 1 / MOVED_BY + 1e-9
    shorter = {name: document[name][:-1] for name in ("features", "centre", "scale")}
    for change, said in (
        (shorter, "names 2 features, and its model reads 3"),
        ({"target": {"centre": 10**400, "scale": 1.0}}, "neither a layer list nor a model"),
    ):
        with pytest.raises(InputError, match=said):
            Start.read(written(tmp_path, {**document, **change}))


def test_a_layer_list_is_a_start_whose_loss_is_the_plan_s_where_it_has_none(tmp_path: Path) -> None:
    plan, schema, _ = setting(Model.perceptron(3, [2], 1))
    layers: list[Any] = [
        ["Linear", 3, 2, [[1, 2, 3], [4, 5, 6]], [7, 8]], "ReLU", ["Linear", 2, 1, [[9, 10]], [11]],
    ]  # fmt: skip
    start = Start.read(written(tmp_path, layers))
    first = start.first(plan, schema, 1)
    assert np.allclose(first.real()[0], [[1, 4], [2, 5], [3, 6], [7, 8]], rtol=0, atol=0.0011)
    assert np.allclose(first.real()[1], [[9], [10], [11]], rtol=0, atol=0.0011)
    assert start.asked() == "mlp:2"


def test_weights_that_read_raw_features_are_rewritten(tmp_path: Path) -> None:
    plan, schema, table = setting(Model.logistic(3))
    layers = [["Linear", 3, 1, [[0.5, -0.02, 0.001]], [0.75]], "Sigmoid"]
    first = Start.read(written(tmp_path, layers), raw=True).first(plan, schema, 1)
    wanted = table.features @ (0.5, -0.02, 0.001) + 0.75
    found = Predictor.exact(plan, first.layers).floating().decision(schema.standardise(table.features))[:, 0]
    assert np.abs(wanted - found).max() < 0.02


@pytest.mark.parametrize(
    ("model", "asked"),
    [(Model.logistic(3), "logistic"), (Model.softmax(3, 4), "softmax"), (Model.perceptron(3, [5, 6], 1), "mlp:5,6")],
)
def test_a_file_says_which_model_to_ask_for(model: Model, asked: str, tmp_path: Path) -> None:
    plan = choose_precision(model, np.full((1, 3), 300), 64)
    assert Start.read(written(tmp_path, write_onnx(ServedModel(plan, plan.start(1))))).asked() == asked


def linear(inputs: int, outputs: int, value: float = 0.5) -> list[Any]:
    return ["Linear", inputs, outputs, [[value] * inputs] * outputs, [0.0] * outputs]


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, weights=np.zeros(3))
    return file.getvalue()


REFUSED: dict[str, tuple[Any, str]] = {
    "another architecture": (
        [linear(3, 1), "Sigmoid"],
        "a logistic regression 3-1 on .*, and this federation trains a multi-layer perceptron 3-4-2",
    ),
    "other widths": (
        [linear(3, 5), "ReLU", linear(5, 2), "Softmax"],
        "perceptron 3-5-2 on the loss .* 3-4-2",
    ),
    "other features": ([linear(2, 4), "ReLU", linear(4, 2), "Softmax"], "a multi-layer perceptron 2-4-2"),
    "another loss": (
        [linear(3, 4), "ReLU", linear(4, 1), "Sigmoid"],
        "perceptron 3-4-1 on the loss 'logistic', and",
    ),
    "no relu": ([linear(3, 4), linear(4, 2), "Softmax"], "comes after layer 1 .*, where a relu layer is needed"),
    "an unknown layer": ([linear(3, 4), "Tanh", linear(4, 2)], "'Tanh'.* is outside the family of proven training"),
    "no weights": ([["Linear", 3, 4], "ReLU", ["Linear", 4, 2], "Softmax"], "layers without weights"),
    "out of range": ([linear(3, 4, 1e12), "ReLU", linear(4, 2), "Softmax"], "layer 1: a weight beyond"),
    "no number": ([linear(3, 4, float("nan")), "ReLU", linear(4, 2), "Softmax"], "NaN or infinite"),
    "an unknown operator": (blob([GEMM1, node("Tanh", "h", "r"), GEMM2, SOFTMAX], "p"), "outside the family"),
    "no relu in a graph": (blob([GEMM1, node("Gemm", "h w2 b2", "z"), SOFTMAX], "p"), "a relu layer is needed"),
    "a number beyond all": (
        json.dumps([linear(3, 4), "ReLU", linear(4, 2), "Softmax"]).replace("0.5", "1" + "0" * 400, 1).encode(),
        "not numbers",
    ),
    "another JSON": ({"weights": [1]}, "neither a layer list nor a model"),
    "bad JSON": (b"[1, ", "not JSON"),
    "deep JSON": (b"[" * 100_000, "not JSON"),
    "garbage": (b"garbage", "no ONNX file, layer list in JSON or model that"),
    "arrays": (arrays(), "a zip archive, as .npz and PyTorch files are, and no ONNX file"),
    "a graph cut off": (blob([GEMM1, RELU, GEMM2, SOFTMAX], "p")[:-1], ": ONNX file: "),
    "empty": (b"", "no ONNX file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_task_can_start_from_is_one_line_with_the_file_s_name(case: str, tmp_path: Path) -> None:
    content, said = REFUSED[case]
    plan, schema, _ = setting(MLP)
    path = written(tmp_path, content, "model.onnx")
    with pytest.raises(InputError, match=said) as raised:
        Start.read(path).first(plan, schema, 1)
    assert "model.onnx: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_graph_of_the_family_is_taken(tmp_path: Path) -> None:
    plan, schema, table = setting(MLP)
    start = Start.read(written(tmp_path, blob([GEMM1, RELU, GEMM2, SOFTMAX], "p")))
    assert first_model(start, plan, schema, table, 1, Silent()).fits(plan)


def test_files_that_cannot_be_read_and_readings_that_contradict_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"--start .* cannot be read"):
            Start.read(path)
    plan, schema, _ = setting(MLP)
    served = ServedModel(plan, plan.start(1), Standardisation.of(schema), schema.classes)
    with pytest.raises(InputError, match="leave --raw-start out"):
        Start.read(written(tmp_path, write_onnx(served)), raw=True)
    nameless = ServedModel(
        plan, plan.start(1), Standardisation(unnamed(3), schema.centre, schema.scale), schema.classes
    )
    assert Start.read(written(tmp_path, write_onnx(nameless))).first(plan, schema, 1).fits(plan)
    named = Standardisation(("one", "2", "three"), schema.centre, schema.scale)
    other = ServedModel(plan, plan.start(1), named, schema.classes)
    with pytest.raises(InputError, match="it reads the feature '2' where the schema has 'two'"):
        Start.read(written(tmp_path, write_onnx(other))).first(plan, schema, 1)


def test_a_start_from_which_public_rows_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    plan, schema, table = setting(Model.linear(3))
    start = Start.read(written(tmp_path, [linear(3, 1, 1e5)]))
    with pytest.raises(InputError, match="the public rows cannot be trained on from it"):
        first_model(start, plan, schema, table, 1, Silent())


def test_weights_that_a_schema_takes_out_of_range_or_into_it(tmp_path: Path) -> None:
    plan, schema, _ = setting(Model.logistic(3))
    tiny = Schema("rows", FEATURES, (0.0, 0.0, 0.0), (1e-9, 1e-9, 1e-9), ("no", "yes"), 64)
    start = Start.read(written(tmp_path, [linear(3, 1, 1e9), "Sigmoid"]), raw=True)
    start.check(plan)
    assert start.first(plan, tiny, 1).fits(plan)
    with pytest.raises(InputError, match="a weight beyond"):
        start.first(plan, schema, 1)
    with pytest.raises(InputError, match="a weight beyond"):
        Start.read(written(tmp_path, [linear(3, 1, 1e9), "Sigmoid"])).check(plan)
    document = RoundModel(3, 2, GlobalModel.start(plan, 5), bytes(64), "ab").to_json(schema, "cd")
    for centre, scale in ((1e300, 1e-300), (-1e12, 1e-12), (0.0, 5e-324)):
        document |= {"centre": [centre, -centre, centre], "scale": [scale] * 3}
        with pytest.raises(InputError, match=r"a weight beyond|finite"):
            Start.read(written(tmp_path, document)).first(plan, schema, 1)


def test_a_file_that_only_says_to_be_of_fedproof_is_refused(tmp_path: Path) -> None:
    """Its names and metadata would be taken, and its graph computes something else."""
    plan, schema, _ = setting(MLP)
    served = ServedModel(plan, plan.start(1), Standardisation.of(schema), schema.classes)
    for change in ("operator", "plan", "missing", "shape"):
        model = onnx.load_from_string(write_onnx(served))
        if change == "operator":
            next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sigmoid"
        elif change == "plan":
            next(each for each in model.metadata_props if each.key == "fedproof.plan").value = "{}"
        elif change == "missing":
            del model.graph.initializer[0]
        else:
            model.graph.initializer[0].dims[0] = 2**40
        with pytest.raises(InputError, match=r"ONNX file: it says that fedproof wrote it|ONNX file: "):
            Start.read(written(tmp_path, model.SerializeToString()))
