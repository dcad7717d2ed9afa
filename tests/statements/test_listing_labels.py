"""Listings of classes and targets: what they accept and cost, and for every rule of their labels a forgery."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.learning.fixed import Int, TrainingSpec
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey, setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.r1cs import ConstraintSystem, FrArray
from fedproof.proving.transcript import Challenges
from fedproof.statements.labels import BINARY, TARGET, LabelKind
from fedproof.statements.layout import DATASET_BLINDING, DatasetLayout
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.vectors import dataset_vector
from tests.statements.conftest import make_witness
from tests.statements.test_training import evaluate
from tests.support.determined import free_after_the_challenges
from tests.support.mutation import unnoticed_wires
from tests.support.occurrences import attacked_by_one_wire, occurrences
from tests.support.pyecc import groth16_holds, link_holds
from tests.support.soundness import SIGMA, Forger, assert_only_rule_notices, broken_rules, forged, put

FIVE = LabelKind.of_classes(5)
KINDS = [BINARY, LabelKind.of_classes(3), FIVE, TARGET]
KIND_IDS = [str(kind) for kind in KINDS]
LOOKED_UP = {FIVE: ("class", 0), TARGET: ("feature", 1)}
"""The table of a kind's labels, and their place among its lookups."""
OUTSIDE = [
    (FIVE, 5), (FIVE, -1), (FIVE, 1024), (FIVE, _core.MODULUS // 2), (TARGET, -2049), (TARGET, 2048), (TARGET, 1 << 70),
]  # fmt: skip
ROW, PADDING = 4, 31


def witness(kind: LabelKind, rows: int = 32, columns: int = 3, real: int = 29) -> ListingWitness:
    """Random records with labels at both ends of their range."""
    w = make_witness(TrainingSpec(rows, columns, mask_count=2), real=real)
    low, high = kind.bounds
    labels: Int = np.random.default_rng(rows).integers(low, high, rows) * w.mask
    labels[: min(real, 2)] = [low, high - 1][: min(real, 2)]
    kind.check(labels, w.mask)
    return ListingWitness(w.features, w.mask, labels, _core.fr_random(DATASET_BLINDING))


def with_label(w: ListingWitness, value: int, row: int) -> Callable[[Forger, FrArray], FrArray]:
    """The labels with another one in a row."""
    labels = w.labels.tolist()
    labels[row] = value
    return put(labels)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
@pytest.mark.parametrize(("rows", "columns", "real"), [(32, 2, 0), (32, 2, 1), (64, 5, 63), (32, 40, 32)])
def test_accepts_labels_of_its_kind_and_costs_what_it_says(kind: LabelKind, rows: int, columns: int, real: int) -> None:
    w, statement = witness(kind, rows, columns, real), ListingStatement(rows, columns, kind)
    cs = forged(statement, w)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    records = np.concatenate([w.features, w.mask[:, None]], axis=1).reshape(-1)
    vector = [*records.tolist(), *w.labels.tolist(), *_core.fr_to_ints(w.blinding)]
    public = cs.public_values()
    assert (public[0], public[3]) == (real, evaluate(vector, SIGMA))


def test_the_law_of_the_docstring() -> None:
    for kind, more in zip(KINDS, (0, 3, 5, 0), strict=True):
        for n, a in ((32, 2), (256, 31), (64, 64)):
            assert ListingStatement(n, a, kind).cost() == 2 * n * (a - 1) + 4096 + 9 * n + 2 + more


@pytest.mark.parametrize(("kind", "value"), [(FIVE, 0), (FIVE, 4), (TARGET, -2048), (TARGET, 2047)])
def test_accepts_a_label_at_the_edge(kind: LabelKind, value: int) -> None:
    w = witness(kind)
    cs = forged(ListingStatement(32, 3, kind), w, {"labels": with_label(w, value, ROW)})
    assert broken_rules(cs) == set()


@pytest.mark.parametrize(("kind", "value"), OUTSIDE)
def test_rejects_a_label_out_of_range(kind: LabelKind, value: int) -> None:
    statement, w = ListingStatement(32, 3, kind), witness(kind)
    lie = {"labels": with_label(w, value, ROW)}
    table, place = LOOKED_UP[kind]
    assert_only_rule_notices(forged(statement, w, lie), "lookup/sum")
    calls: list[int] = []

    def forget(_: Forger, values: FrArray) -> FrArray:
        if len(calls) == place:
            values[ROW] = 0
        calls.append(1)
        return values

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        inverse = np.ascontiguousarray(cs.value(cs.made[f"lookup/{table}/input"][place])[ROW : ROW + 1])
        values[0] = _core.fr_add(values[:1], inverse)[0]
        return values

    for name, hide in ((f"lookup/{table}/input", forget), (f"lookup/{table}/row", absorb)):
        assert_only_rule_notices(forged(statement, w, {**lie, name: hide}), name)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_rejects_a_label_in_padding(kind: LabelKind) -> None:
    statement, w = ListingStatement(32, 3, kind), witness(kind)
    for value in (1, kind.bounds[1] - 1, kind.bounds[0] or 1):
        cs = forged(statement, w, {"labels": with_label(w, value, PADDING)})
        assert_only_rule_notices(cs, "labels/padding")


def test_every_kind_has_a_circuit_id_of_its_own() -> None:
    kinds = [*KINDS, LabelKind.of_classes(4)]
    assert len({compile_statement(ListingStatement(32, 3, kind)).circuit_id for kind in kinds}) == len(kinds)


def test_an_honest_assignment_refuses_what_no_table_holds() -> None:
    for kind, value in ((FIVE, 5), (TARGET, 2048)):
        w = witness(kind)
        w.labels[0] = value
        cs = ConstraintSystem(structure=False, challenge=lambda _: (3, 4))
        with pytest.raises(ProofError, match=f"value {value} looked up"):
            ListingStatement(32, 3, kind).synthesize(cs, w)


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_every_wire_that_changes_is_noticed(kind: LabelKind) -> None:
    cs = forged(ListingStatement(32, 3, kind), witness(kind))
    assert unnoticed_wires(cs, 1) == set()
    assert unnoticed_wires(cs, -1) == set()


@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_nothing_is_left_to_choose_after_the_challenges(kind: LabelKind) -> None:
    assert free_after_the_challenges(forged(ListingStatement(32, 3, kind), witness(kind))) == set()


@pytest.mark.parametrize("kind", [FIVE, TARGET], ids=str)
def test_every_rule_of_labels_has_been_attacked(kind: LabelKind) -> None:
    """All other rules are those of binary labels, attacked in `test_listing.py`."""
    rules = set(forged(ListingStatement(32, 3, kind), witness(kind)).groups)
    known = set(forged(ListingStatement(32, 3), witness(BINARY)).groups)
    table, _ = LOOKED_UP[kind]
    assert known - rules == {"labels/boolean"}
    assert rules - known == ({f"lookup/{table}/input", f"lookup/{table}/row"} if table == "class" else set())


LEFT = {("mask/boolean", 0), ("mask/real rows first", 0), ("padding is zero", 0), ("evaluation/output", 0)}
"""Places that take more than one wire: `test_listing.py`."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [FIVE, TARGET], ids=str)
def test_every_place_of_a_rule_is_needed(kind: LabelKind) -> None:
    statement, w = ListingStatement(32, 3, kind), witness(kind)
    every = set(occurrences(forged(statement, w)))
    assert {(f"lookup/{LOOKED_UP[kind][0]}/input", LOOKED_UP[kind][1]), ("labels/padding", 0)} <= every
    assert every - attacked_by_one_wire(statement, w) <= LEFT


@dataclass(frozen=True)
class Proven:
    """A listing with all that its verifier knows, and the commitment to another label."""

    vk: VerifyingKey
    drawn: Challenges
    proof: LinkedProof
    commitment: bytes
    other: bytes


@cache
def proven(kind: LabelKind) -> Proven:
    """A dataset of 29 rows, listed with keys of one dealer."""
    statement, w = ListingStatement(32, 3, kind), witness(kind)
    srs = _core.Srs.generate(DatasetLayout(32, 3).size(), [1])
    keys = setup(compile_statement(statement), srs)
    vector = dataset_vector(w.features, w.mask, w.labels, w.blinding)
    labels = w.labels.copy()
    labels[ROW] += 1
    commitment, other = srs.commit(vector), srs.commit(dataset_vector(w.features, w.mask, labels, w.blinding))

    def challenge(d: bytes) -> Challenges:
        hashed = (_core.keccak256(name + d + commitment) for name in (b"sigma", b"lambda"))
        return Challenges(*(int.from_bytes(digest, "big") % _core.MODULUS for digest in hashed))

    proof = prove_linked(keys, statement, w, srs, [vector], challenge)
    return Proven(keys.verifying, challenge(proof.d), proof, commitment, other)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=KIND_IDS)
def test_a_listing_verifies_for_its_own_rows_labels_and_key_alone(kind: LabelKind) -> None:
    p = proven(kind)
    check_linked(p.vk, [29], p.drawn, p.proof, [p.commitment])
    with pytest.raises(ProofError, match="link"):
        check_linked(p.vk, [29], p.drawn, p.proof, [p.other])
    with pytest.raises(ProofError):
        check_linked(p.vk, [30], p.drawn, p.proof, [p.commitment])
    for other in KINDS:
        if other != kind:
            with pytest.raises(ProofError, match="does not verify"):
                check_linked(proven(other).vk, [29], p.drawn, p.proof, [p.commitment])


@pytest.mark.slow
def test_py_ecc_accepts_a_listing_of_targets() -> None:
    p = proven(TARGET)
    assert groth16_holds(p.vk, [29, *p.drawn, p.proof.y], p.proof)
    assert link_holds(p.vk, *p.drawn, p.proof, [p.commitment])
    assert not groth16_holds(p.vk, [30, *p.drawn, p.proof.y], p.proof)
    assert not link_holds(p.vk, *p.drawn, p.proof, [p.other])
