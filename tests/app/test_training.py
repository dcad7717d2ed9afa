"""What `--model`, `--epochs` and `--labels` mean, and the plan that follows from public data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof.app.training import Training, foreseen, model_text
from fedproof.data import Schema, Table, capacity_rows, load, split
from fedproof.errors import InputError
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.statements.labels import BINARY, TARGET, LabelKind


@pytest.mark.parametrize(
    ("text", "kind", "hidden"),
    [
        ("logistic", "logistic", ()), ("Linear", "linear", ()), (" softmax ", "softmax", ()), ("mlp", "mlp", (16, 8)),
        ("mlp:5", "mlp", (5,)), ("MLP:16, 8,4", "mlp", (16, 8, 4)),
    ],
)  # fmt: skip
def test_reads_models(text: str, kind: str, hidden: tuple[int, ...]) -> None:
    assert Training.parse(text, 3) == Training(kind, hidden, 3)


@pytest.mark.parametrize(
    "text",
    ["", "tree", "mlp:", "mlp:0", "mlp:-1", "mlp:8,", "mlp:x", "mlp:1025", "mlp:1,1,1,1,1,1,1,1,1", "softmax:3",
     "logistic:2", "linear:", "mlp:1.5", "mlp:²", "mlp:99999999999999", "\n" * 3],
)  # fmt: skip
def test_says_in_one_line_what_is_no_model(text: str) -> None:
    with pytest.raises(InputError, match="--model") as caught:
        Training.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("epochs", [0, -1, 65])
def test_says_how_many_epochs_there_are(epochs: int) -> None:
    with pytest.raises(InputError, match="--epochs"):
        Training.parse("mlp", epochs)


@pytest.mark.parametrize(
    ("text", "kind", "model"),
    [
        ("logistic", BINARY, Model.logistic(4)), ("linear", TARGET, Model.linear(4)),
        ("softmax", LabelKind.of_classes(3), Model.softmax(4, 3)), ("softmax", BINARY, Model.softmax(4, 2)),
        ("mlp:3", BINARY, Model.perceptron(4, (3,), 1)),
        ("mlp:3", LabelKind.of_classes(5), Model.perceptron(4, (3,), 5)),
        ("mlp:3,2", TARGET, Model.perceptron(4, (3, 2), 1, SQUARED)), ("logistic", TARGET, None),
        ("logistic", LabelKind.of_classes(3), None), ("linear", BINARY, None), ("softmax", TARGET, None),
    ],
)  # fmt: skip
def test_labels_decide_on_outputs_and_loss(text: str, kind: LabelKind, model: Model | None) -> None:
    training = Training.parse(text)
    if model is None:
        with pytest.raises(InputError, match="not trained on labels of kind"):
            training.architecture(4, kind)
        return
    assert training.architecture(4, kind) == model
    assert LabelKind.of(model) == kind


def test_labels_where_no_records_tell() -> None:
    assert Training.parse("logistic").labelled(None) == BINARY
    assert Training.parse("linear").labelled(None) == TARGET
    assert Training.parse("mlp").labelled("classes 4") == LabelKind.of_classes(4)
    with pytest.raises(InputError, match="--labels"):
        Training.parse("softmax").labelled(None)
    for text in ("classes 3", "goal", "classes"):
        with pytest.raises(InputError):
            Training.parse("logistic").labelled(text)


@pytest.mark.parametrize("text", ["logistic", "linear", "softmax", "mlp:4"])
def test_a_plan_fits_the_public_part_of_the_set_that_fits_the_model(text: str) -> None:
    training = Training.parse(text, 2)
    parts = split(load(training.data, labels=training.labels), 2, 1)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    plan = training.plan(schema, parts.test, rows, 7)
    assert (plan.rows, plan.columns, plan.epochs, plan.mask_count) == (rows, schema.columns, 2, 7)
    assert LabelKind.of(plan.model) == schema.label_kind
    assert TrainingPlan.decode(plan.encode()) == plan
    assert model_text(plan).endswith(", 2 epochs a round")


def test_a_plan_without_records_is_that_of_standardised_ones() -> None:
    plan = Training.parse("logistic").usual_plan(64, 5, BINARY, 9)
    assert plan == TrainingPlan.of(TrainingSpec(64, 5, 1, 9))
    deep = Training.parse("mlp:3").usual_plan(64, 5, LabelKind.of_classes(3), 9)
    assert deep.model == Model.perceptron(4, (3,), 3)
    x = np.full((2, 4), 2.0)
    table = Table("t", x * ((1,), (-1,)), ("a", "b", "c", "d"), np.array([0, 2]), ("x", "y", "z"))
    schema = Schema("t", table.feature_names, (0.0,) * 4, (1.0,) * 4, table.class_names, 64)
    assert Training.parse("mlp:3").plan(schema, table, 64, 9) == deep


def test_says_beforehand_what_the_public_rows_strain() -> None:
    parts = split(load("breast-cancer"), 2, 1)
    training, rows = Training.parse("logistic"), capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    plan = training.plan(schema, parts.test, rows, 7)
    assert foreseen(plan, schema, parts.test, 1) == ()
    narrow = replace(schema, scale=tuple(scale / 100 for scale in schema.scale))
    lines = foreseen(plan, narrow, parts.test, 1)
    assert any("are clipped at 8 scales" in line for line in lines)
    assert all(line.startswith("on the public rows, ") for line in lines)
    deep = Training.parse("mlp:4").plan(schema, parts.test, rows, 7)
    tight = replace(deep, activation_limbs=1)
    assert any("left the range" in line or "of their bound" in line for line in foreseen(tight, narrow, parts.test, 1))
