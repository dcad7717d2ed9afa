"""A listed dataset whose keys are with a committee, for the tests of the key escrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.demo import TOKEN
from fedproof.nodes.escrow import collect_key, escrow_context, place_keys, raw_address
from fedproof.nodes.escrow_worker import EscrowWorker
from fedproof.nodes.holder import Holder
from fedproof.nodes.offering import Offering
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair, TierKey, open_sealed, seal
from fedproof.sealing.escrow import Escrow
from fedproof.sharing import KEY_SHARE_LENGTH, Share, worker_index
from tests.e2e.conftest import Arena
from tests.nodes.test_provider_and_holder import Market, holder_of, provider_of
from tests.sharing.rounds import changed

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


@pytest.fixture(scope="module", name="first_scene")
def make_first_scene(arena: Arena, tmp_path_factory: pytest.TempPathFactory) -> Scene:
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


@pytest.fixture(name="scene")
def fresh_scene(first_scene: Scene, tmp_path: Path) -> Iterator[Scene]:
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
