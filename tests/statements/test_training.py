"""The training statement: what it accepts, and for every rule a forgery that only this rule notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import TrainingSpec, sigmoid_table
from fedproof.learning.sgd import Trace
from fedproof.proving.r1cs import FrArray
from fedproof.statements.training import TrainingStatement, TrainingWitness
from tests.statements.conftest import make_witness
from tests.support.soundness import (
    LAMBDA,
    SIGMA,
    Forger,
    Forgery,
    add,
    assert_only_rule_notices,
    broken_rules,
    forged,
    put,
)

R = _core.MODULUS
Small = tuple[TrainingStatement, TrainingWitness]


def evaluate(vector: list[int], at: int) -> int:
    """A polynomial by Horner's rule, independent of the circuit."""
    out = 0
    for coefficient in reversed(vector):
        out = (out * at + coefficient) % R
    return out


def committed_vectors(w: TrainingWitness) -> tuple[list[int], list[int], list[int]]:
    """The vectors of C_X', C_W and C_U as the layout names them, written out without it."""
    records = np.concatenate([w.features, w.mask[:, None]], axis=1)
    dataset = [*records.reshape(-1).tolist(), *w.labels.tolist(), *_core.fr_to_ints(w.dataset_blinding)]
    return dataset, w.trace.start.tolist(), [*w.trace.update.tolist(), *_core.fr_to_ints(w.update_blinding)]


@pytest.mark.parametrize(
    ("rows", "columns", "epochs", "masks"),
    [(32, 2, 1, 2), (64, 3, 1, 4), (64, 5, 3, 17), (32, 40, 1, 17), (96, 4, 2, 5), (32, 3, 1, 40)],
)
def test_accepts_exact_sgd_and_costs_what_it_says(rows: int, columns: int, epochs: int, masks: int) -> None:
    spec = TrainingSpec(rows, columns, epochs, masks)
    statement, witness = TrainingStatement(spec), make_witness(spec, seed=rows + columns)
    cs = forged(statement, witness)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    assert cs.num_constraints == statement.cost()
    x, w, u = (evaluate(vector, SIGMA) for vector in committed_vectors(witness))
    assert cs.public_values() == [SIGMA, LAMBDA, (x + LAMBDA * w + LAMBDA**2 * u) % R]


def test_accepts_saturated_logits_at_both_ends() -> None:
    spec = TrainingSpec(rows=64, columns=3, mask_count=4)
    witness = make_witness(spec, spread=2047, model=20 * spec.weight_scale)
    assert {-spec.table_half, spec.table_half - 1} <= set(witness.trace.index.reshape(-1).tolist())
    assert witness.trace.saturated > 0
    cs = forged(TrainingStatement(spec), witness)
    assert cs.build().first_unsatisfied(cs.witness()) is None


def test_padding_rows_move_no_weight() -> None:
    wide, narrow = TrainingSpec(96, 3), TrainingSpec(64, 3)
    padded, plain = make_witness(wide, real=64), make_witness(narrow, real=64)
    assert np.array_equal(padded.trace.end, plain.trace.end)


def test_the_cost_law_of_the_reference_class() -> None:
    statement = TrainingStatement(TrainingSpec(256, 31))
    assert statement.cost() <= 32_000
    assert (statement.cost() - TrainingStatement(TrainingSpec(256, 30)).cost()) / 256 < 2.1  # per data value


def shifted_index(w: TrainingWitness, row: int = 5, by: int = 1) -> Trace:
    """A trace that claims another logit for one row, with the weights kept."""
    index = w.trace.index.copy()
    index[0, row] += by
    return replace(w.trace, index=index)


def keep_wires(name: str, honest: Forger) -> Forgery:
    """Forge the wires of a product back to what an honest run has there."""
    remaining = [honest.value(made) for made in honest.made[name]]
    return lambda _, values: remaining.pop(0) if len(remaining) else values


def test_rejects_a_logit_that_is_not_the_weighted_sum(small: Small) -> None:
    statement, w = small
    cs = forged(statement, replace(w, trace=shifted_index(w)))
    assert_only_rule_notices(cs, "forward")


def test_rejects_a_logit_sum_that_is_not_folded_from_the_logits(small: Small) -> None:
    statement, w = small
    honest = forged(statement, w)
    # the forged delta moves the weights, so keep to the last batch, where nothing follows
    lying = replace(w, trace=shifted_index(w, row=40))
    cs = forged(statement, lying, {"forward/fold": keep_wires("forward/fold", honest)})
    assert_only_rule_notices(cs, "forward/fold")


def test_rejects_a_fold_of_other_records(small: Small) -> None:
    """The fold of one group is moved so that a false logit passes, orthogonal to the dataset's evaluation."""
    statement, w = small
    spec, row, step = statement.spec, 5, 0
    lie = spec.logit_divisor * pow(SIGMA, spec.columns * row, R)
    g = [*w.trace.start.tolist()[:-1], int(w.trace.start[-1]) * spec.input_scale]
    # v . (1, sigma, sigma^2) = 0 and v . G = lie, with v_2 = 0
    v1 = lie * pow(g[1] - SIGMA * g[0], -1, R) % R
    v = [-SIGMA * v1 % R, v1, 0]
    calls = []

    def move(_: Forger, values: FrArray) -> FrArray:
        calls.append(len(values))
        if len(calls) == 2:  # the wires of w itself; the first call is its partial products
            at = step * spec.columns
            values[at : at + 3] = _core.fr_add(np.ascontiguousarray(values[at : at + 3]), _core.fr_from_ints(v))
        return values

    cs = forged(statement, replace(w, trace=shifted_index(w, row)), {"fold": move})
    later = broken_rules(cs) - {"fold"}
    # the forged delta changes the weights of the second step, whose logits then differ
    assert later <= {"forward"}
    one_batch = TrainingSpec(32, 3, mask_count=4)
    short = make_witness(one_batch)
    g = [*short.trace.start.tolist()[:-1], int(short.trace.start[-1]) * spec.input_scale]
    v1 = lie * pow(g[1] - SIGMA * g[0], -1, R) % R
    v[:] = [-SIGMA * v1 % R, v1, 0]
    calls.clear()
    cs = forged(TrainingStatement(one_batch), replace(short, trace=shifted_index(short, row)), {"fold": move})
    assert_only_rule_notices(cs, "fold")


def test_rejects_a_logit_moved_inside_the_table_by_the_overflow(small: Small) -> None:
    statement, w = small
    lying = replace(w, trace=shifted_index(w, row=40, by=-2))
    cs = forged(statement, lying, {"saturation": add(2, at=40)})
    assert_only_rule_notices(cs, "saturation")


def test_rejects_a_skipped_step(small: Small) -> None:
    statement, w = small
    calls = []

    def skip(_: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        if len(calls) in (3, 4):  # the second batch: its partial products, then the new weights
            if len(calls) == 3:
                return np.zeros_like(values)
            start = _core.fr_from_ints([-int(x) for x in second_start])
            return start
        return values

    spec = statement.spec
    first = TrainingStatement(TrainingSpec(32, spec.columns, mask_count=4))
    half = make_first_half(w, first.spec)
    second_start = half.end
    cs = forged(statement, w, {"weight step": skip})
    assert_only_rule_notices(cs, "weight step")


def make_first_half(w: TrainingWitness, spec: TrainingSpec) -> Trace:
    """The trace of the first batch alone."""
    from fedproof.learning import sgd

    return sgd.train(spec, w.features[:32], w.mask[:32], w.labels[:32], w.trace.start)


def test_rejects_a_remainder_beyond_the_divisor(small: Small) -> None:
    """`q - 1` with `rem + s` is the same logit; only the range of the odd limb tells them apart."""
    statement, w = small
    remainder = w.trace.remainder.copy()
    remainder[0, 40] += statement.spec.logit_divisor
    lying = replace(w, trace=replace(shifted_index(w, row=40, by=-1), remainder=remainder))

    def drop(cs: Forger, values: FrArray) -> FrArray:
        values[40] = 0  # the sum of inverses balances without the value that no row holds
        return values

    cs = forged(statement, lying, {"lookup/odd limb/input": drop})
    assert_only_rule_notices(cs, "lookup/odd limb/input")
    unbalanced = forged(statement, lying)
    assert_only_rule_notices(unbalanced, "lookup/sum")

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        bad = cs.value(cs.made["lookup/odd limb/input"][0])[40:41]
        values[0] = _core.fr_add(values[:1], np.ascontiguousarray(bad))[0]
        return values

    assert_only_rule_notices(forged(statement, lying, {"lookup/odd limb/row": absorb}), "lookup/odd limb/row")


@pytest.mark.parametrize("limb", [-1, 2**10, R - 1, 2**10 + 5])
def test_rejects_a_limb_outside_its_table(small: Small, limb: int) -> None:
    statement, w = small
    honest = forged(statement, w).ints("remainder limbs")
    at = 3 * 40
    value = honest.copy()
    value[at], value[at + 1] = limb, honest[at + 1] + (honest[at] - limb) * pow(2**10, -1, R)
    cs = forged(statement, w, {"remainder limbs": put(value)})
    assert "lookup/sum" in broken_rules(cs)
    calls: list[int] = []

    def drop_first(cs: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        if len(calls) > 1:
            return values
        kept = _core.fr_to_ints(values)
        for position in (at, at + 1):
            if not 0 <= value[position] % R < 2**10:
                kept[position] = 0
        return _core.fr_from_ints(kept)

    cs = forged(statement, w, {"remainder limbs": put(value), "lookup/limb/input": drop_first})
    assert_only_rule_notices(cs, "lookup/limb/input")


def test_rejects_a_limb_that_is_in_the_table_of_another_range(small: Small) -> None:
    """30 is a limb of ten bits but not an odd limb: the tags keep the tables apart."""
    statement, w = small
    honest = forged(statement, w).ints("odd limb")
    honest[3] = 30
    cs = forged(statement, w, {"odd limb": put(honest)})
    assert "lookup/sum" in broken_rules(cs)


def test_rejects_a_sigmoid_of_the_provers_choice(small: Small) -> None:
    statement, w = small
    _, outputs, _ = sigmoid_table(statement.spec)
    true = [int(outputs[q + statement.spec.table_half]) for q in w.trace.index[0]]
    false = true.copy()
    false[40] += 777
    honest = forged(statement, w)
    fold = honest.value(honest.made["lookup/sigmoid/fold"][0])
    calls: list[int] = []

    def keep_first(_: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        return fold if len(calls) == 1 else values

    cs = forged(statement, w, {"sigmoid": put(false), "lookup/sigmoid/fold": keep_first})
    assert_only_rule_notices(cs, "lookup/sigmoid/fold")
    without_column = forged(statement, w, {"sigmoid": put(false), "lookup/powers of sigma": put([0])})
    assert_only_rule_notices(without_column, "lookup/powers of sigma")

    def forget(_: Forger, values: FrArray) -> FrArray:
        values[40] = 0
        return values

    multiplicity = honest.ints("multiplicity of sigmoid")
    multiplicity[int(w.trace.index[0, 40]) + statement.spec.table_half] -= 1
    free = forged(
        statement,
        w,
        {"sigmoid": put(false), "lookup/sigmoid/input": forget, "multiplicity of sigmoid": put(multiplicity)},
    )
    assert_only_rule_notices(free, "lookup/sigmoid/input")
    cs = forged(statement, w, {"sigmoid": put(false), "multiplicity of sigmoid": put(multiplicity)})
    assert_only_rule_notices(cs, "lookup/sum")

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        bad = cs.value(cs.made["lookup/sigmoid/input"][0])[40:41]
        values[0] = _core.fr_add(values[:1], np.ascontiguousarray(bad))[0]
        return values

    cs = forged(
        statement,
        w,
        {"sigmoid": put(false), "multiplicity of sigmoid": put(multiplicity), "lookup/sigmoid/row": absorb},
    )
    assert_only_rule_notices(cs, "lookup/sigmoid/row")


def test_rejects_a_limb_row_that_absorbs_a_false_limb(small: Small) -> None:
    statement, w = small
    value = forged(statement, w).ints("overflow limbs")
    value[80] = 5000  # row 40 is not at an edge: its overflow counts for nothing, yet stays in range

    def absorb(cs: Forger, values: FrArray) -> FrArray:
        bad = cs.value(cs.made["lookup/limb/input"][1])[80:81]
        values[0] = _core.fr_add(values[:1], np.ascontiguousarray(bad))[0]
        return values

    multiplicity = forged(statement, w).ints("multiplicity of limb")
    multiplicity[0] -= 0
    cs = forged(statement, w, {"overflow limbs": put(value), "lookup/limb/row": absorb})
    assert_only_rule_notices(cs, "lookup/limb/row")


@pytest.mark.parametrize(
    "rule",
    [
        "commitment blinding",
        "evaluation/row",
        "evaluation/group",
        "evaluation/labels",
        "evaluation/blinding",
        "evaluation/tail",
        "evaluation/start",
        "evaluation/update",
        "evaluation/lambda",
    ],
)
def test_rejects_a_false_product_of_the_evaluation(small: Small, rule: str) -> None:
    """Each of these products reaches y; a prover free to choose one could open any commitment."""
    statement, w = small
    assert_only_rule_notices(forged(statement, w, {rule: add(1)}), rule)


def test_rejects_powers_of_another_sigma(small: Small) -> None:
    statement, w = small
    calls: list[int] = []

    def other(_: Forger, values: FrArray) -> FrArray:
        calls.append(1)
        return _core.fr_add(values, _core.fr_from_ints([1])) if len(calls) == 1 else values

    assert_only_rule_notices(forged(statement, w, {"powers of sigma": other}), "powers of sigma")


def test_rejects_another_output(small: Small) -> None:
    statement, w = small
    cs = forged(statement, w)
    cs.assign(cs.made["y"][0], [5])
    assert_only_rule_notices(cs, "evaluation/output")


def test_every_rule_has_been_attacked(small: Small) -> None:
    attacked = {
        "forward", "forward/fold", "fold", "saturation", "weight step", "powers of sigma", "commitment blinding",
        "lookup/odd limb/input", "lookup/odd limb/row", "lookup/sum", "lookup/limb/input", "lookup/limb/row",
        "lookup/sigmoid/fold", "lookup/sigmoid/input", "lookup/sigmoid/row", "lookup/powers of sigma",
        "evaluation/row", "evaluation/group", "evaluation/labels", "evaluation/blinding", "evaluation/tail",
        "evaluation/start", "evaluation/update", "evaluation/lambda", "evaluation/output",
    }  # fmt: skip
    assert set(forged(*small).groups) == attacked


def test_every_mutated_wire_is_noticed(small: Small) -> None:
    """One wire changed by one breaks a rule; the listed free wires need a reason each."""
    statement, w = small
    cs = forged(statement, w)
    r1cs, z = cs.build(), cs.witness()
    free = []
    names = {}
    order = cs.order()
    for name, first, size in cs.names:
        for wire in range(first, first + size):
            names[wire] = name
    one = _core.fr_from_ints([1])
    for position in range(1, len(z)):
        kept = z[position].copy()
        z[position] = _core.fr_add(z[position : position + 1], one)[0]
        if r1cs.first_unsatisfied(z) is None:
            free.append(names[int(order[position])])
        z[position] = kept
    assert free == []
