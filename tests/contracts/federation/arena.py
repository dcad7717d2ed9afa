"""Everything a task needs, with honest ways to play it: granted datasets, a committee, provers for both statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedproof import _core
from fedproof.ledger import Account, Chain, Receipt
from fedproof.ledger.committee import Committee
from fedproof.ledger.federation import Aggregate, Federation, TaskInfo, Update
from fedproof.proving.keys import Keys, VerifyingKey
from fedproof.proving.linked import prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import (
    Challenges,
    aggregation_challenges,
    aggregation_pre,
    attachments_word,
    training_challenges,
    training_pre,
)
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.world import X25519_KEY, World

PARTICIPANTS = 10
WORKERS = 3
REWARD = 1_000_003
BOND = 500
SUBMIT_BLOCKS, FREEZE_BLOCKS, SETTLE_BLOCKS = 60, 5, 20
START = _core.fr_from_ints([5, -7, 11])
"""Coefficients of the first model."""


@dataclass
class Player:
    """A participant with a granted dataset, and the masks of its enrolments."""

    account: Account
    dataset_id: int
    rows: int
    vector: FrArray
    masks: dict[int, FrArray] = field(default_factory=dict)

    def masked(self, task_id: int) -> FrArray:
        """Coefficients of C_X'."""
        out = toys.padded(self.vector, toys.DATASET)
        masks = self.masks[task_id]
        out[toy.MASK_POSITION : toy.MASK_POSITION + len(masks)] = masks
        return out


@dataclass
class Arena:
    """A federation over a marketplace in which ten participants hold Tier-3 grants."""

    chain: Chain
    world: World
    federation: Federation
    sponsor: Account
    players: list[Player]
    workers: list[Account]
    outsider: Account
    training_keys: Keys
    aggregation_keys: Keys
    models: dict[bytes, FrArray] = field(default_factory=dict)
    secrets: dict[bytes, FrArray] = field(default_factory=dict)

    @property
    def training(self) -> VerifyingKey:
        return self.training_keys.verifying

    @property
    def aggregation(self) -> VerifyingKey:
        return self.aggregation_keys.verifying

    @property
    def committee(self) -> Committee:
        return self.federation.committee

    # -- the sponsor --

    def fields(self, **changes: Any) -> dict[str, Any]:
        """What `Federation.open_task` takes for an honest task."""
        model = toy.srs().commit(START)
        self.models[model] = START
        honest = {
            "training_key": self.training,
            "aggregation_key": self.aggregation,
            "committee": [(worker.address, bytes([k]) * 32) for k, worker in enumerate(self.workers, 1)],
            "description": b"\x0d" * 32,
            "spec_digest": b"\x0e" * 32,
            "model": model,
            "class_id": self.world.class_id,
            "rounds": 3,
            "mask_count": 6,
            "threshold": 1,
            "min_updates": 2,
            "max_participants": PARTICIPANTS,
            "submit_blocks": SUBMIT_BLOCKS,
            "freeze_blocks": FREEZE_BLOCKS,
            "settle_blocks": SETTLE_BLOCKS,
            "reward_per_round": REWARD,
            "enrol_bond": BOND,
        }
        return honest | changes

    def open_task(self, **changes: Any) -> TaskInfo:
        """A task whose workers have placed their bonds."""
        task = self.federation.open_task(self.sponsor, **self.fields(**changes))
        if task.params.worker_bond:
            for worker in self.workers:
                self.committee.bond(worker, task.task_id)
        return task

    def running(self, participants: int = 3, **changes: Any) -> TaskInfo:
        """A task whose first round takes updates from the first players."""
        task = self.open_task(**changes)
        for player in self.players[:participants]:
            self.enrol(task, player)
        if participants < task.params.max_participants:  # a full one opens by itself
            self.federation.open_round(self.sponsor, task.task_id)
        return self.now(task)

    def now(self, task: TaskInfo) -> TaskInfo:
        return self.federation.task_info(task.task_id)

    # -- participants --

    def masking(self, task: TaskInfo, player: Player) -> tuple[bytes, bytes]:
        """Fresh masks; C_X' and M."""
        masks = player.masks[task.task_id] = _core.fr_random(task.params.mask_count)
        return toy.srs().commit(player.masked(task.task_id)), toy.srs().commit(masks)

    def enrol(self, task: TaskInfo, player: Player) -> Receipt:
        masked, mask = self.masking(task, player)
        return self.federation.enrol(player.account, task.task_id, player.dataset_id, masked, mask, task.terms)

    def prove(self, task: TaskInfo, player: Player, /, *, vector: FrArray | None = None, **lies: Any) -> Update:
        """An update with a real proof; `lies` replace items of the transcript that the proof is about."""
        srs, rows = toy.srs(), lies.pop("rows", player.rows)
        u = _core.fr_random(toys.UPDATE) if vector is None else vector
        update, model = srs.commit(u), self.models[task.model]
        masked = player.masked(task.task_id)
        share_digest, sealed_digest = _core.keccak256(update + b"shares"), _core.keccak256(update)
        said = {"share_digest": share_digest, "sealed_digest": sealed_digest}
        attachments = attachments_word(**{name: lies.pop(name, value) for name, value in said.items()})

        def challenge(d: bytes) -> Challenges:
            honest = {
                "chain_id": self.chain.chain_id,
                "federation": self.federation.address,
                "task": task.task_id,
                "round_number": task.round,
                "participant": player.account.address,
                "circuit_id": self.training.circuit_id,
                "masked_dataset": srs.commit(masked),
                "model": task.model,
                "update": update,
                "d": d,
            }
            return training_challenges(training_pre(**(honest | lies)), attachments)

        witness = toys.ToyTrainingWitness(masked, model, u)
        statement = toys.ToyTraining(self.training_keys.circuit.name)
        proof = prove_linked(self.training_keys, statement, witness, srs, [masked, model, u], challenge)
        self.secrets[update] = u
        return Update(player.account.address, rows, srs.commit(masked), update, share_digest, sealed_digest, proof)

    def prove_all(self, task: TaskInfo) -> list[Update]:
        return [self.prove(task, player) for player in self.players[: task.enrolled]]

    def submit(self, task: TaskInfo, player: Player, update: Update | None = None) -> Receipt:
        return self.federation.submit_update(player.account, task, update or self.prove(task, player))

    def submit_all(self, task: TaskInfo, participants: int | None = None) -> list[Receipt]:
        return [self.submit(task, player) for player in self.players[: participants or task.enrolled]]

    def freeze(self, task: TaskInfo) -> None:
        """The next transaction is in a block that is frozen."""
        self.chain.wait_until_block(self.federation.freeze_block(task.task_id) - 1)

    # -- workers --

    def aggregate(
        self,
        task: TaskInfo,
        leader: Account,
        updates: Sequence[Update] | None = None,
        /,
        *,
        count: int | None = None,
        step: FrArray | None = None,
        remainder: FrArray | None = None,
        **lies: Any,
    ) -> Aggregate:
        """A new model with a real proof; by default about the accepted updates."""
        srs, federation = toy.srs(), self.federation
        updates = federation.updates(task.task_id, task.round) if updates is None else updates
        count = sum(update.rows for update in updates) if count is None else count
        total = np.zeros((toys.UPDATE, 4), dtype=np.uint64)
        for update in updates:
            total = _core.fr_add(total, toys.weighted(update.rows, self.secrets[update.update]))
        q = _core.fr_random(toys.WEIGHTS) if step is None else step
        rest = (
            _core.fr_sub(total, toys.weighted(count, toys.padded(q, toys.UPDATE))) if remainder is None else remainder
        )
        new = _core.fr_add(self.models[task.model], q)
        new_model = srs.commit(new)

        def challenge(d: bytes) -> Challenges:
            honest = {
                "chain_id": self.chain.chain_id,
                "federation": federation.address,
                "task": task.task_id,
                "round_number": task.round,
                "sender": leader.address,
                "circuit_id": self.aggregation.circuit_id,
                "digests": [federation.update_digest(task.task_id, task.round, update) for update in updates],
                "total_rows": count,
                "model": task.model,
                "new_model": new_model,
                "d": d,
            }
            return aggregation_challenges(aggregation_pre(**(honest | lies)))

        keys, witness = self.aggregation_keys, toys.ToyAggregationWitness(count, q, rest)
        proof = prove_linked(keys, toys.ToyAggregation(keys.circuit.name), witness, srs, [q, rest], challenge, [count])
        self.models[new_model] = new
        return Aggregate(new_model, _core.keccak256(new_model), proof)

    def verify_part(self, task: TaskInfo, leader: Account | None = None) -> Receipt:
        updates = self.federation.updates(task.task_id, task.round)
        return self.chain.transact(self.federation.verify_part_call(task, updates), leader or self.workers[0])

    def finalize(self, task: TaskInfo, leader: Account | None = None) -> Receipt:
        leader = leader or self.workers[0]
        updates = self.federation.updates(task.task_id, task.round)
        return self.federation.finalize_round(leader, task, updates, self.aggregate(task, leader, updates))

    def play_round(self, task: TaskInfo, participants: int | None = None) -> tuple[list[Receipt], Receipt]:
        """One honest round of the first participants; receipts of the submissions and of the end."""
        task = self.now(task)
        receipts = self.submit_all(task, participants)
        self.freeze(task)
        return receipts, self.finalize(self.now(task))

    def balance(self, account: Account | str) -> int:
        address = account if isinstance(account, str) else account.address
        return int(self.chain.call(self.federation.token.functions.balanceOf(address)))


def build(world: World, participants: int = PARTICIPANTS) -> Arena:
    """Lists datasets, grants each to its participant, and deploys the federation."""
    chain, market = world.chain, world.market
    sponsor = world.owner
    federation = Federation.deploy(
        chain,
        sponsor,
        registry=market.registry.address,
        token=market.token.address,
        allow_development_keys=True,
    )
    root = world.lock()
    players = []
    for k in range(participants):
        account = chain.new_account(f"participant-{k}")
        terms, rows = world.terms(), 20 + 3 * k % 45
        vector = toy.vector(100 + k)
        commitment = toy.srs().commit(vector)
        circuit_id = toy.listing_keys().circuit.circuit_id

        def challenge(
            d: bytes, commitment: bytes = commitment, rows: int = rows, terms: Any = terms, circuit: bytes = circuit_id
        ) -> Challenges:
            return market.listing_challenges(world.provider.address, terms, commitment, rows, circuit, d)

        proof = toy.prove_listing(rows, vector, challenge)
        dataset_id = market.mint_dataset(world.provider, terms, commitment, rows, proof).dataset_id
        public = world.public_inputs(dataset_id, 3, 7200, root, account)
        market.access_dataset(
            account,
            dataset_id,
            3,
            7200,
            X25519_KEY,
            root=root,
            nullifier=public[2],
            proof=toy.prove_eligibility(public),
        )
        chain.transact(market.token.functions.transfer(account.address, 10 * BOND), sponsor)
        players.append(Player(account, dataset_id, rows, vector))
    workers = [chain.new_account(f"worker-{k}") for k in range(WORKERS)]
    for worker in workers:
        chain.transact(market.token.functions.transfer(worker.address, 100 * BOND), sponsor)
    return Arena(
        chain=chain,
        world=world,
        federation=federation,
        sponsor=sponsor,
        players=players,
        workers=workers,
        outsider=chain.new_account("outsider"),
        training_keys=toys.training_keys(),
        aggregation_keys=toys.aggregation_keys(),
    )
