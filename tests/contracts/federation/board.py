"""One task at each stage, made once: a test changes them at will and they are put back after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger import Account
from fedproof.ledger.abi import encode_call
from fedproof.ledger.federation import Aggregate, Stage, TaskInfo, Update
from tests.contracts.federation.arena import Arena, Player
from tests.contracts.support import rejects, to_bytes

LONG = 400
"""Blocks of a window that no test waits for by accident."""
SHORT = 5


@dataclass(frozen=True)
class Board:
    """The tasks have three participants, the first players. In the open round the first has submitted, in the closed
    ones all have, and in the closed round that still takes rejections the second update is invalid."""

    tasks: dict[Stage, TaskInfo]
    updates: dict[Stage, list[Update]]
    """Of all three, whether submitted or only proven."""
    aggregate: Aggregate
    """Of the frozen round, for the first worker."""

    @property
    def enrolling(self) -> TaskInfo:
        return self.tasks[Stage.ENROLLING]

    @property
    def submitting(self) -> TaskInfo:
        return self.tasks[Stage.SUBMITTING]

    @property
    def rejecting(self) -> TaskInfo:
        return self.tasks[Stage.REJECTING]

    @property
    def frozen(self) -> TaskInfo:
        return self.tasks[Stage.FROZEN]

    @property
    def failed(self) -> TaskInfo:
        return self.tasks[Stage.FAILED]

    @property
    def ended(self) -> TaskInfo:
        return self.tasks[Stage.ENDED]

    @property
    def pending(self) -> Update:
        """An honest update that the second player has proven and not submitted."""
        return self.updates[Stage.SUBMITTING][1]


def build(arena: Arena) -> Board:
    """The stages that come with time first, so that no other is late for its own."""
    tasks: dict[Stage, TaskInfo] = {}
    updates: dict[Stage, list[Update]] = {}
    windows = {"submit_blocks": LONG, "freeze_blocks": LONG, "settle_blocks": LONG}
    late = windows | {"submit_blocks": 2 * SHORT, "freeze_blocks": SHORT}

    failed = arena.running(**late)
    updates[Stage.FAILED] = arena.prove_all(failed)
    arena.submit(failed, arena.players[0], updates[Stage.FAILED][0])

    ended = arena.running(**late, rounds=1)
    updates[Stage.ENDED] = arena.prove_all(ended)
    for player, update in zip(arena.players, updates[Stage.ENDED], strict=False):
        arena.submit(ended, player, update)
    arena.freeze(ended)
    arena.finalize(arena.now(ended))

    frozen = arena.running(**late)
    updates[Stage.FROZEN] = arena.prove_all(frozen)
    for player, update in zip(arena.players, updates[Stage.FROZEN], strict=False):
        arena.submit(frozen, player, update)
    arena.freeze(frozen)
    arena.chain.mine(2 * SHORT)

    for stage, task in ((Stage.FAILED, failed), (Stage.ENDED, ended), (Stage.FROZEN, frozen)):
        tasks[stage] = arena.now(task)

    tasks[Stage.ENROLLING] = arena.open_task(**windows)
    for player in arena.players[:3]:
        arena.enrol(tasks[Stage.ENROLLING], player)

    task = arena.running(**windows)
    updates[Stage.SUBMITTING] = arena.prove_all(task)
    arena.submit(task, arena.players[0], updates[Stage.SUBMITTING][0])
    tasks[Stage.SUBMITTING] = arena.now(task)

    task = arena.running(**windows)
    updates[Stage.REJECTING] = arena.prove_all(task)
    updates[Stage.REJECTING][1] = wrong(updates[Stage.REJECTING][1])
    for player, update in zip(arena.players, updates[Stage.REJECTING], strict=False):
        arena.submit(task, player, update)
    tasks[Stage.REJECTING] = arena.now(task)

    for stage, task in tasks.items():
        assert arena.federation.stage(task.task_id) == stage
    aggregate = arena.aggregate(tasks[Stage.FROZEN], arena.workers[0])
    return Board(tasks, updates, aggregate)


def wrong(update: Update) -> Update:
    """The update with a proof that does not hold: another C."""
    return with_proof(update, c=_core.g1_add(update.proof.proof[192:], _core.g1_generator()))


def with_proof(
    update: Update, a: bytes | None = None, b: list[int] | None = None, c: bytes | None = None, **changes: Any
) -> Update:
    """The update with another A, B, C, D, Q or y."""
    old = update.proof.proof
    proof = (a or old[:64]) + (to_bytes(b) if b else old[64:192]) + (c or old[192:])
    return replace(update, proof=replace(update.proof, **({"proof": proof} | changes)))


def refuses(arena: Arena, call: ContractFunction, sender: Account, error: str, *arguments: object) -> None:
    """The call would be refused in the present state, with this custom error."""
    with rejects(error, *arguments):
        arena.chain.call(call, sender=sender)


def refuses_raw(arena: Arena, data: bytes, sender: Account, error: str, *arguments: object) -> None:
    """The same for calldata."""
    with rejects(error, *arguments):
        arena.chain.call_raw(arena.federation.address, data, sender=sender)


def calldata(call: ContractFunction, changes: dict[int, int] | None = None) -> bytes:
    """The encoded call, with some words of its arguments replaced."""
    data = bytearray(encode_call(call))
    for word, value in (changes or {}).items():
        data[4 + 32 * word : 36 + 32 * word] = value.to_bytes(32, "big")
    return bytes(data)


def player_of(arena: Arena, update: Update) -> Player:
    return next(player for player in arena.players if player.account.address == update.participant)


def members(size: int, first: int = 1) -> list[tuple[str, bytes]]:
    """A committee of nobody in particular."""
    return [(f"0x{k:040x}", bytes([k]) * 32) for k in range(first, first + size)]


def is_refused(arena: Arena, task: TaskInfo, updates: list[Update], aggregate: Aggregate) -> None:
    """The round's proofs do not hold."""
    call = arena.federation.finalize_round_call(task, updates, aggregate)
    refuses(arena, call, arena.workers[0], "RoundDoesNotVerify")


def play(arena: Arena, task: TaskInfo, updates: list[Update]) -> TaskInfo:
    """The updates are submitted, and the round is frozen."""
    for player, update in zip(arena.players, updates, strict=False):
        arena.submit(task, player, update)
    arena.freeze(task)
    arena.chain.mine()
    return arena.now(task)


def held(arena: Arena) -> int:
    """What the federation keeps for all tasks: their escrows, and every bond that is in place."""
    functions, total = arena.federation.contract.functions, 0
    for task_id in range(1, arena.federation.tasks() + 1):
        view = arena.chain.call(functions.taskOf(task_id))
        members = [
            arena.chain.call(functions.memberOf(task_id, each.participant))
            for each in arena.federation.enrolments(task_id)
        ]
        total += view[20] + view[19] * sum(bonded for *_, bonded in members)
    return total
