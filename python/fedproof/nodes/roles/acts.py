"""The acts of a role: each has its own patience, so that one which fails keeps none of the others from being done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

from fedproof.errors import FedproofError, LedgerError, StorageError, UnexpectedError
from fedproof.ledger.http import UnreachableError
from fedproof.nodes.checkpoints import checkpoint
from fedproof.nodes.patience import LAST_BLOCKS, LONGEST_PAUSE, NotYetError, Patience

T = TypeVar("T")


class Diary(Protocol):
    """Who is told what a node does. Names of events are constant; nothing secret goes into the fields."""

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""

    def warning(self, event: str, **fields: object) -> None:
        """Something needs an eye; the node goes on."""

    def act_failed(self, act: str, error: FedproofError, again_at: int) -> None:
        """An act failed and is tried again at a block."""

    def round_ended(self, outcome: str, task: int, round_number: int) -> None:
        """A round is over for this node; `outcome` is one of a few constant words."""


class Stopped(BaseException):
    """The node ends before its next act."""


class Acts:
    """What is due in one step, at one block.

    Args:
        stop: set by whoever wants the node to end: then no further act is begun.
    """

    def __init__(self, diary: Diary, stop: threading.Event) -> None:
        self.diary = diary
        self.block = 0
        self.wake: int | None = None
        self._stop = stop
        self._patience = Patience()
        self._ping: Callable[[], object] | None = None
        self._told: set[str] = set()

    def begin(self, block: int, ping: Callable[[], object] | None = None) -> None:
        """A new step.

        Args:
            ping: a call that any chain answers which answers at all. A call that times out while this one does not is a
                failure of its act alone; otherwise, and without a `ping`, it ends the step.
        """
        self.block = block
        self.wake = None
        self._ping = ping

    def wake_at(self, block: int) -> None:
        """Something is due at a block, if no event comes before."""
        at = max(block, self.block + 1)
        self.wake = at if self.wake is None else min(self.wake, at)

    def do(
        self, name: str, act: Callable[[], object], *, due: Collection[int] = (), longest: int = LONGEST_PAUSE
    ) -> bool:
        """Do an act, unless it failed a short while ago; returns whether it was done.

        The pause doubles with each failure. Time is counted in blocks: nothing new can be seen before the next one.

        Args:
            due: blocks that no pause passes. At each of the last blocks before one, and at the block itself, it is
                tried whatever the pause: who names the last block at which it makes sense loses no window to a pause.
            longest: blocks that a pause lasts at most.

        Raises:
            UnreachableError: the chain does not answer anything: no other act would fare better.
        """
        again = self._patience.again_at(name)
        if self.block < again:
            self.wake_at(again)
            return False
        if self._stop.is_set():
            raise Stopped
        checkpoint(f"before {name}")
        near = [block for each in due for block in range(each - LAST_BLOCKS, each + 1)]
        try:
            act()
        except NotYetError as waiting:
            self.wake_at(self._patience.wait(name, waiting.again_at, self.block, near))
            return False
        except Exception as raised:  # strangers' documents must not end a node, and ours may have mistakes
            if isinstance(raised, UnreachableError) and not self._answers():
                raise
            error = raised if isinstance(raised, FedproofError) else UnexpectedError.of(raised)
            again = self._patience.failed(name, self.block, near, longest=longest)
            self.wake_at(again)
            self.diary.act_failed(name, error, again)
            return False
        self._patience.succeeded(name)
        checkpoint(f"after {name}")
        return True

    def _answers(self) -> bool:
        """Whether the chain answers at all."""
        if self._ping is None:
            return False
        try:
            self._ping()
        except LedgerError:
            self._ping = None  # an act around this one need not ask again
            return False
        return True

    def fetch(self, blob: str, get: Callable[[], T], *, by: str = "", due: Collection[int] = ()) -> T:
        """Ask for a blob, unless it did not come a short while ago: a store may take its whole time to say so.

        Args:
            blob: what it is patient with. by: who named it: of one who names many that do not come, one is asked for at
                a time.
            due: blocks at which it is asked for whatever the pause.

        Raises:
            StorageError: it did not come; `NotYetError` without asking.
        """
        names = [_blob(blob)] + ([f"by/{by}"] if by else [])
        again = max(map(self._patience.again_at, names))
        if self.block < again:
            self.wake_at(again)
            raise NotYetError(blob, again)
        try:
            found = get()
        except StorageError:
            self.wake_at(max([self._patience.failed(name, self.block, due) for name in names]))
            raise
        for name in names:
            self._patience.succeeded(name)
        return found

    def tries(self, blob: str) -> int:
        """How often a blob did not come."""
        return self._patience.failures(_blob(blob))

    def tell_once(self, event: str, **fields: object) -> None:
        """Log something that holds for many steps, once."""
        key = f"{event} {sorted(fields.items())}"
        if key not in self._told:
            self._told.add(key)
            self.diary.info(event, **fields)


def _blob(blob: str) -> str:
    return f"blob/{blob}"
