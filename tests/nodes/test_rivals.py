"""Two tasks over one model: a worker serves one sum of each model, so a stranger's task must not come in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Stage, TaskInfo
from tests.nodes.paper import WORKER, WORKERS, Desk, Paper, task

MODEL, OTHER = b"\x01" * 64, b"\x02" * 64


def over(model: bytes, **changes: Any) -> TaskInfo:
    """A task whose present model is this one."""
    return replace(task(**changes), model=model)


def bonding(desk: Desk, seen: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[int]]:
    role: Any = desk.worker(seen)
    bonds: list[int] = []
    monkeypatch.setattr(role, "_place_bond", lambda each: bonds.append(each.task_id))
    return role, bonds


def test_a_task_over_the_model_of_an_earlier_one_is_declined(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = over(MODEL, task_id=2, sponsor="0xstranger")
    assert WORKER.refuse(stranger) is None
    role, bonds = bonding(desk, Paper(over(MODEL), stranger, over(OTHER, task_id=3)), monkeypatch)
    for block in (100, 101):
        role.step(block)
    assert set(bonds) == {1, 3}
    assert [(name, fields["task"]) for name, fields in desk.notes.lines if name == "task.declined"] == [
        ("task.declined", 2)
    ]


def test_a_task_over_the_model_that_another_has_come_to_is_declined(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models of rounds that are done are public."""
    running = over(OTHER, stage=Stage.FAILED, round=2, deadline=90)
    role, bonds = bonding(desk, Paper(running, over(OTHER, task_id=2)), monkeypatch)
    role.step(100)
    assert bonds == []


def test_the_last_model_of_a_task_that_ended_may_be_trained_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = over(MODEL, stage=Stage.ENDED, round=3, ended_at=90)
    role, bonds = bonding(desk, Paper(ended, over(MODEL, task_id=2)), monkeypatch)
    monkeypatch.setattr(role, "_finish", lambda _: None)
    role.step(100)
    assert bonds == [2]


def test_a_task_over_a_model_of_which_a_sum_was_served_is_declined(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.state.put(served={MODEL.hex(): [7, 1, "members"]})
    role, bonds = bonding(desk, Paper(over(MODEL)), monkeypatch)
    role.step(100)
    assert (bonds, desk.notes.names()) == ([], ["task.declined"])
    desk.state.put(served={MODEL.hex(): [1, 1, "members"]})  # its own
    role, bonds = bonding(desk, Paper(over(MODEL)), monkeypatch)
    role.step(100)
    assert bonds == [1]


def test_a_worker_that_is_bound_to_both_serves_the_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the earlier one could not be read when the bond of the later was placed."""
    frozen = {"stage": Stage.FROZEN, "round": 1, "freeze_at": 100}
    seen: Any = Paper(over(MODEL, **frozen), over(MODEL, task_id=2, **frozen), stake=Stake.BONDED)
    seen.committee.outputs = lambda *_, **__: []
    role: Any = desk.worker(seen)
    role._inspection.look = lambda _: []
    role._worker.account.address = WORKERS[2].address
    released: list[int] = []
    monkeypatch.setattr(role._leading, "_release", lambda each, *_: released.append(each.task_id))
    role.step(101)
    assert released == [1]
    assert "output.withheld" in desk.notes.names()
