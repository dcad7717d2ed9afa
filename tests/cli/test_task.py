"""`fedproof task` on a node of its own process, from opening to an audit of what was exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.demo import TOKEN
from tests.app.networks import ROUNDS, Town, town
from tests.app.runs import shared_folder
from tests.cli.conftest import Here
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.slow, pytest.mark.anvil]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Town, str]]:
    """The federation and its node."""
    keys = shared_folder(tmp_path_factory) / "keys"
    with AnvilProcess() as anvil, town(tmp_path_factory.mktemp("task") / "run", keys, anvil.url) as made:
        yield made, anvil.url


class Commands:
    """The command with the options that all of its calls share."""

    def __init__(self, here: Here, made: Town, url: str) -> None:
        self._here, self._town = here, made
        self._where = ("--deployment", str(made.path), "--rpc", url, "--cache", str(made.cache), "--quiet")
        self._signing = ("--keys", str(made.keys), "--passphrase-file", str(made.phrase))

    def read(self, *arguments: str, code: int = 0) -> Any:
        return self._call((*arguments, *self._where), code)

    def sign(self, *arguments: str, code: int = 0) -> Any:
        return self._call((*arguments, *self._where, *self._signing), code)

    def opening(self, **changes: str) -> list[str]:
        given = {
            "name": "wine", "rounds": str(ROUNDS), "participants": "3", "reward": "30", "bond": "50",
            "freeze-blocks": "10", "submit-blocks": "200", "settle-blocks": "50",
            "schema": str(self._town.schema_file), "test": str(self._town.test_file), "label": "outcome",
        } | changes  # fmt: skip
        workers = [part for file in self._town.worker_files for part in ("--worker", str(file))]
        return ["open", *workers, *(part for name, value in given.items() for part in (f"--{name}", value))]

    def _call(self, arguments: tuple[str, ...], code: int) -> Any:
        done = self._here("task", *arguments, *(("--json",) if code == 0 else ()))
        assert done.returncode == code, done.stderr
        if code:
            assert done.stdout == ""
            assert done.stderr.count("\n") == 1
            return done.stderr
        if arguments[0] == "watch":
            return [json.loads(line) for line in done.stdout.splitlines()]
        return json.loads(done.stdout)


@pytest.fixture
def commands(here: Here, place: tuple[Town, str]) -> Commands:
    return Commands(here, *place)


def test_a_task_from_its_opening_to_its_audit(
    commands: Commands, here: Here, place: tuple[Town, str], tmp_path: Path
) -> None:
    made, url = place
    opened = commands.sign(*commands.opening())
    task = opened["task"]
    assert opened == {"task": task, "escrow": "60", "fresh": True, "statement": "proof of training"}
    assert commands.sign(*commands.opening()) == {**opened, "fresh": False}
    status = commands.read("status", str(task))
    assert (status["stage"], status["name"], status["enrolled"], status["escrow"]) == ("enrolling", "wine", 0, "60")
    assert "0 of the 3 participants" in commands.sign("start", str(task), code=2)
    assert "not ended yet" in commands.read("export", str(task), "--out", str(tmp_path / "early"), code=2)
    assert not (tmp_path / "early").exists()

    made.enrol(task)
    assert "--at 4" in commands.sign("start", str(task), "--at", "4", code=2)
    started = commands.sign("start", str(task), "--at", "3", "--timeout", "5")
    assert (started["round"], started["enrolled"], started["fresh"]) == (1, 3, False)  # the last place started it
    assert commands.sign("start", str(task)) == {**started, "fresh": False}
    made.play(task)
    running = commands.read("status", str(task))
    assert (running["stage"], running["round_place"], len(running["settled"])) == ("collecting updates", 2, 1)
    assert running["due_block"] == running["deadline_block"]
    assert 0.5 < running["accuracy"] <= 1
    made.train(task, 1)
    assert "cannot be closed now: round 2 has 1 updates" in commands.sign("close", str(task), code=6)
    made.play(task)
    made.claim(task)
    closed = commands.sign("close", str(task))
    assert (closed["ending"], len(closed["done"])) == ("completed", 1)
    assert commands.sign("close", str(task)) == {**closed, "done": []}
    assert "has ended" in commands.sign("start", str(task), code=2)
    check_reading(commands, task, tmp_path)
    check_export(commands, here, task, url, tmp_path / "export")
    balance = made.world.deployment.market.token.functions.balanceOf(made.sponsor.account.address)
    assert made.world.chain.call(balance) > 9_900 * TOKEN
    assert [each["task"] for each in commands.read("status")] == list(range(1, task + 1))


def check_reading(commands: Commands, task: int, folder: Path) -> None:
    seen = commands.read("watch", str(task))
    kinds = [each["event"] for each in seen]
    assert kinds[0] == "opened"
    assert kinds[-1] == "ended"
    for kind, count in (("enrolled", 3), ("round opened", 2), ("submitted", 6), ("finalized", 2)):
        assert kinds.count(kind) == count, kinds
    assert all(0 < each["accuracy"] <= 1 for each in seen if each["event"] == "finalized")
    until = commands.read("watch", str(task), "--until-round", "1")
    assert until == seen[: kinds.index("finalized") + 1]

    written = commands.read("model", str(task), "--out", str(folder / "model.json"))
    assert written["round"] == 2
    document = json.loads((folder / "model.json").read_text())
    assert list(document["coefficients"]) == document["features"]
    assert [round(each * document["weight_scales"][0]) for each in document["coefficients"].values()] == document[
        "weights"
    ][:-1]
    assert "exists already" in commands.read("model", str(task), "--out", str(folder / "model.json"), code=2)
    start = commands.read("model", str(task), "--round", "0", "--out", str(folder / "start.json"))
    assert start["content_id"] != written["content_id"]
    assert "--round 3" in commands.read("model", str(task), "--round", "3", "--out", str(folder / "no.json"), code=2)


def check_export(commands: Commands, here: Here, task: int, url: str, folder: Path) -> None:
    commands.read("export", str(task), "--out", str(folder))
    audited = here("verify", str(folder), "--rpc", url, "--json")
    assert audited.returncode == 0, audited.stderr
    assert json.loads(audited.stdout)["ok"]
    assert "exists already" in commands.read("export", str(task), "--out", str(folder), code=2)


WRONG = {
    "rounds": "0", "participants": "1", "min-updates": "1", "threshold": "2", "reward": "many", "bond": "-1",
    "worker-bond": "x", "submit-blocks": "0", "freeze-blocks": "9", "settle-blocks": "0", "schema": "nowhere.json",
    "test": "nowhere.csv", "label": "nothing", "seed": "-1", "name": " ", "worker": "nowhere.json",
    "state": "/dev/null", "confirmations": "-1",
}  # fmt: skip


def test_wrong_options_are_one_line_and_send_nothing(
    commands: Commands, here: Here, place: tuple[Town, str], tmp_path: Path
) -> None:
    made, url = place
    before = made.world.federation.tasks(), made.world.chain.block_number()
    for option, value in WRONG.items():
        code = 9 if option == "state" else 2
        said = commands.sign(*commands.opening(**({} if option in ("state", "worker") else {option: value})),
                             *((f"--{option}", value) if option in ("state", "worker") else ()), code=code)  # fmt: skip
        assert value.split(".")[0] in said or f"--{option}" in said, (option, said)
    where = ("--deployment", str(made.path), "--rpc", url)
    for arguments, code, said in (
        (("status", "--deployment", str(tmp_path / "no.json")), 2, "ask who runs the federation"),
        (("status", "--rpc", url), 2, "--deployment"),
        (("status", "--deployment", str(made.path), "--rpc", "ftp://x"), 2, "http:// or https://"),
        (("status", "--deployment", str(made.path), "--rpc", "http://["), 2, "http:// or https://"),
        (("status", "0", *where), 2, "TASK"),
        (("status", "999", *where), 2, "no task 999"),
        (("watch", "999", *where), 2, "no task 999"),
        (("model", "1", *where), 2, "--out"),
        (("start", "1", *where, "--keys", str(tmp_path / "none")), 8, "is missing"),
        (("close", "999", *where, "--keys", str(made.keys), "--passphrase-file", str(made.phrase)), 2, "no task 999"),
        (("export", "999", *where, "--out", str(tmp_path / "out")), 2, "no task 999"),
    ):
        done = here("task", *arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
        assert said in done.stderr
    assert (made.world.federation.tasks(), made.world.chain.block_number()) == before
