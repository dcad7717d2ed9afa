"""`run="prove"`: an estimator whose weights come from a whole proven task, and equal those of the simulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fedproof.app.proven import ProvenRunner
from fedproof.errors import InputError
from fedproof.interop import FederatedClassifier, FederatedRegressor
from tests.app.runs import command

pytestmark = pytest.mark.slow

NAMES = np.array(["green", "blue"], dtype=object)
SIZES = (40, 33)


def rows(regression: bool) -> tuple[Any, Any, Any, tuple[Any, Any]]:
    """X, y and groups of two participants, and public rows, which have other dtypes."""
    draw = np.random.default_rng(5)
    X = np.round(draw.normal(size=(sum(SIZES) + 20, 3)) * (1, 20, 300) + (0, 50, 7), 3)
    z = (X - (0, 50, 7)) / (1, 20, 300) @ (1, -1, 0.5)
    y = np.round(30 * z + 100, 2) if regression else NAMES[(z > 0).astype(int)]
    groups = draw.permutation(np.repeat(["b", "a"], SIZES))
    private = sum(SIZES)
    return X[:private], y[:private], groups, (X[private:].tolist(), y[private:].tolist())


def equal(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(a, b)
        for mine, theirs in zip(one.history_, other.history_, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize(
    ("estimator", "regression"),
    [
        (FederatedClassifier(rounds=2, epochs=1, seed=3), False),
        (FederatedRegressor(hidden_layer_sizes=(3,), rounds=2, epochs=2, seed=4), True),
    ],
    ids=["classifier", "regressor"],
)
def test_a_proven_fit_gives_the_weights_of_a_simulated_one_and_a_run_that_verifies(
    estimator: Any, regression: bool, tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(key_cache))
    X, y, groups, public = rows(regression)
    folder = tmp_path / "run"
    plain = estimator.fit(X, y, groups, public=public)
    proven = type(estimator)(**estimator.get_params() | {"run": "prove", "folder": str(folder)})
    proven.fit(X, y, groups, public=public)
    assert equal(plain, proven)
    assert np.array_equal(plain.predict(X), proven.predict(X))
    assert (plain.training_, plain.evidence_) == ("simulated", None)
    assert (proven.training_, proven.evidence_) == ("proven", str(folder))
    assert proven.precision_report_.lines()[0].startswith("proven")
    done = command("verify", str(folder), "--quiet")
    assert (done.returncode, done.stdout.startswith("The run checks out: ")) == (0, True)
    told = {each.key: each.value for each in onnx.load_model_from_string(proven.to_onnx()).metadata_props}
    model = json.loads((folder / "model.json").read_text())
    assert told["fedproof.training"] == "proven"
    assert told["fedproof.model_commitment"] == model["commitment"]
    assert model["weights"] == proven.plan_.model.flatten(proven.weights_).tolist()
    report = json.loads((folder / "report.json").read_text())
    assert (report["seed"], report["participants"], len(report["rounds"])) == (estimator.seed, 2, 2)
    assert report["data"]["rows"] == sum(SIZES) + 20
    with pytest.raises(InputError, match="exists already"):
        proven.fit(X, y, groups, public=public)


def test_a_proven_fit_says_how_far_it_is_where_that_is_asked_for(
    tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(key_cache))
    X, y, groups, public = rows(False)
    told = []
    for verbose in (0, 1):
        estimator = FederatedClassifier(
            run="prove", folder=tmp_path / str(verbose), rounds=1, epochs=1, verbose=verbose
        )
        estimator.fit(X, y, groups, public=public)
        told.append(capsys.readouterr())
    assert told[0] == ("", "")
    assert told[1].out == ""
    assert "round 1: 2 updates settled" in told[1].err


def test_what_cannot_be_proven_is_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    X, y, groups, public = rows(False)
    folder = tmp_path / "run"
    few = np.where(np.arange(len(y)) < 31, "few", "many")
    for said, fit in (
        ("participant 1 has 31 rows; a dataset is listed with 32 or more", {"groups": few}),
        ("public rows", {"public": None}),
        ("participant", {"groups": None, "X": X[:40], "y": y[:40]}),
    ):
        with pytest.raises(InputError, match=said):
            FederatedClassifier(run="prove", folder=folder, participants=2, rounds=1).fit(
                **{"X": X, "y": y, "groups": groups, "public": public} | fit
            )
        assert not folder.exists()
    with pytest.raises(InputError, match="needs at least 5 workers"):
        FederatedClassifier(run="prove", runner=ProvenRunner(folder, threshold=2)).fit(X, y, groups, public=public)
    with pytest.raises(ValueError, match="threshold: 0; give a whole number"):
        FederatedClassifier(run="prove", runner=ProvenRunner(folder, threshold=0)).fit(X, y, groups, public=public)
    for odd in (5, ["a"], "", "b\0x"):
        with pytest.raises(ValueError, match=r"folder: .*give the path of a folder that does not exist yet"):
            FederatedClassifier(run="prove", folder=odd).fit(X, y, groups, public=public)
    with pytest.raises(ValueError, match="participants: 5, and groups names 2; leave participants out"):
        FederatedClassifier(participants=5).fit(X, y, few)
    with pytest.raises(InputError, match="rounds: 1025; a task has 1024 at most"):
        FederatedClassifier(run="prove", folder=folder, rounds=1025).fit(X, y, groups, public=public)
    assert not folder.exists()
