"""How long a node waits before it tries again what has failed: blocks, for nothing new can be seen before the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fedproof.errors import StorageError

LONGEST_PAUSE: Final = 32
"""Blocks between two attempts of what goes on failing."""
LAST_BLOCKS: Final = 3
"""So many blocks before one at which an act is due it is tried at each of them."""


class NotYetError(StorageError):
    """A blob did not come a short while ago, and is not asked for before a block."""

    def __init__(self, blob: str, again_at: int) -> None:
        self.again_at = again_at
        super().__init__(f"{blob} did not come; it is asked for again at block {again_at}")


class Patience:
    """Of many things by name: the pause of each doubles with each failure, and ends with a success."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._again: dict[str, int] = {}

    def again_at(self, name: str) -> int:
        """The block from which on it may be tried."""
        return self._again.get(name, 0)

    def failures(self, name: str) -> int:
        """How often it failed in a row."""
        return self._failures.get(name, 0)

    def failed(self, name: str, block: int, due: Iterable[int] = (), *, longest: int = LONGEST_PAUSE) -> int:
        """It failed; returns when to try again: after its pause, or at the first of the blocks in `due` before.

        Args:
            longest: blocks that its pause lasts at most.
        """
        failures = self._failures[name] = self.failures(name) + 1
        after = block + min(longest, 1 << min(failures - 1, 16))
        again = self._again[name] = min([after, *(each for each in due if each > block)])
        return again

    def wait(self, name: str, again_at: int, block: int, due: Iterable[int] = ()) -> int:
        """It was not tried, for something that it needs is not due before a block; returns when to look again."""
        again = self._again[name] = min([again_at, *(each for each in due if each > block)])
        return again

    def succeeded(self, name: str) -> None:
        """It is done: if it fails another time, that is the first."""
        self._failures.pop(name, None)
        self._again.pop(name, None)
