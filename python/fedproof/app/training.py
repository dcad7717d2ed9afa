"""What a user asks to be trained, and the plan that follows from it: `--model`, `--epochs`, and the public data.

The scales of a plan are public, so they follow from the public test part and never from private records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from fedproof.data import Schema, Table
from fedproof.data.load import CLASSES, FITTING, TARGET, TWO
from fedproof.data.naming import quoted
from fedproof.errors import InputError
from fedproof.learning.architecture import MAX_HIDDEN, MAX_WIDTH, SQUARED, Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.comparison import strains
from fedproof.learning.exact import train
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, MAX_EPOCHS, Int
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.sgd import pad_to
from fedproof.statements.labels import BINARY, LabelKind
from fedproof.statements.labels import TARGET as TARGET_KIND

LOGISTIC, LINEAR, SOFTMAX, MLP = KINDS = ("logistic", "linear", "softmax", "mlp")
DEFAULT_HIDDEN: Final = (16, 8)
FORMS: Final = "logistic, linear, softmax, or mlp with the widths of its hidden layers, such as mlp:16,8"
USUAL_SPREAD: Final = 2
"""Scales away from its centre at which each feature is taken to be where no public rows are given."""
_DATA: Final = {LOGISTIC: "breast-cancer", LINEAR: "diabetes", SOFTMAX: "wine", MLP: "breast-cancer"}
_LABELS: Final = {LOGISTIC: TWO, LINEAR: TARGET, SOFTMAX: CLASSES, MLP: FITTING}


@dataclass(frozen=True)
class Training:
    """A kind of model, its hidden layers, and the local epochs of a round."""

    kind: str = LOGISTIC
    hidden: tuple[int, ...] = ()
    epochs: int = 1

    @classmethod
    def parse(cls, text: str, epochs: int = 1) -> Self:
        """Read `--model` and `--epochs`.

        Raises:
            InputError: no model that this build trains.
        """
        kind, colon, rest = text.strip().lower().partition(":")
        if kind not in KINDS or (colon and kind != MLP):
            raise InputError(f"--model {quoted(text)}: use {FORMS}")
        hidden: tuple[int, ...] = ()
        if kind == MLP:
            widths = rest.split(",") if colon else [str(width) for width in DEFAULT_HIDDEN]
            if not all(re.fullmatch(r"\s*[0-9]{1,5}\s*", width) for width in widths):
                raise InputError(
                    f"--model {quoted(text)}: widths are whole numbers with commas between, as in mlp:16,8"
                )
            hidden = tuple(map(int, widths))
            if len(hidden) > MAX_HIDDEN or not all(1 <= width <= MAX_WIDTH for width in hidden):
                raise InputError(
                    f"--model {quoted(text)}: up to {MAX_HIDDEN} hidden layers of 1 to {MAX_WIDTH} units are proven"
                )
        if not 1 <= epochs <= MAX_EPOCHS:
            raise InputError(f"--epochs {epochs} must be from 1 to {MAX_EPOCHS}")
        return cls(kind, hidden, epochs)

    @property
    def data(self) -> str:
        """The set that scikit-learn ships for it."""
        return _DATA[self.kind]

    @property
    def labels(self) -> str:
        """What `data.load` reads labels as."""
        return _LABELS[self.kind]

    def labelled(self, text: str | None) -> LabelKind:
        """The kind of labels where there are no records to tell: `binary`, `target` or `classes K`.

        Raises:
            InputError: not such a text, or not of this model.
        """
        if text is not None:
            return self.check(LabelKind.parse(text))
        if self.kind == SOFTMAX:
            raise InputError('--model softmax needs the number of classes: give --labels "classes 3"')
        return TARGET_KIND if self.kind == LINEAR else BINARY

    def check(self, kind: LabelKind) -> LabelKind:
        """Refuse labels that the model is not trained on.

        Raises:
            InputError: they are not.
        """
        wanted = {LOGISTIC: kind == BINARY, LINEAR: kind == TARGET_KIND, SOFTMAX: kind != TARGET_KIND}
        if not wanted.get(self.kind, True):
            raise InputError(f"--model {self.kind} is not trained on labels of kind {kind}: use {FORMS}")
        return kind

    def architecture(self, features: int, kind: LabelKind) -> Model:
        """The model of so many features on labels of a kind.

        Raises:
            InputError: the labels are not of this model.
        """
        self.check(kind)
        if self.kind == LOGISTIC:
            return Model.logistic(features)
        if self.kind == LINEAR:
            return Model.linear(features)
        if self.kind == SOFTMAX:
            return Model.softmax(features, kind.classes)
        if kind == TARGET_KIND:
            return Model.perceptron(features, self.hidden, 1, SQUARED)
        return Model.perceptron(features, self.hidden, kind.classes if kind.classes > 2 else 1)

    def plan(self, schema: Schema, test: Table, rows: int, mask_count: int) -> TrainingPlan:
        """The plan for datasets of a schema, with scales that fit the public test part.

        Raises:
            InputError: the labels are not of this model, or no scales fit.
        """
        model = self.architecture(len(schema.features), schema.label_kind)
        return choose_precision(model, schema.quantise(test.features), rows, self.epochs, mask_count)

    def usual_plan(self, rows: int, columns: int, kind: LabelKind, mask_count: int) -> TrainingPlan:
        """The plan for standardised features where no public rows are at hand; errors as `plan`."""
        row: Int = np.full((1, columns - 1), USUAL_SPREAD << FEATURE_FRACTION_BITS, dtype=np.int64)
        return choose_precision(self.architecture(columns - 1, kind), row, rows, self.epochs, mask_count)


def foreseen(
    plan: TrainingPlan, schema: Schema, test: Table, seed: int, start: Sequence[Int] | None = None
) -> tuple[str, ...]:
    """What the public rows strain when they are trained on, from a model or else from the start of a seed, a line each;
    see `strains`."""
    rows = min(plan.rows, test.rows)
    padded = pad_to(
        plan.rows, plan.columns, schema.quantise(test.features[:rows]), schema.quantise_labels(test.labels[:rows])
    )
    try:
        found = strains(train(plan, *padded, plan.start(seed) if start is None else start))
    except InputError as error:
        found = (str(error),)
    return tuple(f"on the public rows, {line}" for line in found)


def model_text(plan: TrainingPlan) -> str:
    """A plan's model in a few words."""
    shape = f"{'-'.join(map(str, plan.model.widths))}"
    epochs = f", {plan.epochs} epochs a round" if plan.epochs > 1 else ""
    return f"{plan.model.kind} {shape}{epochs}"
