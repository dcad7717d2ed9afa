"""`fedproof setup` as its users meet it: two hospitals and a beacon, from nothing to a folder of keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.app.setups_support import BEACON, LATER, SHAPE, small
from tests.cli.conftest import Here

__all__ = ["small"]

pytestmark = pytest.mark.usefixtures("small")


def test_two_hospitals_make_keys_together(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    start = here("setup", "start", *SHAPE, "first.0")
    assert start.returncode == 0
    assert "fedproof setup contribute first.0 NEXT --name NAME" in start.stdout
    assert here("setup", "contribute", "first.0", "first.1", "--name", "north").returncode == 0
    assert here("setup", "contribute", "first.1", "first.2", "--name", "south").returncode == 0
    early = here("setup", "keys", "first.2", "second.0", "--plan", "first.0.plan")
    assert (early.returncode, early.stdout) == (8, "")
    assert "the first phase does not end with a beacon yet: end it with fedproof setup beacon" in early.stderr
    done = here("setup", "beacon", "first.2", "first", BEACON, "--hashes", "4", "--name", "block 812", "--json")
    assert json.loads(done.stdout)["contributions"][2]["beacon"] == {"value": BEACON, "log": 4}

    late = here("setup", "contribute", "first", "late", "--name", "late")
    assert (late.returncode, late.stdout) == (8, "")
    assert "the beacon was the last contribution to this file" in late.stderr

    assert here("setup", "keys", "first", "second.0", "--plan", "first.0.plan").returncode == 0
    assert here("setup", "contribute", "second.0", "second.1", "--name", "north", "--first", "first").returncode == 0
    blind = here("setup", "contribute", "second.1", "second.2", "--name", "south")
    assert (blind.returncode, blind.stdout) == (2, "")
    assert "a second phase needs the first that it was made over: give --first FILE" in blind.stderr
    assert here("setup", "contribute", "second.1", "second.2", "--name", "south", "--first", "first").returncode == 0
    again = here("setup", "beacon", "second.2", "second", BEACON, "--first", "first")
    assert (again.returncode, again.stdout) == (2, "")
    assert "this beacon is that of the first phase" in again.stderr
    last = here(
        "setup", "beacon", "second.2", "second", LATER, "--name", "block 977", "--first", "first", "--hashes", "2"
    )
    assert last.returncode == 0
    told = here("setup", "verify", "second", "--first", "first")
    assert told.returncode == 0
    lines = told.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        "first phase",
        '1. contribution of "north"',
        '2. contribution of "south"',
        f'3. beacon {BEACON}, hashed 2^4 times, of "block 812"',
    ]
    assert lines[4:6] == ["second phase", lines[5]]
    asked = "a proof of training, on a logistic regression 2-1, 1 epoch a round; plan "
    assert lines[-1].startswith(f"second holds, for tasks on 32 x 3 that ask for {asked}")

    finished = here("setup", "finish", "first", "second", "setup", "--json")
    assert finished.returncode == 0
    document = json.loads(finished.stdout)
    assert set(document["keys"]) == {"training", "aggregation"}
    assert [one["name"] for one in document["second"]["contributions"]] == ["north", "south", "block 977"]
    assert sorted(path.name for path in Path("setup").iterdir()) == ["first", "second"]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        "first.0", "first.0.plan", "first.1", "first.2", "first", "second.0", "second.1", "second.2", "second", "setup",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["start", "32", "1", "out"], 2, "columns"),
        (["start", *SHAPE, "taken"], 2, "exists already"),
        (["contribute", "none", "out", "--name", "n"], 2, "none cannot be read: No such file"),
        (["contribute", "taken", "out", "--name", "n"], 8, "taken: not a first phase of a setup"),
        (["contribute", "begun", "taken", "--name", "n"], 2, "taken exists already"),
        (["contribute", "begun", "out", "--name", ""], 2, "--name: a contributor's name has 1 to 100 bytes"),
        (["beacon", "begun", "out", "12"], 2, "a beacon is 64 hexadecimal digits"),
        (["keys", "begun", "out", "--plan", "taken"], 2, "taken: "),
        (
            ["keys", "begun", "out", "--plan", "begun.plan"],
            8,
            "the first phase does not end with a beacon yet: end it with fedproof setup beacon",
        ),
        (["verify", "taken"], 8, "taken: not a first phase of a setup"),
        (["verify", "begun", "--first", "begun"], 2, "this is a first phase, which takes no --first"),
        (["contribute", "begun", "out", "--name", "n", "--first", "begun"], 2, "takes no --first"),
        (["contribute", "begun", "no/out", "--name", "n"], 2, "no is no folder that you may write to"),
        (["contribute", "begun", "out", "--name", "two\nlines"], 2, "--name: a contributor's name"),
        (["finish", "begun", "begun", "out"], 2, "begun is of the first phase; name the file of the second"),
    ],
)
def test_wrong_input_is_one_line(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("something else")
    assert here("setup", "start", *SHAPE, "begun").returncode == 0
    done = here("setup", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fedproof: ")
    assert not Path("out").exists()
    assert Path("taken").read_text() == "something else"


def test_names_of_others_reach_no_terminal_as_they_are(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert here("setup", "start", *SHAPE, "begun").returncode == 0
    assert here("setup", "contribute", "begun", "next", "--name", "a\N{RIGHT-TO-LEFT OVERRIDE}b").returncode == 0
    shown = here("setup", "verify", "next").stdout
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown


def test_a_group_without_a_command_is_its_help(here: Here) -> None:
    done = here("setup")
    assert done.returncode == 2
    assert "Commands:" in (done.stderr or done.stdout).splitlines()
