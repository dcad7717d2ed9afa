"""Cached keys: made once, and never trusted by their name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedproof.app.keyring import Keyring, decode_key_file, encode_key_file
from fedproof.errors import KeyFileError
from fedproof.statements.aggregation import AggregationStatement

STATEMENT = AggregationStatement(3, 2**20)


def test_keys_are_made_once(tmp_path: Path) -> None:
    told: list[str] = []
    ring = Keyring(tmp_path, told.append)
    first = ring.keys(STATEMENT, ring.srs(16, [5]))
    made = len(told)
    again = Keyring(tmp_path, told.append)
    second = again.keys(STATEMENT, again.srs(16, [5]))
    assert first.verifying == second.verifying
    assert len(told) == made == 2


def test_without_a_folder_nothing_is_kept() -> None:
    ring = Keyring(None)
    srs = ring.srs(16, [5])
    assert ring.keys(STATEMENT, srs).verifying != ring.keys(STATEMENT, srs).verifying


@pytest.mark.parametrize("damage", ["flip", "cut", "other circuit", "empty"])
def test_a_damaged_or_foreign_key_file_is_not_used(tmp_path: Path, damage: str) -> None:
    ring = Keyring(tmp_path)
    srs = ring.srs(16, [5])
    first = ring.keys(STATEMENT, srs)
    path = next(path for path in tmp_path.iterdir() if path.name.startswith("aggregation"))
    blob = path.read_bytes()
    if damage == "flip":
        path.write_bytes(blob[:-5] + bytes([blob[-5] ^ 1]) + blob[-4:])
    elif damage == "cut":
        path.write_bytes(blob[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(encode_key_file(bytes(32), decode_key_file(blob, first.circuit.circuit_id)))
    told: list[str] = []
    second = Keyring(tmp_path, told.append).keys(STATEMENT, srs)
    assert any("is not used" in line for line in told)
    assert second.verifying != first.verifying


def test_a_key_file_names_what_is_wrong() -> None:
    good = encode_key_file(b"a" * 32, b"payload")
    assert decode_key_file(good, b"a" * 32) == b"payload"
    with pytest.raises(KeyFileError, match="another circuit"):
        decode_key_file(good, b"b" * 32)
    with pytest.raises(KeyFileError, match="damaged"):
        decode_key_file(good + b"x", b"a" * 32)
    with pytest.raises(KeyFileError, match="version"):
        decode_key_file(b"x" + good, b"a" * 32)


def test_a_folder_that_cannot_be_written_is_told_and_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    Keyring(tmp_path / "file" / "keys", told.append).keys(STATEMENT, Keyring(None).srs(16, [5]))
    assert any("not cached" in line or "is not used" in line for line in told)
