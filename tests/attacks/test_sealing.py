"""Attacks on what is sealed: lines 27 to 29 of the table in docs/security.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from fedproof.errors import SealingError
from fedproof.sealing import (
    Aes256Gcm,
    KeyPair,
    TierKey,
    open_records,
    open_sealed,
    read_header,
    seal,
    seal_records,
)
from fedproof.sharing import info_for_output, info_for_share
from tests.sealing.vectors import rfc9180

PRE = bytes(range(32))
SHARE = b"a share of an update" * 20


# 27


def test_agrees_with_test_case_14_of_the_gcm_paper_and_refuses_it_with_one_bit_changed() -> None:
    """Key, nonce and plaintext of zeros (McGrew and Viega, test case 14)."""
    cipher = Aes256Gcm(bytes(32))
    sealed = bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919")
    assert cipher.encrypt(bytes(12), bytes(16), b"") == sealed
    assert cipher.decrypt(bytes(12), sealed, b"") == bytes(16)
    for bit in range(0, 8 * len(sealed), 5):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealingError):
            cipher.decrypt(bytes(12), bytes(flipped), b"")


def test_opens_a_later_message_of_rfc_9180_under_its_own_nonce_alone() -> None:
    """Our wrapper seals one message a context, which is the vector's first; no other nonce opens it."""
    vector = rfc9180(mode=0, kem=0x0020, kdf=1, aead=2)
    private, enc, info, key, base = (
        bytes.fromhex(vector[name]) for name in ("skRm", "enc", "info", "key", "base_nonce")
    )
    pair, plaintext = KeyPair.from_private_bytes(b"\x01\x01" + private), bytes.fromhex(vector["encryptions"][1]["pt"])
    first = b"\x01\x01" + enc + Aes256Gcm(key).encrypt(base, plaintext, b"")
    assert open_sealed(pair, first, info) == plaintext
    second = bytes.fromhex(vector["encryptions"][1]["nonce"])
    with pytest.raises(SealingError):
        open_sealed(pair, b"\x01\x01" + enc + Aes256Gcm(key).encrypt(second, plaintext, b""), info)


# 28


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_a_share_opens_for_its_worker_round_and_sender_alone(suite: str) -> None:
    """Chain, contract, task, round, participant and D are in `pre`; each differs in one byte of it at least."""
    mine, other = KeyPair.generate(suite), KeyPair.generate(suite)  # type: ignore[arg-type]
    sealed = seal(mine.public, SHARE, info_for_share(PRE, 3))
    assert open_sealed(mine, sealed, info_for_share(PRE, 3)) == SHARE
    for pair, info in (
        (other, info_for_share(PRE, 3)),
        (mine, info_for_share(PRE, 2)),
        (mine, info_for_share(PRE[:-1] + b"\0", 3)),
        (mine, info_for_output(PRE, 3)),
        (mine, PRE),
    ):
        with pytest.raises(SealingError):
            open_sealed(pair, sealed, info)
    for at in range(0, len(sealed), 13):
        flipped = bytearray(sealed)
        flipped[at] ^= 0x10
        with pytest.raises(SealingError):
            open_sealed(mine, bytes(flipped), info_for_share(PRE, 3))
        with pytest.raises(SealingError):
            open_sealed(mine, sealed[:at], info_for_share(PRE, 3))


def _read_into(released: bytearray, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        released += piece


def test_no_byte_of_a_record_file_is_released_before_its_tag_is_checked() -> None:
    key, source = TierKey.generate(), [bytes([k]) * 5000 for k in range(40)]
    blob = b"".join(seal_records(key, b"dataset 7", source, chunk_log2=12))
    assert b"".join(open_records(key, b"dataset 7", [blob])) == b"".join(source)
    for at in (len(blob) - 1, len(blob) // 2, 60):
        flipped = bytearray(blob)
        flipped[at] ^= 1
        released = bytearray()
        with pytest.raises(SealingError):
            _read_into(released, open_records(key, b"dataset 7", [bytes(flipped)]))
        assert bytes(released) == b"".join(source)[: len(released)]
        assert len(released) <= max(0, at - 60)
    head, chunk = len(blob) - (len(b"".join(source)) + 16 * -(-200_000 // 4096)), 4096 + 16
    for kept in (1, 20, 48):  # cut off where a chunk ends, so that every tag that is left is good
        with pytest.raises(SealingError):
            _read_into(bytearray(), open_records(key, b"dataset 7", [blob[: head + kept * chunk]]))
    for context, other in ((b"dataset 8", key), (b"dataset 7", TierKey.generate())):
        with pytest.raises(SealingError):
            next(iter(open_records(other, context, [blob])))


# 29


FORKS = """
import os, sys
from fedproof.sealing import TierKey, seal_records
key = TierKey(5, bytes(range(32)))
def seal(count):
    for _ in range(count):
        os.write(1, next(iter(seal_records(key, b"d", [b"x"]))).hex().encode() + b"\\n")
seal(1)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        seal(4)
        os._exit(0)
    children.append(child)
seal(3)
for child in children:
    os.waitpid(child, 0)
"""


def test_no_salt_repeats_in_forks_of_one_process() -> None:
    """A key in memory, three children made at once, and their parent: each seals, and no two heads are one."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=True)
    salts = [read_header(bytes.fromhex(line)).salt for line in done.stdout.split()]
    assert len(salts) == len(set(salts)) == 16


def test_one_share_sealed_twice_shares_no_byte_string() -> None:
    pair = KeyPair.generate()
    sealed = [seal(pair.public, SHARE, info_for_share(PRE, 1)) for _ in range(20)]
    assert len({blob[2:34] for blob in sealed}) == 20  # the encapsulated keys
    assert len({blob[34:50] for blob in sealed}) == 20
