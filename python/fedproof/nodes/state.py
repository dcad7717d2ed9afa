"""A role's saved state: one JSON file, written whole or not at all, held by one process at a time.

What must be remembered *before* an act (a mask counter, the set a sum was made for) is saved here first; the act
comes after. A crash between the two wastes a number and never repeats one (protocol, sections 4 and 6).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from fedproof.errors import StateError

VERSION = 1


class StateFile:
    """A small JSON state in `folder`, readable by its owner alone.

    Raises:
        StateError: another process holds the folder, the file is damaged, or the disk refuses.
    """

    def __init__(self, folder: Path, role: str) -> None:
        self.folder = folder
        self.role = role
        self._path = folder / "state.json"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"state folder {folder}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateError(f"state folder {folder} is in use by another process; stop it first") from None
        try:
            self._data = self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {}
        try:
            document = json.loads(self._path.read_text())
        except (OSError, ValueError) as error:
            raise StateError(f"{self._path} cannot be read ({error}); restore it, do not delete it") from None
        if not isinstance(document, dict) or document.get("version") != VERSION or document.get("role") != self.role:
            raise StateError(
                f"{self._path} is not version {VERSION} state of a {self.role}; restore it, do not delete it"
            )
        data = document.get("data")
        if not isinstance(data, dict):
            raise StateError(f"{self._path} holds no data; restore it, do not delete it")
        return data

    def get(self, key: str, default: Any = None) -> Any:
        """The saved value of a key."""
        return self._data.get(key, default)

    def put(self, **values: Any) -> None:
        """Save values durably before returning.

        Raises:
            StateError: the disk refused; the state before stays whole.
        """
        data = {**self._data, **values}
        document = json.dumps({"version": VERSION, "role": self.role, "data": data}, sort_keys=True)
        temporary = self._path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            directory = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StateError(f"{self._path} cannot be written: {error.strerror}; free space and try again") from None
        self._data = data

    def close(self) -> None:
        """Release the folder."""
        os.close(self._lock)

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
