"""Tier keys in the hands of a committee, for providers that may be offline (protocol, section 6).

The provider shares each tier's key among M workers, of which at most t may collude; each share is sealed to its
worker, and one blob, named on chain, says where they are. When a grant runs, each worker seals its share to the
grantee's key and publishes it (see `escrow_worker`); t + 1 good ones give the tier key. This is the side of provider
and grantee.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fedproof import _core
from fedproof.errors import (
    FedproofError,
    InputError,
    PendingError,
    SealingError,
    SharingError,
    StateError,
    StorageError,
)
from fedproof.ledger import SignedTransaction
from fedproof.ledger.market_types import DatasetMinted, KeysPlaced, ShareReleased
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.grantee import Access, check_key
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.provider import Provider
from fedproof.sealing import KeyPair, TierKey, open_sealed, seal
from fedproof.sealing.escrow import MAX_ESCROW_BYTES, Escrow, EscrowContext, Member, SharedTier
from fedproof.sharing import KEY_SHARE_LENGTH, Share, check_key_share, rebuild_key, share_key
from fedproof.storage import BlobStore


class EscrowKit(Protocol):
    """What workers and grantees need: a `ListingKit` or a `Deployment`. The powers are those of the dataset's class."""

    @property
    def market(self) -> Marketplace: ...
    @property
    def store(self) -> BlobStore: ...
    @property
    def srs(self) -> _core.Srs: ...


@dataclass(frozen=True)
class Collected:
    """A tier key that a committee handed out, and the addresses of members whose shares were wrong."""

    access: Access
    wrong: list[str]


# -- the provider --


def place_keys(provider: Provider, committee: Sequence[Member], threshold: int) -> KeysPlaced:
    """Share the keys of the present version among a committee: every offered tier, and every tier of a running grant.

    Called again for the same version and committee it does nothing, unless something else was placed since.

    Raises:
        StateError: this node has listed nothing, or does not have the keys of the present version.
        SealingError, SharingError: the committee is too small, or holds a member twice.
    """
    kit, state, dataset = provider.kit, provider.state, provider.dataset
    if dataset is None:
        raise StateError(f"{provider.account.name} has listed no dataset from this folder yet")
    market = kit.market
    version = market.dataset(dataset).version
    key = provider.tier_keys().get(version)
    if key is None:
        raise StateError(f"this folder does not hold the keys of version {version} of dataset {dataset}")
    now, offered = market.chain.timestamp(), market.dataset(dataset).thresholds
    tiers = {tier for tier, threshold_ in enumerate(offered) if threshold_}
    tiers |= {grant.tier for grant in market.grants(datasetId=dataset) if grant.expiry > now}

    wanted = hashlib.sha256(threshold.to_bytes(2, "big") + bytes(sorted(tiers)))
    for member in committee:
        wanted.update(member.address + hashlib.sha256(member.hpke_key).digest())
    digest = wanted.hexdigest()
    known, placed = state.get("escrows", {}).get(str(version)), market.escrow.placed(dataset, version)
    if known and placed and known == {"committee": digest, "escrow": placed.escrow_id.hex()}:
        return placed

    def prepare() -> SignedTransaction:
        context = escrow_context(market, dataset, version)
        shared = tuple(_share(kit, context, key.down_to(tier), committee, threshold) for tier in sorted(tiers))
        blob = kit.store.put(Escrow(threshold, tuple(committee), shared).encode())
        return market.chain.prepare(market.escrow.place_call(dataset, version, bytes.fromhex(blob)), provider.account)

    name = f"escrow/{version}/{digest}"
    done = KeysPlaced.of(send_once(market.chain, state, name, prepare).event("KeysPlaced"))
    record = {"committee": digest, "escrow": done.escrow_id.hex()}
    state.put(escrows={**state.get("escrows", {}), str(version): record})
    forget(state, name)
    return done


def _share(
    kit: EscrowKit, context: EscrowContext, key: TierKey, committee: Sequence[Member], threshold: int
) -> SharedTier:
    made = share_key(key.encode()[2:], threshold, len(committee), kit.srs)
    shared = SharedTier(key.tier, made.commitment, made.commitments_r, ())
    ids = []
    for index, (member, share) in enumerate(zip(committee, made.shares, strict=True), 1):
        sealed = seal(member.hpke_key, share.encode(), context.share_info(shared, index, member))
        ids.append(bytes.fromhex(kit.store.put(sealed)))
    return SharedTier(key.tier, made.commitment, made.commitments_r, tuple(ids))


# -- the grantee --


def collect_key(
    kit: EscrowKit, grantee: str, hpke: KeyPair, dataset_id: int, tier: int, version: int | None = None
) -> Collected:
    """The key of a granted tier, from the shares that its committee has released.

    Args:
        grantee: its address. hpke: the key pair of its grant of this tier.
        version: default the present one.

    Raises:
        StateError: nothing was placed for this version, or too few members have released good shares yet.
        InputError: the escrow does not hold this tier.
        SharingError: fewer than t + 1 shares are good and some are wrong; it names their workers.
        SealingError: the rebuilt key is not that of the sealed tier: the provider shared another.
    """
    market = kit.market
    listing = market.listing(dataset_id, version)
    where = f"version {listing.version} of dataset {dataset_id}"
    placements = market.escrow.placements(datasetId=dataset_id, version=listing.version)
    if not placements:
        raise StateError(f"the keys of {where} are with no committee: its provider delivers them itself")
    problem: FedproofError | None = None
    for escrow_id in reversed(dict.fromkeys(placed.escrow_id for placed in placements)):
        eras = eras_of(placements, escrow_id)
        try:
            return _collect(kit, grantee, hpke, listing, tier, escrow_id, eras)
        except (StateError, InputError, SharingError, SealingError, StorageError) as error:
            problem = problem or error  # that of the newest escrow says most
    assert problem is not None
    raise problem


def _collect(
    kit: EscrowKit, grantee: str, hpke: KeyPair, listing: DatasetMinted, tier: int, escrow_id: bytes, eras: list[Era]
) -> Collected:
    where = f"version {listing.version} of dataset {listing.dataset_id}"
    escrow = Escrow.decode(kit.store.get(escrow_id.hex(), limit=MAX_ESCROW_BYTES))
    shared = escrow.tier(tier)
    if shared is None:
        raise InputError(f"the committee of {where} does not hold the key of tier {tier}")
    good, wrong = _sort(kit, escrow, shared, listing, eras, grantee, hpke)
    needed = escrow.threshold + 1
    if len(good) < needed:
        found = f"{len(good)} of {needed} shares of tier {tier} of {where} are there"
        if wrong:
            raise SharingError(f"{found}; these workers released wrong ones: {', '.join(wrong)}")
        raise PendingError(f"{found}; try again later")
    access = Access(listing, tier, TierKey(tier, rebuild_key(list(good.values())[:needed], escrow.threshold)))
    try:
        check_key(kit.store, access)
    except SealingError as error:
        raise SealingError(f"the escrow of {where} holds another key than the sealed tier's: {error}") from None
    return Collected(access, wrong)


def progress_of(market: Marketplace, store: BlobStore, dataset_id: int, tier: int, grantee: str) -> tuple[int, int]:
    """How many members have released shares of a tier of the present version to a grantee, and how many it takes.

    Says nothing of whether the shares are right; `(0, 0)` when no committee holds the tier, or its blob is lost.
    """
    version = market.dataset(dataset_id).version
    placements = market.escrow.placements(datasetId=dataset_id, version=version)
    if not placements:
        return 0, 0
    escrow_id = placements[-1].escrow_id
    eras = eras_of(placements, escrow_id)
    try:
        escrow = Escrow.decode(store.get(escrow_id.hex(), limit=MAX_ESCROW_BYTES))
    except (SealingError, StorageError):
        return 0, 0
    if escrow.tier(tier) is None:
        return 0, 0
    members = {
        escrow.place_of(raw_address(each.worker))
        for each in market.escrow.released(datasetId=dataset_id, grantee=grantee)
        if each.tier == tier and each.version == version and belongs(each, eras)
    }
    return len(members - {None}), escrow.threshold + 1


def _sort(
    kit: EscrowKit,
    escrow: Escrow,
    shared: SharedTier,
    listing: DatasetMinted,
    eras: list[Era],
    grantee: str,
    hpke: KeyPair,
) -> tuple[dict[int, Share], list[str]]:
    """Good shares by index, and the workers that released only wrong ones."""
    context = escrow_context(kit.market, listing.dataset_id, listing.version)
    good: dict[int, Share] = {}
    wrong: dict[int, str] = {}
    for each in kit.market.escrow.released(datasetId=listing.dataset_id, grantee=grantee):
        index = escrow.place_of(raw_address(each.worker))
        about = (each.tier, each.version) == (shared.tier, listing.version)
        if index is None or index in good or not about or not belongs(each, eras):
            continue
        info = context.release_info(shared, index, escrow.members[index - 1], raw_address(grantee))
        try:
            share = Share.decode(open_sealed(hpke, each.sealed_share, info), index=index, length=KEY_SHARE_LENGTH)
            check_key_share(share, shared.commitment, shared.commitments_r, kit.srs)
            good[index] = share
        except (SealingError, SharingError):
            wrong[index] = each.worker
    return good, [worker for index, worker in sorted(wrong.items()) if index not in good]


Era = tuple[tuple[int, int], tuple[int, int] | None]
"""From which place on chain (block, log index) to which an escrow was the one that counts; None while it still is."""


def eras_of(placements: Sequence[KeysPlaced], escrow_id: bytes) -> list[Era]:
    """When an escrow was the last one that was placed. A provider may place another, and the first one again."""
    out: list[Era] = []
    for k, placed in enumerate(placements):
        if placed.escrow_id == escrow_id:
            end = None
            if k + 1 < len(placements):
                end = (placements[k + 1].block_number, placements[k + 1].log_index)
            out.append(((placed.block_number, placed.log_index), end))
    return out


def belongs(released: ShareReleased, eras: Sequence[Era]) -> bool:
    """Whether a share was released while the escrow counted: at other times its worker meant another."""
    place = (released.block_number, released.log_index)
    return any(start < place and (end is None or place < end) for start, end in eras)


def escrow_context(market: Marketplace, dataset: int, version: int) -> EscrowContext:
    """What shares of a version's keys are bound to."""
    return EscrowContext(market.chain.chain_id, raw_address(market.registry.address), dataset, version)


def raw_address(address: str) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(address[2:])
