"""Tasks on paper: roles that look at a task which no chain has, to see what they make of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Member, Stage, TaskInfo, TaskParams
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.participant import Limits, ParticipantRole
from fedproof.nodes.roles.worker import WorkerLimits, WorkerRole
from fedproof.nodes.state import StateFile
from tests.nodes.cast import Notes

SLOT = 6
ANCHOR = 0xABC
PARTICIPANT_ADDRESS: Any = "0xparticipant"
PARAMS = TaskParams(
    training_key="", training_key_hash=b"", aggregation_key="", aggregation_key_hash=b"", spec_digest=b"",
    description=bytes(32), model=bytes(64), class_id=1, rounds=3, mask_count=1000, threshold=1, min_updates=3,
    max_participants=5, submit_blocks=30, freeze_blocks=30, settle_blocks=40, reward_per_round=1, enrol_bond=50,
    worker_bond=40,
)  # fmt: skip
WORKERS: Any = tuple(Member(f"0x{k}", bytes([k]) * 32) for k in (1, 2, 3))  # type: ignore[arg-type]
TASK = TaskInfo(
    task_id=1, sponsor="0xsponsor", terms=bytes(32), params=PARAMS, workers=WORKERS, training_circuit=b"",  # type: ignore[arg-type]
    aggregation_circuit=b"", model=bytes(64), settled=(), round=0, stage=Stage.ENROLLING, accepted=0, deadline=0,
    freeze_at=0, enrolled=0, retries=0, escrow=3, opened_block=100,
)  # fmt: skip
PARTICIPANT, WORKER = Limits(min_updates=2, max_bond=50), WorkerLimits(max_bond=50)


def task(**changes: Any) -> TaskInfo:
    """A task that the limits here let pass, but for what is changed of it or of its parameters."""
    params = {name: changes.pop(name) for name in list(changes) if hasattr(PARAMS, name)}
    return replace(TASK, params=replace(PARAMS, **params), **changes)


class Paper:
    """A federation of tasks that are on paper; whatever else a role asks of it fails its act."""

    def __init__(self, *tasks: TaskInfo, stake: Stake = Stake.NONE) -> None:
        self._tasks = tasks
        self.chain = SimpleNamespace(anchor=ANCHOR)
        self.committee = SimpleNamespace(stake=lambda *_: stake, bonded=lambda task_id: len(TASK.workers))

    def tasks(self) -> int:
        return len(self._tasks)

    def task_info(self, task_id: int) -> TaskInfo:
        return self._tasks[task_id - 1]


@dataclass
class Desk:
    """Roles over one saved state, with one diary. Whatever else they ask of their parts fails the act."""

    state: StateFile
    notes: Notes = field(default_factory=Notes)

    def worker(self, seen: Any, limits: WorkerLimits = WORKER, federation: Any = None) -> WorkerRole:
        """The first of the committee."""
        node: Any = SimpleNamespace(
            account=SimpleNamespace(address=WORKERS[0].address),
            index_in=lambda _: 1,
            check_class=lambda _: None,
            state=self.state,
            federation=federation,
        )
        return WorkerRole(node, seen, Acts(self.notes, threading.Event()), limits, slot=SLOT)

    def participant(
        self,
        seen: Any,
        limits: Limits = PARTICIPANT,
        *,
        deployment: Any = None,
        federation: Any = None,
        market: Any = None,
    ) -> ParticipantRole:
        """Somebody who has not enrolled, unless the paper says so."""
        nothing: Any = None
        account: Any = SimpleNamespace(address=PARTICIPANT_ADDRESS)
        acts = Acts(self.notes, threading.Event())
        return ParticipantRole(
            deployment, federation, seen, market, account, self.state, nothing, limits, acts, slot=SLOT
        )
