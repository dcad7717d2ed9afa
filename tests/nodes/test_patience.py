"""Blobs that do not come: a store may take its whole time for each, and nobody may cost a node that at every step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.errors import SharingError, StorageError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger.committee import Kind, Stake, Windows
from fedproof.ledger.federation import SettledRound, Stage
from fedproof.nodes.models import settled_model
from fedproof.nodes.patience import LONGEST_PAUSE, NotYetError
from fedproof.nodes.roles.acts import Acts
from tests.nodes.cast import Notes
from tests.nodes.paper import WORKERS, Desk, Paper, task


def acts() -> Acts:
    return Acts(Notes(), threading.Event())


def gone() -> None:
    raise StorageError("it is not there")


class Store:
    """Counts who is asked for what; what is not in it does not come."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)
        self.asked: list[str] = []

    def get(self, blob: str, **_: Any) -> bytes:
        self.asked.append(blob)
        if blob not in self.there:
            raise StorageError(f"{blob} is not there")
        return blob.encode()


# -- the helper --


def test_a_blob_that_does_not_come_is_asked_for_ever_less_often_and_again_where_it_matters() -> None:
    node, asked = acts(), []

    def ask() -> None:
        asked.append(node.block)
        gone()

    for block in range(200):
        node.begin(block)
        with pytest.raises(StorageError):
            node.fetch("blob", ask, due=(100, 101))
    assert asked[:7] == [0, 1, 3, 7, 15, 31, 63]
    assert asked[7:] == [95, 100, 101, 133, 165, 197]
    assert [later - before for before, later in pairwise(asked)][-1] == LONGEST_PAUSE


def test_a_blob_that_came_is_a_first_one_again_and_others_are_not_concerned() -> None:
    node = acts()
    for block in range(8):
        node.begin(block)
        with pytest.raises(StorageError):
            node.fetch("blob", gone)
    assert node.fetch("other", lambda: 5) == 5
    node.begin(15)
    assert node.fetch("blob", lambda: 7) == 7
    with pytest.raises(StorageError):
        node.fetch("blob", gone)
    node.begin(16)
    assert node.fetch("blob", lambda: 8) == 8


def test_what_waits_for_a_blob_has_not_failed() -> None:
    """It is tried when the blob is asked for again, and not later; a person is told once for each time that it was."""
    node, asked = acts(), []

    def ask() -> None:
        asked.append(node.block)
        gone()

    def lead() -> None:
        node.fetch("blob", ask)

    node.begin(0)
    with pytest.raises(StorageError):
        node.fetch("blob", ask)
    for block in range(40):
        node.begin(block)
        node.do("lead", lead)
    assert asked == [0, 1, 3, 7, 15, 31]
    diary: Any = node.diary
    assert len(diary.lines) == 5
    node.begin(63)
    assert node.do("lead", lambda: node.fetch("blob", lambda: None))


# -- outputs --


def leading(desk: Desk, posted: list[Any], store: Store) -> tuple[Any, Callable[[int], set[int]]]:
    seen = Paper(stake=Stake.BONDED)
    seen.committee.outputs = lambda *_, **__: list(posted)
    role: Any = desk.worker(seen)
    role._worker.sealed_output = lambda _, content_id: store.get(content_id.decode())

    def opened(_: Any, __: int, ___: Any, place: int, sealed: bytes) -> bytes:
        if sealed.startswith(b"junk"):
            raise SharingError("it is not the sum")
        return sealed

    role._worker.open_output = opened
    running = task(stage=Stage.FROZEN, round=1, freeze_at=100)

    def collect(block: int) -> set[int]:
        role._acts.begin(block)
        return set(role._leading._collect(running, 1, []).good)

    return role, collect


def post(worker: int, blob: str) -> Any:
    return SimpleNamespace(worker=WORKERS[worker - 1].address, content_id=blob.encode())


def test_a_worker_that_names_many_blobs_costs_one_question_at_a_time(desk: Desk) -> None:
    store = Store("good")
    posted = [*(post(2, f"missing-{k}") for k in range(50)), post(3, "good")]
    role, collect = leading(desk, posted, store)
    assert collect(100) == {3}
    assert (len(store.asked), role._acts.wake) == (2, 101)
    for block in range(101, 164):
        assert collect(block) == {3}
    assert len(store.asked) == 2 + 6  # at 101, 103, 107 ... for the sixth power of two


def test_an_output_that_was_posted_again_is_found_behind_those_that_do_not_come(desk: Desk) -> None:
    store = Store("corrected")
    posted = [post(2, "missing")]
    _, collect = leading(desk, posted, store)
    for block in range(100, 120):
        assert collect(block) == set()
    posted += [post(2, "corrected")]
    assert collect(131) == {2}
    assert store.asked.count("missing") == 6  # of which one was in the last step, behind the one that came


def test_an_output_is_asked_for_when_this_worker_is_to_lead(desk: Desk) -> None:
    store = Store()
    role, collect = leading(desk, [post(2, "late")], store)
    for block in range(90, 100):
        collect(block)
    due = 100 + role._leading.turn(task(), 1) * role._slot
    before = len(store.asked)
    store.there = {"late"}
    for block in range(100, due):
        assert collect(block) == set()
    assert collect(due) == {2}
    assert len(store.asked) == before + 1


# -- models --


def test_models_that_do_not_come_are_not_all_asked_for_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    store, node = Store(), acts()
    monkeypatch.setattr("fedproof.nodes.models.check_model", lambda _, blob, __: store.get(blob))
    made = SettledRound(1, None, bytes(64), bytes([1]) * 32, 20, 7, "", 100)
    announced = [SimpleNamespace(worker=f"0x{k % 2}", content_id=bytes([k]) * 32) for k in range(2, 42)]
    seen: Any = SimpleNamespace(committee=SimpleNamespace(announced=lambda *_, **__: announced))
    nothing: Any = None

    def look(block: int) -> Any:
        node.begin(block)
        return settled_model(nothing, seen, task(), made, node.fetch)

    with pytest.raises(StorageError, match="is not there"):
        look(100)
    assert len(store.asked) == 3  # the leader's, and one of each worker
    with pytest.raises(NotYetError, match="asked for again at block 101"):
        look(100)
    assert len(store.asked) == 3
    right = announced[7].content_id.hex()
    store.there = {right}
    announced[:] = announced[7:9]
    for block in range(101, 110):
        try:
            assert look(block) == right.encode()
            break
        except StorageError:
            continue
    else:
        raise AssertionError


def test_a_model_is_asked_for_when_this_worker_is_to_announce_it_and_when_it_is_to_lead(desk: Desk) -> None:
    """Each needs it, whatever the pause after looks before."""
    asked: list[int] = []
    made = SettledRound(1, None, bytes(64), bytes([1]) * 32, 20, 7, "", 100)
    running = task(stage=Stage.SUBMITTING, round=2, settled=(made,), deadline=150, freeze_at=180)
    seen = Paper(stake=Stake.BONDED)
    seen.committee.announced = lambda *_, **__: []
    role: Any = desk.worker(seen)
    leading = role._leading

    def get(_: str, **__: Any) -> bytes:
        asked.append(role._acts.block)
        raise StorageError("it is not there")

    role._worker.deployment = SimpleNamespace(store=SimpleNamespace(get=get), plan=TrainingPlan.of(TrainingSpec(32, 2)))
    leading._announce = leading._release_again = lambda *_: None
    for block in range(101, 200):
        role._acts.begin(block)
        leading.guard_model(running)
    assert {100 + (1 + leading.turn(running, 1)) * role._slot, 180 + leading.turn(running, 2) * role._slot} <= set(
        asked
    )
    assert len(asked) < 12


# -- shares --


class Checks:
    """A worker's inspection of one update whose share the store has, or has not."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.sent, self.head = Store("description"), list[Kind](), 0
        seen = Paper(stake=Stake.BONDED)
        self.update: Any = SimpleNamespace(participant="0xp", sealed_digest=b"sealed")
        seen.updates = lambda *_: [self.update]  # type: ignore[attr-defined]
        seen.update_digest = lambda *_: b"digest"  # type: ignore[attr-defined]
        seen.committee.windows = lambda _: Windows(100, 110, 120, 130, 140, 150)
        seen.committee.complaint_id = lambda *_: b"complaint"
        seen.committee.complaint = lambda _: None
        seen.committee.complaints = lambda _: []
        seen.committee.removals = lambda *_, **__: []
        federation = SimpleNamespace(chain=SimpleNamespace(block_number=lambda: self.head))
        role: Any = desk.worker(seen, federation=federation)
        self.role, self.inspection, worker = role, role._inspection, role._worker
        worker.check_update = lambda *_: None
        worker.receive = lambda *_: self.store.get("share")
        worker.index_of = lambda *_: None
        worker.deployment = SimpleNamespace(store=self.store, srs=None, update_size=17)
        monkeypatch.setattr("fedproof.nodes.roles.inspection.check_shares", lambda *_: None)
        monkeypatch.setattr("fedproof.nodes.roles.inspection.say", self._say)
        monkeypatch.setattr(self.inspection, "_store_answers", lambda: True)
        federation.committee = SimpleNamespace(
            allow=lambda *_: None, complain_call=lambda *_: None, complaint=lambda _: None
        )
        self.stages = {stage: task(stage=stage, round=1, deadline=100, freeze_at=150) for stage in Stage}

    def _say(self, *arguments: Any) -> list[Any]:
        self.sent += [Kind.FETCH] * len(arguments[4])
        return list(arguments[4])

    def step(self, block: int, stage: Stage = Stage.SUBMITTING) -> Any:
        """Look, and act where it is time; returns what is wrong with the share."""
        self.role._acts.begin(block)
        self.head = block + 2
        running = self.stages[stage]
        updates = self.inspection.look(running)
        if stage == Stage.REJECTING:
            self.inspection.act(running, updates)
        return self.inspection.findings(running).wrong.get(b"digest")

    @property
    def asked(self) -> int:
        return self.store.asked.count("share")


@pytest.fixture
def checks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Checks:
    return Checks(desk, monkeypatch)


def test_a_share_that_does_not_come_is_asked_for_ever_less_often(checks: Checks) -> None:
    for block in range(10, 100):
        assert checks.step(block) == Kind.FETCH
    assert checks.asked == 7
    assert checks.step(100, Stage.REJECTING) == Kind.FETCH  # and when its time is over, whatever the pause
    assert (checks.asked, checks.sent) == (8, [Kind.FETCH])


def test_a_share_that_came_late_is_not_complained_of(checks: Checks) -> None:
    for block in range(10, 100):
        checks.step(block)
    checks.store.there.add("share")
    assert checks.step(100, Stage.REJECTING) is None
    assert checks.sent == []


def test_a_share_is_asked_for_once_more_before_a_complaint(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complaint that waits for its own pause may be about what has come since."""
    for block in range(10, 100):
        checks.step(block)
    monkeypatch.setattr(checks.inspection, "_store_answers", lambda: False)
    checks.step(100, Stage.REJECTING)
    checks.step(101, Stage.REJECTING)
    monkeypatch.setattr(checks.inspection, "_store_answers", lambda: True)
    checks.store.there.add("share")
    findings = checks.inspection.findings(checks.stages[Stage.REJECTING])
    findings.asked.clear()
    for block in range(102, 106):
        checks.step(block, Stage.REJECTING)
    assert (checks.sent, list(findings.shares)) == ([], [b"digest"])


def test_what_blocks_that_were_taken_back_had_shown_is_known_still(checks: Checks) -> None:
    for block in range(60, 100):
        checks.step(block)
    checks.inspection.undone()
    asked = checks.asked
    assert checks.step(99) == Kind.FETCH
    assert checks.asked == asked
    assert checks.step(101, Stage.REJECTING) == Kind.FETCH
    assert len(checks.sent) == 1


def test_a_complaint_that_failed_is_tried_again_in_time(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when this node's own line to the store was down."""
    monkeypatch.setattr(checks.inspection, "_store_answers", lambda: False)
    for block in range(100, 106):
        checks.step(block, Stage.REJECTING)
    monkeypatch.setattr(checks.inspection, "_store_answers", lambda: True)
    checks.step(106, Stage.REJECTING)  # 110 is too late, two blocks below the head and one before
    assert len(checks.sent) == 1


def test_an_answer_that_does_not_come_is_asked_for_ever_less_often(checks: Checks) -> None:
    committee = checks.inspection._seen.committee
    complaint = SimpleNamespace(
        complaint=b"c", round=1, worker=WORKERS[1].address, digest=b"digest", kind=Kind.OPEN, participant="0xp"
    )
    committee.complaints = lambda _: [complaint]
    committee.attestations = lambda *_, **__: []
    committee.answers = lambda *_, **__: [SimpleNamespace(content_id=bytes(32))]
    checks.store.there.add("share")
    checks.inspection._store_answers = lambda: False  # nothing is said while the node's own line is down
    for block in range(140, 150):
        checks.step(block, Stage.REJECTING)
    assert checks.store.asked.count("00" * 32) == 4  # at 140, 141, 143, and 146, which is the last that counts
