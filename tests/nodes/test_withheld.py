"""A model that whoever finalized its round keeps to itself: the other workers post their outputs all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.errors import StorageError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import SettledRound, Stage, TaskInfo
from tests.nodes.paper import WORKERS, Desk, Paper, task

START, MADE = bytes(64), b"\x05" * 64
FIRST = SettledRound(1, None, MADE, b"\x01" * 32, 20, 7, "", 100)
SECOND = SettledRound(2, None, b"\x06" * 64, b"\x02" * 32, 20, 7, "", 140)


class Guarding:
    """A worker that cannot get the model of the last settled round."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.posted: list[tuple[int, TaskInfo, dict[str, Any]]] = []
        self.by: set[tuple[int, str]] = set()
        seen: Any = Paper(stake=Stake.BONDED)
        seen.committee.announced = lambda *_, **__: []
        seen.committee.outputs = lambda _, **which: [1] if (which["round"], which["worker"]) in self.by else []
        seen.updates = lambda *_: [SimpleNamespace(participant="0xp", update=b"u")]
        federation: Any = SimpleNamespace(committee=seen.committee)
        self.role: Any = desk.worker(seen, federation=federation)
        self.leading = self.role._leading

        def get(*_: Any, **__: Any) -> bytes:
            raise StorageError("it is not there")

        self.role._worker.deployment = SimpleNamespace(
            store=SimpleNamespace(get=get), plan=TrainingPlan.of(TrainingSpec(32, 2))
        )

        def post(past: TaskInfo, _: Any, shares: dict[str, Any], __: str) -> None:
            self.posted.append((self.role._acts.block, past, shares))
            self.by.add((past.round, WORKERS[0].address))

        monkeypatch.setattr(self.leading, "_post", post)
        monkeypatch.setattr(self.leading, "_announce", lambda *_: None)

    def look(self, block: int, running: TaskInfo) -> None:
        self.role._acts.begin(block)
        self.leading.guard_model(running)


@pytest.fixture
def guarding(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Guarding:
    return Guarding(desk, monkeypatch)


@pytest.mark.parametrize(("settled", "before"), [((FIRST,), START), ((FIRST, SECOND), MADE)], ids=["first", "second"])
def test_the_output_of_a_settled_round_is_posted_once_and_for_the_model_it_began_with(
    guarding: Guarding, settled: tuple[SettledRound, ...], before: bytes
) -> None:
    last = settled[-1]
    running = task(stage=Stage.SUBMITTING, round=last.round + 1, settled=settled, deadline=300, freeze_at=330)
    shares: Any = {"0xp": "share"}
    guarding.leading._shares[1] = (last.round, shares)
    for block in range(last.block_number + 1, last.block_number + 30):
        guarding.look(block, running)
    ((block, past, given),) = guarding.posted
    assert block == last.block_number + guarding.role._slot
    assert (past.round, past.model, given) == (last.round, before, shares)


def test_shares_of_another_round_are_of_no_use(guarding: Guarding) -> None:
    running = task(stage=Stage.SUBMITTING, round=2, settled=(FIRST,), deadline=300, freeze_at=330)
    other: Any = {"0xp": "share of another update"}
    guarding.leading._shares[1] = (2, other)
    guarding.look(120, running)
    assert [given for _, _, given in guarding.posted] == [{}]  # they are fetched again


def test_the_last_model_of_a_task_is_made_again_while_outputs_are_taken(guarding: Guarding) -> None:
    ended = task(stage=Stage.ENDED, round=1, settled=(FIRST,), ended_at=100)
    assert (ended.outputs_until, ended.accusable_until) == (140, 180)
    guarding.look(140, ended)
    assert guarding.posted == []
    guarding.look(139, ended)
    assert len(guarding.posted) == 1
