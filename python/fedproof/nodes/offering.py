"""What a provider lists: schema, terms, the rows in blocks of a capacity class, and the files of each tier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from fedproof.data import Schema, Table
from fedproof.errors import InputError
from fedproof.learning.fixed import Int
from fedproof.ledger.market_types import TIERS

Block = tuple[Int, Int]
"""Quantised features `(n, f)` and labels `(n,)` of at most as many rows as the class holds."""


class Blocks(Protocol):
    """The rows in their published order, block by block; may be gone through more than once."""

    def __len__(self) -> int:
        """Number of blocks."""

    def __iter__(self) -> Iterator[Block]:
        """One block after the other; a large dataset keeps one in memory at a time."""


@dataclass(frozen=True, eq=False)
class Offering:
    """A version of a dataset before it is listed.

    Attributes:
        schema: its public schema. card: the public card's bytes, empty for none.
        thresholds: base units to have locked for tiers 0 to 5, 0 for a tier that is not offered.
        prices: base units that a grant costs.
        blocks: the rows.
        files: for tiers 1 to 5, the files that the provider chose by name; those of tier 3 beside the records.
    """

    schema: Schema
    thresholds: tuple[int, ...]
    blocks: Blocks = field(repr=False)
    prices: tuple[int, ...] = (0,) * TIERS
    card: bytes = b""
    files: Mapping[int, Mapping[str, Path]] = field(default_factory=dict)

    @classmethod
    def of_table(cls, table: Table, schema: Schema, thresholds: tuple[int, ...]) -> Offering:
        """A table that fits one block, with its records in Tier 3 and nothing else."""
        return cls(schema, thresholds, [(schema.quantise(table.features), schema.quantise_labels(table.labels))])

    def digest(self) -> bytes:
        """What an interrupted listing is recognised by, 32 bytes: everything that is listed, files by content."""
        whole = sha256(
            self.schema.encode() + repr((self.thresholds, self.prices)).encode() + sha256(self.card).digest()
        )
        for features, labels in self.blocks:
            for part in (features, labels):
                whole.update(sha256(np.ascontiguousarray(part).tobytes()).digest())
        for tier, files in sorted(self.files.items()):
            for name, path in sorted(files.items()):
                whole.update(f"{tier}/{name}".encode() + _file_digest(path))
        return whole.digest()


def _file_digest(path: Path) -> bytes:
    digest = sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return digest.digest()
