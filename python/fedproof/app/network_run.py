"""`fedproof net start | status | stop | clean`: the processes of a prepared network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

from fedproof.app.anvil import CHAIN_ID, HOST, check_free, start_anvil
from fedproof.app.network import CHAIN, Network, NodeEntry, open_network
from fedproof.app.network_task import describe, ensure_task, watch
from fedproof.app.nodefile import RPC_VARIABLE
from fedproof.app.passphrase import VARIABLE
from fedproof.app.processes import Slot, stop
from fedproof.app.telling import Teller
from fedproof.errors import FedproofError, InputError, StateError
from fedproof.ledger import Chain

STOP_SECONDS: Final = 30.0
_CHAIN_STOP_SECONDS: Final = 60.0  # it writes its state
_HEALTH_BYTES: Final = 1 << 14
_WORDS: Final = 300  # letters of a log's last line
_STARTING: Final = '"event": "node.starting"'
_ERROR: Final = "fedproof: "  # how the command says why it ends
_SIGNALLED: Final = 128  # and the signal's number, as shells say it


@dataclass(frozen=True)
class StartOptions:
    """What `net start` takes.

    Attributes:
        task: whether a task is opened where none runs. wait: until a round is finished.
        patience: seconds without any progress that it waits at most.
    """

    task: bool = True
    wait: bool = True
    patience: float = 300.0


def start(folder: Path, options: StartOptions, teller: Teller) -> dict[str, Any]:
    """Start what does not run: the chain, the nodes, a task; returns the status at the end.

    Raises:
        InputError: there is no network here, or a port is taken; then nothing more runs than before.
        StateError: a node ended. LedgerError: anvil did not start, or nothing moves.
    """
    network = open_network(folder)
    with network.locked():
        started = _start_processes(network, teller)
        teller.step(f"{started} nodes started, {len(network.nodes) - started} ran already")
    if options.task:
        with Chain.connect(network.url, chain_id=CHAIN_ID) as chain:
            sponsor = network.sponsor().account
            task = ensure_task(network, chain, sponsor, teller)
            if options.wait:
                watch(network, chain, task.task_id, teller, lambda: check_running(network), options.patience)
    return status(folder)


def stop_network(folder: Path, teller: Teller, seconds: float = STOP_SECONDS) -> None:
    """End all processes, the chain last, so that it keeps what the others did.

    Raises:
        InputError: there is no network here. StateError: a process does not end.
    """
    network = open_network(folder)
    with network.locked():
        teller.doing("stopping the nodes")
        late = stop([network.slot(node) for node in network.nodes], seconds)
        for name in late:
            teller.step(f"{name} did not end within {seconds:g} s and was killed")
        teller.doing("stopping anvil")
        late = stop([network.chain], _CHAIN_STOP_SECONDS)
        teller.step("everything is stopped" + ("; anvil was killed, and may have lost its last blocks" if late else ""))


def clean(folder: Path, teller: Teller) -> None:
    """Stop a network and delete its folder.

    Raises:
        InputError: the folder is none that `net prepare` made.
    """
    if folder.is_symlink():
        raise InputError(f"{folder} is a symbolic link: name the folder itself")
    stop_network(folder, teller)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise InputError(f"{error.filename or folder} cannot be removed: {error.strerror}") from None
    teller.step(f"{folder} is gone")


def status(folder: Path) -> dict[str, Any]:
    """How everything fares.

    Returns:
        `chain` and each of `nodes` with `state` (running, stopped or crashed), `pid`, `memory_bytes`, and what else is
        known; `task`, None when there is none or it cannot be asked for, which `task_unknown` says why.

    Raises:
        InputError: there is no network here.
    """
    network = open_network(folder)
    nodes = [_node_status(network, node) for node in network.nodes]
    chain = {"url": network.url, **_process_status(network.chain)}
    task: dict[str, Any] | None = None
    unknown: str | None = f"anvil is {chain['state']}"
    if chain["state"] == "running":
        try:
            task, unknown = describe(network), None
        except FedproofError as error:
            unknown = str(error)
    return {"folder": str(folder), "chain": chain, "nodes": nodes, "task": task, "task_unknown": unknown}


def crashed(found: dict[str, Any]) -> list[str]:
    """The processes of a `status` that ended by themselves, and not well."""
    everything = [{"name": CHAIN, **found["chain"]}, *found["nodes"]]
    return [each["name"] for each in everything if each["state"] == "crashed"]


def check_running(network: Network) -> None:
    """Raises StateError when a process has ended by itself."""
    slots = [network.chain, *(network.slot(node) for node in network.nodes)]
    for slot in slots:
        if not slot.running:
            said = exit_words(slot) or "its log is empty"
            raise StateError(
                f"{slot.name} has ended with exit code {slot.exit_code()}: {said} (see {slot.log}); "
                "start again restarts it"
            )


def _start_processes(network: Network, teller: Teller) -> int:
    """Start chain and nodes that do not run, all or none; returns how many nodes were started."""
    waiting = [node for node in network.nodes if not network.slot(node).running]
    chain = None if network.chain.running else network.chain
    for node in waiting:  # before anything is started
        check_free(node.port, node.name)
    try:
        if chain is not None:
            teller.doing("starting anvil")
            start_anvil(chain, network.anvil, network.folder / "chain", network.port, network.block_time)
            teller.step(f"anvil is at {network.url}, a block each {network.block_time} s")
        for node in waiting:
            _start_node(network, node)
    except BaseException:
        stop([network.slot(node) for node in waiting], STOP_SECONDS)
        stop([] if chain is None else [chain], _CHAIN_STOP_SECONDS)
        raise
    return len(waiting)


def _start_node(network: Network, node: NodeEntry) -> None:
    check_free(node.port, node.name)
    # the configuration is whole, and what is set for other nodes of this user is not for these
    environment = {name: value for name, value in os.environ.items() if name not in (RPC_VARIABLE, VARIABLE)}
    config = str(network.config(node))
    # -P: not whatever is called fedproof in the folder where the command was given
    command = [sys.executable, "-P", "-m", "fedproof", "node", node.role, "--config", config]
    network.slot(node).start(command, environment)


def _node_status(network: Network, node: NodeEntry) -> dict[str, Any]:
    slot = network.slot(node)
    found = {"name": node.name, "role": node.role, "port": node.port, **_process_status(slot)}
    health = _health(node.port) if found["state"] == "running" else None
    found["last_block"] = None if health is None else health.get("last_block")
    found["reason"] = (health or {}).get("reason", "") if found["state"] == "running" else ""
    if found["state"] == "crashed":
        found["reason"] = exit_words(slot)
    return found


def exit_words(slot: Slot) -> str:
    """Why a process ended: the error that it ended with, or else what it said last, and the signal that killed it."""
    lines, code = slot.last_lines(), slot.exit_code() or 0
    begun = [place for place, line in enumerate(lines) if _STARTING in line]
    lines = lines[begun[-1] if begun else 0 :]  # what a process before it said is not why this one ended
    errors = [line for line in lines if line.startswith(_ERROR)]
    if errors:
        return last_words(errors[-1].removeprefix(_ERROR))
    said = last_words(lines[-1]) if lines else ""
    if code <= _SIGNALLED:
        return said
    name = next((each.name for each in signal.Signals if each == code - _SIGNALLED), f"signal {code - _SIGNALLED}")
    return f"killed by {name}" + (f"; it last said {said}" if said else "")


def last_words(line: str) -> str:
    """The last line of a log for people: of a node's JSON, the event and why."""
    try:
        found = json.loads(line)
        told = {key: value for key, value in found["fields"].items() if isinstance(value, str | int | float)}
        why = told.get("reason") or told.get("why") or ", ".join(f"{key} {value}" for key, value in told.items())
        line = f"{found['event']}: {why}" if why else str(found["event"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # a crash says its last words in other ways
    return line if len(line) <= _WORDS else f"{line[:_WORDS]} ..."


def _process_status(slot: Slot) -> dict[str, Any]:
    process, code = slot.process(), slot.exit_code()
    if process is not None and process.alive:
        return {"state": "running", "pid": process.pid, "exit": None, "memory_bytes": process.memory}
    ended = process is not None and code != 0  # nobody stopped it, and it did not end well
    return {"state": "crashed" if ended else "stopped", "pid": None, "exit": code, "memory_bytes": None}


def _health(port: int) -> dict[str, Any] | None:
    with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
        try:
            answer = pool.request("GET", f"http://{HOST}:{port}/healthz", preload_content=False)
            found = json.loads(answer.read(_HEALTH_BYTES))
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
    return found if isinstance(found, dict) else None
