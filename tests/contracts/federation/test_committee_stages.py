"""Every function of the committee's contract at every stage, called by every role. What a complaint needs first is in
`test_complaints`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from web3.contract.contract import ContractFunction

from fedproof.errors import ContractRejected
from fedproof.ledger import Account
from fedproof.ledger.committee import Kind
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import Board
from tests.contracts.federation.test_stages import NUMBER_OF_NO_TASK, OK, Outcome, wrong

NONE, ENROLLING, SUBMITTING, REJECTING, FROZEN, FAILED, ENDED = Stage
ROLES = ["sponsor", "first", "second", "worker", "outsider"]
BLOB = b"\x07" * 32


def bond(stage: Stage) -> Outcome:
    return "NoBond" if stage == ENROLLING else wrong(stage)  # these tasks ask for none


def post_output(stage: Stage) -> Outcome:
    return OK if stage in (FROZEN, ENDED) else ("WrongRound", 0 if stage == ENROLLING else 1)


def announce_model(stage: Stage) -> Outcome:
    return OK if stage == ENDED else ("WrongRound", 0 if stage == ENROLLING else 1)


def complain(stage: Stage) -> Outcome:
    return OK if stage == REJECTING else wrong(stage)


def accuse(stage: Stage) -> Outcome:
    return OK if stage in (FROZEN, ENDED) else ("WrongRound", 0 if stage == ENROLLING else 1)


RULES: list[Callable[[Stage], Outcome]] = [bond, post_output, announce_model, complain, accuse]


def call_of(arena: Arena, board: Board, name: str, stage: Stage) -> ContractFunction:
    """A call that is right wherever the function can be called at all; of the task at this stage."""
    committee, info = arena.committee, board.tasks[SUBMITTING if stage == NONE else stage]
    calls: dict[str, Callable[[], ContractFunction]] = {
        "bond": lambda: committee.bond_call(info.task_id, info.terms),
        "post_output": lambda: committee.post_output_call(info.task_id, 1, BLOB),
        "announce_model": lambda: committee.announce_model_call(info.task_id, 1, BLOB),
        "complain": lambda: committee.complain_call(
            replace(info, round=1), board.updates.get(stage, board.updates[SUBMITTING])[0], Kind.FETCH
        ),
        "accuse": lambda: committee.accuse_call(info.task_id, 1, arena.workers[1].address),
    }
    call = calls[name]()
    if stage == NONE:
        call = committee.contract.get_function_by_name(call.fn_name)(NUMBER_OF_NO_TASK, *call.args[1:])
    return call


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_function_works_for_workers_at_its_stages_alone(
    arena: Arena, board: Board, rule: Callable[[Stage], Outcome]
) -> None:
    arena.committee.allow(arena.workers[0], BOND)
    accounts: dict[str, Account] = {
        "sponsor": arena.sponsor,
        "first": arena.players[0].account,
        "second": arena.players[1].account,
        "worker": arena.workers[0],
        "outsider": arena.outsider,
    }
    found: dict[tuple[str, str], Outcome] = {}
    expected: dict[tuple[str, str], Outcome] = {}
    for stage in Stage:
        call = call_of(arena, board, rule.__name__, stage)
        for role in ROLES:
            member = role == "worker" and stage != NONE
            wanted = rule(stage) if member else ("NotAllowed", accounts[role].address)
            try:
                arena.chain.call(call, sender=accounts[role])
                said: Outcome = OK
            except ContractRejected as refusal:
                said = (refusal.name, *refusal.arguments) if isinstance(wanted, tuple) else refusal.name
            found[stage.name, role], expected[stage.name, role] = said, wanted
    assert found == expected


def test_nobody_takes_what_it_has_not(arena: Arena, board: Board) -> None:
    for account in (arena.sponsor, arena.players[0].account, arena.workers[0], arena.outsider):
        for stage, task in board.tasks.items():
            for call, error in (
                (arena.committee.release_bond_call(task.task_id), "NoBond"),
                (arena.committee.withdraw_call(), "NothingToClaim"),
            ):
                with pytest.raises(ContractRejected) as caught:
                    arena.chain.call(call, sender=account)
                assert caught.value.name == error, stage


def test_views_of_no_task_are_empty(arena: Arena) -> None:
    committee, nobody = arena.committee, arena.outsider.address
    assert not committee.has_standing(NUMBER_OF_NO_TASK, arena.workers[0].address)
    assert (committee.bonded(NUMBER_OF_NO_TASK), committee.credit(nobody)) == (0, 0)
    assert (committee.stake(NUMBER_OF_NO_TASK, nobody), committee.accusations(NUMBER_OF_NO_TASK, 1, nobody)) == (0, 0)
    assert set(vars(committee.windows(NUMBER_OF_NO_TASK)).values()) == {0}
