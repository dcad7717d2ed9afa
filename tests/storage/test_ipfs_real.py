"""IPFS with a real node: what we take its address, its folders and its failures to be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.errors import StorageError
from fedproof.storage import BlobStore, content_id, ipfs
from fedproof.storage.ipfs import BLOCK_BYTES, raw_cid
from tests.support.kubo import KuboNode, kubo_binary

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubo")]

BLOB = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboNode]:
    with KuboNode(kubo_binary(), tmp_path_factory.mktemp("kubo") / "repository") as node:
        yield node


@pytest.fixture
def store(kubo: KuboNode, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    pytest.importorskip("ipfsspec").async_ipfs.get_gateway.cache_clear()
    monkeypatch.setenv("IPFS_API", kubo.api)
    monkeypatch.setenv("IPFS_GATEWAY", kubo.gateway)
    return BlobStore.open("ipfs://")


@pytest.mark.parametrize("data", [b"", b"hello", BLOB, bytes(BLOCK_BYTES)], ids=["empty", "hello", "small", "largest"])
def test_a_blob_is_a_pinned_raw_block_at_the_address_of_its_hash(kubo: KuboNode, store: BlobStore, data: bytes) -> None:
    blob = store.put(data)
    assert blob == store.put(data) == content_id(data)
    assert store.get(blob) == data
    assert b"".join(store.get_unchecked(blob)) == data
    assert raw_cid(blob) in kubo.run("pin", "ls", "--type=recursive", "--quiet").split()
    assert kubo.run("block", "stat", raw_cid(blob)).splitlines()[1] == f"Size: {len(data)}"


def test_a_folder_that_the_node_added_is_read_by_content_ids(kubo: KuboNode, store: BlobStore, tmp_path: Path) -> None:
    local = BlobStore.open(tmp_path / "published")
    small, large = local.put(BLOB), local.put_stream(bytes([k]) * (1 << 20) for k in range(5))
    for version in ("0", "1"):
        cid = kubo.run("add", "-r", "-Q", f"--cid-version={version}", str(tmp_path / "published")).strip()
        folder = BlobStore.open(f"ipfs://{cid}")
        assert folder.get(small) == BLOB
        with folder.get_stream(large) as pieces:
            assert b"".join(pieces) == local.get(large)
        with pytest.raises(StorageError, match="fixed folder"):
            folder.put(b"x")
        with pytest.raises(StorageError, match="cannot be read"):
            folder.get(content_id(b"not in it"))


def test_a_block_that_the_node_does_not_have_is_an_error(kubo: KuboNode, store: BlobStore) -> None:
    start = time.monotonic()
    with pytest.raises(StorageError, match="cannot be read"):
        store.get(content_id(b"never put"))
    assert time.monotonic() - start < 30
    blob = store.put(b"put and lost")
    kubo.run("pin", "rm", raw_cid(blob))
    kubo.run("block", "rm", raw_cid(blob))
    with pytest.raises(StorageError, match="cannot be read"):
        store.get(blob)
    assert store.get(store.put(b"put and lost")) == b"put and lost"


@pytest.mark.parametrize("damaged", [b"", BLOB[:-1], b"swapped"], ids=["emptied", "truncated", "swapped"])
def test_a_block_that_the_nodes_disk_damaged_is_refused_and_put_again(
    kubo: KuboNode, store: BlobStore, damaged: bytes
) -> None:
    data = BLOB[1:] + damaged  # in no folder that pins it, too
    blob = store.put(data)
    file = kubo.block_file(raw_cid(blob))
    file.chmod(0o644)
    file.write_bytes(damaged)
    kubo.kill()  # it may hold the right bytes in memory
    kubo.start()
    with pytest.raises(StorageError, match=blob):
        store.get(blob)
    store.put(data)
    assert store.get(blob) == data
    assert raw_cid(blob) in kubo.run("pin", "ls", "--type=recursive", "--quiet").split()


def test_a_node_that_is_killed_is_an_error_and_has_its_blobs_afterwards(kubo: KuboNode, store: BlobStore) -> None:
    blob = store.put(BLOB)
    kubo.kill()
    with pytest.raises(StorageError, match="start the node or set IPFS_API"):
        store.put(b"new")
    with pytest.raises(StorageError, match="cannot be read"):
        store.get(blob)
    kubo.start()
    assert store.get(blob) == BLOB
    assert store.get(store.put(b"new")) == b"new"


def test_a_node_that_is_frozen_is_an_error_in_time(
    kubo: KuboNode, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipfs, "_TIMEOUT_SECONDS", 1)
    blob = store.put(BLOB)
    kubo.freeze()
    try:
        start = time.monotonic()
        with pytest.raises(StorageError, match="does not answer"):
            store.put(b"new")
        with pytest.raises(StorageError, match="cannot be read"):
            store.get(blob)
        assert time.monotonic() - start < 20
    finally:
        kubo.thaw()
    assert store.get(blob) == BLOB
