"""What a data user does with a marketplace home: hold notes, prove eligibility, and open what a grant opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedproof.app.amounts import show_tokens
from fedproof.app.home import Home
from fedproof.app.sales import address_of
from fedproof.app.staging import staged
from fedproof.app.telling import Teller
from fedproof.errors import InputError, StateError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger.market_types import TIERS, AccessGranted
from fedproof.ledger.vault import Deposited, Spent
from fedproof.nodes.access import find_access
from fedproof.nodes.escrow import progress_of
from fedproof.nodes.grantee import check_records, open_files
from fedproof.nodes.holder import Holder
from fedproof.nodes.params import TIER_TRAINING, Deployment
from fedproof.nodes.wallet import Wallet


def wallet_of(home: Home, name: str) -> Wallet:
    """The notes of an identity; deposits come from an account apart from the one that takes grants."""
    return Wallet(home.market, home.note_keys()["spend"], home.depositor(name), home.state(name, "notes", "holder"))


def holder_of(home: Home, name: str, dataset_id: int) -> Holder:
    """The holder's node of an identity, for a dataset's capacity class."""
    class_id = home.market.dataset(dataset_id).class_id
    shape = home.market.capacity_class(class_id)
    srs = home.class_powers(class_id)
    plan = TrainingPlan.of(TrainingSpec(shape.rows, shape.columns))  # of its shape; nothing is trained here
    deployment = Deployment(home.market, home.store, srs, plan, class_id, home.note_keys())
    return Holder(deployment, home.account(name), home.state(name, "notes", "holder"), home.depositor(name))


@dataclass(frozen=True)
class Status:
    """Where an identity stands with a dataset.

    Attributes:
        delivered: the newest version whose key its provider delivered, 0 for none.
        shares: how many members of the present version's key committee have released theirs.
        shares_needed: how many it takes, 0 without a committee.
    """

    dataset_id: int
    tier: int
    expiry: int
    seconds_left: int
    delivered: int
    version: int
    shares: int
    shares_needed: int

    @property
    def has_key(self) -> bool:
        """Whether the key of some version can be had now."""
        return self.delivered > 0 or 0 < self.shares_needed <= self.shares

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "dataset": self.dataset_id,
            "tier": self.tier,
            "expiry": self.expiry,
            "seconds_left": self.seconds_left,
            "running": self.seconds_left > 0,
            "key_of_version": self.delivered,
            "version": self.version,
            "shares": self.shares,
            "shares_needed": self.shares_needed,
        }


def request(
    home: Home,
    name: str,
    dataset_id: int,
    tier: int,
    duration: int,
    teller: Teller,
    *,
    extend: bool = False,
    most: int = 0,
) -> AccessGranted:
    """Prove eligibility and take a grant, or extend the one of this tier; the tier's price is paid with it.

    Args:
        most: base units to pay at most.

    Raises:
        InputError: no such tier, or dearer; there is a grant already and `extend` is not set, or the other way round.
        ProofError: the locked notes do not reach the threshold.
        ContractRejected: the registry refused.
    """
    market = home.market
    if not 1 <= tier < TIERS:
        raise InputError(f"there is no tier {tier} to ask for: tiers are 1 to {TIERS - 1}, and tier 0 is free")
    offered = market.dataset(dataset_id)
    if not offered.thresholds[tier]:
        open_tiers = [str(t) for t in range(1, TIERS) if offered.thresholds[t]]
        raise InputError(f"dataset {dataset_id} does not offer tier {tier}; it offers {', '.join(open_tiers)}")
    if offered.retired:
        raise InputError(f"dataset {dataset_id} is retired: it takes no new grants and no extensions")
    price = offered.prices[tier]
    if price > most:
        cost = show_tokens(price)
        raise InputError(f"tier {tier} of dataset {dataset_id} costs {cost} tokens; to pay that, say --at-most {cost}")
    longest = int(market.chain.call(market.registry.functions.maxDuration()))
    if duration > longest:
        raise InputError(f"a grant lasts {longest} s at most ({longest // 86_400} days), not {duration} s")
    holder = holder_of(home, name, dataset_id)
    sent = holder.finish_grant(dataset_id, tier)
    if sent is not None:
        teller.step(f"dataset {dataset_id}: an interrupted request of tier {tier} had gone out, and is finished")
        return sent
    known = market.grant(dataset_id, home.account(name).address, tier).expiry
    if known and not extend:
        raise InputError(f"{name} has had a grant of tier {tier} of dataset {dataset_id}; use: fedproof access extend")
    if extend and not known:
        raise InputError(f"{name} has no grant of tier {tier} of dataset {dataset_id}; use: fedproof access request")
    teller.doing("proving eligibility")
    proof, public = holder.prove_eligibility(dataset_id, tier, duration)
    if market.chain.call(market.registry.functions.isSpent(public[2])):
        raise InputError(
            f"the notes of {name} have given {'an extension' if extend else 'a first grant'} of dataset {dataset_id} "
            "in this epoch already, whatever the tier; they do so once in an epoch"
        )
    granted = holder.take_grant(dataset_id, duration, proof, public, tier, most, offered)
    paid = f", {show_tokens(granted.price)} tokens paid" if granted.price else ""
    teller.step(f"dataset {dataset_id}: tier {tier} {'extended' if extend else 'granted'}, no balance shown{paid}")
    return granted


def status(home: Home, name: str, dataset_id: int | None = None) -> list[Status]:
    """Where an identity stands, for each dataset and tier of which it has had a grant."""
    market, address = home.market, home.account(name).address
    filters = {"grantee": address} if dataset_id is None else {"grantee": address, "datasetId": dataset_id}
    now = market.chain.timestamp()
    latest = {(grant.dataset_id, grant.tier): grant for grant in market.grants(**filters)}
    keys: dict[tuple[int, int], int] = {}
    for delivered in market.deliveries(**filters):
        place = (delivered.dataset_id, delivered.tier)
        keys[place] = max(keys.get(place, 0), delivered.version)
    out = []
    for (found, tier), grant in sorted(latest.items()):
        shares, needed = progress_of(market, home.store, found, tier, address)
        out.append(
            Status(
                dataset_id=found,
                tier=tier,
                expiry=grant.expiry,
                seconds_left=max(0, grant.expiry - now),
                delivered=keys.get((found, tier), 0),
                version=market.dataset(found).version,
                shares=shares,
                shares_needed=needed,
            )
        )
    return out


def open_granted(
    home: Home,
    name: str,
    dataset_id: int,
    out: Path,
    teller: Teller,
    tier: int | None = None,
    version: int | None = None,
    most: int | None = None,
) -> dict[str, Any]:
    """Open the files of a grant into a folder, and check the records against the chain.

    Files get their final names when the records among them have been checked.

    Args:
        most: bytes to take at most; by default what the disk has room for.

    Raises:
        InputError: there never was a grant; or the files are there already, or too large.
        StateError: no key has come yet, from provider or committee.
        SealingError, StorageError: something is not what was listed.
    """
    if not home.market.grants(datasetId=dataset_id, grantee=home.account(name).address):
        raise InputError(f"{name} has no grant of dataset {dataset_id}; ask for one: fedproof access request")
    holder = holder_of(home, name, dataset_id)
    teller.doing("fetching the key")
    kit = replace(holder.deployment, srs=home.class_powers(home.market.listing(dataset_id, version).terms.class_id))
    found = find_access(kit, home.account(name).address, holder.hpke_keys, dataset_id, version)
    access = found.access
    for worker in found.wrong:
        teller.step(f"dataset {dataset_id}: {worker} released a wrong share; enough others were right")
    teller.doing("opening files")
    with staged(out) as stage:
        opened = open_files(home.store, access, stage, tier, most)
        rows = None
        if TIER_TRAINING in opened:
            srs = home.class_powers(access.listing.terms.class_id)  # of this version, not of the present one
            rows = check_records(home.market, home.store, srs, access.listing, stage / f"tier{TIER_TRAINING}")
            teller.step(f"{rows} records are those that the chain committed to")
    opened = {found: [out / path.relative_to(stage) for path in paths] for found, paths in opened.items()}
    return {
        "dataset": dataset_id,
        "version": access.listing.version,
        "tier": access.tier,
        "records_checked": rows,
        "wrong_shares": found.wrong,
        "files": {str(found): [str(path) for path in paths] for found, paths in opened.items()},
    }


def balance(home: Home, name: str) -> dict[str, Any]:
    """What an identity holds: tokens of its two accounts, and its notes."""
    token, chain = home.market.token, home.chain
    holdings = wallet_of(home, name).holdings()
    unlocked = holdings.unlocked()
    return {
        "identity": name,
        "address": home.account(name).address,
        "tokens": show_tokens(int(chain.call(token.functions.balanceOf(home.account(name).address)))),
        "depositor": home.depositor(name).address,
        "depositor_tokens": show_tokens(int(chain.call(token.functions.balanceOf(home.depositor(name).address)))),
        "epoch": holdings.epoch,
        "note_address": str(wallet_of(home, name).address),
        "notes": [
            {
                "tokens": show_tokens(own.amount),
                "unlock_epoch": own.note.unlock_epoch,
                "unlocked": own in unlocked,
            }
            for own in holdings.notes
        ],
    }


def lock_until(home: Home, epochs: int) -> int:
    """The epoch so many epochs from now.

    Raises:
        InputError: none.
    """
    if epochs < 1:
        raise InputError("lock for at least one epoch: a note that is not locked beyond this one counts for nothing")
    return home.market.vault.current_epoch() + epochs


def deposit(home: Home, name: str, amount: int, epochs: int) -> Deposited:
    """Lock tokens of an identity's deposit account in a note for so many epochs.

    Raises:
        InputError: the account does not have so many.
    """
    token = home.market.token.functions
    held = int(home.chain.call(token.balanceOf(home.depositor(name).address)))
    if held < amount:
        raise InputError(
            f"the deposit account of {name} holds {show_tokens(held)} tokens, fewer than {show_tokens(amount)}; "
            f"give it some: fedproof market fund {name} TOKENS --deposits"
        )
    return wallet_of(home, name).deposit(amount, lock_until(home, epochs))


def withdraw(home: Home, name: str, amount: int, to: str | None = None) -> tuple[Spent, str | None]:
    """Pay notes out as tokens, by default to the account that deposits; with a warning where that links accounts.

    Args:
        to: an address, or an identity of this home, whose account for grants is meant.
    """
    recipient = home.depositor(name).address if to is None else address_of(home, to)
    made = wallet_of(home, name).withdraw(amount, recipient)
    if home.market.grants(grantee=recipient):
        return made, "this account has taken grants: the chain shows now that these notes may back them"
    return made, None


def pass_time(home: Home, seconds: int) -> int:
    """Move the clock of a development chain; returns its new time.

    Raises:
        StateError: the chain is not for development.
    """
    if not home.chain.is_development:
        raise StateError("time passes by itself on this chain")
    home.chain.dev.set_next_timestamp(home.chain.timestamp() + seconds)
    home.chain.dev.mine(1)
    return home.chain.timestamp()
