"""Tasks of every kind of model, end to end on toy records, from listing to audit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof.app.audit import audit_run
from fedproof.app.demo import DemoOptions, play_parts
from fedproof.app.telling import Silent
from fedproof.data import Parts, Schema, Table
from fedproof.errors import AuditError
from fedproof.learning import exact
from fedproof.learning.canonical import canonical
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.sgd import pad_to
from fedproof.statements.aggregation import divide
from fedproof.storage import BlobStore

pytestmark = pytest.mark.slow

SIZES = (32, 40)
ROUNDS = 2


def toy(labels: str) -> Parts:
    """A test part and two private parts of three features; the label follows from them."""
    generator = np.random.Generator(np.random.PCG64(3))

    def table(name: str, rows: int) -> Table:
        x = np.round(generator.normal(size=(rows, 3)) * (1, 20, 300) + (0, 50, 7), 3)
        z = (x - (0, 50, 7)) / (1, 20, 300) @ np.array([[1, 0, -1], [0, 1, 0.5], [-1, 1, 0]])
        names = ("one", "two", "three")
        if labels == "target":
            return Table(name, x, names, np.round(40 * z[:, 0] + 100, 3), (), "cost")
        if labels == "two":
            return Table(name, x, names, (z[:, 0] > 0).astype(np.int64), ("no", "yes"))
        return Table(name, x, names, z.argmax(axis=1), ("red", "green", "blue"))

    return Parts(table("test", 20), tuple(table(f"part {k}", rows) for k, rows in enumerate(SIZES, 1)))


@dataclass
class Played:
    """A finished run of one model."""

    folder: Path
    report: dict[str, Any]
    parts: Parts

    @property
    def blobs(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.folder / "public" / "blobs").iterdir()]

    @property
    def plan(self) -> TrainingPlan:
        return TrainingPlan.decode(canonical(self.report["model"]["plan"]))


def play(folder: Path, model: str, epochs: int, labels: str, key_cache: Path, patch: pytest.MonkeyPatch) -> Played:
    patch.setenv("FEDPROOF_CACHE", str(key_cache))
    parts = toy(labels)
    options = DemoOptions(folder=folder, participants=2, rounds=ROUNDS, model=model, epochs=epochs)
    return Played(folder, play_parts(options, "toy", parts, Silent()), parts)


def models_in(played: Played) -> list[GlobalModel]:
    return [GlobalModel.decode(blob) for blob in played.blobs if blob.startswith(b'{"model":{"activation"')]


def in_plain_integers(played: Played) -> list[GlobalModel]:
    """The models of all rounds by the semantics alone."""
    plan, schema = played.plan, Schema.from_public(played.parts.test, played.plan.rows)
    current = GlobalModel.start(plan, 1)
    made = [current]
    for _ in range(ROUNDS):
        total: Any = 0
        for part in played.parts.parts:
            padded = pad_to(
                plan.rows, plan.columns, schema.quantise(part.features), schema.quantise_labels(part.labels)
            )
            update = exact.train(plan, *padded, current.layers).update
            total = total + part.rows * plan.model.flatten(update).astype(object)
        current = current.moved(divide(total, sum(SIZES))[0])
        made.append(current)
    return made


@pytest.mark.parametrize(
    ("model", "epochs", "labels"),
    [
        ("linear", 2, "target"), ("softmax", 1, "three"), ("mlp:3,2", 2, "two"), ("mlp:4", 1, "three"),
        ("mlp:3", 1, "target"),
    ],
)  # fmt: skip
def test_a_task_trains_it_from_listing_to_payment(
    tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch, model: str, epochs: int, labels: str
) -> None:
    played = play(tmp_path / "run", model, epochs, labels, key_cache, monkeypatch)
    report, plan = played.report, played.plan
    assert report["audit"]["ok"]
    assert plan.digest().hex() == report["model"]["digest"]
    assert plan.epochs == epochs
    made = {each.weights.tobytes() for each in models_in(played)}
    assert made == {each.weights.tobytes() for each in in_plain_integers(played)}
    figures = {"rmse", "r2"} if labels == "target" else {"accuracy", "log_loss"}
    assert figures <= report["rounds"][-1].keys()
    assert report["float_fedavg"].keys() == figures
    assert report["weights_relative_l2"] < 0.02
    name = "r2" if labels == "target" else "accuracy"
    assert abs(report["rounds"][-1][name] - report["float_fedavg"][name][-1]) <= 0.06
    assert report["proofs"]["training"]["constraints"] > report["proofs"]["training"]["public_inputs"]


def test_an_audit_finds_another_plan_or_model_under_the_names(
    tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fixed on chain is the content id of the description, the plan's digest, and each model's commitment."""
    played = play(tmp_path / "run", "softmax", 1, "three", key_cache, monkeypatch)
    real = BlobStore.get

    def lie(change: Any) -> None:
        monkeypatch.setattr(BlobStore, "get", lambda *args, **more: change(real(*args, **more)))

    def another_plan(blob: bytes) -> bytes:
        try:
            found = TaskDescription.decode(blob)
        except Exception:  # noqa: BLE001  # any other blob
            return blob
        document = json.loads(found.encode())
        document["plan"]["epochs"] = 2
        return canonical(document)

    def another_weight(blob: bytes) -> bytes:
        if not blob.startswith(b'{"model":{"activation"'):
            return blob
        document = json.loads(blob)
        document["weights"][-1] += 1
        return canonical(document)

    for change, what in ((another_plan, "another circuit"), (another_weight, "start model is not the one")):
        with monkeypatch.context():
            lie(change)
            with pytest.raises(AuditError, match=what):
                audit_run(played.folder, Silent())
        monkeypatch.setattr(BlobStore, "get", real)
    # on disk, the store itself sees it
    for path in (played.folder / "public" / "blobs").iterdir():
        if path.read_bytes().startswith(b'{"model":{"activation"'):
            path.write_bytes(another_weight(path.read_bytes()))
    with pytest.raises(AuditError):
        audit_run(played.folder, Silent())
