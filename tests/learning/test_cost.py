"""The cost law and the choice of scales."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedproof.errors import InputError
from fedproof.learning import cost as cost_module
from fedproof.learning.architecture import SQUARED, Model
from fedproof.learning.choose import best_group, choose_precision, integer_bits
from fedproof.learning.cost import cost, law
from fedproof.learning.exponential import exponential_size, exponential_table
from fedproof.learning.fixed import Int, TrainingSpec
from fedproof.learning.plan import LayerScales, TrainingPlan
from fedproof.statements.layout import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.statements.training import TrainingStatement
from tests.learning.scenes import KINDS, make_plan


def typical(columns: int, rows: int = 256) -> Int:
    """Standardised features of a schema, clipped to 12 bits."""
    drawn = np.random.default_rng(11).normal(size=(rows, columns))
    return np.clip(np.round(256 * drawn), -2048, 2047).astype(np.int64)


@pytest.mark.parametrize(
    ("rows", "columns", "epochs", "masks"),
    [(256, 31, 1, 17), (32, 2, 1, 2), (64, 5, 3, 17), (32, 40, 1, 17), (96, 4, 2, 5), (32, 3, 1, 40)],
)
def test_the_law_of_logistic_regression_is_that_of_its_statement(
    rows: int, columns: int, epochs: int, masks: int
) -> None:
    spec = TrainingSpec(rows, columns, epochs, masks)
    assert cost(TrainingPlan.of(spec)).constraints == TrainingStatement(spec).cost()


def test_blinding_is_counted_as_the_layouts_have_it() -> None:
    assert (cost_module.DATASET_BLINDING, cost_module.UPDATE_BLINDING) == (DATASET_BLINDING, UPDATE_BLINDING)


@pytest.mark.parametrize(
    ("model", "rows", "constraints", "domain"),
    [
        (Model.softmax(784, 10), 32, 70_000, 2**17),
        (Model.softmax(784, 10), 640, 1_180_000, 2**21),
        (Model.perceptron(30, [16], 1), 512, 220_000, 2**18),
        (Model.perceptron(31, [16], 1), 512, 220_000, 2**18),
        (Model.perceptron(64, [32], 10), 1504, 1_400_000, 2**21),
        (Model.linear(10), 448, 20_000, 2**14),
    ],
)
def test_the_shapes_of_the_benchmarks(model: Model, rows: int, constraints: int, domain: int) -> None:
    law = cost(choose_precision(model, typical(model.widths[0]), rows))
    assert law.constraints <= constraints
    assert law.domain <= domain
    assert law.lines()[0].startswith(f"{law.constraints:,} constraints")


@pytest.mark.parametrize("features", [30, 31])
def test_the_perceptron_of_the_benchmarks_holds_its_bound_with_ten_bit_limbs_too(features: int) -> None:
    scales = (LayerScales(8, 15), LayerScales(8, 14))
    plan = TrainingPlan(Model.perceptron(features, [16], 1), 512, 1, 17, scales)
    assert plan.limb_bits == 10
    assert cost(plan).constraints <= 206_000


def test_a_data_value_costs_two_whatever_the_width() -> None:
    """Constraints of one more column, for each of its values; 2 a b for the initial weights aside."""
    for outputs in (2, 10):
        plans = [choose_precision(Model.softmax(features, outputs), typical(features), 640) for features in (100, 101)]
        one, two = (cost(replace(plan, limb_bits=10, group=32)) for plan in plans)
        each = (two.constraints - one.constraints - 2 * outputs - 8) / 640
        assert each < 2.07


def test_no_constraint_grows_with_weights_times_steps() -> None:
    """From one epoch to the next: 1 + 1/g for each data value, and rows times widths."""
    plan = make_plan(KINDS["deep perceptron"], 64, 1)
    costs = [cost(replace(plan, epochs=epochs)).constraints for epochs in (1, 2, 3)]
    assert costs[1] - costs[0] == costs[2] - costs[1]
    wide = [cost(replace(plan, rows=rows)).constraints for rows in (64, 128, 192)]
    assert wide[1] - wide[0] == wide[2] - wide[1]


@pytest.mark.parametrize("name", KINDS)
def test_the_law_of_a_plan_is_exact(name: str) -> None:
    plan = make_plan(KINDS[name], 128)
    formula = law(plan)
    for rows, epochs in ((128, 1), (160, 1), (640, 3), (1504, 2)):
        assert formula.at(rows, epochs) == cost(replace(plan, rows=rows, epochs=epochs)).constraints
    assert str(formula).endswith("* epochs)")


def test_the_table_of_exponentials_ends_with_its_first_zero() -> None:
    for index_bits, bits in ((7, 12), (7, 14), (9, 11), (8, 16)):
        table = exponential_table(index_bits, bits)
        assert len(table) == exponential_size(index_bits, bits)
        assert table[0] == 2**bits
        assert (np.flatnonzero(table == 0) == len(table) - 1).all()
        exact = 2**bits * np.exp(-np.arange(len(table)) / 2**index_bits)
        assert np.abs(table - exact).max() <= 0.5 + 1e-6


def test_the_choice_is_deterministic_and_follows_the_data() -> None:
    model = Model.perceptron(20, [8], 3)
    features = typical(20)
    plan = choose_precision(model, features, 128, 2)
    assert choose_precision(model, features.copy(), 128, 2) == plan
    assert (plan.rows, plan.epochs, plan.columns) == (128, 2, 21)
    calm, wild = features // 8, np.full((4, 20), 2047)
    assert integer_bits(calm) < integer_bits(features) < integer_bits(wild)
    room = choose_precision(model, wild, 128, 2)
    assert room.activation_range >> room.scales[1].input_bits >= plan.activation_range >> plan.scales[1].input_bits


def test_the_choice_keeps_the_scales_of_logistic_regression() -> None:
    assert choose_precision(Model.logistic(4), typical(4), 64).spec() == TrainingSpec(64, 5)


def test_scales_are_as_fine_as_they_must_be() -> None:
    for model in KINDS.values():
        plan = choose_precision(model, typical(model.widths[0]), 128)
        assert plan.scales[-1].delta_bits >= 14
        for layer in range(1, plan.depth):
            assert plan.scales[layer].input_bits >= 8
            assert plan.scales[layer - 1].delta_bits >= 12
            # what a pre-activation of 4 times the longest row needs
            assert plan.activation_range >> plan.scales[layer].input_bits >= 1 << integer_bits(typical(model.widths[0]))


def test_a_group_never_outgrows_the_powers_of_the_dataset() -> None:
    plan = make_plan(Model.softmax(60, 10), 96)
    assert all(best_group(replace(plan, rows=rows)).group * 10 <= rows for rows in (32, 64, 96, 320))
    assert best_group(replace(plan, rows=32)).group == 1  # a single batch: 2 constraints a value
    assert best_group(replace(plan, rows=320)).group == 32
    wide = cost(best_group(replace(plan, rows=320)))
    assert wide.powers == 320 * 62 + 7


def test_refuses_features_of_another_model() -> None:
    for features in (typical(5), typical(4)[:0], typical(4)[0]):
        with pytest.raises(InputError, match="features"):
            choose_precision(Model.linear(4), features, 64)
    with pytest.raises(InputError, match="multiple of 32"):
        choose_precision(Model.perceptron(4, [3], 1, SQUARED), typical(4), 65)
