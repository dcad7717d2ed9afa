"""The identities of docs/training.md: an honest run meets all, and each notices the lie that it is there for."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fedproof.learning.architecture import CROSS_ENTROPY, LOG
from fedproof.learning.cost import cost
from fedproof.learning.exact import ModelTrace
from fedproof.learning.exponential import exponential_table
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, sigmoid_values
from tests.learning.identities import R, Wires, check, commit, limbs, remainder_limbs
from tests.learning.scenes import KINDS, make_trace

SIGMA, LAMBDA = 0x1234567890ABCDEF1234567890ABCDEF % R, pow(7, 90, R)
ROW = 3


def broken(trace: ModelTrace, wires: Wires) -> set[str]:
    return check(trace.plan, wires, SIGMA, LAMBDA).broken


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("rows", "epochs", "real"), [(64, 1, 50), (32, 2, 32), (32, 1, 0), (64, 2, 40)])
def test_an_honest_run_meets_every_identity_at_the_price_of_the_cost_law(
    name: str, rows: int, epochs: int, real: int
) -> None:
    trace = make_trace(name, rows, epochs, real)
    rnd = random.Random(rows + epochs)
    result = check(trace.plan, commit(trace), rnd.randrange(R), rnd.randrange(R))
    assert result.broken == set()
    law = cost(trace.plan)
    assert {part: count for part, count in result.count.items() if count} == {k: v for k, v in law.parts.items() if v}
    assert sum(result.count.values()) == law.constraints


@pytest.mark.parametrize("name", ["softmax", "perceptron of classes"])
@pytest.mark.parametrize("group", [1, 2, 4, 8, 16])
def test_every_group_size_holds(name: str, group: int) -> None:
    trace = make_trace(name, 64, 2, group=group)
    result = check(trace.plan, commit(trace), SIGMA, LAMBDA)
    assert result.broken == set()
    assert sum(result.count.values()) == cost(trace.plan).constraints


@pytest.mark.parametrize("name", KINDS)
def test_any_committed_value_that_changes_is_noticed(name: str) -> None:
    trace = make_trace(name, 64, 2)
    honest = commit(trace)
    rng = np.random.default_rng(1)
    for wire, array in honest.items():
        for by in (1, -1) if wire != "update" else ():
            place = int(rng.integers(array.size))
            if wire == "overflow" and trace.plan.model.loss == LOG:
                place = saturated_place(honest, trace)
                if place is None:
                    continue
            lying = {**honest, wire: array.copy()}
            lying[wire].reshape(-1)[place] += by
            assert check(trace.plan, lying, SIGMA, LAMBDA, honest).broken, (wire, place, by)


def saturated_place(wires: Wires, trace: ModelTrace) -> int | None:
    """An overflow that counts: beyond the table's edge. Elsewhere it is multiplied by zero."""
    places = np.flatnonzero(wires["edge"].reshape(-1))
    return int(places[0]) * trace.plan.logit_limbs if len(places) else None


def test_another_order_of_the_batches_is_noticed() -> None:
    trace = make_trace("perceptron of classes", 64, 1, 64)
    wires = commit(trace)
    swapped = {**wires, "x": np.roll(wires["x"], 32, axis=0)}
    assert "forward 0" in broken(trace, swapped)


def test_one_epoch_for_two_is_noticed() -> None:
    once, twice = make_trace("softmax", 32, 1, 32), make_trace("softmax", 32, 2, 32)
    wires = commit(twice)
    assert "link" in broken(twice, {**wires, "update": commit(once)["update"]})


# Lies, one for each rule. Runs of one batch, so that what a lie moves is settled in the update, and nothing but the
# rule under test can notice.


def settle(trace: ModelTrace, wires: Wires) -> Wires:
    """The update that follows from the deltas as they stand in the wires, whatever they are."""
    plan = trace.plan
    w = {name: array.astype(object) for name, array in wires.items()}
    x = w["x"].copy()
    x[:, -1] *= 1 << FEATURE_FRACTION_BITS
    width = 1 << plan.limb_bits
    joined = {k: sum(v[0][..., p] * width**p for p in range(v.shape[-1])) for k, v in w.items() if v.ndim == 4}
    reads, deltas = [x], []
    for layer in range(plan.depth - 1):
        act = w[f"relu positive {layer}"][0] * joined[f"relu magnitude {layer}"]
        bias = w["x"][:, -1:] << plan.scales[layer + 1].input_bits
        reads.append(np.concatenate([act, bias], axis=1))
        rounded = joined[f"delta rounded {layer}"] - plan.delta_range
        deltas.append(w[f"relu positive {layer}"][0] * rounded)
    unit = 1 << plan.scales[-1].delta_bits
    if plan.model.loss == CROSS_ENTROPY:
        deltas.append(joined["probability"] - unit * w["one-hot"][0])
    elif plan.model.loss == LOG:
        deltas.append(w["sigmoid"][0] - unit * w["labels"][:, None])
    else:
        shift = plan.scales[-1].delta_bits - FEATURE_FRACTION_BITS
        deltas.append(joined["output"] - plan.logit_range // 2 - (w["labels"][:, None] << shift))
    update = [-(read.T @ delta) for read, delta in zip(reads, deltas, strict=True)]
    return {**w, "update": np.concatenate([matrix.T.reshape(-1) for matrix in update])}


def scene(name: str, seed: int = 5) -> tuple[ModelTrace, Wires]:
    trace = make_trace(name, 32, 1, 32, seed)
    wires = {key: array.astype(object) for key, array in commit(trace).items()}
    assert broken(trace, settle(trace, wires)) == set()
    return trace, wires


def assert_only(trace: ModelTrace, wires: Wires, rule: str) -> None:
    assert broken(trace, settle(trace, wires)) == {rule}


def whole(limb: np.ndarray, value: int) -> None:
    """Put a value of any size into the low limb."""
    limb[:] = 0
    limb[0] = value


def silent_unit(trace: ModelTrace) -> int:
    """A hidden unit that is off in ROW: its activation and delta are zero whatever is claimed."""
    return int(np.flatnonzero(trace.hidden[0].positive[0, ROW] == 0)[0])


def test_rejects_an_output_that_is_not_the_weighted_sum() -> None:
    trace, w = scene("linear")
    w["output"][0, ROW, 0, 0] += 1
    assert_only(trace, w, "forward 0")


def test_rejects_a_logit_of_the_second_layer() -> None:
    trace, w = scene("perceptron of one output")
    q = int(w["index"][0, ROW, 0]) + 1
    w["index"][0, ROW, 0] = q
    half = trace.plan.table_half
    w["sigmoid"][0, ROW, 0] = int(
        sigmoid_values(trace.plan.logit_bits, trace.plan.scales[-1].delta_bits, half)[q + half]
    )
    # what it implies below is propagated as it must be
    plan, delta = (
        trace.plan,
        int(w["sigmoid"][0, ROW, 0]) - (int(trace.labels[ROW]) << trace.plan.scales[-1].delta_bits),
    )
    rounded, rest = plan.backward(1).divide(delta * trace.start[1][:-1, 0])
    w["delta rounded 0"][0, ROW] = limbs(rounded + plan.delta_range, plan.delta_limbs, plan.limb_bits)
    w["delta remainder 0"][0, ROW] = remainder_limbs(rest, plan.backward(1))
    assert_only(trace, w, "forward 1")


def test_rejects_a_pre_activation_that_is_not_the_weighted_sum() -> None:
    trace, w = scene("perceptron of classes")
    w["relu magnitude 0"][0, ROW, silent_unit(trace), 0] += 1
    assert_only(trace, w, "forward 0")


def test_rejects_a_remainder_beyond_its_divisor() -> None:
    trace, w = scene("perceptron of classes")
    unit, rounding = silent_unit(trace), trace.plan.forward(0)
    w["relu magnitude 0"][0, ROW, unit, 0] += 1
    w["relu remainder 0"][0, ROW, unit, -1] += rounding.top_size
    assert_only(trace, w, "relu remainder")

    trace, w = scene("perceptron of classes")
    w["delta rounded 0"][0, ROW, 0, 0] -= 1
    w["delta remainder 0"][0, ROW, 0, -1] += trace.plan.backward(1).top_size
    assert_only(trace, w, "delta remainder")

    trace, w = scene("linear")
    w["output"][0, ROW, 0, 0] -= 1
    w["logit remainder"][0, ROW, 0, -1] += trace.plan.forward(0).top_size
    assert_only(trace, w, "logit remainder")


def test_rejects_quotients_that_are_right_only_modulo_r() -> None:
    trace, w = scene("perceptron of classes")
    hidden, rounding, unit = trace.hidden[0], trace.plan.backward(1), silent_unit(trace)
    other = (int(hidden.back_remainder[0, ROW, unit]) + 1) % rounding.divisor
    value = (int(hidden.back[0, ROW, unit]) + rounding.offset - other) * pow(rounding.divisor, -1, R) % R
    w["delta remainder 0"][0, ROW, unit] = remainder_limbs(np.array(other), rounding)
    whole(w["delta rounded 0"][0, ROW, unit], (value + trace.plan.delta_range) % R)
    assert_only(trace, w, "delta range")

    trace, w = scene("perceptron of classes")
    unit, rounding = silent_unit(trace), trace.plan.forward(0)
    rest, q = int(trace.hidden[0].remainder[0, ROW, unit]), int(trace.hidden[0].index[0, ROW, unit])
    other = (rest + 1) % rounding.divisor
    value = (rounding.divisor * q + rest - other) * pow(rounding.divisor, -1, R) % R
    w["relu remainder 0"][0, ROW, unit] = remainder_limbs(np.array(other), rounding)
    whole(w["relu magnitude 0"][0, ROW, unit], (-1 - value) % R)
    assert_only(trace, w, "relu range")

    trace, w = scene("linear")
    rounding = trace.plan.forward(0)
    rest, q = int(trace.head.remainder[0, ROW, 0]), int(trace.head.index[0, ROW, 0])
    other = (rest + 1) % rounding.divisor
    value = (rounding.divisor * q + rest - other) * pow(rounding.divisor, -1, R) % R
    w["logit remainder"][0, ROW, 0] = remainder_limbs(np.array(other), rounding)
    whole(w["output"][0, ROW, 0], (value + trace.plan.logit_range // 2) % R)
    assert_only(trace, w, "output range")


def test_rejects_a_unit_that_fires_below_zero() -> None:
    trace, w = scene("perceptron of classes")
    unit = silent_unit(trace)
    w["relu positive 0"][0, ROW, unit] = 1
    whole(w["relu magnitude 0"][0, ROW, unit], int(trace.hidden[0].index[0, ROW, unit]))
    assert "relu range" in broken(trace, settle(trace, w))


def test_rejects_half_a_unit() -> None:
    trace, w = scene("perceptron of classes")
    w["relu positive 0"][0, ROW, silent_unit(trace)] = 2
    assert "relu sign" in broken(trace, settle(trace, w))


@pytest.mark.parametrize("name", ["perceptron of one output", "perceptron of classes"])
def test_rejects_a_delta_that_was_not_propagated_back(name: str) -> None:
    trace, w = scene(name)
    w["delta rounded 0"][0, ROW, :, 0] += 1
    assert_only(trace, w, "back 1")


def test_rejects_a_sigmoid_of_the_provers_choice() -> None:
    trace, w = scene("logistic")
    w["sigmoid"][0, ROW, 0] += 77
    assert_only(trace, w, "sigmoid")


def test_rejects_a_logit_moved_to_the_edge_by_the_overflow() -> None:
    trace, w = scene("logistic")
    q, half = int(w["index"][0, ROW, 0]), trace.plan.table_half
    w["index"][0, ROW, 0], w["edge"][0, ROW, 0] = half - 1, 1
    w["sigmoid"][0, ROW, 0] = int(sigmoid_values(trace.plan.logit_bits, trace.plan.scales[-1].delta_bits, half)[-1])
    whole(w["overflow"][0, ROW, 0], q - (half - 1))
    assert_only(trace, w, "overflow range")


def divide_again(trace: ModelTrace, w: Wires) -> None:
    """Probabilities of ROW that follow from its exponentials, whatever they are."""
    plan, width = trace.plan, trace.plan.limb_bits
    unit = 1 << plan.scales[-1].delta_bits
    exponential = w["exponential"][0, ROW].astype(np.int64)
    total = int(exponential.sum())
    probability, left = np.divmod(2 * unit * exponential + total, 2 * total)
    w["probability"][0, ROW] = limbs(probability, plan.probability_limbs, width)
    w["division"][0, ROW] = limbs(left, plan.division_limbs, width)
    w["division rest"][0, ROW] = limbs(2 * total - 1 - left, plan.division_limbs, width)


def test_rejects_another_exponential() -> None:
    trace, w = scene("softmax")
    w["exponential"][0, ROW, 2] -= 1
    divide_again(trace, w)
    assert_only(trace, w, "exponential")


def test_rejects_a_shift_of_the_provers_choice() -> None:
    trace, w = scene("softmax")
    table = exponential_table(trace.plan.logit_bits, trace.plan.exponential_bits)
    m = int(trace.head.largest[0, ROW]) + 40 + trace.plan.logit_range // 2
    w["largest"][0, ROW] = limbs(np.array(m), trace.plan.logit_limbs, trace.plan.limb_bits)
    w["distance"][0, ROW] += 40
    w["exponential"][0, ROW] = table[w["distance"][0, ROW].astype(np.int64)]
    divide_again(trace, w)
    assert_only(trace, w, "largest")


def test_rejects_an_overflow_inside_the_table() -> None:
    trace, w = scene("softmax")
    table = exponential_table(trace.plan.logit_bits, trace.plan.exponential_bits)
    k = int(np.argmax(trace.head.distance[0, ROW]))
    w["distance"][0, ROW, k] -= 1
    w["overflow"][0, ROW, k, 0] += 1
    w["exponential"][0, ROW, k] = int(table[w["distance"][0, ROW, k]])
    divide_again(trace, w)
    assert_only(trace, w, "overflow inside the table")


def test_rejects_a_largest_logit_that_is_right_only_modulo_r() -> None:
    trace, w = scene("softmax")
    rounding = trace.plan.forward(0)
    assert trace.head.remainder[0, ROW].min() > 0
    w["logit remainder"][0, ROW] = remainder_limbs(trace.head.remainder[0, ROW] - 1, rounding)
    half = trace.plan.logit_range // 2
    whole(w["largest"][0, ROW], (int(trace.head.largest[0, ROW]) + half + pow(rounding.divisor, -1, R)) % R)
    assert_only(trace, w, "largest range")


def test_rejects_a_label_of_no_class_or_another_class() -> None:
    trace, w = scene("softmax")
    row = int(np.flatnonzero(trace.labels == 1)[0])
    w["one-hot"][0, row] = [1, -1, 1, 0]  # sums to 1, and to the label
    assert_only(trace, w, "one-hot")
    w["one-hot"][0, row] = [0, 0, 1, 0]
    assert_only(trace, w, "one-hot label")


def test_rejects_a_probability_that_is_not_the_quotient() -> None:
    trace, w = scene("softmax")
    w["probability"][0, ROW, 1, 0] += 1
    assert_only(trace, w, "division")
    total = int(trace.head.total[0, ROW])
    left = int(trace.head.division[0, ROW, 1])
    whole(w["division"][0, ROW, 1], left - 2 * total)
    whole(w["division rest"][0, ROW, 1], 4 * total - 1 - left)
    assert_only(trace, w, "division range")

    trace, w = scene("softmax")
    value = (int(trace.head.probability[0, ROW, 1]) * 2 * total + left) % R
    other = (left + 1) % (2 * total)
    whole(w["probability"][0, ROW, 1], (value - other) * pow(2 * total, -1, R) % R)
    w["division"][0, ROW, 1] = limbs(np.array(other), trace.plan.division_limbs, trace.plan.limb_bits)
    w["division rest"][0, ROW, 1] = limbs(
        np.array(2 * total - 1 - other), trace.plan.division_limbs, trace.plan.limb_bits
    )
    assert_only(trace, w, "probability range")


@pytest.mark.parametrize("name", KINDS)
def test_rejects_another_update_dataset_or_model(name: str) -> None:
    trace, w = scene(name)
    w["update"][1] += 1
    assert broken(trace, w) == {"link"}


def test_a_delta_of_a_padding_row_moves_nothing() -> None:
    """Its inputs are zero at every layer, so that no rule needs to know that it is padding."""
    trace = make_trace("perceptron of classes", 32, 1, 20)
    assert trace.delta[0, 25].any()
    for layer in range(trace.plan.depth):
        assert not trace.layer_input(layer, 0, slice(20, 32)).any()


def test_every_rule_has_a_lie_of_its_own() -> None:
    """The rules that the lies above name; those of further layers are the same code."""
    seen: set[str] = set()
    for name in KINDS:
        trace = make_trace(name, 32, 1, 32)
        seen |= check(trace.plan, commit(trace), SIGMA, LAMBDA).seen
    assert seen == {
        "forward 0", "forward 1", "forward 2", "back 1", "back 2", "link", "relu remainder", "relu range", "relu sign",
        "delta remainder", "delta range", "logit remainder", "output range", "sigmoid", "overflow range",
        "exponential", "overflow inside the table", "largest", "largest range", "one-hot", "one-hot label",
        "probability range", "division", "division range",
    }  # fmt: skip
