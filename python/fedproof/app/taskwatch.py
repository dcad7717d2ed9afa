"""What happens in a task, as it happens: events of its two contracts, and what blocks alone bring about."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from web3.contract import Contract

from fedproof.app.connection import Connection
from fedproof.app.taskmodel import Scorer
from fedproof.app.taskstatus import statement_of
from fedproof.app.taskwords import describe
from fedproof.errors import LedgerError
from fedproof.ledger.events import Event, Log, decode_event, event_topic
from fedproof.ledger.federation import Stage, TaskInfo
from fedproof.ledger.federation_types import SettledRound, set_bits
from fedproof.ledger.logs import get_logs

DEPTH: Final = 64
"""Blocks that are read again at every look: what the chain takes back from deeper is not noticed."""
POLL_SECONDS: Final = 2.0
Key = tuple[int, int, str]  # block, place in it, transaction


@dataclass(frozen=True)
class Happening:
    """One thing that happened. `block` is None for what is no event; `values` are for scripts."""

    kind: str
    text: str
    block: int | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One object for each."""
        return {"event": self.kind, "block": self.block, "text": self.text, **self.values}


class Watch:
    """Looks at a task again and again. Ask for `new()` as often as you like, or iterate over `run`."""

    def __init__(self, network: Connection, task_id: int, until_round: int | None = None) -> None:
        self._network = network
        self._task_id = task_id
        self._until = until_round
        network.federation.stage(task_id)  # says so where there is no such task
        self._opened = network.federation.opened_block(task_id)
        self._next = self._opened
        self._shown: dict[Key, Happening] = {}
        self._missing: set[Key] = set()
        self._stage: tuple[Stage, int] | None = None
        task = network.federation.task_info(task_id)
        self._scorer = Scorer(network, task)
        self._statement = statement_of(network, task)
        self.done = False

    def run(
        self, pause: Callable[[float], None] = time.sleep, poll_seconds: float = POLL_SECONDS
    ) -> Iterator[Happening]:
        """What happens, until the task or the round that was asked for has ended.

        While the chain cannot be read, this says so once and goes on looking.
        """
        failing = False
        while not self.done:
            try:
                found = self.new()
                if failing:
                    yield Happening("chain", "the chain answers again")
                failing = False
                yield from found
            except LedgerError as error:
                if not failing:
                    yield Happening("chain", f"the chain cannot be read, trying on: {error}")
                failing = True
            if not self.done:
                pause(poll_seconds)

    def new(self) -> list[Happening]:
        """What is new since the last look.

        Raises:
            LedgerError: the chain cannot be read; nothing is lost, the next look tells it.
        """
        head = self._network.chain.block_number()
        first = max(self._opened, min(self._next, head) - DEPTH)
        events = {_key(event): event for event in self._events(first, head)}
        following = {event.tx_hash for event in events.values() if event.name == "RoundFinalized"}
        task = self._network.federation.task_info(self._task_id)
        out = self._taken_back(first, head, set(events))
        for key, event in events.items():
            if key not in self._shown:
                happening = self._tell(event, following)
                self._shown[key] = happening
                out.append(happening)
                if self._is_end(event):
                    self.done = True
                    break
        if not self.done:
            out += self._stage_change(task)
        self._next = head + 1
        self._shown = {key: each for key, each in self._shown.items() if key[0] >= first - DEPTH}
        return out

    # -- inside --

    def _events(self, first: int, last: int) -> list[Event]:
        federation = self._network.federation
        found = [
            event
            for contract in (federation.contract, federation.committee.contract)
            for event in _decoded(contract, get_logs(self._network.chain.rpc, contract.address, [], first, last))
            if event.args.get("task") == self._task_id
        ]
        return sorted(found, key=lambda event: (event.block_number, event.log_index))

    def _taken_back(self, first: int, head: int, present: set[Key]) -> list[Happening]:
        """What was told and is not on the chain any more; missed twice, for one node may be behind another."""
        gone = {key for key in self._shown if first <= key[0] <= head and key not in present}
        sure = sorted(gone & self._missing, reverse=True)
        self._missing = gone - set(sure)
        return [
            Happening("taken back", f"taken back by the chain: {each.text}", key[0], each.values)
            for key, each in ((key, self._shown.pop(key)) for key in sure)
        ]

    def _tell(self, event: Event, following: set[str]) -> Happening:
        """`following`: transactions that settled a round, and so opened the next one themselves."""
        kind, text, values = describe(event, self._network.federation.committee.address)
        if event.name == "RoundOpened" and event.args["round"] > 1 and event.tx_hash not in following:
            kind, text = "retried", f"the round before is retried: {text}"
        if event.name == "TaskOpened" and self._statement:
            values["statement"] = self._statement
            text += f"; each update comes with a {self._statement}"
        if event.name == "RoundFinalized":
            scores = self._scorer.score(SettledRound.of(event))
            values["accuracy"] = scores.accuracy if scores else None
            values["scores"] = scores.to_json() if scores else None
            text += f"; {scores.brief()}" if scores else f"; accuracy unknown: {self._scorer.problem}"
        return Happening(kind, text, event.block_number, values)

    def _is_end(self, event: Event) -> bool:
        if event.name == "TaskEnded":
            return True
        done = event.name in ("RoundFinalized", "RoundStalled")
        return done and self._until is not None and int(event.args["round"]) >= self._until

    def _stage_change(self, task: TaskInfo) -> list[Happening]:
        """Closing, freezing and failing take no transaction."""
        before, self._stage = self._stage, (task.stage, task.round)
        if before == self._stage:
            return []
        count = len(set_bits(task.accepted))
        values = {"round": task.round, "updates": count}
        where = f"round {task.round}"
        if task.stage == Stage.REJECTING:
            text = f"{where} is closed with {count} updates; until block {task.freeze_at} they are checked"
            return [Happening("closed", text, None, values | {"freeze_block": task.freeze_at})]
        if task.stage == Stage.FROZEN:
            return [Happening("frozen", f"{where} is frozen with {count} updates: workers sum", None, values)]
        if task.stage == Stage.FAILED:
            text = f"{where} failed: {count} updates came in where {task.min_updates} are needed"
            return [Happening("failed", text, None, values)]
        return []


def _key(event: Event) -> Key:
    return (event.block_number, event.log_index, event.tx_hash)


def _decoded(contract: Contract, logs: list[Log]) -> Iterator[Event]:
    known = {event_topic(entry): entry for entry in contract.abi if entry["type"] == "event"}
    for log in logs:
        entry = known.get(log.topics[0]) if log.topics else None
        if entry is not None:
            yield decode_event(entry, log)
