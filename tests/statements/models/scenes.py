"""Small runs of every kind of model on which the training statement is tried and attacked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from fedproof import _core
from fedproof.learning import exact
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.cost import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.learning.exact import ModelTrace
from fedproof.learning.fixed import BATCH, Int
from fedproof.learning.plan import TrainingPlan
from fedproof.statements.models.statement import ModelStatement, ModelWitness
from tests.learning.scenes import make_plan, records

SCENES: dict[str, tuple[Model, dict[str, int]]] = {
    "linear": (Model.linear(4), {}),
    "linear, groups of one": (Model.linear(4), {"group": 1}),
    "logistic": (Model.logistic(4), {}),
    "logistic, groups of two": (Model.logistic(3), {"group": 2}),
    "softmax": (Model.softmax(3, 4), {"group": 4}),
    "softmax, groups of one": (Model.softmax(3, 3), {"group": 1}),
    "softmax of two classes": (Model.softmax(3, 2), {"group": 32}),
    "perceptron of one output": (Model.perceptron(3, [4], 1), {}),
    "perceptron of classes": (Model.perceptron(4, [5], 3), {"group": 8}),
    "perceptron of a target": (Model.perceptron(3, [4], 1, SQUARED), {"group": 1}),
    "perceptron of two units": (Model.perceptron(3, [2], 2), {}),
    "deep perceptron": (Model.perceptron(3, [5, 4], 3), {}),
    "deep perceptron of one output": (Model.perceptron(3, [4, 3], 1), {"group": 4}),
}
ROWS = 64
IN_BATCH = 7
"""The row of its batch that lies."""


def witness_of(trace: ModelTrace) -> ModelWitness:
    """A witness with fresh blinding."""
    masks = DATASET_BLINDING + trace.plan.mask_count
    return ModelWitness(trace, _core.fr_random(masks), _core.fr_random(UPDATE_BLINDING))


@dataclass(frozen=True)
class Scene:
    """Two batches of real rows and an honest run over them.

    The first feature is zero in every row, and so are its weights; unit 0 of each hidden layer is off in every row, and
    nothing reads it. Lies about what has no effect on an honest run need such places.
    """

    name: str
    plan: TrainingPlan
    features: Int
    mask: Int
    labels: Int
    start: tuple[Int, ...]
    trace: ModelTrace

    @property
    def statement(self) -> ModelStatement:
        """The circuit."""
        return ModelStatement(self.plan)

    @property
    def row(self) -> int:
        """The row that lies, in the last batch."""
        return self.plan.rows - BATCH + IN_BATCH

    def run(self, start: tuple[Int, ...]) -> ModelTrace:
        """An honest run from other weights."""
        return exact.train(self.plan, self.features, self.mask, self.labels, start)


@cache
def scene(name: str) -> Scene:
    """The scene of a name."""
    model, changes = SCENES[name]
    plan = make_plan(model, ROWS, 1, **changes)
    features, mask, labels = records(plan, ROWS)
    features[:, 0] = 0
    start = [matrix * (300 if plan.depth == 1 else 1) for matrix in plan.start(5)]
    start[0][0] = 0
    for layer in range(plan.depth - 1):
        start[layer][:, 0] = 0
        start[layer][-1, 0] = -2 * plan.scales[layer].weight_scale
        start[layer + 1][0] = 0
    trace = exact.train(plan, features, mask, labels, tuple(start))
    return Scene(name, plan, features, mask, labels, tuple(start), trace)


def copied(trace: ModelTrace) -> ModelTrace:
    """The same run in arrays of its own."""
    hidden = tuple(replace(each, **{k: v.copy() for k, v in vars(each).items()}) for each in trace.hidden)
    head = replace(trace.head, **{k: v.copy() for k, v in vars(trace.head).items()})
    return replace(trace, hidden=hidden, head=head, delta=trace.delta.copy())
