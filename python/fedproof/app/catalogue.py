"""The catalogue of a marketplace: what anybody may know of its datasets without a grant (Tier 0)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fedproof.app.amounts import show_tokens
from fedproof.app.strict import finite
from fedproof.errors import FedproofError, InputError
from fedproof.ledger.market_types import TIERS, DatasetMinted
from fedproof.ledger.marketplace import Marketplace
from fedproof.storage import BlobStore

MAX_CARD_BYTES = 1 << 20
MAX_CARD_DEPTH = 8
"""A card comes from a stranger: what is larger or deeper is not shown, for it would cost every reader."""
_NONE = bytes(32)


@dataclass(frozen=True)
class Filters:
    """What a search asks for; None asks for nothing. Prices are base units, of `tier` or of any tier."""

    text: str | None = None
    domain: str | None = None
    owner: str | None = None
    min_rows: int | None = None
    max_rows: int | None = None
    tier: int | None = None
    max_price: int | None = None
    retired: bool = False


@dataclass(frozen=True)
class Entry:
    """A dataset in the catalogue, in its present version.

    Attributes:
        rows: of all blocks. card: the public card, empty when there is none or the store does not have it.
        history: number, block and rows of each version.
    """

    dataset_id: int
    version: int
    owner: str
    rows: int
    retired: bool
    class_rows: int
    class_columns: int
    commitment: str
    schema: str
    thresholds: tuple[int, ...]
    prices: tuple[int, ...]
    card: dict[str, Any]
    card_error: str | None
    history: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        """The name on the card."""
        return str(self.card.get("name", ""))

    @property
    def domain(self) -> str:
        """The domain on the card."""
        return str(self.card.get("domain", ""))

    def tiers(self) -> list[dict[str, Any]]:
        """The tiers on offer, Tier 0 first."""
        return [
            {"tier": tier, "threshold": show_tokens(self.thresholds[tier]), "price": show_tokens(self.prices[tier])}
            for tier in range(TIERS)
            if tier == 0 or self.thresholds[tier]
        ]

    def matches(self, filters: Filters) -> bool:
        """Whether a search finds it."""
        f = filters
        offered = [tier for tier in range(1, TIERS) if self.thresholds[tier]] if f.tier is None else [f.tier]
        checks = (
            f.retired or not self.retired,
            f.domain is None or f.domain.casefold() == self.domain.casefold(),
            f.owner is None or f.owner.lower() == self.owner.lower(),
            f.min_rows is None or self.rows >= f.min_rows,
            f.max_rows is None or self.rows <= f.max_rows,
            f.tier is None or f.tier == 0 or self.thresholds[f.tier] > 0,
            f.max_price is None or any(self.prices[tier] <= f.max_price for tier in offered),
            f.text is None or all(word in self._words() for word in f.text.casefold().split()),
        )
        return all(checks)

    def _words(self) -> str:
        return json.dumps(self.card, ensure_ascii=False).casefold()

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "dataset": self.dataset_id,
            "version": self.version,
            "owner": self.owner,
            "name": self.name,
            "domain": self.domain,
            "rows": self.rows,
            "retired": self.retired,
            "class": {"rows": self.class_rows, "columns": self.class_columns},
            "commitment": self.commitment,
            "schema": self.schema,
            "tiers": self.tiers(),
            "card": self.card,
            "card_error": self.card_error,
            "history": list(self.history),
        }


def entry(market: Marketplace, store: BlobStore, dataset_id: int) -> Entry:
    """One dataset.

    Raises:
        ContractRejected: there is none of this id.
    """
    found = market.dataset(dataset_id)
    listings = market.listings(datasetId=dataset_id)
    present = next(each for each in listings if each.version == found.version)
    shape = market.capacity_class(found.class_id)
    card, error = _card(store, present.terms.card)
    return Entry(
        dataset_id=dataset_id,
        version=found.version,
        owner=found.provider,
        rows=_rows(market, present),
        retired=found.retired,
        class_rows=shape.rows,
        class_columns=shape.columns,
        commitment=found.commitment.hex(),
        schema=found.schema.hex(),
        thresholds=found.thresholds,
        prices=found.prices,
        card=card,
        card_error=error,
        history=tuple(
            {"version": each.version, "block": each.block_number, "rows": _rows(market, each)} for each in listings
        ),
    )


def search(market: Marketplace, store: BlobStore, filters: Filters) -> list[Entry]:
    """All datasets that the filters let through, by id."""
    if filters.tier is not None and not 0 <= filters.tier < TIERS:
        raise InputError(f"there is no tier {filters.tier}: tiers are 0 to {TIERS - 1}")
    found = (entry(market, store, dataset_id) for dataset_id in range(1, market.datasets() + 1))
    return [each for each in found if each.matches(filters)]


def _rows(market: Marketplace, listing: DatasetMinted) -> int:
    return listing.rows + sum(block.rows for block in market.blocks(listing.dataset_id, listing.version))


def _card(store: BlobStore, blob: bytes) -> tuple[dict[str, Any], str | None]:
    """The card, and why it cannot be shown: a missing card must not hide a dataset."""
    if blob == _NONE:
        return {}, None
    try:
        given = store.get(blob.hex(), limit=MAX_CARD_BYTES)
        document = json.loads(given, parse_constant=_no_constant, parse_float=finite)
    except FedproofError as error:
        return {}, str(error)
    except (ValueError, RecursionError):
        return {}, "the card is not JSON"
    if not isinstance(document, dict):
        return {}, "the card is not a JSON object"
    if _too_deep(document, MAX_CARD_DEPTH):
        return {}, f"the card is more than {MAX_CARD_DEPTH} levels deep"
    return document, None


def _no_constant(name: str) -> None:
    """NaN and Infinity are no JSON, and would spoil that of whoever shows the card."""
    raise ValueError(name)


def _too_deep(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_too_deep(each, levels - 1) for each in inside)
