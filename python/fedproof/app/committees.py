"""Key committees and hand-overs of a marketplace home: a dataset stays open when its provider is away, or sells it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedproof import _core
from fedproof.app.contact import contact_keys, contact_state, member_named
from fedproof.app.home import Home
from fedproof.app.selling import adopt, provider_of
from fedproof.app.telling import Teller
from fedproof.errors import InputError, SealingError, StateError
from fedproof.ledger.market_types import KeysPlaced
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.escrow import place_keys, raw_address
from fedproof.nodes.escrow_worker import EscrowWorker, Releases
from fedproof.sealing import TierKey
from fedproof.sealing.handover import MAX_BYTES, HandoverContext, open_handover, seal_handover
from fedproof.storage import BlobStore
from fedproof.storage.bundle import read_index

_NONE = bytes(32)


@dataclass(frozen=True)
class _Kit:
    """What a worker needs for datasets of one capacity class."""

    market: Marketplace
    store: BlobStore
    srs: _core.Srs


def place(home: Home, name: str, dataset_id: int, members: Sequence[str], threshold: int, teller: Teller) -> KeysPlaced:
    """Share the keys of the present version among a committee; repeat it after each update or interruption.

    Args:
        members: contact files, or identities of this home.
    """
    provider = provider_of(home, name, dataset_id)
    committee = [member_named(home, who) for who in members]
    if threshold < 1 or len(committee) < 2 * threshold + 1:
        raise InputError(
            f"a threshold of {threshold} takes {max(3, 2 * threshold + 1)} members or more, not {len(committee)}: "
            "name them with --member, or lower --threshold (at least 1)"
        )
    if len({member.address for member in committee}) != len(committee):
        raise InputError("a member is named twice: each has one place in a committee")
    teller.doing("sharing the keys")
    placed = place_keys(provider, committee, threshold)
    teller.step(f"dataset {dataset_id}: keys of version {placed.version} are with {len(committee)} members")
    return placed


def release(home: Home, name: str, datasets: Collection[int], teller: Teller) -> Releases:
    """Answer, as a member of committees, every running grant that has no share of this member yet.

    Args:
        datasets: serve these alone; empty for all.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for dataset_id in sorted({each.dataset_id for each in home.market.escrow.placements()}):
        if not datasets or dataset_id in datasets:
            by_class[home.market.dataset(dataset_id).class_id].append(dataset_id)
    out = Releases([], [])
    for class_id, served in by_class.items():
        srs = home.class_powers(class_id)
        worker = EscrowWorker(_Kit(home.market, home.store, srs), home.account(name), contact_state(home, name))
        done = worker.release_shares(served)
        out = Releases(out.released + done.released, out.refused + done.refused)
    for each in out.released:
        teller.step(f"dataset {each.dataset_id}: share of tier {each.tier} sealed to {each.grantee}")
    return out


def hand_over(home: Home, name: str, dataset_id: int, to: str, out: Path) -> dict[str, Any]:
    """Seal the keys of all versions of a dataset to its new owner, into a file.

    Args:
        to: a contact file, or an identity of this home.

    Raises:
        InputError: the file is there already, or cannot be written.
        StateError: this home has none of the dataset's keys.
    """
    keys = provider_of(home, name, dataset_id).tier_keys()
    if not keys:
        raise StateError(f"{name} has no keys of dataset {dataset_id}")
    receiver = member_named(home, to)
    sealed = seal_handover(receiver, keys, _context(home, dataset_id))
    try:
        with out.open("xb") as file:
            file.write(sealed)
    except FileExistsError:
        raise InputError(f"{out} exists already; name another file") from None
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    return {"dataset": dataset_id, "to": "0x" + receiver.address.hex(), "versions": sorted(keys), "file": str(out)}


def take_over(home: Home, name: str, dataset_id: int, file: Path) -> dict[str, Any]:
    """Check the keys of a hand-over against what is listed, and go on as the dataset's provider.

    Raises:
        InputError: `name` does not own the dataset, or the file cannot be read.
        SealingError: it was sealed to somebody else, or a key does not open what its version lists.
    """
    owner, address = home.market.dataset(dataset_id).provider, home.account(name).address
    if owner != address:
        raise InputError(f"dataset {dataset_id} belongs to {owner}, not to {name}: buy it first")
    try:
        with file.open("rb") as opened:
            sealed = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    keys = open_handover(contact_keys(home, name), raw_address(address), sealed, _context(home, dataset_id))
    for version, key in keys.items():
        _check(home, dataset_id, version, key)
    adopt(home, name, dataset_id).take_over(dataset_id, keys)
    present = home.market.dataset(dataset_id).version
    return {"dataset": dataset_id, "versions": sorted(keys), "present_version": present, "complete": present in keys}


def _check(home: Home, dataset_id: int, version: int, key: TierKey) -> None:
    """The key opens every sealed tier of the version, or this is not its key."""
    if version > home.market.dataset(dataset_id).version:
        raise SealingError(f"the hand-over holds a key of version {version}, which dataset {dataset_id} does not have")
    listing = home.market.listing(dataset_id, version)
    sealed = [index for index in listing.terms.sealed_files[1:] if index != _NONE]
    for index in sealed:
        try:
            read_index(home.store, key, listing.commitment, index.hex())
        except SealingError as error:
            raise SealingError(f"the key of version {version} of dataset {dataset_id} is wrong: {error}") from None


def _context(home: Home, dataset_id: int) -> HandoverContext:
    return HandoverContext(home.chain.chain_id, raw_address(home.market.registry.address), dataset_id)
