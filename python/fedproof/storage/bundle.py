"""A tier's files in a store: each sealed as a blob of its own, and a sealed index that the listing names.

    index = canonical JSON {"files": [{"blob", "name", "size"}, ...], "tier", "version"}

The index is sealed under the same tier key, so a stranger learns neither names nor which blobs belong together. It
holds the content id of each sealed file: what the listing's one word commits to is the whole tier.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedproof.data.naming import quoted, shown
from fedproof.errors import InputError, SealingError, StorageError
from fedproof.sealing.records import HEADER_BYTES, open_records, read_header, seal_records
from fedproof.sealing.tiers import TierKey
from fedproof.storage.content import ContentId, check_content_id
from fedproof.storage.folders import (
    PART_PREFIX,
    disk_errors,
    first_clash,
    give_name,
    is_file_name,
    sync_folder,
    writing_parts,
)
from fedproof.storage.store import BlobStore

VERSION: Final = 1
MAX_FILES: Final = 1 << 16
MAX_INDEX_BYTES: Final = 32 << 20
PIECE_BYTES: Final = 1 << 20
_INDEX_LABEL: Final = b"fedproof/bundle-index/v1"
_FILE_LABEL: Final = b"fedproof/bundle-file/v1"

Source = Path | bytes | Iterable[bytes]
"""What to seal: a plain file, bytes, or pieces of bytes."""

Files = Mapping[str, Source] | Sequence[Path]
"""The files of a tier by name, or as paths that name themselves."""


@dataclass(frozen=True)
class Entry:
    """A file of a tier: its name, its size in bytes before sealing, and the blob that holds it sealed."""

    name: str
    size: int
    blob: ContentId


def seal_tier(store: BlobStore, key: TierKey, context: bytes, files: Files) -> ContentId:
    """Seal files under the key of their tier and store them; the content id of the index is what the listing names.

    Args:
        key: the tier's own key; a higher key opens what it seals, a lower one never.
        context: names the dataset, any bytes; whoever opens must give the same.
        files: what to seal; what `plain_files(folder)` gives fits. A file is read once, in constant memory.

    Raises:
        InputError: a name that is no plain file name, or a file that cannot be read or changes meanwhile.
        StorageError: the store refuses.
    """
    named = list(files.items()) if isinstance(files, Mapping) else [(path.name, path) for path in files]
    if not 0 < len(named) <= MAX_FILES:
        raise InputError(f"a tier has 1 to {MAX_FILES} files, not {len(named)}")
    _check_names([name for name, _ in named])
    entries = []
    for name, source in sorted(named, key=lambda item: item[0]):
        counted = _Counted(_pieces(source))
        blob = store.put_stream(seal_records(key, _FILE_LABEL + context, counted))
        entries.append(Entry(name, counted.size, blob))
    index = _encode(key.tier, entries)
    if len(index) > MAX_INDEX_BYTES:
        raise InputError(f"the names of {len(entries)} files take {len(index)} bytes, more than an index holds")
    return store.put_stream(seal_records(key, _INDEX_LABEL + context, [index]))


def read_index(store: BlobStore, key: TierKey, context: bytes, index_id: str) -> tuple[Entry, ...]:
    """What a tier holds, without fetching it.

    Raises:
        SealingError: the key is of a lower tier or of another dataset, or the index is damaged.
        StorageError: the store does not have it, or has something else.
    """
    sealed = store.get(index_id, limit=MAX_INDEX_BYTES + (1 << 20))
    data = b"".join(open_records(key, _INDEX_LABEL + context, [sealed]))
    return _decode(data, read_header(sealed[:HEADER_BYTES]).tier)


def open_tier(
    store: BlobStore, key: TierKey, context: bytes, index_id: str, out_folder: Path, names: Iterable[str] | None = None
) -> list[Path]:
    """Fetch and open a tier's files into a folder (made if missing); `key` is of the tier or a higher one.

    Every file is written under a temporary name, and the files get their names only when all of them have been
    checked to the last byte. Constant memory.

    Args:
        names: only these files; default all.

    Raises:
        InputError: a file is there already, or the disk refuses.
        SealingError: the key does not open the tier, or a file is not what its index says.
        StorageError: a blob is missing, cut off or swapped; the message names file and blob.
    """
    entries = read_index(store, key, context, index_id)
    if names is not None:
        entries = _chosen(entries, set(names))
    with disk_errors(out_folder):
        out_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in entries:
        if os.path.lexists(out_folder / entry.name):
            raise _taken(out_folder / entry.name)
    staged: list[tuple[Path, Path]] = []
    with contextlib.ExitStack() as stack:
        with disk_errors(out_folder):
            stack.enter_context(writing_parts(out_folder))
        try:
            for entry in entries:
                with disk_errors(out_folder):
                    handle, part = tempfile.mkstemp(prefix=PART_PREFIX, dir=out_folder)
                staged.append((Path(part), out_folder / entry.name))
                _open_file(store, key, context, entry, handle, out_folder)
            with disk_errors(out_folder):
                _give_names(staged)
        finally:
            for path, _ in staged:
                path.unlink(missing_ok=True)
        with disk_errors(out_folder):
            sync_folder(out_folder)
    return [final for _, final in staged]


def _give_names(staged: list[tuple[Path, Path]]) -> None:
    """All of them or none: a name may have been taken while the files came."""
    given: list[Path] = []
    try:
        for path, final in staged:
            give_name(path, final)
            given.append(final)
    except BaseException as error:
        for named in given:
            named.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise _taken(final) from None
        raise


def _taken(path: Path) -> InputError:
    return InputError(f"{shown(path)} exists already; remove it or name another folder")


def _open_file(store: BlobStore, key: TierKey, context: bytes, entry: Entry, handle: int, out: Path) -> None:
    """Write one file to an open temporary file, and close it; an error unless it is whole."""
    size = 0
    with os.fdopen(handle, "wb", buffering=0) as file:
        try:
            for piece in open_records(key, _FILE_LABEL + context, store.get_unchecked(entry.blob)):
                size += len(piece)
                if size > entry.size:
                    break
                with disk_errors(out):
                    _write_all(file.fileno(), piece)
        except (SealingError, StorageError) as error:
            raise type(error)(f"file {quoted(entry.name)} of the tier, blob {entry.blob}: {error}") from None
        if size != entry.size:
            raise SealingError(f"file {quoted(entry.name)} of the tier is not the {entry.size} bytes its index says")
        with disk_errors(out):
            os.fsync(file.fileno())


def _write_all(handle: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(handle, view) :]


def _chosen(entries: tuple[Entry, ...], names: set[str]) -> tuple[Entry, ...]:
    unknown = sorted(names - {entry.name for entry in entries})
    if unknown:
        raise InputError(f"the tier has no file {quoted(unknown[0])}")
    return tuple(entry for entry in entries if entry.name in names)


def _encode(tier: int, entries: Iterable[Entry]) -> bytes:
    files = [{"blob": entry.blob, "name": entry.name, "size": entry.size} for entry in entries]
    document = {"files": files, "tier": tier, "version": VERSION}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _decode(data: bytes, tier: int) -> tuple[Entry, ...]:
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            raise SealingError(f"the tier's index has version {quoted(document['version'])}; only {VERSION} is known")
        entries = tuple(
            Entry(_text(f["name"]), _size(f["size"]), check_content_id(f["blob"])) for f in document["files"]
        )
    except (ValueError, KeyError, TypeError, StorageError, RecursionError):
        raise SealingError("the tier's index is damaged; fetch it again") from None
    try:
        _check_names([entry.name for entry in entries])
    except InputError as error:
        raise SealingError(f"the tier's index is not safe to follow: {error}") from None
    if not 0 < len(entries) <= MAX_FILES or _encode(tier, entries) != data:
        raise SealingError("the tier's index is not in canonical form, or of another tier")
    return entries


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not is_file_name(name):
            raise InputError(f"{quoted(name)} is no plain file name; a tier holds files without folders")
    clash = first_clash(names)
    if clash is not None:
        raise InputError(f"{quoted(clash)} is in the tier twice, or differs from another name in case alone")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


class _Counted:
    """Counts the bytes that pass."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            yield piece


def _pieces(source: Source) -> Iterable[bytes]:
    if isinstance(source, bytes):
        return [source]
    return _file_pieces(source) if isinstance(source, Path) else source


def _file_pieces(path: Path) -> Iterator[bytes]:
    try:
        # a symbolic link could have been put there to have another file sealed
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise InputError(f"{shown(path)} is not a plain file; a tier holds plain files only")
            while piece := file.read(PIECE_BYTES):
                yield piece
            after = os.fstat(handle)
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; check the path") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(f"{shown(path)} changed while it was sealed; seal it again when nobody writes to it")
