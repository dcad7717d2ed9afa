"""What a participant has sealed to the committee, kept until its round is settled: complaints are answered from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from fedproof.errors import StateError
from fedproof.storage.folders import sync_folder


class SentShares:
    """Sealed and plain shares of the updates of running rounds, in files that their owner alone reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        task: int,
        round_number: int,
        commitments: Sequence[bytes],
        sealed: Sequence[bytes],
        shares: Sequence[bytes],
    ) -> None:
        """Save them durably, in place of an earlier attempt in the same round; the workers count from 1.

        Raises:
            StateError: the disk refuses; then nothing may be published.
        """
        folder = self._of(task, round_number)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            self._folder.mkdir(exist_ok=True, mode=0o700)
            folder.mkdir(mode=0o700)
            _write(folder / "commitments", b"".join(commitments))
            for index, (blob, share) in enumerate(zip(sealed, shares, strict=True), 1):
                _write(folder / f"sealed-{index}", blob)
                _write(folder / f"share-{index}", share)
            for each in (folder, self._folder, self._folder.parent):
                sync_folder(each)
        except OSError as error:
            raise StateError(f"{folder} cannot be written: {error.strerror}; free space and start again") from None

    def commitments(self, task: int, round_number: int) -> tuple[bytes, ...] | None:
        """Com(R_1) .. Com(R_t); None when they are not here."""
        found = self._read(task, round_number, "commitments")
        return None if found is None else tuple(found[at : at + 64] for at in range(0, len(found), 64))

    def sealed(self, task: int, round_number: int, index: int) -> bytes | None:
        """The sealed share of a worker; None when it is not here."""
        return self._read(task, round_number, f"sealed-{index}")

    def share(self, task: int, round_number: int, index: int) -> bytes | None:
        """The share of a worker, in the clear; None when it is not here."""
        return self._read(task, round_number, f"share-{index}")

    def drop_before(self, task: int, round_number: int) -> None:
        """Forget the earlier rounds of a task."""
        for folder in self._folder.glob(f"{task}-*"):
            if int(folder.name.split("-")[1]) < round_number:
                shutil.rmtree(folder, ignore_errors=True)

    def drop(self, task: int) -> None:
        """Forget all rounds of a task."""
        for folder in self._folder.glob(f"{task}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _of(self, task: int, round_number: int) -> Path:
        return self._folder / f"{task}-{round_number}"

    def _read(self, task: int, round_number: int, name: str) -> bytes | None:
        try:
            return (self._of(task, round_number) / name).read_bytes()
        except OSError:
            return None


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
