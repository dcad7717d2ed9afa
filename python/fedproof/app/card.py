"""Tier 0: the public card of a dataset. It tells nothing of the records but counts rounded until they are coarse."""

from __future__ import annotations

import json
from typing import Any

from fedproof.app.prepared import CARD_VERSION, Prepared
from fedproof.data.clean import Cleaner
from fedproof.data.plan import Plan
from fedproof.data.schema import Schema

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
    positive = int(counted.class_counts[plan.label.classes.index(plan.class_names[1])])
    share = _share(positive, counted.kept)
    return {
        "version": CARD_VERSION,
        "name": plan.name,
        "domain": plan.domain,
        "licence": plan.licence,
        "description": plan.description,
        "rows": counted.kept,
        "columns": columns,
        "classes": [
            {"name": plan.class_names[0], "percent": 100 - share},
            {"name": plan.class_names[1], "percent": share},
        ],
        "tiers": {str(tier): text for tier, text in _tier_texts(plan).items() if tier in (0, *tiers)},
        "history": [*history, {"version": len(history) + 1, "rows": counted.kept, "note": note}],
    }


def past_versions(prepared: Prepared) -> list[dict[str, Any]]:
    """The history on the card of an earlier version."""
    found: list[dict[str, Any]] = json.loads(prepared.card())["history"]
    return found


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
