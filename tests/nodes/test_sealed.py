"""Blobs of strangers are read as far as a share or an output can go, and no further."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import SealingError, StorageError
from fedproof.ledger.committee import Kind, Stake, Windows
from fedproof.nodes.roles.inspection import Inspection
from fedproof.nodes.sealed import sealed_bytes, share_bytes
from fedproof.nodes.worker import Worker
from fedproof.sealing import KeyPair, seal
from fedproof.sharing import Share
from fedproof.storage import BlobStore
from tests.nodes.paper import WORKERS, Desk, Paper, task

SIZE = 17
SHARE = Share(1, _core.fr_random(SIZE)).encode()
WINDOWS = Windows(100, 110, 120, 130, 140, 150)


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_a_share_of_any_key_fits(suite: Any) -> None:
    assert len(SHARE) == share_bytes(SIZE)
    sealed = seal(KeyPair.generate(suite).public, SHARE, b"info")
    assert len(sealed) <= sealed_bytes(SIZE) < len(sealed) + 2000
    assert (len(sealed) == sealed_bytes(SIZE)) == (suite == "mlkem768x25519")


@pytest.fixture
def store(desk: Desk) -> BlobStore:
    return BlobStore.open(f"memory://{desk.state.folder.parent.name}")


@pytest.fixture
def inspection(desk: Desk, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> Inspection:
    monkeypatch.setattr("fedproof.nodes.worker.update_pre", lambda *_: bytes(32))
    market = SimpleNamespace(chain=SimpleNamespace(chain_id=1))
    keys = SimpleNamespace(verifying=SimpleNamespace(circuit_id=b""))
    deployment: Any = SimpleNamespace(store=store, update_size=SIZE, market=market, update_keys=keys)
    federation: Any = SimpleNamespace(chain=SimpleNamespace(block_number=lambda: 100))
    account: Any = SimpleNamespace(address=WORKERS[0].address)
    role: Any = desk.worker(Paper(stake=Stake.BONDED))
    found: Inspection = role._inspection
    found._worker = Worker(deployment, federation, account, desk.state)
    monkeypatch.setattr(found._worker, "index_in", lambda _: 1)
    found._acts.begin(100)
    return found


def put(store: BlobStore, size: int) -> Any:
    """An update, or an output, of three blobs of a size."""
    blob = bytes.fromhex(store.put(bytes(size)))
    return SimpleNamespace(participant="0xp", sealed_digest=bytes.fromhex(store.put(3 * blob)), blob=blob)


READS: dict[str, Callable[[Inspection, Any], object]] = {
    "own share": lambda i, u: i._worker.receive(task(), 1, u, 1),
    "another's share": lambda i, u: i._sealed(task(), u, 2, WINDOWS),
    "output": lambda i, u: i._worker.sealed_output(task(), u.sealed_digest),
}


@pytest.mark.parametrize("read", READS)
def test_what_is_sealed_is_read_up_to_what_a_share_can_have(
    inspection: Inspection, store: BlobStore, read: str
) -> None:
    most = sealed_bytes(SIZE)
    try:
        READS[read](inspection, put(store, most))
    except SealingError:
        assert read == "own share"  # it came, and does not open
    with pytest.raises(StorageError, match=f"larger than the {most} bytes"):
        READS[read](inspection, put(store, most + 1))


def test_a_published_share_is_read_up_to_what_it_can_have(inspection: Inspection, store: BlobStore) -> None:
    for size, comes in ((len(SHARE), True), (len(SHARE) + 1, False)):
        update = put(store, size)
        if comes:
            assert inspection._published(update, 1, update.blob, WINDOWS) is None  # zeros are no share
            continue
        with pytest.raises(StorageError, match=f"larger than the {len(SHARE)} bytes"):
            inspection._published(update, 1, update.blob, WINDOWS)


def test_a_share_that_is_too_large_is_one_that_does_not_come(inspection: Inspection, store: BlobStore) -> None:
    """Nobody can make it smaller by putting it there again: the update goes, with its bond."""
    update, running = put(store, sealed_bytes(SIZE) + 1), task(round=1)
    inspection._receive(running, b"digest", update)
    assert inspection.findings(running).wrong == {b"digest": Kind.FETCH}
