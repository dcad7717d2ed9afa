"""Tier 0: the public card of a dataset. It tells nothing of the records but counts rounded until they are coarse."""

from __future__ import annotations

import json
from typing import Any

from fedproof.app.prepared import CARD, CARD_VERSION, Prepared
from fedproof.data.clean import Cleaner
from fedproof.data.naming import clean_text, quoted, shown
from fedproof.data.plan import BINARY, Plan
from fedproof.data.schema import Schema
from fedproof.errors import InputError

MAX_HISTORY = 1 << 16

PERCENT_STEP = 10
"""Shares are rounded to whole tens of a percent."""


def card(
    plan: Plan, schema: Schema, counted: Cleaner, tiers: tuple[int, ...], history: list[dict[str, Any]], note: str
) -> dict[str, Any]:
    """The card of a new version; its owner may edit the texts before minting."""
    columns: list[dict[str, Any]] = [
        {
            "name": column.name,
            "type": column.kind,
            "role": column.role,
            "description": column.description,
            "missing_percent": _share(counted.missing[column.name], counted.read),
        }
        for column in (*plan.features, plan.label)
    ]
    for entry, centre, scale in zip(columns, schema.centre, schema.scale, strict=False):
        entry |= {"centre": centre, "scale": scale}
    if schema.target is not None:
        columns[-1] |= {"centre": schema.target.centre, "scale": schema.target.scale}
    made = {
        "version": CARD_VERSION,
        "name": plan.name,
        "domain": plan.domain,
        "licence": plan.licence,
        "description": plan.description,
        "rows": counted.kept,
        "columns": columns,
        "classes": _classes(plan, counted),
        "tiers": {str(tier): text for tier, text in _tier_texts(plan).items() if tier in (0, *tiers)},
        "history": [*history, {"version": len(history) + 1, "rows": counted.kept, "note": note}],
    }
    notes = _formula_notes(plan, counted)
    return made | {"notes": notes} if notes else made


def _classes(plan: Plan, counted: Cleaner) -> list[dict[str, Any]]:
    """Shares of the classes; none where the label is a target."""
    if plan.label.labels == BINARY:
        positive = int(counted.class_counts[plan.label.classes.index(plan.class_names[1])])
        share = _share(positive, counted.kept)
        return [
            {"name": plan.class_names[0], "percent": 100 - share},
            {"name": plan.class_names[1], "percent": share},
        ]
    shares = [_share(int(count), counted.kept) for count in counted.class_counts]
    return [{"name": name, "percent": share} for name, share in zip(plan.class_names, shares, strict=True)]


def past_versions(prepared: Prepared) -> list[dict[str, Any]]:
    """The history on the card of an earlier version.

    Raises:
        InputError: the card has none that a card can have.
    """
    found = json.loads(prepared.card()).get("history")
    if not isinstance(found, list) or len(found) > MAX_HISTORY or not all(map(_is_version, found)):
        path = prepared.folder / CARD
        raise InputError(f"{shown(path)} holds no history of versions; undo the edit, or prepare that version again")
    return found


def _is_version(entry: Any) -> bool:
    if not isinstance(entry, dict) or set(entry) != {"version", "rows", "note"}:
        return False
    whole = all(type(entry[key]) is int and 0 < entry[key] < 1 << 64 for key in ("version", "rows"))
    return whole and isinstance(entry["note"], str) and clean_text(entry["note"])


def _formula_notes(plan: Plan, counted: Cleaner) -> list[str]:
    """Which columns a spreadsheet should not open; those of identifiers together, for the card does not name them."""
    found = counted.spreadsheet_cells()
    advice = (
        "cells that begin like a formula (=, @, + or -): import the files as text, do not open them in a spreadsheet"
    )
    named = [f"column {quoted(c.name)} has {advice}" for c in (*plan.features, plan.label) if c.name in found]
    hidden = any(column.name in found for column in plan.identifiers)
    return [*named, *([f"a column of identifiers, in tier 5, has {advice}"] if hidden else [])]


def _tier_texts(plan: Plan) -> dict[int, str]:
    return {
        0: "schema, row count, coarse statistics, licence and history",
        1: "a documented sample of the records, without identifiers",
        2: "histograms of the columns and a quality report",
        3: "the records for training under a task",
        4: "the records for the grantee's own analysis",
        5: f"the records with {len(plan.identifiers)} columns of identifiers",
    }


def _share(part: int, whole: int) -> int:
    return (100 * part // whole + PERCENT_STEP // 2) // PERCENT_STEP * PERCENT_STEP if whole else 0
