"""The price of proof: a participant's round here beside the same round of plain FedAvg, which proves nothing.

    .venv/bin/python benches/fedavg.py --repeat 3

Plain is NumPy in float64: the local epoch, and the participant's part of the average. Ours is the local epoch in exact
integers, the commitment to the update, the proof, and one check of it; keys are made beforehand and once for a task,
and are shown beside. Sharing and sealing, which hide the update, are no part of the proof: `committee.py` has them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import training

from fedproof import _core
from fedproof.learning.cost import UPDATE_BLINDING
from fedproof.learning.reference import float_sgd
from fedproof.statements.models.vectors import model_update_vector

SHOWN = ("logistic 31 columns, 512 rows", "perceptron 64-32-10, 1504 rows")


def median_of(call: Callable[[], object], repeat: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    call()
    samples = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        samples.append(time.perf_counter() - started)
    return statistics.median(samples)


def price(name: str, repeat: int) -> dict[str, Any]:
    """Seconds of each part of a round, and what they come to."""
    case = training.CASES[name]
    plan, features = training.plan_of(case)
    trace, records = training.run_of(case, plan)
    real, labels = features[: plan.rows - 2] / 256, records[2][: plan.rows - 2].astype(np.float64)
    start = plan.real(trace.start)
    found: dict[str, Any] = {}

    def plain() -> None:
        end = float_sgd(plan.model, start, real, labels)
        total = [np.zeros_like(matrix) for matrix in start]
        for matrix, after, before in zip(total, end, start, strict=True):
            matrix += len(real) * (after - before)

    found["plain"] = median_of(plain, 5 * repeat)
    found["integers"] = median_of(lambda: training.train(plan, *records, plan.start(7)), 5 * repeat)
    vector = model_update_vector(plan, trace.update, _core.fr_random(UPDATE_BLINDING))
    srs = _core.Srs.generate(len(vector), [1])
    found["commit"] = median_of(lambda: srs.commit(vector), repeat)
    proof = training.measure(name, repeat)
    found |= {key: proof[key] for key in ("prove", "prove, processor", "verify", "setup", "constraints")}
    found["ours"] = found["integers"] + found["commit"] + found["prove"] + found["verify"]
    found["ratio"] = found["ours"] / found["plain"]
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="a participant's round beside plain FedAvg")
    parser.add_argument("--repeat", type=int, default=1, help="proofs of each model (default 1)")
    parser.add_argument("--only", choices=SHOWN, action="append", help="this model alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    found = {name: price(name, chosen.repeat) for name in chosen.only or SHOWN}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "models": found}, indent=2))
        return
    print(machine + "\n")
    print("| model | plain s | ours s | ours / plain | integers s | commit s | prove s | verify s | keys, once, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, f in found.items():
        print(
            f"| {name} | {f['plain']:.5f} | {f['ours']:.3f} | {f['ratio']:,.0f} | {f['integers']:.5f} "
            f"| {f['commit']:.4f} | {f['prove']:.2f} | {f['verify']:.4f} | {f['setup']:.1f} |"
        )


if __name__ == "__main__":
    main()
