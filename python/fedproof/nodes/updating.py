"""What a participant computes in a round: an update and the witness of the statement that its task asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedproof.errors import StateError
from fedproof.learning import exact
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.comparison import strains
from fedproof.learning.fixed import Int
from fedproof.learning.local import Records, Trainer, float_trainer, local_update, reads_targets
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan
from fedproof.nodes.holder import OpenedDataset
from fedproof.proving.circuit import Statement
from fedproof.proving.r1cs import FrArray
from fedproof.statements.bounded import BoundedStatement, BoundedWitness
from fedproof.statements.models.statement import ModelStatement, ModelWitness
from fedproof.statements.models.vectors import model_update_vector
from fedproof.statements.vectors import dataset_vector

Witness = ModelWitness | BoundedWitness


def update_statement(plan: Plan) -> Statement[Any]:
    """The statement that updates of a plan's tasks are proven with."""
    return BoundedStatement(plan) if isinstance(plan, BoundedPlan) else ModelStatement(plan)


@dataclass(frozen=True, repr=False)
class MadeUpdate:
    """An update before it is committed to, shared and proven.

    Attributes:
        vector: from a blinding `(3, 4)`, what is committed to.
        witness: from the blinding of the dataset with its masks `(2 + mask_count, 4)`, and that of the update.
        advice: lines for the owner of the records alone.
    """

    vector: Callable[[FrArray], FrArray]
    witness: Callable[[FrArray, FrArray], Witness]
    advice: tuple[str, ...]


def check_trainer(plan: Plan, trainer: Trainer | None) -> None:
    """A trainer is given where one is needed, and not where training is proven.

    Raises:
        StateError: a trainer is given where training is proven, for that leaves no choice.
        InputError: none is given for a model that only its users can train.
    """
    if isinstance(plan, BoundedPlan):
        _ = trainer or float_trainer(plan)
    elif trainer is not None:
        raise StateError(f"these tasks ask for a {plan.statement}, which fixes every step: leave the trainer out")


def make_update(plan: Plan, opened: OpenedDataset, model: GlobalModel, trainer: Trainer | None) -> MadeUpdate:
    """Train on opened records.

    Raises:
        InputError: the trainer failed, or its update cannot be; or training leaves the range of its integers.
    """
    if isinstance(plan, BoundedPlan):
        return _bounded(plan, opened, model, trainer or float_trainer(plan))
    return _trained(plan, opened, model)


def _trained(plan: TrainingPlan, opened: OpenedDataset, model: GlobalModel) -> MadeUpdate:
    trace = exact.train(plan, opened.features, opened.mask, opened.labels, model.layers)
    return MadeUpdate(
        vector=lambda blinding: model_update_vector(plan, trace.update, blinding),
        witness=lambda masks, blinding: ModelWitness(trace, masks, blinding),
        advice=strains(trace),
    )


def _bounded(plan: BoundedPlan, opened: OpenedDataset, model: GlobalModel, trainer: Trainer) -> MadeUpdate:
    records = Records.of(plan, opened.features, opened.mask, opened.labels, targets=reads_targets(plan))
    made = local_update(plan, model, trainer, records)
    update: Int = made.update
    plan.check(update)  # what no proof holds for is refused before one is spent on it

    def witness(masks: FrArray, blinding: FrArray) -> BoundedWitness:
        dataset = dataset_vector(opened.features, opened.mask, opened.labels, masks)
        return BoundedWitness(dataset, model.weights, update, blinding)

    return MadeUpdate(
        vector=lambda blinding: model_update_vector(plan, plan.model.unflatten(update), blinding),
        witness=witness,
        advice=made.advice(plan),
    )
