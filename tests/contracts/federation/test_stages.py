"""Every function at every stage, called by every role: it works, or says exactly why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from web3.contract.contract import ContractFunction

from fedproof.errors import ContractRejected
from fedproof.ledger import Account
from fedproof.ledger.federation import Stage, TaskInfo
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import Board

NONE, ENROLLING, SUBMITTING, REJECTING, FROZEN, FAILED, ENDED = Stage
ROLES = ["sponsor", "first", "second", "worker", "newcomer", "outsider"]
"""`first` and `second` have enrolled; the second one's update is missing, or invalid, or fine, as the stage has it."""
OK = "works"
Outcome = str | tuple[object, ...]


def wrong(stage: Stage) -> Outcome:
    return ("WrongStage", stage)


def unknown_or(stage: Stage) -> Outcome:
    """Of the functions that look a task up before they look at its stage."""
    return ("UnknownTask", NUMBER_OF_NO_TASK) if stage == NONE else wrong(stage)


NUMBER_OF_NO_TASK = 10**6


def enrol(stage: Stage, role: str) -> Outcome:
    if stage != ENROLLING:
        return unknown_or(stage)
    return {"newcomer": OK, "first": "AlreadyEnrolled", "second": "AlreadyEnrolled"}.get(role, "NoGrant")


def open_round(stage: Stage, role: str) -> Outcome:
    if stage != ENROLLING:
        return unknown_or(stage)
    return OK if role == "sponsor" else "NotAllowed"


def submit_update(stage: Stage, role: str) -> Outcome:
    """The second participant's update. A full round says that nothing is due."""
    if stage == SUBMITTING:
        return OK if role == "second" else "WrongOpening"
    return ("NothingDue", 1) if stage == REJECTING else wrong(stage)


def reject_update(stage: Stage, role: str) -> Outcome:
    """The second participant's update, by anyone. A round that failed still freezes at its time, here in the past."""
    if stage in (NONE, ENROLLING, ENDED):
        return wrong(stage)
    return {REJECTING: OK, SUBMITTING: ("NotAccepted", 1)}.get(stage, "AlreadyFrozen")


def renew_bond(stage: Stage, role: str) -> Outcome:
    if stage in (NONE, ENROLLING, ENDED):
        return wrong(stage)
    return "AlreadyBonded" if role in ("first", "second") else "NotAllowed"


def finalize_round(stage: Stage, role: str) -> Outcome:
    if stage in (NONE, ENROLLING, SUBMITTING, REJECTING, ENDED):
        return wrong(stage)
    if role != "worker":
        return "NotAllowed"
    return OK if stage == FROZEN else "WrongOpening"


def retry_round(stage: Stage, role: str) -> Outcome:
    if stage != FAILED:
        return unknown_or(stage)
    return OK if role in ("sponsor", "worker") else "NotAllowed"


def close_task(stage: Stage, role: str) -> Outcome:
    if stage not in (ENROLLING, FAILED):
        return wrong(stage)
    return OK if role == "sponsor" else "TooEarly"


def settle_stalled(stage: Stage, role: str) -> Outcome:
    return "TooEarly" if stage == FROZEN else unknown_or(stage)


def claim(stage: Stage, role: str) -> Outcome:
    if stage == NONE or role not in ("first", "second"):
        return "NotAllowed"
    return OK if stage == ENDED else "NothingToClaim"


def refund(stage: Stage, role: str) -> Outcome:
    return OK if stage == ENDED else unknown_or(stage)


RULES: list[Callable[[Stage, str], Outcome]] = [
    *(enrol, open_round, submit_update, reject_update, renew_bond, finalize_round, retry_round),
    *(close_task, settle_stalled, claim, refund),
]


def call_of(arena: Arena, board: Board, name: str, stage: Stage) -> ContractFunction:
    """A call that is right wherever the function can be called at all; of the task at this stage."""
    federation, functions = arena.federation, arena.federation.contract.functions
    info: TaskInfo = board.tasks[SUBMITTING if stage == NONE else stage]
    updates = board.updates.get(stage, board.updates[SUBMITTING])
    if name == "enrol":
        masked, mask = arena.masking(info, newcomer(arena))
        call = federation.enrol_call(info.task_id, newcomer(arena).dataset_id, masked, mask, info.terms)
    elif name == "submit_update":
        call = federation.submit_update_call(replace(info, round=1), updates[1])
    elif name == "reject_update":
        call = federation.reject_update_call(info, updates[1])
    elif name == "finalize_round":
        call = federation.finalize_round_call(info, updates, board.aggregate)
    elif name == "settle_stalled":
        present = [player.account.address for player in arena.players[:3]]
        call = functions.settleStalled(info.task_id, info.standing(), present)
    elif name in ("claim", "refund"):
        call = federation.contract.get_function_by_name(name)(info.task_id, info.standing()[0], info.settled_abi())
    else:
        names = {"open_round": "openRound", "renew_bond": "renewBond"}
        names |= {"retry_round": "retryRound", "close_task": "closeTask"}
        call = federation.contract.get_function_by_name(names[name])(info.task_id)
    if stage == NONE:
        call = federation.contract.get_function_by_name(call.fn_name)(NUMBER_OF_NO_TASK, *call.args[1:])
    return call


def newcomer(arena: Arena):  # type: ignore[no-untyped-def]  # a player
    return arena.players[3]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_function_works_for_its_callers_at_its_stages_alone(
    arena: Arena, board: Board, rule: Callable[[Stage, str], Outcome]
) -> None:
    arena.federation.allow(newcomer(arena).account, BOND)
    accounts: dict[str, Account] = {
        "sponsor": arena.sponsor,
        "first": arena.players[0].account,
        "second": arena.players[1].account,
        "worker": arena.workers[0],
        "newcomer": newcomer(arena).account,
        "outsider": arena.outsider,
    }
    found: dict[tuple[str, str], Outcome] = {}
    expected: dict[tuple[str, str], Outcome] = {}
    for stage in Stage:
        call = call_of(arena, board, rule.__name__, stage)
        for role in ROLES:
            wanted = rule(stage, role)
            try:
                arena.chain.call(call, sender=accounts[role])
                said: Outcome = OK
            except ContractRejected as refusal:
                said = (refusal.name, *refusal.arguments) if isinstance(wanted, tuple) else refusal.name
            found[stage.name, role], expected[stage.name, role] = said, wanted
    assert found == expected


def test_views_of_no_task_are_empty(arena: Arena, board: Board) -> None:
    functions = arena.federation.contract.functions
    view = arena.chain.call(functions.taskOf(NUMBER_OF_NO_TASK))
    assert (view[0], int(view[1], 16), *view[6:]) == (NONE, 0, *[0] * 17)
    assert arena.chain.call(functions.roundOf(NUMBER_OF_NO_TASK)) == (0, 0, 0, 0)
    assert arena.chain.call(functions.seatOf(NUMBER_OF_NO_TASK, arena.outsider.address)) == bytes(32)
    assert arena.chain.call(functions.workerOf(NUMBER_OF_NO_TASK, arena.workers[0].address)) == bytes(32)
    assert arena.chain.call(functions.roundOf(board.enrolling.task_id)) == (0, 0, 0, 0)
