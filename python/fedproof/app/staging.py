"""Folders that appear in another folder when all that they hold has been checked."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedproof.data.naming import shown
from fedproof.errors import InputError
from fedproof.storage.folders import PART_PREFIX, disk_errors, sync_folder, writing_parts


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside its final place, whose folders move into `out` when the block ends without an error.

    What a killed run left there, records in the clear, is removed by the next.

    Raises:
        InputError: `out` has one of them already, or the disk refuses.
    """
    with contextlib.ExitStack() as stack:
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(writing_parts(out))
            stage = Path(tempfile.mkdtemp(prefix=PART_PREFIX, dir=out))
        stack.callback(shutil.rmtree, stage, ignore_errors=True)
        yield stage
        for folder in sorted(stage.iterdir()):
            if os.path.lexists(out / folder.name):
                raise InputError(f"{shown(out / folder.name)} exists already; remove it or name another folder")
        with disk_errors(out):
            for folder in sorted(stage.iterdir()):
                folder.rename(out / folder.name)
            sync_folder(out)
