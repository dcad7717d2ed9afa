"""What a store must be able to do, and how its failures become one kind of error."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, BinaryIO, Final, Protocol, cast

import fsspec

from fedproof.errors import FedproofError, StorageError
from fedproof.storage.content import ContentId

PIECE_BYTES: Final = 1 << 20
PATIENCE_SECONDS: Final = 60.0
LEAST_PACE: Final = 16 << 10
"""Bytes a second, on average, once `PATIENCE_SECONDS` are over: a store that drips would hold a node for days."""


class Pending(Protocol):
    """A blob that is being written and has no name yet."""

    def write(self, data: bytes) -> None:
        """Append."""

    def commit(self, blob: ContentId) -> None:
        """Make the blob readable under its id, whole or not at all."""

    def discard(self) -> None:
        """Leave nothing behind. May be called at any time, also after `commit`."""


class Backend(Protocol):
    """One kind of store. Everything may raise what its driver raises; `storage_errors` makes that a StorageError."""

    @property
    def name(self) -> str:
        """For messages: protocol and path, never user names or passwords."""

    @property
    def scratch(self) -> str | None:
        """A folder on the store's own disk for temporary copies; None for the system's."""

    def pending(self) -> Pending:
        """Start a blob."""

    def copy_to(self, blob: ContentId, sink: "Sink") -> None:
        """Write what the store has under this id to `sink`; FileNotFoundError when it has nothing."""

    def pieces(self, blob: ContentId) -> Iterator[bytes] | None:
        """What the store has under this id, piece by piece; None when the driver can only write to a sink."""


def check_pace(size: int, seconds: float) -> None:
    """StorageError where a store takes so long for so few bytes that it drips."""
    if seconds > PATIENCE_SECONDS and size < seconds * LEAST_PACE:
        raise StorageError(f"only {size} bytes came in {seconds:.0f} s")


class Sink:
    """Where a blob is copied to: hashes what passes, and stops a store that sends more than the limit, or drips."""

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self._file = file
        self._limit = limit
        self._hash = sha256()
        self._started = time.monotonic()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append; StorageError past the limit, or when it comes too slowly."""
        self.size += len(data)
        check_pace(self.size, time.monotonic() - self._started)
        if self._limit is not None and self.size > self._limit:
            raise StorageError(f"a blob is larger than the {self._limit} bytes that are expected at most")
        self._hash.update(data)
        self._file.write(data)
        return len(data)

    def content_id(self) -> ContentId:
        """The id of what has passed."""
        return ContentId(self._hash.hexdigest())

    # fsspec takes an object for a file when it has these, too

    def read(self, _: int = -1) -> bytes:
        """Nothing: a sink is written to."""
        return b""

    def tell(self) -> int:
        """Bytes so far."""
        return self.size

    def close(self) -> None:
        """The file belongs to whoever opened it."""


def open_address(address: str, **options: Any) -> tuple[Any, str]:
    """The file system that fsspec has for an address, and the place in it.

    Web servers are asked for files as they are, and what one compresses all the same stays as it came: a few bytes on
    the line would be gigabytes in memory. Errors as those of `fsspec.url_to_fs`.
    """
    fs, root = fsspec.url_to_fs(address, **options)
    if "http" not in fs.protocol:
        return fs, root
    given = fs.storage_options  # also those of fsspec's own configuration
    asked = {
        "headers": {**given.get("headers", {}), "Accept-Encoding": "identity"},
        "client_kwargs": {**given.get("client_kwargs", {}), "auto_decompress": False},
    }
    return cast(tuple[Any, str], fsspec.url_to_fs(address, **{**options, **asked}))


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn whatever a driver raises into a StorageError that begins with `what`."""
    try:
        yield
    except FedproofError:
        raise
    except FileNotFoundError:
        raise StorageError(f"{what}: it is not there") from None
    except TimeoutError as error:
        raise StorageError(f"{what}: {error.strerror or 'no answer in time'}") from None
    except OSError as error:
        raise StorageError(f"{what}: {error.strerror or type(error).__name__}") from None
    except Exception as error:  # noqa: BLE001  drivers raise whatever their client libraries raise
        # the text may hold a signed address or a key, so only the kind is shown
        raise StorageError(f"{what}: {type(error).__name__}") from None
