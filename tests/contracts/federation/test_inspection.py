"""A worker's inspection against the contracts: what it says on chain, and in how many blocks."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fedproof.ledger.committee import Kind
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.ledger.view import View
from fedproof.nodes.outbox import forget_under
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.inspection import Inspection
from fedproof.nodes.roles.participant import Limits, ParticipantRole, bad_windows
from fedproof.nodes.state import StateFile
from fedproof.nodes.words import Word, say
from tests.contracts.conftest import ON_ANVIL
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.quarrel import Quarrel, large_committee, start
from tests.nodes.cast import Notes


class Inspector:
    """Worker `number` (from 0) of a quarrel, that looks `depth` blocks below the head."""

    def __init__(self, quarrel: Quarrel, folder: Path, number: int = 0, depth: int = 0) -> None:
        self.quarrel, self.number, self.depth = quarrel, number, depth
        self.chain, self.notes = quarrel.arena.chain, Notes()
        self.acts = Acts(self.notes, threading.Event())
        self.view = View.of(self.chain)
        self.view.move_to(self.chain.block_number())
        self.seen = Federation.at(self.view, quarrel.arena.federation.address)
        self.worker: Any = type("Node", (), {})()
        self.worker.account, self.worker.federation = quarrel.workers[number], quarrel.arena.federation
        self.worker.state = StateFile(folder / f"w{number}", "worker")
        self.worker.index_in = lambda _: number + 1
        self.inspection: Any = Inspection(self.worker, self.seen, self.acts)
        self.inspection._store_answers = lambda *_: True

    def look(self, wrong: dict[int, Kind] | None = None) -> TaskInfo:
        """One look and all that it does; then a block, if none was mined. `wrong` is what it found, by update."""
        head = self.chain.block_number()
        self.view.move_to(head - self.depth)
        self.acts.begin(head - self.depth)
        task = self.seen.task_info(self.quarrel.task.task_id)
        if task.stage == Stage.REJECTING:
            found = self.inspection.findings(task)
            ids = [self.quarrel.digest(place) for place in range(len(self.quarrel.updates))]
            found.valid.update(dict.fromkeys(ids, True))
            found.wrong.update({ids[place]: kind for place, kind in (wrong or {}).items()})
            found.asked.update(dict.fromkeys(ids, self.acts.block))
            updates = zip(ids, self.quarrel.updates, strict=True)
            present = self.seen.updates(task.task_id, task.round)
            self.inspection.act(task, [(digest, each) for digest, each in updates if each in present])
        if self.chain.block_number() == head:
            self.chain.mine(1)
        return task


def test_an_update_that_was_removed_and_comes_again_is_removed_again(arena: Arena, tmp_path: Path) -> None:
    """As often as it comes; and by whoever looks first, also one that has found nothing wrong."""
    quarrel = start(arena)
    player, task_id = arena.players[1], quarrel.task.task_id
    for worker in (0, 1):
        quarrel.complain(worker, 1, Kind.OPEN)
    inspectors = [Inspector(quarrel, tmp_path, number) for number in (0, 2)]
    for times in range(3):
        assert not quarrel.is_in(1)
        arena.federation.renew_bond(player.account, task_id)
        arena.submit(arena.now(quarrel.task), player, quarrel.updates[1])
        assert quarrel.is_in(1)
        inspector = inspectors[times % 2]
        before = quarrel.credit(inspector.worker.account), arena.balance(inspector.worker.account)
        inspector.look({1: Kind.OPEN} if inspector.number == 0 else {})
        assert not quarrel.is_in(1), inspector.notes.lines
        assert quarrel.credit(inspector.worker.account) == before[0] + BOND
        assert arena.balance(inspector.worker.account) == before[1]


CONFIRMATIONS = 5


@pytest.mark.parametrize("windows", [2, 3])
def test_a_complaint_of_a_missing_share_comes_within_its_fifth(arena: Arena, tmp_path: Path, windows: int) -> None:
    """Seen at depth, it has one block left: no approval of its bond may need that."""
    quarrel = start(arena, freeze_blocks=5 * (CONFIRMATIONS + windows))
    assert not list(bad_windows(quarrel.task, CONFIRMATIONS))
    arena.chain.wait_until_block(quarrel.windows.close + CONFIRMATIONS)
    inspector = Inspector(quarrel, tmp_path, depth=CONFIRMATIONS)
    before = len(inspector.notes.lines)
    for _ in range(3):
        inspector.look({0: Kind.FETCH, 1: Kind.FETCH, 2: Kind.FETCH})
    complaints = quarrel.committee.complaints(quarrel.task.task_id)
    assert len({each.participant for each in complaints}) == 3, inspector.notes.lines
    assert len({each.tx_hash for each in complaints}) == 1
    assert inspector.notes.names()[before:] == ["complaint.sent"] * 3


def test_what_is_wrong_with_many_updates_is_attested_in_one_block(arena: Arena, tmp_path: Path) -> None:
    quarrel = start(arena, 4, submitting=3, freeze_blocks=5 * (CONFIRMATIONS + 2))
    arena.chain.wait_until_block(quarrel.windows.close)
    complaints = [quarrel.complain(0, place, Kind.OPEN) for place in range(2)]
    inspector = Inspector(quarrel, tmp_path, 1, CONFIRMATIONS)
    inspector.inspection._is_answered = lambda *_: False
    arena.chain.wait_until_block(quarrel.windows.open_answers + CONFIRMATIONS)
    inspector.look()
    assert [quarrel.is_in(place) for place in range(3)] == [False, False, True], inspector.notes.lines
    assert {quarrel.settle(each) for each in complaints} == {quarrel.workers[0].address}


def test_a_word_that_is_refused_keeps_no_other_back(arena: Arena, tmp_path: Path) -> None:
    """Neither one that was said before, nor one that another of them makes impossible."""
    quarrel = start(arena, 4, submitting=3)
    arena.chain.wait_until_block(quarrel.windows.close)
    quarrel.complain(1, 0, Kind.OPEN)
    inspector = Inspector(quarrel, tmp_path)
    quarrel.complain(0, 2, Kind.FETCH)
    calls = {
        "said": quarrel.committee.complain_call(quarrel.task, quarrel.updates[2], Kind.FETCH),
        "removes": quarrel.committee.complain_call(quarrel.task, quarrel.updates[0], Kind.OPEN),
        "of what is gone": quarrel.committee.complain_call(quarrel.task, quarrel.updates[0], Kind.FETCH),
        "good": quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], Kind.OPEN),
    }
    words = [Word(key, call) for key, call in calls.items()]
    said: list[str] = []
    for _ in range(3):
        node = inspector.worker
        said += [each.key for each in say(quarrel.committee, node.account, node.state, "complain/1/1/", words, 1)]
    assert said == ["removes", "good"]
    assert [quarrel.is_in(place) for place in range(3)] == [False, True, True]
    forget_under(inspector.worker.state, "complain/1/1/")
    assert not inspector.worker.state.get("outbox")


# two transactions in one block, with estimates of a node
@pytest.mark.parametrize("shared_chain", [ON_ANVIL], indirect=True)
def test_a_participant_answers_many_complaints_in_one_block(arena: Arena, tmp_path: Path) -> None:
    """t of the workers complain in the last block in which they may."""
    chain, five = arena.chain, large_committee(arena)
    wide = type(arena)(**(arena.__dict__ | {"workers": five}))
    committee = [(worker.address, bytes([k]) * 32) for k, worker in enumerate(five, 1)]
    freeze = 5 * (CONFIRMATIONS + 2)
    quarrel = start(wide, 4, submitting=3, freeze_blocks=freeze, threshold=2, committee=committee)
    chain.wait_until_block(quarrel.windows.close)
    quarrel.task = arena.now(quarrel.task)
    chain.wait_until_block(quarrel.windows.open_complaints - 2)
    call = quarrel.committee.complain_call(quarrel.task, quarrel.updates[1], Kind.OPEN)
    with chain.hold_mining():
        for worker in five[:2]:
            chain.send(call, worker)
    assert len(quarrel.committee.complaints(quarrel.task.task_id)) == 2
    view = View.of(chain)
    view.move_to(chain.block_number())
    notes, shown = Notes(), list[int]()
    acts, nothing = Acts(notes, threading.Event()), cast("Any", None)
    role: Any = ParticipantRole(
        nothing, arena.federation, Federation.at(view, arena.federation.address), SimpleNamespace(registry=None),  # type: ignore[arg-type]
        quarrel.participant(1), StateFile(tmp_path, "participant"), nothing, Limits(), acts, slot=6,
    )  # fmt: skip
    role._enrolled_node = lambda *_: SimpleNamespace(
        revealed_id=lambda *_: b"s" * 32, reveal=lambda _, __, place: shown.append(place)
    )
    for _ in range(2 * CONFIRMATIONS):
        head = chain.block_number()
        view.move_to(head - CONFIRMATIONS)
        acts.begin(head - CONFIRMATIONS)
        task = role._seen.task_info(quarrel.task.task_id)
        if task.stage == Stage.REJECTING:
            role._answer_all(task, role._enrolment(task))
        if chain.block_number() == head:
            chain.mine(1)
    answers = quarrel.committee.answers(quarrel.task.task_id)
    assert len({each.complaint for each in answers}) == 2, notes.lines
    assert (len({each.tx_hash for each in answers}), shown) == (1, [1, 2])
