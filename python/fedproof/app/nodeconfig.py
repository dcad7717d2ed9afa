"""How one node runs, as `nodefile.read_config` reads it from `node.toml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from fedproof.app.logs import Format
from fedproof.errors import InputError

Role = Literal["provider", "participant", "worker"]
ROLES: Final = ("provider", "participant", "worker")


@dataclass(frozen=True)
class ChainConfig:
    """How to reach the chain. `rpc` is not shown: it may hold a key.

    Attributes:
        confirmations: blocks after which one counts as final; None where the file does not say.
        min_balance: wei that the node's account should have.
        clock_tolerance: seconds that clock and chain may differ.
        slot_blocks: blocks after which the next worker may lead; None leaves it to the node.
    """

    rpc: str = field(repr=False)
    confirmations: int | None
    poll_seconds: float
    timeout: float
    retries: int
    min_balance: int
    clock_tolerance: int
    slot_blocks: int | None = None

    def depth(self, is_development: bool) -> int:
        """Blocks below the head at which the node looks.

        Raises:
            InputError: the file does not say on a chain where blocks may still be exchanged for others.
        """
        if not is_development and not self.confirmations:
            raise InputError(
                "chain.confirmations must be 1 or more, as this is no development chain: its last blocks may change"
            )
        return self.confirmations or 0


@dataclass(frozen=True)
class HttpConfig:
    """Where health and metrics are served. Port 0 is nowhere; beyond this machine it takes `public`."""

    host: str
    port: int
    public: bool


@dataclass(frozen=True)
class LogConfig:
    """What is logged, and how."""

    level: str
    format: Format


@dataclass(frozen=True)
class ParticipantConfig:
    """What a participant takes part in. None: any.

    Attributes:
        datasets: its datasets. tasks: tasks that it may enrol in.
        max_rounds: of a task. min_committee, min_updates: the least that a task may ask for.
        access: folder of the saved state that took the grants, and whose HPKE key they are sealed to.
        max_bond: base units of the token that it stakes in one task.
        workers: address and HPKE key of workers; all of a task must be among them.
        sponsors: addresses whose tasks it takes part in. min_threshold: the least t of a task.
        trainer: `module:function` of its own training, where tasks ask for bounded updates; None: that of this package.
    """

    datasets: tuple[int, ...] | None
    tasks: tuple[int, ...] | None
    max_rounds: int
    min_committee: int
    min_updates: int
    access: Path
    max_bond: int
    workers: frozenset[tuple[str, bytes]] | None
    sponsors: frozenset[str] | None
    min_threshold: int
    trainer: str | None = None


@dataclass(frozen=True)
class ProviderConfig:
    """Folders of the saved state of listed datasets, one for each; their keys answer the grants. At least one."""

    datasets: tuple[Path, ...]


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker does.

    Attributes:
        lead: whether it leads aggregations. escrow_datasets: datasets of which it keeps key shares.
        max_bond: base units of the token that it stakes in one task.
        sponsors: addresses whose tasks it places a bond for; None: any.
    """

    lead: bool
    escrow_datasets: tuple[int, ...]
    max_bond: int
    sponsors: frozenset[str] | None


@dataclass(frozen=True)
class NodeConfig:
    """One node. Of the three role sections exactly that of `role` is there.

    Attributes:
        deployment: path of the deployment file.
        store: URL of the blob store in place of the deployment's.
        keystore: folder that `fedproof keys new` made.
        state: folder of the node's saved state; `cache` is for proving keys.
        min_free: bytes that the state's disk should have.
    """

    path: Path
    role: Role
    name: str
    deployment: Path
    chain: ChainConfig
    store: str | None = field(repr=False)
    keystore: Path
    passphrase_file: Path | None
    state: Path
    cache: Path
    min_free: int
    http: HttpConfig
    log: LogConfig
    provider: ProviderConfig | None = None
    participant: ParticipantConfig | None = None
    worker: WorkerConfig | None = None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
