"""The folder of a local network: what is taken for one, what is never touched, and what starts where."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import anvil as chain_program
from fedproof.app import network_run
from fedproof.app.anvil import command, find_anvil, free_ports, start_anvil
from fedproof.app.network import CHAIN, MARK, Network, NodeEntry, TaskPlan, open_network
from fedproof.app.network_config import write_config
from fedproof.app.network_prepare import NetworkOptions, prepare
from fedproof.app.network_run import (
    StartOptions,
    check_running,
    clean,
    crashed,
    last_words,
    start,
    status,
    stop_network,
)
from fedproof.app.nodefile import RPC_VARIABLE, read_config
from fedproof.app.processes import Slot
from fedproof.app.telling import Silent
from fedproof.errors import FedproofError, InputError, KeyFileError, StateError

PLAN = TaskPlan("0x" + "1" * 40, "0x" + "2" * 40, {"ab" * 32: "cd" * 64}, 1, 3, 9, 1, 2, 2)
NODES = tuple(
    NodeEntry(f"{role}-{number}", role, 20_000 + place)
    for place, (role, number) in enumerate([("participant", 1), ("participant", 2), ("participant", 10), ("worker", 1)])
)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """A network on paper: none of its nodes could start."""
    folder = tmp_path / "net"
    (folder / "chain").mkdir(parents=True)
    (port,) = free_ports(1)
    made = Network(folder, Path("/bin/false"), port, 1, (NodeEntry("provider", "provider", 19_999), *NODES), PLAN)
    made.write(folder)
    return made


def test_a_network_is_read_as_it_was_written(network: Network) -> None:
    assert open_network(network.folder) == network
    assert [node.name for node in open_network(network.folder).nodes] == [
        "provider", "participant-1", "participant-2", "participant-10", "worker-1",
    ]  # fmt: skip


def test_a_folder_that_prepare_did_not_make_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "work.txt").write_text("mine")
    for text in (None, "{", "[]", "{}", '{"version": 1, "mark": "another program"}'):
        if text is not None:
            (other / "network.json").write_text(text)
        for act in (lambda: clean(other, Silent()), lambda: stop_network(other, Silent()), lambda: status(other)):
            with pytest.raises(InputError):
                act()
    assert (other / "work.txt").read_text() == "mine"
    with pytest.raises(InputError, match="fedproof net prepare"):
        clean(tmp_path / "nowhere", Silent())


def test_clean_deletes_what_prepare_made_and_nothing_behind_links(network: Network, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "work.txt").write_text("mine")
    (network.folder / "link").symlink_to(outside)
    link = tmp_path / "link"
    link.symlink_to(network.folder)
    with pytest.raises(InputError, match="symbolic link"):
        clean(link, Silent())
    clean(network.folder, Silent())
    assert not network.folder.exists()
    assert (outside / "work.txt").read_text() == "mine"


def test_a_moved_network_is_refused(network: Network, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    network.folder.rename(moved)
    for act in (lambda: start(moved, StartOptions(), Silent()), lambda: clean(moved, Silent())):
        with pytest.raises(InputError, match="was prepared as"):
            act()
    assert moved.exists()


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "version": lambda d: d.update(version=2),
    "unknown": lambda d: d.update(more=1),
    "port": lambda d: d.update(port=0),
    "role": lambda d: d["nodes"]["worker-1"].update(role="leader"),
    "name": lambda d: d["nodes"].update({"../x": {"role": "worker", "port": 1}}),
    "node": lambda d: d["nodes"]["worker-1"].update(more=1),
    "task": lambda d: d["task"].update(rounds=0),
    "model": lambda d: d["task"]["starts"].update({"ab" * 32: "xy"}),
    "description": lambda d: d["task"]["starts"].update(xy="cd" * 64),
    "no description": lambda d: d["task"].update(starts={}),
    "missing": lambda d: d.pop("task"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_document_is_refused_in_one_line(network: Network, change: str) -> None:
    path = network.folder / "network.json"
    document = json.loads(path.read_text())
    assert document["mark"] == MARK
    CHANGES[change](document)
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"network\.json") as caught:
        open_network(network.folder)
    assert "\n" not in str(caught.value)


def test_one_command_at_a_time(network: Network) -> None:
    with network.locked(), pytest.raises(StateError, match="another command"):
        stop_network(network.folder, Silent())


def test_status_of_what_never_ran_and_of_what_ended(network: Network) -> None:
    found = status(network.folder)
    assert found["chain"]["state"] == "stopped"
    assert {node["state"] for node in found["nodes"]} == {"stopped"}
    assert (found["task"], found["task_unknown"]) == (None, "anvil is stopped")
    slot = network.slot(NODES[0])
    slot.start(["sh", "-c", "echo it is broken; exit 9"])
    while slot.exit_code() is None:
        pass
    node = next(each for each in status(network.folder)["nodes"] if each["name"] == NODES[0].name)
    assert (node["state"], node["exit"], node["reason"], node["pid"]) == ("crashed", 9, "it is broken", None)
    assert crashed(status(network.folder)) == [NODES[0].name]
    with pytest.raises(StateError, match=r"anvil has ended"):
        check_running(network)
    begin = """echo '{"event": "node.starting", "fields": {}}';"""
    for script, code, reason in (
        (begin + "echo fedproof: no grant; echo and more; exit 9", 9, "no grant"),
        (begin + "echo fedproof: first; echo fedproof: second; exit 6", 6, "second"),
        (begin + "echo it goes on; kill -9 $$", 137, "killed by SIGKILL; it last said it goes on"),
    ):
        slot.start(["sh", "-c", script])
        while slot.exit_code() is None:
            pass
        node = next(each for each in status(network.folder)["nodes"] if each["name"] == NODES[0].name)
        assert (node["exit"], node["reason"]) == (code, reason)
    stop_network(network.folder, Silent())
    node = next(each for each in status(network.folder)["nodes"] if each["name"] == NODES[0].name)
    assert (node["state"], node["exit"]) == ("stopped", 137)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"event": "node.failed", "fields": {"kind": "StateError", "reason": "no grant"}}', "node.failed: no grant"),
        ('{"event": "step.failed", "fields": {"why": "no chain"}}', "step.failed: no chain"),
        ('{"event": "node.started", "fields": {"role": "worker", "chain": 5}}', "node.started: role worker, chain 5"),
        ('{"event": "node.stopped", "fields": {}}', "node.stopped"),
        ('{"event": "cut o', '{"event": "cut o'),
        ("[1]", "[1]"),
        ("MemoryError", "MemoryError"),
        ("x" * 400, "x" * 300 + " ..."),
    ],
)
def test_the_last_words_of_a_log_are_for_people(line: str, words: str) -> None:
    assert last_words(line) == words


def test_a_task_that_cannot_be_asked_for_is_unknown(network: Network) -> None:
    network.chain.start(["sleep", "60"])
    found = status(network.folder)
    stop_network(network.folder, Silent())
    assert found["task"] is None
    assert "no usable answer" in found["task_unknown"]


def test_a_chain_that_is_lost_or_whose_port_is_taken_is_not_started(network: Network) -> None:
    with pytest.raises(InputError, match="the chain with it"):
        start(network.folder, StartOptions(), Silent())
    (network.folder / "chain/state.json").write_text("{}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", network.port))
        taken.listen()
        with pytest.raises(InputError, match=f"port {network.port}, which anvil needs, is taken"):
            start(network.folder, StartOptions(), Silent())
    with pytest.raises(FedproofError, match="anvil did not start"):
        start_anvil(network.chain, network.anvil, network.folder / "chain", network.port, 1)
    assert not network.chain.running


def test_a_node_whose_port_is_taken_is_named_and_nothing_is_started(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    free = free_ports(len(network.nodes))
    nodes = tuple(replace(node, port=port) for node, port in zip(network.nodes, free, strict=True))
    network = replace(network, nodes=nodes)
    network.write(network.folder)

    def start_chain(slot: Slot, *_: object) -> None:
        started.append(slot.name)
        slot.start(["sleep", "60"])

    monkeypatch.setattr(network_run, "start_anvil", start_chain)
    last = network.nodes[-1]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", last.port))
        taken.listen()
        with pytest.raises(InputError, match=f"port {last.port}, which {last.name} needs, is taken"):
            start(network.folder, StartOptions(task=False), Silent())
    assert started == []
    whole = Slot.start

    def refuse(self: Slot, *arguments: Any) -> Any:
        if self.name == last.name:  # as when the disk is full
            raise StateError(f"{self.name} did not start")
        return whole(self, *arguments)

    monkeypatch.setattr(Slot, "start", refuse)
    with pytest.raises(StateError, match=f"{last.name} did not start"):
        start(network.folder, StartOptions(task=False), Silent())
    assert started == [CHAIN]
    assert not [name for name in (CHAIN, *(node.name for node in nodes)) if Slot(network.folder, name).running]
    found = status(network.folder)
    assert {found["chain"]["state"], *(node["state"] for node in found["nodes"])} == {"stopped"}


def test_options_are_checked_before_anything_is_made(tmp_path: Path) -> None:
    options = NetworkOptions(tmp_path / "net", threshold=2)
    with pytest.raises(InputError, match="at least 5 workers"):
        prepare(options, Silent())
    with pytest.raises(InputError, match="exists already"):
        prepare(replace(options, folder=tmp_path, threshold=1), Silent())
    assert not list(tmp_path.iterdir())
    assert [NetworkOptions(tmp_path, participants=count).min_updates for count in (2, 3, 4, 50)] == [2, 2, 3, 3]


@pytest.mark.parametrize("role", ["provider", "participant", "worker"])
def test_configurations_are_whole(tmp_path: Path, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RPC_VARIABLE, raising=False)
    folder = tmp_path / "nodes" / "n"
    folder.mkdir(parents=True)
    write_config(folder, NodeEntry("n-1", role, 20_001), "http://127.0.0.1:20000", 2, [1, 2])
    config = read_config(folder / "node.toml")
    assert config.deployment.resolve() == tmp_path / "public/deployment.json"
    assert config.cache.resolve() == tmp_path / "cache"
    assert (config.http.host, config.http.port, config.chain.confirmations) == ("127.0.0.1", 20_001, 0)
    if config.provider is not None:
        assert [path.name for path in config.provider.datasets] == ["1", "2"]


def test_the_sponsors_keys_need_their_passphrase(network: Network) -> None:
    with pytest.raises(KeyFileError, match="is missing"):
        network.sponsor()


# -- finding anvil --


def program(path: Path, content: bytes = b"\x7fELF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without anvil, and a path without it."""
    here = tmp_path / "here"
    (tmp_path / "bin").mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(chain_program.platform, "system", lambda: "Linux")
    monkeypatch.setattr(chain_program.platform, "machine", lambda: "x86_64")
    return tmp_path


def test_anvil_is_found(nowhere: Path) -> None:
    with pytest.raises(InputError, match="npm install @foundry-rs/anvil"):
        find_anvil()
    package = Path("@foundry-rs/anvil-linux-amd64/bin/anvil")
    local = program(nowhere / "here/node_modules" / package)
    assert find_anvil() == local
    script = program(nowhere / "lib/node_modules/@foundry-rs/anvil/bin.mjs", b"#!/usr/bin/env node\n")
    (nowhere / "bin/anvil").symlink_to(script)
    assert find_anvil() == local
    shutil.rmtree(nowhere / "here/node_modules")
    beside = program(nowhere / "lib/node_modules" / package)
    assert find_anvil() == beside  # the script alone would leave the node behind
    (nowhere / "bin/anvil").unlink()
    on_path = program(nowhere / "bin/anvil")
    assert find_anvil() == on_path
    assert find_anvil(beside) == beside
    os.chmod(beside, 0o644)  # noqa: PTH101
    for wrong in (beside, nowhere, nowhere / "nothing"):
        with pytest.raises(InputError, match="--anvil"):
            find_anvil(wrong)


def test_anvil_listens_to_this_machine_alone(tmp_path: Path) -> None:
    quick, paced = (command(Path("/a"), tmp_path, 1, each) for each in (None, 2))
    assert paced == [*quick, "--block-time", "2"]
    assert quick[1:3] == ["--host", "127.0.0.1"]
    assert {"--enable-tx-gas-limit", "osaka"} <= set(quick)


def test_free_ports_are_free_and_different() -> None:
    found = free_ports(100)
    assert len(set(found)) == 100
    with socket.socket() as one:
        one.bind(("127.0.0.1", found[0]))
        one.listen()
        with pytest.raises(InputError, match="is taken"):
            chain_program.check_free(found[0])
    with pytest.raises(InputError, match="free ports"):
        free_ports(20_000)
