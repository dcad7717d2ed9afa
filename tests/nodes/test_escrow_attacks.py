"""Liars, thieves and mistakes around the key escrow: what a wrong party does is refused, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import SealingError, SharingError, StateError
from fedproof.ledger.market_types import AccessGranted
from fedproof.nodes.access import find_access
from fedproof.nodes.escrow import escrow_context, place_keys, raw_address
from fedproof.sealing import KeyPair, TierKey, open_sealed, seal
from fedproof.sealing.escrow import Member, SharedTier
from fedproof.sharing import KEY_SHARE_LENGTH, Share, rebuild_key, worker_index
from tests.nodes.escrow_scene import DAY, THRESHOLD, Scene, fresh_scene, make_first_scene, offering, open_share  # noqa: F401  # fixtures
from tests.nodes.test_provider_and_holder import Market, provider_of
from tests.sharing.rounds import changed

pytestmark = pytest.mark.slow


def test_t_shares_do_not_suffice(scene: Scene) -> None:
    holder = scene.granted()
    scene.workers[0].release_shares()
    with pytest.raises(StateError, match="1 of 2 shares"):
        scene.collect(holder)
    # nor does the one worker's share under another threshold
    share = open_share(scene, scene.workers[0], 3)
    with pytest.raises(SharingError):
        rebuild_key([share], THRESHOLD)
    with pytest.raises(SharingError, match="twice"):
        rebuild_key([share, share], THRESHOLD)


def test_a_wrong_share_names_its_worker_and_stops_nobody(scene: Scene) -> None:
    holder = scene.granted()
    scene.lie(0, holder)
    scene.workers[1].release_shares([scene.dataset])
    liar = scene.workers[0].account.address
    with pytest.raises(SharingError, match=f"1 of 2 .*{liar}"):
        scene.collect(holder)
    scene.workers[2].release_shares([scene.dataset])
    found = scene.collect(holder)
    assert (found.access.key, found.wrong) == (scene.own(3), [liar])


@pytest.mark.parametrize("lie", ["another index", "blinding", "garbage", "copied"])
def test_every_kind_of_wrong_share_is_told(scene: Scene, lie: str) -> None:
    holder = scene.granted()
    for worker in scene.workers[1:3]:
        worker.release_shares([scene.dataset])
    first = scene.released(holder)[0]
    kinds: dict[str, dict[str, Any]] = {
        "another index": {"index": 2, "values": open_share(scene, scene.workers[1], 3).values},
        "blinding": {"values": changed(open_share(scene, scene.workers[0], 3).values, 2)},
        "garbage": {"sealed": b"\x01" * 150},
        "copied": {"sealed": first.sealed_share},
    }
    scene.lie(0, holder, **kinds[lie])
    found = scene.collect(holder)
    assert (found.access.key, found.wrong) == (scene.own(3), [scene.workers[0].account.address])


def test_strangers_releases_count_for_nothing(scene: Scene) -> None:
    holder = scene.granted()
    scene.workers[0].release_shares([scene.dataset])
    market, address = scene.kit.market, holder.account.address
    copied = scene.released(holder)[0].sealed_share
    stranger = scene.market[0].chain.new_account("a stranger to escrow")
    market.escrow.release(stranger, scene.dataset, 1, 3, address, copied)
    with pytest.raises(StateError, match="1 of 2 shares"):
        scene.collect(holder)


def test_a_tier_3_escrow_does_not_help_to_tier_5(scene: Scene) -> None:
    holder = scene.granted(3)
    for worker in scene.workers:
        assert [each.tier for each in worker.release_shares([scene.dataset]).released] == [3]
    with pytest.raises(StateError, match="0 of 2 shares of tier 5"):
        scene.collect(holder, 5)
    found = scene.collect(holder, 3)
    with pytest.raises(SealingError):
        found.access.key.down_to(5)
    # the released shares under the name of tier 5 do not even open
    shared = scene.escrow.tier(5)
    assert shared is not None
    context = escrow_context(scene.kit.market, scene.dataset, 1)
    key = KeyPair.from_private_bytes(bytes.fromhex(holder.state.get("hpke")))
    for index, each in enumerate(scene.released(holder), 1):
        info = context.release_info(shared, index, scene.workers[index - 1].member, raw_address(each.grantee))
        with pytest.raises(SealingError):
            open_sealed(key, each.sealed_share, info)


def test_shares_copied_into_another_datasets_escrow_open_for_no_worker(scene: Scene, tmp_path: Path) -> None:
    """Else the owner of any dataset could have a committee hand it the keys of another."""
    thief = provider_of(scene.market, tmp_path / "thief", "thief")
    other = thief.list_dataset(offering(scene.market, 1)).minted.dataset_id
    market, kit = scene.kit.market, scene.kit
    stolen = market.escrow.placed(scene.dataset, 1)
    assert stolen is not None
    market.escrow.place(thief.account, other, 1, stolen.escrow_id)
    scene.first.request_access(other, DAY, 3)
    for worker in scene.workers:
        done = worker.release_shares([other])
        assert done.released == []
        assert [f"dataset {other}" in each for each in done.refused] == [True]
    # nor in another place, tier or version of its own dataset
    escrow = scene.escrow
    swapped = replace(escrow, tiers=(replace(escrow.tiers[0], shares=escrow.tiers[1].shares), escrow.tiers[1]))
    turned = replace(escrow, members=(*escrow.members[1:], escrow.members[0]))
    for forged in (swapped, turned):
        blob = kit.store.put(forged.encode())
        market.escrow.place(scene.provider.account, scene.dataset, 1, bytes.fromhex(blob))
        done = scene.workers[0].release_shares([scene.dataset])
        assert done.released == []
        assert len(done.refused) == 1
    assert scene.released(scene.first) == []


def test_a_worker_refuses_shares_that_do_not_open_their_commitments(scene: Scene) -> None:
    """A provider that shares garbage cannot have its workers blamed for it."""
    escrow, market, kit = scene.escrow, scene.kit.market, scene.kit
    shared, worker = escrow.tiers[0], scene.workers[0]
    wrong = Share(worker_index(1), _core.fr_random(KEY_SHARE_LENGTH))
    info = escrow_context(market, scene.dataset, 1).share_info(shared, 1, worker.member)
    blob = kit.store.put(seal(worker.member.hpke_key, wrong.encode(), info))
    tier = replace(shared, shares=(bytes.fromhex(blob), *shared.shares[1:]))
    forged = replace(escrow, tiers=(tier, escrow.tiers[1]))
    market.escrow.place(scene.provider.account, scene.dataset, 1, bytes.fromhex(kit.store.put(forged.encode())))
    holder = scene.granted()
    done = worker.release_shares([scene.dataset])
    assert done.released == []
    assert "does not open its commitment" in done.refused[0]
    for other in scene.workers[1:3]:
        other.release_shares([scene.dataset])
    assert scene.collect(holder).access.key == scene.own(3)


def test_a_key_that_does_not_open_the_sealed_tier_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = scene.granted()
    versions = scene.provider.state.get("versions")
    other = {"1": {**versions["1"], "tier_key": TierKey.generate().encode().hex()}}
    scene.provider.state.put(versions=other, escrows={})
    place_keys(scene.provider, [worker.member for worker in scene.workers[:3]], THRESHOLD)
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    with pytest.raises(SealingError, match="another key than the sealed tier's"):
        scene.collect(holder)


def test_refuses_committees_and_providers_that_cannot_be(scene: Scene, hospital: Market, tmp_path: Path) -> None:
    members = [worker.member for worker in scene.workers]
    for few, threshold in ((members[:2], 1), (members, 2), (members, 0)):
        with pytest.raises((SharingError, SealingError)):
            place_keys(scene.provider, few, threshold)
    with pytest.raises(SealingError, match="twice"):
        place_keys(scene.provider, [*members[:3], members[0]], THRESHOLD)
    with pytest.raises(StateError, match="listed no dataset"):
        place_keys(provider_of(hospital, tmp_path / "new", "new clinic"), members, THRESHOLD)


def test_a_worker_that_is_named_with_another_key_says_so(scene: Scene) -> None:
    members = [worker.member for worker in scene.workers]
    members[0] = Member(members[0].address, KeyPair.generate().public)
    place_keys(scene.provider, members, THRESHOLD)
    scene.granted()
    done = scene.workers[0].release_shares([scene.dataset])
    assert done.released == []
    assert "another HPKE key" in done.refused[0]


def test_a_worker_refuses_a_grant_whose_key_the_registry_does_not_know(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event's key comes from a node's logs; the registry's own word is asked for, too."""
    holder = scene.granted()
    market = scene.kit.market
    real = market.grants

    def forged(*arguments: Any, **filters: Any) -> list[AccessGranted]:
        return [replace(each, hpke_key=KeyPair.generate().public) for each in real(*arguments, **filters)]

    monkeypatch.setattr(market, "grants", forged)
    done = scene.workers[0].release_shares([scene.dataset])
    assert done.released == []
    assert "another HPKE key than the registry keeps" in done.refused[0]
    assert scene.released(holder) == []


def test_no_repr_shows_a_share(scene: Scene) -> None:
    share = open_share(scene, scene.workers[0], 3)
    holder = scene.granted()
    done = scene.workers[0].release_shares([scene.dataset])
    value = str(_core.fr_to_ints(share.values)[0])
    assert value not in repr((share, done, scene.escrow))
    assert repr(done.released[0].sealed_share) not in repr(done)
    assert isinstance(scene.escrow.tiers[0], SharedTier)
    assert holder.account.address in repr(done)


def test_a_provider_cannot_void_shares_by_placing_again(scene: Scene) -> None:
    holder, market = scene.granted(), scene.kit.market
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    first = market.escrow.placed(scene.dataset, 1)
    market.escrow.place(scene.provider.account, scene.dataset, 1, first.escrow_id)
    assert scene.collect(holder).access.key == scene.own(3)
    assert scene.workers[0].release_shares([scene.dataset]).released == []
    market.escrow.place(scene.provider.account, scene.dataset, 1, b"\x01" * 32)  # a blob that nobody has
    assert scene.collect(holder).access.key == scene.own(3)
    assert scene.collect(holder).wrong == []
    market.escrow.place(scene.provider.account, scene.dataset, 1, first.escrow_id)
    assert len(scene.workers[2].release_shares([scene.dataset]).released) == 1


def test_a_worker_pays_for_a_few_placements_only(scene: Scene) -> None:
    holder, worker = scene.granted(), scene.workers[0]
    members = [each.member for each in scene.workers]
    for _ in range(4):
        worker.release_shares([scene.dataset])
        scene.provider.state.put(escrows={})
        place_keys(scene.provider, members, THRESHOLD)
    done = worker.release_shares([scene.dataset])
    assert (done.released, ["too often" in each for each in done.refused]) == ([], [True])
    assert len(scene.released(holder)) == 3


def test_a_worker_asks_the_chain_nothing_about_datasets_that_it_does_not_serve(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    market = scene.kit.market
    real = market.dataset
    monkeypatch.setattr(market, "dataset", lambda number: asked.append(number) or real(number))
    scene.workers[0].release_shares([scene.dataset + 1])
    assert asked == []
    scene.workers[0].release_shares([scene.dataset])
    assert set(asked) == {scene.dataset}


def test_honest_workers_are_not_named_when_the_grantee_has_lost_its_key(scene: Scene) -> None:
    holder = scene.granted()
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    with pytest.raises(StateError, match="names another HPKE key than this node's"):
        find_access(scene.kit, holder.account.address, KeyPair.generate(), scene.dataset)


def test_junk_from_the_provider_does_not_hide_the_committee(scene: Scene) -> None:
    holder, market = scene.granted(), scene.kit.market
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    market.deliver_key(scene.provider.account, scene.dataset, holder.account.address, 3, 1, b"junk")
    assert holder.open_dataset(scene.dataset).rows == scene.market[1].parts[0].rows
