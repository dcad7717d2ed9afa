"""`--model`, `--epochs` and `--labels` on the command line: what is wrong is one line, before anything is made."""

from __future__ import annotations

from pathlib import Path

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
