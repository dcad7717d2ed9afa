"""Lies that no honest contract tells: the chain's answers are changed on their way to the auditor.

A cheater with contracts of its own could make such a chain; each check of the auditor must hold by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedproof.app import audit_market, audit_rounds, audit_task
from fedproof.app.audit_base import direct_call
from fedproof.errors import AuditError
from fedproof.ledger import Chain
from fedproof.ledger.events import Event
from fedproof.ledger.federation import Federation, TaskInfo
from tests.app.runs import FinishedRun

Events = list[Event]
OTHER = "0x" + 40 * "1"
"""An address that is nobody's."""


class Tamper:
    """Changes what the auditor is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def events(self, name: str, change: Callable[[Events], Events]) -> None:
        """Change all events of a name."""
        real = Chain.events

        def lying(chain: Chain, contract: Any, asked: str, *rest: Any, **more: Any) -> Events:
            found = real(chain, contract, asked, *rest, **more)
            return change(found) if asked == name and found else found

        self.patch.setattr(Chain, "events", lying)

    def event(self, name: str, which: int = 0, **args: Any) -> None:
        """Change arguments of one event, wherever it is told; a function gets the true value."""
        seen: dict[str, Events] = {}

        def change(found: Events) -> Events:
            everything = seen.setdefault("all", found)
            target = everything[which]
            new = {key: value(target.args[key]) if callable(value) else value for key, value in args.items()}
            wrong = replace(target, args={**target.args, **new})
            return [wrong if event == target else event for event in found]

        self.events(name, change)

    def call(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the arguments that a transaction is decoded to."""

        def lying(chain: Chain, contract: Any, tx_hash: str, asked: str, sender: str | None) -> dict[str, Any] | None:
            found = direct_call(chain, contract, tx_hash, asked, sender)
            if asked == name and found is not None:
                change(found)
            return found

        for module in (audit_market, audit_task, audit_rounds):
            self.patch.setattr(module, "direct_call", lying)

    def relay(self, name: str) -> None:
        """All calls of a function went to another contract first."""

        def told(chain: Chain, contract: Any, tx_hash: str, asked: str, sender: str | None) -> dict[str, Any] | None:
            return None if asked == name else direct_call(chain, contract, tx_hash, asked, sender)

        for module in (audit_market, audit_task, audit_rounds):
            self.patch.setattr(module, "direct_call", told)

    def task(self, change: Callable[[TaskInfo], TaskInfo]) -> None:
        """Change the task as the chain has it."""
        real = Federation.task_info
        self.patch.setattr(Federation, "task_info", lambda fed, number: change(real(fed, number)))

    def answer(self, owner: type, name: str, change: Callable[[Any], Any]) -> None:
        """Change what a method gives."""
        real = getattr(owner, name)
        self.patch.setattr(owner, name, lambda *a, **k: change(real(*a, **k)))


Lie = Callable[[Tamper], object]


def add(number: int) -> Callable[[int], int]:
    """The value and so much more."""
    return lambda value: value + number


def twice(found: Events) -> Events:
    """The last event once more."""
    return [*found, found[-1]]


def params(**values: Any) -> Callable[[TaskInfo], TaskInfo]:
    """A task whose parameters are others."""

    def change(task: TaskInfo) -> TaskInfo:
        new = {name: value(getattr(task.params, name)) if callable(value) else value for name, value in values.items()}
        return replace(task, params=replace(task.params, **new))

    return change


def settled(**values: Any) -> Callable[[TaskInfo], TaskInfo]:
    """A task whose first settled round is told otherwise."""

    def change(task: TaskInfo) -> TaskInfo:
        first = task.settled[0]
        new = {name: value(getattr(first, name)) if callable(value) else value for name, value in values.items()}
        return replace(task, settled=(replace(first, **new), *task.settled[1:]))

    return change


def with_fitting_terms(change: Callable[[TaskInfo], TaskInfo]) -> Lie:
    """A cheater's terms are the hash of its own parameters, so that the hash says nothing."""

    def lie(tamper: Tamper) -> None:
        real = audit_task.require
        tamper.patch.setattr(audit_task, "require", lambda ok, what: real(ok or "not the hash" in what, what))
        tamper.task(change)

    return lie


def refused(run: FinishedRun, tamper: Tamper, lie: Lie, match: str) -> None:
    """The audit refuses a run that is told with this lie, and says so with these words."""
    lie(tamper)
    with pytest.raises(AuditError, match=match) as error:
        run.audit()
    assert "\n" not in str(error.value)


@pytest.fixture
def tamper(monkeypatch: pytest.MonkeyPatch) -> Tamper:
    """Lies of one test."""
    return Tamper(monkeypatch)
