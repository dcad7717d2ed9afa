"""SHA-256 of a stream, beside the work that makes or uses it: hashing releases the interpreter's lock."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import Final, Self

INLINE_BYTES: Final = 1 << 18
"""Below this, handing a piece over costs more than it saves."""


class StreamHash:
    """Hashes large pieces in a thread of its own, one at a time. Use it as a context, so that the thread ends."""

    def __init__(self) -> None:
        self._digest = sha256()
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def update(self, piece: bytes) -> None:
        """Append. One piece at most waits, so memory stays at two."""
        self._wait()
        # what its owner could still change has to be hashed now
        if len(piece) < INLINE_BYTES or not isinstance(piece, bytes):
            self._digest.update(piece)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "sha256")
        self._running = self._thread.submit(self._digest.update, piece)

    def hexdigest(self) -> str:
        """The digest of everything so far."""
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None
