"""From a data owner's file to the files of a listing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedproof.app.prepared import TIERS, Prepared
from fedproof.app.telling import Teller

__all__ = ["Drafted", "Options", "Prepared", "prepare"]


@dataclass(frozen=True)
class Options:
    """What the owner asks for.

    Args:
        source: the file, CSV or Parquet.
        out: the folder to make.
        schema: the owner's schema, TOML; default `OUT.schema.toml`. Where it does not exist, it is drafted there, and
            the owner looks it over and runs again.
        schema_only: draft the schema and stop, also with `accept_draft`.
        accept_draft: go on at once with a schema that has just been drafted, if nothing is left to fill in.
        public: a public file with the same columns, from which missing centres and scales are taken.
        private_scale: take missing centres and scales from the private records, with a warning.
        label, positive: for the draft: the label's column, and the class that becomes 1.
        identifiers, drop: for the draft: columns of these roles.
        name, domain, licence, description: for the draft.
        tiers: the tiers to write files for.
        block_rows: rows of the capacity class; default by the size of the dataset.
        sample_rows: rows of the tier-1 sample, at most a tenth of all.
        version, note, previous: for the card's history; `previous` is the prepared folder of the version before.
    """

    source: Path
    out: Path
    schema: Path | None = None
    schema_only: bool = False
    accept_draft: bool = False
    public: Path | None = None
    private_scale: bool = False
    label: str | None = None
    positive: str | None = None
    identifiers: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    name: str | None = None
    domain: str = ""
    licence: str = ""
    description: str = ""
    tiers: tuple[int, ...] = TIERS
    block_rows: int | None = None
    sample_rows: int = 100
    note: str = ""
    previous: Path | None = None


@dataclass(frozen=True)
class Drafted:
    """No dataset yet: the schema was drafted to `path`. `open_points` is what its owner has to fill in, a line each."""

    path: Path
    open_points: tuple[str, ...]


def prepare(options: Options, teller: Teller) -> Prepared | Drafted:
    """Draft the schema of a file, or turn the file into the files of a listing.

    Raises:
        InputError: one line that says what is wrong, in which row and column, and what to do.
    """
    raise NotImplementedError
