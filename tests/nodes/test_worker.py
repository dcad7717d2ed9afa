"""What a worker sums nothing of, whatever the chain's node claims of a task: no contract would have taken it so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fedproof.errors import StateError
from fedproof.ledger.federation import TaskInfo
from tests.contracts import toy
from tests.e2e.conftest import Arena, Game

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def frozen(arena: Arena) -> Game:
    """A round of three updates whose set is final; no test here lets a worker serve it."""
    game = arena.open()
    game.train()
    game.freeze()
    return game


@pytest.fixture
def other_classes(arena: Arena) -> Iterator[tuple[int, ...]]:
    """Two more capacity classes: one of the deployment's own listing key, one of another."""
    world, d = arena.world, arena.world.deployment
    snapshot = world.chain.dev.snapshot()
    register, shape = d.market.register_class, (d.plan.rows, d.plan.columns)
    own, eligibility = d.keys["listing"].verifying, d.keys["eligibility"].verifying
    yield tuple(register(world.operator, *shape, key, eligibility) for key in (own, toy.listing_keys().verifying))
    world.chain.dev.revert(snapshot)


def refused(arena: Arena, game: Game, task: TaskInfo, match: str, updates: slice = slice(None)) -> None:
    """The worker says why, and is not bound to a set."""
    worker = arena.workers[1]
    before = worker.state.get("served", {})
    with pytest.raises(StateError, match=match):
        worker.output(task, task.round, game.updates[updates], worker.hpke_public)
    assert worker.state.get("served", {}) == before


def claimed(task: TaskInfo, **params: Any) -> TaskInfo:
    return replace(task, params=replace(task.params, **params))


@pytest.mark.parametrize(("claim", "count", "least"), [(0, 1, 2), (1, 1, 2), (3, 2, 3)])
def test_a_sum_below_two_and_below_the_minimum_is_refused(
    arena: Arena, frozen: Game, claim: int, count: int, least: int
) -> None:
    task = claimed(frozen.task, min_updates=claim)
    refused(arena, frozen, task, f"a sum of {count} updates .* minimum is {least}", slice(count))


def test_no_sum_is_served_to_a_task_of_another_circuit(arena: Arena, frozen: Game) -> None:
    task = replace(frozen.task, training_circuit=bytes(32))
    refused(arena, frozen, task, "its key is of another circuit")


def test_a_task_of_other_labels_gets_no_sum_and_no_update(
    arena: Arena, frozen: Game, other_classes: tuple[int, ...]
) -> None:
    """The bound of an update rests on the range of its labels, which the key of the class's listings shows."""
    same, other = (claimed(frozen.task, class_id=each) for each in other_classes)
    arena.workers[1].check_class(same)
    frozen.participants[0].check_task(same)
    refused(arena, frozen, other, "is of another listing key than class")
    with pytest.raises(StateError, match="is of another listing key than class"):
        frozen.participants[0].check_task(other)
