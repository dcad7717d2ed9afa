"""Providers and holders that are stopped between saving and acting, or act twice."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.demo import THRESHOLDS, TOKEN
from fedproof.app.world import World
from fedproof.data import Parts, Schema
from fedproof.errors import ContractRejected, InputError, ProofError, SealingError, StateError
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.holder import Holder
from fedproof.nodes.offering import Offering
from fedproof.nodes.provider import Provider, grant_context
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair, TierKey, seal_tier_key_to

pytestmark = pytest.mark.slow

Market = tuple[World, Parts, Schema]
NAMES = count()
DAY = 86_400


class CrashError(Exception):
    """The process ends here."""


def provider_of(market: Market, folder: Path, name: str) -> Provider:
    world = market[0]
    return Provider(world.deployment.listing, world.chain.new_account(name), StateFile(folder, "provider"))


def holder_of(market: Market, folder: Path, amount: int = 1_200 * TOKEN) -> Holder:
    """A holder with one locked note."""
    world = market[0]
    account = world.chain.new_account(f"holder-{next(NAMES)}")
    holder = Holder(world.deployment, account, StateFile(folder, "participant"))
    world.chain.transact(world.deployment.market.token.functions.transfer(account.address, amount), world.operator)
    holder.lock(amount, world.deployment.market.vault.current_epoch() + 20)
    return holder


def restarted(node: Any) -> Any:
    """The same node in a new process."""
    folder, role = node.state.folder, node.state.role
    node.state.close()
    return type(node)(
        node.kit if isinstance(node, Provider) else node.deployment, node.account, StateFile(folder, role)
    )


def offering(market: Market) -> Offering:
    """The first hospital's part."""
    return Offering.of_table(market[1].parts[0], market[2], THRESHOLDS)


@pytest.fixture
def name() -> str:
    return f"clinic-{next(NAMES)}"


@pytest.fixture
def listed(hospital: Market, tmp_path: Path, name: str) -> Provider:
    """A provider with a listed dataset."""
    provider = provider_of(hospital, tmp_path / "provider", name)
    provider.list_dataset(offering(hospital))
    return provider


def test_a_listing_whose_id_was_not_saved_is_found_and_not_made_twice(
    hospital: Market, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = provider_of(hospital, tmp_path / "p", name)
    real = StateFile.put

    def put(state: StateFile, **values: Any) -> None:
        if values.get("versions", {}).get("1", {}).get("finished"):
            raise CrashError
        real(state, **values)

    monkeypatch.setattr(StateFile, "put", put)
    with pytest.raises(CrashError):
        provider.list_dataset(offering(hospital))
    monkeypatch.undo()
    again = restarted(provider)
    market = hospital[0].deployment.market
    listings = market.listings(provider=again.account.address)
    assert [again.dataset] == [listing.dataset_id for listing in listings]
    assert again.list_dataset(offering(hospital)).minted.dataset_id == again.dataset
    other = Offering.of_table(hospital[1].parts[1], hospital[2], THRESHOLDS)
    with pytest.raises(StateError, match="has listed this as dataset"):
        again.list_dataset(other)
    assert len(market.listings(provider=again.account.address)) == 1
    # and what it saved before it minted opens the listing
    holder = holder_of(hospital, tmp_path / "h")
    holder.request_access(again.dataset, DAY)
    assert len(again.answer_grants()) == 1
    assert holder.open_dataset(again.dataset).rows == hospital[1].parts[0].rows


def test_a_crash_before_minting_leaves_nothing_listed_and_can_be_repeated(
    hospital: Market, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = provider_of(hospital, tmp_path / "p", name)

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    monkeypatch.setattr(Marketplace, "mint_dataset_call", crash)
    with pytest.raises(CrashError):
        provider.list_dataset(offering(hospital))
    monkeypatch.undo()
    again = restarted(provider)
    assert again.dataset is None
    assert again.answer_grants() == []
    before = again.state.get("versions")["1"]
    minted = again.list_dataset(offering(hospital)).minted
    assert again.dataset == minted.dataset_id
    # it went on with the secrets and the sealed files of the first attempt
    after = again.state.get("versions")["1"]
    assert {key: after[key] for key in before} == before


def test_the_key_is_saved_before_the_dataset_is_public(
    hospital: Market, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full stops the listing before anything is on chain."""
    provider = provider_of(hospital, tmp_path / "p", name)

    def full(*_: Any, **__: Any) -> None:
        raise StateError("no room")

    monkeypatch.setattr(StateFile, "put", full)
    with pytest.raises(StateError, match="no room"):
        provider.list_dataset(offering(hospital))
    assert hospital[0].deployment.market.listings(provider=provider.account.address) == []


def test_each_grant_is_answered_exactly_once(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    first, second = holder_of(hospital, tmp_path / "1"), holder_of(hospital, tmp_path / "2")
    dataset = listed.dataset
    assert dataset is not None
    first.request_access(dataset, DAY)
    assert [each.grantee for each in listed.answer_grants()] == [first.account.address]
    assert listed.answer_grants() == []
    second.request_access(dataset, DAY)
    again = restarted(listed)
    assert [each.grantee for each in again.answer_grants()] == [second.account.address]
    assert again.answer_grants() == []
    # an extension keeps its key, which has been delivered
    first.request_access(dataset, DAY)
    assert again.answer_grants() == []
    market = hospital[0].deployment.market
    assert len(market.deliveries(datasetId=dataset)) == 2


def test_a_crash_between_two_answers_loses_none(
    hospital: Market, listed: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = [holder_of(hospital, tmp_path / str(k)) for k in range(2)]
    dataset = listed.dataset
    assert dataset is not None
    for holder in holders:
        holder.request_access(dataset, DAY)
    real, sent = Marketplace.deliver_key_call, []

    def once(*arguments: Any) -> Any:
        if sent:
            raise CrashError
        sent.append(1)
        return real(*arguments)

    monkeypatch.setattr(Marketplace, "deliver_key_call", once)
    with pytest.raises(CrashError):
        listed.answer_grants()
    monkeypatch.undo()
    assert len(restarted(listed).answer_grants()) == 1
    for holder in holders:
        assert holder.open_dataset(dataset).rows == hospital[1].parts[0].rows


def test_a_grant_that_ended_unanswered_does_not_keep_the_others_waiting(
    hospital: Market, listed: Provider, tmp_path: Path
) -> None:
    late, other = holder_of(hospital, tmp_path / "1"), holder_of(hospital, tmp_path / "2")
    dataset = listed.dataset
    assert dataset is not None
    late.request_access(dataset, 30)
    hospital[0].chain.mine(4)  # 12 s each
    other.request_access(dataset, DAY)
    assert [each.grantee for each in listed.answer_grants()] == [other.account.address]


def test_a_grant_that_cannot_be_answered_does_not_keep_the_others_waiting(
    hospital: Market, listed: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = holder_of(hospital, tmp_path / "1"), holder_of(hospital, tmp_path / "2")
    dataset = listed.dataset
    assert dataset is not None
    monkeypatch.setattr(Holder, "hpke_public", bytes(32))  # a point of low order: the contract cannot tell
    bad.request_access(dataset, DAY)
    monkeypatch.undo()
    good.request_access(dataset, DAY)
    answers = listed.answer()
    assert [each.grantee for each in answers.delivered] == [good.account.address]
    assert [bad.account.address in each for each in answers.refused] == [True]
    assert listed.answer().delivered == []


def test_a_key_that_was_delivered_is_not_taken_back_by_a_later_one(
    hospital: Market, listed: Provider, tmp_path: Path
) -> None:
    holder, dataset = holder_of(hospital, tmp_path / "h"), listed.dataset
    assert dataset is not None
    market = hospital[0].deployment.market
    holder.request_access(dataset, DAY)
    grantee = holder.account.address
    market.deliver_key(listed.account, dataset, grantee, 3, 1, b"junk")
    with pytest.raises(SealingError, match="its provider delivered is of no use"):
        holder.open_dataset(dataset)
    assert listed.answer().delivered == []  # to a new owner's node it looks answered
    assert [each.grantee for each in listed.answer([grantee]).delivered] == [grantee]
    other = TierKey.generate()
    context = grant_context(market, dataset, 1, 3, grantee)
    for junk in (b"more junk", seal_tier_key_to(holder.hpke_public, other, context)):  # the second one even opens
        market.deliver_key(listed.account, dataset, grantee, 3, 1, junk)
    assert holder.open_dataset(dataset).rows == hospital[1].parts[0].rows


def test_what_is_granted_is_what_was_seen(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    """A provider lists another version, or another price, between a look and the grant."""
    holder, dataset = holder_of(hospital, tmp_path / "h"), listed.dataset
    assert dataset is not None
    market = hospital[0].deployment.market
    seen = market.dataset(dataset)
    priced = replace(offering(hospital), prices=(0, 0, 0, TOKEN, 0, 0))
    listed.update(priced)
    with pytest.raises(InputError, match="costs 1000000000000000000 base units, more than 0"):
        holder.request_access(dataset, DAY)
    proven = holder.prove_eligibility(dataset, 3, DAY)
    with pytest.raises(ContractRejected, match=r"WrongVersion\(2\)"):
        holder.take_grant(dataset, DAY, *proven, most=TOKEN, seen=replace(seen, prices=market.dataset(dataset).prices))
    with pytest.raises(ContractRejected, match="WrongPrice"):
        holder.take_grant(dataset, DAY, *proven, seen=replace(seen, version=2))
    world = hospital[0]
    world.chain.transact(market.token.functions.transfer(holder.account.address, TOKEN), world.operator)
    assert holder.take_grant(dataset, DAY, *proven, most=TOKEN).price == TOKEN


def test_a_provider_of_another_state_cannot_answer(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    """An empty state folder knows no dataset and no key, and says so by doing nothing."""
    holder = holder_of(hospital, tmp_path / "h")
    assert listed.dataset is not None
    holder.request_access(listed.dataset, DAY)
    stranger = Provider(listed.kit, listed.account, StateFile(tmp_path / "empty", "provider"))
    assert stranger.dataset is None
    assert stranger.answer_grants() == []


def test_secrets_of_a_version_that_another_owner_listed_are_not_taken_for_its_keys(
    hospital: Market, listed: Provider, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, chain = listed.dataset, hospital[0].chain
    assert dataset is not None
    registry = hospital[0].deployment.market.registry.functions
    mine, theirs = (Offering.of_table(hospital[1].parts[k], hospital[2], THRESHOLDS) for k in (1, 2))

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    monkeypatch.setattr(Marketplace, "update_dataset_call", crash)
    with pytest.raises(CrashError):
        listed.update(mine)
    monkeypatch.undo()
    buyer = provider_of(hospital, tmp_path / "buyer", f"{name}-buyer")
    with pytest.raises(StateError, match="has listed no dataset"):
        buyer.update(theirs)
    buyer.take_over(dataset, {})
    with pytest.raises(StateError, match="belongs to dataset"):
        buyer.take_over(dataset + 1, {})
    chain.transact(registry.transferFrom(listed.account.address, buyer.account.address, dataset), listed.account)
    assert buyer.tier_keys() == {}
    assert buyer.update(theirs).minted.version == 2
    holder = holder_of(hospital, tmp_path / "h")
    holder.request_access(dataset, DAY)
    assert listed.answer_grants() == []  # sold
    assert list(listed.tier_keys()) == [1]
    chain.transact(registry.transferFrom(buyer.account.address, listed.account.address, dataset), buyer.account)
    with pytest.raises(StateError, match="keys of version 2"):
        listed.answer_grants()
    listed.take_over(dataset, buyer.tier_keys())
    assert len(listed.answer_grants()) == 1
    assert listed.tier_keys()[2] == buyer.tier_keys()[2]


def test_a_holder_keeps_secret_and_key_over_restarts(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    holder = holder_of(hospital, tmp_path / "h")
    dataset = listed.dataset
    assert dataset is not None
    holder.request_access(dataset, DAY)
    listed.answer_grants()
    again = restarted(holder)
    assert again.hpke_public == holder.hpke_public
    assert again.state.get("notes") == holder.state.get("notes")
    assert again.open_dataset(dataset).rows == hospital[1].parts[0].rows
    # its nullifier of this epoch is spent, in the new process as in the old
    again.request_access(dataset, DAY)  # the extension has a nullifier of its own
    with pytest.raises(Exception, match="NullifierSpent"):
        again.request_access(dataset, DAY)


@pytest.mark.parametrize("point", ["after saving", "after sending", "after mining"])
def test_a_request_that_was_interrupted_is_finished_and_not_made_twice(
    hospital: Market, listed: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    holder, dataset = holder_of(hospital, tmp_path / "h"), listed.dataset
    assert dataset is not None

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    if point == "after mining":
        monkeypatch.setattr("fedproof.nodes.holder.forget", crash)
    else:
        monkeypatch.setattr(hospital[0].chain, "broadcast" if point == "after saving" else "wait", crash)
    with pytest.raises(CrashError):
        holder.request_access(dataset, DAY)
    monkeypatch.undo()
    again = restarted(holder)
    granted = again.request_access(dataset, DAY)
    market = hospital[0].deployment.market
    assert market.grants(datasetId=dataset) == [granted]
    assert again.finish_grant(dataset, 3) is None
    assert again.request_access(dataset, DAY).extension is True


def test_a_request_that_never_left_and_was_overtaken_is_dropped(
    hospital: Market, listed: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, dataset = holder_of(hospital, tmp_path / "h"), listed.dataset
    assert dataset is not None
    chain, token = hospital[0].chain, hospital[0].deployment.market.token

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    monkeypatch.setattr(chain, "broadcast", crash)
    with pytest.raises(CrashError):
        holder.request_access(dataset, DAY)
    monkeypatch.undo()
    chain.transact(token.functions.transfer(holder.account.address, 0), holder.account)  # takes the nonce
    assert holder.finish_grant(dataset, 3) is None
    assert holder.request_access(dataset, DAY).extension is False


def test_a_key_sealed_to_another_does_not_open(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    holder = holder_of(hospital, tmp_path / "h")
    dataset = listed.dataset
    assert dataset is not None
    holder.request_access(dataset, DAY)
    listed.answer_grants()
    holder.state.put(hpke=KeyPair.generate().private.hex())
    with pytest.raises(StateError, match="names another HPKE key than this node's"):
        restarted(holder).open_dataset(dataset)


def test_a_note_that_is_too_small_proves_nothing(hospital: Market, listed: Provider, tmp_path: Path) -> None:
    holder = holder_of(hospital, tmp_path / "h", 999 * TOKEN)
    dataset = listed.dataset
    assert dataset is not None
    with pytest.raises(ProofError, match="do not reach the threshold"):
        holder.request_access(dataset, DAY)


def test_a_second_process_on_one_folder_is_refused(listed: Provider) -> None:
    with pytest.raises(StateError, match="in use by another process"):
        StateFile(listed.state.folder, "provider")
