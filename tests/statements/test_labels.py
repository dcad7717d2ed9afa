"""Label kinds: what they are called, which model needs which, and what they take."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning.architecture import MAX_WIDTH, SQUARED, Model
from fedproof.statements.labels import BINARY, TARGET, LabelKind
from fedproof.statements.listing import ListingStatement
from tests.learning.scenes import make_plan

TEN = LabelKind.of_classes(10)


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (Model.linear(4), TARGET),
        (Model.logistic(4), BINARY),
        (Model.softmax(4, 2), BINARY),
        (Model.softmax(4, 3), LabelKind("classes", 3)),
        (Model.perceptron(4, [3], 1), BINARY),
        (Model.perceptron(4, [3], 10), TEN),
        (Model.perceptron(4, [3], 1, SQUARED), TARGET),
    ],
)
def test_the_loss_decides_what_labels_a_model_needs(model: Model, kind: LabelKind) -> None:
    assert LabelKind.of(model) == kind
    plan = make_plan(model)
    statement = ListingStatement.of(plan)
    assert (statement.kind, statement.layout.rows, statement.layout.columns) == (kind, plan.rows, model.columns)


def test_the_kind_is_in_the_name_of_the_statement() -> None:
    names = {kind: ListingStatement(32, 3, kind).name for kind in (BINARY, TEN, LabelKind.of_classes(11), TARGET)}
    assert list(names.values()) == ["listing", "listing/classes 10", "listing/classes 11", "listing/target"]
    assert ListingStatement(32, 3).name == "listing"


@pytest.mark.parametrize("kind", [BINARY, TEN, TARGET, LabelKind.of_classes(MAX_WIDTH)])
def test_a_kind_has_one_text(kind: LabelKind) -> None:
    assert LabelKind.parse(str(kind)) == kind


@pytest.mark.parametrize(
    "text",
    [
        "", "Binary", "binary ", "binary 2", "target 0", "classes", "classes 2", "classes 03", "classes  3",
        "classes 1025", "classes -3", "classes ٣", "classes 3 3", "classes " + "9" * 5000,
    ],
)  # fmt: skip
def test_refuses_a_text_of_no_kind(text: str) -> None:
    with pytest.raises(InputError, match="labels: no kind"):
        LabelKind.parse(text)


@pytest.mark.parametrize(
    ("name", "classes"),
    [("classes", 2), ("classes", MAX_WIDTH + 1), ("binary", 3), ("target", 2), ("text", 0), ("classes", -3)],
)
def test_refuses_a_kind_that_does_not_exist(name: str, classes: int) -> None:
    with pytest.raises(InputError, match="labels: no kind"):
        LabelKind(name, classes)
    with pytest.raises(InputError, match="labels: no kind"):
        LabelKind.of_classes(1)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [(BINARY, [0, 1], [-1, 2]), (TEN, [0, 9], [-1, 10]), (TARGET, [-2048, 2047], [-2049, 2048])],
)
def test_names_the_first_row_whose_label_no_listing_proves(kind: LabelKind, good: list[int], bad: list[int]) -> None:
    mask = np.array([1, 1, 1, 0])
    kind.check(np.array([*good, 1, 0]), mask)
    for label in bad:
        with pytest.raises(InputError, match=f"row 1: label {label} is none of kind {kind}"):
            kind.check(np.array([0, label, label, 0]), mask)
    with pytest.raises(InputError, match="row 3: label 1 "):
        kind.check(np.array([0, 0, 0, 1]), mask)
