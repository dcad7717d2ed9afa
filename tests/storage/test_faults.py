"""Disk full, a torn write, a killed process, a driver that fails: a clear error and never half a blob (attack 32)."""

import errno
import io
import itertools
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from fedproof.errors import StorageError
from fedproof.storage import BlobStore, backend, content_id
from fedproof.storage import store as store_module

BLOB = bytes(range(256)) * 40
_names = itertools.count()


class FullDisk(MemoryFileSystem):
    """An fsspec store whose disk fills up: while a file is written, or while it is copied to its name."""

    cachable = False
    full_when: str | None = None

    def __init__(self) -> None:
        super().__init__(global_store=False)
        self.written: list[str] = []

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode, **kwargs)
        if mode == "wb":
            self.written.append(path)
        if self.full_when == "writing" and mode == "wb":
            whole_write = file.write

            def write_half(data: bytes) -> int:
                whole_write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            file.write = write_half
        return file

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        if self.full_when == "before moving":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().cp_file(path1, path2, **kwargs)
        if self.full_when == "moving":
            self.store[path2].truncate(10)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk() -> FullDisk:
    return FullDisk()


@pytest.mark.parametrize("when", ["writing", "before moving", "moving"])
def test_a_full_disk_is_a_storage_error_and_leaves_no_partial_blob(disk: FullDisk, when: str) -> None:
    store = BlobStore.over(disk, "/store")
    kept = store.put(b"kept")
    disk.full_when = when
    with pytest.raises(StorageError, match="No space left"):
        store.put(BLOB)
    assert disk.find("/store") == [f"/store/{kept}"]
    disk.full_when = None
    assert store.get(kept) == b"kept"
    assert store.get(store.put(BLOB)) == BLOB


class TwoWriters(FullDisk):
    """Another node puts the same blob, and is told that it is there, just before our own move fails."""

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        super().cp_file(path1, path2, **kwargs)
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_failed_move_does_not_take_away_what_another_writer_put() -> None:
    disk = TwoWriters()
    store = BlobStore.over(disk, "/store")
    with pytest.raises(StorageError, match="Input/output error"):
        store.put(BLOB)
    assert disk.find("/store") == [f"/store/{content_id(BLOB)}"]
    assert store.get(content_id(BLOB)) == BLOB


@pytest.mark.parametrize("when", ["writing", "before moving"])
def test_a_full_disk_does_not_remove_a_blob_that_was_there(disk: FullDisk, when: str) -> None:
    store = BlobStore.over(disk, "/store")
    blob = store.put(BLOB)
    disk.full_when = when
    with pytest.raises(StorageError):
        store.put(BLOB)
    assert store.get(blob) == BLOB


def test_two_writers_of_one_blob_upload_under_different_names(disk: FullDisk) -> None:
    store = BlobStore.over(disk, "/store")
    assert store.put(BLOB) == store.put(BLOB)
    assert len(disk.written) == len(set(disk.written)) == 2


# A limit on a file's size is the nearest thing to a full disk that needs no rights: the kernel fails the same write.
LIMITED = """
import resource, signal, sys
from fedproof.errors import StorageError
from fedproof.storage import BlobStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = BlobStore.open(sys.argv[1])
kept = store.put(b"kept")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    store.put_stream(bytes(1 << 14) for _ in range(16))
except StorageError as error:
    print(error)
assert store.get(kept) == b"kept"
print(kept)
"""


def test_a_write_that_the_kernel_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    message, kept = done.stdout.splitlines()
    assert message == f"a blob cannot be stored in {tmp_path}: File too large"
    assert [path.name for path in tmp_path.iterdir()] == [kept]


KILLED = """
import os, signal, sys
from fedproof.storage import BlobStore
def source():
    yield b"x" * (1 << 20)
    os.kill(os.getpid(), signal.SIGKILL)
BlobStore.open(sys.argv[1]).put_stream(source())
"""


def test_a_killed_writer_leaves_nothing_that_is_read(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(path.name.startswith(".part-") for path in tmp_path.iterdir())
    store = BlobStore.open(tmp_path)
    blob = content_id(b"x" * (1 << 20))
    with pytest.raises(StorageError, match="it is not there"):
        store.get(blob)
    assert store.get(store.put(b"x" * (1 << 20))) == b"x" * (1 << 20)


def test_content_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    store = BlobStore.open(tmp_path)

    def recording_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        steps.append("sync folder" if stat.S_ISDIR(status.st_mode) else f"sync {status.st_size} bytes")
        fsync(descriptor)

    def recording_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        assert self.stat().st_size == len(BLOB)
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    store.put_stream(BLOB[i : i + 100] for i in range(0, len(BLOB), 100))
    assert steps == [f"sync {len(BLOB)} bytes", "rename", "sync folder"]


def test_two_processes_that_put_one_blob_leave_one(tmp_path: Path) -> None:
    script = "import sys; from fedproof.storage import BlobStore; s = BlobStore.open(sys.argv[1])\n"
    script += "for i in range(20): s.put(bytes([i]) * 100_000)"
    running = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    store = BlobStore.open(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(content_id(bytes([i]) * 100_000) for i in range(20))
    assert all(store.get(name) for name in names)


class Broken(MemoryFileSystem):
    """A driver whose client library fails in its own way, with a secret in the text."""

    cachable = False

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        raise KeyError("https://store/?X-Amz-Signature=s3cr3t")


def test_a_drivers_own_exception_becomes_a_storage_error_without_its_text() -> None:
    store = BlobStore.over(Broken(global_store=False), "/store")
    for use in (lambda: store.put(b"x"), lambda: store.get(content_id(b"x"))):
        with pytest.raises(StorageError, match="KeyError") as caught:
            use()
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_blobs_in_a_shared_folder_can_be_read_by_other_users(tmp_path: Path) -> None:
    blob = BlobStore.open(tmp_path).put(b"x")
    assert (tmp_path / blob).stat().st_mode & 0o777 == 0o644


def test_a_store_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte each second: short blobs come, and long ones are given up after a minute."""
    clock = itertools.count()
    monkeypatch.setattr(backend, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    sink = backend.Sink(io.BytesIO(), None)
    for _ in range(60):
        sink.write(b"x")
    with pytest.raises(StorageError, match="only 61 bytes came in 61 s"):
        sink.write(b"x")


class Dripping(MemoryFileSystem):
    """A store that takes a second of `clock` for each byte, and never ends."""

    cachable = False
    clock = 0.0

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode, **kwargs)

        def drip(_: int = -1) -> bytes:
            self.clock += 1.0
            return b"x"

        if mode == "rb":
            file.read = drip
        return file


def test_a_store_that_drips_is_not_waited_for_unchecked_either(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = Dripping()
    for module in (backend, store_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: fs.clock), raising=False)
    store = BlobStore.over(fs, f"/dripping-{next(_names)}")
    blob = store.put(BLOB)
    for read in (lambda: store.get(blob), lambda: list(itertools.islice(store.get_unchecked(blob), 900))):
        with pytest.raises(StorageError, match="only 61 bytes came in 61 s"):
            read()


def test_a_slow_reader_is_no_slow_store(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    store = BlobStore.open("memory://")
    blob = store.put(bytes(3 << 20))
    monkeypatch.setattr(store_module, "time", SimpleNamespace(monotonic=lambda: clock.now), raising=False)
    for _ in store.get_unchecked(blob):
        clock.now += 1e6


def test_a_slow_line_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(backend, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    sink = backend.Sink(io.BytesIO(), None)
    for _ in range(300):
        sink.write(bytes(backend.LEAST_PACE))
    assert sink.size == 300 * backend.LEAST_PACE
