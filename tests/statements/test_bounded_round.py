"""A round of bounded updates on the contracts as they are: they know nothing of the statement but its key.

Datasets of targets are listed, too, so that the whole way is one of a task that no training statement covers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import Int
from fedproof.learning.sgd import pad_to
from fedproof.ledger import Account, Chain
from fedproof.ledger.federation import Aggregate, Federation, TaskInfo, Update
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import (
    Challenges,
    aggregation_challenges,
    aggregation_pre,
    attachments_word,
    share_commitments_digest,
    training_challenges,
    training_pre,
)
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide
from fedproof.statements.bounded import BoundedStatement, BoundedWitness
from fedproof.statements.labels import TARGET
from fedproof.statements.layout import DATASET_BLINDING, UPDATE_BLINDING
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from tests.contracts import toy
from tests.contracts.support import rejects
from tests.contracts.world import X25519_KEY, World, build
from tests.learning.bounded import PLAN, at_norm

pytestmark = pytest.mark.slow

BOUNDED, AGGREGATION = BoundedStatement(PLAN), AggregationStatement.of(PLAN)
LISTING = ListingStatement(PLAN.rows, PLAN.columns, TARGET)
START: Int = np.array([2**40, -7, 0, 3, 1], dtype=np.int64)
UPDATES = [at_norm(PLAN.norm_squared), [-2048, 2047, 0, 5, -6]]
REAL = (30, 17)
WINDOW = 20


@dataclass
class Participant:
    """A dataset of so many rows, its vector, and the masks of the enrolment."""

    account: Account
    rows: int
    dataset: int
    listed: FrArray
    masks: FrArray

    @property
    def masked(self) -> FrArray:
        """The vector of C_X'."""
        return np.concatenate([self.listed, self.masks])


@dataclass
class Round:
    """A federation on an embedded chain, a task of bounded updates, and keys of one dealer."""

    world: World
    federation: Federation
    srs: _core.Srs
    keys: dict[str, Keys]
    participants: list[Participant]
    workers: list[Account]
    task: TaskInfo

    def prove(self, who: Participant, update: Int, factor: int = 1) -> tuple[Update, FrArray]:
        """An update as a participant submits it, and its blinding; a factor makes the committed one another."""
        witness = BoundedWitness(who.masked, START, update, _core.fr_random(UPDATE_BLINDING))
        vectors = [who.masked, weight_vector(START), update_vector(update, witness.update_blinding)]
        masked, model = (self.srs.commit(vector) for vector in vectors[:2])
        committed = self.srs.commit(update_vector(factor * update, witness.update_blinding))
        assert model == self.task.model
        shares = share_commitments_digest([self.srs.commit(_core.fr_random(8)) for _ in range(self.task.threshold)])
        sealed = _core.keccak256(committed)

        def challenge(d: bytes) -> Challenges:
            pre = training_pre(
                chain_id=self.world.chain.chain_id,
                federation=self.federation.address,
                task=self.task.task_id,
                round_number=self.task.round,
                participant=who.account.address,
                circuit_id=self.keys["bounded"].circuit.circuit_id,
                masked_dataset=masked,
                model=model,
                update=committed,
                d=d,
            )
            return training_challenges(pre, attachments_word(shares, sealed))

        proof = prove_linked(self.keys["bounded"], BOUNDED, witness, self.srs, vectors, challenge)
        return Update(who.account.address, who.rows, masked, committed, shares, sealed, proof), witness.update_blinding

    def average(self, made: list[tuple[Update, FrArray]], first: int = 1) -> tuple[Aggregate, Int]:
        """The leader's proof about what the updates commit to, the first with a factor; and the new model."""
        updates, blindings = [update for update, _ in made], [blinding for _, blinding in made]
        count = sum(REAL)
        total = REAL[0] * first * np.array(UPDATES[0]) + REAL[1] * np.array(UPDATES[1])
        quotient, remainder = divide(total, count)
        scaled = [_core.fr_mul(b, _core.fr_from_ints([n])) for n, b in zip(REAL, blindings, strict=True)]
        witness = AggregationWitness(count, quotient, remainder, _core.fr_add(*scaled))
        new_model = self.srs.commit(weight_vector(START + quotient))

        def challenge(d: bytes) -> Challenges:
            pre = aggregation_pre(
                chain_id=self.world.chain.chain_id,
                federation=self.federation.address,
                task=self.task.task_id,
                round_number=self.task.round,
                sender=self.workers[0].address,
                circuit_id=self.keys["aggregation"].circuit.circuit_id,
                digests=[self.federation.update_digest(self.task.task_id, 1, update) for update in updates],
                total_rows=count,
                model=self.task.model,
                new_model=new_model,
                d=d,
            )
            return aggregation_challenges(pre)

        vectors = [weight_vector(quotient), update_vector(remainder, witness.blinding)]
        proof = prove_linked(self.keys["aggregation"], AGGREGATION, witness, self.srs, vectors, challenge, [count])
        return Aggregate(new_model, _core.keccak256(new_model), proof), START + quotient


def listed(world: World, srs: _core.Srs, keys: Keys, class_id: int, number: int) -> Participant:
    """A participant with a Tier-3 grant of a dataset of targets that was listed by a real proof."""
    account, rows, rng = world.chain.new_account(f"participant-{number}"), REAL[number], np.random.default_rng(number)
    features = rng.integers(-2048, 2048, (rows, PLAN.columns - 1))
    records = pad_to(PLAN.rows, PLAN.columns, features, rng.integers(-2048, 2048, rows))
    blinding, terms = _core.fr_random(DATASET_BLINDING), world.terms(class_id=class_id)
    vector = dataset_vector(*records, blinding)
    commitment, circuit_id = srs.commit(vector), keys.circuit.circuit_id

    def challenge(d: bytes) -> Challenges:
        return world.market.listing_challenges(world.provider.address, terms, commitment, rows, circuit_id, d)

    proof = prove_linked(keys, LISTING, ListingWitness(*records, blinding), srs, [vector], challenge)
    dataset = world.market.mint_dataset(world.provider, terms, commitment, rows, proof).dataset_id
    root = world.lock()
    public = world.public_inputs(dataset, 3, 7200, root, account)
    world.market.access_dataset(
        account, dataset, 3, 7200, X25519_KEY, root=root, nullifier=public[2], proof=toy.prove_eligibility(public)
    )
    return Participant(account, rows, dataset, vector, _core.fr_random(PLAN.mask_count))


@pytest.fixture(scope="module")
def opened() -> Round:
    """A task with two enrolled participants, whose first round takes updates."""
    srs = _core.Srs.generate(BOUNDED.powers, [1, BOUNDED.layout.masks])
    keys = {
        "listing": setup(compile_statement(LISTING), srs),
        "bounded": setup(compile_statement(BOUNDED), srs, BOUNDED.layout.masks),
        "aggregation": setup(compile_statement(AGGREGATION), srs),
    }
    world = build(Chain.embedded())
    listing, eligibility = keys["listing"].verifying, toy.eligibility_keys().verifying
    class_id = world.market.register_class(world.owner, PLAN.rows, PLAN.columns, listing, eligibility)
    participants = [listed(world, srs, keys["listing"], class_id, number) for number in range(2)]
    federation = Federation.deploy(
        world.chain,
        world.owner,
        registry=world.market.registry.address,
        token=world.market.token.address,
        allow_development_keys=True,
    )
    workers = [world.chain.new_account(f"worker-{k}") for k in range(3)]
    task = federation.open_task(
        world.owner,
        training_key=keys["bounded"].verifying,
        aggregation_key=keys["aggregation"].verifying,
        committee=[(worker.address, bytes([k]) * 32) for k, worker in enumerate(workers, 1)],
        description=bytes(32),
        spec_digest=PLAN.digest(),
        model=srs.commit(weight_vector(START)),
        class_id=class_id,
        rounds=1,
        mask_count=PLAN.mask_count,
        threshold=1,
        min_updates=2,
        max_participants=2,
        submit_blocks=WINDOW,
        freeze_blocks=5,
        settle_blocks=WINDOW,
        reward_per_round=1000,
        enrol_bond=0,
    )
    for who in participants:
        masked, mask = srs.commit(who.masked), srs.commit(who.masks)
        federation.enrol(who.account, task.task_id, who.dataset, masked, mask, task.terms)
    federation.open_round(world.owner, task.task_id)
    return Round(world, federation, srs, keys, participants, workers, federation.task_info(task.task_id))


@pytest.fixture
def game(opened: Round) -> Iterator[Round]:
    """The round, put back after a test."""
    snapshot = opened.world.chain.dev.snapshot()
    yield opened
    opened.world.chain.dev.revert(snapshot)
    opened.federation.forget()


def played(game: Round, updates: list[Update]) -> TaskInfo:
    """The updates are submitted and the round is frozen."""
    for who, update in zip(game.participants, updates, strict=True):
        game.federation.submit_update(who.account, game.task, update)
    game.world.chain.wait_until_block(game.federation.freeze_block(game.task.task_id) - 1)
    game.world.chain.mine()
    return game.federation.task_info(game.task.task_id)


def test_the_contracts_settle_a_round_of_bounded_updates(game: Round) -> None:
    made = [game.prove(who, np.array(u)) for who, u in zip(game.participants, UPDATES, strict=True)]
    updates = [update for update, _ in made]
    task = played(game, updates)
    aggregate, model = game.average(made)
    game.federation.finalize_round(game.workers[0], task, updates, aggregate)
    assert game.federation.task_info(task.task_id).model == game.srs.commit(weight_vector(model))


def test_the_contracts_refuse_a_round_with_an_update_beyond_its_bound(game: Round) -> None:
    """Its proof is about a vector within the bound, with challenges after a commitment to ten times as much; the
    average is of what is committed."""
    made = [
        game.prove(who, np.array(u), factor) for who, u, factor in zip(game.participants, UPDATES, (10, 1), strict=True)
    ]
    updates = [update for update, _ in made]
    task = played(game, updates)
    aggregate, _ = game.average(made, first=10)
    call = game.federation.finalize_round_call(task, updates, aggregate)
    with rejects("RoundDoesNotVerify"):
        game.world.chain.call(call, sender=game.workers[0])
