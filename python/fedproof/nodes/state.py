"""A role's saved state: one JSON file, written whole or not at all, held by one process at a time.

What must be remembered *before* an act (a mask counter, the set a sum was made for) is saved here first; the act
comes after. A crash between the two wastes a number and never repeats one (protocol, sections 4 and 6).
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from fedproof.errors import StateError
from fedproof.nodes.locks import take_lock
from fedproof.nodes.shapes import first_damaged
from fedproof.storage.folders import open_plain, writable_by_others, write_file

VERSION = 1


_WRITTEN = b"state\n"


class StateFile:
    """A small JSON state in `folder`, readable by its owner alone.

    `lock` beside it is empty until `state.json` was written for the first time, and then holds a mark. So a first start
    that was interrupted can be repeated, and a state that was lost is noticed: a fresh one would hold other secrets.

    Raises:
        StateError: another process holds the folder, the file is damaged, lost or open to the writing of others, or the
            disk refuses.
    """

    def __init__(self, folder: Path, role: str) -> None:
        self.folder = folder
        self.role = role
        self._path = folder / "state.json"
        self._holder = os.getpid()
        self._closed = False
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"state folder {folder}: {error.strerror}") from None
        try:
            take_lock(self._lock)
        except OSError:
            os.close(self._lock)
            raise StateError(f"state folder {folder} is in use by another process; stop it first") from None
        try:
            self._data = self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> dict[str, Any]:
        try:
            with open_plain(self._path) as file:
                if writable_by_others(file):
                    raise StateError(
                        f"{self._path} can be written by other users: check what is in it, then chmod 600 it"
                    )
                document = json.loads(file.read())
        except FileNotFoundError:
            if os.pread(self._lock, 1, 0):
                raise StateError(
                    f"{self._path} is lost, and its secrets with it: restore it from a backup. Only if nothing of it "
                    f"is needed any more, remove {self.folder} to begin anew"
                ) from None
            return {}
        except RecursionError:
            raise StateError(f"{self._path} is nested too deeply; restore it, do not delete it") from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
            raise StateError(f"{self._path} cannot be read ({reason}); restore it, do not delete it") from None
        if not isinstance(document, dict) or document.get("version") != VERSION or document.get("role") != self.role:
            raise StateError(
                f"{self._path} is not version {VERSION} state of a {self.role}; restore it, do not delete it"
            )
        data = document.get("data")
        if not isinstance(data, dict):
            raise StateError(f"{self._path} holds no data; restore it, do not delete it")
        damaged = first_damaged(data)
        if damaged is not None:
            raise StateError(f"{self._path}: {damaged} is not what was saved there; restore it, do not delete it")
        self._mark()
        return data

    def _mark(self) -> None:
        """Note beside the state that there is one. Without the mark nothing is lost but the notice of a loss."""
        with contextlib.suppress(OSError):
            if not os.pread(self._lock, 1, 0):
                os.pwrite(self._lock, _WRITTEN, 0)
                os.fsync(self._lock)

    @property
    def path(self) -> Path:
        """The file, for messages."""
        return self._path

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def get(self, key: str, default: Any = None) -> Any:
        """The saved value of a key."""
        return self._data.get(key, default)

    def put(self, **values: Any) -> None:
        """Save values durably before returning.

        Raises:
            StateError: the disk refused, and the state before stays whole; or this process does not hold the folder.
        """
        if self._closed:
            raise StateError(f"{self._path} is closed here, and another may hold it: open it again")
        if os.getpid() != self._holder:  # a forked child has the descriptor, but the lock is its parent's
            raise StateError(f"{self._path} is held by another process, from which this one was forked")
        data = {**self._data, **values}
        document = json.dumps({"version": VERSION, "role": self.role, "data": data}, sort_keys=True)
        try:
            write_file(self._path, document.encode(), part=self._path.with_suffix(".tmp"))
        except OSError as error:
            raise StateError(f"{self._path} cannot be written: {error.strerror}; free space and try again") from None
        self._data = data
        self._mark()  # after the state: a mark without a state would be a loss

    def close(self) -> None:
        """Release the folder; once more changes nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._lock)

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
