"""A tier in a store: a higher key opens it, a lower never; nothing swapped, cut or misnamed gets out (28, 32, 36)."""

import errno
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedproof.app.staging import staged
from fedproof.errors import InputError, SealingError, StorageError
from fedproof.sealing import TierKey, seal_records
from fedproof.storage import BlobStore, bundle
from fedproof.storage.bundle import open_tier, read_index, seal_tier
from fedproof.storage.folders import PART_PREFIX

KEY = TierKey.generate()
CONTEXT = b"dataset 3 of registry 2 on chain 1"
FILES = {"records.csv": b"a,b\n1,2\n" * 1000, "README.md": b"# About\n", "empty.txt": b""}


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore.open(tmp_path / "store")


@pytest.fixture
def index(store: BlobStore) -> str:
    return seal_tier(store, KEY.down_to(3), CONTEXT, FILES)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sealed_index(store: BlobStore, document: Any, tier: int = 3) -> str:
    """An index as a malicious provider would make it."""
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return store.put_stream(seal_records(KEY.down_to(tier), b"fedproof/bundle-index/v1" + CONTEXT, [data]))


def test_opens_what_it_sealed(store: BlobStore, index: str, tmp_path: Path) -> None:
    paths = open_tier(store, KEY.down_to(3), CONTEXT, index, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert sorted(paths) == sorted(tmp_path / "out" / name for name in FILES)
    assert [(e.name, e.size) for e in read_index(store, KEY, CONTEXT, index)] == [
        (name, len(FILES[name])) for name in sorted(FILES)
    ]


def test_takes_paths_and_pieces_too(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"from a file")
    first = seal_tier(store, KEY, CONTEXT, [tmp_path / "x.csv"])
    second = seal_tier(store, KEY, CONTEXT, {"y.csv": iter([b"in ", b"pieces"])})
    open_tier(store, KEY, CONTEXT, first, tmp_path / "out")
    open_tier(store, KEY, CONTEXT, second, tmp_path / "out")
    assert contents(tmp_path / "out") == {"x.csv": b"from a file", "y.csv": b"in pieces"}


def test_opens_only_the_files_that_are_asked_for(store: BlobStore, index: str, tmp_path: Path) -> None:
    open_tier(store, KEY, CONTEXT, index, tmp_path / "out", ["README.md"])
    assert set(contents(tmp_path / "out")) == {"README.md"}
    with pytest.raises(InputError, match="no file 'other'"):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out", ["other"])


@pytest.mark.parametrize("tier", [3, 4, 5])
def test_the_tier_and_higher_ones_open_it(store: BlobStore, index: str, tmp_path: Path, tier: int) -> None:
    open_tier(store, KEY.down_to(tier), CONTEXT, index, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


@pytest.mark.parametrize("tier", [1, 2])
def test_a_lower_tier_opens_nothing(store: BlobStore, index: str, tmp_path: Path, tier: int) -> None:
    with pytest.raises(SealingError, match=f"a key of tier {tier} does not open tier 3"):
        open_tier(store, KEY.down_to(tier), CONTEXT, index, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_key_or_dataset_opens_nothing(store: BlobStore, index: str, tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="authenticate"):
        open_tier(store, TierKey.generate(), CONTEXT, index, tmp_path / "out")
    with pytest.raises(SealingError, match="another dataset"):
        open_tier(store, KEY, CONTEXT + b"!", index, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stranger_learns_neither_names_nor_content(store: BlobStore, index: str, tmp_path: Path) -> None:
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    assert b"records" not in stored
    assert b"a,b" not in stored
    assert index not in stored.decode("latin-1")


@pytest.mark.parametrize("damage", ["missing", "cut", "swapped", "extended", "flipped"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_damaged_blob_is_named_and_nothing_is_released(
    store: BlobStore, index: str, tmp_path: Path, damage: str, at: int
) -> None:
    entries = read_index(store, KEY, CONTEXT, index)
    path = tmp_path / "store" / entries[at].blob
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        other = (tmp_path / "store" / entries[(at + 1) % 3].blob).read_bytes()
        flipped = bytes((data[-1] ^ 1,))
        path.write_bytes(
            {"cut": data[:-1], "swapped": other, "extended": data + b"\0"}.get(damage, data[:-1] + flipped)
        )
    with pytest.raises((StorageError, SealingError), match=f"file '{entries[at].name}' .*{entries[at].blob}"):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_blob_that_opens_but_is_not_the_one_named_is_refused(store: BlobStore, index: str, tmp_path: Path) -> None:
    # sealed anew with the right key and context: only the content id tells them apart
    entry = read_index(store, KEY, CONTEXT, index)[2]
    forged = b"".join(seal_records(KEY.down_to(3), b"fedproof/bundle-file/v1" + CONTEXT, [b"x" * entry.size]))
    (tmp_path / "store" / entry.blob).write_bytes(forged)
    with pytest.raises(StorageError, match=r"file 'records\.csv' .*damaged or swapped"):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_has_its_name_before_the_last_byte_is_checked(
    store: BlobStore, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    fsync = os.fsync

    def look(handle: int) -> None:
        seen.append({path.name for path in (tmp_path / "out").iterdir()})
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look)
    open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert len(seen) == len(FILES) + 1
    assert all(name.startswith(PART_PREFIX) for names in seen[:-1] for name in names)
    assert seen[-1] == set(FILES)


BAD_NAMES = ["../up", "/etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "", "a\0b", "a\nb", "C:x", "end.", " x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_leaves_the_folder_is_refused_when_sealing_and_opening(
    store: BlobStore, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="no plain file name"):
        seal_tier(store, KEY, CONTEXT, {name: b"x"})
    entry = {"blob": store.put(b"x"), "name": name, "size": 1}
    evil = sealed_index(store, {"files": [entry], "tier": 3, "version": 1})
    with pytest.raises(SealingError, match="not safe to follow"):
        open_tier(store, KEY, CONTEXT, evil, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_that_one_file_system_takes_for_one_are_refused(store: BlobStore) -> None:
    for other in ("README.MD", "readme.md"):
        with pytest.raises(InputError, match="case alone"):
            seal_tier(store, KEY, CONTEXT, {"README.md": b"", other: b""})


BLOB = "ab" * 32
GOOD = {"files": [{"blob": BLOB, "name": "x", "size": 1}], "tier": 3, "version": 1}
BAD_INDEXES = {
    "version": GOOD | {"version": 2},
    "tier": GOOD | {"tier": 2},
    "extra": GOOD | {"extra": 1},
    "no files": GOOD | {"files": []},
    "a list": [],
    "negative": GOOD | {"files": [{"blob": BLOB, "name": "x", "size": -1}]},
    "boolean": GOOD | {"files": [{"blob": BLOB, "name": "x", "size": True}]},
    "id": GOOD | {"files": [{"blob": "../" + BLOB[3:], "name": "x", "size": 1}]},
    "name": GOOD | {"files": [{"blob": BLOB, "name": 3, "size": 1}]},
}


@pytest.mark.parametrize("bad", BAD_INDEXES)
def test_an_index_of_another_form_is_refused(store: BlobStore, bad: str) -> None:
    assert read_index(store, KEY, CONTEXT, sealed_index(store, GOOD))[0].name == "x"
    with pytest.raises(SealingError, match="index"):
        read_index(store, KEY, CONTEXT, sealed_index(store, BAD_INDEXES[bad]))


def test_an_index_beyond_the_limit_is_not_read(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held in memory, and its provider chose its size."""
    monkeypatch.setattr(bundle, "MAX_INDEX_BYTES", 1000)
    with pytest.raises(StorageError, match="larger than"):
        read_index(store, KEY, CONTEXT, store.put(bytes((1 << 20) + 1001)))


def test_a_file_of_another_size_than_its_index_says_is_refused(store: BlobStore, tmp_path: Path) -> None:
    blob = store.put_stream(seal_records(KEY.down_to(3), b"fedproof/bundle-file/v1" + CONTEXT, [b"xyz"]))
    for size in (2, 4):
        evil = sealed_index(store, {"files": [{"blob": blob, "name": "x", "size": size}], "tier": 3, "version": 1})
        with pytest.raises(SealingError, match=f"not the {size} bytes"):
            open_tier(store, KEY, CONTEXT, evil, tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


def test_an_existing_file_is_never_overwritten(store: BlobStore, index: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=r"README\.md exists already"):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_file_that_gets_its_name_meanwhile_is_not_overwritten_either(
    store: BlobStore, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    out, fsync = tmp_path / "out", os.fsync

    def somebody_else(handle: int) -> None:
        (out / "empty.txt").write_bytes(b"precious")
        fsync(handle)

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", somebody_else)
        with pytest.raises(InputError, match=r"empty\.txt exists already"):
            open_tier(store, KEY, CONTEXT, index, out)
    assert contents(out) == {"empty.txt": b"precious"}
    (out / "empty.txt").unlink()
    open_tier(store, KEY, CONTEXT, index, out)
    assert contents(out) == FILES


KILLED = """
import os, sys
from pathlib import Path
from fedproof.app.staging import staged
from fedproof.sealing import TierKey
from fedproof.storage import BlobStore
from fedproof.storage.bundle import open_tier
out, store, index, key, inside = sys.argv[1:]
os.fsync = lambda _: os.kill(os.getpid(), 9)
def go(into):
    open_tier(BlobStore.open(store), TierKey.decode(bytes.fromhex(key)), CONTEXT, index, into)
if inside == "staged":
    with staged(Path(out)) as stage:
        go(stage / "tier3")
else:
    go(Path(out))
"""


@pytest.mark.parametrize("way", ["alone", "staged"])
def test_what_a_killed_run_left_in_the_clear_is_removed_by_the_next(
    store: BlobStore, index: str, tmp_path: Path, way: str
) -> None:
    out = tmp_path / "out"
    script = KILLED.replace("CONTEXT", repr(CONTEXT))
    arguments = [str(out), str(tmp_path / "store"), index, KEY.encode().hex(), way]
    assert subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode == -signal.SIGKILL
    (left,) = out.iterdir()
    assert left.name.startswith(PART_PREFIX)
    (out / ".part-of-a-store").touch(0o644)
    if way == "staged":
        with staged(out) as stage:
            open_tier(store, KEY, CONTEXT, index, stage / "tier3")
        (out / "tier3").rename(tmp_path / "opened")
    else:
        open_tier(store, KEY, CONTEXT, index, out)
        (tmp_path / "opened").mkdir()
        for name in FILES:
            (out / name).rename(tmp_path / "opened" / name)
    assert contents(tmp_path / "opened") == FILES
    assert [path.name for path in out.iterdir()] == [".part-of-a-store"]


def test_what_another_run_is_writing_is_left_alone(
    store: BlobStore, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fsync, inner = tmp_path / "out", os.fsync, iter([True])

    def meanwhile(handle: int) -> None:
        if next(inner, False):
            open_tier(store, KEY, CONTEXT, other, out)
        fsync(handle)

    other = seal_tier(store, KEY, CONTEXT, {"other": b"file"})
    monkeypatch.setattr(os, "fsync", meanwhile)
    open_tier(store, KEY, CONTEXT, index, out)
    assert contents(out) == {**FILES, "other": b"file"}


def test_links_and_missing_files_are_not_sealed(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "folder", "pipe", "nothing"):
        with pytest.raises(InputError, match=name):
            seal_tier(store, KEY, CONTEXT, [tmp_path / name])
    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_that_changes_while_it_is_sealed_is_refused(store: BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(bytes(3 << 20))
    pieces = bundle._file_pieces(path)
    next(pieces)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="changed while it was sealed"):
        list(pieces)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    store: BlobStore, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InputError, match="out cannot be written: No space left on device"):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_does_not_grow_with_the_file(store: BlobStore, tmp_path: Path) -> None:
    def zeros() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)

    tracemalloc.start()
    index = seal_tier(store, KEY, CONTEXT, {"big": zeros()})
    open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out" / "big").stat().st_size == 64 << 20
    assert peak < 12 << 20


def test_works_over_a_remote_store(tmp_path: Path) -> None:
    store = BlobStore.open("memory://bundle-test")
    index = seal_tier(store, KEY, CONTEXT, FILES)
    open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_of_any_blob_is_found(tmp_path: Path, data: st.DataObject) -> None:
    store = BlobStore.open(tmp_path / "flips")
    index = seal_tier(store, KEY.down_to(3), CONTEXT, {"x": b"some records"})
    blob = data.draw(st.sampled_from([index, read_index(store, KEY, CONTEXT, index)[0].blob]))
    path = tmp_path / "flips" / blob
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    with pytest.raises((SealingError, StorageError)):
        open_tier(store, KEY, CONTEXT, index, tmp_path / "out")
    assert not (tmp_path / "out" / "x").exists()
