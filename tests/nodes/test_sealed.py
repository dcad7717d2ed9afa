"""Blobs of strangers are read as far as a share or an output can go, and no further."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import SealingError, SharingError, StorageError
from fedproof.ledger.committee import Kind, Stake, Windows
from fedproof.nodes.roles.inspection import Inspection
from fedproof.nodes.sealed import ShareIndex, sealed_bytes, share_bytes, share_index
from fedproof.nodes.worker import Worker
from fedproof.proving.transcript import share_commitments_digest
from fedproof.sealing import KeyPair, seal
from fedproof.sharing import Share
from fedproof.storage import BlobStore
from tests.nodes.paper import WORKERS, Desk, Paper, task

SIZE = 17
POINT = _core.g1_generator()
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
    return indexed(store, ShareIndex((POINT,), (blob,) * 3), blob=blob, output=bytes.fromhex(store.put(3 * blob)))


def indexed(store: BlobStore, index: ShareIndex, **more: bytes) -> Any:
    """An update with an index blob, whose commitments it was proven with."""
    digest = share_commitments_digest(index.commitments)
    name = bytes.fromhex(store.put(index.encode()))
    return SimpleNamespace(
        participant="0xp", update=POINT, share_digest=digest, sealed_digest=name, attachments=digest + name, **more
    )


READS: dict[str, Callable[[Inspection, Any], object]] = {
    "own share": lambda i, u: i._worker.receive(task(), 1, u, 1),
    "another's share": lambda i, u: i._sealed(task(), u, 2, WINDOWS),
    "output": lambda i, u: i._worker.sealed_output(task(), u.output),
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
            assert inspection._published(task(), update, 1, update.blob, WINDOWS) is None  # zeros are no share
            continue
        with pytest.raises(StorageError, match=f"larger than the {len(SHARE)} bytes"):
            inspection._published(task(), update, 1, update.blob, WINDOWS)


def test_a_share_that_is_too_large_is_one_that_does_not_come(inspection: Inspection, store: BlobStore) -> None:
    """Nobody can make it smaller by putting it there again: the update goes, with its bond."""
    update, running = put(store, sealed_bytes(SIZE) + 1), task(round=1)
    inspection._receive(running, b"digest", update)
    assert inspection.findings(running).wrong == {b"digest": Kind.FETCH}


def test_an_index_is_read_as_it_was_written(store: BlobStore) -> None:
    index = ShareIndex((POINT, _core.g1_mul(POINT, _core.fr_from_ints([7]))), tuple(bytes([k]) * 32 for k in range(5)))
    assert share_index(store, indexed(store, index), 5, 2) == index


LIES: dict[str, tuple[tuple[bytes, ...], int, str]] = {
    "one commitment less": ((), 3, "bytes for 3 workers and 1 commitments"),
    "one commitment more": ((POINT, POINT), 3, "bytes for 3 workers and 1 commitments"),
    "one share less": ((POINT,), 2, "bytes for 3 workers and 1 commitments"),
    "a point off the curve": ((bytes(31) + b"\x01" + bytes(31) + b"\x03",), 3, "no point"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_is_none_is_a_share_that_does_not_open(
    inspection: Inspection, store: BlobStore, lie: str
) -> None:
    """It cannot be made good: its id is on chain. So every worker complains at once, and no share is published."""
    commitments, ids, says = LIES[lie]
    update = indexed(store, ShareIndex(commitments, (bytes(32),) * ids))
    with pytest.raises(SharingError, match=says):
        share_index(store, update, 3, 1)
    inspection._receive(task(round=1), b"digest", update)
    assert inspection.findings(task(round=1)).wrong == {b"digest": Kind.OPEN}


def test_an_index_with_other_commitments_than_were_proven_is_refused(inspection: Inspection, store: BlobStore) -> None:
    update = indexed(store, ShareIndex((POINT,), (bytes(32),) * 3))
    update.share_digest = share_commitments_digest([_core.g1_neg(POINT)])
    with pytest.raises(SharingError, match="other share commitments"):
        share_index(store, update, 3, 1)
    assert inspection._published(task(), update, 1, bytes.fromhex(store.put(SHARE)), WINDOWS) is None


def test_no_worker_is_blamed_where_a_participants_commitments_are_lost(
    inspection: Inspection, store: BlobStore
) -> None:
    """An output cannot be judged without them: that is silence, and silence is no lie."""
    lost = indexed(store, ShareIndex((POINT,), (bytes(32),) * 3))
    lost.sealed_digest = lost.attachments = bytes(32)
    spoilt = indexed(store, ShareIndex((), (bytes(32),) * 3))
    for update in (lost, spoilt):
        with pytest.raises(StorageError):
            inspection._worker.open_output(task(), 1, [update], 2, b"")
