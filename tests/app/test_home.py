"""A home that is damaged, interrupted or filled by strangers says so, and never makes keys in place of lost ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.catalogue import MAX_CARD_BYTES, _card
from fedproof.app.home import Home
from fedproof.app.keyring import Keyring
from fedproof.app.telling import Silent
from fedproof.cli.terminal import short
from fedproof.errors import InputError, KeyFileError, LedgerError
from fedproof.storage import BlobStore


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "home"
    Home.create(folder, Silent())
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.parametrize("harm", ["missing", "flipped", "cut", "another home's"])
def test_keys_that_are_lost_are_not_made_anew(folder: Path, tmp_path: Path, harm: str) -> None:
    keys = sorted((folder / "keys").iterdir())
    if harm == "another home's":
        Home.create(tmp_path / "other", Silent())
        shutil.rmtree(folder / "keys")
        shutil.copytree(tmp_path / "other" / "keys", folder / "keys")
    for path in keys:
        data = path.read_bytes()
        if harm == "missing":
            path.unlink()
        elif harm == "flipped":
            path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
        elif harm == "cut":
            path.write_bytes(data[:100])
    before = {path.name: path.read_bytes() for path in (folder / "keys").iterdir()}
    with Home.open(folder, Silent()) as home, pytest.raises(KeyFileError, match="restore"):
        home.note_keys()
    assert {path.name: path.read_bytes() for path in (folder / "keys").iterdir()} == before


def test_keys_of_a_registered_class_are_not_made_anew(folder: Path) -> None:
    with Home.open(folder, Silent()) as home:
        assert home.class_of(32, 3) == 1
        shutil.move(folder / "keys", folder / "kept")
        shutil.copytree(folder / "kept", folder / "keys", ignore=shutil.ignore_patterns("tau-130-*"))
        with pytest.raises(KeyFileError, match="restore"):
            home.class_of(32, 3)
        shutil.rmtree(folder / "keys")
        shutil.move(folder / "kept", folder / "keys")
        assert home.class_of(32, 3) == 1


def test_a_closed_class_stays_closed(folder: Path) -> None:
    with Home.open(folder, Silent()) as home:
        number = home.class_of(32, 3)
        home.market.close_class(home.account("operator"), number)
        with pytest.raises(InputError, match="is closed"):
            home.class_of(32, 3)
        assert home.chain.call(home.market.registry.functions.classCount()) == 1


def test_an_interrupted_init_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "home"

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedproof.app.home.Marketplace.deploy", crash)
    with pytest.raises(KeyboardInterrupt):
        Home.create(folder, Silent())
    monkeypatch.undo()
    assert not folder.exists()
    with pytest.raises(LedgerError):
        Home.create(folder, Silent(), rpc="http://127.0.0.1:9")
    with pytest.raises(InputError, match="no storage driver"):
        Home.create(folder, Silent(), store="weird://x")
    assert not folder.exists()
    Home.create(folder, Silent())
    assert (folder / "private").stat().st_mode & 0o777 == 0o700
    assert (folder / "market.json").exists()


def test_a_keyring_of_a_source_makes_nothing(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys", source=str(tmp_path / "none"), strict=True)
    with pytest.raises(KeyFileError, match="add-class"):
        ring.srs(4, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("card", "error"),
    [
        (b'{"name": "a", "b": [[[[[[[1]]]]]]]}', None),
        (b'{"name": "a", "b": [[[[[[[[1]]]]]]]]}', "levels deep"),
        (b'{"name": ' + b"[" * 900 + b"]" * 900 + b"}", "levels deep"),
        (b'{"name": ' + b"[" * 300_000, "not JSON"),
        (b'{"name": NaN}', "not JSON"),
        (b'{"name": -Infinity}', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"name": "' + b"a" * MAX_CARD_BYTES + b'"}', "is larger than"),
    ],
)
def test_a_strangers_card_costs_little(tmp_path: Path, card: bytes, error: str | None) -> None:
    store = BlobStore.open(tmp_path / "blobs")
    found, said = _card(store, bytes.fromhex(store.put(card)))
    if error is None:
        assert (found["name"], said) == ("a", None)
    else:
        assert found == {}
        assert error in str(said)
        assert len(json.dumps([found, said])) < 400


def test_a_long_text_is_cut() -> None:
    assert short("a\x1b[31m b\n" * 3) == "a?[31m b a?[31m b a?[31m b"
    assert len(short("x" * 3_000_000)) == 120
