"""Key escrow over the real flow: list, share the keys, go away; workers answer grants; t + 1 shares open the tier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.demo import TOKEN
from fedproof.errors import InputError, StateError
from fedproof.nodes.access import find_access
from fedproof.nodes.escrow import place_keys
from fedproof.nodes.escrow_worker import Releases
from fedproof.nodes.grantee import check_records, open_files
from fedproof.nodes.state import StateFile
from tests.nodes.escrow_scene import (  # noqa: F401  # fixtures
    DAY,
    THRESHOLD,
    CrashError,
    Scene,
    fresh_scene,
    make_first_scene,
    make_workers,
    offering,
    restarted,
)
from tests.nodes.test_provider_and_holder import provider_of

pytestmark = pytest.mark.slow


def test_a_grant_is_served_while_the_provider_is_away(scene: Scene, tmp_path: Path) -> None:
    holder = scene.granted()
    with pytest.raises(StateError, match="0 of 2 shares"):
        scene.collect(holder)
    for worker in scene.workers[1:3]:
        done = worker.release_shares([scene.dataset])
        assert ([each.tier for each in done.released], done.refused) == ([3], [])
    found = scene.collect(holder)
    assert (found.access.key, found.access.tier, found.wrong) == (scene.own(3), 3, [])
    kit = scene.kit
    open_files(kit.store, found.access, tmp_path / "out")
    rows = check_records(kit.market, kit.store, kit.srs, found.access.listing, tmp_path / "out" / "tier3")
    assert rows == scene.market[1].parts[0].rows
    assert kit.market.deliveries(datasetId=scene.dataset) == []


def test_nothing_is_released_without_a_grant_or_after_it_ended(scene: Scene, tmp_path: Path) -> None:
    worker, chain = scene.workers[0], scene.market[0].chain
    other = provider_of(scene.market, tmp_path / "other", "other clinic")
    dataset = other.list_dataset(offering(scene.market)).minted.dataset_id
    place_keys(other, [each.member for each in scene.workers], THRESHOLD)
    assert worker.release_shares([dataset]) == Releases([], [])
    market, holder = scene.kit.market, scene.first.account.address
    snapshot = chain.dev.snapshot()
    chain.dev.set_next_timestamp(market.grant(scene.dataset, holder, 3).expiry)
    chain.mine()
    assert worker.release_shares() == Releases([], [])
    chain.dev.revert(snapshot)
    assert [each.dataset_id for each in worker.release_shares().released] == [scene.dataset]


def test_each_worker_answers_a_grant_once_and_an_extension_not_again(scene: Scene) -> None:
    holder = scene.granted()
    worker = scene.workers[0]
    assert len(worker.release_shares().released) == 1
    assert worker.release_shares().released == []
    holder.request_access(scene.dataset, DAY, 3)
    assert scene.kit.market.grants(datasetId=scene.dataset)[-1].extension is True
    assert restarted(worker).release_shares().released == []
    assert len(scene.released(holder)) == 1


@pytest.mark.parametrize("point", ["before saving", "after saving", "after sending", "after mining"])
def test_a_worker_that_crashes_releases_once(scene: Scene, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    holder = scene.granted()
    worker, chain = scene.workers[0], scene.market[0].chain
    places: dict[str, tuple[Any, str]] = {
        "before saving": (worker.state, "put"),
        "after saving": (chain, "broadcast"),
        "after sending": (chain, "wait"),
    }

    def crash(*_: Any, **__: Any) -> None:
        raise CrashError

    if point == "after mining":
        worker.release_shares()
    else:
        monkeypatch.setattr(*places[point], crash)
        with pytest.raises(CrashError):
            worker.release_shares()
        monkeypatch.undo()
    again = restarted(worker)
    again.release_shares()
    again.release_shares()
    assert [each.worker for each in scene.released(holder)] == [worker.account.address]


def test_a_participant_opens_its_dataset_by_the_committee_and_what_was_delivered_comes_first(scene: Scene) -> None:
    holder, market = scene.granted(), scene.kit.market
    with pytest.raises(StateError, match="0 of 2 shares"):
        holder.open_dataset(scene.dataset)
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    assert holder.open_dataset(scene.dataset).rows == scene.market[1].parts[0].rows
    keys = (scene.kit, holder.account.address, holder.hpke_keys, scene.dataset)
    assert find_access(*keys).access.tier == 3
    scene.lie(2, holder)
    assert find_access(*keys).wrong == [scene.workers[2].account.address]
    assert len(scene.provider.answer_grants()) == 1
    assert find_access(*keys).wrong == []  # nobody was asked
    # a higher grant that the provider has not answered comes from the committee
    chain = scene.market[0].chain
    chain.dev.set_next_timestamp(chain.timestamp() + 8 * DAY)  # one balance serves once in an epoch
    chain.mine()
    holder.request_access(scene.dataset, DAY, 5)
    assert find_access(*keys).access.tier == 3
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    assert find_access(*keys).access.tier == 5
    assert len(market.deliveries(datasetId=scene.dataset)) == 1


def test_a_tier_5_grant_opens_what_lies_below(scene: Scene, tmp_path: Path) -> None:
    holder = scene.granted(5)
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    found = scene.collect(holder, 5)
    assert found.access.key == scene.own(5)
    assert list(open_files(scene.kit.store, found.access, tmp_path / "out")) == [3]
    with pytest.raises(InputError, match="does not hold the key of tier 4"):
        scene.collect(holder, 4)


def test_placing_twice_places_once_and_a_new_committee_takes_over(scene: Scene, tmp_path: Path) -> None:
    market = scene.kit.market
    members = [worker.member for worker in scene.workers]
    before = market.escrow.placements(datasetId=scene.dataset)
    assert [place_keys(scene.provider, members, THRESHOLD)] == before
    holder = scene.granted()
    scene.workers[0].release_shares([scene.dataset])
    fresh = make_workers(scene.market, tmp_path / "fresh", 3, "fresh")
    members = [*(worker.member for worker in fresh[:2]), scene.workers[0].member]
    last = place_keys(scene.provider, members, THRESHOLD)
    assert market.escrow.placements(datasetId=scene.dataset) == [*before, last]
    with pytest.raises(StateError, match="0 of 2 shares"):  # that of the first escrow does not count
        scene.collect(holder)
    assert len(scene.workers[0].release_shares([scene.dataset]).released) == 1
    assert scene.workers[1].release_shares([scene.dataset]).released == []
    fresh[0].release_shares([scene.dataset])
    assert scene.collect(holder).access.key == scene.own(3)


def test_a_provider_that_crashes_places_once(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    provider, market = scene.provider, scene.kit.market
    members = [worker.member for worker in scene.workers[:3]]
    real = StateFile.put

    def crash(state: StateFile, **values: Any) -> None:
        if "escrows" in values:
            raise CrashError
        real(state, **values)

    monkeypatch.setattr(StateFile, "put", crash)
    with pytest.raises(CrashError):
        place_keys(provider, members, THRESHOLD)
    monkeypatch.undo()
    placed = place_keys(provider, members, THRESHOLD)
    assert len(market.escrow.placements(datasetId=scene.dataset)) == 2
    assert market.escrow.placed(scene.dataset, 1) == placed


def test_a_new_version_has_an_escrow_of_its_own(scene: Scene) -> None:
    first = scene.granted()
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    old = scene.own(3)
    scene.provider.update(offering(scene.market, 1))
    assert scene.workers[2].release_shares([scene.dataset]).released == []
    with pytest.raises(StateError, match="no committee"):
        scene.collect(first)
    place_keys(scene.provider, [worker.member for worker in scene.workers], THRESHOLD)
    for worker in scene.workers[1:3]:
        done = worker.release_shares([scene.dataset])
        assert [each.version for each in done.released] == [2]
    assert scene.collect(first).access.key == scene.own(3) != old
    assert scene.collect(first, version=1).access.key == old


def test_a_tier_that_is_no_longer_offered_is_shared_for_its_running_grants(scene: Scene) -> None:
    scene.granted(5)
    provider = scene.provider
    provider.update(replace(offering(scene.market, 1), thresholds=(0, 0, 0, TOKEN, 0, 0)))
    place_keys(provider, [worker.member for worker in scene.workers], THRESHOLD)
    assert [each.tier for each in scene.escrow.tiers] == [3, 5]
