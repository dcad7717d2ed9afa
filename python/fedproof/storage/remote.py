"""Any file system that fsspec has a driver for (S3, memory, SFTP, ...): each blob a file named by its id.

A blob is uploaded under a temporary name and then moved to its own, because not every driver's upload is whole or not
at all. The root (bucket, folder) must exist: a mistyped bucket should be an error, not a new bucket.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

from fedproof.storage.backend import PIECE_BYTES, Sink
from fedproof.storage.content import ContentId

MEMORY_BYTES: Final = 8 << 20


class RemoteFolder:
    """Blobs below `root` of an fsspec file system."""

    scratch = None

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        self.name = f"{protocol}://{self._root.lstrip('/')}"

    def pending(self) -> "RemotePending":
        """Start a blob."""
        return RemotePending(self._fs, self._root)

    def copy_to(self, blob: ContentId, sink: Sink) -> None:
        """Copy the file piece by piece."""
        for piece in self.pieces(blob):
            sink.write(piece)

    def pieces(self, blob: ContentId) -> Iterator[bytes]:
        """Read the file piece by piece."""
        with self._fs.open(f"{self._root}/{blob}", "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


class RemotePending:
    """A local copy, in memory while it is small: the id, and so the name, is known only at the end."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root
        self._spool = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115  closed by `discard`
        self._part: str | None = None
        self._final: ContentId | None = None

    def write(self, data: bytes) -> None:
        """Append."""
        self._spool.write(data)

    def commit(self, blob: ContentId) -> None:
        """Upload, then move."""
        part = f"{self._root}/.part-{secrets.token_hex(8)}"
        self._part = part
        self._spool.seek(0)
        with self._fs.open(part, "wb") as file:
            shutil.copyfileobj(self._spool, file, PIECE_BYTES)
        self._final = blob
        self._fs.mv(part, f"{self._root}/{blob}")
        self._part = self._final = None

    def discard(self) -> None:
        """Remove what a failed upload or move left behind."""
        self._spool.close()
        # the failure that brought us here is the one to report
        with suppress(Exception):
            if self._part is not None:
                self._fs.rm_file(self._part)
        with suppress(Exception):
            # where a move is a copy, a failing one can leave half a blob; a whole one may be another node's, which
            # was told that it is there
            if self._final is not None and self._is_damaged(self._final):
                self._fs.rm_file(f"{self._root}/{self._final}")
        self._part = self._final = None

    def _is_damaged(self, blob: ContentId) -> bool:
        digest = sha256()
        with self._fs.open(f"{self._root}/{blob}", "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest() != blob
