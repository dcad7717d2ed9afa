"""Toy training and aggregation: the public inputs, committed segments and links of the real ones, with no learning.

A toy prover can prove any vectors. So whatever the federation refuses, it refuses by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from fedproof import _core
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from tests.contracts import toy

DATASET = 16
"""Coefficients of a masked dataset, masks included."""
WEIGHTS = 3
UPDATE = WEIGHTS + 3


@dataclass(frozen=True)
class ToyTrainingWitness:
    dataset: FrArray
    model: FrArray
    update: FrArray


class ToyTraining:
    """Public sigma, lambda, y: `y = X'(sigma) + lambda W(sigma) + lambda^2 U(sigma)`."""

    version = 1

    def __init__(self, name: str = "toy training") -> None:
        self.name = name

    def synthesize(self, cs: ConstraintSystem, witness: ToyTrainingWitness | None) -> None:
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        dataset = cs.committed((DATASET,), witness and witness.dataset, "X")
        model = cs.committed((WEIGHTS,), witness and witness.model, "W")
        update = cs.committed((UPDATE,), witness and witness.update, "U")
        cs.challenges(sigma, lam)
        powers = cs.powers(sigma, DATASET, "powers")
        at = [
            each[0] + cs.product(each[1:], powers[1 : each.size], "evaluation").sum()
            for each in (dataset, model, update)
        ]
        inner = at[1] + cs.product(at[2], lam, "fold")
        value = at[0] + cs.product(inner, lam, "fold")
        if cs.assigning:
            cs.assign(y, cs.value(value))
        cs.equal(value, y, "output")


@dataclass(frozen=True)
class ToyAggregationWitness:
    count: int
    quotient: FrArray
    remainder: FrArray


class ToyAggregation:
    """Public sigma, y: `y = q(sigma) + lambda rem(sigma) + lambda^2 N`, lambda = sigma^(2^30); N is free."""

    version = 1

    def __init__(self, name: str = "toy aggregation") -> None:
        self.name = name

    def synthesize(self, cs: ConstraintSystem, witness: ToyAggregationWitness | None) -> None:
        sigma, y = cs.public("sigma"), cs.public("y")
        count = cs.committed((), None if witness is None else [witness.count], "N")
        quotient = cs.committed((WEIGHTS,), witness and witness.quotient, "q")
        remainder = cs.committed((UPDATE,), witness and witness.remainder, "rem")
        lam = cs.challenges(sigma)
        powers = cs.powers(sigma, UPDATE, "powers")
        at = [
            each[0] + cs.product(each[1:], powers[1 : each.size], "evaluation").sum() for each in (quotient, remainder)
        ]
        value = at[0] + cs.product(at[1] + cs.product(count, lam, "fold"), lam, "fold")
        if cs.assigning:
            cs.assign(y, cs.value(value))
        cs.equal(value, y, "output")


@cache
def training_keys(name: str = "toy training") -> Keys:
    return setup(compile_statement(ToyTraining(name)), toy.srs(), toy.MASK_POSITION)


@cache
def aggregation_keys(name: str = "toy aggregation") -> Keys:
    return setup(compile_statement(ToyAggregation(name)), toy.srs())


@cache
def shared_keys() -> tuple[Keys, Keys]:
    """Training and aggregation keys with one alpha and one beta, as a ceremony makes them."""
    dealer = _core.Dealer()
    training = setup(compile_statement(ToyTraining()), toy.srs(), toy.MASK_POSITION, dealer=dealer)
    return training, setup(compile_statement(ToyAggregation()), toy.srs(), dealer=dealer)


def weighted(factor: int, vector: FrArray) -> FrArray:
    return _core.fr_mul(vector, _core.fr_from_ints([factor]))


def padded(vector: FrArray, size: int) -> FrArray:
    out = np.zeros((size, 4), dtype=np.uint64)
    out[: len(vector)] = vector
    return out
