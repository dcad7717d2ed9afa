"""`fedproof net`: a network of real processes, from an empty folder to a settled task, through stops and crashes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.network import open_network
from fedproof.app.network_run import crashed, status, stop_network
from fedproof.app.nodefile import RPC_VARIABLE
from fedproof.app.passphrase import VARIABLE
from fedproof.app.telling import Silent
from tests.app.runs import shared_folder
from tests.support.anvil import anvil_binary

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.xdist_group("anvil")]

COMMAND = [sys.executable, "-m", "fedproof"]
SMALL = ("--data", "wine", "--positive", "class_1", "--participants", "2", "--rounds", "2")
Net = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def net(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """The command on `tmp_path/net`; whatever a test leaves is stopped."""
    monkeypatch.setenv("FEDPROOF_CACHE", str(shared_folder(tmp_path_factory) / "net-keys"))
    folder = tmp_path / "net"

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "net", arguments[0], str(folder), *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    yield call
    if (folder / "network.json").exists():
        stop_network(folder, Silent(), 5)


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def states(found: dict[str, Any]) -> set[str]:
    return {found["chain"]["state"], *(node["state"] for node in found["nodes"])}


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_network_from_nothing_to_a_settled_task(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test, for the preparation takes longer than all that is asked of it."""
    folder = tmp_path / "net"
    monkeypatch.setenv(RPC_VARIABLE, "http://127.0.0.1:9")  # of other nodes of this user: not for these
    monkeypatch.setenv(VARIABLE, "of other nodes")
    made = report(net("prepare", *SMALL, "--anvil", str(anvil_binary()), "--json"))
    assert made["nodes"] == ["provider", "participant-1", "participant-2", "worker-1", "worker-2", "worker-3"]
    assert states(report(net("status", "--json"))) == {"stopped"}
    check_private(folder)
    assert "exists already" in net("prepare", *SMALL).stderr

    found = report(net("start", "--json", "--quiet"))
    assert states(found) == {"running"}
    assert found["task"]["rounds_finished"] >= 1
    assert found["chain"]["url"] == made["url"]
    check_nodes(folder, monkeypatch)

    check_crash(net, folder)
    check_stop_and_start(net, folder)

    removed = report(net("clean", "--json"))
    assert removed["removed"] is True
    assert not folder.exists()
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", int(made["url"].rpartition(":")[2]))) != 0


def check_private(folder: Path) -> None:
    """Nobody else reads what the nodes keep."""
    assert folder.stat().st_mode & 0o077 == 0
    for path in [*folder.glob("nodes/*/passphrase"), folder / "sponsor/passphrase"]:
        assert path.stat().st_mode & 0o777 == 0o600
    assert len({path.read_bytes() for path in folder.glob("nodes/*/passphrase")}) == 6
    assert not [path for path in folder.glob("nodes/*/keys/*") if b'"n": 262144' in path.read_bytes()]


def check_nodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that run pass the check of nodes."""
    monkeypatch.delenv(RPC_VARIABLE)
    for name in ("provider", "participant-1", "worker-1"):
        config = str(folder / "nodes" / name / "node.toml")
        done = subprocess.run(
            [*COMMAND, "node", "check", "--config", config, "--json"], capture_output=True, text=True, check=False
        )
        found = report(done)
        odd = {each["name"]: each["status"] for each in found["checks"] if each["status"] != "ok"}
        assert odd == {}, found


def check_crash(net: Net, folder: Path) -> None:
    """A node that was killed is told from the others, and it alone is started again."""
    before = {node["name"]: node["pid"] for node in report(net("status", "--json"))["nodes"]}
    os.kill(before["worker-2"], signal.SIGKILL)
    until(lambda: bool(crashed(status(folder))), 10)
    done = net("status", "--json")
    assert done.returncode == 9
    found = json.loads(done.stdout)["nodes"][4]
    assert (found["name"], found["state"], found["exit"]) == ("worker-2", "crashed", 128 + signal.SIGKILL)
    assert "crashed (137)" in net("status").stdout
    again = report(net("start", "--no-task", "--json", "--quiet"))
    after = {node["name"]: node["pid"] for node in again["nodes"]}
    assert after.pop("worker-2") != before.pop("worker-2")
    assert after == before


def check_stop_and_start(net: Net, folder: Path) -> None:
    """The same task goes on where it was."""
    assert net("stop", "--quiet").returncode == 0
    stopped = report(net("status", "--json"))
    assert states(stopped) == {"stopped"}
    assert {node["exit"] for node in stopped["nodes"]} == {0}
    assert stopped["chain"]["exit"] == 0
    found = report(net("start", "--no-task", "--json", "--quiet"))
    assert states(found) == {"running"}
    until(lambda: (status(folder)["task"] or {}).get("stage") == "ended", 60)
    task = report(net("status", "--json"))["task"]
    assert (task["task"], task["rounds_finished"], len(task["models"])) == (1, 2, 2)
    task = report(net("start", "--json", "--quiet"))["task"]
    assert task["task"] == 2
    assert task["rounds_finished"] >= 1


def test_a_preparation_that_is_killed_leaves_no_chain_and_nothing_in_the_way(net: Net, tmp_path: Path) -> None:
    options = ["--anvil", str(anvil_binary()), "--quiet"]
    command = [*COMMAND, "net", "prepare", str(tmp_path / "net"), *SMALL, *options]
    part = tmp_path / ".net.part"
    with subprocess.Popen(command) as process:
        until(lambda: (part / "public/deployment.json").exists() or process.poll() is not None, 120)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "net").exists()
    until(lambda: (part / "chain/state.json").exists(), 20)  # anvil has ended
    assert net("start").returncode == 2
    assert net("prepare", *SMALL, *options).returncode == 0
    assert not part.exists()
    network = open_network(tmp_path / "net")
    assert not network.chain.running


def test_a_preparation_that_fails_leaves_nothing(net: Net, tmp_path: Path) -> None:
    broken = shutil.which("false")
    assert broken is not None
    done = net("prepare", "--data", str(tmp_path / "nothing.csv"), "--anvil", broken)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    done = net("prepare", "--anvil", str(tmp_path / "nothing"))
    assert "--anvil" in done.stderr
    begun = time.monotonic()
    done = net("prepare", *SMALL, "--anvil", broken, "--quiet")
    assert (done.returncode, done.stderr) == (6, "fedproof: anvil did not start: it says nothing\n")
    assert time.monotonic() - begun < 40  # most of it for keys
    assert not list(tmp_path.iterdir())
