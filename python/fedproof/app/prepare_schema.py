"""What the owner asks of `prepare`, and the public schema that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fedproof.app.prepared import TIERS
from fedproof.app.telling import Teller
from fedproof.data.limits import MAX_ROWS, MAX_VALUES, MIN_ROWS
from fedproof.data.naming import quoted, shown
from fedproof.data.plan import TARGET, Plan
from fedproof.data.schema import Schema, Target
from fedproof.data.statistics import centres_and_scales
from fedproof.data.tablefile import TableFile, open_table
from fedproof.errors import InputError

BLOCK_VALUES: Final = 1 << 18
"""Values of a block where its size is not chosen: proving one then takes memory and minutes that a laptop has."""


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
        labels: for the draft: binary, classes or target.
        identifiers, drop: for the draft: columns of these roles.
        name, domain, licence, description: for the draft.
        tiers: the tiers to write files for.
        block_rows: rows of the capacity class; default by the size of the dataset.
        sample_rows: rows of the tier-1 sample, at most a tenth of all.
        note, previous: for the card's history; `previous` is the prepared folder of the version before.
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
    labels: str | None = None
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


def scaled(options: Options, plan: Plan, table: TableFile, teller: Teller) -> tuple[Plan, tuple[str, ...]]:
    """The plan with every centre and scale, and the features that are constant where those were computed."""
    wanted = [column for column in plan.scaled if column.scale is None]
    if not wanted:
        return plan, ()
    if options.public is not None:
        teller.doing(f"centre and scale of {len(wanted)} features from {options.public.name}")
        found = centres_and_scales(open_table(options.public), wanted)
    elif options.private_scale:
        teller.step(
            f"WARNING: centre and scale of {len(wanted)} features come from the private records: the public schema "
            "will tell everybody their means and standard deviations"
        )
        found = centres_and_scales(table, wanted)
    else:
        raise InputError(
            f"{shown(options.source)}, column {quoted(wanted[0].name)}: no centre and scale ({len(wanted)} features "
            "have none); write them into the schema, or name a public file"
        )
    columns = tuple(
        replace(column, centre=found[column.name][0], scale=found[column.name][1] or 1.0)
        if column.name in found
        else column
        for column in plan.columns
    )
    constant = tuple(column.name for column in wanted if found[column.name][1] == 0)
    for name in constant:
        teller.step(f"feature {quoted(name)} is constant, so its scale is 1; check its unit or drop it")
    return replace(plan, columns=columns), constant


def public_schema(options: Options, plan: Plan, rows: int, constant: tuple[str, ...]) -> Schema:
    """The public schema. Without a wish, the class is the smallest that holds all rows, up to 2^18 values a block."""
    most = options.block_rows or MIN_ROWS
    if options.block_rows is None:
        while most < min(rows, MAX_ROWS) and 2 * most * (len(plan.features) + 1) <= BLOCK_VALUES:
            most *= 2
    if most * len(plan.features) > MAX_VALUES:
        raise InputError(f"blocks of {most} rows have more than {MAX_VALUES} values; use smaller blocks")
    features = plan.features
    centres = tuple(float(column.centre or 0.0) for column in features)
    scales = tuple(float(column.scale or 1.0) for column in features)
    names = tuple(column.name for column in features)
    label = plan.label
    target = None
    if label.labels == TARGET:
        target = Target(label.name, float(label.centre or 0.0), float(label.scale or 1.0))
    constant = tuple(name for name in constant if name in names)
    return Schema(plan.name, names, centres, scales, plan.class_names, most, constant, target)
