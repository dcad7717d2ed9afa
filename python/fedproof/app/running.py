"""Running one node: from its configuration to a loop that ends when it is told to.

A node may be killed at any instruction and goes on by looking at the chain (see `nodes.loop`). So ending it is simple,
too: it stops before its next act, or, when an act takes too long, in the middle of it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from fedproof.app.deployment import DeploymentFile
from fedproof.app.gas import explained, shortage
from fedproof.app.health import HealthServer, Vitals
from fedproof.app.joining import join
from fedproof.app.keystore import NodeKeys, held, unlock
from fedproof.app.logs import Log, open_log
from fedproof.app.nodeconfig import NodeConfig
from fedproof.app.presence import announced, in_use, present
from fedproof.app.secret import Secret
from fedproof.app.trainers import trainer_of
from fedproof.errors import FedproofError, InputError, StateError, StorageError
from fedproof.learning.local import Trainer
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.sending import SendingPolicy
from fedproof.ledger.view import View
from fedproof.nodes.escrow_worker import EscrowWorker
from fedproof.nodes.journal import Journal
from fedproof.nodes.loop import Loop, Role
from fedproof.nodes.params import Deployment
from fedproof.nodes.records import GrantedRecords
from fedproof.nodes.roles.acts import Acts, Stopped
from fedproof.nodes.roles.participant import Limits, ParticipantRole
from fedproof.nodes.roles.provider import ProviderRole
from fedproof.nodes.roles.worker import WorkerLimits, WorkerRole
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.storage import BlobStore

JOURNAL: Final = "journal.db"
GRACE_SECONDS: Final = 10
"""After so long an act that is under way is broken off."""
_RECEIPT_SECONDS: Final = 60.0
_LONGEST_WAIT: Final = 30.0

T = TypeVar("T")


class NodeDiary:
    """What a role tells, into log and metrics. `explain` puts what a chain's node said into words for people."""

    def __init__(
        self, log: Log, vitals: Vitals, explain: Callable[[FedproofError], FedproofError] = lambda error: error
    ) -> None:
        self._log = log
        self._vitals = vitals
        self._explain = explain

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something needs an eye; the node goes on."""
        self._log.warning(event, **fields)

    def act_failed(self, act: str, error: FedproofError, again_at: int) -> None:
        """An act failed and is tried again at a block."""
        error = self._explain(error)
        self._vitals.failed(error)
        self._log.warning("act.failed", act=act, kind=type(error).__name__, why=str(error), again_at=again_at)

    def round_ended(self, outcome: str, task: int, round_number: int) -> None:
        """A round is over."""
        self._vitals.round_ended(outcome)
        self._log.info("round.ended", outcome=outcome, task=task, round=round_number)


class _Watcher:
    """What the loop tells, into log and metrics."""

    def __init__(self, log: Log, vitals: Vitals) -> None:
        self._log = log
        self._vitals = vitals

    def progress(self, block: int, head: int, events: int) -> None:
        self._vitals.progress(block, head, events)
        self._log.debug("chain.read", block=block, head=head, events=events)

    def failed(self, error: FedproofError, pause: float) -> None:
        self._vitals.failed(error, pause)
        self._log.warning("step.failed", kind=type(error).__name__, why=str(error), pause=round(pause, 1))

    def undone(self, blocks: int) -> None:
        self._vitals.undone(blocks)
        self._log.warning("chain.reorganised", blocks=blocks)


@dataclass
class Parts:
    """What a role is made of."""

    config: NodeConfig
    deployment: Deployment
    federation: Federation
    seen: Federation
    market: Marketplace
    keys: NodeKeys
    state: StateFile
    acts: Acts
    slot: int
    depth: int
    trainer: Trainer | None = None


def run_node(config: NodeConfig, passphrase: Secret) -> None:
    """Run a node until SIGTERM or SIGINT.

    Raises:
        InputError, KeyFileError, StateError, LedgerError: the node cannot start, or its saved state forbids going on.
    """
    log = open_log(config.name, config.log.level, config.log.format)
    log.info("node.starting", role=config.role, config=str(config.path))
    stop = threading.Event()
    with _signals(stop), contextlib.suppress(Stopped):
        _run(config, passphrase, log, stop)
    log.info("node.stopped")


def _run(config: NodeConfig, passphrase: Secret, log: Log, stop: threading.Event) -> None:
    document = DeploymentFile.read(config.deployment)
    trainer = None if config.participant is None else trainer_of(document.plan, config.participant.trainer)
    keys = unlock(config.keystore, passphrase, config.name)
    account, vitals = keys.account.address, Vitals(config.role)
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(take_state(config))
        stack.enter_context(held(config.keystore))
        stack.enter_context(announced(config.state, config.path))
        bind(state, account, document)
        if config.http.port:
            stack.enter_context(HealthServer(vitals, log, config.http.host, config.http.port, config.http.public))
        patient = _Patience(log, vitals, stop)
        chain = stack.enter_context(patient.wait(lambda: connect(config, document, patient.rest)))
        chain.remember(keys.account)
        depth = config.chain.depth(chain.is_development)
        store = patient.wait(lambda: open_store(config.store or document.store))
        notice = lambda text: log.info("node.preparing", step=text)  # noqa: E731
        deployment, federation = patient.wait(lambda: join(document, chain, config.cache, store=store, notice=notice))
        seen = patient.wait(lambda: look(document, chain, depth))
        parts = Parts(
            config=config,
            deployment=deployment,
            federation=federation,
            seen=seen.federation,
            market=seen.market,
            keys=keys,
            state=state,
            acts=Acts(NodeDiary(log, vitals, lambda error: explained(error, chain, account)), stop),
            slot=config.chain.slot_blocks or default_slot(depth),
            depth=depth,
            trainer=trainer,
        )
        role = make_role(parts)
        journal = stack.enter_context(Journal(config.state / JOURNAL, chain.chain_id, seen.start))
        short = patient.wait(lambda: shortage(chain, account, config.chain.min_balance))
        if short is not None:  # money may still come, and acts are tried again
            log.warning("balance.low", why=short)
        log.info("node.started", role=config.role, account=account, chain=chain.chain_id, depth=depth)
        loop = Loop(chain, seen.view, journal, role, _Watcher(log, vitals), depth, config.chain.poll_seconds, stop)
        loop.run()


def take_state(config: NodeConfig) -> StateFile:
    """The saved state of a node, held by this process from now on.

    Raises:
        StateError: another process holds it, named where it is a node; or it is damaged or lost.
    """
    try:
        return StateFile(config.state, config.role)
    except StateError:
        here = present(config.state)
        if here is None or here.config is None:
            raise
        raise in_use(config.state, here) from None


def owner(account: str, document: DeploymentFile) -> dict[str, str]:
    """Whose a state is: an account in one federation, named by the transaction that made it."""
    return {"account": account, "federation": document.contracts["Federation"][1]}


def check_owner(state: StateFile, account: str, document: DeploymentFile) -> None:
    """What the state remembers is of this account and federation; a task's number says something in one of them alone.

    Raises:
        StateError: it is of another one.
    """
    before = state.get("owner")
    if before is None or before == owner(account, document):
        return
    if before.get("account") != account:
        raise StateError(f"{state.folder} is the state of {before.get('account')}, and the keys are of {account}")
    raise StateError(
        f"{state.folder} is of another federation (made by transaction {before.get('federation')}, not by "
        f"{document.contracts['Federation'][1]}): name a folder of its own for each"
    )


def bind(state: StateFile, account: str, document: DeploymentFile) -> None:
    """From now on the state is of this account and federation; errors as `check_owner`."""
    check_owner(state, account, document)
    if state.get("owner") is None:
        state.put(owner=owner(account, document))


def open_store(address: str) -> BlobStore:
    """The blobs of a deployment.

    Raises:
        StorageError: the folder is not there, as when a share is not mounted; opening it would make an empty one.
    """
    if "://" not in address and not Path(address).is_dir():
        raise StorageError(f"the store {address} is not there: mount it, or name another with store.url")
    return BlobStore.open(address)


@dataclass(frozen=True)
class Seen:
    """The chain at a depth, and the block that the federation is in."""

    view: View
    federation: Federation
    market: Marketplace
    start: int


def look(document: DeploymentFile, chain: Chain, depth: int) -> Seen:
    """The contracts so many blocks below the head.

    Raises:
        UnreachableError: the chain does not answer. LedgerError: the contracts do not belong together.
    """
    view = View.of(chain)
    view.move_to(max(0, chain.block_number() - depth))
    start = chain.receipt(document.contracts["Federation"][1]).block_number
    return Seen(view, Federation.at(view, document.federation), Marketplace.at(view, document.addresses), start)


def connect(config: NodeConfig, document: DeploymentFile, rest: Callable[[float], None]) -> Chain:
    """The chain of a node; `rest` lets so many seconds go by before a request is repeated.

    Raises:
        UnreachableError: it does not answer. LedgerError: it is another chain.
    """
    policy = SendingPolicy(
        rival_confirmations=config.chain.confirmations or 0,
        receipt_seconds=_RECEIPT_SECONDS,
        poll_seconds=min(1.0, config.chain.poll_seconds),
    )
    return Chain.connect(
        config.chain.rpc,
        chain_id=document.chain_id,
        timeout=config.chain.timeout,
        retries=config.chain.retries,
        policy=policy,
        pause=rest,
    )


def default_slot(depth: int) -> int:
    """Blocks that a leader has: to see at depth, to add up and prove, and to be seen."""
    return 6 + 2 * depth


def make_role(parts: Parts) -> Role:
    """The role that a configuration names."""
    config = parts.config
    if config.worker is not None:
        worker = Worker(parts.deployment, parts.federation, parts.keys.account, parts.state, parts.keys.hpke)
        limits = WorkerLimits(config.worker.max_bond, config.worker.sponsors, parts.depth)
        kept = config.worker.escrow_datasets
        keeper = EscrowWorker(parts.deployment, parts.keys.account, parts.state, parts.keys.hpke, parts.market)
        return WorkerRole(
            worker,
            parts.seen,
            parts.acts,
            limits,
            slot=parts.slot,
            lead=config.worker.lead,
            keeper=keeper if kept else None,
            kept=kept,
        )
    if config.participant is not None:
        return _participant(parts)
    assert config.provider is not None
    folders = {str(folder): folder for folder in config.provider.datasets}
    return ProviderRole(parts.deployment.listing, parts.market, parts.keys.account, folders, parts.acts)


def _participant(parts: Parts) -> ParticipantRole:
    config, account = parts.config.participant, parts.keys.account
    assert config is not None
    if not (config.access / "state.json").is_file():
        raise StateError(
            f"participant.access {config.access} holds no saved state: name the folder that took the grants"
        )
    records = GrantedRecords(parts.deployment, account.address, config.access)
    with contextlib.suppress(StateError):  # in use, or damaged: that is said when it is needed
        records.clean()
    limits = Limits(
        datasets=None if config.datasets is None else frozenset(config.datasets),
        tasks=None if config.tasks is None else frozenset(config.tasks),
        max_rounds=config.max_rounds,
        min_committee=config.min_committee,
        min_updates=config.min_updates,
        max_bond=config.max_bond,
        workers=config.workers,
        sponsors=config.sponsors,
        min_threshold=config.min_threshold,
        depth=parts.depth,
    )
    return ParticipantRole(
        parts.deployment,
        parts.federation,
        parts.seen,
        parts.market,
        account,
        parts.state,
        records,
        limits,
        parts.acts,
        slot=parts.slot,
        trainer=parts.trainer,
    )


class _Patience:
    """Waits for a chain and a store that are not up."""

    def __init__(self, log: Log, vitals: Vitals, stop: threading.Event) -> None:
        self._log = log
        self._vitals = vitals
        self._stop = stop

    def rest(self, seconds: float) -> None:
        """Before a request is repeated; a node that is told to end does not wait for a chain that is gone."""
        self._vitals.retried()
        if self._stop.wait(seconds):
            raise Stopped

    def wait(self, act: Callable[[], T]) -> T:
        pause = 1.0
        while True:
            try:
                return act()
            except (UnreachableError, StorageError) as error:
                self._vitals.failed(error, pause)
                self._log.warning("node.waiting", why=str(error), pause=pause)
            if self._stop.wait(pause):
                raise Stopped
            pause = min(_LONGEST_WAIT, 2 * pause)


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end the node: before its next act, or after a while in the midst of one."""

    def ask(_: int, __: FrameType | None) -> None:
        stop.set()
        signal.alarm(GRACE_SECONDS)

    def force(_: int, __: FrameType | None) -> None:
        raise Stopped

    if threading.current_thread() is not threading.main_thread():
        raise InputError("a node runs in the main thread of its process")
    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, force)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
