"""`--model`, `--epochs` and `--labels` on the command line: what is wrong is one line, before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fedproof.cli.main import cli
from fedproof.errors import InputError

WORDS_TOO = ["--public", "words.csv", "--label", "outcome"]
CHAIN = ["--rpc", "http://127.0.0.1:1", "--tasks", "64", "5"]
NUMBERS = "age,dose,outcome\n" + "".join(f"{k},{k % 7},{k / 4}\n" for k in range(200))
WORDS = "age,dose,outcome\n" + "".join(f"{k},{k % 7},{'xyz'[k % 3]}\n" for k in range(200))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["demo", "--model", "tree"], "--model 'tree': use logistic, linear, softmax, or mlp"),
        (["demo", "--model", "mlp:0"], "hidden layers of 1 to 1024 units"),
        (["demo", "--model", "linear", "--data", "wine"], "wine: its label is a class"),
        (["demo", "--model", "softmax", "--data", "diabetes"], "diabetes: its label is a number"),
        (["demo", "--data", "diabetes"], "diabetes: its label is a number"),
        (["demo", "--model", "softmax", "--data", "wine", "--positive", "class_1"], "--positive makes two classes"),
        (["demo", "--model", "linear", "--data", "words.csv"], "row 2, column 'outcome': the label is no number"),
        (["demo", "--data", "words.csv"], "3 classes"),
        (["net", "prepare", "net", "--model", "mlp:8,"], "widths are whole numbers"),
        (["market", "init", *CHAIN, "--model", "softmax"], "--labels"),
        (["market", "init", *CHAIN, "--model", "linear", "--labels", "binary"], "not trained on labels of kind binary"),
        (["market", "init", *CHAIN, "--model", "mlp", "--labels", "goal"], "no kind 'goal'"),
        (["market", "init", *CHAIN, "--public", "words.csv"], "--schema, --public and --label belong together"),
        (
            ["market", "init", *CHAIN, "--schema", "words.csv", *WORDS_TOO],
            "not JSON",
        ),
        (["market", "init", *CHAIN, "--schema", "nowhere", *WORDS_TOO], "cannot be read"),
        (["market", "add-class", "64", "5", "--labels", "classes 2"], "no kind"),
        (["demo", "--norm", "2"], "--norm bounds the updates of --statement bounded"),
        (["demo", "--statement", "bounded", "--norm", "0"], "--norm 0 must be from"),
        (["demo", "--model", "arrays:9"], "no proof of training"),
        (["demo", "--model", "arrays:9", "--statement", "bounded"], "participant.trainer"),
        (["net", "prepare", "net", "--model", "arrays:9", "--statement", "bounded"], "participant.trainer"),
        (["market", "init", *CHAIN, "--model", "arrays:3x", "--statement", "bounded"], "the shape of each array"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    command: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.csv").write_text(WORDS)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    before = set(tmp_path.iterdir())
    done = CliRunner().invoke(cli, command)
    assert isinstance(done.exception, InputError), done.exception
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert set(tmp_path.iterdir()) == before


def test_epochs_beyond_the_limit_are_refused() -> None:
    for command in (["demo"], ["net", "prepare"], ["market", "init"]):
        assert CliRunner().invoke(cli, [*command, "--epochs", "65"]).exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize(("model", "label"), [("softmax", "softmax classification 13-3"), ("mlp:3", "13-3-3")])
def test_a_demo_of_several_classes_is_played_and_verified(
    model: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(tmp_path / "keys"))
    run = str(tmp_path / "run")
    command = ["demo", "--model", model, "--data", "wine", "--participants", "2", "--rounds", "1", "--run", run]
    done = CliRunner().invoke(cli, [*command, "--quiet"])
    assert done.exit_code == 0, done.output
    assert label in done.output
    assert "accuracy" in done.output
    verified = CliRunner().invoke(cli, ["verify", run])
    assert verified.exit_code == 0, verified.output
    assert "the final model scores accuracy" in verified.output


def strings(value: Any) -> Iterator[str]:
    """All texts in a document."""
    if isinstance(value, dict | list):
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.slow
def test_a_demo_of_bounded_updates_is_played_and_verified_and_calls_nothing_a_proof_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(tmp_path / "keys"))
    run, said = tmp_path / "run", "bounded update (no proof of training), L2 norm at most 0.01"
    command = ["demo", "--statement", "bounded", "--norm", "0.01", "--model", "mlp:3", "--data", "wine", "--positive"]
    done = CliRunner().invoke(cli, [*command, "class_1", "--participants", "2", "--rounds", "1", "--run", str(run)])
    assert done.exit_code == 0, done.output
    assert f"  proven     {said}" in done.output
    assert "an L2 norm of" in done.stderr  # each participant is told that the bound is felt
    verified = CliRunner().invoke(cli, ["verify", str(run)])
    assert verified.exit_code == 0, verified.output
    assert verified.output.splitlines()[-1].partition("Each update came with a ")[2].startswith(f"{said}. Task 1 of")
    assert "the final model scores accuracy" in verified.output
    report = json.loads((run / "report.json").read_text())
    assert (report["statement"]["name"], report["statement"]["text"]) == ("bounded update", said)
    assert set(report["proofs"]) == {"eligibility", "listing", "bounded", "aggregation"}
    blobs = [path.read_bytes() for path in (run / "public" / "blobs").iterdir()]
    described = [blob.decode() for blob in blobs if blob.startswith(b'{"name":') and b'"statement":' in blob]
    assert len(described) == 1
    told = [done.output, done.stderr, verified.output, verified.stderr, *strings(report), *described]
    for line in [line for text in told for line in text.splitlines()]:
        assert line.count("proof of training") == line.count("no proof of training"), line
        assert "training proof" not in line
        assert "proven training" not in line
