"""The grantee's side of a grant: its tier key, and the files that the key opens (protocol, section 6)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedproof import _core
from fedproof.data import Records, Schema
from fedproof.data.records import largest_records
from fedproof.errors import InputError, PendingError, SealingError, StateError
from fedproof.learning import sgd
from fedproof.ledger.market_types import TIERS, DatasetMinted
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.provider import RECORDS, grant_context
from fedproof.proving.transcript import hpke_key_word
from fedproof.sealing import KeyPair, TierKey, open_tier_key
from fedproof.statements.vectors import dataset_vector
from fedproof.storage import BlobStore
from fedproof.storage.bundle import open_tier, read_index

_NONE = bytes(32)


@dataclass(frozen=True)
class Access:
    """A tier key in the hands of its grantee, and the version of the dataset that it is for."""

    listing: DatasetMinted
    tier: int
    key: TierKey


def delivered_access(
    market: Marketplace, store: BlobStore, grantee: str, hpke: KeyPair, dataset_id: int, version: int | None = None
) -> Access:
    """The highest tier key that was delivered to a grantee, of the newest version or of one, and that opens the tier.

    A provider may deliver again, and what it delivers later may be junk: earlier keys count as much.

    Raises:
        StateError: none was delivered.
        SealingError: nothing that was delivered opens.
    """
    found = [
        each
        for each in market.deliveries(datasetId=dataset_id, grantee=grantee)
        if version is None or each.version == version
    ]
    if not found:
        what = f"dataset {dataset_id}" if version is None else f"version {version} of dataset {dataset_id}"
        raise PendingError(f"the provider of {what} has not delivered the key yet; try again later")
    found.sort(key=lambda each: (each.version, each.tier, each.block_number), reverse=True)
    problem: SealingError | None = None
    for each in found:
        context = grant_context(market, dataset_id, each.version, each.tier, grantee)
        try:
            access = Access(
                market.listing(dataset_id, each.version), each.tier, open_tier_key(hpke, each.sealed_key, context)
            )
            check_key(store, access)
        except SealingError as error:
            problem = problem or SealingError(
                f"the key of tier {each.tier} of version {each.version} of dataset {dataset_id} that its provider "
                f"delivered is of no use: {error}"
            )
        else:
            return access
    assert problem is not None
    raise problem


def check_key(store: BlobStore, access: Access) -> None:
    """Try a key on the highest sealed tier that it should open.

    Raises:
        SealingError: it is another's.
        StorageError: the store does not have the tier's index.
    """
    sealed = [index for index in access.listing.terms.sealed_files[1 : access.tier + 1] if index != _NONE]
    if sealed:
        read_index(store, access.key, access.listing.commitment, sealed[-1].hex())


def check_hpke(market: Marketplace, grantee: str, hpke: KeyPair, dataset_id: int, tier: int) -> None:
    """Refuse to look for keys that were sealed to another key than this node's.

    Raises:
        StateError: the grant names another HPKE key.
    """
    named = market.grant(dataset_id, grantee, tier).hpke_key_hash
    if named != hpke_key_word(hpke.public)[: len(named)]:
        raise StateError(
            f"the grant of tier {tier} of dataset {dataset_id} names another HPKE key than this node's: nothing that "
            "is sealed to it can be opened here; restore the state folder that took the grant"
        )


def open_files(
    store: BlobStore, access: Access, out: Path, only: int | None = None, most: int | None = None
) -> dict[int, list[Path]]:
    """Open the files of all tiers that the key opens, each into `out/tierN`, or of one tier alone.

    Args:
        most: bytes that the files may have together; by default what the disk has room for.

    Raises:
        InputError: the tier is above the grant, holds no files, or too much; or a file is there already.
        SealingError, StorageError: a file is damaged, missing or swapped; the message names it.
    """
    if only is not None and not 1 <= only <= access.tier:
        raise InputError(f"this grant is of tier {access.tier}: it opens tiers 1 to {access.tier}, not {only}")
    sealed = access.listing.terms.sealed_files
    tiers = range(1, access.tier + 1) if only is None else (only,)
    out_of = {tier: sealed[tier] for tier in tiers if sealed[tier] != _NONE}
    if not out_of:
        raise InputError(f"dataset {access.listing.dataset_id} holds no files in the tiers of this grant")
    context = access.listing.commitment
    sizes = [entry.size for index in out_of.values() for entry in read_index(store, access.key, context, index.hex())]
    room = shutil.disk_usage(_existing(out)).free if most is None else most
    if sum(sizes) > room:
        what = "there is room for" if most is None else "was asked for"
        raise InputError(
            f"the files have {sum(sizes):,} bytes, more than {what} ({room:,}); open one tier, or say more"
        )
    return {
        tier: open_tier(store, access.key, context, index.hex(), out / f"tier{tier}") for tier, index in out_of.items()
    }


def check_records(market: Marketplace, store: BlobStore, srs: _core.Srs, listing: DatasetMinted, folder: Path) -> int:
    """Check opened Tier-3 records against the commitments on chain, block by block; returns the number of rows.

    Args:
        srs: powers of tau of the dataset's capacity class.
        folder: where `open_files` put Tier 3.

    Raises:
        SealingError: the records are not the listed ones.
    """
    schema = Schema.decode(store.get(listing.terms.schema.hex()))
    shape = market.capacity_class(listing.terms.class_id)
    most = largest_records(shape.rows, shape.columns - 1)
    blocks = [(listing.rows, listing.commitment)]
    blocks += [(each.rows, each.commitment) for each in market.blocks(listing.dataset_id, listing.version)]
    for number, (rows, commitment) in enumerate(blocks, 1):
        path = folder / RECORDS.format(number)
        try:
            if path.stat().st_size > most:
                raise SealingError(f"{path.name} is larger than its capacity class allows: it is not what was listed")
            records = Records.decode(path.read_bytes())
        except OSError:
            raise SealingError(f"tier {TIER_TRAINING} lacks {path.name}: it is not what was listed") from None
        records.check_schema(schema)
        padded = sgd.pad_to(shape.rows, shape.columns, records.features, np.asarray(records.labels))
        vector = dataset_vector(*padded, _core.fr_from_bytes(records.blinding))
        if records.rows != rows or srs.commit(vector) != commitment:
            raise SealingError(
                f"dataset {listing.dataset_id}, block {number}: the sealed records are not the listed ones"
            )
    return sum(rows for rows, _ in blocks)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def highest_tier(market: Marketplace, dataset_id: int, grantee: str) -> int:
    """The highest tier of which a grant runs; 0 when none does."""
    return max((tier for tier in range(TIERS) if market.has_access(dataset_id, grantee, tier)), default=0)
