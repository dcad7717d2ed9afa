"""Whole tasks played by roles alone: nothing here tells a node what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.ledger.federation import Stage
from tests.e2e.conftest import Arena
from tests.nodes.cast import Cast

pytestmark = pytest.mark.slow


@pytest.fixture(params=[0, 2], ids=["at the head", "two blocks below it"])
def cast(stage: Arena, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cast]:
    made = Cast(stage, tmp_path, depth=request.param)
    yield made
    made.close()


def balance(cast: Cast, address: str) -> int:
    return int(cast.chain.call(cast.federation.token.functions.balanceOf(address)))


def test_a_task_of_three_rounds_plays_itself(cast: Cast) -> None:
    task_id = cast.open(rounds=3)
    before = {each.name: balance(cast, each.address) for each in cast.players}
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    task = cast.task(task_id)
    assert task.stage == Stage.ENDED
    assert [each.accepted for each in task.settled] == [7, 7, 7]
    assert len({each.leader for each in task.settled}) == 3  # they take turns
    for each in cast.participants:
        assert balance(cast, each.address) > before[each.name]
    for each in cast.workers:
        assert balance(cast, each.address) == before[each.name]
    assert not any(name == "complaint.sent" for each in cast.players for name in each.notes.names())
