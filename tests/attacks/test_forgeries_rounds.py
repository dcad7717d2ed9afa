"""Forgeries in a round: each succeeds where its check is left out, and fails in the contracts as they are.

A third build shows that nothing but the switch makes the difference: the weakened contracts with all checks in place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.proving.r1cs import FrArray
from tests.attacks.conftest import Builds, Rounds, Waiting, Weak
from tests.attacks.trying import DONE, disguised, stands, starved, tried
from tests.attacks.weakened import Check
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import Arena, Player
from tests.contracts.world import X25519_KEY

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.xdist_group("attacks on contracts")]

ZERO = "0x" + "00" * 20
LONG = {"submit_blocks": 400, "freeze_blocks": 400}


def only_if(weakened: bool, **omitted: Any) -> dict[str, Any]:
    """What a prover leaves out of its transcript where the build does not look at it."""
    return omitted if weakened else {}


def refused(error: str) -> dict[str, str]:
    """What an attack on a round that waits for its leader must come to in each build."""
    return {"ours": error, "all checks": error, "weakened": DONE}


# a leader who lies about the set or its weights


def test_rejects_a_leader_who_drops_an_update(rounds: Rounds) -> None:
    """The aggregate is right for the updates that are left."""
    seen = {}
    for build, (arena, task, updates) in rounds(Check.EVERY_ACCEPTED_UPDATE):
        given, leader = updates[1:], arena.workers[0]
        call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, leader, given))
        seen[build] = tried(arena.chain, call, leader)
    assert seen == refused("WrongSet")


def test_rejects_a_leader_who_counts_an_update_twice(rounds: Rounds) -> None:
    seen = {}
    for build, (arena, task, updates) in rounds(Check.EACH_UPDATE_ONCE):
        given, leader = [*updates, updates[2]], arena.workers[0]
        call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, leader, given))
        seen[build] = tried(arena.chain, call, leader)
    assert seen == refused("WrongOrder")


def test_rejects_a_leader_who_gives_an_update_fifty_times_its_rows(rounds: Rounds) -> None:
    seen = {}
    for build, (arena, task, updates) in rounds(Check.OPENED_SEATS):
        given, leader = [updates[0], replace(updates[1], rows=50 * updates[1].rows), updates[2]], arena.workers[0]
        call = arena.federation.finalize_round_call(task, given, arena.aggregate(task, leader, given))
        seen[build] = tried(arena.chain, call, leader)
    assert seen == refused("WrongOpening")


def test_rejects_a_sum_with_other_weights_than_the_rows(rounds: Rounds) -> None:
    """Every N is right, and one update counts for all rows of the round."""
    seen = {}
    for build, (arena, task, updates) in rounds(Check.LINK_OF_AGGREGATE):
        rows, leader = sum(update.rows for update in updates), arena.workers[0]
        step = _core.fr_random(toys.WEIGHTS)
        mine = toys.weighted(rows, arena.secrets[updates[0].update])
        rest = _core.fr_sub(mine, toys.weighted(rows, toys.padded(step, toys.UPDATE)))
        aggregate = arena.aggregate(task, leader, updates, step=step, remainder=rest)
        seen[build] = tried(arena.chain, arena.federation.finalize_round_call(task, updates, aggregate), leader)
    assert seen == refused("RoundDoesNotVerify")


def test_rejects_a_finalize_that_another_worker_copied_and_disguised(rounds: Rounds) -> None:
    seen = {}
    for build, (arena, task, updates) in rounds(Check.SENDER_OF_AGGREGATE):
        leader, copier = arena.workers[:2]
        told = only_if(build == "weakened", sender=ZERO)
        honest = arena.aggregate(task, leader, updates, **told)
        call = arena.federation.finalize_round_call(task, updates, replace(honest, proof=disguised(honest.proof)))
        seen[build] = tried(arena.chain, call, copier)
        if build != "weakened":  # the leader's own is good, disguised or not
            arena.chain.call(call, sender=leader)
    assert seen == refused("RoundDoesNotVerify")


# one update where another is due


def test_rejects_the_update_of_a_failed_round_in_the_round_that_repeats_it(builds: Builds) -> None:
    """Same task, model, dataset and masks: only the number of the round tells them apart."""
    seen = {}
    for build, arena in builds(Check.ROUND_OF_UPDATE):
        task, player = arena.running(2), arena.players[0]
        update = arena.prove(task, player, **only_if(build == "weakened", round_number=0))
        arena.submit(task, player, update)
        arena.freeze(task)
        arena.chain.mine()
        arena.federation.retry_round(arena.sponsor, task.task_id)
        again = arena.now(task)
        assert (again.round, again.model, again.stage) == (2, task.model, Stage.SUBMITTING)
        arena.submit(again, player, replace(update, proof=disguised(update.proof)))
        seen[build] = stands(arena, again, replace(update, proof=disguised(update.proof)))
    assert seen == {"ours": False, "weakened": True}


def test_rejects_a_disguised_proof_as_a_second_update(builds: Builds) -> None:
    """The same update again, with other proof bytes: whoever counts proofs by their bytes counts two."""
    seen = {}
    for build, arena in builds(Check.ONE_UPDATE_EACH):
        task, player = arena.running(2, **LONG), arena.players[0]
        first = arena.prove(task, player)
        arena.submit(task, player, first)
        second = replace(first, proof=disguised(first.proof))
        assert second.proof.proof != first.proof.proof
        call = arena.federation.submit_update_call(task, second)
        seen[build] = tried(arena.chain, call, player.account)
    assert seen == {"ours": "NothingDue", "weakened": DONE}


def enrol_as(arena: Arena, task: TaskInfo, player: Player, masks: FrArray) -> None:
    """Enrols with masks of another task or participant: C_X' and M are on the chain for everybody."""
    player.masks[task.task_id] = masks
    masked, mask = toy.srs().commit(player.masked(task.task_id)), toy.srs().commit(masks)
    arena.federation.enrol(player.account, task.task_id, player.dataset_id, masked, mask, task.terms)


def opened(arena: Arena, player: Player, masks: FrArray) -> TaskInfo:
    """A task in which a player enrols with these masks, and another one as always."""
    task = arena.open_task(**LONG)
    enrol_as(arena, task, player, masks)
    arena.enrol(task, arena.players[9])
    arena.federation.open_round(arena.sponsor, task.task_id)
    return arena.now(task)


def test_rejects_the_update_of_another_task(builds: Builds) -> None:
    """Somebody enrols in two tasks over one model with one C_X', trains once, and wants two rewards."""
    seen = {}
    for build, arena in builds(Check.TASK_OF_UPDATE):
        player, masks = arena.players[0], _core.fr_random(6)
        first, second = opened(arena, player, masks), opened(arena, player, masks)
        update = arena.prove(first, player, **only_if(build == "weakened", task=0))
        for task in (first, second):
            arena.submit(task, player, update)
        assert stands(arena, first, update)
        seen[build] = stands(arena, second, update)
    assert seen == {"ours": False, "weakened": True}


def test_rejects_the_update_of_another_federation(builds: Builds, weak: Weak) -> None:
    seen = {}
    for build, arena in builds(Check.CONTRACT_OF_UPDATE):
        other = weak.second if build != "ours" else _another(arena)
        player, masks = arena.players[0], _core.fr_random(6)
        first, elsewhere = opened(arena, player, masks), replace(arena, federation=other)
        while other.tasks() + 1 < first.task_id:
            elsewhere.open_task(**LONG)
        second = opened(elsewhere, player, masks)
        assert (second.task_id, second.round, second.model) == (first.task_id, first.round, first.model)
        update = arena.prove(first, player, **only_if(build == "weakened", federation=ZERO))
        arena.submit(first, player, update)
        elsewhere.submit(second, player, update)
        assert stands(arena, first, update)
        seen[build] = stands(elsewhere, second, update)
    assert seen == {"ours": False, "weakened": True}


def _another(arena: Arena) -> Federation:
    market = arena.world.market
    registry, token = market.registry.address, market.token.address
    return Federation.deploy(arena.chain, arena.sponsor, registry=registry, token=token, allow_development_keys=True)


def twin(arena: Arena, player: Player) -> Player:
    """Somebody with a grant of another dataset that holds the very same records under the same blinding."""
    world, account = arena.world, arena.chain.new_account("twin")
    terms, commitment = world.terms(), toy.srs().commit(player.vector)
    circuit_id = toy.listing_keys().circuit.circuit_id
    proof = toy.prove_listing(
        player.rows,
        player.vector,
        lambda d: world.market.listing_challenges(
            world.provider.address, terms, commitment, player.rows, circuit_id, d
        ),
    )
    dataset = world.market.mint_dataset(world.provider, terms, commitment, player.rows, proof).dataset_id
    public = world.public_inputs(dataset, 3, 7200, world.lock(), account)
    world.market.access_dataset(
        account, dataset, 3, 7200, X25519_KEY, root=public[0], nullifier=public[2], proof=toy.prove_eligibility(public)
    )
    arena.chain.transact(world.market.token.functions.transfer(account.address, 10_000), world.owner)
    return Player(account, dataset, player.rows, player.vector)


def test_rejects_a_copy_of_anothers_update_by_the_owner_of_the_same_records(builds: Builds, ours: Arena) -> None:
    """A dataset that was listed twice, and a participant who copies C_X', M and the update instead of training."""
    copier, seen = twin(ours, ours.players[0]), {}
    for build, arena in builds(Check.PARTICIPANT_OF_UPDATE):
        player, masks = arena.players[0], _core.fr_random(6)
        task = arena.open_task(**LONG)
        enrol_as(arena, task, player, masks)
        enrol_as(arena, task, copier, masks)
        arena.federation.open_round(arena.sponsor, task.task_id)
        task = arena.now(task)
        update = arena.prove(task, player, **only_if(build == "weakened", participant=ZERO))
        arena.submit(task, player, update)
        copy = replace(update, participant=copier.account.address, proof=disguised(update.proof))
        arena.submit(task, copier, copy)
        seen[build] = stands(arena, task, copy)
    assert seen == {"ours": False, "weakened": True}


def test_rejects_an_update_proven_on_another_dataset_than_the_listed_one(builds: Builds) -> None:
    """The proof is honest about C_X'; what is false is that C_X' masks the dataset of the grant."""
    seen = {}
    for build, arena in builds(Check.MASKING):
        task, player = arena.open_task(**LONG), arena.players[0]
        invented = replace(player, vector=toy.vector(4242), masks={task.task_id: _core.fr_random(6)})
        masked = toy.srs().commit(invented.masked(task.task_id))
        mask = toy.srs().commit(invented.masks[task.task_id])
        call = arena.federation.enrol_call(task.task_id, player.dataset_id, masked, mask, task.terms)
        allow = arena.federation.token.functions.approve(arena.federation.address, task.params.enrol_bond)
        arena.chain.transact(allow, player.account)
        seen[build] = tried(arena.chain, call, player.account)
        if build == "weakened":
            arena.enrol(task, arena.players[1])
            arena.federation.open_round(arena.sponsor, task.task_id)
            update = arena.prove(arena.now(task), invented)
            arena.submit(arena.now(task), invented, update)
            assert stands(arena, task, update)
    assert seen == {"ours": "NotAMasking", "weakened": DONE}


def test_no_amount_of_gas_makes_a_valid_update_invalid(builds: Builds) -> None:
    """Starved of gas, the pairing fails; a judge without the control pairing takes that for a verdict, and pays."""
    seen = {}
    for build, arena in builds(Check.CONTROL_PAIRING):
        task, player = arena.running(2, **LONG), arena.players[0]
        update = arena.prove(task, player)
        arena.submit(task, player, update)
        call = arena.federation.reject_update_call(arena.now(task), update)
        answers = starved(arena.chain, call, arena.outsider, range(250_000, 1_350_000, 100_000))
        assert "UpdateIsValid" in answers
        seen[build] = () in answers or None in answers  # it returned: the update is out and its bond paid
    assert seen == {"ours": False, "weakened": True}


def test_the_weighted_sum_is_what_an_honest_leader_proves(waiting: Waiting) -> None:
    """What the lies above are measured against."""
    arena, task, updates = waiting
    leader, rows = arena.workers[0], sum(update.rows for update in updates)
    total = np.zeros((toys.UPDATE, 4), dtype=np.uint64)
    for update in updates:
        total = _core.fr_add(total, toys.weighted(update.rows, arena.secrets[update.update]))
    step = _core.fr_random(toys.WEIGHTS)
    rest = _core.fr_sub(total, toys.weighted(rows, toys.padded(step, toys.UPDATE)))
    aggregate = arena.aggregate(task, leader, updates, step=step, remainder=rest)
    assert tried(arena.chain, arena.federation.finalize_round_call(task, updates, aggregate), leader) == DONE
