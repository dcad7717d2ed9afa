"""What a data owner does with a marketplace home: list a prepared dataset, update, retire, sell, and answer grants."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from fedproof.app.amounts import show_tokens
from fedproof.app.home import OPERATOR, Home
from fedproof.app.prepared import Prepared
from fedproof.app.sales import address_of
from fedproof.app.telling import Teller
from fedproof.data.limits import MAX_FEATURES, MAX_ROWS, MAX_VALUES
from fedproof.data.schema import MAX_SCHEMA_BYTES, Schema, is_capacity
from fedproof.errors import InputError, KeyFileError, StateError
from fedproof.ledger.market_types import TIERS, DatasetMinted
from fedproof.nodes.offering import Block, Offering
from fedproof.nodes.params import ListingKit
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.statements.labels import LabelKind

GAS_MONEY: Final = 10**18
"""Wei that an account of a development chain gets with its tokens."""


class _Blocks:
    """The blocks of a prepared folder, one in memory at a time."""

    def __init__(self, prepared: Prepared, teller: Teller | None = None) -> None:
        self._prepared = prepared
        self._teller = teller

    def __len__(self) -> int:
        return len(self._prepared.blocks_written)

    def __iter__(self) -> Iterator[Block]:
        for number, block in enumerate(self._prepared.blocks(), 1):
            if self._teller is not None and len(self) > 1:
                self._teller.doing(f"block {number} of {len(self)}")
            yield block


def offering_of(
    prepared: Prepared, thresholds: tuple[int, ...], prices: tuple[int, ...], teller: Teller | None = None
) -> Offering:
    """A prepared folder as an offering. Tiers without a threshold are not offered, whatever files they have."""
    files = {tier: prepared.tier_files(tier) for tier in range(1, TIERS) if thresholds[tier]}
    for tier, found in files.items():
        if not found and tier != 3:
            raise InputError(f"tier {tier} is offered but {prepared.folder}/tier{tier} holds no file")
    return Offering(prepared.schema, thresholds, _Blocks(prepared, teller), prices, prepared.card(), files)


def mint(
    home: Home,
    name: str,
    prepared: Prepared,
    thresholds: tuple[int, ...],
    prices: tuple[int, ...],
    teller: Teller,
) -> DatasetMinted:
    """List a prepared dataset as `name`; repeat it after an interruption and it goes on.

    Raises:
        StateError: this prepared dataset is listed already, or was begun with other files or terms.
    """
    provider = _provider(home, name, prepared, _folder_of(prepared, thresholds, prices))
    teller.doing("sealing the tiers, proving and listing")
    listed = provider.list_dataset(offering_of(prepared, thresholds, prices, teller))
    minted = listed.minted
    home.remember(name, minted.dataset_id, provider.state.folder.name)
    teller.step(f"dataset {minted.dataset_id}: version 1 with {prepared.rows} rows listed by {name}")
    return minted


def update(
    home: Home,
    name: str,
    dataset_id: int,
    prepared: Prepared,
    thresholds: Mapping[int, int],
    prices: Mapping[int, int],
    teller: Teller,
) -> DatasetMinted:
    """List the next version of a dataset, under new keys.

    Args:
        thresholds, prices: by tier, those that change; a threshold of 0 takes the tier from the offer.
    """
    before = home.market.dataset(dataset_id)
    provider = provider_of(home, name, dataset_id, prepared)
    asked = tuple(thresholds.get(tier, before.thresholds[tier]) for tier in range(TIERS))
    cost = tuple(prices.get(tier, before.prices[tier]) if asked[tier] else 0 for tier in range(TIERS))
    for tier, price in prices.items():
        if price and not asked[tier]:
            raise InputError(f"tier {tier} has a price but is not offered: give it a --threshold, too")
    if not any(asked):
        raise InputError("no tier would be left on offer; to end new grants use: fedproof dataset retire")
    offering = offering_of(prepared, asked, cost, teller)
    teller.doing("sealing the tiers under new keys, proving and listing")
    minted = provider.update(offering).minted
    teller.step(f"dataset {dataset_id}: version {minted.version} with {prepared.rows} rows")
    return minted


def check_shape(rows: int, columns: int) -> None:
    """Refuse what can be no capacity class.

    Raises:
        InputError: one line saying what can.
    """
    if not is_capacity(rows) or not 2 <= columns <= MAX_FEATURES + 1 or rows * columns > MAX_VALUES:
        raise InputError(
            f"{rows} x {columns} is no capacity class: rows are 32, 64, 128, ... to {MAX_ROWS}, columns 2 to "
            f"{MAX_FEATURES + 1}, and at most {MAX_VALUES} values"
        )


def provider_of(home: Home, name: str, dataset_id: int, prepared: Prepared | None = None) -> Provider:
    """The provider's node of a dataset that `name` listed from this home, or owns now.

    Raises:
        InputError: neither.
    """
    folder = home.remembered(name).get(dataset_id)
    if folder is None:
        present = home.market.dataset(dataset_id)
        if present.provider != home.account(name).address:
            raise InputError(f"{name} has not listed dataset {dataset_id} from this home and does not own it")
        provider = adopt(home, name, dataset_id)
        folder = provider.state.folder.name
    if prepared is None:
        return _open(home, name, home.market.dataset(dataset_id).class_id, folder, _kind(home, dataset_id))
    return _provider(home, name, prepared, folder)


def adopt(home: Home, name: str, dataset_id: int) -> Provider:
    """The provider's node of a dataset that `name` has come to own; without keys until they are handed over."""
    folder = home.remembered(name).get(dataset_id, f"dataset-{dataset_id}-bought")
    provider = _open(home, name, home.market.dataset(dataset_id).class_id, folder, _kind(home, dataset_id))
    provider.take_over(dataset_id, {})
    home.remember(name, dataset_id, folder)
    return provider


def answer_grants(home: Home, name: str, teller: Teller, again: Collection[str] = ()) -> dict[str, Any]:
    """Seal the keys of all datasets of `name` to whoever holds a grant and has none yet.

    Args:
        again: grantees who get theirs once more, and of every dataset of `name`.

    Returns:
        `delivered`, and in words what was `refused`: one dataset or grant does not keep the others waiting.
    """
    out: dict[str, Any] = {"delivered": [], "refused": []}
    known = home.market.datasets()
    for dataset_id in sorted(home.remembered(name)):
        if dataset_id > known:
            continue  # its listing was lost with the last command's blocks; minting again lists it
        try:
            answers = provider_of(home, name, dataset_id).answer(again)
        except (StateError, KeyFileError) as error:
            out["refused"].append(f"dataset {dataset_id}: {error}")
            continue
        out["refused"] += answers.refused
        for delivered in answers.delivered:
            out["delivered"].append(
                {
                    "dataset": dataset_id,
                    "version": delivered.version,
                    "tier": delivered.tier,
                    "grantee": delivered.grantee,
                    "tx": delivered.tx_hash,
                }
            )
            teller.step(f"dataset {dataset_id}: key of tier {delivered.tier} sealed to {delivered.grantee}")
    return out


def fund(home: Home, name: str, amount: int, *, deposits: bool = False) -> str:
    """Give tokens of the operator to an identity, as a sale of tokens would; for trying things out.

    Args:
        name: an identity of this home, or any address, which gets gas money, too, as a node's account needs.
        deposits: to the account that deposits notes, not to the one that takes grants and pays prices.

    Raises:
        InputError: the operator does not have so many.
    """
    market, operator = home.market, home.account(OPERATOR)
    held = int(market.chain.call(market.token.functions.balanceOf(operator.address)))
    if amount > held:
        raise InputError(f"the operator holds {show_tokens(held)} tokens, fewer than {show_tokens(amount)}")
    to = home.depositor(name).address if deposits else address_of(home, name)
    if name.lower().startswith("0x") and market.chain.is_development and market.chain.balance(to) < GAS_MONEY:
        market.chain.transfer(operator, to, GAS_MONEY)
    return market.chain.transact(market.token.functions.transfer(to, amount), operator).tx_hash


def _folder_of(prepared: Prepared, thresholds: tuple[int, ...], prices: tuple[int, ...]) -> str:
    """Where the provider of a prepared dataset keeps its state: the same for a repeated attempt."""
    return f"dataset-{offering_of(prepared, thresholds, prices).digest().hex()[:16]}"


def _provider(home: Home, name: str, prepared: Prepared, folder: str) -> Provider:
    kind = prepared.schema.label_kind
    return _open(home, name, home.class_of(prepared.capacity_rows, prepared.columns, kind), folder, kind)


def _kind(home: Home, dataset_id: int) -> LabelKind:
    """Of the labels of a dataset of one's own."""
    schema = home.market.dataset(dataset_id).schema.hex()
    return Schema.decode(home.store.get(schema, limit=MAX_SCHEMA_BYTES)).label_kind


def _open(home: Home, name: str, class_id: int, folder: str, kind: LabelKind) -> Provider:
    shape = home.market.capacity_class(class_id)
    srs, keys = home.class_keys(class_id, kind)
    kit = ListingKit(home.market, home.store, srs, keys, class_id, shape.rows, shape.columns, kind)
    state: StateFile = home.state(name, folder, "provider")
    return Provider(kit, home.account(name), state)
