"""The blob store that the nodes use: put bytes, get the same bytes or an error."""

import io
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, cast

from fsspec.implementations.local import LocalFileSystem

from fedproof.errors import InputError, StorageError
from fedproof.storage.backend import PIECE_BYTES, Backend, Sink, check_pace, open_address, storage_errors
from fedproof.storage.content import ContentId, check_content_id
from fedproof.storage.hashing import StreamHash
from fedproof.storage.ipfs import Ipfs
from fedproof.storage.local import LocalFolder
from fedproof.storage.remote import RemoteFolder
from fedproof.storage.s3 import open_s3

DEFAULT_LIMIT: Final = 256 << 20
_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "ipfs": "ipfs"}
_S3: Final = frozenset({"s3", "s3a"})


class BlobStore:
    """Content-addressed blobs. Nothing that the store says is believed: every read is checked against its id."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(cls, url_or_path: str | Path, **options: Any) -> Self:
        """Open a local folder (made if it is missing) or a URL: memory://, s3://bucket/folder, ipfs://, ...

        `options` go to the fsspec driver; `docs/storage.md` says what can be set from outside. InputError when the
        address or the driver it needs is missing, StorageError when the folder cannot be made.
        """
        address = str(url_or_path)
        protocol = address.split("://", 1)[0] if "://" in address else "file"
        try:
            fs, root = open_s3(address, options) if protocol in _S3 else open_address(address, **options)
        except (ImportError, ValueError):
            extra = _EXTRAS.get(protocol)
            advice = f"install it with: pip install 'fedproof[{extra}]'" if extra else "use a folder, s3:// or ipfs://"
            raise InputError(f"no storage driver for {protocol}:// is installed; {advice}") from None
        return cls.over(fs, root)

    @classmethod
    def over(cls, fs: Any, root: str) -> Self:
        """A store in folder `root` of an fsspec file system that is open already."""
        if isinstance(fs, LocalFileSystem):
            with storage_errors(f"the folder {root} cannot be made"):
                return cls(LocalFolder(Path(root)))
        return cls(Ipfs(fs, root) if "ipfs" in fs.protocol else RemoteFolder(fs, root))

    @property
    def name(self) -> str:
        """The store's address for messages, without credentials."""
        return self._backend.name

    def put(self, data: bytes) -> ContentId:
        """Store these bytes and return their id. Storing the same bytes again is harmless."""
        return self.put_stream([data])

    def put_stream(self, source: Iterable[bytes]) -> ContentId:
        """Store a stream in constant memory. Until the end of it nothing is readable; on failure nothing stays."""
        doing = f"a blob cannot be stored in {self.name}"
        with storage_errors(doing):
            pending = self._backend.pending()
        try:
            with StreamHash() as digest:
                # only what the store does is its error: `source` raises through
                for piece in source:
                    digest.update(piece)
                    with storage_errors(doing):
                        pending.write(piece)
                blob = ContentId(digest.hexdigest())
            with storage_errors(doing):
                pending.commit(blob)
        finally:
            pending.discard()
        return blob

    def get(self, blob: str, *, limit: int = DEFAULT_LIMIT) -> bytes:
        """The bytes with this id, at most `limit`. StorageError when missing, larger, cut off or swapped."""
        buffer = io.BytesIO()
        self._fetch(check_content_id(blob), buffer, limit)
        return buffer.getvalue()

    @contextmanager
    def get_stream(self, blob: str, *, limit: int | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes with this id as pieces of up to 1 MiB, in constant memory: `with store.get_stream(id) as pieces`.

        The blob is copied to a private temporary file and checked there first: no byte of a damaged blob is released,
        and nothing that changes in the store afterwards can change what the caller reads.
        """
        checked = check_content_id(blob)
        with storage_errors(f"no room for a copy of blob {checked}"):
            copy = cast(BinaryIO, tempfile.TemporaryFile(dir=self._backend.scratch))  # noqa: SIM115  closed below
        with copy:
            self._fetch(checked, copy, limit)
            copy.seek(0)
            yield iter(lambda: copy.read(PIECE_BYTES), b"")

    def get_unchecked(self, blob: str) -> Iterator[bytes]:
        """The bytes that the store gives for this id, as they come; only a normal end says that they are the blob.

        For those who authenticate what they read, or write it where nobody looks before the end: it spares the second
        copy on disk that `get_stream` makes.
        """
        checked = check_content_id(blob)
        pieces = self._backend.pieces(checked)
        if pieces is None:
            with self.get_stream(checked) as copied:
                yield from copied
            return
        size, waited = 0, 0.0
        with StreamHash() as digest:
            while True:
                started = time.monotonic()
                with storage_errors(f"blob {checked} cannot be read from {self.name}"):
                    piece = next(pieces, None)
                if piece is None:
                    break
                size += len(piece)
                waited += time.monotonic() - started  # what the reader does with a piece is not the store's time
                check_pace(size, waited)
                digest.update(piece)
                yield piece
            found = digest.hexdigest()
        self._check(checked, found, size)

    def _fetch(self, blob: ContentId, file: BinaryIO, limit: int | None) -> None:
        sink = Sink(file, limit)
        with storage_errors(f"blob {blob} cannot be read from {self.name}"):
            self._backend.copy_to(blob, sink)
        self._check(blob, sink.content_id(), sink.size)

    def _check(self, blob: ContentId, found: str, size: int) -> None:
        if found != blob:
            raise StorageError(f"blob {blob} in {self.name} is damaged or swapped: its {size} bytes have another id")
