"""A node of the chain that leaves out events, or shows others than happened, is noticed by what the contract keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedproof.errors import LedgerError
from fedproof.ledger.events import Event
from fedproof.ledger.federation import TaskInfo
from tests.contracts.federation.arena import BOND, FREEZE_BLOCKS, Arena
from tests.contracts.federation.board import Board

Change = Callable[[list[Event]], list[Event]]
Lie = Callable[[str, Change], None]


@pytest.fixture
def lie(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> Lie:
    """Lets the chain show events of one name as they are changed."""
    honest = arena.chain.events

    def change(name: str, changed: Change) -> None:
        def events(contract: Any, asked: str, *args: Any, **filters: Any) -> list[Event]:
            found = honest(contract, asked, *args, **filters)
            return changed(found) if asked == name else found

        monkeypatch.setattr(arena.chain, "events", events)

    return change


def without(place: int) -> Change:
    return lambda events: events[:place] + events[place + 1 :]


def other_params(place: int, value: Any) -> Change:
    """The opening with another value in this place of the parameters."""

    def change(events: list[Event]) -> list[Event]:
        (opened,) = events
        params = list(opened.args["params"])
        params[place] = value
        return [replace(opened, args={**opened.args, "params": tuple(params)})]

    return change


def other_committee(change: Callable[[list[Any]], list[Any]]) -> Change:
    def changed(events: list[Event]) -> list[Event]:
        (opened,) = events
        return [replace(opened, args={**opened.args, "committee": change(list(opened.args["committee"]))})]

    return changed


OPENINGS = {
    "a worker with another key": other_committee(lambda who: [*who[:2], (who[2][0], b"\x09" * 32)]),
    "another worker": other_committee(lambda who: [*who[:2], ("0x" + "11" * 20, who[2][1])]),
    "the workers in another order": other_committee(lambda who: who[::-1]),
    "a worker less": other_committee(lambda who: who[:2]),
    "another description": other_params(5, bytes(32)),
    "another threshold": other_params(10, 0),
    "another minimum": other_params(11, 1),
    "a smaller bond": other_params(17, BOND - 1),
}


@pytest.mark.parametrize("change", OPENINGS.values(), ids=OPENINGS)
def test_an_opening_that_is_not_what_the_terms_say_is_refused(
    arena: Arena, board: Board, lie: Lie, change: Change
) -> None:
    lie("TaskOpened", change)
    for task in (board.enrolling, board.frozen):
        with pytest.raises(LedgerError, match=r"another committee or other parameters of task .* than its terms"):
            arena.now(task)


def test_settled_rounds_that_are_left_out_are_noticed(arena: Arena, lie: Lie) -> None:
    task = arena.running(submit_blocks=FREEZE_BLOCKS, rounds=3)
    for _ in range(2):
        arena.play_round(task)
    assert len(arena.now(task).settled) == 2
    changes: list[Change] = [without(0), without(1), lambda _: [], lambda events: events[::-1]]
    for change in changes:
        lie("RoundFinalized", change)
        with pytest.raises(LedgerError, match="left out settled rounds"):
            arena.now(task)


@pytest.mark.parametrize(
    "change", [without(0), without(1), without(2), lambda events: [*events[:2], events[1]]], ids=[*"012", "twice"]
)
def test_enrolments_that_are_left_out_are_noticed(arena: Arena, board: Board, lie: Lie, change: Change) -> None:
    lie("Enrolled", change)
    for ask in (arena.federation.enrolments, lambda task_id: arena.federation.updates(task_id, 1)):
        with pytest.raises(LedgerError, match="left out enrolments"):
            ask(board.rejecting.task_id)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_updates_that_are_left_out_are_noticed(arena: Arena, board: Board, lie: Lie, place: int) -> None:
    def ask(task: TaskInfo) -> int:
        return len(arena.federation.updates(task.task_id, task.round))

    assert ask(board.frozen) == 3
    lie("UpdateSubmitted", without(place))
    with pytest.raises(LedgerError, match="left out updates"):
        ask(board.frozen)
