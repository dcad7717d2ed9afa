"""`fedproof node check`: what is wrong with a node, before it is started, a line for each thing.

Nothing is changed but this: the folders of state and cache are made where they are missing, and a few bytes are put
into the store. No transaction is sent.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import urllib3

from fedproof.app import keystore
from fedproof.app.deployment import DeploymentFile
from fedproof.app.keystore import PublicKeys
from fedproof.app.logs import safe_text
from fedproof.app.nodeconfig import NodeConfig
from fedproof.app.nodefile import read_config
from fedproof.app.passphrase import read_passphrase
from fedproof.app.presence import Presence, in_use, present
from fedproof.app.running import JOURNAL, check_owner, open_store
from fedproof.app.trainers import trainer_line
from fedproof.errors import FedproofError, StateError, StorageError
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.plans import statement_text
from fedproof.nodes.journal import Journal
from fedproof.nodes.state import StateFile
from fedproof.storage import BlobStore

Status = Literal["ok", "warn", "FAIL"]
_HEALTH_BYTES: Final = 1 << 14

T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `exit_code` is that of the error for FAIL, else 0."""

    name: str
    status: Status
    text: str
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)


@dataclass(frozen=True)
class Caution:
    """Not as it should be, but the node can start."""

    text: str


@dataclass
class Checkup:
    """Collects checks, and turns errors into them."""

    notice: Callable[[str], None]
    checks: list[Check] = field(default_factory=list)

    def look(self, name: str, act: Callable[[], T], say: Callable[[T], str | Caution]) -> T | None:
        """What `act` gives, and a line of what `say` makes of it; None and FAIL when it raises."""
        self.notice(name)
        try:
            found = act()
            said = say(found)
        except FedproofError as error:
            self.checks.append(Check(name, "FAIL", safe_text(str(error)), error.exit_code))
            return None
        caution = isinstance(said, Caution)
        text = said.text if isinstance(said, Caution) else said
        self.checks.append(Check(name, "warn" if caution else "ok", safe_text(text)))
        return found

    def say(self, name: str, act: Callable[[], str | Caution]) -> None:
        """A line of what `act` says."""
        self.look(name, act, lambda said: said)

    @property
    def exit_code(self) -> int:
        """That of the first failure; 0 without any."""
        return next((check.exit_code for check in self.checks if check.status == "FAIL"), 0)


def check_node(
    path: Path,
    *,
    fetch: bool = False,
    ask: Callable[[], str] | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Checkup:
    """Look at everything that a node needs.

    Args:
        path: its `node.toml`.
        fetch: whether proving keys that are missing are fetched now; it takes as long as at the node's first start.
        ask: prompts for the passphrase where the file names none.
        notice: is told what is being looked at.
    """
    from fedproof.app.nodecheck_chain import check_chain

    up = Checkup(notice)
    config = up.look("config", lambda: read_config(path), lambda found: f"{found.role} {found.name}")
    if config is None:
        return up
    here = present(config.state)
    running = (here is not None and here.is_of(config.path)) or is_running(config)
    held = ", and the running node holds them" if running else ""
    keys = up.look(
        "keys", lambda: _keys(config, ask, running), lambda found: f"they open; account {found.address}{held}"
    )
    document = up.look("deployment", lambda: DeploymentFile.read(config.deployment), _say_deployment)
    if document is not None and config.participant is not None:
        named = config.participant.trainer
        if named is not None or isinstance(document.plan, BoundedPlan):
            up.say("trainer", lambda: trainer_line(document.plan, named))
    up.say("state", lambda: check_state(config, here, running, keys, document))
    if document is not None and not running:
        up.say("journal", lambda: check_journal(config, document))
    up.say("disk", lambda: check_disk(config))
    if document is None:
        return up
    url = config.store or document.store
    store = up.look("store", lambda: check_store(url), lambda found: f"{found.name} keeps and gives")
    check_chain(up, config, document, keys, store, running=running, fetch=fetch)
    return up


def _keys(config: NodeConfig, ask: Callable[[], str] | None, running: bool) -> PublicKeys:
    keystore.show(config.keystore)  # first, for a passphrase that opens nothing need not be asked for
    if not running:
        with keystore.held(config.keystore):  # by another node, it could not start
            pass
    opened = keystore.unlock(config.keystore, read_passphrase(config.passphrase_file, ask), config.name)
    return PublicKeys(opened.account.address, "", opened.hpke.public)


def is_running(config: NodeConfig) -> bool:
    """Whether this node runs now: its health page answers with its role."""
    if not config.http.port:
        return False
    host = "127.0.0.1" if config.http.public else config.http.host
    shown = f"[{host}]" if ":" in host else host
    with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
        try:
            answer = pool.request("GET", f"http://{shown}:{config.http.port}/healthz", preload_content=False)
            found = json.loads(answer.read(_HEALTH_BYTES))
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return False
    return isinstance(found, dict) and found.get("role") == config.role


def check_state(
    config: NodeConfig,
    here: Presence | None,
    running: bool,
    keys: PublicKeys | None,
    document: DeploymentFile | None,
) -> str:
    """The state folder can be written, is of this role, account and federation, and nobody but this node holds it.

    Args:
        here: who holds it. running: whether that is the node of this configuration.

    Raises:
        StateError: it is not so.
    """
    if running:
        process = (here or Presence()).process
        return f"this node runs on {config.state} ({process}): what it holds is not looked at"
    if here is not None and here.config is not None:
        raise in_use(config.state, here)
    with StateFile(config.state, config.role) as state:
        if keys is not None and document is not None:
            check_owner(state, keys.address, document)
        try:
            with tempfile.TemporaryFile(dir=config.state) as file:
                file.write(bytes(1))
                file.flush()
        except OSError as error:
            raise StateError(f"{config.state} cannot be written: {error.strerror}") from None
    return f"{config.state} can be written, and nobody else uses it"


def check_journal(config: NodeConfig, document: DeploymentFile) -> str:
    """The journal is of the deployment's chain.

    Raises:
        StateError: it is damaged, or of another one.
    """
    path = config.state / JOURNAL
    if not path.exists():
        return "none yet: the chain is read from the beginning"
    with Journal(path, document.chain_id) as journal:
        return f"of this chain, read up to block {journal.cursor}"


def _say_deployment(found: DeploymentFile) -> str:
    return f"of chain {found.chain_id}, for tasks that ask each update for a {statement_text(found.plan)}"


def check_disk(config: NodeConfig) -> str:
    """The state's disk has room.

    Raises:
        StorageError: it has less than `state.min_free_mib`.
    """
    place = next(each for each in (config.state, *config.state.absolute().parents) if each.is_dir())
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise StorageError(f"{place}: {error.strerror}") from None
    if free < config.min_free:
        raise StorageError(
            f"{free >> 20:,} MiB are free where {place} is, fewer than state.min_free_mib = {config.min_free >> 20:,}"
        )
    return f"{free >> 20:,} MiB are free"


def check_store(url: str) -> BlobStore:
    """The store takes a blob and gives it back.

    Raises:
        InputError: no driver for it. StorageError: it does not, or its folder is missing.
    """
    store = open_store(url)
    probe = b"fedproof node check " + os.urandom(16)  # a blob that was there already would show no writing
    if store.get(store.put(probe), limit=len(probe)) != probe:
        raise StorageError(f"{store.name} gave back other bytes than it took")
    return store
