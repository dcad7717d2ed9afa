"""The report: exactly the documented fields, finite numbers that add up, and the same figures for the same seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof.app.report import summary
from fedproof.data import Schema, capacity_rows, load, split
from fedproof.learning.baseline import fedavg
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.metrics import accuracy, log_loss
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from tests.app.runs import FinishedRun

pytestmark = pytest.mark.slow

STATEMENTS = {"eligibility", "listing", "training", "aggregation"}
TOP = {
    "version", "seed", "data", "participants", "workers", "threshold", "rounds", "float_fedavg", "proofs",
    "gas_per_update", "substrate_weight_per_update", "audit", "peak_rss_mb",
}  # fmt: skip
EXTRAS = {"weights_relative_l2", "seconds", "model", "statement"}
INSIDE = {
    "data": {"name", "rows", "features"},
    "float_fedavg": {"accuracy", "log_loss"},
    "substrate_weight_per_update": {"frontier", "moonbeam"},
    "audit": {"ok", "chain_id", "federation", "task", "statement", "checks", "notes"},
    "statement": {"name", "text", "proves"},
    "model": {"name", "parameters", "plan", "digest", "advice"},
}
ROUND = {"accuracy", "log_loss", "updates_accepted", "seconds", "gas", "tx"}
SECONDS = {"train", "prove", "share", "aggregate", "settle"}
GAS, TX = {"open", "submit", "freeze", "part", "finalize", "total"}, {"open", "submit", "finalize"}
PROOF = {
    "constraints", "public_inputs", "setup_seconds", "prove_seconds", "verify_seconds", "proof_bytes", "gas", "domain",
}  # fmt: skip


def numbers(value: Any) -> Iterator[float]:
    """All numbers in a document."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_has_exactly_the_documented_fields(run: FinishedRun) -> None:
    report = run.report
    assert set(report) == TOP | EXTRAS
    for name, fields in INSIDE.items():
        assert set(report[name]) == fields
    assert set(report["proofs"]) == STATEMENTS
    assert all(set(proof) == PROOF for proof in report["proofs"].values())
    assert len(report["rounds"]) == 2
    for played in report["rounds"]:
        assert (set(played), set(played["seconds"]), set(played["gas"]), set(played["tx"])) == (ROUND, SECONDS, GAS, TX)


def test_says_what_was_run(run: FinishedRun) -> None:
    report = run.report
    assert (report["version"], report["seed"]) == (1, 7)
    assert report["data"] == {"name": "wine", "rows": 178, "features": 13}
    assert (report["participants"], report["workers"], report["threshold"]) == (3, 3, 1)
    assert report["audit"]["ok"] is True
    assert report["statement"]["name"] == report["statement"]["text"] == report["audit"]["statement"]
    assert report["statement"]["name"] == "proof of training"
    assert (report["model"]["name"], report["model"]["parameters"]) == ("logistic regression 13-1", 14)
    assert report["model"]["advice"] == []
    assert [played["updates_accepted"] for played in report["rounds"]] == [3, 3]


def test_all_numbers_are_finite_and_none_is_negative(run: FinishedRun) -> None:
    found = list(numbers(run.report))
    assert len(found) > 70
    assert all(math.isfinite(number) and number >= 0 for number in found)
    report = run.report
    assert all(sum(played["seconds"].values()) > 0 for played in report["rounds"])
    assert report["peak_rss_mb"] > 50
    for proof in report["proofs"].values():
        assert proof["proof_bytes"] in (256, 416)
        assert proof["constraints"] <= proof["domain"]
        assert min(proof["gas"], proof["prove_seconds"], proof["verify_seconds"], proof["public_inputs"]) > 0


def test_gas_adds_up_and_is_the_chains(run: FinishedRun) -> None:
    report, chain = run.report, run.chain
    total = 0
    for played in report["rounds"]:
        gas, tx = played["gas"], played["tx"]
        assert gas["total"] == gas["open"] + sum(gas["submit"]) + gas["part"] + gas["finalize"]
        assert gas["submit"] == [chain.receipt(each).gas_used for each in tx["submit"]]
        assert gas["finalize"] == chain.receipt(tx["finalize"]).gas_used
        # later rounds open with their predecessor's end
        assert (tx["open"], gas["open"]) == (None, 0)  # the task is full, so its last enrolment opened it
        total += gas["total"]
    assert report["gas_per_update"] == round(total / 6)
    weight = report["substrate_weight_per_update"]
    assert weight == {"frontier": 20_000 * report["gas_per_update"], "moonbeam": 25_000 * report["gas_per_update"]}


def test_the_same_seed_gives_the_same_split_start_and_baseline(run: FinishedRun) -> None:
    """What the report says is computed here again, from the seed alone."""
    report = run.report
    parts = split(load("wine", positive="class_1"), report["participants"], report["seed"])
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    start = GlobalModel.start(TrainingPlan.of(TrainingSpec(rows, schema.columns)), report["seed"])
    private = [(schema.standardise(part.features), part.labels) for part in parts.parts]
    plain = fedavg(private, 2, start=start.real()[0][:, 0])
    test = schema.standardise(parts.test.features), parts.test.labels
    assert report["float_fedavg"]["accuracy"] == [accuracy(weights, *test) for weights in plain]
    assert report["float_fedavg"]["log_loss"] == pytest.approx([log_loss(weights, *test) for weights in plain])
    blobs = {path.name: path.read_bytes() for path in (run.folder / "public" / "blobs").iterdir()}
    assert start.encode() in blobs.values()
    assert schema.encode() in blobs.values()
    final = next(
        model
        for model in (GlobalModel.decode(blob) for blob in blobs.values() if blob.startswith(b'{"model":{"activation"'))
        if abs(log_loss(model.real()[0][:, 0], *test) - report["rounds"][-1]["log_loss"]) < 1e-12
    )
    distance = np.linalg.norm(final.real()[0][:, 0] - plain[-1]) / np.linalg.norm(plain[-1])
    assert report["weights_relative_l2"] == pytest.approx(float(distance))
    # the proven rounds end where plain FedAvg does
    assert distance <= 0.02
    assert abs(report["rounds"][-1]["accuracy"] - report["float_fedavg"]["accuracy"][-1]) <= 0.01
    other = split(load("wine", positive="class_1"), report["participants"], report["seed"] + 1)
    assert [part.rows for part in other.parts] != [part.rows for part in parts.parts] or not np.array_equal(
        other.parts[0].features, parts.parts[0].features
    )


def test_the_summary_names_the_figures(run: FinishedRun) -> None:
    report = run.report
    told = summary(report, Path("there"))
    assert told.splitlines()[1] == "wine: 2 rounds, 3 participants, 3 workers"
    assert f"{report['gas_per_update']:,} per update" in told
    assert "280,000" in told
