"""Attacks on the circuits, lines 1 to 6 of the table in docs/security.md. Forged proofs are in `test_forgeries.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.learning import sgd
from fedproof.learning.fixed import TrainingSpec, sigmoid_table
from fedproof.learning.sgd import Trace
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import Challenges
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.bounded import BoundedStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.training import TrainingStatement, TrainingWitness
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from tests.contracts.support import R
from tests.learning.bounded import PLAN
from tests.statements.conftest import make_witness
from tests.statements.holders import holding
from tests.statements.test_aggregation import BOUND
from tests.statements.test_aggregation import witness as average
from tests.statements.test_bounded import witness as bounded
from tests.support.determined import free_after_the_challenges
from tests.support.mutation import unnoticed_wires
from tests.support.soundness import Forger, Forgery, assert_only_rule_notices, broken_rules, forged, put

SPEC = TrainingSpec(rows=64, columns=2, epochs=1, mask_count=2)
STATEMENT = TrainingStatement(SPEC)


@cache
def honest() -> TrainingWitness:
    return make_witness(SPEC, seed=41, real=60)


def listing() -> tuple[ListingStatement, ListingWitness]:
    w = make_witness(TrainingSpec(32, 2), real=17)
    return ListingStatement(32, 2), ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))


CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "training": lambda: (STATEMENT, honest()),
    "listing": listing,
    "aggregation": lambda: (AggregationStatement(4, BOUND), average(np.array([3, -(10**11), 0, 5]), 1001)),
    "bounded": lambda: (BoundedStatement(PLAN), bounded()),
    "eligibility": lambda: (EligibilityStatement(depth=2, notes=2), holding([7, 8], size=4)),
}


@cache
def assigned(name: str) -> Forger:
    return forged(*CASES[name]())


# 1


@pytest.mark.parametrize("by", [-1, 2**200], ids=["less one", "a large step"])
@pytest.mark.parametrize("name", CASES)
def test_every_cell_of_a_witness_is_held_by_some_rule(name: str, by: int) -> None:
    """None is free but for what an empty slot of an eligibility proof names: it counts for nothing there."""
    assert unnoticed_wires(assigned(name), by) == set()


# 2

NEEDS_A_CONSISTENT_LIE = {
    "listing": {"lookup/feature/input", "lookup/feature/row"},
    "aggregation": {"lookup/limb/input", "lookup/limb/row"},
    "bounded": {"lookup/limb/input", "lookup/limb/row", "norm/square"},
}
"""Attacked one by one in tests/statements, as are the rules that make no wires."""


@pytest.mark.parametrize("name", NEEDS_A_CONSISTENT_LIE)
def test_each_rule_that_makes_wires_is_the_only_one_to_notice_one_of_them(name: str) -> None:
    """With such a rule left out, the circuit takes the forged wire."""
    statement, witness = CASES[name]()
    made = {rule: len(assigned(name).made[rule]) for rule in assigned(name).groups if rule in assigned(name).made}
    found = set()
    for rule, count in made.items():
        for number, at in ((count, -1), (1, 0)):
            cs = forged(statement, witness, {rule: one_more(number, at)})
            if broken_rules(cs) == {rule}:
                assert cs.build(without=rule).first_unsatisfied(cs.witness()) is None
                found.add(rule)
                break
    assert made.keys() - found == NEEDS_A_CONSISTENT_LIE[name]


def one_more(number: int, at: int) -> Forgery:
    """Add one to a wire of the allocation of this number under a name."""
    calls: list[int] = []

    def forge(_: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        if len(calls) == number:
            values[at] = _core.fr_add(np.ascontiguousarray(values[at][None]), _core.fr_from_ints([1]))[0]
        return values

    return forge


# 3


@pytest.mark.parametrize("low", [-1, 2**10, R - 1, 2**10 + 3])
@pytest.mark.parametrize("name", ["h", "q", "rem above"])
def test_rejects_limbs_that_name_one_number_in_another_way(name: str, low: int) -> None:
    """The low limb leaves its range and the next one makes up for it, so that the number stays as it was."""
    statement, witness = CASES["aggregation"]()
    limbs = assigned("aggregation").ints(name)
    limbs[0], limbs[1] = low, (limbs[1] + (limbs[0] - low) * pow(2**10, -1, R)) % R
    cs = forged(statement, witness, {name: put(limbs)})
    assert_only_rule_notices(cs, "lookup/sum")


@pytest.mark.parametrize("name", ["threshold", "amount", "excess"])
def test_rejects_digits_that_name_one_number_in_another_way(name: str) -> None:
    """`2 + 0 * 2` for `0 + 1 * 2`, in a number with both digits at hand."""
    statement, witness = EligibilityStatement(depth=2, notes=2), holding([10, 11], size=4, threshold=16)
    digits = forged(statement, witness).ints(f"{name}/bits")
    at = next(k for k in range(len(digits) - 1) if digits[k : k + 2] == [0, 1])
    digits[at : at + 2] = [2, 0]
    cs = forged(statement, witness, {f"{name}/bits": put(digits)})
    assert broken_rules(cs) <= {f"{name}/bits"}
    assert_only_rule_notices(cs, f"{name}/bits")


# 4


@pytest.mark.parametrize("by", [-1, 1], ids=["rounded down", "rounded up"])
def test_rejects_an_average_that_is_rounded_off_by_one(by: int) -> None:
    """In one weight only, with the remainder that goes with it."""
    statement, w = CASES["aggregation"]()
    step = np.array([0, by, 0, 0])
    lying = replace(w, quotient=w.quotient + step, remainder=w.remainder - step * w.count)
    assert_only_rule_notices(forged(statement, lying), "rem/below N")


def test_rejects_a_logit_off_by_one_at_the_edge_of_its_remainder() -> None:
    """`q + 1` with `rem - s < 0`, and `q - 1` with `rem + s >= s`: the same logit."""
    spec = replace(SPEC, rows=32)
    w = make_witness(spec, seed=3, real=32)
    for by in (-1, 1):
        index, remainder = w.trace.index.copy(), w.trace.remainder.copy()
        index[0, 9] += by
        remainder[0, 9] -= by * spec.logit_divisor
        cs = forged(TrainingStatement(spec), replace(w, trace=replace(w.trace, index=index, remainder=remainder)))
        assert "lookup/sum" in broken_rules(cs)


@pytest.mark.parametrize("sign", [-1, 1])
def test_saturates_at_each_end_and_nowhere_before(sign: int) -> None:
    spec = replace(SPEC, rows=32)
    features = np.full((32, 1), 2047, dtype=np.int64)
    start = np.array([sign * 40 * spec.weight_scale, 0], dtype=np.int64)
    padded = sgd.pad(spec, features, np.zeros(32, dtype=np.int64))
    trace = sgd.train(spec, *padded, start)
    edge = spec.table_half - 1 if sign > 0 else -spec.table_half
    assert set(trace.index.reshape(-1).tolist()) == {edge}
    assert trace.saturated
    w = TrainingWitness(*padded, _core.fr_random(2 + spec.mask_count), trace, _core.fr_random(3))
    assert broken_rules(forged(TrainingStatement(spec), w)) == set()
    inside = trace.index.copy()
    inside[0, 3] -= sign
    assert broken_rules(forged(TrainingStatement(spec), replace(w, trace=replace(trace, index=inside)))) != set()


@pytest.mark.parametrize("real", [1, 32, 33])
def test_a_batch_of_nothing_but_padding_moves_no_weight(real: int) -> None:
    wide, narrow = replace(SPEC, rows=96), replace(SPEC, rows=32 * -(-real // 32))
    padded, plain = make_witness(wide, real=real), make_witness(narrow, real=real)
    assert np.array_equal(padded.trace.end, plain.trace.end)
    assert broken_rules(forged(TrainingStatement(wide), padded)) == set()
    mask = padded.mask.copy()
    mask[real] = 1  # a row of zeros that counts: the bias moves
    moved = sgd.train(wide, padded.features, mask, padded.labels, padded.trace.start)
    assert not np.array_equal(moved.end, padded.trace.end)
    assert broken_rules(forged(TrainingStatement(wide), replace(padded, trace=moved))) != set()


# 5


@pytest.mark.parametrize("name", CASES)
def test_every_public_input_is_used_and_nothing_is_left_to_choose_after_the_challenges(name: str) -> None:
    cs = assigned(name)
    r1cs, z = cs.build(), cs.witness()
    assert r1cs.first_unsatisfied(z) is None
    for place in range(1, 1 + len(cs.public_values())):
        changed = z.copy()
        changed[place] = _core.fr_add(z[place : place + 1], _core.fr_from_ints([1]))[0]
        assert r1cs.first_unsatisfied(changed) is not None
    if name != "eligibility":  # which has no committed segment
        assert free_after_the_challenges(cs) == set()


@pytest.mark.parametrize("what", ["a wire", "a lookup"])
def test_nothing_is_committed_after_the_challenges(what: str) -> None:
    """Not even by a statement that is written so: the system refuses it, before there is a key."""
    cs = Forger()
    sigma, lam = cs.public("sigma"), cs.public("lambda")
    table, small = cs.table("limb", np.arange(4, dtype=np.int64)), cs.committed((2,), [1, 2], "small")
    table.lookup(small)
    cs.challenges(sigma, lam)
    late: Callable[[], Any] = (
        partial(cs.committed, (1,), [3], "to fit") if what == "a wire" else partial(table.lookup, small)
    )
    with pytest.raises(ProofError, match="after the challenges"):
        late()


# 6


def run(w: TrainingWitness, order: list[int], *, rate: int = 1) -> Trace:
    """SGD over these batches in this order, with a multiple of the learning rate; logits as the circuit has them."""
    _, outputs, _ = sigmoid_table(SPEC)
    inputs = np.concatenate([w.features, SPEC.input_scale * w.mask[:, None]], axis=1)
    current = w.trace.start.copy()
    index, remainder = (np.zeros((1, SPEC.rows), dtype=np.int64) for _ in range(2))
    for batch in order:
        rows = slice(32 * batch, 32 * batch + 32)
        index[0, rows], remainder[0, rows] = np.divmod(inputs[rows] @ current, SPEC.logit_divisor)
        delta = outputs[index[0, rows] + SPEC.table_half] - SPEC.delta_scale * w.labels[rows]
        current = current - rate * inputs[rows].T @ delta
    return Trace(w.trace.start, current, index, np.zeros_like(index), remainder)


LIES: dict[str, Callable[[TrainingWitness], Trace]] = {
    "batches in another order": lambda w: run(w, [1, 0]),
    "a step twice": lambda w: run(w, [0, 1, 1]),
    "twice the learning rate": lambda w: run(w, [0, 1], rate=2),
    "a step skipped": lambda w: replace(run(w, [0]), index=run(w, [1]).index + run(w, [0]).index,
                                        remainder=run(w, [1]).remainder + run(w, [0]).remainder),
    "another start": lambda w: run(replace(w, trace=replace(w.trace, start=w.trace.start + 2**34)), [0, 1]),
    "other rows": lambda w: run(replace(w, features=w.features[::-1].copy()), [0, 1]),
}  # fmt: skip


@cache
def training_keys() -> tuple[Keys, _core.Srs]:
    size = SPEC.rows * (SPEC.columns + 1) + 2 + SPEC.mask_count
    srs = _core.Srs.generate(size, [1, size - SPEC.mask_count])
    return setup(compile_statement(STATEMENT), srs, size - SPEC.mask_count), srs


def prove(w: TrainingWitness, start: Any = None) -> Any:
    """An update as a participant proves it, about what is committed; `start` is the model on chain."""
    keys, srs = training_keys()
    externals = [
        dataset_vector(w.features, w.mask, w.labels, w.dataset_blinding),
        weight_vector(w.trace.start if start is None else start),
        update_vector(w.trace.update, w.update_blinding),
    ]
    return prove_linked(keys, STATEMENT, w, srs, externals, lambda _: Challenges(3**150, 5**90))


@pytest.mark.parametrize("lie", LIES)
def test_refuses_to_prove_another_training(lie: str) -> None:
    """What the honest run is measured against: it is proven."""
    w = honest()
    assert np.array_equal(run(w, [0, 1]).end, w.trace.end)
    prove(w)
    lying = replace(w, trace=LIES[lie](w))
    assert not np.array_equal(lying.trace.end, w.trace.end)
    if lie == "another start":
        with pytest.raises(ProofError, match="not what the commitments hold"):
            prove(lying, start=w.trace.start)
        return
    with pytest.raises(ProofError, match=r"forward|not what the commitments hold"):
        prove(lying)


def test_with_the_forward_check_left_out_a_skipped_step_would_pass() -> None:
    cs = forged(STATEMENT, replace(honest(), trace=LIES["a step skipped"](honest())))
    assert_only_rule_notices(cs, "forward")
