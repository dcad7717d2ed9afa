"""A prepared dataset: the folder that `prepare` writes, its owner may edit, and minting reads.

    prepared.json   this manifest, for the owner alone: it names the source file by its digest
    schema.json     the canonical public schema
    card.json       tier 0: the public card
    blocks/         quantised features and labels, a file for each block: what is committed and proven
    tier1 .. tier5/ the files of each tier; the owner may add, replace and delete. A folder without files: not offered.

The blocks lie beside the tiers because a dataset has them even where tier 3 is not offered. The files of tier 3 that
carry them are made at minting, when the blinding of each block is drawn.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from fedproof.data.block import block_size, decode_block
from fedproof.data.naming import clean_name, clean_text, quoted, shown
from fedproof.data.plan import Plan
from fedproof.data.schema import MAX_SCHEMA_BYTES, Schema
from fedproof.errors import InputError
from fedproof.storage.folders import is_file_name, open_plain, plain_files

VERSION: Final = 1
TIERS: Final = (1, 2, 3, 4, 5)
MANIFEST: Final = "prepared.json"
SCHEMA: Final = "schema.json"
CARD: Final = "card.json"
BLOCKS: Final = "blocks"
MAX_MANIFEST_BYTES: Final = 64 << 20
MAX_CARD_BYTES: Final = 1 << 20
CARD_VERSION: Final = 1
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class FileEntry:
    """A file as `prepare` wrote it."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Measure a file."""
        digest, size = sha256(), 0
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
        return cls(path.name, size, digest.hexdigest())

    def document(self) -> dict[str, Any]:
        """For the manifest."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class BlockEntry:
    """A block: its file in `blocks/` and its real rows."""

    file: FileEntry
    rows: int


@dataclass(frozen=True)
class Prepared:
    """What a listing needs. `capacity_rows` x `columns` is the capacity class; `columns` counts the mask column.

    Args:
        folder: where it lies.
        rows: records of all blocks together.
        schema: the public schema; `schema.encode()` is the blob that the listing names.
        blocks_written: the blocks, in order; the first is the listing's own.
        files: the files of each tier as they were written; the owner may have changed them since.
    """

    folder: Path
    name: str
    domain: str
    licence: str
    rows: int
    schema: Schema
    blocks_written: tuple[BlockEntry, ...]
    files: dict[int, tuple[FileEntry, ...]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a prepared folder. Blocks are checked when they are read, tiers when their files are listed.

        Raises:
            InputError: not such a folder, or its manifest, schema or card is damaged.
        """
        document = _manifest(folder)
        try:
            schema = Schema.decode(_read(folder / SCHEMA, MAX_SCHEMA_BYTES))
            blocks = tuple(BlockEntry(_entry(b), _count(b["rows"])) for b in document["blocks"])
            files = {int(tier): tuple(map(_entry, found)) for tier, found in document["files"].items()}
            rows = _count(document["rows"])
            capacity = document["capacity"]
            sound = (
                schema.digest.hex() == document["schema"]
                and clean_name(document["name"])
                and capacity == {"rows": schema.rows, "columns": schema.columns}
                and sum(block.rows for block in blocks) == rows
                and all(0 < block.rows <= schema.rows for block in blocks)
                and all(block.file.size == block_size(schema, block.rows) for block in blocks)
            )
            texts = [document[key] for key in ("name", "domain", "licence")]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(f"{shown(folder / MANIFEST)} is damaged; prepare the dataset again") from None
        if not sound or not all(isinstance(text, str) and clean_text(text) for text in texts):
            raise InputError(
                f"{shown(folder)}: {MANIFEST} and {SCHEMA} do not belong together; edit neither, prepare again"
            )
        name, domain, licence = texts
        prepared = cls(folder, name, domain, licence, rows, schema, blocks, files)
        prepared.card()
        return prepared

    @property
    def capacity_rows(self) -> int:
        """Rows of the capacity class."""
        return self.schema.rows

    @property
    def columns(self) -> int:
        """Columns of the capacity class, the mask column included."""
        return self.schema.columns

    @property
    def tiers(self) -> tuple[int, ...]:
        """The tiers above 0 that have files, and so can be offered."""
        return tuple(tier for tier in TIERS if self.tier_files(tier))

    def tier_files(self, tier: int) -> dict[str, Path]:
        """The files that a tier has now, by name; none when it is not offered. Fits `bundle.seal_tier`.

        Raises:
            InputError: no such tier, or its folder holds a link, a directory, or a name that not every system takes.
        """
        if tier not in TIERS:
            raise InputError(f"tier {quoted(tier)} has no files of its own; tiers with files are 1 to 5")
        folder = self.folder / f"tier{tier}"
        if folder.is_symlink():
            raise InputError(f"{shown(folder)} is a symbolic link; a tier is a plain folder")
        return plain_files(folder) if folder.exists() else {}

    def card(self) -> bytes:
        """The public card, as its owner left it: the blob that the listing names.

        Raises:
            InputError: not JSON of this version, or about another dataset.
        """
        path = self.folder / CARD
        data = _read(path, MAX_CARD_BYTES)
        try:
            card = json.loads(data)
            same = (card["version"], card["name"], card["rows"]) == (CARD_VERSION, self.name, self.rows)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"{shown(path)} is not a card; undo the edit, or prepare the dataset again") from None
        if not same:
            raise InputError(f"{shown(path)} has another version, name or row count than {MANIFEST}; undo the edit")
        return data

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Features `(n, f)` and labels `(n,)` of each block, both int64, in order; one block in memory at a time.

        Raises:
            InputError: a block is missing or not as it was prepared.
        """
        for block in self.blocks_written:
            path = self.folder / BLOCKS / block.file.name
            data = _read(path, block.file.size)
            if sha256(data).hexdigest() != block.file.sha256:
                raise InputError(f"{shown(path)} is not as it was prepared; prepare the dataset again")
            features, labels = decode_block(data, self.schema)
            if len(labels) != block.rows:
                raise InputError(f"{shown(path)} has {len(labels)} rows, {MANIFEST} says {block.rows}; prepare again")
            yield features, labels


def block_name(number: int) -> str:
    """The file of a block, counted from 1."""
    return f"records-{number:04d}.bin"


def write_manifest(
    folder: Path, plan: Plan, schema: Schema, block_rows: list[int], tiers: tuple[int, ...], source: tuple[str, int]
) -> None:
    """Measure what lies in a folder and write its manifest."""
    blocks = [FileEntry.of(folder / BLOCKS / block_name(number)) for number in range(1, len(block_rows) + 1)]
    document = {
        "version": VERSION,
        "name": plan.name,
        "domain": plan.domain,
        "licence": plan.licence,
        "rows": sum(block_rows),
        "capacity": {"rows": schema.rows, "columns": schema.columns},
        "schema": schema.digest.hex(),
        "blocks": [entry.document() | {"rows": rows} for entry, rows in zip(blocks, block_rows, strict=True)],
        "files": {
            str(tier): [FileEntry.of(path).document() for path in plain_files(folder / f"tier{tier}").values()]
            for tier in tiers
        },
        "source": {"sha256": source[0], "size": source[1]},
    }
    (folder / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not os.path.lexists(path):
        raise InputError(f"{shown(folder)} is no prepared dataset; make one with: fedproof dataset prepare")
    try:
        document = json.loads(_read(path, MAX_MANIFEST_BYTES))
    except (ValueError, RecursionError):
        raise InputError(f"{shown(path)} is damaged; prepare the dataset again") from None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise InputError(f"{shown(path)} is not of version {VERSION}; a newer fedproof may be needed")
    return document


def _read(path: Path, limit: int) -> bytes:
    try:
        with open_plain(path) as file:
            data = bytearray()
            while len(data) <= limit and (piece := file.read(min(_PIECE, limit + 1 - len(data)))):
                data += piece
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; prepare the dataset again") from None
    if len(data) > limit:
        raise InputError(f"{shown(path)} is longer than the {limit} bytes expected; prepare the dataset again")
    return bytes(data)


def _entry(value: Any) -> FileEntry:
    name, size, digest = value["name"], _count(value["size"]), value["sha256"]
    if not isinstance(name, str) or not is_file_name(name) or not isinstance(digest, str):
        raise TypeError
    return FileEntry(name, size, digest)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value
