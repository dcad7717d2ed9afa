"""Many calls of the committee's contract in one transaction: each as if its sender had sent it alone."""

from __future__ import annotations

import pytest

from fedproof.errors import ContractRejected
from fedproof.ledger.committee import Kind
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import refuses
from tests.contracts.federation.quarrel import Quarrel


def test_many_complaints_and_answers_are_those_of_their_senders(arena: Arena, quarrel: Quarrel) -> None:
    committee, chain, worker = quarrel.committee, arena.chain, quarrel.workers[0]
    calls = [committee.complain_call(quarrel.task, update, Kind.FETCH) for update in quarrel.updates]
    calls.append(committee.complain_call(quarrel.task, quarrel.updates[0], Kind.OPEN))
    before = arena.balance(worker), arena.balance(committee.address)
    chain.transact(committee.many_call(calls), worker)
    assert arena.balance(worker) == before[0] - 4 * BOND
    assert arena.balance(committee.address) == before[1] + 4 * BOND
    complaints = committee.complaints(quarrel.task.task_id)
    assert [(each.worker, each.kind) for each in complaints] == [(worker.address, Kind.FETCH)] * 3 + [
        (worker.address, Kind.OPEN)
    ]
    mine = [committee.answer_call(complaints[place].complaint, bytes([7]) * 32) for place in (0, 3)]
    refuses(arena, committee.many_call(mine), quarrel.participant(1), "NotAllowed", quarrel.participant(1).address)
    chain.transact(committee.many_call(mine), quarrel.participant(0))
    assert len(committee.answers(quarrel.task.task_id)) == 2


def test_all_of_many_calls_pass_or_none(arena: Arena, quarrel: Quarrel) -> None:
    committee, worker = quarrel.committee, quarrel.workers[0]
    call = committee.complain_call(quarrel.task, quarrel.updates[0], Kind.FETCH)
    number = quarrel.number(0, 0, Kind.FETCH)
    before = arena.balance(worker)
    with pytest.raises(ContractRejected) as caught:
        arena.chain.transact(committee.many_call([call, call]), worker)
    assert (caught.value.name, caught.value.arguments[0]) == ("AlreadyComplained", number)
    assert (committee.complaint(number), arena.balance(worker)) == (None, before)


def test_many_calls_take_no_money(arena: Arena, quarrel: Quarrel) -> None:
    committee = quarrel.committee
    calls = [committee.complain_call(quarrel.task, update, Kind.FETCH) for update in quarrel.updates]
    with pytest.raises(ContractRejected):
        arena.chain.transact(committee.many_call(calls), quarrel.workers[0], gas=1_500_000, value=1)


def test_ten_complaints_and_their_answers_cost_less_together(arena: Arena, quarrel: Quarrel) -> None:
    committee, worker = quarrel.committee, quarrel.workers[0]
    calls = [committee.complain_call(quarrel.task, update, Kind.FETCH) for update in quarrel.updates]
    alone = [arena.chain.prepare(call, worker).gas for call in calls]
    assert arena.chain.prepare(committee.many_call(calls), worker).gas < sum(alone)
