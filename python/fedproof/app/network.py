"""A network on one machine for trying things out: anvil, and one process for each node, all in one folder.

    network.json          which nodes, ports and task there are; the mark that `net prepare` made this folder
    chain/                anvil's saved chain
    public/               deployment.json and blobs/: what all nodes share
    cache/                proving keys, for all nodes together
    nodes/NAME/           node.toml, keys/, passphrase and state/; a provider's datasets/1.., a participant's access/
    sponsor/              keys/ and passphrase of who opens tasks
    run/, logs/           processes, by name

One provider lists all datasets and answers for them: a process for each would keep proving keys in memory for nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fedproof.app.anvil import url_of
from fedproof.app.keystore import NodeKeys, unlock
from fedproof.app.nodeconfig import ROLES
from fedproof.app.passphrase import read_passphrase
from fedproof.app.processes import Slot
from fedproof.app.strict import Field, read_json
from fedproof.app.world import write_json
from fedproof.errors import InputError, StateError

VERSION: Final = 1
MARK: Final = "fedproof-network"
FILE: Final = "network.json"
DEPLOYMENT: Final = "public/deployment.json"
CHAIN: Final = "anvil"  # the name of its process
LIGHT_WORK: Final = 1 << 12
"""Of scrypt for the keys of such a network: 4 MiB in place of 256. They own nothing, and their passphrases are files
beside them; with the ordinary work, fifty nodes that start together would take 12 GiB for a moment."""
_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}")
_LIMIT: Final = 1 << 20
_MOST: Final = 1 << 32
_ADDRESS: Final = r"0x[0-9a-fA-F]{40}"
_NAME: Final = re.compile(r"[a-z]+(-[0-9]{1,4})?")


@dataclass(frozen=True)
class NodeEntry:
    """A node: its name, role, and the port of its health page."""

    name: str
    role: str
    port: int


@dataclass(frozen=True)
class TaskPlan:
    """The tasks that the sponsor opens: keys and descriptions are on chain and in the store already.

    Attributes:
        training_key, aggregation_key: addresses of the verifying keys.
        starts: by content id of a description, the commitment of its first model, 128 hex digits. Each is for one task:
            nodes train on a model once only.
    """

    training_key: str
    aggregation_key: str
    starts: dict[str, str]
    class_id: int
    rounds: int
    mask_count: int
    threshold: int
    min_updates: int
    participants: int


@dataclass(frozen=True)
class Network:
    """A prepared network.

    Attributes:
        anvil: the program. port: where the chain answers. block_time: seconds.
    """

    folder: Path
    anvil: Path
    port: int
    block_time: int
    nodes: tuple[NodeEntry, ...]
    task: TaskPlan

    @property
    def url(self) -> str:
        """The chain's URL."""
        return url_of(self.port)

    @property
    def chain(self) -> Slot:
        """The chain's process."""
        return Slot(self.folder, CHAIN)

    def slot(self, node: NodeEntry) -> Slot:
        """A node's process."""
        return Slot(self.folder, node.name)

    def config(self, node: NodeEntry) -> Path:
        """A node's configuration."""
        return node_folder(self.folder, node.name) / "node.toml"

    def sponsor(self) -> NodeKeys:
        """The keys of who opens tasks.

        Raises:
            KeyFileError: they do not open.
        """
        folder = self.folder / "sponsor"
        return unlock(folder / "keys", read_passphrase(folder / "passphrase"), "sponsor")

    def write(self, folder: Path) -> None:
        """Write `network.json` into a folder that will be this network's."""
        document = {
            "version": VERSION,
            "mark": MARK,
            "folder": str(self.folder),
            "anvil": str(self.anvil),
            "port": self.port,
            "block_time": self.block_time,
            "nodes": {node.name: {"role": node.role, "port": node.port} for node in self.nodes},
            "task": asdict(self.task),
        }
        write_json(folder / FILE, document)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else starts or stops processes of this network meanwhile.

        Raises:
            StateError: somebody does.
        """
        handle = os.open(self.folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StateError(f"{self.folder} is being started or stopped by another command; wait for it") from None
            yield
        finally:
            os.close(handle)


def node_folder(folder: Path, name: str) -> Path:
    """Where a node of a network has what is its own."""
    return folder / "nodes" / name


def open_network(folder: Path) -> Network:
    """The network that `net prepare` made in a folder.

    Raises:
        InputError: there is none, it is damaged, or it was moved: its nodes name the store by its whole path.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} is no network; make one with: fedproof net prepare {folder}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    found = _decode(data, str(path))
    if found.folder != folder.resolve():
        raise InputError(f"{folder} was prepared as {found.folder}: move it back, or prepare another")
    return found


def _decode(data: bytes, where: str) -> Network:
    top = Field.of(read_json(data, where, _LIMIT), where)
    if top.integer("version", 0, 1 << 32) != VERSION or top.text("mark", r"[ -~]{1,64}") != MARK:
        raise InputError(f"{where} is not of version {VERSION} of this program's networks")
    plan = top.table("task")
    task = TaskPlan(
        training_key=plan.text("training_key", _ADDRESS),
        aggregation_key=plan.text("aggregation_key", _ADDRESS),
        starts=_starts(plan.table("starts")),
        class_id=plan.integer("class_id", 1, _MOST),
        rounds=plan.integer("rounds", 1, _MOST),
        mask_count=plan.integer("mask_count", 1, _MOST),
        threshold=plan.integer("threshold", 1, _MOST),
        min_updates=plan.integer("min_updates", 2, _MOST),
        participants=plan.integer("participants", 2, _MOST),
    )
    plan.done()
    found = Network(
        folder=Path(top.text("folder", r"/[^\x00]{0,4096}")),
        anvil=Path(top.text("anvil", r"/[^\x00]{0,4096}")),
        port=top.integer("port", 1, 65_535),
        block_time=top.integer("block_time", 1, 3600),
        nodes=_nodes(top.table("nodes")),
        task=task,
    )
    top.done()
    return found


def _starts(table: Field) -> dict[str, str]:
    if not table.values or not all(_CONTENT_ID.fullmatch(each) for each in table.values):
        raise InputError(f"{table.path} names no descriptions")
    return {each: table.text(each, r"[0-9a-f]{128}") for each in sorted(table.values)}


def _nodes(table: Field) -> tuple[NodeEntry, ...]:
    found = []
    for name in table.values:
        node = table.table(name)
        if not _NAME.fullmatch(name):
            raise InputError(f"{table.path} names a node that cannot be")
        found.append(NodeEntry(name, node.choice("role", ROLES), node.integer("port", 1, 65_535)))
        node.done()
    return tuple(sorted(found, key=lambda node: (ROLES.index(node.role), len(node.name), node.name)))
