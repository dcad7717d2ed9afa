"""What a power cut could take away: files without their content, and names that their folder does not have yet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import pytest


class Syncs:
    """Watches `fsync` and renames of this process while a test runs.

    Attributes:
        early: what got its name before its content was durable.
    """

    def __init__(self) -> None:
        self.early: list[str] = []
        self._synced: set[int] = set()

    @classmethod
    def watched(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Watch from now on."""
        syncs, fsync = cls(), os.fsync

        def noted(handle: int) -> None:
            fsync(handle)
            syncs._synced.add(os.fstat(handle).st_ino)

        monkeypatch.setattr(os, "fsync", noted)
        for name in ("rename", "replace"):
            monkeypatch.setattr(os, name, syncs._renaming(getattr(os, name)))
        return syncs

    def lost(self, folder: Path) -> list[str]:
        """Names below a folder whose content is not durable, or whose folder does not know them; the folder itself."""
        every = (folder, *folder.rglob("*"))
        return sorted(path.name for path in every if path.stat().st_ino not in self._synced)

    def _renaming(self, rename: Any) -> Any:
        def renamed(old: str | Path, new: str | Path) -> None:
            self.early += self.lost(Path(old))
            rename(old, new)
            self._synced.discard(Path(new).parent.stat().st_ino)  # has a name now that it must learn

        return renamed
