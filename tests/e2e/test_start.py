"""A task that starts from the model of another: exported to ONNX, and taken from the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof.app.demo import DemoOptions, play_parts
from fedproof.app.startmodel import MOVED_BY, Start
from fedproof.cli.main import cli
from fedproof.data import Schema
from fedproof.errors import InputError
from fedproof.interop import ServedModel, Standardisation, write_onnx
from fedproof.learning.canonical import canonical
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.storage import BlobStore
from tests.app.runs import command
from tests.cli.test_command import only_line
from tests.e2e.test_models import toy

pytestmark = pytest.mark.slow


class Lines(list[str]):
    """What a run tells."""

    step = list.append

    def doing(self, text: str) -> None:
        """Nothing."""


def plan_of(report: dict[str, Any]) -> TrainingPlan:
    return TrainingPlan.decode(canonical(report["model"]["plan"]))


def start_of(folder: Path) -> GlobalModel:
    """The start of the task in a run folder."""
    store = BlobStore.open(str(folder / "public" / "blobs"))
    blobs = [path.read_bytes() for path in (folder / "public" / "blobs").iterdir()]
    (description,) = [TaskDescription.decode(blob) for blob in blobs if b'"statement":"proof of training"' in blob]
    return GlobalModel.decode(store.get(description.start))


def made_in(folder: Path) -> list[GlobalModel]:
    """The models of the rounds in a run folder."""
    blobs = [path.read_bytes() for path in (folder / "public" / "blobs").iterdir()]
    models = [GlobalModel.decode(blob) for blob in blobs if blob.startswith(b'{"model":{"activation"')]
    return [model for model in models if not np.array_equal(model.weights, start_of(folder).weights)]


def test_a_round_s_model_goes_out_and_comes_back_as_the_start_of_another_task(
    tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(key_cache))
    parts, told = toy("two"), Lines()
    options = DemoOptions(folder=tmp_path / "one", participants=2, rounds=1, model="mlp:3")
    report = play_parts(options, "toy", parts, told)
    plan, schema = plan_of(report), Schema.from_public(parts.test, 64)
    (made,) = made_in(options.folder)
    served = ServedModel(plan, made.layers, Standardisation.of(schema), schema.classes)
    file = tmp_path / "model.onnx"
    file.write_bytes(write_onnx(served))

    start = Start.read(file)
    assert start.asked() == "mlp:3"
    options = DemoOptions(folder=tmp_path / "two", participants=2, rounds=1, model=start.asked(), seed=6, start=start)
    again = play_parts(options, "toy", parts, told)
    assert again["audit"]["ok"]
    assert plan_of(again) == plan
    begun = start_of(options.folder)
    away = [np.abs(a - b).max() / scale for a, b, scale in zip(begun.layers, made.layers, begun.scales, strict=True)]
    assert 0 < max(away) <= 1 / MOVED_BY + 1e-6
    assert any("starts from" in line and "docs/security.md" in line for line in told)

    options = DemoOptions(folder=tmp_path / "three", participants=2, rounds=1, start=start)
    with pytest.raises(InputError, match="this federation trains a logistic regression 3-1"):
        play_parts(options, "toy", parts, told)
    assert not options.folder.exists()


def test_the_command_names_what_is_wrong_with_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.onnx").write_bytes(b"no model")
    Path("layers.json").write_text(json.dumps([["Linear", 30, 1, [[0.1] * 30], [0.0]], "Sigmoid"]))
    for arguments, said in (
        (["demo", "--start", "layers.json", "--model", "mlp:4"], "trains a multi-layer perceptron 30-4-1"),
        (["demo", "--start", "layers.json", "--data", "wine", "--positive", "class_1"], "30-1 .* trains .* 13-1"),
        (["demo", "--raw-start"], "--raw-start says how --start FILE is read"),
        (["market", "init", "--start", "layers.json"], "--start belongs to --tasks"),
    ):
        with pytest.raises(InputError, match=said):
            cli.main(arguments, standalone_mode=False)
    done = command("demo", "--start", "bad.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert only_line(done).startswith("fedproof: --start bad.onnx: no ONNX file, layer list")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.onnx", "layers.json"]
