"""Participants and workers that lie, are silent or come late (attacks 21 to 26), played by roles against roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import StorageError
from fedproof.ledger.committee import Kind, Stake
from fedproof.ledger.federation import Ending, Stage, Update
from fedproof.nodes import participant as participant_node
from fedproof.nodes.models import settled_model
from fedproof.nodes.participant import Participant
from fedproof.nodes.roles.inspection import Inspection
from fedproof.nodes.roles.tasks import PATIENCE
from fedproof.nodes.sealed import sealed_share
from fedproof.nodes.worker import Worker
from fedproof.sealing import seal
from fedproof.sharing import Output, Sharing
from tests.contracts.test_bn254 import point_outside_the_subgroup
from tests.e2e.conftest import Arena
from tests.nodes.cast import ENROL_BOND, SLOT, WORKER_BOND, Cast, Player

pytestmark = pytest.mark.slow
OUTSIDE = b"".join(word.to_bytes(32, "big") for word in point_outside_the_subgroup())


@pytest.fixture
def cast(stage: Arena, tmp_path: Path) -> Iterator[Cast]:
    made = Cast(stage, tmp_path, depth=1)
    yield made
    made.close()


def balance(cast: Cast, who: str) -> int:
    return int(cast.chain.call(cast.federation.token.functions.balanceOf(who)))


def spoil(monkeypatch: pytest.MonkeyPatch, cast: Cast, spoilt: dict[int, set[int]]) -> None:
    """Let participants (from 0) seal junk to workers (from 1) in the place of their shares."""
    real, make = participant_node.seal_shares, Participant._make
    current: list[str] = []

    def made(self: Participant, *args: Any) -> Any:
        current[:] = [self.account.address]
        return make(self, *args)

    def sealed(sharing: Sharing, keys: list[bytes], pre: bytes) -> list[bytes]:
        out = real(sharing, keys, pre)
        who = next(k for k, each in enumerate(cast.participants) if each.address == current[0])
        for index in spoilt.get(who, ()):
            out[index - 1] = seal(keys[index - 1], b"junk" * 40, b"another context")
        return out

    monkeypatch.setattr(Participant, "_make", made)
    monkeypatch.setattr(participant_node, "seal_shares", sealed)


def asleep_once(cast: Cast, task_id: int, stage: Stage, player: Callable[[], Player]) -> Callable[[], bool]:
    """A condition that puts a player to sleep when a stage begins, and never holds."""

    def check() -> bool:
        if cast.task(task_id).stage == stage:
            player().awake = False
        return cast.is_done(task_id)

    return check


def events(player: Player) -> list[str]:
    return player.notes.names()


# -- shares (22, 23) --


def test_an_update_whose_share_does_not_open_and_whose_maker_is_silent_is_removed(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, cast, {0: {2}})
    task_id = cast.open()
    before = balance(cast, cast.workers[1].address)
    cast.start(task_id)
    cast.run(asleep_once(cast, task_id, Stage.REJECTING, lambda: cast.participants[0]))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b110]
    (complaint,) = cast.committee.complaints(task_id)
    assert (complaint.kind, complaint.worker) == (Kind.OPEN, cast.workers[1].address)
    assert balance(cast, cast.workers[1].address) == before + ENROL_BOND  # its own bond back, and the liar's


def test_a_share_that_is_published_in_answer_serves_as_well(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, cast, {0: {2}})
    task_id = cast.open()
    before = balance(cast, cast.workers[1].address)
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111]
    assert len(cast.committee.outputs(task_id, round=1)) == 3
    assert cast.participants[0].state.get("revealed") == {f"{task_id}/1": [2]}
    assert balance(cast, cast.workers[1].address) == before - ENROL_BOND  # the answer was good: its bond is lost


def test_two_participants_who_each_spoil_a_share_do_not_stall_the_round(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, cast, {0: {1}, 1: {2}})
    task_id = cast.open()
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111]
    assert len(cast.committee.outputs(task_id, round=1)) == 3


def test_more_open_complaints_than_t_remove_the_update_and_show_no_second_share(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, cast, {0: {1, 2, 3}})
    task_id = cast.open()
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b110]
    assert len(cast.participants[0].state.get("revealed", {}).get(f"{task_id}/1", [])) <= 1


def test_a_participant_never_publishes_more_than_t_shares(cast: Cast) -> None:
    """Whatever the chain says: a reorganisation may exchange who has complained."""
    task_id = cast.open()
    cast.start(task_id)
    cast.run(cast.at(task_id, Stage.REJECTING))
    role, task = cast.participants[0].role, cast.task(task_id)
    node = role._nodes[task_id]
    node.reveal(task, 1, 3)
    assert node.reveal(task, 1, 3)
    with pytest.raises(Exception, match="would show the update"):
        node.reveal(task, 1, 1)
    cast.run(lambda: cast.is_done(task_id))


def drop_share(cast: Cast, task_id: int, participant: int, index: int) -> Path:
    update = cast.federation.updates(task_id, 1)[participant]
    blob = cast.deployment.store.get(update.sealed_digest.hex())[64 + 32 * (index - 1) : 64 + 32 * index].hex()
    path: Path = cast.world.folder / "public" / "blobs" / blob
    path.unlink()
    return path


@pytest.mark.parametrize("answers", [True, False])
def test_a_share_that_cannot_be_fetched_comes_again_or_the_update_goes(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    task_id = cast.open()
    cast.start(task_id)
    real = Inspection.look
    dropped: list[Path] = []

    def look(self: Inspection, task: Any) -> Any:
        if not dropped and len(cast.federation.updates(task_id, 1)) == 3:
            dropped.append(drop_share(cast, task_id, 0, 2))
            self._rounds.clear()
            for each in cast.workers:
                each.role._inspection._rounds.clear()
        return real(self, task)

    monkeypatch.setattr(Inspection, "look", look)
    if answers:
        cast.run(lambda: cast.is_done(task_id))
        assert dropped[0].exists()
    else:
        cast.run(asleep_once(cast, task_id, Stage.REJECTING, lambda: cast.participants[0]))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111 if answers else 0b110]
    (complaint,) = cast.committee.complaints(task_id)
    assert complaint.kind == Kind.FETCH
    assert not cast.participants[0].state.get("revealed")  # never a share in the clear


def test_a_worker_whose_own_line_to_the_store_is_down_complains_of_nobody(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = cast.open()
    cast.start(task_id)
    real, down = cast.deployment.store.get, cast.workers[2]

    def get(blob: str, **options: Any) -> bytes:
        if current and current[0] is down:
            raise StorageError("no route")
        return real(blob, **options)

    current: list[Player] = []
    step = cast.step

    def stepping(player: Player) -> None:
        current[:] = [player]
        step(player)

    monkeypatch.setattr(cast, "step", stepping)
    monkeypatch.setattr(cast.deployment.store, "get", get)
    cast.run(lambda: cast.task(task_id).stage == Stage.ENDED)
    assert cast.committee.complaints(task_id) == []
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111]


def test_a_false_complaint_costs_its_bond_and_removes_nobody(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = cast.open()
    cast.start(task_id)
    liar = cast.workers[2]
    real = Inspection._receive

    def receive(self: Inspection, task: Any, digest: bytes, update: Update) -> None:
        if self is liar.role._inspection and update.participant == cast.participants[0].address:
            self.findings(task).wrong[digest] = Kind.OPEN
        else:
            real(self, task, digest, update)

    monkeypatch.setattr(Inspection, "_receive", receive)
    before = {each.name: balance(cast, each.address) for each in (liar, cast.participants[0])}
    cast.run(lambda: cast.is_done(task_id))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111]
    assert cast.committee.attestations(task_id) == []
    assert balance(cast, liar.address) == before["w3"] + WORKER_BOND - ENROL_BOND
    assert balance(cast, cast.participants[0].address) > before["p1"] + 2 * ENROL_BOND


# -- proofs (13, 21) --


@pytest.mark.parametrize("how", ["another y", "outside the subgroup"])
def test_an_update_whose_proof_does_not_verify_is_rejected_and_the_round_ends(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    task_id = cast.open()
    cast.start(task_id)
    real = Participant._make

    def make(self: Participant, *args: Any) -> Any:
        update, seconds = real(self, *args)
        if self.account.address != cast.participants[0].address:
            return update, seconds
        proof = update.proof
        if how == "another y":
            proof = replace(proof, y=(proof.y + 1) % _core.MODULUS)
        else:
            proof = replace(proof, proof=proof.proof[:64] + OUTSIDE + proof.proof[192:])
        return replace(update, proof=proof), seconds

    monkeypatch.setattr(Participant, "_make", make)
    cast.run(lambda: cast.is_done(task_id))
    assert [each.accepted for each in cast.task(task_id).settled] == [0b110]
    assert any("update.rejected" in events(each) for each in cast.workers)


# -- workers (23, 26) --


def test_a_worker_that_lies_is_named_and_slashed_and_the_round_ends(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = cast.open()
    liar, sponsor = cast.workers[0], cast.world.operator.address
    before = balance(cast, sponsor)
    real = Worker.share_sum

    def lie(self: Worker, *args: Any) -> Output:
        output = real(self, *args)
        if self.account.address == liar.address:
            values = output.values.copy()
            values[0] = _core.fr_random(1)[0]
            return replace(output, values=values)
        return output

    monkeypatch.setattr(Worker, "share_sum", lie)
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id), blocks=600)
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111]
    assert cast.committee.accusations(task_id, 1, liar.address) == 2
    assert cast.committee.stake(task_id, liar.address) == Stake.SLASHED
    assert not cast.committee.has_standing(task_id, liar.address)
    assert cast.committee.credit(sponsor) >= WORKER_BOND
    assert balance(cast, sponsor) <= before


def test_the_next_worker_leads_when_the_first_is_silent(cast: Cast) -> None:
    task_id = cast.open()
    cast.start(task_id)
    cast.run(asleep_once(cast, task_id, Stage.REJECTING, lambda: cast.workers[0]))
    (settled,) = cast.task(task_id).settled
    assert settled.leader == cast.workers[1].address  # t + 1 are left
    assert len(cast.committee.outputs(task_id, round=1)) == 2


def test_two_leaders_at_once_do_no_harm(cast: Cast) -> None:
    task_id = cast.open()
    for each in cast.workers:
        each.role._leading._slot = 0
    cast.start(task_id)
    cast.run(lambda: cast.is_done(task_id))
    assert len(cast.task(task_id).settled) == 1


def test_with_t_workers_left_the_round_is_closed_by_rule_and_paid(cast: Cast) -> None:
    task_id = cast.open()
    cast.start(task_id)
    before = balance(cast, cast.participants[0].address)

    def check() -> bool:
        if cast.task(task_id).stage == Stage.REJECTING:
            cast.workers[0].awake = cast.workers[1].awake = False
        return cast.is_done(task_id)

    cast.run(check)
    task = cast.task(task_id)
    assert [(each.leader, each.accepted) for each in task.settled] == [(None, 0b111)]
    ended = cast.chain.events(cast.federation.contract, "TaskEnded", argument_filters={"task": task_id})
    assert [Ending(each.args["ending"]) for each in ended] == [Ending.STALLED]
    assert balance(cast, cast.participants[0].address) > before + ENROL_BOND


def test_a_worker_that_comes_back_after_the_round_answers_nothing_and_harms_nothing(cast: Cast) -> None:
    task_id = cast.open(rounds=2)
    cast.start(task_id)
    late = cast.workers[2]

    def check() -> bool:
        task = cast.task(task_id)
        late.awake = not (task.round == 1 and task.stage in (Stage.REJECTING, Stage.FROZEN))
        return cast.is_done(task_id)

    cast.run(check)
    assert [each.accepted for each in cast.task(task_id).settled] == [0b111, 0b111]
    assert len(cast.committee.outputs(task_id, round=1)) == 2
    assert len(cast.committee.outputs(task_id, round=2)) == 3


def test_a_model_that_its_leader_lost_is_rebuilt_and_announced(cast: Cast) -> None:
    task_id = cast.open(rounds=2)
    cast.start(task_id)
    lost: list[Path] = []

    def check() -> bool:
        task = cast.task(task_id)
        if task.settled and not lost:
            assert task.settled[0].content_id is not None
            lost.append(cast.world.folder / "public" / "blobs" / task.settled[0].content_id.hex())
            lost[0].unlink()
        return cast.is_done(task_id)

    cast.run(check)
    task = cast.task(task_id)
    assert [each.accepted for each in task.settled] == [0b111, 0b111]
    assert settled_model(cast.deployment, cast.federation, task, task.settled[0])


def test_a_model_that_a_liar_keeps_to_itself_is_rebuilt_by_the_others(cast: Cast) -> None:
    """It finalizes with its own output and the first honest one, before the other honest worker has posted its own."""
    task_id = cast.open(rounds=2)
    cast.start(task_id)
    liar, late = cast.workers[0], cast.workers[2]
    folder = cast.world.folder / "public" / "blobs"
    gone: list[Path] = []

    def check() -> bool:
        task = cast.task(task_id)
        late.awake = task.round != 1 or task.stage == Stage.SUBMITTING
        if task.settled and not gone:
            liar.awake = False
            (posted,) = cast.committee.outputs(task_id, round=1, worker=liar.address)
            assert task.settled[0].leader == liar.address
            assert task.settled[0].content_id is not None
            gone.extend(folder / each.hex() for each in (task.settled[0].content_id, posted.content_id))
            for each in gone:
                each.unlink()
        return cast.is_done(task_id)

    cast.run(check)
    task = cast.task(task_id)
    assert [each.accepted for each in task.settled] == [0b111, 0b111]
    assert {each.worker for each in cast.committee.outputs(task_id, round=1)} == {e.address for e in cast.workers}
    assert settled_model(cast.deployment, cast.federation, task, task.settled[0])


# -- participants (25, 26) --


def test_a_round_with_too_few_updates_is_retried_when_participants_come_back(cast: Cast) -> None:
    task_id = cast.open(submit_blocks=12)
    cast.start(task_id)

    def check() -> bool:
        gone = cast.task(task_id).round == 1
        cast.participants[0].awake = cast.participants[1].awake = not gone
        return cast.is_done(task_id)

    cast.run(check)
    task = cast.task(task_id)
    assert task.retries == 1
    assert [(each.round, each.accepted) for each in task.settled] == [(2, 0b111)]
    assert cast.participants[2].state.get("enrolments")[str(task_id)]["spent"] == 2  # one more mask


def test_participants_who_never_come_back_end_the_task_by_rule(cast: Cast) -> None:
    task_id = cast.open(submit_blocks=6, settle_blocks=12)
    cast.start(task_id)
    for each in cast.participants[:2]:
        each.awake = False
    cast.run(lambda: cast.is_done(task_id), blocks=900)
    task = cast.task(task_id)
    assert task.stage == Stage.ENDED
    assert task.settled == ()
    assert task.retries > 0
    for each in cast.participants:  # what is theirs is theirs still, and no other test's
        each.awake = True
    cast.run(lambda: cast.is_done(task_id))


def test_a_task_whose_sponsor_never_opens_it_is_closed_and_its_bonds_come_back(cast: Cast) -> None:
    before = {each.name: balance(cast, each.address) + 10 * ENROL_BOND for each in cast.players}
    task_id = cast.open(settle_blocks=12, max_participants=4)  # a full one opens by itself
    cast.run(lambda: cast.task(task_id).enrolled == 3)
    opened = cast.task(task_id).opened_block
    cast.chain.wait_until_block(opened + PATIENCE * 12 - 3)
    for each in cast.players:
        cast.step(each)
    assert cast.task(task_id).stage == Stage.ENROLLING
    cast.run(lambda: cast.is_done(task_id))
    assert {each.name: balance(cast, each.address) for each in cast.players} == before


def test_a_participant_may_start_late_and_miss_rounds(cast: Cast) -> None:
    task_id = cast.open(rounds=3)
    cast.start(task_id)

    def check() -> bool:
        cast.participants[0].awake = cast.task(task_id).round != 1
        cast.participants[1].awake = cast.task(task_id).round != 2
        return cast.is_done(task_id)

    cast.run(check)
    assert [each.accepted for each in cast.task(task_id).settled] == [0b110, 0b101, 0b111]


def test_a_task_over_the_limits_is_declined(cast: Cast) -> None:
    task_id = cast.open(enrol_bond=2 * ENROL_BOND, worker_bond=2 * WORKER_BOND)
    for _ in range(2 * SLOT):
        for each in cast.players:
            cast.step(each)
        cast.chain.dev.mine(1)
    assert cast.task(task_id).enrolled == 0
    assert cast.committee.bonded(task_id) == 0
    assert all("task.declined" in events(each) for each in cast.players)


def test_the_sealed_share_of_another_worker_cannot_be_taken_for_ones_own(cast: Cast) -> None:
    task_id = cast.open()
    cast.start(task_id)
    cast.run(cast.at(task_id, Stage.REJECTING))
    task, update = cast.task(task_id), cast.federation.updates(task_id, 1)[0]
    assert len({sealed_share(cast.deployment.store, update, k, 3, 1) for k in (1, 2, 3)}) == 3
    worker: Worker = cast.workers[0].role._worker
    with pytest.raises(Exception, match="open"):
        worker.receive(task, 1, update, 2)
    cast.run(lambda: cast.is_done(task_id))


def test_a_participant_keeps_out_of_a_task_of_another_schema(cast: Cast) -> None:
    """Columns of the same number may mean something else."""
    schema = cast.arena.schema
    other = replace(schema, name="another hospital's")
    cast.arena.schema = other
    try:
        task_id = cast.open()
    finally:
        cast.arena.schema = schema
    for _ in range(SLOT):
        for each in cast.players:
            cast.step(each)
        cast.chain.dev.mine(1)
    assert cast.task(task_id).enrolled == 0
    assert all("task.declined" in events(each) for each in cast.participants)
    task = cast.task(task_id)
    node = Participant(
        cast.deployment,
        cast.federation,
        cast.arena.seats[0].participant.account,
        cast.participants[0].state,
        cast.arena.seats[0].participant.opened,
    )
    with pytest.raises(Exception, match="another schema"):
        node.enrol(task)
