"""Proofs of bounded updates (no training): seconds, memory and constraints for models of any kind.

    .venv/bin/python benches/bounded.py --only 10000

A participant's dataset is of 256 rows x 31 columns, an entry has a fixed point of 16 fraction bits, and the norm is at
most 1. Each case runs in processes of its own, as in `training.py`: one deals the keys, another one proves. Clipping
and commitments count apart from the proof.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fedproof import _core
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.sgd import pad_to
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import with_proving_key
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.transcript import Challenges
from fedproof.statements.bounded import BoundedStatement, BoundedWitness
from fedproof.statements.layout import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector

Made = TypeVar("Made")
ROWS, COLUMNS, REAL = 256, 31, 250
PARAMETERS = (1_000, 10_000, 100_000)
LIMITS = {"per parameter": 7.0}
"""The most that the project allows itself; the dataset and tables outweigh a model of 1,000 parameters."""


def seconds(call: Callable[[], Made]) -> tuple[Made, float]:
    """What a call gives, and how long it took."""
    started = time.perf_counter()
    made = call()
    return made, time.perf_counter() - started


def peak() -> int:
    """Most bytes that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def deal(parameters: int, folder: Path) -> dict[str, Any]:
    """Make powers of tau and keys, and keep them in the folder."""
    statement = BoundedStatement(BoundedPlan.choose(ROWS, COLUMNS, parameters, 1.0))
    srs, powers_seconds = seconds(lambda: _core.Srs.generate(statement.powers, [1, statement.layout.masks]))
    circuit, compile_seconds = seconds(lambda: compile_statement(statement))
    proving, setup_seconds = seconds(lambda: _core.ProvingKey.setup(circuit.r1cs))
    (folder / "powers").write_bytes(srs.to_bytes())
    (folder / "keys").write_bytes(proving.to_bytes())
    return {
        "powers": powers_seconds, "compile": compile_seconds, "setup": setup_seconds,
        "setup memory": peak(), "key bytes": (folder / "keys").stat().st_size,
    }  # fmt: skip


def prove(parameters: int, folder: Path, repeat: int) -> dict[str, Any]:
    """Clip, prove and check so many times."""
    plan = BoundedPlan.choose(ROWS, COLUMNS, parameters, 1.0)
    statement = BoundedStatement(plan)
    circuit = compile_statement(statement)
    srs = _core.Srs.from_bytes((folder / "powers").read_bytes(), check=False)
    proving = _core.ProvingKey.from_bytes((folder / "keys").read_bytes())
    keys = with_proving_key(circuit, proving, srs, statement.layout.masks)
    rng = np.random.default_rng(11)
    records = pad_to(ROWS, COLUMNS, rng.integers(-2048, 2048, (REAL, COLUMNS - 1)), rng.integers(0, 2, REAL))
    update, clipping = seconds(lambda: plan.clip_real(rng.normal(size=parameters)))
    witness = BoundedWitness(
        dataset_vector(*records, _core.fr_random(DATASET_BLINDING + plan.mask_count)),
        rng.integers(-(2**20), 2**20, parameters),
        update,
        _core.fr_random(UPDATE_BLINDING),
    )
    vectors = [witness.dataset, weight_vector(witness.weights), update_vector(update, witness.update_blinding)]
    commitments, committing = seconds(lambda: [srs.commit(vector) for vector in vectors])

    def challenge(d: bytes) -> Challenges:
        base = d + b"".join(commitments)
        hashed = (_core.keccak256(name + base) for name in (b"sigma", b"lambda"))
        return Challenges(*(int.from_bytes(digest, "big") % _core.MODULUS for digest in hashed))

    proving_seconds, checking, processor = [], [], []
    for _ in range(repeat):
        before = time.process_time()
        proof, took = seconds(lambda: prove_linked(keys, statement, witness, srs, vectors, challenge))
        proving_seconds.append(took)
        processor.append(time.process_time() - before)
        made: tuple[Any, ...] = (keys.verifying, [], challenge(proof.d), proof, commitments)
        checking.append(seconds(lambda: check_linked(*made))[1])  # noqa: B023
    return {
        "constraints": circuit.r1cs.num_constraints,
        "law": statement.cost() + 1 + circuit.r1cs.num_public,  # and the rows of [1 | x]
        "per parameter": (statement.cost() - statement.dataset_size - (1 << plan.limb_bits)) / parameters,
        "limbs": f"{plan.entry_limbs} of {plan.limb_bits} bits",
        "committed": circuit.r1cs.num_committed,
        "domain": circuit.r1cs.domain_size,
        "clip": clipping,
        "commit": committing,
        "prove": statistics.median(proving_seconds),
        "prove samples": proving_seconds,
        "prove, processor": statistics.median(processor),  # of all cores together, whatever else the machine does
        "verify": statistics.median(checking),
        "memory": peak(),
        "proof bytes": len(proof.proof) + len(proof.d) + len(proof.q),  # and y, a public input
    }


def measure(parameters: int, repeat: int) -> dict[str, Any]:
    """Both stages of a case, each in a process of its own."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in ("deal", "prove"):
            options = ["--only", str(parameters), "--repeat", str(repeat), "--stage", stage, folder]
            done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE)
            out |= json.loads(done.stdout)
    out["missed"] = [figure for figure, most in LIMITS.items() if out[figure] > most]
    return out


def table(found: dict[int, dict[str, Any]]) -> None:
    """Print the figures."""
    print(
        "| parameters | limbs | constraints | law | per parameter | committed | domain | setup s | clip s | commit s "
        "| prove s | of all cores s | verify s | peak | proof | missed |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for parameters, f in found.items():
        print(
            f"| {parameters:,} | {f['limbs']} | {f['constraints']:,} | {f['law']:,} | {f['per parameter']:.2f} "
            f"| {f['committed']:,} | {f['domain']:,} | {f['setup']:.1f} | {f['clip']:.3f} | {f['commit']:.2f} "
            f"| {f['prove']:.2f} | {f['prove, processor']:.2f} | {f['verify']:.4f} "
            f"| {f['memory'] / 1e9:.2f} GB | {f['proof bytes']} | {', '.join(f['missed']) or 'none'} |"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="proofs of bounded updates")
    parser.add_argument("--repeat", type=int, default=1, help="proofs of each case (default 1)")
    parser.add_argument(
        "--only", type=int, choices=PARAMETERS, action="append", help="this size alone; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    sizes = chosen.only or list(PARAMETERS)
    if chosen.stage:
        stage, folder = chosen.stage
        made = deal(sizes[0], Path(folder)) if stage == "deal" else prove(sizes[0], Path(folder), chosen.repeat)
        print(json.dumps(made))
        return
    found = {parameters: measure(parameters, chosen.repeat) for parameters in sizes}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "cases": found}, indent=2))
        return
    print(machine + "\n")
    table(found)


if __name__ == "__main__":
    main()
