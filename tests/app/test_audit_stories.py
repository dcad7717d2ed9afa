"""Tasks that did not go smoothly audit correctly: rejected, retried, claimed half-way, stalled, one of many."""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import audit
from fedproof.app.audit_base import Audit
from fedproof.app.audit_run import read_manifest
from fedproof.app.demo import BOND, _write_public
from fedproof.app.telling import Silent
from fedproof.errors import AuditError
from fedproof.ledger import Chain
from fedproof.ledger.federation import Stage, Update
from fedproof.storage import BlobStore
from tests.app.runs import replayed, shared_folder
from tests.app.tampering import Events, Tamper
from tests.e2e.conftest import Arena, Game, arena, key_cache  # noqa: F401

pytestmark = pytest.mark.slow


@dataclass
class Story:
    """A task that was rejected in, retried, claimed from half-way, and that stalled; beside another one."""

    folder: Path
    chain: Chain

    def audit(self) -> Audit:
        """The audit of everything but the replay, which was done once."""
        found = Audit(Silent())
        public = self.folder / "public"
        manifest = read_manifest(public / "manifest.json")
        audit._audit(self.chain, manifest, BlobStore.open(str(public / "blobs")), found)
        return found


def spoiled(game: Game, number: int) -> None:
    """A participant submits an update whose y is another."""
    federation = game.arena.world.federation
    honest = federation.submit_update_call

    def lying(task: Any, update: Update, anchor: int) -> Any:
        return honest(task, replace(update, proof=replace(update.proof, y=update.proof.y ^ 1)), anchor)

    federation.submit_update_call = lying  # type: ignore[method-assign]
    try:
        game.train(number)
    finally:
        federation.submit_update_call = honest  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Played once for all test processes of this run: the auditor needs the public folder alone."""
    home = shared_folder(tmp_path_factory) / "story"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "public").exists():
            played = play(request.getfixturevalue("arena"))
            shutil.copytree(played / "public", home / "half")
            (home / "half").rename(home / "public")
    return Story(home, replayed(home))


def play(arena: Arena) -> Path:  # noqa: F811
    """Everything that can go otherwise than planned; the run folder."""
    world, federation = arena.world, arena.world.federation
    beside = arena.open()  # of the same federation, and never finished
    beside.train(0)

    game = arena.open()
    game.train(1)
    world.chain.wait_until_block(game.task.freeze_at)
    federation.retry_round(world.operator, game.task_id)  # round 1 had one update
    spoiled(game, 0)
    game.train(1, 2)
    task, watcher = game.task, arena.workers[1]
    assert watcher.reject_invalid(task, task.round, game.updates)
    world.chain.transact(
        world.deployment.market.token.functions.transfer(game.participants[0].account.address, BOND), world.operator
    )
    federation.renew_bond(game.participants[0].account, game.task_id)
    world.chain.wait_until_block(game.task.deadline)
    game.settle()  # round 2, without the first participant
    half = federation.claim(game.participants[1].account, game.task_id)
    assert half.reward > 0
    assert half.bond == 0
    game.train()
    game.settle()
    game.train()
    game.freeze()
    task = game.task
    world.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
    federation.settle_stalled(arena.workers[0].account, game.task_id)
    assert game.task.stage == Stage.ENDED
    for participant in game.participants[:2]:
        federation.claim(participant.account, game.task_id)  # the third never claims
    federation.refund(world.operator, game.task_id)
    world.task_id = game.task_id
    _write_public(world)
    return world.folder


def test_all_that_happened_is_told_and_checks_out(story: Story) -> None:
    found = "\n".join(story.audit().checks)
    assert "round 1: 1 updates came in; it ended without a sum" in found
    assert "round 2: 1 rejected updates, each of whose proofs does not hold" in found
    assert "round 2: 2 training proofs hold" in found
    assert "round 3: the new model is the average of exactly these updates" in found
    assert "round 4: 3 training proofs hold" in found
    assert "round 4: nobody settled it in time; its participants are paid and the model stays" in found
    assert "bonds: 3 placed, 1 lost by a rejection, 2 returned, 1 still held" in found
    assert "payments: 3 rounds paid" in found


def test_a_stalled_round_whose_updates_are_not_proven_is_refused(story: Story, tamper: Tamper) -> None:
    def change(found: Events) -> Events:
        def other(submission: Any) -> Any:
            return (*submission[:2], bytes(32), *submission[3:])

        return [
            replace(event, args={**event.args, "submission": other(event.args["submission"])})
            if event.args["round"] == 4
            else event
            for event in found
        ]

    tamper.events("UpdateSubmitted", change)
    with pytest.raises(AuditError, match="round 4, update of"):
        story.audit()


def test_a_claim_half_way_of_another_amount_is_refused(story: Story, tamper: Tamper) -> None:
    tamper.event("Claimed", reward=lambda value: value * 2)
    with pytest.raises(AuditError, match="where its rows earned"):
        story.audit()


def test_a_task_that_runs_is_not_audited_yet(story: Story, tamper: Tamper) -> None:
    tamper.task(lambda task: replace(task, stage=Stage.FAILED))
    with pytest.raises(AuditError, match="has not ended"):
        story.audit()
