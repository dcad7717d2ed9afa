"""Folders that appear whole or not at all, and names that cannot leave the folder they are meant for."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

from fedproof.data.naming import clean_name, shown
from fedproof.errors import InputError, StateError

PART_PREFIX: Final = ".part-"
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')


def open_plain(path: Path) -> BinaryIO:
    """A plain file, open to be read without a buffer; opening a pipe would wait for somebody who writes to it.

    Raises:
        OSError: as `open` does, and for anything else than a plain file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(code, "Is a directory" if stat.S_ISDIR(mode) else "Not a plain file", str(path))
        return cast(BinaryIO, os.fdopen(handle, "rb", buffering=0))
    except BaseException:
        os.close(handle)
        raise


def writable_by_others(file: BinaryIO) -> bool:
    """Whether another user may write to an open file; of the file itself, which nobody can exchange meanwhile."""
    return bool(os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def write_file(path: Path, data: bytes, *, mode: int = 0o600, part: Path | None = None) -> None:
    """Put a file in the place of what has its name: whole or not at all, and durable before this returns.

    It is written beside its final place first, as NAME.tmp or as `part`. What a killed run left there is removed, and
    so is a link: it would lead the writing to another file.

    Raises:
        OSError: the disk refuses; then nothing is left of it.
    """
    part = part or path.with_name(path.name + ".tmp")
    try:
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def is_file_name(name: str) -> bool:
    """Whether a name is that of a plain file in its folder, on any system: no path, nothing hidden."""
    return clean_name(name) and name[0] != "." and name[-1] != "." and not _FORBIDDEN & set(name)


def first_clash(names: Iterable[str]) -> str | None:
    """The first name that some file system would take for one before it, such as `a.csv` after `A.csv`."""
    seen: set[str] = set()
    for name in names:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if folded in seen:
            return name
        seen.add(folded)
    return None


def plain_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by name, in order.

    Raises:
        InputError: it holds anything but plain files with usable names, or cannot be read.
    """
    found: dict[str, Path] = {}
    try:
        for path in sorted(folder.iterdir()):
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode):
                # a link could bring in a file that its owner never meant to publish
                kind = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory"}.get(stat.S_IFMT(mode), "no file")
                raise InputError(f"{shown(path)} is {kind}; a tier holds plain files only: copy the file, or remove it")
            if not is_file_name(path.name):
                raise InputError(f"{shown(path)} has a name that not every system takes; rename it or remove it")
            found[path.name] = path
    except OSError as error:
        raise InputError(f"{shown(folder)} cannot be read: {error.strerror}; check the path") from None
    clash = first_clash(found)
    if clash is not None:
        raise InputError(f"{shown(folder / clash)} differs from another file in case alone; rename one of them")
    return found


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, private to its user, which gets the name `out` when the block ends without an error.

    It is filled as `.NAME.part` beside its final place, and all of it is durable before it gets its name; what a
    killed run left there is removed by the next. What another user, or others may write to, made there beforehand is
    not taken.

    Raises:
        InputError: `out` exists, or the disk refuses (also in the block: it may be full), or `.NAME.part` is not
            private to this user.
        StateError: another run is writing the same folder.
    """
    part = out.with_name(f".{out.name}.part")
    with disk_errors(out):
        if os.path.lexists(out):
            raise InputError(f"{shown(out)} exists already; remove it or name another folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise InputError(
                f"{shown(part)} is there already and not private to you: others could read or change what is written "
                "there; remove it, or name another folder"
            )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"{shown(out)} is being written by another run; wait for it") from None
        try:
            with disk_errors(out):
                _empty(part)
                yield part
                _sync_below(part)
                part.rename(out)
                sync_folder(out.parent)
        except BaseException:
            with suppress(OSError):
                shutil.rmtree(part)
            raise
    finally:
        os.close(handle)


def give_name(part: Path, final: Path) -> None:
    """Give a file a name that nothing else has got meanwhile; `part` may stay, as a second name of it.

    Raises:
        OSError: as the disk says; FileExistsError where the name is taken.
    """
    try:
        os.link(part, final, follow_symlinks=False)  # unlike a rename, in the place of nothing
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        if os.path.lexists(final):  # a file system without second names: the look and the rename are two steps
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final)) from None
        part.rename(final)


@contextmanager
def writing_parts(folder: Path) -> Iterator[None]:
    """While the block lasts, this run writes in a folder under names that begin with `PART_PREFIX`.

    What killed runs left there is removed first: it may be records in the clear. What another run is writing is left
    alone; where the file system has no locks to tell them apart, everything is.

    Raises:
        OSError: the folder cannot be read.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            with suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_parts(folder)
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _remove_parts(folder: Path) -> None:
    for path in folder.iterdir():
        found = path.lstat()
        # what a store has begun under such a name is for all to read, and none of ours
        if path.name.startswith(PART_PREFIX) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            _remove(path)


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Say in one line that the disk refused."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{shown(out)} cannot be written: {error.strerror or 'input/output error'}") from None


def sync_folder(folder: Path) -> None:
    """Make names durable; of a file, its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_below(folder: Path) -> None:
    """Make the content of every file below a folder durable, and their names."""
    for path in (*sorted(folder.rglob("*")), folder):
        sync_folder(path)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
