"""Listings, notes and grants: one lie each, and the line that it is caught with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedproof import _core
from fedproof.app import audit_market
from fedproof.app.audit_base import direct_call
from fedproof.errors import AuditError, StorageError
from fedproof.ledger import Chain
from fedproof.ledger.market_types import UNIT
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.vault import Deposited, Spent, Vault
from fedproof.statements.notes import Forest, Note
from fedproof.storage import BlobStore
from tests.app.runs import FinishedRun
from tests.app.tampering import OTHER, Events, Lie, Tamper, add, refused, twice

pytestmark = pytest.mark.slow

ONE = (1, 2)


def listed(**terms: Any) -> Lie:
    """Every listing has other terms."""

    def change(found: list[Any]) -> list[Any]:
        return [replace(each, terms=replace(each.terms, **terms)) for each in found]

    return lambda t: t.answer(Marketplace, "listings", change)


def kept(change: Callable[[Any], Any]) -> Lie:
    return lambda t: t.answer(Marketplace, "dataset", change)


def offered(**terms: Any) -> Lie:
    """The listing is true when its proof is checked, and has other terms when a grant is."""

    def lie(tamper: Tamper) -> None:
        real, seen = audit_market.listing_at, []

        def lying(*arguments: Any) -> Any:
            found = real(*arguments)
            seen.append(found)
            return found if len(seen) == 1 else replace(found, terms=replace(found.terms, **terms))

        tamper.patch.setattr(audit_market, "listing_at", lying)

    return lie


def extended(tamper: Tamper) -> None:
    tamper.answer(Marketplace, "grants", lambda found: [replace(each, extension=True) for each in found])


def no_sealed_records(tamper: Tamper) -> None:
    real = BlobStore.get
    wanted: list[str] = []
    tamper.answer(
        Marketplace, "listings", lambda found: wanted.extend(e.terms.sealed_files[3].hex() for e in found) or found
    )

    def get(store: BlobStore, blob: str, **more: Any) -> bytes:
        if blob in wanted:
            raise StorageError("it is not there")
        return real(store, blob, **more)

    tamper.patch.setattr(BlobStore, "get", get)


def later(found: Events) -> Events:
    return [replace(event, block_number=event.block_number + 1000) for event in found]


def longer_grant(tamper: Tamper) -> None:
    tamper.call("accessDataset", lambda c: c.update(duration=c["duration"] + 1))
    tamper.event("AccessGranted", expiry=add(1))


def another_equal_note(tamper: Tamper) -> None:
    """The transaction of a deposit made one more note of the same owner and amount, and the tree has both."""

    def grown(found: list[Deposited | Spent]) -> list[Deposited | Spent]:
        first = next(each for each in found if isinstance(each, Deposited))
        forest = Forest(each.leaves for each in found)
        note = Note(first.owner, first.amount, first.unlock_epoch, len(forest))
        forest.grow([note.leaf()])
        return [*found, replace(first, leaf_index=note.nonce, leaf=note.leaf(), root=forest.root)]

    tamper.answer(Vault, "growth", grown)


LIES: dict[str, tuple[Lie, str]] = {
    "a dataset listed twice": (
        lambda t: t.answer(Marketplace, "listings", lambda found: found * 2),
        "do not follow one another",
    ),
    "a dataset never listed": (lambda t: t.answer(Marketplace, "listings", lambda _: []), "do not follow one another"),
    "another class": (listed(class_id=9), "another capacity class"),
    "another schema": (listed(schema=b"x" * 32), "another schema"),
    "other thresholds": (listed(thresholds=(0,) * 6), "dataset 1: listing: "),
    "other sealed files": (listed(sealed_files=(b"x" * 32,) * 6), "dataset 1: listing: "),
    "more rows": (lambda t: t.event("DatasetMinted", rows=add(1)), "dataset 1: listing: "),
    "another commitment": (lambda t: t.event("DatasetMinted", commitment=ONE), "dataset 1: listing: "),
    "another listing proof": (lambda t: t.call("mintDataset", lambda c: c["listing"].update(y=1)), "listing: "),
    "another provider": (lambda t: t.event("DatasetMinted", provider=OTHER), "did not go from"),
    "no sealed records": (no_sealed_records, "dataset 1: listing: it is not there"),
    "other rows kept": (kept(lambda d: replace(d, rows=d.rows + 1)), "keeps other rows"),
    "another commitment kept": (kept(lambda d: replace(d, commitment=_core.g1_generator())), "keeps other rows or"),
    "a leaf of another amount": (lambda t: t.event("Deposited", amount=add(1)), "not the hash of what was deposited"),
    "another root": (lambda t: t.event("Deposited", root=add(1)), "tree does not add up"),
    "a note that nobody paid": (lambda t: t.event("Transfer", value=add(1)), "tokens never came in"),
    "one payment for two equal notes": (another_equal_note, "tokens never came in"),
    "a root that never was": (lambda t: t.call("accessDataset", lambda c: c.update(root=1)), "was never the vault's"),
    "a root of later": (lambda t: t.events("Deposited", later), "was never the vault's"),
    "another nullifier": (lambda t: t.event("AccessGranted", nullifier=add(1)), "burned another nullifier"),
    "a nullifier used twice": (lambda t: t.events("AccessGranted", twice), "was spent before"),
    "a longer grant": (lambda t: t.event("AccessGranted", expiry=add(1)), "ends at another time"),
    "another duration": (longer_grant, "eligibility proof"),
    "another tier": (lambda t: t.event("AccessGranted", tier=4), "eligibility proof"),
    "a tier that is not offered": (offered(thresholds=(0,) * 6), "was not offered"),
    "a lower threshold": (offered(thresholds=(0, *[UNIT] * 5)), "eligibility proof"),
    "another price": (lambda t: t.event("AccessGranted", price=add(1)), "paid otherwise than the price"),
    "another HPKE key": (lambda t: t.event("AccessGranted", hpkeKey=bytes(32)), "eligibility proof"),
    "another purpose": (extended, "eligibility proof"),
    "another grantee": (lambda t: t.event("AccessGranted", grantee=OTHER), "did not go from"),
    "another eligibility proof": (
        lambda t: t.call("accessDataset", lambda c: c.update(proof=[*c["proof"][:7], 1])),
        "eligibility proof",
    ),
    "a later epoch": (
        lambda t: (t.answer(Chain, "timestamp", add(10**7)), t.event("AccessGranted", expiry=add(10**7))),
        "eligibility proof",
    ),
}


@pytest.mark.parametrize("what", LIES)
def test_refuses_a_marketplace_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *LIES[what])


def test_two_equal_notes_of_one_transaction_are_paid_by_two_equal_transfers(run: FinishedRun, tamper: Tamper) -> None:
    another_equal_note(tamper)
    tamper.events("Transfer", lambda found: found * 2)
    (line,) = [check for check in run.audit().checks if check.startswith("vault: ")]
    assert line.startswith("vault: 7 notes, each paid in")  # the run's six, and this one


def test_only_a_transaction_straight_to_the_contract_is_read(run: FinishedRun) -> None:
    chain, at = run.chain, {name: made[0] for name, made in run.manifest.contracts.items()}
    registry, vault = chain.contract_at("DatasetRegistry", at["DatasetRegistry"]), at["NoteVault"]
    event = chain.events(registry, "DatasetMinted")[0]
    sender = event.args["provider"]
    for who in (sender, None):
        found = direct_call(chain, registry, event.tx_hash, "mintDataset", who)
        assert found is not None
        assert "listing" in found
    # to another contract, and to none: what either passed on, if anything, its calldata does not say
    assert direct_call(chain, chain.contract_at("NoteVault", vault), event.tx_hash, "mintDataset", sender) is None
    assert direct_call(chain, registry, run.manifest.contracts["NoteVault"][1], "mintDataset", sender) is None
    for contract, tx_hash, name, who, match in (
        (registry, event.tx_hash, "retire", sender, "calls mintDataset, not retire"),
        (registry, event.tx_hash, "mintDataset", OTHER, "did not go from"),
        (registry, "0x" + 64 * "1", "mintDataset", sender, "has no transaction"),
    ):
        with pytest.raises(AuditError, match=match):
            direct_call(chain, contract, tx_hash, name, who)


def test_calldata_of_no_function_is_refused(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = run.chain
    registry = chain.contract_at("DatasetRegistry", run.manifest.contracts["DatasetRegistry"][0])
    event = chain.events(registry, "DatasetMinted")[0]
    monkeypatch.setattr(Chain, "transaction_input", lambda *_: bytes(4))
    with pytest.raises(AuditError, match="is no call of"):
        direct_call(chain, registry, event.tx_hash, "mintDataset", event.args["provider"])
