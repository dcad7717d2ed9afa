"""Key escrow over the real flow: list, share the keys, go away; workers answer grants; t + 1 shares open the tier."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fedproof import _core
from fedproof.app.demo import TOKEN
from fedproof.errors import InputError, SealingError, SharingError, StateError
from fedproof.ledger.market_types import AccessGranted
from fedproof.nodes.escrow import collect_key, escrow_context, place_keys, raw_address
from fedproof.nodes.escrow_worker import EscrowWorker, Releases
from fedproof.nodes.grantee import check_records, open_files
from fedproof.nodes.holder import Holder
from fedproof.nodes.offering import Offering
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair, TierKey, open_sealed, seal
from fedproof.sealing.escrow import Escrow, Member, SharedTier
from fedproof.sharing import KEY_SHARE_LENGTH, Share, rebuild_key, worker_index
from tests.e2e.conftest import Arena
from tests.nodes.test_provider_and_holder import Market, holder_of, provider_of
from tests.sharing.rounds import changed

pytestmark = pytest.mark.slow

DAY = 86_400
OFFERED = (0, 0, 0, TOKEN, 0, TOKEN)
THRESHOLD, MEMBERS = 1, 4


class CrashError(Exception):
    """The process ends here."""


@dataclass
class Scene:
    """A listed dataset whose keys are with four workers, one of which may be bad, and a holder of a grant of Tier 3."""

    market: Market
    folder: Path
    provider: Provider
    workers: list[EscrowWorker]
    dataset: int
    first: Holder

    @property
    def kit(self) -> Any:
        return self.market[0].deployment

    @property
    def escrow(self) -> Escrow:
        placed = self.kit.market.escrow.placed(self.dataset, self.kit.market.dataset(self.dataset).version)
        return Escrow.decode(self.kit.store.get(placed.escrow_id.hex()))

    def holder(self, name: str = "holder") -> Holder:
        return holder_of(self.market, self.folder / name, 2 * TOKEN)

    def granted(self, tier: int = 3, name: str = "") -> Holder:
        """A new holder with a grant; without arguments the one that has had its grant from the start."""
        if tier == 3 and not name:
            return self.first
        holder = self.holder(name or "holder")
        holder.request_access(self.dataset, DAY, tier)
        return holder

    def collect(self, holder: Holder, tier: int = 3, version: int | None = None) -> Any:
        key = KeyPair.from_private_bytes(bytes.fromhex(holder.state.get("hpke")))
        return collect_key(self.kit, holder.account.address, key, self.dataset, tier, version)

    def released(self, holder: Holder) -> list[Any]:
        return list(self.kit.market.escrow.released(datasetId=self.dataset, grantee=holder.account.address))

    def own(self, tier: int) -> TierKey:
        version = str(self.kit.market.dataset(self.dataset).version)
        return TierKey.decode(bytes.fromhex(self.provider.state.get("versions")[version]["tier_key"])).down_to(tier)

    def lie(self, number: int, holder: Holder, tier: int = 3, **changes: Any) -> None:
        """Worker `number` (from 0) releases another share than its own, sealed as it should be."""
        shared, index = self.escrow.tier(tier), number + 1
        assert shared is not None
        worker = self.workers[number]
        share = open_share(self, worker, tier)
        values = changes.get("values", changed(share.values, 0))
        lie = Share(worker_index(changes.get("index", index)), values)
        context = escrow_context(self.kit.market, self.dataset, 1)
        info = context.release_info(shared, index, worker.member, raw_address(holder.account.address))
        sealed = changes.get("sealed", seal(holder.hpke_public, lie.encode(), info))
        self.kit.market.escrow.release(worker.account, self.dataset, 1, tier, holder.account.address, sealed)


def open_share(scene: Scene, worker: EscrowWorker, tier: int) -> Share:
    """What a bad worker sees: its own share, opened."""
    shared = scene.escrow.tier(tier)
    index = scene.escrow.place_of(worker.member.address)
    assert shared is not None
    assert index is not None
    info = escrow_context(scene.kit.market, scene.dataset, 1).share_info(shared, index, worker.member)
    sealed = scene.kit.store.get(shared.shares[index - 1].hex())
    return Share.decode(open_sealed(worker._hpke, sealed, info), index=index, length=KEY_SHARE_LENGTH)


def make_workers(market: Market, folder: Path, count: int = MEMBERS, name: str = "escrow") -> list[EscrowWorker]:
    world = market[0]
    return [
        EscrowWorker(
            world.deployment, world.chain.new_account(f"{name}-{k}"), StateFile(folder / f"worker-{k}", "worker")
        )
        for k in range(count)
    ]


def restarted(worker: EscrowWorker) -> EscrowWorker:
    """The same worker in a new process."""
    folder = worker.state.folder
    worker.state.close()
    return EscrowWorker(worker.kit, worker.account, StateFile(folder, "worker"))


def offering(market: Market, part: int = 0) -> Offering:
    return Offering.of_table(market[1].parts[part], market[2], OFFERED)


@pytest.fixture(scope="module")
def first_scene(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Made once; its state folders are copied for each test."""
    hospital, folder = (arena.world, arena.parts, arena.schema), tmp_path_factory.mktemp("escrow")
    provider = provider_of(hospital, folder / "provider", "clinic")
    dataset = provider.list_dataset(offering(hospital)).minted.dataset_id
    workers = make_workers(hospital, folder)
    place_keys(provider, [worker.member for worker in workers], THRESHOLD)
    holder = holder_of(hospital, folder / "first", 2 * TOKEN)
    holder.request_access(dataset, DAY, 3)
    for node in (provider, holder, *workers):
        node.state.close()
    return Scene(hospital, folder, provider, workers, dataset, holder)


@pytest.fixture
def scene(first_scene: Scene, tmp_path: Path) -> Iterator[Scene]:
    """Provider, workers and holder as they were, on a chain as it was."""
    chain, deployment = first_scene.market[0].chain, first_scene.kit
    snapshot = chain.dev.snapshot()
    folder = tmp_path / "nodes"
    shutil.copytree(first_scene.folder, folder)
    yield Scene(
        first_scene.market,
        folder,
        Provider(deployment.listing, first_scene.provider.account, StateFile(folder / "provider", "provider")),
        make_workers(first_scene.market, folder),
        first_scene.dataset,
        Holder(deployment, first_scene.first.account, StateFile(folder / "first", "participant")),
    )
    chain.dev.revert(snapshot)


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


def test_a_tier_5_grant_opens_what_lies_below(scene: Scene, tmp_path: Path) -> None:
    holder = scene.granted(5)
    for worker in scene.workers[:2]:
        worker.release_shares([scene.dataset])
    found = scene.collect(holder, 5)
    assert found.access.key == scene.own(5)
    assert list(open_files(scene.kit.store, found.access, tmp_path / "out")) == [3]
    with pytest.raises(InputError, match="does not hold the key of tier 4"):
        scene.collect(holder, 4)


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
