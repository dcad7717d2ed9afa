"""No (key, nonce) pair is used twice: after a restart, across a fork, by two processes at once (attack 29)."""

import dataclasses
import subprocess
import sys

import pytest

from fedproof.sealing import TierKey, read_header, records, seal_records

KEY = TierKey(5, bytes(range(32)))
CONTEXT = b"dataset"

# Each script prints the heads of the files it seals under one tier key, one hex line each.
SEAL_TWO = """
import sys
from fedproof.sealing import TierKey, seal_records
def seal_two():
    for _ in range(2):
        head = next(seal_records(TierKey(5, bytes(range(32))), b"dataset", [b"x"]))
        sys.stdout.write(head.hex() + "\\n")
    sys.stdout.flush()
"""
FORK = """
import os
seal_two()
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        seal_two()
        os._exit(0)
    children.append(child)
seal_two()
for child in children:
    os.waitpid(child, 0)
"""


def heads_of(*scripts: str) -> list[bytes]:
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for script in scripts
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    return [bytes.fromhex(line) for output in outputs for line in output.splitlines()]


def assert_all_differ(heads: list[bytes]) -> None:
    salts = {read_header(head).salt for head in heads}
    prefixes = {read_header(head).prefix for head in heads}
    assert len(salts) == len(prefixes) == len(heads)


def test_no_salt_repeats_across_a_fork() -> None:
    heads = heads_of(SEAL_TWO + FORK)
    assert len(heads) == 10
    assert_all_differ(heads)


def test_no_salt_repeats_after_a_restart_or_in_two_processes_at_once() -> None:
    first = heads_of(SEAL_TWO + "seal_two()", SEAL_TWO + "seal_two()")
    again = heads_of(SEAL_TWO + "seal_two()")
    assert len(first + again) == 6
    assert_all_differ(first + again)


def test_one_sealing_iterated_twice_is_two_files() -> None:
    heads = [next(seal_records(KEY, CONTEXT, [b"x"])) for _ in range(8)]
    assert_all_differ(heads)


def test_no_nonce_repeats_inside_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bytes] = []

    class Recording(records.Aes256Gcm):
        __slots__ = ()

        def encrypt(self, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
            used.append(nonce)
            return super().encrypt(nonce, plaintext, associated)

    monkeypatch.setattr(records, "Aes256Gcm", Recording)
    for _ in seal_records(KEY, CONTEXT, [bytes(64 * 300)], chunk_log2=6):
        pass
    assert len(used) == len(set(used)) == 300


def test_two_salts_give_two_file_keys() -> None:
    """So even equal prefixes and counters do not make two files share a (key, nonce) pair."""
    header = records.read_header(next(seal_records(KEY, CONTEXT, [])))
    other = dataclasses.replace(header, salt=bytes(32))
    nonce = bytes(12)
    first, second = (records._file_cipher(KEY, h).encrypt(nonce, bytes(16), b"") for h in (header, other))
    assert first != second
