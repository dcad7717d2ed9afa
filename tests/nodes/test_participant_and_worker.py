"""Participants and workers that are stopped between saving and acting, or started on a state that is not theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fedproof.errors import ProofError, StateError, StorageError
from fedproof.ledger import SignedTransaction
from fedproof.ledger.federation import Federation
from fedproof.nodes import participant as participant_node
from fedproof.nodes import worker as worker_node
from fedproof.nodes.participant import Participant
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.storage.content import content_id
from tests.e2e.conftest import Arena, Game

pytestmark = pytest.mark.slow


class CrashError(Exception):
    """The process ends here."""


def crash(*_: Any, **__: Any) -> None:
    raise CrashError


def restart(game: Game, number: int) -> Participant:
    """A participant's node in a new process, on the state that the old one left."""
    seat = game.arena.seats[number]
    old = seat.participant
    folder, role = old.state.folder, old.state.role
    old.state.close()
    fresh = Participant(old.deployment, old.federation, old.account, StateFile(folder, role), old.opened)
    seat.participant, seat.holder.state = fresh, fresh.state
    game.participants[number] = fresh
    return fresh


def restart_worker(arena: Arena, number: int) -> Worker:
    old = arena.workers[number]
    folder, role = old.state.folder, old.state.role
    old.state.close()
    arena.workers[number] = Worker(old.deployment, old.federation, old.account, StateFile(folder, role))
    return arena.workers[number]


def spent(participant: Participant, task_id: int) -> int:
    count: int = participant.state.get("enrolments")[str(task_id)]["spent"]
    return count


def test_a_crash_before_the_submission_spends_a_mask_and_publishes_nothing(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = arena.open()
    monkeypatch.setattr(Federation, "submit_update_call", crash)
    with pytest.raises(CrashError):
        game.train(0)
    monkeypatch.undo()
    participant = restart(game, 0)
    assert game.updates == []
    assert spent(participant, game.task_id) == 1
    monkeypatch.setattr(participant, "_make", crash)
    game.train(0)  # nothing had been sent: the same proof again, with the mask that it spent
    monkeypatch.undo()
    assert spent(participant, game.task_id) == 1
    with pytest.raises(StateError, match="trained on"):  # it is in: no second one
        participant._make(game.task, game.task.round, game.model)
    game.train(1, 2)
    game.settle()
    game.train()
    assert spent(participant, game.task_id) == 2
    assert len(game.updates) == 3


@pytest.mark.parametrize("point", ["broadcast", "wait"])
def test_a_submission_that_was_saved_is_sent_and_not_made_again(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    game = arena.open()
    monkeypatch.setattr(arena.world.chain, point, crash)
    with pytest.raises(CrashError):
        game.train(0)
    monkeypatch.undo()
    participant = restart(game, 0)
    game.train(0)
    assert [update.participant for update in game.updates] == [participant.account.address]
    assert spent(participant, game.task_id) == 1
    game.train(0)  # a third time finds it on chain
    where = {"task": game.task_id, "participant": participant.account.address}
    contract = participant.federation.contract
    assert len(arena.world.chain.events(contract, "UpdateSubmitted", argument_filters=where)) == 1
    game.train(1, 2)
    game.settle()


def test_a_mask_is_spent_before_its_update_leaves_and_not_where_none_does(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = arena.open()
    participant, chain = game.participants[0], arena.world.chain

    def full(*_: Any) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(participant.deployment.store, "put", full)
    with pytest.raises(StorageError, match="no room"):
        game.train(0)
    monkeypatch.undo()
    assert spent(participant, game.task_id) == 0
    on_disk: list[int] = []
    real = chain.broadcast

    def broadcast(transaction: SignedTransaction) -> None:
        saved = json.loads(participant.state.path.read_text())["data"]
        on_disk.append(saved["enrolments"][str(game.task_id)]["spent"])
        assert saved["outbox"][f"submit/{game.task_id}/1/{game.task.model.hex()[:16]}"] == transaction.raw.hex()
        real(transaction)

    monkeypatch.setattr(chain, "broadcast", broadcast)
    game.train(0)
    assert on_disk == [1]
    assert spent(participant, game.task_id) == 1


def test_a_proof_that_does_not_verify_is_not_sent(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad proving key shows in the proof alone, and on chain only when the bond is gone."""
    game = arena.open()
    real = participant_node.prove_linked
    monkeypatch.setattr(participant_node, "prove_linked", lambda *a, **k: replace(real(*a, **k), y=1 + real(*a, **k).y))
    with pytest.raises(ProofError):
        game.train(0)
    monkeypatch.undo()
    assert game.updates == []
    game.train()
    game.settle()


def test_what_complaints_need_is_kept_until_the_next_round(arena: Arena) -> None:
    game = arena.open()
    game.train()
    participant, task = game.participants[0], game.task
    ids = participant.deployment.store.get(game.updates[0].sealed_digest.hex())
    for index in (1, 2, 3):
        sealed = participant.sent.sealed(task.task_id, 1, index)
        assert sealed == participant.deployment.store.get(ids[64 + 32 * (index - 1) : 64 + 32 * index].hex())
        share = participant.sent.share(task.task_id, 1, index)
        assert share is not None
        received = arena.workers[index - 1].receive(task, 1, game.updates[0], index)
        assert received.share.encode() == share
    assert participant.sent.share(task.task_id, 2, 1) is None
    participant.sent.drop_before(task.task_id, 2)
    assert participant.sent.sealed(task.task_id, 1, 1) is None
    game.settle()


def test_nothing_is_computed_before_the_mask_is_saved(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    game = arena.open()
    participant = game.participants[0]

    def full(*_: Any, **__: Any) -> None:
        raise StateError("no room")

    monkeypatch.setattr(StateFile, "put", full)
    monkeypatch.setattr("fedproof.nodes.updating.exact.train", crash)
    with pytest.raises(StateError, match="no room"):
        game.train(0)
    monkeypatch.undo()
    assert spent(participant, game.task_id) == 0
    game.train(0)


def test_an_enrolment_that_crashed_is_repeated_with_the_same_masks(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two maskings of one dataset in one task would show the difference of their masks."""
    game = arena.open(enrol=2)
    seen: list[bytes] = []

    def note(_: Any, __: Any, ___: Any, masked: bytes, *____: Any) -> None:
        seen.append(masked)
        raise CrashError

    game.participants.append(arena.seats[2].participant)
    monkeypatch.setattr(Federation, "enrol_call", note)
    for _ in range(2):
        with pytest.raises(CrashError):
            game.participants[2].enrol(game.task)
        restart(game, 2)
    assert seen[0] == seen[1] != game.participants[2].opened.commitment


def test_masks_of_two_tasks_are_different(arena: Arena) -> None:
    first, second = arena.open(), arena.open()
    federation = arena.world.federation
    masked = [each.masked_dataset for game in (first, second) for each in federation.enrolments(game.task_id)]
    assert len(set(masked)) == 6
    for participant in first.participants:
        known = participant.state.get("enrolments")
        words = [known[str(game.task_id)]["masks"] for game in (first, second)]
        chunks = [masks[at : at + 64] for masks in words for at in range(0, len(masks), 64)]
        assert len(set(chunks)) == 2 * arena.world.deployment.plan.mask_count


def test_refuses_to_train_when_all_masks_are_spent(arena: Arena) -> None:
    game = arena.open()
    participant = game.participants[0]
    known = dict(participant.state.get("enrolments"))
    mine = known[str(game.task_id)]
    last = arena.world.deployment.plan.mask_count - 1
    participant.state.put(enrolments=known | {str(game.task_id): mine | {"spent": last}})
    with pytest.raises(StateError, match="all masks of this enrolment are spent"):
        game.train(0)
    participant.state.put(enrolments=known | {str(game.task_id): mine | {"spent": last - 1}})
    game.train(0)
    assert spent(participant, game.task_id) == last


def test_refuses_a_state_from_before_the_enrolment(arena: Arena) -> None:
    game = arena.open()
    participant = game.participants[0]
    known = dict(participant.state.get("enrolments"))
    participant.state.put(enrolments={key: value for key, value in known.items() if key != str(game.task_id)})
    with pytest.raises(StateError, match="no enrolment in task"):
        game.train(0)
    participant.state.put(enrolments=known)
    game.train(0)


def test_other_terms_than_at_the_enrolment_are_refused(arena: Arena) -> None:
    """A chain node that shows another committee, or a larger t, would have shares sealed to itself or laid open."""
    game = arena.open()
    participant, task = game.participants[0], game.task
    participant.sent.keep(task.task_id, 1, [bytes(64)], [b"sealed"] * 3, [b"one", b"two", b"three"])
    other = replace(task, params=replace(task.params, threshold=3), terms=bytes(32))
    before = participant.state.path.read_bytes()
    with pytest.raises(StateError, match="other terms when this node enrolled"):
        participant.train(other, 1, game.model)
    with pytest.raises(StateError, match="other terms when this node enrolled"):
        participant.reveal(other, 1, 1)
    assert participant.state.path.read_bytes() == before
    assert game.updates == []
    assert participant.reveal(task, 1, 1) == bytes.fromhex(content_id(b"one"))


def test_a_worker_that_crashed_after_binding_serves_that_set_alone(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    task, leader = game.task, arena.workers[0]
    monkeypatch.setattr(worker_node, "seal", crash)
    with pytest.raises(CrashError):
        arena.workers[1].output(task, task.round, game.updates, leader.hpke_public)
    monkeypatch.undo()
    again = restart_worker(arena, 1)
    with pytest.raises(StateError, match="second one whose members"):
        again.output(task, task.round, game.updates[:2], leader.hpke_public)
    assert again.output(task, task.round, game.updates, leader.hpke_public)
    game.settle()


def test_a_worker_releases_nothing_when_it_cannot_save(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    task, worker = game.task, arena.workers[1]

    def full(*_: Any, **__: Any) -> None:
        raise StateError("no room")

    monkeypatch.setattr(StateFile, "put", full)
    monkeypatch.setattr(worker_node, "seal", crash)
    with pytest.raises(StateError, match="no room"):
        worker.output(task, task.round, game.updates, worker.hpke_public)
    monkeypatch.undo()
    game.settle()


def test_a_worker_on_a_state_that_is_not_the_tasks_refuses(arena: Arena, tmp_path: Any) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    task, old = game.task, arena.workers[1]
    with StateFile(tmp_path / "new", "worker") as state:
        fresh = Worker(old.deployment, old.federation, old.account, state)
        with pytest.raises(StateError, match="another HPKE key"):
            fresh.output(task, task.round, game.updates, old.hpke_public)
    stranger = Worker(old.deployment, old.federation, arena.world.chain.new_account("stranger"), old.state)
    with pytest.raises(StateError, match="not in the committee"):
        stranger.output(task, task.round, game.updates, old.hpke_public)


def test_a_leader_that_crashed_after_finalizing_changes_nothing(arena: Arena) -> None:
    game = arena.open()
    game.train()
    game.freeze()
    leader = arena.workers[0]
    task, updates = game.task, game.updates
    aggregate = game.aggregate(leader, game.sum(leader))
    leader.finalize(task, updates, aggregate)
    after = game.task
    again = restart_worker(arena, 0)
    with pytest.raises(Exception, match="the contract rejected the call"):
        again.finalize(task, updates, aggregate)
    assert game.task == after
    assert game.task.model == aggregate.new_model
