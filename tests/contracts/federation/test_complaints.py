"""Complaints about sealed shares: when they are heard, who answers, and what removes an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedproof.errors import ContractRejected
from fedproof.ledger.committee import Kind, Windows
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import BOND, SUBMIT_BLOCKS, Arena
from tests.contracts.federation.board import refuses
from tests.contracts.federation.quarrel import FREEZE, SHARE, Quarrel, start, start_with_five
from tests.contracts.support import rejects

FETCH, OPEN = Kind
KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
OFFSETS = pytest.mark.parametrize("offset", [-1, 0, 1])


def after(quarrel: Quarrel, kind: Kind) -> int:
    """First block in which an answer is late, and an attestation not early."""
    return quarrel.windows.fetch_answers if kind == FETCH else quarrel.windows.open_answers


def test_windows_are_fifths_of_the_time_from_close_to_freeze(arena: Arena, quarrel: Quarrel) -> None:
    close = quarrel.task.freeze_at - FREEZE
    assert close < quarrel.task.deadline  # the round is full before its time
    assert quarrel.windows == Windows(close, close + 20, close + 41, close + 61, close + 82, close + 103)
    assert quarrel.committee.windows(arena.open_task().task_id) == Windows(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("freeze", [5, 6, 7, 8, 9, 10])
def test_the_shortest_freeze_has_a_block_for_every_window(arena: Arena, freeze: int) -> None:
    task = arena.running(2, freeze_blocks=freeze)
    found = arena.committee.windows(task.task_id)
    assert found.close == task.deadline
    edges = [found.close, found.fetch_complaints, found.fetch_answers, found.open_complaints, found.open_answers]
    assert all(later > sooner for sooner, later in zip(edges, [*edges[1:], found.freeze], strict=True))
    assert found.freeze == task.freeze_at


@KINDS
@OFFSETS
def test_a_complaint_comes_before_the_end_of_its_window(
    arena: Arena, quarrel: Quarrel, kind: Kind, offset: int
) -> None:
    end = quarrel.windows.fetch_complaints if kind == FETCH else quarrel.windows.open_complaints
    quarrel.wait(end + offset)
    if offset < 0:
        quarrel.complain(0, 1, kind)
    else:
        with rejects("TooLate", end):
            quarrel.complain(0, 1, kind)


@KINDS
@OFFSETS
def test_a_complaint_waits_for_the_close(arena: Arena, kind: Kind, offset: int) -> None:
    quarrel = start(arena, submitting=2)
    quarrel.wait(quarrel.task.deadline + offset)
    if offset < 0:
        with rejects("WrongStage", Stage.SUBMITTING):
            quarrel.complain(0, 1, kind)
    else:
        quarrel.complain(0, 1, kind)


@KINDS
@OFFSETS
def test_an_answer_comes_before_the_end_of_its_window(arena: Arena, quarrel: Quarrel, kind: Kind, offset: int) -> None:
    complaint = quarrel.complain(0, 1, kind)
    end = after(quarrel, kind)
    quarrel.wait(end + offset)
    if offset < 0:
        assert quarrel.answer(1, complaint).block_number == end - 1
    else:
        with rejects("TooLate", end):
            quarrel.answer(1, complaint)


@KINDS
@OFFSETS
def test_an_attestation_waits_for_the_end_of_the_answers(
    arena: Arena, quarrel: Quarrel, kind: Kind, offset: int
) -> None:
    complaint = quarrel.complain(0, 1, kind)
    begin = after(quarrel, kind)
    quarrel.wait(begin + offset)
    if offset < 0:
        with rejects("TooEarly", begin):
            quarrel.attest(1, complaint)
        assert quarrel.is_in(1)
    else:
        quarrel.attest(1, complaint)
        assert not quarrel.is_in(1)


@KINDS
@OFFSETS
def test_an_attestation_comes_before_the_freeze(arena: Arena, kind: Kind, offset: int) -> None:
    quarrel = start_with_five(arena)
    complaint = quarrel.complain(0, 1, kind)
    freeze = quarrel.windows.freeze
    quarrel.wait(freeze + offset)
    if offset < 0:
        quarrel.attest(1, complaint)
    else:
        with rejects("TooLate", freeze):
            quarrel.attest(1, complaint)


@KINDS
def test_a_complaint_is_told(arena: Arena, quarrel: Quarrel, kind: Kind) -> None:
    made = quarrel.complain(0, 1, kind)
    task_id, participant = quarrel.task.task_id, quarrel.participant(1)
    found = quarrel.committee.complaint(made)
    assert found is not None
    assert (found.task_id, found.round, found.participant) == (task_id, 1, participant.address)
    assert (found.digest, found.worker, found.kind) == (quarrel.digest(1), quarrel.workers[0].address, kind)
    assert (found.votes, found.answered, found.removed, found.settled) == (1, False, False, False)
    (told,) = quarrel.committee.complaints(task_id)
    assert (told.complaint, told.participant, told.round, told.digest, told.worker, told.kind) == (
        *(made, participant.address, 1, quarrel.digest(1), quarrel.workers[0].address, kind),
    )
    quarrel.answer(1, made)
    (answer,) = quarrel.committee.answers(task_id, complaint=made)
    assert (answer.complaint, answer.participant, answer.content_id) == (made, participant.address, SHARE)
    quarrel.wait(after(quarrel, kind))
    quarrel.attest(1, made)
    (said,) = quarrel.committee.attestations(task_id, complaint=made)
    assert (said.complaint, said.worker) == (made, quarrel.workers[1].address)
    (gone,) = quarrel.committee.removals(task_id)
    assert (gone.round, gone.participant, gone.digest) == (1, participant.address, quarrel.digest(1))
    found = quarrel.committee.complaint(made)
    assert found is not None
    assert (found.votes, found.answered, found.removed) == (2, True, True)
    assert quarrel.committee.complaint(bytes(32)) is None


@KINDS
def test_a_complaint_costs_a_bond_and_is_made_once(arena: Arena, quarrel: Quarrel, kind: Kind) -> None:
    before = arena.balance(quarrel.workers[0])
    quarrel.complain(0, 1, kind)
    assert arena.balance(quarrel.workers[0]) == before - BOND
    with rejects("AlreadyComplained", quarrel.number(0, 1, kind)):
        quarrel.complain(0, 1, kind)
    quarrel.complain(0, 2, kind)  # another update
    quarrel.complain(0, 1, OPEN if kind == FETCH else FETCH)  # another kind
    arena.chain.transact(arena.federation.token.functions.approve(arena.committee.address, BOND - 1), arena.workers[1])
    call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], kind)
    refuses(arena, call, arena.workers[1], "ERC20InsufficientAllowance")


def test_only_an_accepted_update_can_be_complained_of(arena: Arena) -> None:
    quarrel = start(arena, submitting=2)
    quarrel.wait(quarrel.task.deadline + 1)
    pending = arena.prove(quarrel.task, arena.players[2])
    call = quarrel.committee.complain_call(quarrel.task, pending, FETCH)
    refuses(arena, call, quarrel.workers[0], "WrongOpening", pending.participant)
    task, participant, (index, rows, masked, _), kind = call.args
    function = quarrel.committee.contract.functions.complain
    unused = function(task, participant, (index, rows, masked, bytes(32)), kind)  # its seat, before its first update
    refuses(arena, unused, quarrel.workers[0], "NotAccepted", 2)
    call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], FETCH)
    task, participant, seat, kind = call.args
    lies = [(0, *seat[1:]), (256, *seat[1:]), (1, 1, *seat[2:]), (*seat[:2], (1, 2), seat[3]), (*seat[:3], SHARE)]
    for lie in lies:
        refuses(arena, function(task, participant, lie, kind), quarrel.workers[0], "WrongOpening", participant)
    other = quarrel.participant(0).address
    refuses(arena, function(task, other, seat, kind), quarrel.workers[0], "WrongOpening", other)
    with pytest.raises(ContractRejected):
        arena.chain.call(function(task, participant, seat, 2), sender=quarrel.workers[0])


def test_an_update_of_another_round_is_not_complained_of(arena: Arena) -> None:
    """The seat keeps the last round's update until the next one comes in."""
    quarrel = start(arena, submit_blocks=40)
    quarrel.wait(quarrel.windows.freeze)
    arena.chain.mine()
    arena.finalize(quarrel.task)
    task = arena.now(quarrel.task)
    arena.submit(task, arena.players[0])
    arena.submit(task, arena.players[2])
    quarrel.wait(task.deadline + 1)
    call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], OPEN)
    arena.chain.mine()
    refuses(arena, call, quarrel.workers[0], "NotAccepted", 1)


@KINDS
def test_a_participant_answers_once(arena: Arena, quarrel: Quarrel, kind: Kind) -> None:
    complaint = quarrel.complain(0, 1, kind)
    call = quarrel.committee.answer_call(complaint, SHARE)
    for account in (quarrel.participant(0), quarrel.workers[0], quarrel.workers[1], arena.sponsor):
        refuses(arena, call, account, "NotAllowed", account.address)
    quarrel.answer(1, complaint)
    with rejects("AlreadyAnswered", complaint):
        quarrel.answer(1, complaint)


def test_a_fetch_complaint_is_answered_without_a_share_and_an_open_one_is_not(arena: Arena, quarrel: Quarrel) -> None:
    fetch, opened = quarrel.complain(0, 1, FETCH), quarrel.complain(1, 1, OPEN)
    quarrel.answer(1, fetch, bytes(32))
    with rejects("MissingShare"):
        quarrel.answer(1, opened, bytes(32))


def test_an_answered_fetch_complaint_can_be_followed_by_an_open_one(arena: Arena, quarrel: Quarrel) -> None:
    fetch = quarrel.complain(0, 1, FETCH)
    quarrel.wait(quarrel.windows.fetch_answers - 1)
    quarrel.answer(1, fetch, bytes(32))
    opened = quarrel.complain(0, 1, OPEN)
    quarrel.wait(quarrel.windows.open_answers)
    quarrel.attest(2, opened)
    assert not quarrel.is_in(1)
    for complaint in (fetch, opened):
        assert quarrel.settle(complaint) == quarrel.workers[0].address


@KINDS
def test_t_attestations_remove_nobody_and_one_more_does(arena: Arena, kind: Kind) -> None:
    quarrel = start_with_five(arena)
    complaint = quarrel.complain(0, 1, kind)
    quarrel.answer(1, complaint)
    quarrel.wait(after(quarrel, kind))
    quarrel.attest(1, complaint)
    for worker in (0, 1):
        with rejects("AlreadySaid", quarrel.workers[worker].address):
            quarrel.attest(worker, complaint)
    assert quarrel.is_in(1)
    assert quarrel.credit(quarrel.workers[0]) == 0
    federation, committee = arena.balance(arena.federation.address), arena.balance(arena.committee.address)
    receipt = quarrel.attest(2, complaint)
    assert not quarrel.is_in(1)
    (rejected,) = (
        event for event in receipt.events if event.name == "UpdateRejected"
    )  # by the federation, in its course
    assert (rejected.address, rejected.args["by"]) == (arena.federation.address, arena.committee.address)
    assert arena.balance(arena.federation.address) == federation - BOND
    assert arena.balance(arena.committee.address) == committee + BOND
    assert quarrel.credit(quarrel.workers[0]) == BOND
    with rejects("NotAccepted", 1):
        quarrel.attest(3, complaint)


@KINDS
def test_attestations_of_two_complaints_do_not_add_up(arena: Arena, kind: Kind) -> None:
    quarrel = start_with_five(arena)
    first, second = quarrel.complain(0, 1, kind), quarrel.complain(1, 1, kind)
    quarrel.wait(after(quarrel, kind))
    quarrel.attest(2, first)
    quarrel.attest(3, second)
    assert quarrel.is_in(1)
    quarrel.attest(2, second)
    assert not quarrel.is_in(1)
    assert (quarrel.credit(quarrel.workers[0]), quarrel.credit(quarrel.workers[1])) == (0, BOND)


def test_only_workers_complain_and_attest(arena: Arena) -> None:
    quarrel = start_with_five(arena)
    complaint = quarrel.complain(0, 1, FETCH)
    quarrel.wait(after(quarrel, FETCH))
    for account in (quarrel.participant(1), quarrel.participant(0), arena.sponsor, arena.outsider):
        call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], OPEN)
        refuses(arena, call, account, "NotAllowed", account.address)
        refuses(arena, quarrel.committee.attest_call(complaint), account, "NotAllowed", account.address)
    for call in (quarrel.committee.attest_call(SHARE), quarrel.committee.answer_call(SHARE, SHARE)):
        refuses(arena, call, quarrel.workers[0], "UnknownComplaint", SHARE)


def test_more_than_t_open_complaints_remove_an_update_at_once(arena: Arena) -> None:
    """Answers to all of them would publish t + 1 shares."""
    quarrel = start_with_five(arena, enrol_bond=500)
    before = arena.balance(arena.committee.address)
    complaints = [quarrel.complain(worker, 1, OPEN) for worker in (3, 0)]
    quarrel.answer(1, complaints[0])
    assert quarrel.is_in(1)
    complaints.append(quarrel.complain(2, 1, OPEN))
    assert not quarrel.is_in(1)
    with rejects("NotAccepted", 1):
        quarrel.answer(1, complaints[1])
    shares = [quarrel.credit(quarrel.workers[worker]) for worker in (3, 0, 2)]
    assert (shares, sum(shares)) == ([166, 166, 168], 500)
    for complaint, worker in zip(complaints, (3, 0, 2), strict=True):
        assert quarrel.settle(complaint) == quarrel.workers[worker].address
    assert arena.balance(arena.committee.address) == before + 4 * 500


def test_fetch_complaints_do_not_count_towards_removal_at_once(arena: Arena, quarrel: Quarrel) -> None:
    for worker in range(3):
        quarrel.complain(worker, 1, FETCH)
    quarrel.complain(0, 1, OPEN)
    quarrel.complain(1, 2, OPEN)
    assert all(quarrel.is_in(place) for place in range(3))


def resubmit(quarrel: Quarrel, place: int, again: Callable[[], object]) -> None:
    arena = quarrel.arena
    with rejects("WrongOpening", quarrel.participant(place).address):  # the bond is gone
        again()
    arena.federation.renew_bond(quarrel.participant(place), quarrel.task.task_id)
    again()


def test_a_participant_submits_again_while_the_window_runs(arena: Arena) -> None:
    quarrel = start(arena, submit_blocks=200)
    complaint = quarrel.complain(0, 1, FETCH)
    kept = quarrel.complain(2, 2, FETCH)
    quarrel.wait(after(quarrel, FETCH))
    quarrel.attest(1, complaint)
    task = arena.now(quarrel.task)
    assert (task.stage, task.freeze_at) == (Stage.SUBMITTING, task.deadline + FREEZE)
    quarrel.answer(2, kept)  # its windows have moved too
    better = arena.prove(task, arena.players[1])
    resubmit(quarrel, 1, lambda: arena.submit(task, arena.players[1], better))
    task = arena.now(task)
    assert (task.stage, task.accepted) == (Stage.REJECTING, 0b111)
    assert quarrel.windows.close == task.freeze_at - FREEZE
    quarrel.wait(quarrel.windows.freeze)
    arena.chain.mine()
    arena.finalize(task)
    assert quarrel.settle(complaint) == quarrel.workers[0].address
    assert quarrel.settle(kept) == quarrel.participant(2).address


def test_an_update_that_was_removed_comes_in_again_for_nothing(arena: Arena) -> None:
    quarrel = start(arena, submit_blocks=200)
    complaint = quarrel.complain(0, 1, FETCH)
    quarrel.wait(after(quarrel, FETCH))
    quarrel.attest(1, complaint)
    resubmit(quarrel, 1, lambda: arena.submit(quarrel.task, arena.players[1], quarrel.updates[1]))
    assert quarrel.is_in(1)
    before = arena.balance(quarrel.workers[2])
    quarrel.complain(2, 1, OPEN)
    assert not quarrel.is_in(1)
    assert (quarrel.credit(quarrel.workers[2]), arena.balance(quarrel.workers[2])) == (BOND, before)
    assert quarrel.committee.complaint(quarrel.number(2, 1, OPEN)) is None


def test_two_participants_spoil_shares_of_two_workers_and_the_round_still_ends(arena: Arena) -> None:
    """A bare vote of t + 1 would not see it: each of the two shares is bad for one worker alone."""
    quarrel = start(arena, 4, submit_blocks=30)
    complaints = [quarrel.complain(0, 1, OPEN), quarrel.complain(1, 2, OPEN)]
    quarrel.answer(2, complaints[1], SHARE)  # another spoiled one; the first never answers
    quarrel.wait(quarrel.windows.open_answers)
    for complaint in complaints:
        quarrel.attest(2, complaint)
    task = arena.now(quarrel.task)
    assert task.accepted == 0b1001
    quarrel.wait(task.freeze_at)
    arena.chain.mine()
    arena.finalize(task)
    assert arena.now(task).settled[0].accepted == 0b1001


def test_a_false_complaint_costs_its_bond_and_removes_nobody(arena: Arena, quarrel: Quarrel) -> None:
    complaint = quarrel.complain(0, 1, OPEN)
    quarrel.answer(1, complaint)
    quarrel.wait(quarrel.windows.freeze)
    assert quarrel.settle(complaint) == quarrel.participant(1).address
    assert quarrel.is_in(1)
    before = arena.balance(quarrel.participant(1))
    assert quarrel.committee.withdraw(quarrel.participant(1)) == BOND
    assert arena.balance(quarrel.participant(1)) == before + BOND
    refuses(arena, quarrel.committee.withdraw_call(), quarrel.participant(1), "NothingToClaim")
    with rejects("NothingToClaim"):
        quarrel.settle(complaint)


def test_only_the_committees_contract_removes_an_update(arena: Arena, quarrel: Quarrel) -> None:
    functions, participant = arena.federation.contract.functions, quarrel.participant(1).address
    seat = arena.chain.call(functions.seatOf(quarrel.task.task_id, participant))
    call = functions.removeUpdate(quarrel.task.task_id, participant, seat)
    for account in (arena.sponsor, quarrel.workers[0], quarrel.participant(1), arena.outsider):
        refuses(arena, call, account, "NotAllowed", account.address)


def test_the_federation_removes_what_is_accepted_and_not_frozen_alone(arena: Arena) -> None:
    """What the committee's contract asks for is checked again: here by calls in its name."""
    quarrel = start(arena, submitting=2)
    functions, task_id = arena.federation.contract.functions, quarrel.task.task_id
    seats = [arena.chain.call(functions.seatOf(task_id, player.account.address)) for player in arena.players[:4]]

    def refused(task: int, place: int, seat: bytes, error: str, *arguments: object) -> None:
        call = functions.removeUpdate(task, arena.players[place].account.address, seat)
        with rejects(error, *arguments):
            arena.chain.call(call, sender=arena.committee.address)

    refused(task_id, 2, seats[2], "NotAccepted", 2)
    refused(task_id, 1, seats[0], "WrongOpening", arena.players[1].account.address)
    refused(task_id, 3, seats[3], "WrongOpening", arena.players[3].account.address)
    refused(task_id + 1, 1, seats[1], "WrongStage", Stage.NONE)
    refused(arena.open_task().task_id, 1, seats[1], "WrongStage", Stage.ENROLLING)
    arena.chain.call(
        functions.removeUpdate(task_id, arena.players[1].account.address, seats[1]), sender=arena.committee.address
    )
    arena.chain.wait_until_block(quarrel.task.freeze_at)
    refused(task_id, 1, seats[1], "AlreadyFrozen", quarrel.task.freeze_at)


def test_the_submit_window_of_these_rounds_outlives_their_close(arena: Arena, quarrel: Quarrel) -> None:
    """What the tests of full rounds rest on."""
    assert quarrel.windows.close < quarrel.task.deadline <= quarrel.windows.close + SUBMIT_BLOCKS
    assert replace(quarrel.task, stage=Stage.REJECTING) == quarrel.task
