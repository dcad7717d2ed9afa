"""What a node lets itself be bound to, and for how long: limits at their edges, in roles that see tasks on paper."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.errors import StateError
from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Enrolment, Stage, TaskInfo
from fedproof.ledger.http import UnreachableError
from fedproof.nodes.records import GrantedRecords
from fedproof.nodes.roles.participant import MOST_BLOCKS, Limits, ParticipantRole
from fedproof.nodes.roles.tasks import PATIENCE
from fedproof.nodes.roles.worker import MOST_RETRIES, WorkerLimits
from fedproof.nodes.sent import SentShares
from fedproof.nodes.state import StateFile
from tests.nodes.paper import (
    PARTICIPANT,
    PARTICIPANT_ADDRESS,
    SLOT,
    TASK,
    WORKER,
    WORKERS,
    Desk,
    Paper,
    task,
)
from tests.support.durable import Syncs

# -- the limits themselves --


def test_workers_are_trusted_by_address_and_key() -> None:
    pinned = replace(PARTICIPANT, workers=frozenset((each.address, each.hpke_key) for each in WORKERS))
    assert pinned.refuse(task()) is None
    stranger = replace(WORKERS[2], address="0x9")
    impostor = replace(WORKERS[2], hpke_key=bytes([9]) * 32)
    for other in (stranger, impostor):
        assert f"{other.address} is none of the workers" in str(pinned.refuse(task(workers=(*WORKERS[:2], other))))
    crossed = (WORKERS[0], replace(WORKERS[1], hpke_key=WORKERS[2].hpke_key), replace(WORKERS[2], hpke_key=bytes(32)))
    assert "none of the workers" in str(pinned.refuse(task(workers=crossed)))


def test_one_key_for_two_workers_is_refused() -> None:
    twice = replace(WORKERS[2], hpke_key=WORKERS[0].hpke_key)
    for workers in ((*WORKERS[:2], twice), (*WORKERS, WORKERS[0])):
        assert "two of its workers have one HPKE key" in str(PARTICIPANT.refuse(task(workers=workers)))


@pytest.mark.parametrize("key", [bytes(32), b"", bytes([3]) * 31], ids=["low order", "none", "too short"])
def test_a_worker_to_whom_nothing_can_be_sealed_is_refused(key: bytes) -> None:
    """Each update would fail when its shares are sealed, after the bond was placed."""
    reason = str(PARTICIPANT.refuse(task(workers=(*WORKERS[:2], replace(WORKERS[2], hpke_key=key)))))
    assert f"HPKE key of its worker {WORKERS[2].address} is none" in reason
    assert reason.count("is none") == 1


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("limits", [PARTICIPANT, WORKER], ids=["participant", "worker"])
def test_windows_that_leave_no_time_at_this_depth_are_refused(limits: Limits | WorkerLimits, depth: int) -> None:
    limits = replace(limits, depth=depth)
    least = {"submit_blocks": depth + 3, "freeze_blocks": 5 * (depth + 2), "settle_blocks": depth + 3}
    assert limits.refuse(task(**least)) is None
    for name in least:
        reason = str(limits.refuse(task(**least | {name: least[name] - 1})))
        assert f"{depth} confirmations" in reason


@pytest.mark.parametrize("bond", ["enrol_bond", "worker_bond"])
def test_a_worker_stakes_no_more_on_a_task_or_on_a_complaint(bond: str) -> None:
    most = {"enrol_bond": 0, "worker_bond": 0} | {bond: 50}
    assert WORKER.refuse(task(**most)) is None
    assert "51 base units" in str(WORKER.refuse(task(**most | {bond: 51})))


@pytest.mark.parametrize("limits", [PARTICIPANT, WORKER], ids=["participant", "worker"])
def test_another_sponsors_tasks_are_refused(limits: Limits | WorkerLimits) -> None:
    assert replace(limits, sponsors=frozenset({TASK.sponsor})).refuse(task()) is None
    assert "none of the sponsors" in str(replace(limits, sponsors=frozenset({"0xother"})).refuse(task()))


# -- roles that keep them --

STAGES = [each for each in Stage if each != Stage.NONE]


@pytest.mark.parametrize("stage", STAGES, ids=lambda each: each.name.lower())
def test_a_worker_does_nothing_at_any_stage_of_a_task_over_its_limits(desk: Desk, stage: Stage) -> None:
    """Without a bond of its own, too: a complaint takes one."""
    role = desk.worker(Paper(task(stage=stage, worker_bond=0, enrol_bond=51)))
    for block in (100, 101, 10_000):
        assert role.step(block) is None
    assert desk.notes.names() == ["task.declined"]


def test_a_worker_that_is_bound_already_goes_on(desk: Desk) -> None:
    """As when its limits were changed since: its bond is there to be lost."""
    role = desk.worker(Paper(task(enrol_bond=51), stake=Stake.BONDED))
    assert role.step(100) is not None
    assert desk.notes.names() == []


def enrolling(role: ParticipantRole, state: StateFile, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tasks that a role enrols in from now on, which it does as soon as no limit keeps it out."""
    done: list[int] = []

    def enrol(wanted: TaskInfo, _: int) -> None:
        state.put(
            enrolments={**state.get("enrolments", {}), str(wanted.task_id): {}},
            outbox={**state.get("outbox", {}), f"enrol/{wanted.task_id}/7/00": "00"},
        )
        done.append(wanted.task_id)

    monkeypatch.setattr(role, "_usable", lambda _: [7])
    monkeypatch.setattr(role, "_enrol", enrol)
    return done


def test_a_participant_takes_part_in_one_task_and_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task(task_id=1), task(task_id=2)]
    role = desk.participant(Paper(*tasks))
    done = enrolling(role, desk.state, monkeypatch)
    role.step(100)
    assert done == [1]
    over: Any = Paper(replace(tasks[0], stage=Stage.ENDED, enrolled=1), tasks[1])
    over.enrolments = lambda _: [Enrolment(0, PARTICIPANT_ADDRESS, 7, 20, bytes(64), "", 1, 0)]
    again = desk.participant(over)  # restarted, when the first is over
    done = enrolling(again, desk.state, monkeypatch)
    again.step(100)
    assert done == []
    assert [fields["task"] for name, fields in desk.notes.lines if name == "task.declined"] == [2, 2]
    assert "took part in task 1" in str(desk.notes.lines[-1])


def test_an_enrolment_that_came_too_late_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task was full before: nothing is on its way, and the chain has no such participant."""
    full, other = task(task_id=1, stage=Stage.SUBMITTING, enrolled=2), task(task_id=2)
    seen = Paper(full, other)
    enrolled: list[Enrolment] = []
    monkeypatch.setattr(seen, "enrolments", lambda task_id: enrolled if task_id == 1 else [], raising=False)
    desk.state.put(enrolments={"1": {}, "7": {}})  # and one of a task that a fork had
    role = desk.participant(seen)
    done = enrolling(role, desk.state, monkeypatch)
    enrolled.append(Enrolment(0, PARTICIPANT_ADDRESS, 7, 20, bytes(64), "", 1, 0))
    role.step(100)
    assert done == []  # it is in task 1
    enrolled.clear()
    again = desk.participant(seen)  # restarted
    done = enrolling(again, desk.state, monkeypatch)
    again.step(101)
    assert done == [2]


@pytest.mark.parametrize("missed", [1, 2])
@pytest.mark.parametrize("stage", STAGES, ids=lambda each: each.name.lower())
def test_an_enrolment_that_missed_its_time_keeps_a_participant_out_of_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, missed: int, stage: Stage
) -> None:
    """As of a node that was killed before it sent it, and started when the task had begun without it."""
    tasks = [task(task_id=k, stage=stage if k == missed else Stage.ENROLLING, enrolled=2) for k in (1, 2)]
    seen: Any = Paper(*tasks)
    seen.enrolments = lambda _: []
    desk.state.put(enrolments={str(missed): {}}, outbox={f"enrol/{missed}/7/00": "00"})
    role = desk.participant(seen)
    done = enrolling(role, desk.state, monkeypatch)
    role.step(100)
    if stage == Stage.ENROLLING:  # it may still get in
        assert done == [missed]
    else:
        assert done == [3 - missed]
        assert list(desk.state.get("outbox")) == [f"enrol/{3 - missed}/7/00"]


@pytest.mark.parametrize("asked", ["index_in", "check_class"])
def test_a_task_with_other_keys_than_a_workers_is_looked_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    looked: list[int] = []
    seen = Paper(task())
    real = seen.task_info

    def look(task_id: int) -> TaskInfo:
        looked.append(task_id)
        return real(task_id)

    monkeypatch.setattr(seen, "task_info", look)
    role = desk.worker(seen)

    def refuse(_: TaskInfo) -> int:
        raise StateError("task 1 registered another key")

    monkeypatch.setattr(role._worker, asked, refuse)
    for block in (100, 101, 133):
        role.step(block)
    assert (looked, desk.notes.names()) == ([1], ["task.declined"])


@pytest.mark.parametrize("window", ["submit_blocks", "freeze_blocks", "settle_blocks"])
@pytest.mark.parametrize("limits", [PARTICIPANT, WORKER], ids=["participant", "worker"])
def test_windows_that_hold_bonds_for_years_are_refused(window: str, limits: Limits | WorkerLimits) -> None:
    for blocks, refused in ((MOST_BLOCKS, False), (MOST_BLOCKS + 1, True)):
        reason = limits.refuse(task(**{window: blocks}))
        assert (reason is not None and "bonds could be held" in reason) == refused


def test_a_participant_takes_part_in_the_tasks_that_it_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    role = desk.participant(Paper(*(task(task_id=k) for k in (1, 2, 3))), replace(PARTICIPANT, tasks=frozenset({1, 3})))
    done = enrolling(role, desk.state, monkeypatch)
    role.step(100)
    assert done == [1, 3]


# -- lines that are half down --


@pytest.mark.parametrize("who", ["participant", "worker"])
def test_a_task_whose_calls_time_out_keeps_no_other_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    seen = Paper(*(task(task_id=k, enrol_bond=51) for k in (1, 2, 3)))
    real = seen.task_info

    def look(task_id: int) -> TaskInfo:
        if task_id < 3:
            raise UnreachableError("no usable answer to eth_getLogs")
        return real(task_id)

    monkeypatch.setattr(seen, "task_info", look)
    pings: list[int] = []
    chain = SimpleNamespace(block_number=lambda: pings.append(100))
    role: Any = getattr(desk, who)(seen, federation=SimpleNamespace(chain=chain))
    role.step(100)
    assert desk.notes.names() == ["failed", "failed", "task.declined"]
    assert len(pings) == 2

    def gone() -> int:
        raise UnreachableError("no usable answer to eth_blockNumber")

    chain.block_number = gone
    with pytest.raises(UnreachableError, match="eth_getLogs"):
        role.step(101)


# -- what ends --


def test_what_a_task_needed_is_dropped_when_it_is_done(desk: Desk) -> None:
    """Shares in the clear above all. What must never happen twice stays."""
    over = task(task_id=1, stage=Stage.ENDED, enrolled=1, round=3)
    seen: Any = Paper(over)
    seen.enrolments = lambda _: [Enrolment(0, PARTICIPANT_ADDRESS, 7, 20, bytes(64), "", 1, 0)]
    seen.claimable = lambda *_: (0, 0)
    complained = [SimpleNamespace(complaint=b"c" * 32)]
    seen.committee.complaints = lambda _, **filters: complained if filters else []
    committee: Any = SimpleNamespace(credit=lambda _: 0)
    sent = SentShares(desk.state.folder / "sent")
    for number, round_number in ((1, 2), (1, 3), (11, 3)):
        sent.keep(number, round_number, [bytes(64)], [b"sealed"], [b"share"])
    mine, others = f"answer/{'63' * 32}", ["answer/ff", "submit/11/3/aa"]
    saved = {"enrolments": {"1": {}}, "trained": {"aa": [1, 3]}, "revealed": {"1/3": [2]}}
    ready = {"1/3": {}, "11/3": {}}
    desk.state.put(**saved, ready=ready, outbox=dict.fromkeys([mine, "submit/1/3/aa", "close/1", *others], "00"))
    desk.participant(seen, federation=SimpleNamespace(committee=committee)).step(100)
    assert desk.notes.names() == ["task.done"]
    assert sorted(each.name for each in (desk.state.folder / "sent").iterdir()) == ["11-3"]
    assert list(desk.state.get("outbox")) == others
    assert list(desk.state.get("ready")) == ["11/3"]
    assert {name: desk.state.get(name) for name in saved} == saved


def test_shares_are_durable_before_they_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaints are answered from them; without an answer their maker is removed."""
    syncs = Syncs.watched(monkeypatch)
    for _ in range(2):  # the second in place of the first
        SentShares(tmp_path / "sent").keep(1, 2, [bytes(64)], [b"sealed"], [b"share"])
        assert syncs.lost(tmp_path) == []


def test_records_in_the_clear_of_a_node_that_was_killed_are_removed(tmp_path: Path) -> None:
    nothing: Any = None
    records = GrantedRecords(nothing, "0xgrantee", tmp_path / "access")
    with StateFile(records.access, "participant") as state:
        state.put(outbox={})
        left = Path(tempfile.mkdtemp(prefix="opened-", dir=records.access))
        (left / "records-000001.bin").write_bytes(b"in the clear")
        with pytest.raises(StateError, match="in use"):
            records.clean()
        assert left.is_dir()  # somebody reads them just now
    records.clean()
    assert sorted(each.name for each in records.access.iterdir()) == ["lock", "state.json"]


@pytest.mark.parametrize("stage", [Stage.ENROLLING, Stage.FAILED])
def test_what_stands_still_is_closed_when_its_time_is_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    seen = task(stage=stage, deadline=300, round=1)
    role = desk.worker(Paper(seen), WORKER)
    closed: list[int] = []
    monkeypatch.setattr(role._endings, "_close", lambda each: closed.append(role._acts.block))
    over = 100 + PATIENCE * 40 if stage == Stage.ENROLLING else 300 + 40
    for rank in (0, 2):
        due = over + rank * SLOT
        role._acts.begin(due - 1)
        role._endings.attend(seen, rank)
        assert (closed, role._acts.wake) == ([], due)
        role._acts.begin(due)
        role._endings.attend(seen, rank)
        assert closed == [due]
        closed.clear()


@pytest.mark.parametrize("who", ["participant", "worker"])
def test_who_has_a_bond_in_a_task_that_never_opens_waits_for_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    seen = Paper(task(enrolled=1), stake=Stake.BONDED)
    mine = Enrolment(0, PARTICIPANT_ADDRESS, 7, 20, bytes(64), "", 1, 0)
    monkeypatch.setattr(seen, "enrolments", lambda _: [mine], raising=False)
    role = desk.participant(seen) if who == "participant" else desk.worker(seen)
    closed: list[int] = []
    monkeypatch.setattr(role._endings, "_close", lambda each: closed.append(each.task_id))
    due = role.step(101)
    assert due is not None
    assert 100 + PATIENCE * 40 <= due <= 100 + PATIENCE * 40 + 2 * len(WORKERS) * SLOT
    role.step(due)
    assert closed == [1]


def test_a_failed_round_is_retried_so_often_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many masks are left: each time costs the workers gas."""
    most = MOST_RETRIES
    for retries, told in ((0, []), (most - 1, []), (most, ["task.given_up"]), (most + 1, ["task.given_up"])):
        failed = task(stage=Stage.FAILED, round=retries + 1, retries=retries, deadline=100)
        role = desk.worker(Paper(failed, stake=Stake.BONDED))
        sent: list[int] = []
        monkeypatch.setattr(role, "_send_retry", lambda each, sent=sent: sent.append(each.round))
        role.step(100 + len(WORKERS) * SLOT)
        assert (desk.notes.names(), bool(sent)) == (told, not told)
        desk.notes.lines.clear()
