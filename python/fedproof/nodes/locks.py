"""The lock of a file, with a little patience: who only looks whether it is held holds it for a moment, too."""

from __future__ import annotations

import fcntl
import time
from typing import Final

SECONDS: Final = 1.0
"""So long a lock is waited for: longer than any look takes, and not so long that a refusal seems to hang."""
_PAUSE: Final = 0.02


def take_lock(handle: int, seconds: float = SECONDS) -> None:
    """Hold the lock of an open file alone, until the file is closed.

    Raises:
        BlockingIOError: another process goes on holding it. OSError: the file system has no locks.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)
