"""The bond of a complaint finds its owner whatever becomes of the update, its round and its task."""

from __future__ import annotations

from fedproof.ledger.committee import Kind
from fedproof.ledger.federation import Ending, Stage
from tests.contracts.federation.arena import BOND, SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import refuses, wrong
from tests.contracts.federation.quarrel import Quarrel, start
from tests.contracts.support import rejects

FETCH, OPEN = Kind


def finalize(quarrel: Quarrel) -> None:
    arena, task = quarrel.arena, quarrel.arena.now(quarrel.task)
    quarrel.wait(task.freeze_at)
    arena.chain.mine()
    arena.finalize(task)


def test_a_bond_waits_for_the_freeze(arena: Arena, quarrel: Quarrel) -> None:
    complaint, freeze = quarrel.complain(0, 1, FETCH), quarrel.windows.freeze
    quarrel.wait(freeze - 1)
    with rejects("TooEarly", freeze):
        quarrel.settle(complaint)
    quarrel.wait(freeze)
    assert quarrel.settle(complaint) == quarrel.participant(1).address
    with rejects("UnknownComplaint", bytes(32)):
        call = quarrel.committee.contract.functions.settleComplaint(bytes(32), (0, 0), [])
        arena.chain.transact(call, arena.outsider)


def test_a_bond_is_settled_rounds_later_too(arena: Arena, quarrel: Quarrel) -> None:
    complaint = quarrel.complain(0, 2, OPEN)
    finalize(quarrel)
    arena.play_round(quarrel.task, 2)  # without the third
    call = quarrel.committee.settle_complaint_call(complaint)
    _, model, settled = call.args
    function = quarrel.committee.contract.functions.settleComplaint
    for lie in ([], settled[:1], [settled[1], settled[0]], [(1, 0b101, settled[0][2]), settled[1]]):
        refuses(arena, function(complaint, model, lie), arena.outsider, "WrongStanding")
    refuses(arena, function(complaint, (1, 2), settled), arena.outsider, "WrongStanding")
    assert quarrel.settle(complaint) == quarrel.participant(2).address


def test_a_complaint_of_an_update_that_is_proven_invalid_gets_its_bond_back(arena: Arena) -> None:
    quarrel = start(arena, submitting=2)
    bad = wrong(arena.prove(quarrel.task, arena.players[2]))
    arena.submit(quarrel.task, arena.players[2], bad)
    quarrel.updates.append(bad)
    complaints = [quarrel.complain(worker, 2, FETCH) for worker in (0, 1, 2)]
    arena.federation.reject_update(arena.outsider, arena.now(quarrel.task), bad)
    assert quarrel.settle(complaints[0]) == quarrel.workers[0].address  # at once
    arena.federation.renew_bond(quarrel.participant(2), quarrel.task.task_id)  # puts the seat back
    assert quarrel.settle(complaints[1]) == quarrel.workers[1].address
    quarrel.wait(arena.now(quarrel.task).deadline + 1)
    finalize(quarrel)
    assert quarrel.settle(complaints[2]) == quarrel.workers[2].address  # the round's set does not have it


def test_a_replaced_update_is_seen_until_its_round_is_over(arena: Arena) -> None:
    quarrel = start(arena, submitting=2, submit_blocks=80, early=True)
    bad = wrong(arena.prove(quarrel.task, arena.players[2]))
    arena.submit(quarrel.task, arena.players[2], bad)
    quarrel.updates.append(bad)
    complaints = [quarrel.complain(worker, 2, FETCH) for worker in (0, 1)]
    task = arena.now(quarrel.task)
    arena.federation.reject_update(arena.outsider, task, bad)
    arena.federation.renew_bond(quarrel.participant(2), task.task_id)
    arena.submit(task, arena.players[2], arena.prove(task, arena.players[2]))
    assert quarrel.settle(complaints[0]) == quarrel.workers[0].address
    finalize(quarrel)
    assert quarrel.settle(complaints[1]) == quarrel.participant(2).address  # nothing shows it any more


def one_left(arena: Arena) -> tuple[Quarrel, bytes]:
    """A complaint of the one update that is left in a round that fails."""
    quarrel = start(arena, 2, submitting=1)
    bad = wrong(arena.prove(quarrel.task, arena.players[1]))
    arena.submit(quarrel.task, arena.players[1], bad)
    complaint = quarrel.complain(0, 0, OPEN)
    arena.federation.reject_update(arena.outsider, arena.now(quarrel.task), bad)
    quarrel.wait(arena.now(quarrel.task).deadline + 1)
    arena.chain.mine()
    assert arena.now(quarrel.task).stage == Stage.FAILED
    return quarrel, complaint


def test_a_failed_round_costs_nobody_the_bond_of_a_complaint(arena: Arena) -> None:
    """Nothing was decided; or a sponsor could retry a round to take it."""
    quarrel, complaint = one_left(arena)
    assert quarrel.settle(complaint) == quarrel.workers[0].address


def test_a_bond_is_paid_back_although_the_round_was_retried(arena: Arena) -> None:
    quarrel, complaint = one_left(arena)
    arena.federation.retry_round(arena.sponsor, quarrel.task.task_id)
    refuses(arena, quarrel.committee.attest_call(complaint), quarrel.workers[1], "WrongRound", 2)
    refuses(arena, quarrel.committee.answer_call(complaint, b"\1" * 32), quarrel.participant(0), "WrongRound", 2)
    assert quarrel.settle(complaint) == quarrel.workers[0].address


def test_a_bond_is_paid_back_although_the_task_was_closed(arena: Arena) -> None:
    quarrel, complaint = one_left(arena)
    arena.federation.close_task(arena.sponsor, quarrel.task.task_id)
    for call, account in (
        (quarrel.committee.attest_call(complaint), quarrel.workers[1]),
        (quarrel.committee.answer_call(complaint, b"\1" * 32), quarrel.participant(0)),
    ):
        refuses(arena, call, account, "WrongStage", Stage.ENDED)
    assert quarrel.settle(complaint) == quarrel.workers[0].address


def test_a_stalled_round_had_its_set(arena: Arena, quarrel: Quarrel) -> None:
    complaint, task = quarrel.complain(0, 1, OPEN), quarrel.task
    arena.chain.wait_until_block(task.freeze_at + SETTLE_BLOCKS)
    receipt = arena.federation.settle_stalled(arena.outsider, task.task_id)
    assert receipt.event("TaskEnded").args["ending"] == Ending.STALLED
    assert quarrel.settle(complaint) == quarrel.participant(1).address


def test_all_that_came_in_goes_out(arena: Arena) -> None:
    """Of a task with a removal, a complaint in vain, and a slashed worker."""
    before = arena.balance(arena.committee.address)
    quarrel = start(arena, rounds=1, mask_count=2)
    task_id, committee = quarrel.task.task_id, quarrel.committee
    complaints = [quarrel.complain(0, 1, FETCH), quarrel.complain(1, 2, FETCH), quarrel.complain(2, 1, OPEN)]
    quarrel.answer(2, complaints[1])
    quarrel.wait(quarrel.windows.fetch_answers)
    quarrel.attest(1, complaints[0])
    quarrel.wait(max(arena.now(quarrel.task).deadline, quarrel.task.deadline) + 1)
    finalize(quarrel)
    for accuser in (0, 1):
        committee.accuse(quarrel.workers[accuser], task_id, 1, quarrel.workers[2].address)
    for complaint in complaints:
        quarrel.settle(complaint)
    arena.chain.wait_until_block(arena.now(quarrel.task).ended_at + 2 * SETTLE_BLOCKS)
    for worker in quarrel.workers[:2]:
        committee.release_bond(worker, task_id)
    refuses(arena, committee.release_bond_call(task_id), quarrel.workers[2], "NoBond")
    credits = [quarrel.credit(account) for account in (*quarrel.workers, quarrel.participant(2), arena.sponsor)]
    assert credits == [2 * BOND, 0, BOND, BOND, quarrel.task.params.worker_bond]
    for account in (quarrel.workers[0], quarrel.workers[2], quarrel.participant(2), arena.sponsor):
        committee.withdraw(account)
    assert arena.balance(committee.address) == before
