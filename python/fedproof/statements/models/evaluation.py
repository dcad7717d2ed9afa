"""The link: what the commitments to dataset, model and update open to (docs/training.md, section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from fedproof.learning.cost import UPDATE_BLINDING
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.models.challenge import Powers
from fedproof.statements.models.dense import DenseLayer
from fedproof.statements.models.first_layer import Dataset
from fedproof.statements.models.gadgets import dot


def evaluate_layers(cs: ConstraintSystem, powers: Powers, values: Sequence[Lin], late: Lin | None, group: str) -> Lin:
    """`sum_l sigma^(O_l) (p . values_l)`, values of shape `(a_l,)`; `late` is taken off the first layer's."""
    total = dot(cs, values[0], powers.run[: values[0].size], group)
    if late is not None:
        total = total - late
    for layer, vector in enumerate(values[1:], start=1):
        at = dot(cs, vector, powers.run[: vector.size], group)
        total = total + cs.product(at, powers.offset[layer], f"{group} of a layer")
    return total


def link(
    cs: ConstraintSystem,
    powers: Powers,
    data: Dataset,
    layers: Sequence[DenseLayer],
    late: Lin | None,
    blinding: Lin,
    lam: Lin,
) -> Lin:
    """`X(sigma) + lambda W(sigma) + lambda^2 U(sigma)`: the value that the three commitments open to."""
    start = evaluate_layers(cs, powers, [layer.start for layer in layers], None, "evaluation/weights")
    moved = [layer.now - layer.start for layer in layers]
    update = evaluate_layers(cs, powers, moved, late, "evaluation/update")
    tail = dot(cs, blinding, powers.run[:UPDATE_BLINDING], "evaluation/blinding")
    update = update + cs.product(tail, powers.offset[-1], "evaluation/blinding")
    inner = start + cs.product(update, lam, "evaluation/lambda")
    return data.at + cs.product(inner, lam, "evaluation/lambda")
