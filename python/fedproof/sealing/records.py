"""Record files at rest: chunks under AES-256-GCM with counter and final flag (protocol, section 6).

    header   = "FPRS" || version (1) || tier (1) || log2 of the chunk size (1)
               || context digest (32) || salt (32) || prefix (7)
    file key = HKDF-SHA256(tier key, salt, info = "fedproof/records-key/v1" || tier || context digest)
    chunk i  = AES-256-GCM(file key, nonce_i, plaintext i, AAD = header)
    nonce_i  = prefix (7) || i (4, big-endian) || final (1: 0 or 1)

This is the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár (CRYPTO 2015). The prefix is random for each
file, the counter makes order part of a chunk's nonce, and the flag marks the one chunk that ends the file. So:

- reordering, repeating or leaving out a chunk shifts the counter: the tag fails;
- truncation leaves a last chunk with flag 0, extension a last-but-one with flag 1: the tag fails;
- a chunk of another file was made under another key: the tag fails;
- a changed header changes the AAD of every chunk, and most of it the key too: the tag fails.

Why no nonce repeats, whatever restarts, forks or runs twice: the file key is HKDF(tier key, salt) with 32 fresh bytes
of salt from the kernel for each file. Nothing is counted across files and no state is saved, so there is nothing to
roll back or to share; two files meet in one key only if two 256-bit salts collide. Inside a file the counter is a
loop variable that stops before 2^32. The random prefix is a second, independent line of 56 bits.

Each chunk is released only after its own tag has been checked, and it is then known to stand at its place in this file.
That the file is *whole* is known when the iterator ends without an error: whoever acts on a prefix must not take it for
the file.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fedproof.errors import SealingError
from fedproof.sealing.aead import NONCE_BYTES, TAG_BYTES, Aes256Gcm
from fedproof.sealing.tiers import TierKey, check_tier

MAGIC: Final = b"FPRS"
VERSION: Final = 1
CHUNK_LOG2: Final = 20
MIN_CHUNK_LOG2: Final = 6
MAX_CHUNK_LOG2: Final = 24
SALT_BYTES: Final = 32
PREFIX_BYTES: Final = 7
HEADER_BYTES: Final = 4 + 3 + 32 + SALT_BYTES + PREFIX_BYTES
MAX_CHUNKS: Final = 1 << 32
_KEY_LABEL: Final = b"fedproof/records-key/v1"
_CONTEXT_LABEL: Final = b"fedproof/records-context/v1"


@dataclass(frozen=True)
class Header:
    """The plain, authenticated head of a sealed file; `encode` and `decode` are its wire form."""

    tier: int
    chunk_log2: int
    context_digest: bytes
    salt: bytes
    prefix: bytes

    def encode(self) -> bytes:
        """`magic (4) || version (1) || tier (1) || chunk_log2 (1) || context (32) || salt (32) || prefix (7)`."""
        return MAGIC + bytes((VERSION, self.tier, self.chunk_log2)) + self.context_digest + self.salt + self.prefix

    @classmethod
    def decode(cls, data: bytes) -> "Header":
        """Read exactly `HEADER_BYTES` bytes; SealingError for anything that `encode` cannot have made."""
        if len(data) != HEADER_BYTES or data[:4] != MAGIC:
            raise SealingError("this is not a sealed record file: its head is missing or cut off")
        version, tier, chunk_log2 = data[4:7]
        if version != VERSION:
            raise SealingError(f"this record file has format version {version}; only {VERSION} is known")
        check_tier(tier)
        # before anything is authenticated, the head decides how much memory a chunk takes: keep it bounded
        if not MIN_CHUNK_LOG2 <= chunk_log2 <= MAX_CHUNK_LOG2:
            raise SealingError(f"this record file names chunks of 2^{chunk_log2} bytes, out of range")
        return cls(tier, chunk_log2, data[7:39], data[39:71], data[71:])


def seal_records(
    key: TierKey, context: bytes, source: Iterable[bytes], *, chunk_log2: int = CHUNK_LOG2
) -> Iterator[bytes]:
    """Seal a stream for `key.tier`. `context` names the dataset (any bytes, hashed into the head).

    Takes and yields pieces of any size; holds one chunk of 2^chunk_log2 bytes in memory. The input may be empty.
    """
    if not MIN_CHUNK_LOG2 <= chunk_log2 <= MAX_CHUNK_LOG2:
        raise SealingError(f"chunks are 2^{MIN_CHUNK_LOG2} to 2^{MAX_CHUNK_LOG2} bytes, not 2^{chunk_log2}")
    return _seal(key, _digest(context), source, chunk_log2)


def _seal(key: TierKey, context_digest: bytes, source: Iterable[bytes], chunk_log2: int) -> Iterator[bytes]:
    # inside the generator, so that each run over it draws its own salt
    header = Header(key.tier, chunk_log2, context_digest, os.urandom(SALT_BYTES), os.urandom(PREFIX_BYTES))
    cipher = _file_cipher(key, header)
    head = header.encode()
    yield head
    for index, (chunk, final) in enumerate(_chunks(source, 1 << chunk_log2)):
        yield cipher.encrypt(_nonce(header, index, final), chunk, head)


def open_records(key: TierKey, context: bytes, source: Iterable[bytes]) -> Iterator[bytes]:
    """Open a stream of `seal_records` with the key of its tier or a higher one; yields the plaintext chunk by chunk.

    Raises SealingError at the first chunk that is damaged, out of place or missing; only a normal end means "whole".
    """
    pieces = _Pieces(source)
    head = pieces.take(HEADER_BYTES)
    header = Header.decode(head)
    if header.context_digest != _digest(context):
        raise SealingError("this record file belongs to another dataset")
    cipher = _file_cipher(key.down_to(header.tier), header)
    for index, (chunk, final) in enumerate(_chunks(pieces, (1 << header.chunk_log2) + TAG_BYTES)):
        plaintext = cipher.decrypt(_nonce(header, index, final), chunk, head)
        if plaintext:
            yield plaintext
        elif index > 0:
            # the sealer never ends on an empty chunk; accepting one would give a file two encodings
            raise SealingError("this record file ends on an empty chunk")


def read_header(head: bytes) -> Header:
    """The head of a sealed file from its first `HEADER_BYTES` bytes, not yet authenticated: for choosing a key."""
    return Header.decode(head[:HEADER_BYTES])


def _file_cipher(key: TierKey, header: Header) -> Aes256Gcm:
    info = _KEY_LABEL + bytes((header.tier,)) + header.context_digest
    return Aes256Gcm(key.derive(header.salt, info))


def _nonce(header: Header, index: int, final: bool) -> bytes:
    if index >= MAX_CHUNKS:
        raise SealingError(f"a record file has at most {MAX_CHUNKS} chunks: choose larger chunks")
    nonce = header.prefix + index.to_bytes(4, "big") + bytes((final,))
    assert len(nonce) == NONCE_BYTES
    return nonce


def _digest(context: bytes) -> bytes:
    if not context:
        raise SealingError("the context is empty: a record file must name its dataset")
    return sha256(_CONTEXT_LABEL + context).digest()


class _Pieces:
    """The input as one stream: `take` cuts bytes off its front, iteration gives the rest."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = iter(source)
        self._rest = b""

    def take(self, count: int) -> bytes:
        while len(self._rest) < count:
            piece = next(self._source, None)
            if piece is None:
                break
            self._rest += piece
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def __iter__(self) -> Iterator[bytes]:
        yield self._rest
        self._rest = b""
        yield from self._source


def _chunks(source: Iterable[bytes], size: int) -> Iterator[tuple[bytes | bytearray, bool]]:
    """Cut a stream into pieces of `size`, the last one flagged: 1 .. size bytes, or none if the stream is empty."""
    whole: bytes | bytearray | None = None  # a full chunk, held back until it is known whether another follows
    partial = bytearray(size)
    used = 0
    for piece in source:
        if len(piece) == size and not used and isinstance(piece, bytes):
            # the usual case when files are sealed: nothing to cut, so nothing to copy
            if whole is not None:
                yield whole, False
            whole = piece
            continue
        view, start = memoryview(piece), 0
        while start < len(view):
            taken = min(size - used, len(view) - start)
            partial[used : used + taken] = view[start : start + taken]
            used, start = used + taken, start + taken
            if used == size:
                if whole is not None:
                    yield whole, False
                # the consumer is done with the chunk before, so its memory is the next buffer
                whole, partial = partial, whole if isinstance(whole, bytearray) else bytearray(size)
                used = 0
    if used == 0:
        yield (whole if whole is not None else b""), True
        return
    if whole is not None:
        yield whole, False
    del partial[used:]
    yield partial, True
