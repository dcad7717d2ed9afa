"""Nodes that die between any two acts (attack 31). In one task every node dies once at every place where it can."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fedproof.learning import exact
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger.federation import Stage
from fedproof.nodes import checkpoints
from fedproof.nodes.models import settled_model
from fedproof.statements.aggregation import divide
from tests.e2e.conftest import Arena
from tests.nodes.cast import Cast, Player

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def cast(stage: Arena, tmp_path: Path) -> Iterator[Cast]:
    made = Cast(stage, tmp_path, depth=1)
    yield made
    checkpoints.hook = None
    made.close()


class Reaper:
    """Kills each player at each checkpoint, the first time that it comes by, with a probability."""

    def __init__(self, cast: Cast, chance: float = 1.0, seed: int = 0) -> None:
        self.cast = cast
        self.killed: set[tuple[str, str]] = set()
        self._player = ""
        self._chance = chance
        self._random = random.Random(seed)
        checkpoints.hook = self._at

    def _at(self, name: str) -> None:
        key = (self._player, name)
        if key not in self.killed and self._random.random() < self._chance:
            self.killed.add(key)
            raise Killed(name)

    def step(self, player: Player) -> None:
        """Let a player look; when it is killed, start it again."""
        self._player = player.name
        try:
            Cast.step(self.cast, player)
        except Killed:
            self.cast.restart(player)
        finally:
            self._player = ""


def expected_model(cast: Cast, task_id: int) -> GlobalModel:
    """What FedAvg in plain integers makes of the first round."""
    d, task = cast.deployment, cast.task(task_id)
    start = GlobalModel.decode(d.store.get(TaskDescription.decode(d.store.get(task.params.description.hex())).start))
    total, count = np.zeros(d.plan.model.parameters, dtype=np.int64), 0
    for seat in cast.arena.seats:
        o = seat.participant.opened
        update = exact.train(d.plan, o.features, o.mask, o.labels, start.layers).update
        total += o.rows * d.plan.model.flatten(update)
        count += o.rows
    return start.moved(divide(total, count)[0])


@pytest.mark.parametrize(("chance", "seed"), [(1.0, 0), (0.4, 1)])
def test_nothing_is_lost_or_doubled_when_every_node_dies_at_every_step(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, chance: float, seed: int
) -> None:
    task_id = cast.open(submit_blocks=100, freeze_blocks=40, settle_blocks=60)
    reaper = Reaper(cast, chance, seed)
    monkeypatch.setattr(cast, "step", reaper.step)
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id), blocks=1500)
    task = cast.task(task_id)
    assert task.stage == Stage.ENDED
    assert [each.accepted for each in task.settled] == [7]
    made = settled_model(cast.deployment, cast.federation, task, task.settled[0])
    assert made.weights.tolist() == expected_model(cast, task_id).weights.tolist()
    submitted = cast.chain.events(
        cast.federation.contract, "UpdateSubmitted", task.opened_block, argument_filters={"task": task_id}
    )
    assert len(submitted) == 3
    assert len({each.worker for each in cast.committee.outputs(task_id, round=1)}) >= 2
    if chance == 1.0:
        died = {name.split("/")[0] for _, name in reaper.killed}
        assert died >= {
            *("before enrol", "saved enrol", "sent enrol", "before train", "reserved", "kept shares"),
            *("made", "saved submit", "sent submit", "before claim", "after claim", "before bond"),
            *("saved bond", "sent bond", "before output", "published", "saved output", "sent output", "before lead"),
            *("summed", "aggregated", "saved finalize", "sent finalize", "before release"),
        }
