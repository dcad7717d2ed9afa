"""What a user asks of a task, and the plan that follows from it: `--model`, `--epochs`, `--statement`, `--norm`, and
the public data.

The scales of a plan are public, so they follow from the public test part and never from private records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from fedproof.data import Schema, Table
from fedproof.data.load import CLASSES, FITTING, TARGET, TWO
from fedproof.data.naming import quoted
from fedproof.errors import InputError
from fedproof.learning.architecture import MAX_HIDDEN, MAX_WIDTH, SQUARED, Model
from fedproof.learning.arrays import MAX_ARRAYS, MAX_DIMENSIONS, Architecture, OtherModel
from fedproof.learning.baseline import Float
from fedproof.learning.choose import choose_precision
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.comparison import strains
from fedproof.learning.exact import train
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, MAX_EPOCHS, Int
from fedproof.learning.local import Records, float_trainer, local_update, reads_targets
from fedproof.learning.model import GlobalModel
from fedproof.learning.plans import Plan
from fedproof.learning.scoring import Scores, best_constant
from fedproof.learning.sgd import pad_to
from fedproof.statements.labels import BINARY, LabelKind
from fedproof.statements.labels import TARGET as TARGET_KIND

LOGISTIC, LINEAR, SOFTMAX, MLP, ARRAYS = KINDS = ("logistic", "linear", "softmax", "mlp", "arrays")
TRAINED, BOUNDED = STATEMENTS = ("training", "bounded")
"""What `--statement` takes: proof of training, or the weaker bounded update, which is no proof of training."""
USUAL_NORM: Final = 1.0
FRACTION_BITS: Final = 20
"""Of a weight in a task of bounded updates: an entry is cut off below a millionth."""
DEFAULT_HIDDEN: Final = (16, 8)
FORMS: Final = "logistic, linear, softmax, or mlp with the widths of its hidden layers, such as mlp:16,8"
ARRAY_FORMS: Final = "arrays:16x30,16,1x16,1, the shape of each array of the model"
USUAL_SPREAD: Final = 2
"""Scales away from its centre at which each feature is taken to be where no public rows are given."""
_DATA: Final = {LOGISTIC: "breast-cancer", LINEAR: "diabetes", SOFTMAX: "wine", MLP: "breast-cancer"}
_LABELS: Final = {LOGISTIC: TWO, LINEAR: TARGET, SOFTMAX: CLASSES, MLP: FITTING}


@dataclass(frozen=True)
class Training:
    """A kind of model, its hidden layers, and the local epochs of a round.

    Attributes:
        shapes: of the arrays of a model outside the family.
        norm: the bound of an update's L2 norm, where the task asks for a bounded update; None where training is proven.
    """

    kind: str = LOGISTIC
    hidden: tuple[int, ...] = ()
    epochs: int = 1
    shapes: tuple[tuple[int, ...], ...] = ()
    norm: float | None = None

    @classmethod
    def parse(cls, text: str, epochs: int = 1, statement: str = TRAINED, norm: float | None = None) -> Self:
        """Read `--model`, `--epochs`, `--statement` and `--norm`.

        Raises:
            InputError: no model that this build trains, or no such statement of it.
        """
        kind, colon, rest = text.strip().lower().partition(":")
        if kind not in KINDS or (colon and kind not in (MLP, ARRAYS)):
            raise InputError(f"--model {quoted(text)}: use {FORMS}")
        bound = _bound(statement, norm)
        if kind == ARRAYS and bound is None:
            raise InputError(
                f"--model {quoted(text)}: training of a model outside the family cannot be proven; with --statement "
                "bounded its updates are averaged under a bound of their norm, which is no proof of training"
            )
        shapes = _shapes(text, rest) if kind == ARRAYS else ()
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
        return cls(kind, hidden, epochs, shapes, bound)

    def check_trainable(self) -> None:
        """Refuse a model that this package has no trainer for, where nobody brings one.

        Raises:
            InputError: it has none.
        """
        if self.kind == ARRAYS:
            raise InputError(
                f"--model {ARRAYS}: such a model is trained by its users' own code, on nodes (market init --tasks, "
                "then participant.trainer in each node's file); here use logistic, linear, softmax, or mlp:16,8"
            )

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

    def architecture(self, features: int, kind: LabelKind) -> Architecture:
        """The model of so many features on labels of a kind.

        Raises:
            InputError: the labels are not of this model.
        """
        self.check(kind)
        if self.kind == ARRAYS:
            return OtherModel(self.shapes, str(kind))
        if self.kind == LOGISTIC:
            return Model.logistic(features)
        if self.kind == LINEAR:
            return Model.linear(features)
        if self.kind == SOFTMAX:
            return Model.softmax(features, kind.classes)
        if kind == TARGET_KIND:
            return Model.perceptron(features, self.hidden, 1, SQUARED)
        return Model.perceptron(features, self.hidden, kind.classes if kind.classes > 2 else 1)

    def plan(self, schema: Schema, test: Table, rows: int, mask_count: int) -> Plan:
        """The plan for datasets of a schema, with scales that fit the public test part.

        Raises:
            InputError: the labels are not of this model, or no scales fit.
        """
        return self._plan(schema.quantise(test.features), schema.label_kind, rows, mask_count)

    def usual_plan(self, rows: int, columns: int, kind: LabelKind, mask_count: int) -> Plan:
        """The plan for standardised features where no public rows are at hand; errors as `plan`."""
        row: Int = np.full((1, columns - 1), USUAL_SPREAD << FEATURE_FRACTION_BITS, dtype=np.int64)
        return self._plan(row, kind, rows, mask_count)

    def _plan(self, public: Int, kind: LabelKind, rows: int, mask_count: int) -> Plan:
        """The plan of datasets like these features, `(n, f)`."""
        features = public.shape[1]
        model = self.architecture(features, kind)
        if self.norm is not None:  # of the records nothing is needed but their shape
            return BoundedPlan.choose(rows, features + 1, model, self.norm, FRACTION_BITS, mask_count, self.epochs)
        assert isinstance(model, Model)  # `parse` refuses others
        return choose_precision(model, public, rows, self.epochs, mask_count)


def _bound(statement: str, norm: float | None) -> float | None:
    if statement not in STATEMENTS:
        raise InputError(f"--statement {quoted(statement)}: use {' or '.join(STATEMENTS)}")
    if statement == TRAINED:
        if norm is not None:
            raise InputError("--norm bounds the updates of --statement bounded; a proof of training needs none")
        return None
    norm = USUAL_NORM if norm is None else norm
    if not 1e-5 <= norm <= 1e6:
        raise InputError(f"--norm {norm:g} must be from 0.00001 to 1000000, in units of a weight")
    return norm


def _shapes(text: str, rest: str) -> tuple[tuple[int, ...], ...]:
    parts = rest.replace(" ", "").split(",")
    if not all(re.fullmatch(r"[0-9]{1,7}(x[0-9]{1,7})*", part) for part in parts):
        raise InputError(f"--model {quoted(text)}: use {ARRAY_FORMS}")
    shapes = tuple(tuple(map(int, part.split("x"))) for part in parts)
    if len(shapes) > MAX_ARRAYS or any(len(shape) > MAX_DIMENSIONS for shape in shapes):
        raise InputError(f"--model {ARRAYS}: up to {MAX_ARRAYS} arrays of up to {MAX_DIMENSIONS} dimensions")
    return shapes


def foreseen(plan: Plan, schema: Schema, test: Table, start: GlobalModel) -> tuple[str, ...]:
    """What the public rows strain when they are trained on from a start, a line each; see `strains`. For a bounded
    update, whether it would be scaled down; of a model outside the family nothing can be said.
    """
    rows = min(plan.rows, test.rows)
    padded = pad_to(
        plan.rows, plan.columns, schema.quantise(test.features[:rows]), schema.quantise_labels(test.labels[:rows])
    )
    try:
        found = (
            _felt(plan, padded, start) if isinstance(plan, BoundedPlan) else strains(train(plan, *padded, start.layers))
        )
    except InputError as error:
        found = (str(error),)
    return tuple(f"on the public rows, {line}" for line in found)


def _felt(plan: BoundedPlan, padded: tuple[Int, Int, Int], start: GlobalModel) -> tuple[str, ...]:
    if isinstance(plan.model, OtherModel):
        return ()
    records = Records.of(plan, *padded, targets=reads_targets(plan))
    return local_update(plan, start, float_trainer(plan), records).advice(plan)


def learnt_little(model: Model, scores: Scores, labels: Float) -> tuple[str, ...]:
    """A line where a model is no better on labelled rows than the best answer that looks at no feature."""
    found = scores.r2 if scores.accuracy is None else scores.accuracy
    least = best_constant(model, labels)
    if found is None or found > least:
        return ()
    constant = "the mean" if scores.accuracy is None else f"the most frequent class ({least:.3f})"
    return (f"on the public rows, it is no better than always answering {constant}: give more rounds or epochs",)


def model_text(plan: Plan) -> str:
    """A plan's model in a few words."""
    model = plan.model
    shape = "-".join(map(str, model.widths)) if isinstance(model, Model) else f"of {model.parameters:,} parameters"
    epochs = f", {plan.epochs} epochs a round" if plan.epochs > 1 else ""
    return f"{model.kind} {shape}{epochs}"
