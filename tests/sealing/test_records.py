"""Record files: nothing can be changed, moved, cut off or added (attacks 28 and 32)."""

import itertools
import os
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.errors import SealingError
from fedproof.sealing import TierKey, open_records, read_header, seal_records
from fedproof.sealing.aead import TAG_BYTES
from fedproof.sealing.records import HEADER_BYTES

KEY = TierKey.generate()
CONTEXT = b"chain 1, registry 2, dataset 3"
LOG2 = 6
CHUNK = 1 << LOG2
SEALED_CHUNK = CHUNK + TAG_BYTES
PLAINTEXT = bytes(range(256)) * 2  # eight whole chunks


def sealed_bytes(plaintext: bytes, key: TierKey = KEY, context: bytes = CONTEXT) -> bytes:
    return b"".join(seal_records(key, context, [plaintext], chunk_log2=LOG2))


def opened_bytes(sealed: bytes, key: TierKey = KEY, context: bytes = CONTEXT) -> bytes:
    return b"".join(open_records(key, context, [sealed]))


SEALED = sealed_bytes(PLAINTEXT)
HEAD = SEALED[:HEADER_BYTES]
CHUNKS = [SEALED[i : i + SEALED_CHUNK] for i in range(HEADER_BYTES, len(SEALED), SEALED_CHUNK)]


def rejected(sealed: bytes) -> None:
    with pytest.raises(SealingError):
        opened_bytes(sealed)


@settings(max_examples=150, deadline=None)
@given(
    plaintext=st.binary(max_size=5 * CHUNK),
    cuts=st.lists(st.integers(0, 5 * CHUNK), max_size=6),
    read=st.integers(1, 3 * SEALED_CHUNK),
)
def test_opens_what_it_sealed_however_the_pieces_fall(plaintext: bytes, cuts: list[int], read: int) -> None:
    edges = [0, *sorted(cuts), len(plaintext)]
    pieces = [plaintext[a:b] for a, b in itertools.pairwise(edges)]
    sealed = b"".join(seal_records(KEY, CONTEXT, pieces, chunk_log2=LOG2))
    assert len(sealed) == HEADER_BYTES + len(plaintext) + TAG_BYTES * max(1, -(-len(plaintext) // CHUNK))
    assert (
        b"".join(open_records(KEY, CONTEXT, [sealed[i : i + read] for i in range(0, len(sealed), read)])) == plaintext
    )


OLD_SECRET, OLD_CONTEXT, OLD_PLAINTEXT = bytes(range(32)), b"dataset 1", bytes(range(70))
OLD_FILE = (
    "46505253010306a9a63b9f023140eaa307e4487b11102428cf2fc8c91eba4fd153aa1345e0cf8aa5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
    "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a55a5a5a5a5a5a5a3c88fdaf723ade52e7685cab993ce13180a8be43e5e1fd8f8f543a2e9c498bfaf253"
    "aa2047721edf142014d543ee1e9fa2b337cf9dd9c2ab4f1a649139819b83007699a0a453c4829831e42cf9d822a9fc8ba511a26d6ec15738"
    "23f4e55032e9e019e15ff1a3"
)
"""Sealed for tier 3 by `as_the_docstring_says`: salt `a5 * 32`, prefix `5a * 7`."""


def as_the_docstring_says(secret: bytes, tier: int, context: bytes, plaintext: bytes) -> bytes:
    """A file of the format on top of `sealing/records.py`, made of cryptography's primitives alone."""
    salt, prefix = b"\xa5" * 32, b"\x5a" * 7
    digest = sha256(b"fedproof/records-context/v1" + context).digest()
    head = b"FPRS" + bytes((1, tier, LOG2)) + digest + salt + prefix
    key = HKDF(SHA256(), 32, salt, b"fedproof/records-key/v1" + bytes((tier,)) + digest).derive(secret)
    chunks = [plaintext[at : at + CHUNK] for at in range(0, len(plaintext), CHUNK)]
    nonces = [prefix + k.to_bytes(4, "big") + bytes((k == len(chunks) - 1,)) for k in range(len(chunks))]
    return head + b"".join(AESGCM(key).encrypt(n, chunk, head) for n, chunk in zip(nonces, chunks, strict=True))


def test_a_file_of_before_is_still_opened() -> None:
    """It stays in stores for years: a format that no longer reads it needs another version."""
    old = bytes.fromhex(OLD_FILE)
    assert as_the_docstring_says(OLD_SECRET, 3, OLD_CONTEXT, OLD_PLAINTEXT) == old
    assert opened_bytes(old, TierKey(3, OLD_SECRET), OLD_CONTEXT) == OLD_PLAINTEXT


def test_what_is_sealed_now_is_of_the_same_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda count: {32: b"\xa5", 7: b"\x5a"}[count] * count)
    assert sealed_bytes(OLD_PLAINTEXT, TierKey(3, OLD_SECRET), OLD_CONTEXT).hex() == OLD_FILE


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_opens_lengths_around_a_chunk(length: int) -> None:
    assert opened_bytes(sealed_bytes(PLAINTEXT[:length])) == PLAINTEXT[:length]


def test_rejects_a_flip_of_any_byte_of_the_head() -> None:
    for place in range(HEADER_BYTES):
        damaged = bytearray(SEALED)
        damaged[place] ^= 1
        rejected(bytes(damaged))


def test_rejects_a_flip_of_ciphertext_or_tag_in_any_chunk() -> None:
    for index in range(len(CHUNKS)):
        for offset in (0, CHUNK - 1, CHUNK, SEALED_CHUNK - 1):
            damaged = bytearray(SEALED)
            damaged[HEADER_BYTES + index * SEALED_CHUNK + offset] ^= 0x80
            rejected(bytes(damaged))


def test_rejects_every_truncation() -> None:
    for length in range(len(SEALED)):
        rejected(SEALED[:length])


def test_rejects_extension() -> None:
    rejected(SEALED + b"\x00")
    rejected(SEALED + CHUNKS[-1])
    rejected(SEALED + CHUNKS[0])
    rejected(SEALED + SEALED)


def test_rejects_reordered_repeated_and_missing_chunks() -> None:
    rejected(HEAD + b"".join([CHUNKS[1], CHUNKS[0], *CHUNKS[2:]]))
    rejected(HEAD + b"".join([CHUNKS[0], CHUNKS[0], *CHUNKS[1:]]))
    rejected(HEAD + b"".join([CHUNKS[0], *CHUNKS[2:]]))
    rejected(HEAD + b"".join([*CHUNKS[:-2], CHUNKS[-1]]))


def test_rejects_a_chunk_of_another_file_of_the_same_key() -> None:
    other = sealed_bytes(PLAINTEXT)
    rejected(HEAD + other[HEADER_BYTES:])
    rejected(SEALED[:-SEALED_CHUNK] + other[-SEALED_CHUNK:])


def test_rejects_another_dataset_and_another_key() -> None:
    with pytest.raises(SealingError, match="another dataset"):
        opened_bytes(SEALED, context=CONTEXT + b"!")
    with pytest.raises(SealingError, match="authenticate"):
        opened_bytes(SEALED, key=TierKey.generate())


def test_a_higher_tier_opens_and_a_lower_one_does_not() -> None:
    sealed = sealed_bytes(PLAINTEXT, key=KEY.down_to(3))
    assert read_header(sealed).tier == 3
    for tier in (3, 4, 5):
        assert opened_bytes(sealed, key=KEY.down_to(tier)) == PLAINTEXT
    for tier in (1, 2):
        with pytest.raises(SealingError, match="does not open tier 3"):
            opened_bytes(sealed, key=KEY.down_to(tier))


def test_rejects_a_lowered_tier_in_the_head() -> None:
    # tier 2's holder cannot pass a tier 3 file off as its own by editing the head
    sealed = bytearray(sealed_bytes(PLAINTEXT, key=KEY.down_to(3)))
    sealed[5] = 2
    with pytest.raises(SealingError, match="authenticate"):
        opened_bytes(bytes(sealed), key=KEY.down_to(2))


def test_releases_no_byte_of_a_chunk_before_its_tag_is_checked() -> None:
    damaged = bytearray(SEALED)
    damaged[HEADER_BYTES + 3 * SEALED_CHUNK] ^= 1
    opening = open_records(KEY, CONTEXT, [bytes(damaged)])
    assert b"".join(itertools.islice(opening, 3)) == PLAINTEXT[: 3 * CHUNK]
    with pytest.raises(SealingError, match="authenticate"):
        next(opening)
    assert list(opening) == []


def test_rejects_a_final_empty_chunk_after_others() -> None:
    # Only the sealer's own key can make one; a file must not have two encodings all the same.
    from fedproof.sealing import records

    header = read_header(SEALED)
    cipher = records._file_cipher(KEY, header)
    open_chunks = [
        cipher.encrypt(records._nonce(header, i, False), PLAINTEXT[i * CHUNK : (i + 1) * CHUNK], HEAD) for i in range(8)
    ]
    empty = cipher.encrypt(records._nonce(header, 8, True), b"", HEAD)
    with pytest.raises(SealingError, match="empty chunk"):
        opened_bytes(HEAD + b"".join(open_chunks) + empty)


def test_rejects_chunk_sizes_that_would_claim_memory() -> None:
    for log2 in (0, 5, 25, 63, 255):
        damaged = bytearray(SEALED)
        damaged[6] = log2
        with pytest.raises(SealingError, match="out of range"):
            opened_bytes(bytes(damaged))
        with pytest.raises(SealingError, match="chunks are"):
            seal_records(KEY, CONTEXT, [b""], chunk_log2=log2)


def test_refuses_an_empty_context_and_an_unknown_version() -> None:
    with pytest.raises(SealingError, match="context"):
        seal_records(KEY, b"", [b""])
    with pytest.raises(SealingError, match="context"):
        opened_bytes(SEALED, context=b"")
    with pytest.raises(SealingError, match="version 2"):
        opened_bytes(SEALED[:4] + b"\x02" + SEALED[5:])


def test_says_so_when_the_head_is_not_that_of_a_record_file() -> None:
    for data in (b"", HEAD[:-1], b"PK\x03\x04" + HEAD[4:], bytes(HEADER_BYTES)):
        with pytest.raises(SealingError, match="not a sealed record file"):
            opened_bytes(data)
    for tier in (0, 6, 255):
        with pytest.raises(SealingError, match="does not exist"):
            read_header(HEAD[:5] + bytes((tier,)) + HEAD[6:])


def test_stops_before_the_counter_wraps() -> None:
    from fedproof.sealing import records

    header = read_header(SEALED)
    assert records._nonce(header, records.MAX_CHUNKS - 1, False)[7:] == b"\xff\xff\xff\xff\x00"
    with pytest.raises(SealingError, match="at most"):
        records._nonce(header, records.MAX_CHUNKS, True)


def test_memory_stays_at_a_few_chunks_for_a_large_file() -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(512):
            yield bytes(1 << 16)

    tracemalloc.start()
    total = sum(map(len, open_records(KEY, CONTEXT, seal_records(KEY, CONTEXT, zeros(), chunk_log2=16))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 512 << 16
    assert peak < 16 << 16


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=200), keep=st.integers(0, HEADER_BYTES))
def test_junk_gives_a_sealing_error_and_nothing_else(junk: bytes, keep: int) -> None:
    if HEAD[:keep] + junk != SEALED:
        rejected(HEAD[:keep] + junk)
