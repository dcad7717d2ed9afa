"""A disk that runs full when it is told to, and what the package's own writers say then."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.errors import StateError, StorageError
from fedproof.ledger import Chain
from fedproof.nodes.journal import Journal
from fedproof.nodes.state import StateFile
from fedproof.storage import BlobStore, content_id
from tests.support.fulldisk import SmallDisk, need_small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    need_small_disk()
    with SmallDisk(tmp_path) as small:
        yield small


def test_fills_and_frees(disk: SmallDisk) -> None:
    disk.fill(leave=1 << 16)
    assert 0 < disk.free <= 1 << 16
    with disk.full():
        with pytest.raises(OSError) as caught:
            (disk.path / "file").write_bytes(b"x" * 5000)
        assert caught.value.errno == errno.ENOSPC
    (disk.path / "file").write_bytes(bytes(1 << 20))


def test_a_store_on_it_keeps_what_it_has_and_goes_on_later(disk: SmallDisk) -> None:
    store, blob = BlobStore.open(disk.path / "store"), bytes(1 << 18)
    kept = store.put(b"kept")
    with disk.full(leave=1 << 16):
        for pieces in ([blob], [blob[:1000], blob]):
            with pytest.raises(StorageError, match="No space left"):
                store.put_stream(pieces)
        assert store.get(kept) == b"kept"
        assert [path.name for path in (disk.path / "store").iterdir()] == [kept]
    assert store.get(store.put(blob)) == blob
    # the checked copy is on the store's own disk
    with (
        disk.full(leave=1 << 16),
        pytest.raises(StorageError, match="No space left"),
        store.get_stream(content_id(blob)),
    ):
        pytest.fail("an unchecked blob was released")


def test_a_state_on_it_keeps_what_it_has_and_goes_on_later(disk: SmallDisk) -> None:
    with StateFile(disk.path / "state", "worker") as state:
        state.put(counter=1)
        with disk.full():
            with pytest.raises(StateError, match=r"No space left.*; free space"):
                state.put(counter=2, large="x" * 10_000)
            assert state.get("counter") == 1
        state.put(counter=3)
    with StateFile(disk.path / "state", "worker") as state:
        assert state.get("counter") == 3


def test_a_journal_on_it_keeps_what_it_has_and_goes_on_later(disk: SmallDisk) -> None:
    chain = Chain.embedded()
    alice = chain.new_account("alice")
    token = chain.deploy("AccessToken", 10**24, sender=alice)
    path, start = disk.path / "journal.db", chain.block_number()
    seen: list[str] = []

    def read(journal: Journal) -> None:
        chain.transact(token.functions.transfer("0x" + "11" * 20, 1), alice)
        journal.advance(chain, [token], chain.block_number())
        pending = journal.pending()
        journal.handled(pending)
        seen.extend(entry.tx_hash for entry in pending)

    def read_often(journal: Journal) -> None:
        for _ in range(200):  # what is left of the write-ahead log still passes
            read(journal)

    with Journal(path, chain.chain_id, start + 1) as journal:
        with disk.full(), pytest.raises(StateError, match="free space"):
            read_often(journal)
        read(journal)
    with Journal(path, chain.chain_id) as journal:
        assert (journal.cursor, journal.pending()) == (chain.block_number(), [])
    assert sorted(set(seen)) == sorted(event.tx_hash for event in chain.events(token, "Transfer", start + 1))
