"""Every read is checked against its id, in every kind of store (attacks 32 and 36)."""

import itertools
import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from fedproof.errors import InputError, StorageError
from fedproof.storage import BlobStore, content_id, s3
from tests.support.s3 import hand

BLOB = bytes(range(256)) * 20
_names = itertools.count()


class Store:
    """A store with a hand inside: writes under an id whatever a thief or a bad disk would."""

    def __init__(self, fs: Any, root: str, blobs: BlobStore | None = None) -> None:
        self.fs, self.root = fs, root
        self.blobs = blobs or BlobStore.over(fs, root)

    def overwrite(self, blob: str, data: bytes) -> None:
        self.fs.pipe_file(f"{self.root}/{blob}", data)

    def files(self) -> list[str]:
        return sorted(path.rsplit("/", 1)[1] for path in self.fs.find(self.root))


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(fsspec.filesystem("file"), str(tmp_path / "store"))
    if request.param == "s3":
        root = f"{request.getfixturevalue('s3_place')}/shares"
        return Store(hand(), root, BlobStore.open(f"s3://{root}"))
    return Store(fsspec.filesystem("memory"), f"/store-{next(_names)}")


@pytest.mark.parametrize("data", [b"", b"x", BLOB, bytes(3 << 20)], ids=["empty", "one byte", "small", "three pieces"])
def test_gives_back_what_was_put(store: Store, data: bytes) -> None:
    blob = store.blobs.put(data)
    assert blob == content_id(data)
    assert store.blobs.get(blob) == data
    with store.blobs.get_stream(blob) as pieces:
        assert b"".join(pieces) == data
    assert store.files() == [blob]


def test_a_stream_is_one_blob_however_it_is_cut(store: Store) -> None:
    whole = store.blobs.put(BLOB)
    assert store.blobs.put_stream(BLOB[i : i + 7] for i in range(0, len(BLOB), 7)) == whole
    assert store.blobs.put_stream([b"", BLOB, b""]) == whole
    assert store.files() == [whole]


@pytest.mark.parametrize(
    "damaged",
    [b"", BLOB[:-1], BLOB + b"\x00", BLOB[:100] + b"\x01" + BLOB[101:], b"another blob"],
    ids=["emptied", "truncated", "extended", "flipped", "swapped"],
)
def test_rejects_a_damaged_blob(store: Store, damaged: bytes) -> None:
    blob = store.blobs.put(BLOB)
    store.overwrite(blob, damaged)
    with pytest.raises(StorageError, match="damaged or swapped"):
        store.blobs.get(blob)
    with pytest.raises(StorageError, match="damaged or swapped"), store.blobs.get_stream(blob):
        pytest.fail("a byte of a damaged blob was released")


def test_rejects_two_blobs_that_were_swapped(store: Store) -> None:
    first, second = store.blobs.put(b"first"), store.blobs.put(b"second")
    store.overwrite(first, b"second")
    store.overwrite(second, b"first")
    for blob in (first, second):
        with pytest.raises(StorageError, match="damaged or swapped"):
            store.blobs.get(blob)


def test_says_that_a_blob_is_missing(store: Store) -> None:
    blob = content_id(b"never put")
    with pytest.raises(StorageError, match=f"{blob} cannot be read from .*: it is not there"):
        store.blobs.get(blob)
    with pytest.raises(StorageError, match="it is not there"), store.blobs.get_stream(blob):
        pytest.fail("a missing blob was opened")


def test_putting_again_heals_a_damaged_blob(store: Store) -> None:
    blob = store.blobs.put(BLOB)
    store.overwrite(blob, b"damage")
    assert store.blobs.put(BLOB) == blob
    assert store.blobs.get(blob) == BLOB


def test_stops_a_store_that_sends_more_than_the_limit(store: Store) -> None:
    blob = store.blobs.put(BLOB)
    store.overwrite(blob, bytes(8 << 20))
    with pytest.raises(StorageError, match="at most"):
        store.blobs.get(blob, limit=len(BLOB))
    with pytest.raises(StorageError, match="at most"), store.blobs.get_stream(blob, limit=len(BLOB)):
        pytest.fail("too large a blob was opened")
    store.overwrite(blob, BLOB)
    assert store.blobs.get(blob, limit=len(BLOB)) == BLOB


def test_what_a_stream_gives_does_not_change_with_the_store(store: Store) -> None:
    data = bytes(1 << 20) + b"second piece"
    blob = store.blobs.put(data)
    with store.blobs.get_stream(blob) as pieces:
        first = next(pieces)
        store.overwrite(blob, b"changed while it is read")
        assert first + b"".join(pieces) == data


def test_a_failing_source_leaves_nothing_and_keeps_its_own_error(store: Store) -> None:
    def source() -> Iterator[bytes]:
        yield BLOB
        raise InputError("row 7 is not a number")

    with pytest.raises(InputError, match="row 7"):
        store.blobs.put_stream(source())
    if store.fs.exists(store.root):
        assert store.files() == []


def test_memory_stays_constant_for_a_large_blob(tmp_path: Path) -> None:
    store = BlobStore.open(tmp_path)
    tracemalloc.start()
    blob = store.put_stream(bytes(1 << 20) for _ in range(64))
    with store.get_stream(blob) as pieces:
        total = sum(map(len, pieces))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 << 20
    assert peak < 8 << 20


def test_opens_paths_and_urls(tmp_path: Path) -> None:
    for address in (tmp_path / "a", str(tmp_path / "b"), f"file://{tmp_path / 'c'}", "memory://d"):
        store = BlobStore.open(address)
        assert store.get(store.put(b"x")) == b"x"
    assert BlobStore.open(tmp_path / "a").get(content_id(b"x")) == b"x"


def test_names_the_extra_that_a_url_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    # as on a machine without the drivers, whether or not this one has them
    def url_to_fs(address: str) -> None:
        raise ValueError("Protocol not known")

    monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    s3._driver.cache_clear()
    for protocol in ("s3", "ipfs"):
        with pytest.raises(InputError, match=rf"pip install 'fedproof\[{protocol}\]'"):
            BlobStore.open(f"{protocol}://place")


def test_refuses_a_protocol_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="no storage driver for nonsense://"):
        BlobStore.open("nonsense://place")


def test_says_so_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be made"):
        BlobStore.open(tmp_path / "file" / "store")


def test_a_pipe_in_the_place_of_a_blob_is_not_waited_for(tmp_path: Path) -> None:
    store = BlobStore.open(tmp_path / "store")
    blob = store.put(BLOB)
    (tmp_path / "store" / blob).unlink()
    os.mkfifo(tmp_path / "store" / blob)
    for read in (lambda: store.get(blob), lambda: list(store.get_unchecked(blob))):
        with pytest.raises(StorageError, match=f"blob {blob} cannot be read .*Not a plain file"):
            read()
