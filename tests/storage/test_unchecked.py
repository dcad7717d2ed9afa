"""Reading without the second copy: the end of the stream is what says that the blob is whole."""

import itertools
from hashlib import sha256
from pathlib import Path

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.errors import StorageError
from fedproof.storage import BlobStore, content_id
from fedproof.storage.hashing import INLINE_BYTES, StreamHash
from tests.support.s3 import hand

BLOB = bytes(range(256)) * 8192  # two pieces
_names = itertools.count()


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[fsspec.AbstractFileSystem, str]:
    if request.param == "folder":
        return fsspec.filesystem("file"), str(tmp_path / "store")
    if request.param == "s3":
        return hand(), request.getfixturevalue("s3_place")
    return fsspec.filesystem("memory"), f"/unchecked-{next(_names)}"


@pytest.mark.parametrize("data", [b"", b"x", BLOB])
def test_gives_the_blob(place: tuple[fsspec.AbstractFileSystem, str], data: bytes) -> None:
    store = BlobStore.over(*place)
    assert b"".join(store.get_unchecked(store.put(data))) == data


@pytest.mark.parametrize("damaged", [b"", BLOB[:-1], BLOB + b"\0", b"\1" + BLOB[1:]])
def test_a_damaged_blob_never_ends_normally(place: tuple[fsspec.AbstractFileSystem, str], damaged: bytes) -> None:
    store = BlobStore.over(*place)
    blob = store.put(BLOB)
    place[0].pipe_file(f"{place[1]}/{blob}", damaged)
    with pytest.raises(StorageError, match="damaged or swapped"):
        list(store.get_unchecked(blob))


def test_a_missing_blob_and_a_path_are_refused(place: tuple[fsspec.AbstractFileSystem, str]) -> None:
    store = BlobStore.over(*place)
    with pytest.raises(StorageError, match="it is not there"):
        list(store.get_unchecked(content_id(b"never put")))
    with pytest.raises(StorageError, match="not a content id"):
        list(store.get_unchecked("../" + "a" * 61))


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 1, 1000, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1]), max_size=8))
def test_a_stream_has_the_hash_of_its_bytes_in_order(sizes: list[int]) -> None:
    pieces = [bytes((k,)) * size for k, size in enumerate(sizes)]
    with StreamHash() as digest:
        for piece in pieces:
            digest.update(piece)
        assert digest.hexdigest() == sha256(b"".join(pieces)).hexdigest()


def test_a_buffer_that_its_owner_changes_afterwards_is_hashed_as_it_was() -> None:
    buffer = bytearray(b"a" * (INLINE_BYTES * 2))
    with StreamHash() as digest:
        digest.update(buffer)  # type: ignore[arg-type]
        buffer[:] = b"b" * len(buffer)
        assert digest.hexdigest() == sha256(b"a" * len(buffer)).hexdigest()
