"""Rounds that are too large for one transaction, and tasks with more participants than the head has places.

The contracts are compiled with smaller numbers: two places in the head, three updates in a transaction, two in a part.
A round of 200 is settled with the numbers of mainnet by `benches/round_gas.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.errors import InputError
from fedproof.ledger import Chain
from fedproof.ledger.federation import LIBRARIES, Federation, Stage, TaskInfo, Update
from fedproof.proving import transcript
from tests.attacks.trying import starved
from tests.attacks.weak_contracts import without_size_limits
from tests.contracts import world
from tests.contracts.federation import arena as arenas
from tests.contracts.federation.arena import BOND, REWARD, Arena
from tests.contracts.federation.board import calldata
from tests.contracts.federation.lessened import MAX_UPDATES, PART, compile_lessened
from tests.contracts.support import rejects

pytestmark = pytest.mark.xdist_group("parts")


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    made = compile_lessened(tmp_path_factory.mktemp("parts"))
    arena = arenas.build(world.build(Chain.embedded()), 6)
    chain, market, sponsor = arena.chain, arena.world.market, arena.sponsor
    with without_size_limits():
        libraries = {name: chain.deploy(made[name], sender=sponsor).address for name in LIBRARIES}
        places = (market.registry.address, market.token.address, True)
        contract = chain.deploy(made["Federation"], *places, sender=sponsor, libraries=libraries)
    return replace(arena, federation=Federation(chain, contract))


@pytest.fixture
def small(_shared: Arena, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arena]:
    monkeypatch.setattr(transcript, "MAX_UPDATES", MAX_UPDATES)
    monkeypatch.setattr(transcript, "PART_UPDATES", PART)
    snapshot = _shared.chain.dev.snapshot()
    yield _shared
    _shared.chain.dev.revert(snapshot)
    _shared.federation.forget()


def frozen(arena: Arena, participants: int = 5, submitted: int | None = None) -> TaskInfo:
    task = arena.running(participants, max_participants=participants)
    arena.submit_all(task, submitted)
    arena.freeze(task)
    return arena.now(task)


def part(arena: Arena, task: TaskInfo, *places: int) -> ContractFunction:
    """A part of exactly these updates."""
    updates = arena.federation.updates(task.task_id, task.round)
    sealed = [updates[place].sealed(place) for place in places]
    return arena.federation.contract.functions.verifyPart(task.task_id, task.standing(), sealed)


def test_a_large_round_is_settled_in_two_transactions_and_the_next_one_too(small: Arena) -> None:
    task = frozen(small)
    for expected in (1, 2):
        updates = small.federation.updates(task.task_id, task.round)
        assert small.federation.needs_part(task, updates)
        with rejects("PartDue"):
            small.finalize(task)
        receipt = small.verify_part(task, small.workers[1])
        (event,) = small.chain.events(small.federation.contract, "RoundPartVerified", receipt.block_number)
        rows = sum(update.rows for update in updates[:2])
        assert (event.args["round"], event.args["rows"], event.args["accepted"]) == (expected, rows, 0b11)
        assert event.args["by"] == small.workers[1].address
        assert not small.federation.needs_part(task, updates)
        small.finalize(task)
        task = small.now(task)
        assert task.settled[-1].accepted == 0b11111
        assert task.settled[-1].total_rows == sum(update.rows for update in updates)
        assert (task.stage, task.round, task.accepted) == (Stage.SUBMITTING, expected + 1, 0)
        small.submit_all(task)
        small.freeze(task)
        task = small.now(task)
    for player in small.players[:5]:
        reward, _ = small.federation.claimable(task.task_id, player.account.address)
        assert reward == sum(REWARD // each.total_rows * player.rows for each in task.settled)


def test_a_round_that_fits_has_no_parts(small: Arena) -> None:
    task = frozen(small, submitted=3)
    updates = small.federation.updates(task.task_id, task.round)
    assert not small.federation.needs_part(task, updates)
    with pytest.raises(InputError, match="a round of 3 updates is settled in one transaction"):
        small.federation.verify_part_call(task, updates)
    functions = small.federation.contract.functions
    sealed = [update.sealed(place) for place, update in enumerate(updates[:2])]
    with rejects("NoPartDue"):
        small.chain.transact(functions.verifyPart(task.task_id, task.standing(), sealed), small.workers[0])
    small.finalize(task)
    assert small.now(task).settled[0].accepted == 0b111


@pytest.mark.parametrize(
    ("places", "error"),
    [
        ((0, 2), "WrongSet"), ((1, 2), "WrongSet"), ((3, 4), "WrongSet"), ((1, 0), "WrongOrder"),
        ((0, 0), "WrongOrder"), ((0,), "NoPartDue"), ((0, 1, 2), "NoPartDue"), ((), "NoPartDue"),
    ],
)  # fmt: skip
def test_the_part_is_the_lowest_places_and_nothing_else(small: Arena, places: tuple[int, ...], error: str) -> None:
    """Another one could never be continued, and the round would be stuck."""
    task = frozen(small)
    with rejects(error):
        small.chain.transact(part(small, task, *places), small.workers[0])
    small.verify_part(task)
    small.finalize(task)


def test_there_is_one_part_of_a_round(small: Arena) -> None:
    task = frozen(small)
    small.verify_part(task)
    with rejects("NoPartDue"):
        small.verify_part(task, small.workers[1])
    with rejects("WrongOrder"):  # all of them, the first ones twice
        updates = small.federation.updates(task.task_id, task.round)
        aggregate = small.aggregate(task, small.workers[0], updates)
        sealed = [update.sealed(place) for place, update in enumerate(updates)]
        call = small.federation.contract.functions.finalizeRound(task.task_id, task.standing(), sealed, aggregate.abi())
        small.chain.transact(call, small.workers[0])


@pytest.mark.parametrize("places", [(0, 1, 2), (0, 2, 4), (0, 4), (4,)], ids=str)
def test_a_failed_round_is_not_finalized_whatever_places_its_updates_have(
    small: Arena, places: tuple[int, ...]
) -> None:
    """Fewer than the minimum came in: their sum would show too much, and the round's reward is not theirs."""
    task = small.running(5, max_participants=5, min_updates=4)
    for place in places:
        small.submit(task, small.players[place])
    small.chain.wait_until_block(task.deadline + task.params.freeze_blocks)
    task = small.now(task)
    assert task.stage == Stage.FAILED
    with rejects("WrongStage", Stage.FAILED):
        small.finalize(task)


@pytest.mark.parametrize("left_out", [2, 4])
def test_finalizing_takes_all_the_others(small: Arena, left_out: int) -> None:
    task = frozen(small)
    small.verify_part(task)
    updates = small.federation.updates(task.task_id, task.round)
    aggregate = small.aggregate(task, small.workers[0], updates)
    sealed = [update.sealed(place) for place, update in enumerate(updates) if place > 1 and place != left_out]
    call = small.federation.contract.functions.finalizeRound(task.task_id, task.standing(), sealed, aggregate.abi())
    with rejects("WrongSet", 0b11111, 0b11111 ^ 1 << left_out):
        small.chain.transact(call, small.workers[0])


def test_only_a_worker_sends_it_and_only_of_a_frozen_round(small: Arena) -> None:
    task = small.running(5, max_participants=5)
    small.submit_all(task)
    task = small.now(task)
    with rejects("WrongStage", Stage.REJECTING):
        small.verify_part(task)
    small.freeze(task)
    for stranger in (small.outsider, small.sponsor, small.players[0].account):
        with rejects("NotAllowed", stranger.address):
            small.verify_part(task, stranger)
    with rejects("WrongStanding"):
        small.verify_part(replace(task, model=_core.g1_neg(task.model)))
    call = part(small, task, 0, 1)
    data = calldata(call)
    with rejects("WrongLength"):
        small.chain.transact_raw(small.federation.address, data + bytes(1), small.workers[0])
    small.verify_part(task)


@pytest.mark.parametrize("place", [0, 1])
def test_an_update_that_does_not_verify_makes_no_part(small: Arena, place: int) -> None:
    task = small.running(5, max_participants=5)
    for k, player in enumerate(small.players[:5]):
        small.submit(task, player, small.prove(task, player, round_number=9) if k == place else None)
    small.freeze(task)
    task = small.now(task)
    with rejects("RoundDoesNotVerify"):
        small.verify_part(task)


def test_the_link_of_an_update_counts_in_a_part(small: Arena) -> None:
    """The proof holds, and the committed update is another."""
    task = small.running(5, max_participants=5)
    for k, player in enumerate(small.players[:5]):
        update = small.prove(task, player)
        if k == 1:
            update = replace(update, proof=replace(update.proof, q=_core.g1_add(update.proof.q, update.update)))
        small.submit(task, player, update)
    small.freeze(task)
    with rejects("RoundDoesNotVerify"):
        small.verify_part(small.now(task))


def settle(arena: Arena, task: TaskInfo, *, part_of: list[Update], count: int | None = None) -> None:
    """Finalize with an aggregate over other updates, that says of itself that it is over all."""
    updates = arena.federation.updates(task.task_id, task.round)
    digests = [arena.federation.update_digest(task.task_id, task.round, update) for update in updates]
    rows = sum(update.rows for update in updates)
    aggregate = arena.aggregate(
        task, arena.workers[0], part_of, count=rows if count is None else count, digests=digests, total_rows=rows
    )
    arena.federation.finalize_round(arena.workers[0], task, updates, aggregate)


def test_the_updates_of_the_part_are_in_the_average(small: Arena) -> None:
    task = frozen(small)
    small.verify_part(task)
    updates = small.federation.updates(task.task_id, task.round)
    for wrong in (updates[2:], updates[1:], updates[:4], [*updates, updates[0]]):
        with rejects("RoundDoesNotVerify"):
            settle(small, task, part_of=wrong)
    rest = sum(update.rows for update in updates[2:])
    with rejects("RoundDoesNotVerify"):
        settle(small, task, part_of=updates[2:], count=rest)
    settle(small, task, part_of=updates)


def test_an_aggregate_is_about_the_part_that_was_verified(small: Arena) -> None:
    task = frozen(small)
    small.verify_part(task)
    updates = small.federation.updates(task.task_id, task.round)
    digests = [small.federation.update_digest(task.task_id, task.round, update) for update in updates]
    for wrong in ([digests[1], digests[0], *digests[2:]], digests[:3], digests[2:]):
        aggregate = small.aggregate(task, small.workers[0], updates, digests=wrong)
        with rejects("RoundDoesNotVerify"):
            small.federation.finalize_round(small.workers[0], task, updates, aggregate)
    small.finalize(task)


@pytest.mark.parametrize("place", [1, 2, 4])
def test_a_rejected_update_of_any_place_is_missing_and_may_come_again(small: Arena, place: int) -> None:
    task = small.running(5, max_participants=5)
    for k, player in enumerate(small.players[:5]):
        small.submit(task, player, small.prove(task, player, round_number=9) if k == place else None)
    task, liar = small.now(task), small.players[place]
    assert task.accepted == 0b11111
    bad = small.federation.updates(task.task_id, task.round)[place]
    small.federation.reject_update(small.outsider, task, bad)
    task = small.now(task)
    assert (task.accepted, task.stage) == (0b11111 ^ 1 << place, Stage.SUBMITTING)
    with rejects("NothingDue", (place + 1) % 5):
        small.submit(task, small.players[(place + 1) % 5])
    small.federation.renew_bond(liar.account, task.task_id)
    small.submit(task, liar)
    small.freeze(task)
    small.verify_part(task)
    small.finalize(task)
    assert small.now(task).settled[0].accepted == 0b11111


def test_a_part_of_a_round_that_lost_an_update_is_of_the_lowest_that_are_left(small: Arena) -> None:
    task = small.running(6, max_participants=6)
    for k, player in enumerate(small.players[:6]):
        small.submit(task, player, small.prove(task, player, round_number=9) if k == 0 else None)
    bad = small.federation.updates(task.task_id, task.round)[0]
    small.federation.reject_update(small.outsider, small.now(task), bad)
    small.freeze(task)
    task = small.now(task)
    assert task.accepted == 0b111110
    small.verify_part(task)
    small.finalize(task)
    assert small.now(task).settled[0].accepted == 0b111110


def test_a_large_round_that_stalls_pays_everybody(small: Arena) -> None:
    task = frozen(small)
    small.verify_part(task)
    small.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
    small.federation.settle_stalled(small.outsider, task.task_id)
    task = small.now(task)
    assert (task.stage, task.settled[0].accepted, task.settled[0].new_model) == (Stage.ENDED, 0b11111, None)
    for player in small.players[:5]:
        assert small.federation.claim(player.account, task.task_id).bond == BOND


def test_the_last_update_of_a_large_round_closes_it_whichever_that_is(small: Arena) -> None:
    for last in (0, 2, 4):
        task = small.running(5, max_participants=5)
        for k in [*(set(range(5)) - {last}), last]:
            assert small.now(task).stage == Stage.SUBMITTING
            small.submit(task, small.players[k])
        closed = small.now(task)
        assert closed.stage == Stage.REJECTING
        assert closed.freeze_at == small.chain.block_number() + task.params.freeze_blocks < task.freeze_at


def test_a_part_with_too_little_gas_is_none(small: Arena) -> None:
    """A pairing that gets too little gas reverts; it never says that a round does not verify."""
    task = frozen(small)
    small.chain.mine(1)
    answers = starved(small.chain, part(small, task, 0, 1), small.workers[0], range(60_000, 700_000, 20_000))
    assert answers == {"no gas", "PrecompileFailed", None}
