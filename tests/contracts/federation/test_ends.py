"""Retrying a round, closing a task, settling a stalled one, and naming a model's blob."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from web3.contract.contract import ContractFunction

from fedproof.ledger.federation import Ending, Stage, TaskInfo
from fedproof.proving.transcript import extend_history, standing_hash
from tests.contracts.federation.arena import BOND, REWARD, SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import Board, play, refuses, wrong
from tests.contracts.support import rejects


def stalling(arena: Arena, task: TaskInfo, places: list[int]) -> ContractFunction:
    present = [arena.players[place].account.address for place in places]
    return arena.federation.contract.functions.settleStalled(task.task_id, task.standing(), present)


def fail(arena: Arena, task: TaskInfo) -> TaskInfo:
    arena.chain.wait_until_block(arena.now(task).deadline)
    return arena.now(task)


@pytest.mark.parametrize("who", ["sponsor", "worker"])
def test_a_failed_round_is_opened_again_under_the_next_number(arena: Arena, board: Board, who: str) -> None:
    task = board.failed
    receipt = arena.federation.retry_round(arena.sponsor if who == "sponsor" else arena.workers[2], task.task_id)
    now = arena.now(task)
    assert (now.round, now.retries, now.stage, now.accepted, now.model) == (2, 1, Stage.SUBMITTING, 0, task.model)
    assert now.deadline == receipt.block_number + task.params.submit_blocks
    assert arena.federation.round_failed(task.task_id, 1)
    stale = arena.federation.submit_update_call(now, board.updates[Stage.FAILED][1])
    arena.submit(now, arena.players[1], board.updates[Stage.FAILED][1])  # proven for round 1
    assert stale.args[1] == 2
    arena.federation.reject_update(arena.outsider, arena.now(task), board.updates[Stage.FAILED][1])


def test_retried_rounds_do_not_count_and_masks_run_out(arena: Arena) -> None:
    """Two rounds asked for, three that may run: after two failures one is played, and it is the last."""
    task = arena.running(2, rounds=2, mask_count=4, submit_blocks=8)
    for number in (1, 2):
        assert arena.now(task).round == number
        fail(arena, task)
        arena.federation.retry_round(arena.sponsor, task.task_id)
    _, end = arena.play_round(task)
    assert end.event("TaskEnded").args["ending"] == Ending.COMPLETED
    task = arena.now(task)
    assert (task.stage, task.round, task.retries, len(task.settled)) == (Stage.ENDED, 3, 2, 1)
    rows = [player.rows for player in arena.players[:2]]
    dust = REWARD - REWARD // sum(rows) * sum(rows)
    assert arena.federation.refund(arena.outsider, task.task_id) == REWARD + dust


def test_rejects_a_retry_without_a_mask(arena: Arena) -> None:
    task = arena.running(2, rounds=1, mask_count=2, submit_blocks=5)
    fail(arena, task)
    refuses(arena, arena.federation.contract.functions.retryRound(task.task_id), arena.sponsor, "NoMasksLeft")
    arena.federation.close_task(arena.sponsor, task.task_id)


def test_a_retry_does_not_shorten_the_task(arena: Arena) -> None:
    task = arena.running(2, rounds=2, mask_count=6, submit_blocks=8)
    fail(arena, task)
    arena.federation.retry_round(arena.workers[0], task.task_id)
    arena.play_round(task)
    assert (arena.now(task).stage, arena.now(task).round) == (Stage.SUBMITTING, 3)
    arena.play_round(task)
    assert (arena.now(task).stage, len(arena.now(task).settled)) == (Stage.ENDED, 2)


def test_a_round_that_rejections_leave_with_too_few_has_failed(arena: Arena, board: Board) -> None:
    task = arena.running(2, submit_blocks=12)
    for player in arena.players[:2]:
        arena.submit(task, player, wrong(arena.prove(task, player)))
    for update in arena.federation.updates(task.task_id, 1):
        arena.federation.reject_update(arena.outsider, arena.now(task), update)
    assert fail(arena, task).stage == Stage.FAILED
    arena.federation.retry_round(arena.sponsor, task.task_id)
    assert arena.now(task).round == 2


def idle(arena: Arena) -> TaskInfo:
    return arena.running(2)


def enrolling(arena: Arena) -> TaskInfo:
    return arena.open_task()


def failed(arena: Arena) -> TaskInfo:
    task = arena.running(2, submit_blocks=5)
    arena.submit(task, arena.players[0])
    return fail(arena, task)


@pytest.mark.parametrize("make", [idle, enrolling, failed], ids=lambda make: make.__name__)
def test_the_sponsor_closes_what_locks_no_reward_at_once(arena: Arena, make: Callable[[Arena], TaskInfo]) -> None:
    task = make(arena)
    before = arena.balance(arena.sponsor)
    receipt = arena.federation.close_task(arena.sponsor, task.task_id)
    assert receipt.event("TaskEnded").args == {"task": task.task_id, "ending": Ending.CLOSED}
    assert arena.now(task).stage == Stage.ENDED
    assert arena.federation.refund(arena.outsider, task.task_id) == 3 * REWARD
    assert arena.balance(arena.sponsor) == before + 3 * REWARD


@pytest.mark.parametrize("early", [True, False], ids=["one block early", "in time"])
@pytest.mark.parametrize("make", [enrolling, failed], ids=lambda make: make.__name__)
def test_others_close_a_task_once_it_has_stood_still(
    arena: Arena, make: Callable[[Arena], TaskInfo], early: bool
) -> None:
    task = make(arena)
    since = task.opened_block if task.stage == Stage.ENROLLING else task.deadline
    call = arena.federation.contract.functions.closeTask(task.task_id)
    arena.chain.wait_until_block(since + SETTLE_BLOCKS - (2 if early else 1))
    if early:
        with rejects("TooEarly", since + SETTLE_BLOCKS):
            arena.chain.transact(call, arena.outsider)
    else:
        assert arena.chain.transact(call, arena.outsider).block_number == since + SETTLE_BLOCKS


def test_nobody_but_the_sponsor_closes_an_idle_round_before_its_time(arena: Arena) -> None:
    task = idle(arena)
    call = arena.federation.contract.functions.closeTask(task.task_id)
    for account in (arena.players[0].account, arena.workers[0], arena.outsider):
        refuses(arena, call, account, "TooEarly", task.deadline + SETTLE_BLOCKS)


def test_nobody_closes_a_task_from_the_first_submission_to_the_end_of_its_round(arena: Arena) -> None:
    task = idle(arena)
    call = arena.federation.contract.functions.closeTask(task.task_id)
    stages = []
    for step in (lambda: arena.submit(task, arena.players[0]), lambda: arena.submit(task, arena.players[1])):
        step()
        stages.append(arena.now(task).stage)
        refuses(arena, call, arena.sponsor, "WrongStage", stages[-1])
    arena.chain.wait_until_block(arena.now(task).freeze_at + SETTLE_BLOCKS + 1)
    assert [*stages, arena.now(task).stage] == [Stage.SUBMITTING, Stage.REJECTING, Stage.FROZEN]
    for account in (arena.sponsor, arena.outsider):
        refuses(arena, call, account, "WrongStage", Stage.FROZEN)


@pytest.mark.parametrize("early", [True, False], ids=["one block early", "in time"])
def test_anyone_settles_a_stalled_round_and_its_participants_are_paid(arena: Arena, early: bool) -> None:
    task = arena.running(3)
    task = play(arena, task, arena.prove_all(task)[:2])
    assert task.stage == Stage.FROZEN  # the third never came
    since = task.freeze_at + SETTLE_BLOCKS
    arena.chain.wait_until_block(since - (2 if early else 1))
    call = stalling(arena, task, [0, 1])
    if early:
        with rejects("TooEarly", since):
            arena.chain.transact(call, arena.outsider)
        return
    receipt = arena.chain.transact(call, arena.outsider)
    assert receipt.block_number == since
    assert receipt.event("TaskEnded").args["ending"] == Ending.STALLED
    rows = [player.rows for player in arena.players[:2]]
    now = arena.now(task)
    assert (now.model, now.stage, now.settled[0].new_model) == (task.model, Stage.ENDED, None)
    history = extend_history(bytes(32), round_number=1, accepted=0b011, total_rows=sum(rows))
    view = arena.chain.call(arena.federation.contract.functions.taskOf(task.task_id))
    assert view[5] == standing_hash(task.model, history)
    for player in arena.players[:2]:
        paid = arena.federation.claim(player.account, task.task_id)
        assert (paid.reward, paid.bond) == (REWARD // sum(rows) * player.rows, BOND)
    third = arena.federation.claim(arena.players[2].account, task.task_id)
    assert (third.reward, third.bond) == (0, BOND)
    dust = REWARD - REWARD // sum(rows) * sum(rows)
    assert arena.federation.refund(arena.sponsor, task.task_id) == 2 * REWARD + dust


def test_rejects_a_stalled_round_with_another_set(arena: Arena, board: Board) -> None:
    task = board.frozen
    arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
    for places, bitmap in (([], 0), ([0], 1), ([0, 1], 3), ([1, 2], 6)):
        refuses(arena, stalling(arena, task, places), arena.outsider, "WrongSet", 0b111, bitmap)
    for places, offending in (([0, 0, 1, 2], 0), ([1, 0, 2], 0), ([0, 1, 2, 2], 2)):
        refuses(arena, stalling(arena, task, places), arena.outsider, "WrongOrder", offending)
    stranger = arena.players[3].account.address
    refuses(arena, stalling(arena, task, [0, 1, 3]), arena.outsider, "NotAllowed", stranger)
    other = board.ended  # its standing
    call = arena.federation.contract.functions.settleStalled(
        task.task_id, other.standing(), [player.account.address for player in arena.players[:3]]
    )
    refuses(arena, call, arena.outsider, "WrongStanding")
    arena.finalize(task)  # late is better than never


def test_a_first_round_needs_the_minimum(arena: Arena) -> None:
    task = arena.open_task(min_updates=3)
    call = arena.federation.contract.functions.openRound(task.task_id)
    for enrolled in range(3):
        refuses(arena, call, arena.sponsor, "TooFewParticipants", enrolled)
        arena.enrol(task, arena.players[enrolled])
    receipt = arena.chain.transact(call, arena.sponsor)
    task = arena.now(task)
    assert (task.round, task.stage, task.accepted) == (1, Stage.SUBMITTING, 0)
    assert receipt.event("RoundOpened").args == {
        "task": task.task_id,
        "round": 1,
        "deadline": receipt.block_number + task.params.submit_blocks,
        "freezeAt": receipt.block_number + task.params.submit_blocks + task.params.freeze_blocks,
    }
    assert arena.federation.freeze_block(task.task_id) == task.freeze_at
