"""What a worker has ready before it must speak."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.errors import StorageError
from fedproof.ledger.committee import Committee, Kind, Stake, Windows
from fedproof.ledger.federation import Stage
from fedproof.ledger.sending import DoubtedError
from fedproof.nodes.words import Word, say
from fedproof.storage import content_id
from tests.nodes.paper import PARAMS, WORKERS, Desk, Paper, task


def allowing(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[int]]:
    """A federation whose committee notes what it is allowed to take."""
    allowed: list[int] = []
    committee = SimpleNamespace(
        allow=lambda _, amount: allowed.append(amount),
        complaints_bond=Committee.complaints_bond,
        bond_call=lambda *_: None,
    )
    monkeypatch.setattr("fedproof.nodes.roles.worker.send_once", lambda *_: None)
    return SimpleNamespace(committee=committee, chain=SimpleNamespace()), allowed


def test_bonds_of_complaints_are_allowed_when_the_worker_places_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval would take the one block that a complaint has."""
    federation, allowed = allowing(monkeypatch)
    desk.worker(Paper(task()), federation=federation).step(100)
    assert allowed == [PARAMS.worker_bond + 2 * PARAMS.max_participants * PARAMS.enrol_bond]


def test_bonds_of_complaints_are_allowed_before_the_round_closes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a task has no bond of workers, or another has used up what was allowed."""
    federation, allowed = allowing(monkeypatch)
    running = task(stage=Stage.SUBMITTING, round=1, enrolled=3, deadline=200)
    role: Any = desk.worker(Paper(running, stake=Stake.BONDED), federation=federation)
    role._inspection.look = role._leading.guard_model = lambda _: None
    role.step(100)
    assert allowed == [2 * 3 * PARAMS.enrol_bond]


class Store:
    """Gives what was put, if it is `up`, and nothing else: neither the description of the task nor a share."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.up = True
        self.probes = 0

    def put(self, blob: bytes) -> str:
        self.probes += 1
        self.blobs[content_id(blob)] = blob
        return content_id(blob)

    def get(self, blob: str, **_: Any) -> bytes:
        if not self.up or blob not in self.blobs:
            raise StorageError("it is not there")
        return self.blobs[blob]


def test_a_sponsor_that_takes_the_description_away_silences_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = Store(), list[str]()
    seen: Any = Paper()
    made = SimpleNamespace(
        complaint=b"x", round=1, worker=WORKERS[1].address, digest=b"d", kind=Kind.FETCH, participant="0xp"
    )
    seen.committee = SimpleNamespace(
        windows=lambda _: Windows(95, 116, 137, 158, 179, 200),
        complaint_id=lambda *_: b"c",
        complaint=lambda _: None,
        complaints=lambda *_, **__: [made],
        attestations=lambda *_, **__: [],
        removals=lambda *_, **__: [],
    )
    committee = SimpleNamespace(
        allow=lambda *_: None,
        complaint=lambda _: None,
        complain_call=lambda *_: None,
        attest_call=lambda _: None,
    )
    federation: Any = SimpleNamespace(chain=SimpleNamespace(block_number=lambda: 100), committee=committee)
    monkeypatch.setattr(
        "fedproof.nodes.roles.inspection.say",
        lambda *arguments, **_: [said.append(str(arguments[3])) or each for each in arguments[4]],
    )
    role: Any = desk.worker(seen, federation=federation)
    role._worker.deployment, role._worker.sealed_bytes = SimpleNamespace(store=store), 100
    running = task(stage=Stage.REJECTING, round=1, deadline=95, freeze_at=200)
    update = SimpleNamespace(participant="0xp", sealed_digest=bytes(32))

    def look(block: int) -> list[str]:
        said.clear()
        role._acts.begin(block)
        found = role._inspection.findings(running)
        found.valid[b"d"], found.wrong[b"d"], found.asked[b"d"] = True, Kind.FETCH, block
        role._inspection.act(running, [(b"d", update)])
        return list(said)

    store.up = False
    assert look(100) == []  # its own line is down
    store.up = True
    assert look(101) == ["complain/1/1/"]
    for block in (102, 103):
        assert look(block) == ["complain/1/1/"]
    assert store.probes == 2
    assert look(140) == ["complain/1/1/", "attest/1/1/"]
    assert store.probes == 3


def test_a_word_that_the_node_holds_for_too_late_does_not_silence_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubted(*_: Any) -> None:
        raise DoubtedError("the contract rejected the call: TooLate()")

    sent: list[str] = []
    monkeypatch.setattr("fedproof.nodes.words.settle_saved", doubted)
    monkeypatch.setattr("fedproof.nodes.words.send_once", lambda _chain, _state, name, _prepare: sent.append(name))
    committee: Any = SimpleNamespace(chain=SimpleNamespace(call=lambda *_, **__: None), many_call=lambda _: None)
    call: Any = None
    nobody: Any = SimpleNamespace(address="0xme")
    assert say(committee, nobody, desk.state, "say/1/", [due := Word("a", call)]) == [due]
    assert [name.startswith("say/1/") for name in sent] == [True]
