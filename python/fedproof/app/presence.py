"""Who runs on a state folder: the lock tells that somebody does, and a small file beside it who.

The file says nothing while nobody holds the lock: a node that was killed leaves it behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedproof.errors import StateError

FILE: Final = "running.json"
_LIMIT: Final = 1 << 14


@dataclass(frozen=True)
class Presence:
    """A running node: its process, and its configuration by its whole path. Either is unknown where nobody said it."""

    pid: int | None = None
    config: str | None = None

    def is_of(self, config: Path) -> bool:
        """Whether it runs with this configuration."""
        return self.config == str(config.resolve())

    @property
    def process(self) -> str:
        """For people."""
        return "pid unknown" if self.pid is None else f"pid {self.pid}"


@contextlib.contextmanager
def announced(folder: Path, config: Path) -> Iterator[None]:
    """While the block lasts, the folder says that this process runs on it; who holds its lock may call this."""
    path = folder / FILE
    document = json.dumps({"pid": os.getpid(), "config": str(config.resolve())})
    with contextlib.suppress(OSError):  # it is told for people, and no node ends for want of it
        part = path.with_suffix(".part")
        part.write_text(document)
        part.chmod(0o600)
        part.replace(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def present(folder: Path) -> Presence | None:
    """Who runs on a state folder now; None when nobody does."""
    if not is_locked(folder / "lock"):
        return None
    try:
        with (folder / FILE).open("rb") as file:
            found = json.loads(file.read(_LIMIT))
        pid, config = found["pid"], found["config"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Presence()
    return Presence(pid if type(pid) is int else None, config if isinstance(config, str) else None)


def in_use(folder: Path, here: Presence) -> StateError:
    """The refusal of a state folder that another node runs on."""
    return StateError(
        f"{folder} is in use by another process, the node of {here.config} ({here.process}): stop it first, or name "
        "another state.folder"
    )


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file; what cannot be looked at counts as free."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(handle)
    return False
