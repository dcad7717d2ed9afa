"""A small disk that can be filled: a tmpfs of its own, so that nobody else's runs full."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

_BALLAST = ".ballast"


class SmallDisk:
    """A disk of `size` bytes, mounted at `path`, a folder that exists."""

    def __init__(self, path: Path, size: int = 4 << 20) -> None:
        self.path = path
        self._size = size

    def __enter__(self) -> Self:
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size},mode=700", "fedproof-test", str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        # lazily: a process that the test has not waited for yet may still stand in it
        _run("umount", "--lazy", str(self.path))

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Takes all space but `leave` bytes (rounded down to the disk's blocks)."""
        with (self.path / _BALLAST).open("ab", buffering=0) as file:
            while (missing := self.free - leave) > 0:
                try:
                    file.write(bytes(min(missing, 1 << 16)))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def empty(self) -> None:
        """Gives the space back."""
        (self.path / _BALLAST).unlink(missing_ok=True)

    @contextlib.contextmanager
    def full(self, leave: int = 0) -> Iterator[None]:
        """`fill`, and `empty` at the end."""
        self.fill(leave)
        try:
            yield
        finally:
            self.empty()


@functools.cache
def why_not() -> str | None:
    """Why this machine mounts nothing; None when it does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with SmallDisk(Path(folder)):
                return None
        except (RuntimeError, OSError) as error:
            return f"a small disk cannot be mounted: {error}"


def need_small_disk() -> None:
    """Skips the test, with the reason, where none can be mounted."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
