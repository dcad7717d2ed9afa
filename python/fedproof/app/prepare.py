"""From a data owner's file to the files of a listing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from fedproof.app.card import card, past_versions
from fedproof.app.prepare_schema import Drafted, Options, public_schema, scaled
from fedproof.app.prepared import CARD, SCHEMA, TIERS, Prepared, write_manifest
from fedproof.app.telling import Teller
from fedproof.app.tierfiles import TierWriter, write_json
from fedproof.data.clean import Cleaner, Rows, check_columns
from fedproof.data.draft import draft_plan, write_plan
from fedproof.data.limits import MIN_ROWS
from fedproof.data.naming import MAX_NAME_LENGTH, MAX_TEXT_LENGTH, clean_name, clean_text, quoted, shown
from fedproof.data.plan import CLASSES, TARGET, Plan, read_plan
from fedproof.data.schema import is_capacity
from fedproof.data.tablefile import TableFile, fingerprint, open_table
from fedproof.errors import InputError
from fedproof.storage.folders import disk_errors, new_folder

SECONDS_BETWEEN: Final = 1.0

__all__ = ["Drafted", "Options", "Prepared", "prepare"]


def prepare(options: Options, teller: Teller) -> Prepared | Drafted:
    """Draft the schema of a file, or turn the file into the files of a listing.

    The file is read twice: once to check every value and count, once to write. Nothing appears under its name before
    everything is written, so that an interrupted run can be repeated. Equal input and options give equal bytes.

    Raises:
        InputError: one line that says what is wrong, in which row and column, and what to do.
        StateError: another run is writing the same folder.
    """
    _check(options)
    if options.schema is not None and options.schema.suffix == ".json":
        raise InputError(
            f"--schema {shown(options.schema)} is what a dataset was prepared to, and not what it is prepared by: name "
            "the .schema.toml that was drafted for it"
        )
    path = options.schema or options.out.with_name(options.out.name + ".schema.toml")
    table = open_table(options.source)
    if options.schema_only or not os.path.exists(path):  # noqa: PTH110  # a path too long for the disk is none, no error
        drafted = _draft(options, table, path, teller)
        if options.schema_only or not options.accept_draft or drafted.open_points:
            return drafted
    else:
        _refuse_draft_options(options, path)
    shared = read_plan(path)
    check_columns(shared, table)
    plan = replace(
        shared,
        name=options.name or shared.name,
        domain=options.domain or shared.domain,
        licence=options.licence or shared.licence,
        description=options.description or shared.description,
    )
    history = _history(options, plan)
    teller.doing(f"reading {options.source.name}")
    before = fingerprint(options.source)
    plan, constant = scaled(options, plan, table, teller)
    counted = Cleaner(plan, table)
    for rows in _telling(counted, "checked", teller):
        del rows
    _check_rows(options.source, plan, counted)
    _tell_drops(plan, counted, teller)
    _tell_formulas(counted, teller)
    # datasets that train together have one schema, and each its own name on its card
    schema = public_schema(options, replace(plan, name=shared.name), counted.kept, constant)
    tiers = _tiers(options, plan, teller)
    with new_folder(options.out) as folder:
        cleaner = Cleaner(plan, table)
        with TierWriter(folder, plan, schema, counted.kept, tiers, options.sample_rows) as writer:
            for rows in _telling(cleaner, "written", teller):
                writer.write(rows)
            writer.finish(cleaner)
        teller.doing("checking that the file did not change, and syncing")
        if cleaner.counts() != counted.counts() or fingerprint(options.source) != before:
            raise InputError(f"{shown(options.source)} changed while it was read; run again when nobody writes to it")
        (folder / SCHEMA).write_bytes(schema.encode())
        write_json(folder / CARD, card(plan, schema, counted, tiers, history, options.note))
        write_manifest(folder, plan, schema, writer.block_rows, tiers, before)
    prepared = Prepared.load(options.out)
    teller.step(
        f"{prepared.rows:,} records in {len(writer.block_rows)} blocks of {schema.rows} x {schema.columns}, "
        f"tiers {', '.join(map(str, (0, *prepared.tiers)))}: {shown(options.out)}"
    )
    if plan.label.labels != TARGET and writer.one_class_blocks and len(writer.block_rows) > 1:
        teller.step(f"{writer.one_class_blocks} blocks hold one class only; shuffle the rows of the file to mix them")
    return prepared


def _check(options: Options) -> None:
    if not set(options.tiers) <= set(TIERS):
        raise InputError(f"tiers {quoted(options.tiers)}: tiers with files are 1 to 5")
    if options.block_rows is not None and not is_capacity(options.block_rows):
        raise InputError(f"{quoted(options.block_rows)} rows are no capacity class; use 32, 64, 128, ...")
    if options.sample_rows < 1:
        raise InputError(f"a sample of {options.sample_rows} rows is none; leave tier 1 out instead")
    if options.name is not None and not clean_name(options.name):
        raise InputError(
            f"--name {quoted(options.name)}: a name is short printable text, up to {MAX_NAME_LENGTH} letters"
        )
    for option in ("domain", "licence", "description", "note"):
        if not clean_text(getattr(options, option)):
            raise InputError(f"--{option}: it must be printable text of at most {MAX_TEXT_LENGTH} letters")
    if not options.schema_only and os.path.lexists(options.out):
        raise InputError(f"{shown(options.out)} exists already; remove it or name another folder")


def _refuse_draft_options(options: Options, path: Path) -> None:
    """A schema that is there decides on the columns; what would change it must not be passed over, least of all --drop.

    Raises:
        InputError: such an option is given.
    """
    given = [name for name in ("label", "positive", "labels") if getattr(options, name) is not None]
    given += [option for option, chosen in (("identifier", options.identifiers), ("drop", options.drop)) if chosen]
    if given:
        raise InputError(
            f"{', '.join(f'--{name}' for name in given)}: {shown(path)} exists and decides this; edit it there, or "
            "remove the file to have it drafted again"
        )


def _draft(options: Options, table: TableFile, path: Path, teller: Teller) -> Drafted:
    if os.path.lexists(path):
        raise InputError(f"{shown(path)} exists already; edit it, or remove it to have it drafted again")
    teller.doing(f"looking at {options.source.name}")
    stem = options.source.stem
    plan, open_points = draft_plan(
        table,
        options.name or (stem if clean_name(stem) else "dataset"),
        options.label,
        options.positive,
        options.identifiers,
        options.drop,
        options.labels,
        domain=options.domain,
        licence=options.licence,
        description=options.description,
    )
    if options.public is None and not options.private_scale:
        count = len(plan.scaled)
        what = "features" if count == len(plan.features) else "columns"
        open_points.append(f"{count} {what} have no centre and scale: write them, or name a public file")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(write_plan(plan))
    for column in plan.columns:
        if column.role in ("drop", "identifier"):
            what = "dropped" if column.role == "drop" else "tier 5 only"
            teller.step(f"column {quoted(column.name)}: {what} ({column.note or 'as asked'})")
    teller.step(f"schema drafted: {shown(path)}; look it over and run again")
    return Drafted(path, tuple(open_points))


def _check_rows(source: Path, plan: Plan, counted: Cleaner) -> None:
    if counted.kept < MIN_ROWS:
        raise InputError(
            f"{shown(source)}: {counted.kept} of {counted.read} records are left; at least {MIN_ROWS} are needed"
        )
    if plan.label.labels == TARGET:
        return
    if plan.label.labels == CLASSES:
        if np.count_nonzero(counted.class_counts) < 2:
            raise InputError(f"{shown(source)}, column {quoted(plan.label.name)}: one class only; two are needed")
        return
    classes = plan.label.classes
    positive = int(counted.class_counts[classes.index(plan.class_names[1])])
    if positive in (0, counted.kept):
        one = plan.class_names[1 if positive else 0]
        raise InputError(
            f"{shown(source)}, column {quoted(plan.label.name)}: one class only ({quoted(one)}); two are needed"
        )


def _tell_drops(plan: Plan, counted: Cleaner, teller: Teller) -> None:
    for column in plan.columns:
        if column.role == "drop":
            teller.step(f"column {quoted(column.name)}: dropped, as the schema says")
        elif column.role == "identifier":
            teller.step(f"column {quoted(column.name)}: an identifier, in tier 5 only")
        if counted.dropped[column.name]:
            teller.step(f"{counted.dropped[column.name]:,} rows dropped: {quoted(column.name)} is missing")
        if counted.filled[column.name] and column.role == "feature":
            teller.step(f"{counted.filled[column.name]:,} cells of {quoted(column.name)} filled with {column.fill:g}")


def _tell_formulas(counted: Cleaner, teller: Teller) -> None:
    for name, count in counted.spreadsheet_cells().items():
        teller.step(
            f"WARNING: column {quoted(name)}: {count:,} cells begin like a formula (=, @, + or -), which a spreadsheet "
            "may run; they are kept as they are, and the card says so"
        )


def _tiers(options: Options, plan: Plan, teller: Teller) -> tuple[int, ...]:
    tiers = tuple(sorted(set(options.tiers)))
    if 5 in tiers and not plan.identifiers:
        teller.step("tier 5 left out: without identifiers it would hold what tier 4 holds")
        return tuple(tier for tier in tiers if tier != 5)
    return tiers


def _telling(cleaner: Cleaner, what: str, teller: Teller) -> Iterator[Rows]:
    last = time.monotonic()
    for rows in cleaner.run():
        yield rows
        if time.monotonic() - last > SECONDS_BETWEEN:
            last = time.monotonic()
            teller.doing(f"{cleaner.read:,} rows {what}")


def _history(options: Options, plan: Plan) -> list[dict[str, object]]:
    """The versions before this one, from the card of the last."""
    if options.previous is None:
        return []
    before = Prepared.load(options.previous)
    if before.name != plan.name:
        raise InputError(f"{shown(options.previous)} is {quoted(before.name)}, not {quoted(plan.name)}")
    return past_versions(before)
