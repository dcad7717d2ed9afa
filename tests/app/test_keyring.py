"""Cached keys: made once, and never trusted by their name."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof import _core
from fedproof.app.keyfile import decode_key_file, encode_key_file, read_key_file
from fedproof.app.keyring import KeyRequest, Keyring
from fedproof.errors import KeyFileError, StorageError
from fedproof.proving.keys import VerifyingKey
from fedproof.statements.aggregation import AggregationStatement
from tests.support.durable import Syncs
from tests.support.fulldisk import SmallDisk, need_small_disk

REQUESTS = {
    "one": KeyRequest(AggregationStatement(3, 2**20)),
    "two": KeyRequest(AggregationStatement(4, 2**20), 5),
}


def verifying(ring: Keyring, srs: _core.Srs) -> list[VerifyingKey]:
    return [keys.verifying for keys in ring.keys(REQUESTS, srs).keys.values()]


def test_keys_are_made_once(tmp_path: Path) -> None:
    told: list[str] = []
    ring = Keyring(tmp_path, told.append)
    first = verifying(ring, ring.srs(16, [5]))
    made = len(told)
    again = Keyring(tmp_path, told.append)
    second = verifying(again, again.srs(16, [5]))
    assert first == second
    assert len(told) == made == 3


def test_keys_of_one_set_share_what_circuits_may_share_and_nothing_else() -> None:
    ring = Keyring(None)
    one, two = verifying(ring, ring.srs(16, [5]))
    assert (one.alpha, one.beta, one.tau) == (two.alpha, two.beta, two.tau)
    assert len({_core.g2_generator(), one.delta, one.eta, two.delta, two.eta}) == 5
    assert (one.tau_d, two.tau_d is None) == (None, False)


def test_without_a_folder_nothing_is_kept() -> None:
    ring = Keyring(None)
    srs = ring.srs(16, [5])
    for first, second in zip(verifying(ring, srs), verifying(ring, srs), strict=True):
        assert len({first.alpha, second.alpha}) == len({first.delta, second.delta}) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "other circuit", "empty"])
def test_a_damaged_or_foreign_key_file_is_not_used(tmp_path: Path, damage: str) -> None:
    ring = Keyring(tmp_path)
    srs = ring.srs(16, [5])
    first = verifying(ring, srs)
    path = next(path for path in tmp_path.iterdir() if path.name.startswith("keys-"))
    identity = bytes.fromhex(path.name.removeprefix("keys-"))
    blob = path.read_bytes()
    if damage == "flip":
        path.write_bytes(blob[:-5] + bytes([blob[-5] ^ 1]) + blob[-4:])
    elif damage == "cut":
        path.write_bytes(blob[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(encode_key_file(bytes(32), decode_key_file(blob, identity)))
    told: list[str] = []
    second = verifying(Keyring(tmp_path, told.append), srs)
    assert any("is not used" in line for line in told)
    assert second != first
    assert verifying(Keyring(tmp_path), srs) == second


def test_a_key_file_names_what_is_wrong() -> None:
    good = encode_key_file(b"a" * 32, [b"payload", b""])
    assert decode_key_file(good, b"a" * 32) == [b"payload", b""]
    with pytest.raises(KeyFileError, match="another circuit"):
        decode_key_file(good, b"b" * 32)
    with pytest.raises(KeyFileError, match="damaged"):
        decode_key_file(good + b"x", b"a" * 32)
    with pytest.raises(KeyFileError, match="version"):
        decode_key_file(b"x" + good, b"a" * 32)


PIECES = 3 * 2**20 + 5


@pytest.mark.parametrize("sizes", [[], [0], [PIECES], [2**20, 0, PIECES, 2**20 - 1]])
def test_parts_of_any_size_come_whole_and_in_order(sizes: list[int]) -> None:
    parts = [bytes([at]) * size for at, size in enumerate(sizes)]
    assert decode_key_file(encode_key_file(bytes(32), parts), bytes(32)) == parts


def test_a_file_that_is_cut_while_it_is_read_is_one_error(tmp_path: Path) -> None:
    """A mapped file would end the process (SIGBUS)."""
    path = tmp_path / "keys"
    path.write_bytes(encode_key_file(bytes(32), [bytes(PIECES)]))

    def cut(pieces: Iterator[bytes], _: int) -> bytes:
        first = next(pieces)
        os.truncate(path, 1000)
        return first + b"".join(pieces)

    with path.open("rb") as file, pytest.raises(KeyFileError, match="damaged"):
        read_key_file(file, bytes(32), cut, 1)


def test_what_a_decoder_says_of_damaged_bytes_is_not_told() -> None:
    def refuses(pieces: Iterator[bytes], _: int) -> bytes:
        next(pieces)
        raise ValueError("no point")

    good = encode_key_file(bytes(32), [bytes(PIECES), bytes(PIECES)])
    with pytest.raises(KeyFileError, match="holds no key: no point"):
        read_key_file(io.BytesIO(good), bytes(32), refuses, 2)
    for damaged in (good[:-1] + b"x", good[:-1], good + b"x"):
        with pytest.raises(KeyFileError, match="damaged"):
            read_key_file(io.BytesIO(damaged), bytes(32), refuses, 2)


def test_a_length_beyond_the_file_is_damage_and_asks_for_no_memory() -> None:
    blob = bytearray(encode_key_file(bytes(32), [b"part"]))
    blob[-12:-4] = (2**63).to_bytes(8, "big")
    with pytest.raises(KeyFileError, match="damaged"):
        decode_key_file(bytes(blob), bytes(32))


def test_a_fetched_file_has_every_point_tested(tmp_path: Path) -> None:
    """Its digest is the sender's own."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    srs = Keyring(theirs).srs(16, [5])
    verifying(Keyring(theirs), srs)
    path = next(path for path in theirs.iterdir() if path.name.startswith("keys-"))
    identity = bytes.fromhex(path.name.removeprefix("keys-"))
    first, second = decode_key_file(path.read_bytes(), identity)
    at = len(first) // 2
    path.write_bytes(encode_key_file(identity, [first[:at] + bytes([first[at] ^ 1]) + first[at + 1 :], second]))
    verifying(Keyring(theirs), srs)
    with pytest.raises(KeyFileError, match="holds no key"):
        verifying(Keyring(ours, source=str(theirs), strict=True), srs)
    assert not ours.exists()


def test_of_a_fetched_file_no_more_is_read_than_its_circuits_have_keys(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    srs = Keyring(theirs).srs(16, [5])
    keys = verifying(Keyring(theirs), srs)
    assert verifying(Keyring(tmp_path / "whole", source=str(theirs), strict=True), srs) == keys
    path = next(path for path in theirs.iterdir() if path.name.startswith("keys-"))
    os.truncate(path, 2 * path.stat().st_size + (1 << 20))
    with pytest.raises(StorageError, match="has more than"):
        verifying(Keyring(ours, source=str(theirs), strict=True), srs)


def test_a_folder_that_cannot_be_written_is_told_and_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    Keyring(tmp_path / "file" / "keys", told.append).keys(REQUESTS, Keyring(None).srs(16, [5]))
    assert any("not cached" in line or "is not used" in line for line in told)


def test_keys_are_durable_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut would leave empty files, and keys that are made anew fit no contract that is deployed."""
    syncs = Syncs.watched(monkeypatch)
    verifying(Keyring(tmp_path), Keyring(tmp_path).srs(16, [5]))
    assert syncs.early == syncs.lost(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_of_keys_that_a_full_disk_refuses_nothing_stays(tmp_path: Path) -> None:
    need_small_disk()
    with SmallDisk(tmp_path) as disk:
        told: list[str] = []
        ring = Keyring(tmp_path, told.append)
        srs = ring.srs(16, [5])
        before = set(tmp_path.iterdir())
        disk.fill(leave=100_000)
        verifying(ring, srs)
        assert f"keys are not cached in {tmp_path}: No space left on device" in told
        assert {path for path in tmp_path.iterdir() if path.name != ".ballast"} == before
