"""Statements with the public inputs of the real ones and next to no content, for fast real keys and real proofs.

A toy prover can prove any public inputs. So whatever a contract refuses, it refuses by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from fedproof import _core
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import LinkedProof, prove_linked, prove_plain
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import Challenges

VECTOR = 5
MASK_POSITION = 7


@dataclass(frozen=True)
class ToyListingWitness:
    rows: int
    vector: FrArray


class ToyListing:
    """Public n, sigma, lambda, y: `y = v(sigma)` for a committed vector v; n is free."""

    version = 1

    def __init__(self, name: str = "toy listing") -> None:
        self.name = name

    def synthesize(self, cs: ConstraintSystem, witness: ToyListingWitness | None) -> None:
        count = cs.public("n", witness and witness.rows)
        sigma, lam, y = cs.public("sigma"), cs.public("lambda"), cs.public("y")
        vector = cs.committed((VECTOR,), witness and witness.vector, "v")
        cs.challenges(sigma, lam)
        cs.product(count, count, "n")
        powers = cs.powers(sigma, VECTOR, "powers")
        value = vector[0] + cs.product(vector[1:], powers[1:], "evaluation").sum()
        if cs.assigning:
            cs.assign(y, cs.value(value))
        cs.equal(value, y, "evaluation")


class _ToyPlain:
    """Public inputs that are all free."""

    version = 1
    inputs: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def synthesize(self, cs: ConstraintSystem, witness: list[int] | None) -> None:
        for k, name in enumerate(self.inputs):
            wire = cs.public(name, witness and witness[k])
            cs.product(wire, wire, name)


class ToyEligibility(_ToyPlain):
    """Public root, scope, nullifier, threshold, signal, epoch: all free."""

    inputs = ("root", "scope", "nullifier", "threshold", "signal", "epoch")

    def __init__(self, name: str = "toy eligibility") -> None:
        super().__init__(name)


class ToySpend(_ToyPlain):
    """Public root, nullifiers, leaves, withdrawn, epoch, signal: all free."""

    inputs = ("root", "nullifier 1", "nullifier 2", "leaf 1", "leaf 2", "withdrawn", "epoch", "signal")

    def __init__(self, name: str = "toy spend") -> None:
        super().__init__(name)


@cache
def srs() -> _core.Srs:
    return _core.Srs.generate(16, [1, MASK_POSITION], seed=b"\x01" * 32)


@cache
def listing_keys(name: str = "toy listing", mask_position: int | None = None) -> Keys:
    return setup(compile_statement(ToyListing(name)), srs(), mask_position)


@cache
def eligibility_keys(name: str = "toy eligibility") -> Keys:
    return setup(compile_statement(ToyEligibility(name)), srs())


@cache
def spend_keys(name: str = "toy spend") -> Keys:
    return setup(compile_statement(ToySpend(name)), srs())


def vector(seed: int = 1) -> FrArray:
    return _core.fr_random(VECTOR, seed.to_bytes(32, "big"))


def prove_listing(
    rows: int,
    values: FrArray,
    challenge: Callable[[bytes], Challenges],
    keys: Keys | None = None,
    external: FrArray | None = None,
) -> LinkedProof:
    """A listing proof of `rows` about `values`, linked to `external` (default: the same)."""
    keys = keys or listing_keys()
    statement = ToyListing(keys.circuit.name)
    return prove_linked(
        keys, statement, ToyListingWitness(rows, values), srs(), [values if external is None else external], challenge
    )


def prove_eligibility(public: list[int], keys: Keys | None = None) -> bytes:
    """An eligibility proof of any public inputs."""
    keys = keys or eligibility_keys()
    proof, inputs = prove_plain(keys, ToyEligibility(keys.circuit.name), public)
    assert inputs == public
    return proof


def prove_spend(public: list[int], keys: Keys | None = None) -> bytes:
    """A spend proof of any public inputs."""
    keys = keys or spend_keys()
    proof, inputs = prove_plain(keys, ToySpend(keys.circuit.name), public)
    assert inputs == public
    return proof
