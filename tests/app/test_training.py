"""What `--model`, `--epochs`, `--labels`, `--statement` and `--norm` mean, and which plan follows of public data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof.app.training import USUAL_NORM, Training, foreseen, learnt_little, model_text
from fedproof.data import Schema, Table, capacity_rows, load, split
from fedproof.errors import InputError
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.arrays import OtherModel
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.scoring import Scores
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


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("arrays:9", ((9,),)),
        ("arrays:16x30, 16,1x16,1", ((16, 30), (16,), (1, 16), (1,))),
        ("Arrays:2x3x4", ((2, 3, 4),)),
    ],
)
def test_reads_models_outside_the_family(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    training = Training.parse(text, 2, "bounded")
    assert training == Training("arrays", (), 2, shapes, USUAL_NORM)
    plan = training.usual_plan(64, 5, LabelKind.of_classes(3), 9)
    assert isinstance(plan, BoundedPlan)
    assert (plan.model, plan.epochs, plan.mask_count) == (OtherModel(shapes, "classes 3"), 2, 9)
    assert plan.norm == pytest.approx(1)
    assert model_text(plan) == f"model outside the family of {plan.parameters} parameters, 2 epochs a round"
    with pytest.raises(InputError, match="trained by its users' own code"):
        training.check_trainable()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (("arrays:9", 1), "cannot be proven; with --statement bounded .* no proof of training"),
        (("arrays", 1, "bounded"), "use arrays:"), (("arrays:", 1, "bounded"), "use arrays:"),
        (("arrays:3x", 1, "bounded"), "use arrays:"), (("arrays:3,,4", 1, "bounded"), "use arrays:"),
        (("arrays:1x1x1x1x1x1x1x1x1", 1, "bounded"), "up to 4096 arrays of up to 8 dimensions"),
        (("logistic", 1, "training", 1.0), "--norm bounds the updates of --statement bounded"),
        (("logistic", 1, "bounded", 0.0), "--norm 0 must be from"), (("mlp", 1, "bounded", -1.0), "--norm -1 must"),
        (("mlp", 1, "bounded", float("nan")), "--norm nan"), (("mlp", 1, "bounded", float("inf")), "--norm inf"),
        (("mlp", 1, "proof"), "--statement 'proof': use training or bounded"),
    ],
)  # fmt: skip
def test_says_in_one_line_what_no_task_can_ask_for(given: tuple[Any, ...], match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        Training.parse(*given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("norm", [1e-5, 1.0, 1e6])
def test_every_norm_that_is_taken_has_a_plan(norm: float) -> None:
    for text in ("mlp:3", "arrays:1", "arrays:1000"):
        plan = Training.parse(text, 1, "bounded", norm).usual_plan(64, 5, BINARY, 9)
        assert isinstance(plan, BoundedPlan)
        assert plan.norm == pytest.approx(norm, rel=0.1)


def test_what_a_bound_would_scale_down_is_seen_on_the_public_rows() -> None:
    parts = split(load("wine", positive="class_1"), 2, 1)
    schema = Schema.from_public(parts.test, 64)
    for norm, seen in ((1e-4, 1), (100.0, 0)):
        plan = Training.parse("mlp:3", 1, "bounded", norm).plan(schema, parts.test, 64, 9)
        lines = foreseen(plan, schema, parts.test, GlobalModel.start(plan, 1))
        assert [line.startswith("on the public rows, the update has an L2 norm of") for line in lines] == [True] * seen
    other = Training.parse("arrays:9", 1, "bounded").plan(schema, parts.test, 64, 9)
    assert foreseen(other, schema, parts.test, GlobalModel.start(other, 1)) == ()


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
    assert foreseen(plan, schema, parts.test, GlobalModel.start(plan, 1)) == ()
    narrow = replace(schema, scale=tuple(scale / 100 for scale in schema.scale))
    lines = foreseen(plan, narrow, parts.test, GlobalModel.start(plan, 1))
    assert any("are clipped at 8 scales" in line for line in lines)
    assert all(line.startswith("on the public rows, ") for line in lines)
    deep = Training.parse("mlp:4").plan(schema, parts.test, rows, 7)
    tight = replace(deep, activation_limbs=1)
    lines = foreseen(tight, narrow, parts.test, GlobalModel.start(tight, 1))
    assert any("left the range" in line or "of their bound" in line for line in lines)


def test_says_of_a_model_that_is_no_better_than_a_constant() -> None:
    labels = np.array([0.0, 1.0, 1.0, 1.0])
    logistic, linear = Model.logistic(2), Model.linear(2)
    (line,) = learnt_little(logistic, Scores(accuracy=0.75, log_loss=1.0), labels)
    assert "always answering the most frequent class (0.750): give more rounds" in line
    assert learnt_little(logistic, Scores(accuracy=1.0, log_loss=0.1), labels) == ()
    (line,) = learnt_little(linear, Scores(rmse=1.0, r2=-0.2), labels)
    assert "the mean" in line
    assert learnt_little(linear, Scores(rmse=0.5, r2=0.1), labels) == ()
