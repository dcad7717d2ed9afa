"""A home that is damaged, interrupted or filled by strangers says so, and never makes keys in place of lost ones."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.catalogue import MAX_CARD_BYTES, _card
from fedproof.app.home import Home
from fedproof.app.keyring import Keyring
from fedproof.app.telling import Silent
from fedproof.app.world import write_json
from fedproof.cli.terminal import short
from fedproof.errors import InputError, KeyFileError, LedgerError
from fedproof.ledger.market_types import Addresses
from fedproof.storage import BlobStore
from tests.support.durable import Syncs


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
        Home.create(folder, Silent(), "http://127.0.0.1:9", str(tmp_path / "new/blobs"))
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(LedgerError):
        Home.join(folder, public(tmp_path), Silent(), "http://127.0.0.1:9", str(tmp_path / "other/blobs"))
    with pytest.raises(LedgerError):
        Home.create(folder, Silent(), "http://127.0.0.1:9", str(kept))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "market.json"]
    with pytest.raises(InputError, match="no storage driver"):
        Home.create(folder, Silent(), store="weird://x")
    assert not folder.exists()
    Home.create(folder, Silent())
    assert (folder / "private").stat().st_mode & 0o777 == 0o700
    assert (folder / "market.json").exists()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stores that a home opens; none is."""
    asked: list[str] = []

    def note(address: str) -> None:
        asked.append(address)
        raise InputError("enough")

    monkeypatch.setattr("fedproof.app.home.BlobStore.open", note)
    return asked


def public(folder: Path, **changes: Any) -> str:
    """The public part of somebody's home."""
    document = {
        "version": 1, "chain_id": 1, "rpc": "http://node", "store": "s3://bucket", "keys": None,
        "contracts": {name: f"0x{place:040x}" for place, name in enumerate(Addresses.__dataclass_fields__, 1)},
    }  # fmt: skip
    (folder / "market.json").write_text(json.dumps(document | changes))
    return str(folder)


def test_a_store_is_named_as_it_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    """Later commands, other homes and nodes have other working folders."""
    monkeypatch.chdir(tmp_path)
    for store in ("here/blobs", "s3://other"):
        with pytest.raises(InputError, match="enough"):
            Home.create(tmp_path / "home", Silent(), store=store)
        with pytest.raises(InputError, match="enough"):
            Home.join(tmp_path / "home", public(tmp_path), Silent(), store=store)
    assert opened == [str(tmp_path / "here/blobs")] * 2 + ["s3://other"] * 2


@pytest.mark.parametrize("address", ["ssh://host/x", "file:///etc", "github://x", "simplecache::s3://bucket"])
def test_a_strangers_home_names_no_other_driver(tmp_path: Path, opened: list[str], address: str) -> None:
    """It would run here, with the credentials that its user has for other things."""
    for name in ("store", "keys"):
        with pytest.raises(InputError, match=f"names (a )?{name} that only you can choose"):
            Home.join(tmp_path / "home", public(tmp_path, **{name: address}), Silent())
    assert opened == []
    with pytest.raises(InputError, match="enough"):
        Home.join(tmp_path / "home", public(tmp_path, store=address), Silent(), store="s3://mine")
    with pytest.raises(InputError, match="enough"):
        Home.join(tmp_path / "home", public(tmp_path, keys="https://host/keys"), Silent())
    assert opened == ["s3://mine", "s3://bucket"]


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
        (b'{"name": [1e308, -5e320]}', "not JSON"),
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


def test_a_document_is_durable_before_it_takes_the_place_of_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`chain.json` is all there is of an embedded chain."""
    syncs = Syncs.watched(monkeypatch)
    for document in ({"blocks": 1}, {"blocks": 2}):
        write_json(tmp_path / "chain.json", document)
        assert json.loads((tmp_path / "chain.json").read_text()) == document
        assert syncs.early == syncs.lost(tmp_path) == []
    assert stat.S_IMODE((tmp_path / "chain.json").stat().st_mode) == 0o666 & ~umask()


def test_of_a_document_that_the_disk_refuses_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "chain.json").mkdir()
    with pytest.raises(InputError, match=r"chain\.json cannot be written"):
        write_json(tmp_path / "chain.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["chain.json"]


def umask() -> int:
    """Of this process."""
    os.umask(found := os.umask(0o077))
    return found
