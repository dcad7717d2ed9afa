"""A node's main loop: read the chain, let the role do what is due, wait. Written so that it may end at any instruction.

Roles do not answer to events one by one. In each step a role compares what the chain says with what should be, and does
what is missing; events only wake it. So an event that is read twice, late, or never leads to the same acts, and a node
that was stopped anywhere goes on by looking. What a role must not do twice is in its state and outbox.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from web3.contract import Contract

from fedproof.errors import FedproofError, LedgerError, StorageError, UnexpectedError
from fedproof.ledger import Chain
from fedproof.ledger.anchor import ANCHOR_BLOCKS
from fedproof.ledger.view import View
from fedproof.nodes.checkpoints import checkpoint
from fedproof.nodes.journal import Journal

_BACKOFF_START: Final = 0.5
_BACKOFF_LIMIT: Final = 30.0


class Role(Protocol):
    """What a node is for."""

    @property
    def contracts(self) -> Sequence[Contract]:
        """Contracts whose events wake it."""

    def step(self, block: int) -> int | None:
        """Do what is due as of a block, to which the view has been moved.

        Returns the block at which something will be due without any event, None when nothing will.
        """

    def undone(self, blocks: int) -> None:
        """The chain has taken blocks back: whatever was sent in them is sent again."""


class Watcher(Protocol):
    """Who is told how the node fares."""

    def progress(self, block: int, head: int, events: int) -> None:
        """A step is done."""

    def failed(self, error: FedproofError, pause: float) -> None:
        """A step failed and is repeated after a pause."""

    def undone(self, blocks: int) -> None:
        """The chain took blocks back."""


@dataclass
class Loop:
    """The main loop of one node.

    Attributes:
        chain: the chain as it is. view: the same as the role sees it, `confirmations` blocks below the head.
        stop: set by whoever wants the loop to end; it ends before the next act.
    """

    chain: Chain
    view: View
    journal: Journal
    role: Role
    watcher: Watcher
    confirmations: int = 0
    poll_seconds: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    pause: Callable[[float], None] | None = None
    _wake_at: int | None = field(default=None, init=False)
    _started: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)

    def run(self) -> None:
        """Until `stop` is set.

        Raises:
            StateError: saved state forbids going on. Chain and store may fail as long as they like.
        """
        while not self.stop.is_set():
            pause = self.poll_seconds
            try:
                self.once()
                self._failures = 0
            except (LedgerError, StorageError) as error:
                pause = self._backoff()
                self.watcher.failed(error, pause)
            except FedproofError:
                raise
            except Exception as error:  # noqa: BLE001 - as when a node of the chain answers in a way nobody thought of
                pause = self._backoff()
                self.watcher.failed(UnexpectedError.of(error), pause)
            (self.pause or self.stop.wait)(pause)

    def once(self) -> bool:
        """One look at the chain, and a step where one is due; returns whether there was one.

        Raises:
            LedgerError, StorageError: try again later.
            StateError: saved state forbids going on.
        """
        head = self.chain.block_number()
        block = max(0, head - self.confirmations)
        undone = self.journal.advance(self.chain, self.role.contracts, block)
        if undone:
            self.watcher.undone(undone)
            self.role.undone(undone)
        checkpoint("read")
        entries = self.journal.pending()
        due = self._wake_at is not None and block >= self._wake_at
        if self._started and not entries and not due and not undone:
            self.watcher.progress(block, head, 0)
            return False
        self._started = False  # a step that fails is due again
        # as the journal knew it before anything is read: what is decided on another branch is then refused on this one.
        # At the head there is nothing to name, for a contract sees no hash of its own block.
        named = 0 < self.confirmations < ANCHOR_BLOCKS // 2
        block_hash = self.journal.hash_of(block) if named else None
        if named and block_hash is None:
            if self.journal.hash_of(self.journal.cursor) is None:  # nothing is so deep yet that it was read
                self.watcher.progress(block, head, 0)
                return False
            raise LedgerError(f"the node's head fell to block {head}: it is behind, or stale")
        self.view.move_to(block, block_hash)
        wake_at = self.role.step(block)
        checkpoint("stepped")
        self.journal.handled(entries)
        self._wake_at, self._started = wake_at, True
        self.watcher.progress(block, head, len(entries))
        return True

    def _backoff(self) -> float:
        self._failures += 1
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        return jitter * min(_BACKOFF_LIMIT, _BACKOFF_START * 2.0 ** min(self._failures - 1, 10))
