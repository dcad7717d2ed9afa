"""The Poseidon gadget: the hash of the core and of circomlib, with no free wire."""

from __future__ import annotations

import numpy as np
import pytest

from fedproof import _core
from fedproof.proving.lin import Lin
from fedproof.proving.r1cs import FrArray
from fedproof.statements.poseidon import poseidon_cost, poseidon_hash
from tests.support.mutation import unnoticed_wires
from tests.support.occurrences import broken_occurrences
from tests.support.soundness import Forger, Forgery, add, broken_rules

# circomlib's test/poseidoncircuit.js and test/poseidon.js of circomlibjs, for (1), (1, 2), (1, 2, 3, 4)
PUBLISHED = {
    1: 0x29176100EAA962BDC1FE6C654D6A3C130E96A4D1168B33848B897DC502820133,
    2: 0x115CC0F5E7D690413DF64C6B9662E9CF2A3617F2743245519E19607A4417189A,
    4: 0x299C867DB6C1FDD79DCEFA40E4510B9837E60EBB1CE0663DBAA525DF65250465,
}


def hashed(cs: Forger, inputs: list[int], arity: int, gate: list[int] | None = None) -> Lin:
    wires = cs.private((len(inputs) // arity, arity), inputs, "inputs")
    gates = None if gate is None else cs.private((len(gate),), gate, "gate")
    return poseidon_hash(cs, wires, "hash", gates)


@pytest.mark.parametrize("arity", PUBLISHED)
def test_equals_the_published_vectors(arity: int) -> None:
    cs = Forger()
    out = hashed(cs, list(range(1, arity + 1)), arity)
    assert _core.fr_to_ints(cs.value(out)) == [PUBLISHED[arity]]


@pytest.mark.parametrize(("arity", "cost"), [(1, 213), (2, 240), (3, 261), (4, 297)])
@pytest.mark.parametrize("n", [1, 3, 17])
def test_equals_the_core_and_costs_what_it_says(arity: int, cost: int, n: int) -> None:
    cs = Forger()
    edges = [0, 1, _core.MODULUS - 1]
    inputs = edges[: n * arity] + _core.fr_to_ints(_core.fr_random(n * arity))[len(edges[: n * arity]) :]
    out = hashed(cs, inputs, arity)
    assert np.array_equal(cs.value(out), _core.poseidon(_core.fr_from_ints(inputs), arity))
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == n * cost == n * poseidon_cost(arity)


def test_tells_the_order_of_its_inputs() -> None:
    outs = []
    for inputs in ([1, 2], [2, 1]):
        cs = Forger()
        outs.append(_core.fr_to_ints(cs.value(hashed(cs, inputs, 2))))
    assert outs[0] != outs[1]


@pytest.mark.parametrize("by", [1, -1, 2**200 + 5])
@pytest.mark.parametrize("arity", PUBLISHED)
def test_every_mutated_wire_is_noticed(arity: int, by: int) -> None:
    cs = Forger()
    hashed(cs, list(range(11, 11 + 3 * arity)), arity)
    assert unnoticed_wires(cs, by) == set()


@pytest.mark.parametrize("part", ["hash/square", "hash/fourth", "hash/fifth"])
def test_rejects_a_power_of_the_provers_choice(part: str) -> None:
    cs = Forger({part: add(1, at=50)})
    hashed(cs, [3, 4], 2)
    assert broken_rules(cs) == {"hash"}


@pytest.mark.parametrize("gate", [None, [1, 1]])
@pytest.mark.parametrize("place", range(3))
def test_rejects_each_power_alone(place: int, gate: list[int] | None) -> None:
    """The square, the fourth and the fifth power of the last box, with the higher powers taken of the false one."""
    honest = Forger()
    hashed(honest, [3, 4, 5, 6], 2, gate)
    square, fourth, fifth = (honest.ints(f"hash/{part}")[-1] for part in ("square", "fourth", "fifth"))
    into = fifth * pow(fourth, -1, _core.MODULUS)
    false = [square, fourth, fifth]
    false[place] += 1
    if place < 1:
        false[1] = false[0] ** 2
    if place < 2:
        false[2] = false[1] * into
    cs = Forger(
        {f"hash/{part}": put_last(value) for part, value in zip(("square", "fourth", "fifth"), false, strict=True)}
    )
    hashed(cs, [3, 4, 5, 6], 2, gate)
    assert broken_occurrences(cs) == {("hash", place)}


def put_last(value: int) -> Forgery:
    def forge(_: Forger, values: FrArray) -> FrArray:
        values[-1] = _core.fr_from_ints([value])[0]
        return values

    return forge


def test_an_open_gate_changes_nothing_and_a_closed_one_leaves_only_zeros() -> None:
    cs = Forger()
    out = hashed(cs, [1, 2, 0, 0, 1, 2], 2, gate=[1, 0, 1])
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert _core.fr_to_ints(cs.value(out)) == [PUBLISHED[2], 0, PUBLISHED[2]]
    for part in ("hash/square", "hash/fourth", "hash/fifth"):
        values = cs.ints(part)
        boxes = len(values) // 3
        assert not any(values[boxes : 2 * boxes])
        assert all(values[:boxes])


def test_rejects_a_gate_opened_under_the_zeros_of_a_closed_one() -> None:
    cs = Forger()
    hashed(cs, [0, 0], 2, gate=[0])
    cs.assign(cs.made["gate"][0], [1])
    assert broken_rules(cs) == {"hash"}


def test_an_assignment_alone_gives_the_same_witness() -> None:
    both, alone = Forger(), Forger()
    alone.structure = False
    for cs in (both, alone):
        hashed(cs, [5, 6, 7, 8], 4)
    assert np.array_equal(both.witness(), alone.witness())
    assert both.groups == alone.groups


def test_the_search_for_free_wires_finds_them() -> None:
    cs = Forger()
    hashed(cs, [1, 2], 2)
    cs.private((3,), [7, 8, 9], "in no constraint")
    zero = cs.private((), [0], "zero")
    times = cs.private((), [5], "times zero")
    cs.constrain(zero, times, 0, "one of them is zero")
    assert unnoticed_wires(cs, 1) == {"in no constraint", "times zero"}
