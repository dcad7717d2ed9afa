"""The training statement beside the circuit that one writes first, on the same prover.

    .venv/bin/python benches/straightforward.py --prove "logistic 31 columns, 512 rows"

`peers/plain_training.py` says what that circuit is, and where it is cheaper than it would have to be. Both are counted
for every case of `training.py`; what `--prove` names is also built, compared with its count, set up and proven.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from training import CASES, Case, plan_of

from fedproof import _core
from fedproof.learning.architecture import LOG
from fedproof.learning.cost import cost
from fedproof.learning.plan import TrainingPlan
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import with_proving_key
from fedproof.proving.linked import check_plain, prove_plain

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import plain_training as plain

AT_LEAST = {"perceptron 64-32-10, 1504 rows": 10.0}
"""How many times our constraints, where the project has set itself a figure."""


def counted(case: Case) -> dict[str, Any]:
    """Both counts of a case."""
    plan, _ = plan_of(case)
    parts = plain.count(plan)
    ours, straight = cost(plan).constraints, sum(parts.values())
    return {"ours": ours, "straightforward": straight, "ratio": straight / ours, "parts": parts}


def witness_of(plan: TrainingPlan, features: np.ndarray) -> plain.PlainWitness:
    """Standardised features, labels, small weights and a challenge."""
    rng = np.random.default_rng(12)
    bias = np.full((plan.rows, 1), 1 << plan.scales[0].input_bits, dtype=np.int64)
    weights = [
        np.round(2**plain.WEIGHT_FRACTION * rng.normal(0, 0.3 / np.sqrt(a), (a, b))).astype(np.int64)
        for a, b in plan.model.layers
    ]
    sigma = _core.fr_to_ints(_core.fr_random(1))[0]
    labels = rng.integers(0, 2, (plan.rows, 1)).astype(np.int64)
    return plain.PlainWitness(np.concatenate([features, bias], axis=1), labels, weights, sigma)


def proven(case: Case, repeat: int) -> dict[str, Any]:
    """Build, set up, prove and check the straightforward circuit of a case."""
    plan, features = plan_of(case)
    statement = plain.PlainTraining(plan)
    circuit = compile_statement(statement)
    rows = sum(plain.count(plan).values()) + 1 + circuit.r1cs.num_public
    if circuit.r1cs.num_constraints != rows:
        raise SystemExit(f"built {circuit.r1cs.num_constraints} constraints, counted {rows}")
    started = time.perf_counter()
    proving = _core.ProvingKey.setup(circuit.r1cs)
    setup = time.perf_counter() - started
    keys = with_proving_key(circuit, proving, _core.Srs.generate(2, [1]), None)
    witness, seconds, processor = witness_of(plan, features), [], []
    for _ in range(repeat):
        started, used = time.perf_counter(), time.process_time()
        proof, public = prove_plain(keys, statement, witness)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
        check_plain(keys.verifying, public, proof)
    return {
        "setup": setup, "prove": statistics.median(seconds), "prove samples": seconds,
        "prove, processor": statistics.median(processor), "domain": circuit.r1cs.domain_size,
    }  # fmt: skip


def main() -> None:
    """Measure."""
    provable = [name for name, case in CASES.items() if case.model.loss == LOG]
    parser = argparse.ArgumentParser(description="the training statement beside a straightforward circuit")
    parser.add_argument("--repeat", type=int, default=1, help="proofs of each proven case (default 1)")
    parser.add_argument("--prove", choices=provable, action="append", default=[], help="prove this case, too")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    found = {name: counted(case) for name, case in CASES.items()}
    for name in chosen.prove:
        found[name] |= proven(CASES[name], chosen.repeat)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "cases": found}, indent=2))
        return
    print(machine + "\n\n| case | ours | straightforward | ratio | at least | setup s | prove s | processor s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, f in found.items():
        least = AT_LEAST.get(name)
        bound = "" if least is None else f"{least:g}: {'ok' if f['ratio'] >= least else 'MISSED'}"
        timed = (f"{f[key]:.1f}" if key in f else "" for key in ("setup", "prove", "prove, processor"))
        print(
            f"| {name} | {f['ours']:,} | {f['straightforward']:,} | {f['ratio']:.1f} | {bound} | {' | '.join(timed)} |"
        )


if __name__ == "__main__":
    main()
