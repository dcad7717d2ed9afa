"""Key files: what they look like, and how they are read.

    magic (13) | identity (32) | SHA-256 of identity and the rest (32) | parts, each behind its length (8, big-endian)

A file is read once, in pieces that stay in a core's cache: another thread reads and hashes a piece while the core
decodes the one before it. It is not mapped (docs/decisions/0026).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import io
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final, TypeVar

from fedproof.errors import KeyFileError

MAGIC: Final = b"fedproof-key\x02"
_HEAD: Final = len(MAGIC) + 32 + 32
_LENGTH_BYTES: Final = 8
_PIECE: Final = 1 << 20

T = TypeVar("T")
Decode = Callable[[Iterator[bytes], int], T]
"""Makes a part of its pieces and their length in all; ValueError where they hold no such thing."""


def encode_key_file(identity: bytes, parts: list[bytes]) -> bytes:
    """A key file: magic, 32 bytes of identity, SHA-256 of the rest, then each part behind its length in 8 bytes."""
    payload = b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)
    return MAGIC + identity + hashlib.sha256(identity + payload).digest() + payload


def decode_key_file(blob: bytes, identity: bytes) -> list[bytes]:
    """The parts of a key file that is whole and belongs to `identity`.

    Raises:
        KeyFileError: it is damaged, of another version, or of another circuit.
    """
    return read_key_file(io.BytesIO(blob), identity, lambda pieces, _: b"".join(pieces))


def read_key_file(file: BinaryIO, identity: bytes, decode: Decode[T], count: int | None = None) -> list[T]:
    """What `decode` makes of each part of a key file that is whole and belongs to `identity`.

    The parts are decoded before the digest is known, so `decode` must be ready for any bytes. Nothing of a file with a
    wrong digest is returned, and what its bytes made `decode` say is not told.

    Args:
        file: at the start of the key file, which ends where it does.
        count: the number of parts; None for any.

    Raises:
        KeyFileError: it is damaged, of another version or circuit, or not of `count` parts that `decode` takes.
        OSError: it cannot be read.
    """
    head = file.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(MAGIC):
        raise KeyFileError("not a fedproof key file of this version")
    if head[len(MAGIC) : len(MAGIC) + 32] != identity:
        raise KeyFileError("the key file belongs to another circuit")
    rest = _Rest(file, identity)
    parts: list[T] = []
    found, wrong = 0, None
    with ThreadPoolExecutor(1, "key file") as ahead:
        while rest.left:
            size = int.from_bytes(rest.take(_LENGTH_BYTES), "big")
            if size > rest.left:
                raise _damaged()
            found += 1
            if wrong is not None or found - 1 == count:  # only the digest and the number of parts are left to tell
                rest.skip(size)
                continue
            end = rest.left - size
            with contextlib.closing(rest.pieces(size, ahead)) as pieces:
                try:
                    parts.append(decode(pieces, size))
                except ValueError as error:
                    wrong = str(error)
            rest.skip(rest.left - end)
    if rest.digest() != head[len(MAGIC) + 32 :]:
        raise _damaged()
    if count is not None and found != count:
        raise KeyFileError(f"it has {found} parts, not {count}")
    if wrong is not None:
        raise KeyFileError(f"it holds no key: {wrong}")
    return parts


def _damaged() -> KeyFileError:
    return KeyFileError("the key file is damaged")


class _Rest:
    """What follows the head, hashed as it is read.

    Attributes:
        left: bytes not read yet, as long as nobody cuts the file.
    """

    def __init__(self, file: BinaryIO, identity: bytes) -> None:
        at = file.tell()
        self.left = file.seek(0, io.SEEK_END) - at
        file.seek(at)
        self._file = file
        self._hash = hashlib.sha256(identity)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        data = self._file.read(count)
        if len(data) != count:
            raise _damaged()
        self._hash.update(data)
        self.left -= count
        return data

    def pieces(self, size: int, ahead: ThreadPoolExecutor) -> Generator[bytes, None, None]:
        """The next `size` bytes. Each piece is read and hashed in another thread while its forerunner is in use."""
        first, *others = [_PIECE] * (size // _PIECE) + [size % _PIECE]
        coming = ahead.submit(self.take, first)
        try:
            for length in others:
                piece, coming = coming.result(), ahead.submit(self.take, length)
                yield piece
            yield coming.result()
        finally:
            concurrent.futures.wait([coming])  # who goes on to read must find the file where this left it

    def skip(self, count: int) -> None:
        """Hash the next `count` bytes."""
        for at in range(0, count, _PIECE):
            self.take(min(_PIECE, count - at))

    def digest(self) -> bytes:
        """Of all that was read."""
        return self._hash.digest()
