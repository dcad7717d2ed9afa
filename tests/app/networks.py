"""A federation that others reach by its deployment file alone; its participants and workers play in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedproof.app import keystore
from fedproof.app.connection import Connection
from fedproof.app.demo import BOND, TOKEN, Seat, enter_market
from fedproof.app.deployment import DeploymentFile
from fedproof.app.joining import publish
from fedproof.app.keyring import Keyring
from fedproof.app.keystore import NodeKeys
from fedproof.app.report import Costs
from fedproof.app.secret import Secret
from fedproof.app.telling import Silent
from fedproof.app.world import World, build, create_folder
from fedproof.data import Parts, Schema, capacity_rows, load, split
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.local import Trainer
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan
from fedproof.nodes.worker import Worker

PHRASE = "open sesame, twice"
ROUNDS = 2


@dataclass
class Town:
    """The federation, three seats, three workers with keystores, and a sponsor's keystore with tokens."""

    world: World
    document: DeploymentFile
    path: Path
    parts: Parts
    schema: Schema
    seats: list[Seat]
    workers: list[Worker]
    worker_files: list[Path]
    sponsor: NodeKeys
    keys: Path
    phrase: Path
    schema_file: Path
    test_file: Path
    cache: Path

    def network(self) -> Connection:
        """As a command in this process opens it."""
        return Connection.at(self.document, self.world.chain, None, self.cache)

    def fund(self, address: str, tokens: int) -> None:
        transfer = self.world.deployment.market.token.functions.transfer(address, tokens)
        self.world.chain.transact(transfer, self.world.operator)

    def enrol(self, task_id: int, count: int | None = None) -> None:
        """Participants enrol, with a bond for this task."""
        task = self.world.federation.task_info(task_id)
        for seat in self.seats[:count]:
            self.fund(seat.participant.account.address, BOND)
            seat.participant.enrol(task)

    def model(self, task_id: int) -> GlobalModel:
        """The model that the task's next round trains on."""
        task, store = self.world.federation.task_info(task_id), self.world.deployment.store
        made = [each.content_id for each in task.settled if each.content_id is not None]
        if made:
            return GlobalModel.decode(store.get(made[-1].hex()))
        return GlobalModel.decode(store.get(TaskDescription.decode(store.get(task.params.description.hex())).start))

    def train(self, task_id: int, count: int | None = None) -> None:
        """Participants submit; who has done so before finds what it sent."""
        task = self.world.federation.task_info(task_id)
        for seat in self.seats[:count]:
            seat.participant.train(task, task.round, self.model(task_id))

    def settle(self, task_id: int) -> None:
        """Freeze, sum and finalize with the first worker as leader."""
        federation, leader = self.world.federation, self.workers[0]
        self.world.chain.wait_until_block(federation.freeze_block(task_id))
        task, model = federation.task_info(task_id), self.model(task_id)
        updates = federation.updates(task_id, task.round)
        outputs = {
            worker.index_in(task): worker.output(task, task.round, updates, leader.hpke_public)
            for worker in self.workers
        }
        result = leader.reconstruct(task, task.round, updates, model, outputs)
        leader.finalize(task, updates, leader.aggregate(task, task.round, updates, result))

    def play(self, task_id: int, count: int | None = None) -> None:
        """One whole round."""
        self.train(task_id, count)
        self.settle(task_id)

    def claim(self, task_id: int) -> None:
        for seat in self.seats:
            self.world.federation.claim(seat.participant.account, task_id)


@contextmanager
def town(
    folder: Path,
    key_cache: Path,
    rpc: str | None,
    plan_of: Callable[[int, int], Plan] | None = None,
    trainer: Trainer | None = None,
) -> Iterator[Town]:
    """Build it, on the embedded chain or a development node.

    Args:
        plan_of: from rows and columns, where it is not logistic regression. trainer: of its participants.
    """
    parts = split(load("wine", positive="class_1"), 3, 1)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    create_folder(folder)
    plan = (plan_of or _logistic)(rows, schema.columns)
    world = build(folder, plan, Keyring(key_cache), rpc, Silent())
    try:
        seats = [
            enter_market(world, k, part, schema, Costs(), Silent(), trainer) for k, part in enumerate(parts.parts, 1)
        ]
        document = publish(world.deployment, world.federation, folder / "deployment.json")
        phrase = folder / "passphrase"
        phrase.write_text(PHRASE + "\n")
        phrase.chmod(0o600)
        workers, files = zip(*(_worker(world, folder, number) for number in (1, 2, 3)), strict=True)
        sponsor = _keys(folder / "sponsor")
        (folder / "schema.json").write_bytes(schema.encode())
        _write_test(folder / "test.csv", parts)
        made = Town(
            world, document, folder / "deployment.json", parts, schema, seats, list(workers), list(files), sponsor,
            folder / "sponsor", phrase, folder / "schema.json", folder / "test.csv", folder / "cache",
        )  # fmt: skip
        world.chain.dev.give(sponsor.account.address, 10**19)
        made.fund(sponsor.account.address, 10_000 * TOKEN)
        yield made
    finally:
        world.close()


def _logistic(rows: int, columns: int) -> Plan:
    return TrainingPlan.of(TrainingSpec(rows, columns, mask_count=6))


def _keys(folder: Path) -> NodeKeys:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "WORK", 1 << 10)
        keystore.create(folder, Secret(PHRASE.encode()))
    return keystore.unlock(folder, Secret(PHRASE.encode()), folder.name)


def _worker(world: World, folder: Path, number: int) -> tuple[Worker, Path]:
    name = f"worker-{number}"
    keys = _keys(folder / name)
    world.chain.dev.give(keys.account.address, 10**19)
    state = world.state("worker", name)
    state.put(hpke=keys.hpke.private.hex())
    shown = folder / f"{name}.json"
    shown.write_text(json.dumps({"folder": name} | keystore.show(folder / name).to_json()))
    return Worker(world.deployment, world.federation, keys.account, state), shown


def _write_test(path: Path, parts: Parts) -> None:
    test = parts.test
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["patient", *test.feature_names, "outcome"])
        for number, (row, label) in enumerate(zip(test.features.tolist(), test.labels.tolist(), strict=True)):
            out.writerow([f"p{number}", *map(repr, row), ("class_0", "class_1")[label]])
