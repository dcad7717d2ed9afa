"""A folder on a local disk: each blob a file named by its id.

A blob is written under a temporary name, synced, renamed and the folder synced. So after a crash at any moment a blob
is there whole or not at all; what may stay behind is a file `.part-*`, which nothing reads. Two processes that write
one blob rename the same bytes to the same name.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fedproof.storage.backend import PIECE_BYTES, Sink
from fedproof.storage.content import ContentId
from fedproof.storage.folders import open_plain

PART_PREFIX = ".part-"


class LocalFolder:
    """Blobs in one folder, which is made when it does not exist."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self.name = str(root)
        self.scratch = str(root)

    def pending(self) -> "LocalPending":
        """Start a blob."""
        return LocalPending(self._root)

    def copy_to(self, blob: ContentId, sink: Sink) -> None:
        """Copy the file piece by piece."""
        for piece in self.pieces(blob):
            sink.write(piece)

    def pieces(self, blob: ContentId) -> Iterator[bytes]:
        """Read the file piece by piece."""
        # without a buffer, which would copy every byte once more; others may share the folder and put a pipe there
        with open_plain(self._root / blob) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


class LocalPending:
    """A temporary file in the store's folder, so that the rename stays on one file system."""

    def __init__(self, root: Path) -> None:
        self._root = root
        descriptor, path = tempfile.mkstemp(prefix=PART_PREFIX, dir=root)
        # a blob is ciphertext or public, and other users' nodes may share the folder; mkstemp would keep it private
        os.fchmod(descriptor, 0o644)
        self._file = os.fdopen(descriptor, "wb")
        self._path: Path | None = Path(path)

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def commit(self, blob: ContentId) -> None:
        """Sync the content before the name, and the name before anyone is told."""
        assert self._path is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._root / blob)
        self._path = None
        _sync_folder(self._root)

    def discard(self) -> None:
        """Close and remove the temporary file."""
        # closing flushes, which fails again when the disk is full; the descriptor is closed all the same
        with suppress(OSError):
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def _sync_folder(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
