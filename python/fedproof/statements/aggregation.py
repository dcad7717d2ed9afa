"""Aggregation: the new model is the rounded average of the accepted updates, weighted by rows (protocol, section 5).

Public inputs
    sigma, y; lambda = sigma^(2^24) is computed here

External commitments and numbers, linked by `y = q(sigma) + lambda rem(sigma) + lambda^2 N`
    lambda^0: C_W' - C_W, the step q
    lambda^1: C_S - N (C_W' - C_W), the remainder, where C_S = sum_i n_i C_U,i
    lambda^2: N, the sum of the n_i

Statement
    With N = 2h + e: `S = N q + rem`, `-h <= rem < N - h` at every weight, q within the range of its layer; q has
    coefficients at weight positions only (a public model carries no blinding), rem at weights and at the blinding of
    the updates. Nothing anywhere else: not in the gaps between the outputs of a layer that trains in groups of rows.

Cost, with P weights in all layers and k limbs of q
    (k + 6) P lookups of 10-bit limbs, 1024 rows of the table, about 3 P for the evaluation, 24 for lambda

Why it is sound
    q, rem and N lie in the committed segment, fixed before sigma, so that the link makes q and rem *the* coefficients
    of the two external polynomials, and N the number that everybody knows. Then S = N q + rem holds mod r coefficient
    by coefficient. |S| <= N * update_bound because every update's proof bounds its entries; `|N q + rem| <= N q_max +
    N < r / 2` by the ranges here; so the equation holds over the integers, and with the range of rem it has one
    solution: W' is a function of S and W, which any worker can rebuild. Without the range of q every rem would give
    some W'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.errors import InputError
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import RANGE_BITS, Int
from fedproof.learning.plans import Plan
from fedproof.proving.lin import Lin, concatenate
from fedproof.proving.lookup import Table
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import LAMBDA_SQUARINGS
from fedproof.statements.layout import UPDATE_BLINDING, WeightLayout
from fedproof.statements.models.challenge import GROUP, offset_powers, output_powers

NAME = "aggregation/public"
VERSION = 2
COUNT_LIMBS = 3  # N < 2^30


@final
@dataclass(frozen=True, repr=False)
class AggregationWitness:
    """What the leader knows: the sum only.

    Attributes:
        count: N, the sum of the accepted row counts.
        quotient, remainder: a value for each weight in the order of rising positions, `(columns,)` for logistic
            regression, else `(parameters,)`; see `divide`.
        blinding: `(3, 4)` field elements, the sum's coefficients at the blinding positions.
    """

    count: int
    quotient: Int
    remainder: Int
    blinding: FrArray


def divide(total: Int, count: int) -> tuple[Int, Int]:
    """`S = N q + rem` with `-h <= rem < N - h`, h = N // 2: the rounded average and what is left, shapes as `total`."""
    half = count // 2
    quotient = np.floor_divide(total + half, count)
    return quotient, total - count * quotient


class AggregationStatement:
    """The aggregation circuit for the layers of a model.

    Args:
        columns: weights of a logistic regression, one layer of one output; others are made by `of`.
        update_bound: no entry of an update is larger in magnitude.

    Raises:
        InputError: the bound is too large for integers to be exact.
    """

    name = NAME
    version = VERSION

    def __init__(self, columns: int, update_bound: int) -> None:
        self.layout = WeightLayout(columns)
        self._fix(((columns, 1),), 1, (update_bound,))

    @classmethod
    def of(cls, plan: Plan) -> AggregationStatement:
        """The circuit for updates of a plan, each layer with its own bound; a bounded update is one layer.

        Raises:
            InputError: a bound is too large for integers to be exact.
        """
        if isinstance(plan, BoundedPlan):
            return cls(plan.parameters, plan.entry_limit)
        made = cls.__new__(cls)
        made.layout = WeightLayout(plan.offset(plan.depth))
        made._fix(plan.model.layers, plan.group, [plan.update_bound(layer) for layer in range(plan.depth)])
        return made

    def _fix(self, layers: Sequence[tuple[int, int]], group: int, bounds: Sequence[int]) -> None:
        self.layers, self.group = tuple(layers), group
        self.limbs = tuple(-(-(bound.bit_length() + 1) // RANGE_BITS) for bound in bounds)
        if 2 ** (RANGE_BITS * (COUNT_LIMBS + max(self.limbs))) * 4 >= 2**250:
            raise InputError("the update bound is too large for the aggregation statement")

    @property
    def sizes(self) -> list[int]:
        """Weights of each layer."""
        return [inputs * outputs for inputs, outputs in self.layers]

    @property
    def quotient_limbs(self) -> int:
        """Limbs of q in the first layer."""
        return self.limbs[0]

    @property
    def quotient_offset(self) -> int:
        """q of the first layer lies in `[-offset, offset)`."""
        return quotient_offset(self.limbs[0])

    def synthesize(self, cs: ConstraintSystem, witness: AggregationWitness | None) -> None:
        """Declare all wires and constraints; with a witness, assign them."""
        w, size = witness, sum(self.sizes)
        sigma, y = cs.public("sigma"), cs.public("y")
        count = cs.committed((), None if w is None else [w.count], "N")
        limb = cs.table("limb", np.arange(2**RANGE_BITS, dtype=np.int64))
        half_value = None if w is None else np.array([w.count // 2], dtype=np.int64)
        half = self._limbs(cs, limb, half_value, 1, COUNT_LIMBS, "h")[0]
        odd = cs.committed((), None if w is None else [w.count % 2], "e")
        quotient = self._quotient(cs, limb, w)
        lifted = None if w is None else w.remainder + w.count // 2
        above = self._limbs(cs, limb, lifted, size, COUNT_LIMBS, "rem above")
        rest = None if w is None or lifted is None else w.count - 1 - lifted
        below = self._limbs(cs, limb, rest, size, COUNT_LIMBS, "rem below")
        blinding = cs.committed((UPDATE_BLINDING,), w and w.blinding, "blinding of S")
        lam = cs.challenges(sigma)

        cs.constrain(odd, 1 - odd, 0, "N/parity is boolean")
        cs.equal(half * 2 + odd, count, "N/halves")
        cs.equal(above + below, count - 1, "rem/below N")  # with both at least 0: 0 <= rem + h <= N - 1
        places = _Places(cs, self.layers, self.group, sigma)
        quotient_at = places.evaluate(quotient, None, "evaluation/quotient")
        remainder_at = places.evaluate(above - half, blinding, "evaluation/remainder")
        inner = remainder_at + cs.product(count, lam, "evaluation/lambda")
        result = quotient_at + cs.product(inner, lam, "evaluation/lambda")
        if cs.assigning:
            cs.assign(y, cs.value(result))
        cs.equal(result, y, "evaluation/output")

    def _quotient(self, cs: ConstraintSystem, limb: Table, w: AggregationWitness | None) -> Lin:
        """q of all weights, each layer in its own range."""
        out, first = [], 0
        for size, limbs in zip(self.sizes, self.limbs, strict=True):
            offset = quotient_offset(limbs)
            values = None if w is None else w.quotient[first : first + size]
            if values is not None:
                # an offset beyond 63 bits only in Python's integers
                values = values + offset if offset < 2**62 else values.astype(object) + offset
            out.append(self._limbs(cs, limb, values, size, limbs, "q") - offset)
            first += size
        return concatenate(out) if len(out) > 1 else out[0]

    @staticmethod
    def _limbs(cs: ConstraintSystem, table: Table, values: Int | None, size: int, limbs: int, name: str) -> Lin:
        """Committed limbs of `size` non-negative integers below `2^(10 limbs)`; returns the integers."""
        shifts = np.arange(limbs) * RANGE_BITS
        split = None if values is None else (values[:, None] >> shifts) & (2**RANGE_BITS - 1)
        wires = cs.committed((size, limbs), split, name)
        table.lookup(wires)
        return (wires * np.array([1 << int(shift) for shift in shifts], dtype=object)).sum(1)

    def cost(self) -> int:
        """Constraints of the circuit, without the rows of `[1 | x]` that the core appends."""
        size, depth = sum(self.sizes), len(self.layers)
        lookups = COUNT_LIMBS + 2 * COUNT_LIMBS * size + (1 << RANGE_BITS) + 1
        lookups += sum(n * limbs for n, limbs in zip(self.sizes, self.limbs, strict=True))
        # each weight but the very first, and each place of a layer but the first, takes a product
        evaluation = 2 * (size - 1) + UPDATE_BLINDING + 2 + 1 + LAMBDA_SQUARINGS
        outputs = [width for _, width in self.layers]
        powers = _run(self.layers) - 2 + (self.group - 1 if outputs[0] > 1 else 0)
        powers += sum(max(width - 2, 0) for width in outputs)
        powers += sum((width > 1) + (layer > 0) for layer, width in enumerate(outputs[: depth - 1]))
        return lookups + evaluation + powers + 1 + 1 + size + 1


def quotient_offset(limbs: int) -> int:
    """q of so many limbs lies in `[-offset, offset)`."""
    return int(2 ** (RANGE_BITS * limbs - 1))


def _run(layers: Sequence[tuple[int, int]]) -> int:
    """Powers of sigma from 0 that the evaluation of these layers and of the blinding reads."""
    inputs = [a for a, _ in layers]
    # sigma^a starts the next output or layer; the blinding goes on from the last output
    return max(inputs[-1] + UPDATE_BLINDING, *(a + 1 for a in inputs))


class _Places:
    """Evaluation at sigma of vectors in the layout of the weights."""

    def __init__(self, cs: ConstraintSystem, layers: Sequence[tuple[int, int]], group: int, sigma: Lin) -> None:
        self.cs, self.layers = cs, layers
        self.run = cs.powers(sigma, _run(layers), GROUP)
        a, b = layers[0]
        of_group = cs.one.reshape(1)
        if b > 1:
            of_group = cs.powers(cs.powers(self.run[a], group + 1, GROUP)[group], b, GROUP)
        self.outputs = output_powers(cs, layers, self.run, of_group)
        self.offset = offset_powers(cs, layers, self.run, self.outputs, len(layers) - 1)

    def evaluate(self, values: Lin, tail: Lin | None, group: str) -> Lin:
        """Value of all weights `(P,)` in rising positions, and of a tail that follows them."""
        total, first = self.cs.constant(0), 0
        for layer, (a, b) in enumerate(self.layers):
            weights = values[first : first + a * b].reshape(b, a)
            first += a * b
            ends = tail if layer == len(self.layers) - 1 else None
            total = total + self._layer(layer, self._outputs(weights, ends, group), group)
        return total

    def _outputs(self, weights: Lin, tail: Lin | None, group: str) -> Lin:
        """`sum_j sigma^j W_jk` of each output k, `(b,)` from `(b, a)`; a tail goes on from the last."""
        whole = weights if tail is None else weights[:-1]
        parts = []
        if whole.shape[0]:
            at = self.cs.product(whole[:, 1:], self.run[1 : whole.shape[1]], group)
            parts.append(whole[:, 0] + at.sum(1))
        if tail is not None:
            last = concatenate([weights[-1], tail])
            at = last[0] + self.cs.product(last[1:], self.run[1 : last.size], group).sum()
            parts.append(at.reshape(1))
        return concatenate(parts)

    def _layer(self, layer: int, at: Lin, group: str) -> Lin:
        """`sigma^O_l sum_k sigma^(g a k) at_k`, one value."""
        out = at[0]
        if at.size > 1:
            out = out + self.cs.product(at[1:], self.outputs[layer][1:], f"{group} of an output").sum()
        return self.cs.product(out, self.offset[layer], f"{group} of a layer") if layer else out
