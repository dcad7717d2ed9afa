"""Proofs of training for each kind of model, as a participant makes them: seconds, memory, and bytes.

    .venv/bin/python benches/training.py --only "softmax 784-10, one step"

Each case runs in processes of its own: one deals the keys, another one proves, as a node does: it compiles the
statement, loads the keys and starts from the records. Its peak memory counts all of that; a proof's time counts from
the witness on: assigning wires, the commitment D, the challenges, Groth16, and the opening of the link. Scales are
those that `choose_precision` takes for standardised features: drawn ones, or the images of scikit-learn's digits, which
are 8 x 8 and for the largest network enlarged to 28 x 28.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from fedproof import _core
from fedproof.learning.architecture import Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.cost import UPDATE_BLINDING, cost
from fedproof.learning.exact import ModelTrace, train
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.sgd import pad_to
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import with_proving_key
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.transcript import Challenges
from fedproof.statements.layout import DATASET_BLINDING, DatasetLayout
from fedproof.statements.models.statement import ModelStatement, ModelWitness
from fedproof.statements.models.vectors import model_update_vector, model_vector
from fedproof.statements.vectors import dataset_vector

Made = TypeVar("Made")


@dataclass(frozen=True)
class Case:
    """A model on a capacity class, and the most that the project allows itself for it, by figure.

    Attributes:
        side: of the digits' images in pixels; 0 for drawn features and labels.
    """

    model: Model
    rows: int
    limits: dict[str, float]
    side: int = 0


CASES = {
    "logistic 31 columns, one step": Case(Model.logistic(30), 32, {}),
    "logistic 31 columns, 512 rows": Case(Model.logistic(30), 512, {"per value": 3.5, "prove": 2.5}),
    "softmax 784-10, one step": Case(
        Model.softmax(784, 10), 32, {"prove": 5, "memory": 1_000_000_000, "proof bytes": 400}
    ),
    "softmax 784-10, 640 rows": Case(Model.softmax(784, 10), 640, {"prove": 50, "memory": 4_000_000_000}),
    "perceptron 31-16-1, 512 rows": Case(Model.perceptron(31, [16], 1), 512, {"constraints": 220_000, "prove": 8}),
    "perceptron 64-32-10, 1504 rows": Case(
        Model.perceptron(64, [32], 10), 1504, {"prove": 60, "memory": 6_000_000_000}, side=8
    ),
    "perceptron 784-64-10, 640 rows": Case(Model.perceptron(784, [64], 10), 640, {}, side=28),
}


def drawn(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features, `(rows, columns)`, and labels, `(rows,)`."""
    if case.side:
        images, labels = load_digits(return_X_y=True)
        images = zoom(images[: case.rows].reshape(-1, 8, 8), (1, case.side / 8, case.side / 8), order=1)
        pixels = images.reshape(case.rows, -1)
        spread = pixels.std(axis=0)
        return (pixels - pixels.mean(axis=0)) / np.where(spread > 0, spread, 1), labels[: case.rows].astype(np.int64)
    features = np.random.default_rng(11).normal(size=(case.rows, case.model.widths[0]))
    return features, np.random.default_rng(12).integers(0, max(case.model.outputs, 2), case.rows)


def records_of(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The same, with features in 256ths."""
    features, labels = drawn(case)
    return np.clip(np.round(256 * features), -2048, 2047).astype(np.int64), labels


def plan_of(case: Case) -> tuple[TrainingPlan, np.ndarray]:
    """The plan and its standardised features."""
    features, _ = records_of(case)
    return choose_precision(case.model, features, case.rows), features


def run_of(case: Case, plan: TrainingPlan) -> tuple[ModelTrace, tuple[Any, Any, Any]]:
    """An honest run on records of which the last two are padding."""
    features, labels = (part[: plan.rows - 2] for part in records_of(case))
    records = pad_to(plan.rows, plan.columns, features, labels)
    return train(plan, *records, plan.start(7)), records


def seconds(call: Callable[[], Made]) -> tuple[Made, float]:
    """What a call gives, and how long it took."""
    started = time.perf_counter()
    made = call()
    return made, time.perf_counter() - started


def deal(case: Case, folder: Path) -> dict[str, Any]:
    """Make powers of tau and keys, and keep them in the folder."""
    plan, _ = plan_of(case)
    masks = DatasetLayout(plan.rows, plan.columns).masks
    srs, powers_seconds = seconds(lambda: _core.Srs.generate(cost(plan).powers, [1, masks]))
    circuit, compile_seconds = seconds(lambda: compile_statement(ModelStatement(plan)))
    proving, setup_seconds = seconds(lambda: _core.ProvingKey.setup(circuit.r1cs))
    (folder / "powers").write_bytes(srs.to_bytes())
    (folder / "keys").write_bytes(proving.to_bytes())
    return {
        "powers": powers_seconds, "compile": compile_seconds, "setup": setup_seconds,
        "setup memory": peak(), "key bytes": (folder / "keys").stat().st_size,
    }  # fmt: skip


def prove(case: Case, folder: Path, repeat: int) -> dict[str, Any]:
    """Prove and check so many times."""
    plan, _ = plan_of(case)
    statement = ModelStatement(plan)
    circuit = compile_statement(statement)
    srs = _core.Srs.from_bytes((folder / "powers").read_bytes(), check=False)
    proving = _core.ProvingKey.from_bytes((folder / "keys").read_bytes())
    keys = with_proving_key(circuit, proving, srs, DatasetLayout(plan.rows, plan.columns).masks)
    compiled = peak()
    trace, records = run_of(case, plan)
    witness = ModelWitness(trace, _core.fr_random(DATASET_BLINDING + plan.mask_count), _core.fr_random(UPDATE_BLINDING))
    vectors = [
        dataset_vector(*records, witness.dataset_blinding),
        model_vector(plan, trace.start),
        model_update_vector(plan, trace.update, witness.update_blinding),
    ]
    commitments = [srs.commit(vector) for vector in vectors]

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
        drawn = challenge(proof.d)
        made: tuple[Any, ...] = (keys.verifying, [], drawn, proof, commitments)
        checking.append(seconds(lambda: check_linked(*made))[1])  # noqa: B023
    found = cost(plan)
    return {
        "constraints": circuit.r1cs.num_constraints,
        "law": found.constraints + 1 + circuit.r1cs.num_public,  # and the rows of [1 | x]
        "per value": circuit.r1cs.num_constraints / (plan.rows * plan.columns),
        "committed": circuit.r1cs.num_committed,
        "domain": circuit.r1cs.domain_size,
        "prove": statistics.median(proving_seconds),
        "prove samples": proving_seconds,
        "prove, processor": statistics.median(processor),  # of all cores together, whatever else the machine does
        "verify": statistics.median(checking),
        "memory": peak(),
        "memory before proving": compiled,
        "proof bytes": len(proof.proof) + len(proof.d) + len(proof.q),  # and y, a public input
    }


def peak() -> int:
    """Most bytes that this process held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str, repeat: int) -> dict[str, Any]:
    """Both stages of a case, each in a process of its own."""
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in ("deal", "prove"):
            command = [sys.executable, __file__, "--only", name, "--repeat", str(repeat), "--stage", stage, folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            out |= json.loads(done.stdout)
    out["missed"] = [figure for figure, most in CASES[name].limits.items() if out[figure] > most]
    return out


def table(found: dict[str, dict[str, Any]]) -> None:
    """Print the figures."""
    print(
        "| case | constraints | law | per value | committed | setup s | prove s | of all cores s | verify s | peak "
        "| proof | missed |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, f in found.items():
        print(
            f"| {name} | {f['constraints']:,} | {f['law']:,} | {f['per value']:.2f} | {f['committed']:,} "
            f"| {f['setup']:.1f} | {f['prove']:.2f} | {f['prove, processor']:.2f} | {f['verify']:.4f} "
            f"| {f['memory'] / 1e9:.2f} GB | {f['proof bytes']} | {', '.join(f['missed']) or 'none'} |"
        )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="proofs of training for each kind of model")
    parser.add_argument("--repeat", type=int, default=1, help="proofs of each case (default 1)")
    parser.add_argument("--only", choices=CASES, action="append", help="this case alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.only or list(CASES)
    if chosen.stage:
        stage, folder = chosen.stage
        case = CASES[names[0]]
        print(json.dumps(deal(case, Path(folder)) if stage == "deal" else prove(case, Path(folder), chosen.repeat)))
        return
    found = {name: measure(name, chosen.repeat) for name in names}
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "cases": found}, indent=2))
        return
    print(machine + "\n")
    table(found)


if __name__ == "__main__":
    main()
