"""Participants and workers as roles, stepped block by block on one chain: what processes do, without the processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedproof.data.public import encode_table
from fedproof.errors import FedproofError
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger.committee import Committee
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.view import View
from fedproof.nodes.holder import OpenedDataset
from fedproof.nodes.journal import Journal
from fedproof.nodes.loop import Loop
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.participant import Limits, ParticipantRole
from fedproof.nodes.roles.worker import WorkerLimits, WorkerRole
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.sealing import KeyPair
from fedproof.statements.models.vectors import model_vector
from tests.e2e.conftest import SEEDS, Arena

TOKEN = 10**18
ENROL_BOND, WORKER_BOND, REWARD = 50 * TOKEN, 40 * TOKEN, 300 * TOKEN
LIMITS = Limits(min_updates=2, max_bond=ENROL_BOND)
WORKER_LIMITS = WorkerLimits(max_bond=ENROL_BOND)
SLOT = 6


@dataclass
class Notes:
    """A diary that a test can read."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def act_failed(self, act: str, error: FedproofError, again_at: int) -> None:
        self.lines.append(("failed", {"act": act, "error": error, "again_at": again_at}))

    def round_ended(self, outcome: str, task: int, round_number: int) -> None:
        self.lines.append((f"round.{outcome}", {"task": task, "round": round_number}))

    def progress(self, block: int, head: int, events: int) -> None:
        pass

    def failed(self, error: FedproofError, pause: float) -> None:
        raise error

    def undone(self, blocks: int) -> None:
        self.lines.append(("undone", {"blocks": blocks}))

    def names(self) -> list[str]:
        return [name for name, _ in self.lines]


@dataclass
class Records:
    """Records that were opened already."""

    opened: OpenedDataset

    def open(self, dataset_id: int, version: int) -> OpenedDataset:
        assert (dataset_id, version) == (self.opened.dataset_id, 1)
        return self.opened


@dataclass
class Player:
    """A role with its view of the chain, its state and its diary. `awake` is False for a process that is down."""

    name: str
    role: Any
    view: View
    notes: Notes
    state: StateFile
    address: str
    restart: Callable[[], Player]
    journal: Journal
    loop: Loop
    awake: bool = True

    def close(self) -> None:
        self.journal.close()
        self.state.close()


class Cast:
    """Three participants, some workers and a sponsor on the arena's chain.

    `close` puts the chain back: every node looks at all tasks there are, those of earlier tests too.
    """

    def __init__(self, arena: Arena, folder: Path, *, workers: int = 3, depth: int = 0) -> None:
        self.arena = arena
        self.folder = folder
        self.depth = depth
        self.world = arena.world
        self.chain = arena.world.chain
        self._before = self.chain.dev.snapshot()
        self.deployment = arena.world.deployment
        self.federation = arena.world.federation
        self.start_block = self.chain.block_number()
        self.keys = [KeyPair.generate() for _ in range(workers)]
        self.workers = [self._worker(number) for number in range(workers)]
        self.participants = [self._participant(number) for number in range(3)]

    @property
    def players(self) -> list[Player]:
        return [*self.participants, *self.workers]

    @property
    def committee(self) -> Committee:
        return self.federation.committee

    def close(self) -> None:
        for each in self.players:
            each.close()
        self.chain.dev.revert(self._before)
        self.federation.forget()

    # -- making them --

    def _view(self) -> tuple[View, Federation, Marketplace]:
        view = View.of(self.chain)
        view.move_to(max(0, self.chain.block_number() - self.depth))
        market = self.deployment.market
        return view, Federation.at(view, self.federation.address), Marketplace.at(view, market.addresses)

    def _worker(self, number: int, notes: Notes | None = None) -> Player:
        name = f"w{number + 1}"
        account = self.chain.new_account(f"{self.folder.name}-{name}")
        view, seen, _ = self._view()
        state, diary = StateFile(self.folder / name, "worker"), notes or Notes()
        federation = Federation.at(self.chain, self.federation.address)
        worker = Worker(self.deployment, federation, account, state, self.keys[number])
        role = WorkerRole(worker, seen, Acts(diary, threading.Event()), WORKER_LIMITS, slot=SLOT)
        return self._player(name, role, view, diary, state, account.address, lambda: self._worker(number, diary))

    def _participant(self, number: int, notes: Notes | None = None) -> Player:
        name = f"p{number + 1}"
        seat = self.arena.seats[number].participant
        view, seen, market = self._view()
        state, diary = StateFile(self.folder / name, "participant"), notes or Notes()
        federation = Federation.at(self.chain, self.federation.address)
        role = ParticipantRole(
            self.deployment,
            federation,
            seen,
            market,
            seat.account,
            state,
            Records(seat.opened),
            LIMITS,
            Acts(diary, threading.Event()),
            slot=SLOT,
        )
        again = lambda: self._participant(number, diary)  # noqa: E731
        return self._player(name, role, view, diary, state, seat.account.address, again)

    def _player(
        self,
        name: str,
        role: Any,
        view: View,
        notes: Notes,
        state: StateFile,
        address: str,
        restart: Callable[[], Player],
    ) -> Player:
        journal = Journal(state.folder / "journal.db", self.chain.chain_id, self.start_block)
        loop = Loop(self.chain, view, journal, role, notes, self.depth)
        return Player(name, role, view, notes, state, address, restart, journal, loop)

    def restart(self, player: Player) -> Player:
        """The same node in a new process, on the state that the old one left."""
        player.close()
        fresh = player.restart()
        for group in (self.workers, self.participants):
            if player in group:
                group[group.index(player)] = fresh
        return fresh

    # -- playing --

    def open(self, **changes: Any) -> int:
        """Open a task and fund everybody; returns its number."""
        d = self.deployment
        model = GlobalModel.start(d.plan, next(SEEDS))
        description = TaskDescription(
            name="wine",
            schema=d.store.put(self.arena.schema.encode()),
            test=d.store.put(encode_table(self.arena.parts.test)),
            start=d.store.put(model.encode()),
            plan=d.plan,
            srs=d.store.put(d.srs.to_bytes()),
        )
        numbers: dict[str, Any] = {
            "class_id": d.class_id,
            "spec_digest": d.plan.digest(),
            "rounds": 1,
            "mask_count": d.plan.mask_count,
            "threshold": (len(self.workers) - 1) // 2,
            "min_updates": 2,
            "max_participants": 3,
            "submit_blocks": 30,
            "freeze_blocks": 20,
            "settle_blocks": 60,
            "reward_per_round": REWARD,
            "enrol_bond": ENROL_BOND,
            "worker_bond": WORKER_BOND,
        }
        task = self.federation.open_task(
            self.world.operator,
            training_key=d.keys["training"].verifying,
            aggregation_key=d.keys["aggregation"].verifying,
            description=bytes.fromhex(d.store.put(description.encode())),
            model=d.srs.commit(model_vector(d.plan, model.layers)),
            committee=[(each.address, key.public) for each, key in zip(self.workers, self.keys, strict=True)],
            **numbers | changes,
        )
        token = self.federation.token
        for each in self.players:
            self.chain.transact(token.functions.transfer(each.address, 10 * ENROL_BOND), self.world.operator)
        return task.task_id

    def task(self, task_id: int) -> TaskInfo:
        return self.federation.task_info(task_id)

    def step(self, player: Player) -> None:
        """One look of one player at the chain."""
        player.loop.once()

    def run(self, until: Callable[[], bool], blocks: int = 400) -> None:
        """Let everybody who is awake look at every block until something holds."""
        for _ in range(blocks):
            if until():
                return
            for each in self.players:
                if each.awake:
                    self.step(each)
            self.chain.dev.mine(1)
        raise AssertionError(f"not within {blocks} blocks: {[(p.name, p.notes.lines[-3:]) for p in self.players]}")

    def start(self, task_id: int) -> None:
        """Enrol everybody who is awake, and open round 1."""
        wanted = sum(each.awake for each in self.participants)
        self.run(lambda: self.task(task_id).enrolled == wanted)
        self.federation.open_round(self.world.operator, task_id)

    def at(self, task_id: int, stage: Stage) -> Callable[[], bool]:
        return lambda: self.task(task_id).stage == stage

    def is_done(self, task_id: int) -> bool:
        """Whether the task has ended and everybody who is awake has its money back."""
        ended = self.task(task_id).stage == Stage.ENDED
        return ended and all(
            any(e == "task.done" and f["task"] == task_id for e, f in each.notes.lines)
            for each in self.players
            if each.awake
        )
