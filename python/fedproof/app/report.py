"""The report of a run: one versioned JSON document, and the few lines that a person reads."""

from __future__ import annotations

import json
import os
import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedproof.app.training import model_text
from fedproof.app.world import KeyFigures, write_json
from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan, proves, statement_text
from fedproof.learning.scoring import Scores, Weights, score

VERSION = 1
#: Substrate ref_time per unit of gas: the Frontier template and Moonbeam
WEIGHT_PER_GAS = {"frontier": 20_000, "moonbeam": 25_000}
FIELD_FIGURE = 210_000
UPDATE_PROOFS = (TrainingPlan.key_name, BoundedPlan.key_name)
NAMES = {"accuracy": "accuracy", "log_loss": "log loss", "rmse": "error", "r2": "R2"}
"""Of the scores, for people; an error is in units of the target's scale."""


@dataclass
class RoundFigures:
    """What one round was and took."""

    number: int
    model: GlobalModel = field(init=False)
    scores: Scores = field(default_factory=Scores)
    advice: list[str] = field(default_factory=list)
    updates_accepted: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    gas_open: int = 0
    gas_submit: list[int] = field(default_factory=list)
    gas_part: int = 0  # the first updates of a large round
    gas_finalize: int = 0
    tx_open: str | None = None
    tx_submit: list[str] = field(default_factory=list)
    tx_finalize: str = ""

    @property
    def gas_total(self) -> int:
        """Open, every submission, and what ends it; close and freeze are implied by block numbers and cost nothing."""
        return self.gas_open + sum(self.gas_submit) + self.gas_part + self.gas_finalize

    def to_json(self) -> dict[str, Any]:
        """The round's part of the report."""
        return {
            **self.scores.to_json(),
            "updates_accepted": self.updates_accepted,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "gas": {
                "open": self.gas_open,
                "submit": self.gas_submit,
                "freeze": 0,
                "part": self.gas_part,
                "finalize": self.gas_finalize,
                "total": self.gas_total,
            },
            "tx": {"open": self.tx_open, "submit": self.tx_submit, "finalize": self.tx_finalize},
        }


@dataclass
class Costs:
    """Prove and verify seconds, gas and bytes of the proofs of each statement, as they come."""

    prove: dict[str, list[float]] = field(default_factory=dict)
    verify: dict[str, list[float]] = field(default_factory=dict)
    gas: dict[str, list[int]] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, prove: float, gas: int, size: int) -> None:
        """Note one proof."""
        self.prove.setdefault(name, []).append(prove)
        self.gas.setdefault(name, []).append(gas)
        self.size[name] = size

    @contextmanager
    def verifying(self, name: str) -> Iterator[None]:
        """Time one verification outside the chain."""
        started = time.perf_counter()
        yield
        self.verify.setdefault(name, []).append(time.perf_counter() - started)


def peak_rss_mb() -> float:
    """Peak resident memory of this process, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def build_report(
    *,
    seed: int,
    table: str,
    rows: int,
    features: int,
    participants: int,
    workers: int,
    threshold: int,
    rounds: list[RoundFigures],
    plan: Plan,
    baseline: list[Weights],
    test: tuple[Float, Float],
    figures: dict[str, KeyFigures],
    costs: Costs,
    audit: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """Put the report together.

    Args:
        plan: what was trained and how, and the statement that was proven of each update.
        baseline: weights of the plain floating-point FedAvg after each round, a matrix for each layer.
        test: standardised features and labels of the public test part.
    """
    updates = sum(played.updates_accepted for played in rounds)
    gas_per_update = round(sum(played.gas_total for played in rounds) / updates)
    final, plain = (np.concatenate([m.reshape(-1) for m in w]) for w in (rounds[-1].model.real(), baseline[-1]))
    model = plan.model
    assert isinstance(model, Model)  # what a baseline exists for
    floats = [score(model, weights, *test).to_json() for weights in baseline]
    return {
        "version": VERSION,
        "seed": seed,
        "statement": {"name": plan.statement, "text": statement_text(plan), "proves": proves(plan)},
        "data": {"name": table, "rows": rows, "features": features},
        "model": {
            "name": model_text(plan),
            "parameters": plan.model.parameters,
            "plan": json.loads(plan.encode()),
            "digest": plan.digest().hex(),
            "advice": [f"round {played.number}: {line}" for played in rounds for line in played.advice],
        },
        "participants": participants,
        "workers": workers,
        "threshold": threshold,
        "rounds": [played.to_json() for played in rounds],
        "float_fedavg": {name: [each[name] for each in floats] for name in floats[0]},
        "weights_relative_l2": float(np.linalg.norm(final - plain) / np.linalg.norm(plain)),
        "proofs": {
            name: {
                **{key: value for key, value in asdict(figure).items() if key != "setup_seconds"},
                "setup_seconds": round(figure.setup_seconds, 3),
                "prove_seconds": round(statistics.median(costs.prove[name]), 4),
                "verify_seconds": round(statistics.median(costs.verify[name]), 4),
                "proof_bytes": costs.size[name],
                "gas": round(statistics.median(costs.gas[name])),
            }
            for name, figure in figures.items()
        },
        "gas_per_update": gas_per_update,
        "substrate_weight_per_update": {name: factor * gas_per_update for name, factor in WEIGHT_PER_GAS.items()},
        "audit": audit,
        "seconds": round(seconds, 2),
        "peak_rss_mb": peak_rss_mb(),
    }


def check_report_file(path: Path) -> None:
    """Refuse a place that cannot be written before a run of minutes, not after it.

    Raises:
        InputError: the folder is not there or takes no file.
    """
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{path} cannot be written: {folder} is no folder that takes files")


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write the report where the user asked for it."""
    write_json(path, report)


def summary(report: dict[str, Any], folder: Path) -> str:
    """What happened and where to look, in a few lines."""
    last, plain = report["rounds"][-1], report["float_fedavg"]
    update_proof = next(report["proofs"][name] for name in UPDATE_PROOFS if name in report["proofs"])
    n = report["participants"]
    field_gas = round((n + 1) / n * FIELD_FIGURE)
    return "\n".join(
        [
            "",
            f"{report['data']['name']}: {len(report['rounds'])} rounds, {n} participants, {report['workers']} workers",
            f"  model      {report['model']['name']}: {report['model']['parameters']:,} weights, "
            f"{update_proof['constraints']:,} constraints",
            f"  proven     {report['statement']['text']}",
            *(
                f"  {NAMES[name]:10} {last[name]:.4f}   (plain FedAvg: {values[-1]:.4f})"
                for name, values in plain.items()
            ),
            f"  weights    {100 * report['weights_relative_l2']:.2f}% from plain FedAvg (relative L2)",
            f"  gas        {report['gas_per_update']:,} per update   (a proof each and one to settle: {field_gas:,})",
            f"  audit      {len(report['audit']['checks'])} checks hold; no secret used",
            f"  time       {report['seconds']:.0f} s, {report['peak_rss_mb']:.0f} MiB at most",
            "",
            f"  {folder}/report.json   every figure",
            f"  {folder}/model.json    the last model, which --start takes",
            f"  {folder}/public        chain and blobs; audit them again: fedproof verify {folder}",
            f"  {folder}/private       one folder for each role, with its secrets",
        ]
    )
