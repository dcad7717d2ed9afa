"""Predicted cost of proving each kind of model: constraints as a function of rows and epochs, and the benchmark shapes.

    .venv/bin/python benches/training_costs.py

Scales are those that `choose_precision` takes for standardised features. Nothing is proven here: the numbers are the
cost law, which tests hold to the circuits; `training.py` proves.
"""

from __future__ import annotations

import numpy as np

from fedproof.learning.architecture import Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.cost import cost, law

SHAPES = (
    ("linear regression, 11 columns", Model.linear(10), 448, 1),
    ("logistic regression, 31 columns", Model.logistic(30), 256, 1),
    ("softmax 784-10, one step", Model.softmax(784, 10), 32, 1),
    ("softmax 784-10", Model.softmax(784, 10), 640, 1),
    ("perceptron 30-16-1 (31 columns)", Model.perceptron(30, [16], 1), 512, 1),
    ("perceptron 31-16-1 (32 columns)", Model.perceptron(31, [16], 1), 512, 1),
    ("perceptron 64-32-10", Model.perceptron(64, [32], 10), 1504, 1),
    ("perceptron 64-32-10, two epochs", Model.perceptron(64, [32], 10), 1504, 2),
    ("perceptron 64-32-16-10", Model.perceptron(64, [32, 16], 10), 1504, 1),
)


def main() -> None:
    """Print the table."""
    head = ("constraints", "committed", "tables", "domain")
    print(f"{'shape':34} {'rows':>5} {'g':>2} {'limb':>4} {head[0]:>12} {head[1]:>10} {head[2]:>7} {head[3]:>6}")
    for name, model, rows, epochs in SHAPES:
        drawn = np.random.default_rng(11).normal(size=(512, model.widths[0]))
        features = np.clip(np.round(256 * drawn), -2048, 2047).astype(np.int64)
        plan = choose_precision(model, features, rows, epochs)
        found = cost(plan)
        print(
            f"{name:34} {rows:5} {plan.group:2} {plan.limb_bits:4} {found.constraints:12,} {found.committed:10,} "
            f"{sum(found.tables.values()):7,} {'2^' + str(found.domain.bit_length() - 1):>6}"
        )
        print(f"{'':34} constraints = {law(plan)}")


if __name__ == "__main__":
    main()
