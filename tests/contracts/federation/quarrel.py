"""A closed round whose committee has something to say, and what a test does there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fedproof.ledger import Account, Receipt
from fedproof.ledger.committee import Committee, Kind, Windows
from fedproof.ledger.federation import TaskInfo, Update
from tests.contracts.federation.arena import BOND, Arena

WORKER_BOND = 10_007
FREEZE = 103
"""Blocks from close to freeze: five windows, of 20 or 21 blocks."""
SHARE = b"\x5a" * 32
"""Content id of an answer."""


@dataclass
class Quarrel:
    """Three participants; the first ones have submitted, and the round takes complaints."""

    arena: Arena
    task: TaskInfo
    updates: list[Update]
    workers: list[Account]

    @property
    def committee(self) -> Committee:
        return self.arena.committee

    @property
    def windows(self) -> Windows:
        return self.committee.windows(self.task.task_id)

    def digest(self, place: int) -> bytes:
        return self.arena.federation.update_digest(self.task.task_id, self.task.round, self.updates[place])

    def number(self, worker: int, place: int, kind: Kind) -> bytes:
        """What the complaint of this worker of this update is known by."""
        return self.committee.complaint_id(self.digest(place), self.workers[worker].address, kind)

    def complain(self, worker: int, place: int, kind: Kind) -> bytes:
        self.committee.complain(self.workers[worker], self.task, self.updates[place], kind)
        return self.number(worker, place, kind)

    def participant(self, place: int) -> Account:
        return self.arena.players[place].account

    def answer(self, place: int, complaint: bytes, content_id: bytes = SHARE) -> Receipt:
        return self.committee.answer(self.participant(place), complaint, content_id)

    def attest(self, worker: int, complaint: bytes) -> Receipt:
        return self.committee.attest(self.workers[worker], complaint)

    def wait(self, block: int) -> None:
        """The next transaction is in this block."""
        self.arena.chain.wait_until_block(block - 1)

    def credit(self, account: Account) -> int:
        return self.committee.credit(account.address)

    def is_in(self, place: int) -> bool:
        return bool(self.arena.now(self.task).accepted >> place & 1)

    def settle(self, complaint: bytes) -> str:
        return str(self.committee.settle_complaint(self.arena.outsider, complaint))


def start(
    arena: Arena, participants: int = 3, submitting: int | None = None, early: bool = False, **changes: Any
) -> Quarrel:
    """A task whose round is full and so closed; or about to close, if fewer submit and it is not `early`."""
    changes = {"freeze_blocks": FREEZE, "worker_bond": WORKER_BOND} | changes
    task = arena.running(participants, **changes)
    updates = [arena.prove(task, player) for player in arena.players[: submitting or participants]]
    for worker in arena.workers:
        arena.committee.allow(worker, 50 * BOND)
    for player, update in zip(arena.players, updates, strict=False):
        arena.submit(task, player, update)
    if submitting is not None and not early:
        arena.chain.wait_until_block(task.deadline - 3)
    return Quarrel(arena, arena.now(task), updates, arena.workers)


def large_committee(arena: Arena) -> list[Account]:
    """Five workers, so that two of them learn nothing and three of them decide."""
    workers = [*arena.workers, *(arena.chain.new_account(f"worker-{k}") for k in (3, 4))]
    for worker in workers[3:]:
        arena.chain.transact(arena.federation.token.functions.transfer(worker.address, 100 * BOND), arena.sponsor)
    return workers


def start_with_five(arena: Arena, participants: int = 3, **changes: Any) -> Quarrel:
    """The same with five workers, t = 2."""
    workers = large_committee(arena)
    committee = [(worker.address, bytes([k]) * 32) for k, worker in enumerate(workers, 1)]
    wide = type(arena)(**(arena.__dict__ | {"workers": workers}))
    quarrel = start(wide, participants, threshold=2, committee=committee, **changes)
    return quarrel
