"""The auditor's checks of money: rewards by proven rows, bonds, the refund, and the tokens that really moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fedproof.app.audit_base import require
from fedproof.ledger.events import Event
from fedproof.ledger.federation import Enrolment, Federation, TaskInfo
from fedproof.ledger.federation_types import set_bits
from fedproof.ledger.marketplace import Marketplace

_EVENTS = ("TaskOpened", "Enrolled", "UpdateRejected", "BondRenewed", "TaskEnded", "Claimed", "Refunded")
Move = tuple[str, str, str, int]  # transaction, from, to, value


def check_payments(
    market: Marketplace, federation: Federation, task: TaskInfo, enrolments: Sequence[Enrolment]
) -> list[str]:
    """Follow every event that moves tokens of a task."""
    books = _Books(federation.address, task, enrolments)
    events: list[Event] = []
    for name in _EVENTS:
        where = {"task": task.task_id}
        events += market.chain.events(federation.contract, name, task.opened_block, argument_filters=where)
    for event in sorted(events, key=lambda event: (event.block_number, event.log_index)):
        books.take(event)
    books.check_escrow()
    _check_transfers(market, federation, books.moves)
    paid, rounds = sum(books.paid.values()), len(task.settled)
    return [
        f"payments: {rounds} rounds paid by listed rows; {paid} base units claimed, {books.refunded} refunded, "
        f"{task.escrow} still held, and nothing else",
        f"bonds: {len(enrolments)} placed, {books.lost} lost by a rejection, {books.returned} returned, "
        f"{len(books.bonded)} still held; every token moved as the events say",
    ]


class _Books:
    """What a task owes and holds, event by event."""

    def __init__(self, address: str, task: TaskInfo, enrolments: Sequence[Enrolment]) -> None:
        self.address = address
        self.task = task
        self.rows: dict[str, tuple[int, int]] = {each.participant: (each.index, each.rows) for each in enrolments}
        self.paid: dict[str, int] = dict.fromkeys(self.rows, 0)
        self.claimed_rounds: dict[str, int] = dict.fromkeys(self.rows, 0)
        self.bonded: set[str] = set()
        self.lost = self.returned = self.refunded = 0
        self.ended = False
        self.moves: list[Move] = []

    def take(self, event: Event) -> None:
        """Book one event."""
        a, task = event.args, self.task
        who = a.get("participant", "")
        bond = task.params.enrol_bond
        if event.name == "TaskOpened":
            self._move(event, task.sponsor, self.address, task.params.reward_per_round * task.params.rounds)
        elif event.name in ("Enrolled", "BondRenewed"):
            require(who in self.rows and who not in self.bonded, f"{who} placed a second bond")
            self.bonded.add(who)
            self._move(event, who, self.address, bond)
        elif event.name == "UpdateRejected":
            require(who in self.bonded, f"the bond of {who} went away twice")
            self.bonded.remove(who)
            self.lost += 1
            self._move(event, self.address, a["by"], bond)
        elif event.name == "TaskEnded":
            self.ended = True
        elif event.name == "Claimed":
            self._claim(event, who, int(a["reward"]), int(a["bond"]))
        elif event.name == "Refunded":
            due = task.params.reward_per_round * task.params.rounds - sum(
                self._share(k, each.total_rows) for k, each in enumerate(task.settled)
            )
            require(self.ended and not self.refunded, "the sponsor was refunded twice, or before the end")
            require(int(a["amount"]) == due, f"the sponsor was refunded {a['amount']} where {due} were left")
            self.refunded = due
            self._move(event, self.address, task.sponsor, due)

    def _claim(self, event: Event, who: str, reward: int, bond: int) -> None:
        require(who in self.rows, f"{who} was paid and took no part")
        index, rows = self.rows[who]
        # What was settled in an earlier block was due; of the claim's own block, what came before it.
        sure = sum(each.block_number < event.block_number for each in self.task.settled)
        last = sum(each.block_number <= event.block_number for each in self.task.settled)
        due, rounds = 0, self.claimed_rounds[who]
        while rounds < sure or (due != reward and rounds < last):
            if index in set_bits(self.task.settled[rounds].accepted):
                due += self._share(rounds, rows)
            rounds += 1
        require(due == reward, f"{who} was paid {reward} where its rows earned {due}")
        self.claimed_rounds[who] = rounds
        self.paid[who] += reward
        owed = self.task.params.enrol_bond if self.ended and who in self.bonded else 0
        require(bond in (0, owed), f"{who} was returned a bond of {bond} where {owed} was due")
        if bond:
            self.bonded.remove(who)
            self.returned += 1
        self._move(event, self.address, who, reward + bond)

    def _share(self, place: int, rows: int) -> int:
        """A whole number of units for each row."""
        return self.task.params.reward_per_round // self.task.settled[place].total_rows * rows

    def _move(self, event: Event, source: str, target: str, value: int) -> None:
        if value:
            self.moves.append((event.tx_hash, source, target, value))

    def check_escrow(self) -> None:
        """What was escrowed is paid, refunded or still held."""
        escrowed = self.task.params.reward_per_round * self.task.params.rounds
        paid = sum(self.paid.values())
        require(
            paid + self.refunded + self.task.escrow == escrowed,
            f"the task escrowed {escrowed}: paid {paid}, refunded {self.refunded}, held {self.task.escrow}",
        )


def _check_transfers(market: Marketplace, federation: Federation, expected: Sequence[Move]) -> None:
    """The token's own events: what the task's events say moved, moved; and no payment of this task is silent."""
    chain, address = market.chain, federation.address
    moved: Counter[Move] = Counter()
    for end in ("from", "to"):
        for event in chain.events(market.token, "Transfer", argument_filters={end: address}):
            a = event.args
            if end == "from" and a["to"] == address:
                continue
            moved[(event.tx_hash, a["from"], a["to"], int(a["value"]))] += 1
    for move, count in Counter(expected).items():
        tx_hash, source, target, value = move
        require(moved[move] >= count, f"transaction {tx_hash} did not move {value} from {source} to {target}")
    spent = {event.tx_hash for name in ("Claimed", "Refunded", "UpdateRejected")
             for event in chain.events(federation.contract, name)}  # fmt: skip
    for tx_hash, source, target, value in moved:
        silent = source == address and tx_hash not in spent
        require(not silent, f"transaction {tx_hash} moved {value} from the federation to {target} for no reason")
