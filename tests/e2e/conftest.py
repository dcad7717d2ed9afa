"""A small federation with real keys, proofs and contracts, in which each test opens a task of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from fedproof.app.demo import BOND, DemoOptions, Seat, enter_market, open_task
from fedproof.app.keyring import Keyring
from fedproof.app.report import Costs
from fedproof.app.telling import Silent
from fedproof.app.world import World, build, create_folder
from fedproof.data import Parts, Schema, capacity_rows, load, split
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger.federation import Aggregate, TaskInfo, Update
from fedproof.nodes.participant import Participant
from fedproof.nodes.worker import Sum, Worker

SEEDS = count(1000)


@dataclass
class Arena:
    """Three hospitals with granted participants and three workers; tasks come and go."""

    world: World
    parts: Parts
    schema: Schema
    options: DemoOptions
    seats: list[Seat]
    workers: list[Worker]

    def open(self, enrol: int | None = None, **options: int) -> Game:
        """Open a task of its own start model, enrol participants and open round 1."""
        chosen = replace(self.options, seed=next(SEEDS), **options)  # type: ignore[arg-type]
        task, model = open_task(chosen, self.world, self.parts, self.schema, self.workers, Silent())
        seats = self.seats[:enrol]
        market = self.world.deployment.market
        for seat in seats:
            account = seat.participant.account
            self.world.chain.transact(market.token.functions.transfer(account.address, BOND), self.world.operator)
            seat.participant.enrol(task)
        self.world.federation.open_round(self.world.operator, task.task_id)
        return Game(self, task.task_id, model, [seat.participant for seat in seats])


@dataclass
class Game:
    """One task under way."""

    arena: Arena
    task_id: int
    model: GlobalModel
    participants: list[Participant]

    @property
    def task(self) -> TaskInfo:
        return self.arena.world.federation.task_info(self.task_id)

    @property
    def updates(self) -> list[Update]:
        return self.arena.world.federation.updates(self.task_id, self.task.round)

    def train(self, *who: int) -> None:
        """Let participants train and submit; all without arguments."""
        for number in who or range(len(self.participants)):
            self.participants[number].train(self.task, self.task.round, self.model)

    def freeze(self) -> None:
        """Let blocks pass until the set is final."""
        federation = self.arena.world.federation
        self.arena.world.chain.wait_until_block(federation.freeze_block(self.task_id))

    def outputs(self, leader: Worker, workers: list[Worker] | None = None) -> dict[int, bytes]:
        """Sealed outputs of the workers."""
        task = self.task
        return {
            worker.index_in(task): worker.output(task, task.round, self.updates, leader.hpke_public)
            for worker in workers or self.arena.workers
        }

    def sum(self, leader: Worker, outputs: dict[int, bytes] | None = None) -> Sum:
        """The reconstructed sum."""
        found = self.outputs(leader) if outputs is None else outputs
        return leader.reconstruct(self.task, self.task.round, self.updates, self.model, found)

    def aggregate(self, leader: Worker, result: Sum) -> Aggregate:
        """The leader's proof."""
        return leader.aggregate(self.task, self.task.round, self.updates, result)

    def settle(self) -> Sum:
        """Freeze, sum and finalize with the first worker as leader."""
        self.freeze()
        leader = self.arena.workers[0]
        result = self.sum(leader)
        leader.finalize(self.task, self.updates, self.aggregate(leader, result))
        self.model = result.model
        return result


@pytest.fixture(scope="session")
def key_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys made once for all test processes of this run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen") else base) / "keys"


@pytest.fixture(scope="session")
def arena(key_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The federation, on the wine records: 64 rows x 14 columns."""
    yield from make_arena(tmp_path_factory.mktemp("arena") / "run", key_cache)


def make_arena(folder: Path, key_cache: Path) -> Iterator[Arena]:
    """The federation in a folder, closed afterwards."""
    options = DemoOptions(folder=folder, rounds=3, data="wine", positive="class_1", seed=1)
    parts = split(load("wine", positive="class_1"), 3, 1)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    plan = TrainingPlan.of(TrainingSpec(rows, schema.columns, mask_count=8))
    create_folder(folder)
    world = build(folder, plan, Keyring(key_cache), None, Silent())
    costs = Costs()
    seats = [enter_market(world, k, part, schema, costs, Silent()) for k, part in enumerate(parts.parts, 1)]
    workers = [
        Worker(
            world.deployment, world.federation, world.chain.new_account(f"worker-{k}"), world.state("worker", f"w{k}")
        )
        for k in (1, 2, 3)
    ]
    yield Arena(world, parts, schema, options, seats, workers)
    world.close()
