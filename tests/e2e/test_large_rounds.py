"""Rounds in two transactions, end to end: a demo with its audit, and nodes by themselves.

The contracts are compiled with smaller numbers, so that three updates are more than a transaction takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.app.audit import audit_run
from fedproof.app.demo import DemoOptions, run_demo
from fedproof.app.telling import Silent
from fedproof.errors import AuditError
from fedproof.ledger import Artifact, load_artifact
from fedproof.ledger.federation import Stage
from fedproof.nodes import checkpoints
from fedproof.proving import transcript
from tests.attacks.weak_contracts import without_size_limits
from tests.contracts.federation.lessened import compile_lessened
from tests.e2e.conftest import Arena, make_arena
from tests.nodes.cast import Cast

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("large rounds")]


@pytest.fixture(scope="module")
def lessened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return compile_lessened(tmp_path_factory.mktemp("lessened"), places=1, max_updates=2, part=2)


@pytest.fixture(scope="module", autouse=True)
def _small(lessened: dict[str, Artifact]) -> Iterator[None]:
    """The package ships the lessened contracts, as far as anybody here can see."""

    def shipped(name: str) -> Artifact:
        return lessened.get(name) or load_artifact(name)

    with without_size_limits(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedproof.ledger.chain.load_artifact", shipped)
        patch.setattr("fedproof.app.audit_run.load_artifact", shipped)
        patch.setattr(transcript, "MAX_UPDATES", 2)
        patch.setattr(transcript, "PART_UPDATES", 2)
        yield


@pytest.fixture(scope="module")
def large(_small: None, key_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    yield from make_arena(tmp_path_factory.mktemp("large") / "run", key_cache)


@pytest.fixture
def cast(large: Arena, tmp_path: Path) -> Iterator[Cast]:
    made = Cast(large, tmp_path)
    yield made
    made.close()


def parts(cast: Cast, task_id: int) -> list[tuple[int, str]]:
    """Round and sender of each part of a task."""
    events = cast.chain.events(cast.federation.contract, "RoundPartVerified", argument_filters={"task": task_id})
    return [(event.args["round"], event.args["by"]) for event in events]


def test_nodes_settle_each_large_round_in_two_transactions(cast: Cast) -> None:
    task_id = cast.open(rounds=2)
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    task = cast.task(task_id)
    assert [each.accepted for each in task.settled] == [7, 7]
    assert parts(cast, task_id) == [(each.round, each.leader) for each in task.settled]
    saved = [name for each in cast.workers for name in each.state.get("outbox", {})]
    assert not [name for name in saved if name.startswith("part/")]


class Died(BaseException):
    """A process is no more."""


@pytest.mark.parametrize("again", [False, True], ids=["and stays away", "and comes back"])
def test_a_leader_that_dies_after_the_part_is_followed_by_one_that_needs_none(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    def hook(name: str) -> None:
        if name.startswith("sent part/"):
            raise Died

    task_id = cast.open()
    cast.start(task_id)
    monkeypatch.setattr(checkpoints, "hook", hook)
    with pytest.raises(Died):
        cast.run(lambda: cast.task(task_id).stage == Stage.ENDED)
    monkeypatch.setattr(checkpoints, "hook", None)
    ((_, leader),) = parts(cast, task_id)
    assert cast.task(task_id).stage == Stage.FROZEN
    dead = next(each for each in cast.workers if each.address == leader)
    if again:
        cast.restart(dead)
    else:
        dead.awake = False
    cast.run(lambda: cast.task(task_id).stage == Stage.ENDED)
    (settled,) = cast.task(task_id).settled
    assert (settled.leader == leader) == again
    assert len(parts(cast, task_id)) == 1


def test_an_auditor_checks_a_large_round(tmp_path: Path, key_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDPROOF_CACHE", str(key_cache))
    folder = tmp_path / "run"
    report = run_demo(DemoOptions(folder=folder, participants=3, rounds=1, data="wine", positive="class_1"), Silent())
    gas = report["rounds"][0]["gas"]
    assert gas["part"] > 0
    assert gas["total"] == gas["open"] + sum(gas["submit"]) + gas["part"] + gas["finalize"]
    audit_run(folder, Silent())
    monkeypatch.setattr(transcript, "MAX_UPDATES", 160)
    with pytest.raises(AuditError, match="it was settled with other updates than were submitted"):
        audit_run(folder, Silent())
    assert json.loads((folder / "report.json").read_text())["rounds"][0]["gas"] == gas
