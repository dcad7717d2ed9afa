"""A chain of layers from elsewhere as a `Model`: what is in the family of proven training, and what to say of the rest.

The family: dense layers with ReLU between them, and at the end a sigmoid, a softmax or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.interop.inputs import Standardisation
from fedproof.learning.architecture import CROSS_ENTROPY, LINEAR, LOG, LOGISTIC, MAX_HIDDEN, SOFTMAX, SQUARED, Model
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import STATEMENT
from fedproof.learning.fixed import Int
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan

DENSE, RELU, SIGMOID, SOFTMAX_HEAD = "dense", "relu", "sigmoid", "softmax"
MAX_STEPS = 2 * (MAX_HIDDEN + 1)
BOUNDED = (
    "outside the family of proven training (dense layers with ReLU between them); of such a model only the "
    f"{STATEMENT} statement can hold (docs/training.md, section 13): how large an update is, not how it came about"
)


@final
@dataclass(frozen=True, eq=False)
class Step:
    """One layer of a chain.

    Attributes:
        kind: `DENSE`, `RELU`, `SIGMOID` or `SOFTMAX_HEAD`.
        name: how messages call it.
        shape: inputs and outputs of a dense layer.
        weight: of a dense layer, `(inputs, outputs)`; nothing where only the architecture is known.
        bias: `(outputs,)`; zeros without it.
    """

    kind: str
    name: str
    shape: tuple[int, int] = (0, 0)
    weight: Float | None = None
    bias: Float | None = None

    def matrix(self) -> Float | None:
        """The weights of a dense layer as `(inputs + 1, outputs)`, the bias last.

        Raises:
            InputError: other shapes, or a value that is not finite.
        """
        if self.weight is None:
            if self.bias is not None:
                raise InputError(f"{self.name} has a bias and no weights")
            return None
        bias = np.zeros(self.shape[1]) if self.bias is None else self.bias
        if self.weight.shape != self.shape or bias.shape != (self.shape[1],):
            raise InputError(
                f"{self.name}: weights of shape {self.weight.shape} and a bias of shape {bias.shape} are not those of "
                f"{self.shape[0]} inputs and {self.shape[1]} outputs"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(bias).all()):
            raise InputError(f"{self.name}: a weight is NaN or infinite")
        return np.vstack([self.weight, bias]).astype(np.float64)


@final
@dataclass(frozen=True, eq=False)
class Imported:
    """An architecture from elsewhere.

    Attributes:
        model: the same layers in the family of proven training.
        weights: a matrix `(a, b)` for each layer, the bias last; nothing where only the architecture is known.
    """

    model: Model
    weights: tuple[Float, ...] | None

    def start(self, plan: TrainingPlan) -> tuple[Int, ...]:
        """The weights rounded to a plan's scales: where round 1 starts.

        Raises:
            InputError: no weights, a plan of another model, or weights of 2^62 units and more.
        """
        if self.weights is None:
            raise InputError("only an architecture was imported, no weights; start from `plan.start(seed)`")
        if plan.model != self.model:
            raise InputError(f"the plan trains a {plan.model.kind} of widths {plan.model.widths}, another model")
        out = []
        for layer, (matrix, scale) in enumerate(zip(self.weights, plan.weight_scales(), strict=True), 1):
            with np.errstate(over="ignore"):
                scaled = np.rint(matrix * float(scale))
            if not np.abs(scaled).max() < WEIGHT_LIMIT:  # what was rewritten may be NaN, too
                raise InputError(
                    f"layer {layer}: a weight beyond {WEIGHT_LIMIT / scale:.3g}, the largest at this scale"
                )
            out.append(scaled.astype(np.int64))
        return tuple(out)

    def from_raw(self, inputs: Standardisation) -> Imported:
        """The same function, for weights that read raw features: rewritten to read standardised ones.

        Exact but for clipping at 8 scales and float64 rounding: `W_j scale_j`, and `bias + sum_j centre_j W_j`.

        Raises:
            InputError: no weights, or another number of features.
        """
        if self.weights is None or len(inputs.names) != self.model.widths[0]:
            raise InputError(
                f"weights of {len(inputs.names)} features are needed; the model has {self.model.widths[0]}"
            )
        first = self.weights[0].copy()
        with np.errstate(over="ignore", invalid="ignore"):  # `start` refuses what comes of it
            first[-1] += np.array(inputs.centre) @ first[:-1]
            first[:-1] *= np.array(inputs.scale)[:, None]
        return Imported(self.model, (first, *self.weights[1:]))


def assemble(steps: Sequence[Step], loss: str | None = None) -> Imported:
    """The model of a chain.

    Args:
        loss: for a chain that ends without sigmoid or softmax; by default several outputs are logits of classes
            (cross-entropy), and one output is a value (squared error).

    Raises:
        InputError: layers in an order that the family does not have, or another loss than the end of the chain tells.
    """
    if not steps:
        raise InputError("no layers: the smallest model is one dense layer")
    if len(steps) > MAX_STEPS:
        raise InputError(f"{len(steps)} layers; a model has {MAX_HIDDEN} hidden layers at most")
    head = steps[-1].kind if steps[-1].kind in (SIGMOID, SOFTMAX_HEAD) else None
    body = steps[:-1] if head else steps
    for place, step in enumerate(body):
        expected = RELU if place % 2 else DENSE
        if step.kind != expected:
            before = f"after {body[place - 1].name}" if place else "first"
            raise InputError(
                f"{step.name} comes {before}, where a {expected} layer is needed; dense layers with ReLU between them, "
                "and at the end sigmoid, softmax or nothing, are what is trained"
            )
    if len(body) % 2 == 0:
        raise InputError(f"{steps[-1].name} comes last, where a dense layer is needed before it or after it")
    dense = list(body[::2])
    for one, other in pairwise(dense):
        if one.shape[1] != other.shape[0]:
            raise InputError(f"{other.name} has {other.shape[0]} inputs, but {one.name} gives {one.shape[1]}")
    model = _model([dense[0].shape[0], *(step.shape[1] for step in dense)], _loss(head, dense[-1].shape[1], loss))
    matrices = [step.matrix() for step in dense]
    known = [matrix for matrix in matrices if matrix is not None]
    if known and len(known) < len(matrices):
        raise InputError("some layers have weights and others do not; give all or none")
    return Imported(model, tuple(known) if known else None)


def _loss(head: str | None, outputs: int, asked: str | None) -> str:
    if head is None:
        found = asked or (CROSS_ENTROPY if outputs > 1 else SQUARED)
    else:
        found = LOG if head == SIGMOID else CROSS_ENTROPY
    if asked is not None and asked != found:
        raise InputError(f"the chain ends in a {head}, whose loss is {found!r} and not {asked!r}")
    if head == SIGMOID and outputs > 1:
        raise InputError(f"a sigmoid over {outputs} outputs; several labels at once are {BOUNDED}")
    return found


def _model(widths: list[int], loss: str) -> Model:
    if len(widths) > 2:
        return Model.perceptron(widths[0], widths[1:-1], widths[-1], loss)
    kind = {SQUARED: LINEAR, LOG: LOGISTIC, CROSS_ENTROPY: SOFTMAX}.get(loss, loss)
    return Model(kind, (widths[0], widths[1]), "none", loss)
