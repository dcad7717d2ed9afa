"""The seam where a participant of a bounded task brings training of its own: a function from weights and records to new
weights. What it gives is clipped and made integers here (`BoundedPlan.clip_real`); no proof shows how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, Int
from fedproof.learning.model import GlobalModel
from fedproof.learning.reference import float_sgd


@final
@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """The private records of a participant, real rows alone, in their published order.

    Attributes:
        features: `(n, f)`, in scales of the schema from its centres; within [-8, 8) in steps of 1/256.
        labels: `(n,)`, classes 0, 1, ... as whole numbers, or targets in scales of the schema.
        epochs: local epochs that the task asks for.
    """

    features: Float
    labels: Float
    epochs: int

    @classmethod
    def of(cls, plan: BoundedPlan, features: Int, mask: Int, labels: Int, *, targets: bool) -> Records:
        """From padded records in fixed point.

        Args:
            targets: whether labels are targets and no classes.
        """
        n, unit = int(mask.sum()), 1 << FEATURE_FRACTION_BITS
        return cls(features[:n] / unit, labels[:n] / (unit if targets else 1), plan.epochs)


class Trainer(Protocol):
    """A participant's training of one round."""

    def __call__(self, weights: list[Float], records: Records) -> Sequence[Any]:
        """New weights.

        Args:
            weights: a float64 array for each of the model's, of its shape; a copy, to be changed at will.
            records: of this participant alone.

        Returns:
            Arrays of the same shapes in the same order; float32 will do, and tensors of the CPU.
        """


def float_trainer(plan: BoundedPlan) -> Trainer:
    """Mini-batch SGD in float64 on a model of the family: batches, order and rate are those of proven training.

    Raises:
        InputError: the model is outside the family; only its users can train it.
    """
    model = plan.model
    if not isinstance(model, Model):
        raise InputError(f"a {model.kind} is trained by code of its user's own: name a trainer")

    def train(weights: list[Float], records: Records) -> list[Float]:
        return float_sgd(model, weights, records.features, records.labels, records.epochs)

    return train


@final
@dataclass(frozen=True, repr=False)
class LocalUpdate:
    """What a participant commits to: integers `(parameters,)` within the plan's bounds.

    Attributes:
        norm: L2 norm of what the trainer gave, in units of a weight.
        clipped: whether it was scaled down.
    """

    update: Int
    norm: float
    clipped: bool

    def advice(self, plan: BoundedPlan) -> tuple[str, ...]:
        """A line where the bound was felt; of private records, so for their owner alone."""
        if not self.clipped:
            return ()
        return (
            f"the update has an L2 norm of {self.norm:.4g} and is scaled down to the task's bound of {plan.norm:.4g}",
        )


def local_update(plan: BoundedPlan, model: GlobalModel, trainer: Trainer, records: Records) -> LocalUpdate:
    """Have a trainer train, and clip what it gives to the plan.

    Raises:
        InputError: it failed, or gave other arrays than those of the model, or values that are not finite. The message
            has no value in it: they follow from private records.
    """
    before = model.real()
    try:
        given = trainer([np.array(layer) for layer in before], records)
        arrays = [np.asarray(layer) for layer in given]
        if any(array.dtype.kind not in "biuf" for array in arrays):
            raise ValueError
        after = [array.astype(np.float64) for array in arrays]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code, which may raise anything
        raise InputError(f"the trainer failed: {type(error).__name__} at {_place(error)}") from None
    shapes, wanted = tuple(layer.shape for layer in after), tuple(plan.model.layers)
    if shapes != wanted:
        raise InputError(f"the trainer gave arrays of shapes {_few(shapes)}; the model's are {_few(wanted)}")
    step = [new - old for new, old in zip(after, before, strict=True)]
    flat: Float = plan.model.flatten(step)  # type: ignore[assignment, arg-type]  # which only puts them in order
    update = plan.clip_real(flat)
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(flat))
    return LocalUpdate(update, norm, norm > plan.norm)


def reads_targets(plan: BoundedPlan) -> bool:
    """Whether labels of the plan's datasets are targets."""
    model = plan.model
    return model.loss == SQUARED if isinstance(model, Model) else model.labels == "target"


def _place(error: BaseException) -> str:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}" if where else "?"


def _few(shapes: tuple[Any, ...]) -> str:
    return f"{shapes}" if len(shapes) <= 4 else f"({', '.join(map(str, shapes[:4]))}, ... {len(shapes)} arrays)"
