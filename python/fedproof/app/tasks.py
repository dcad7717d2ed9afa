"""What a sponsor does with an open task: start its first round, close it, take back what no round earned."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from web3.contract.contract import ContractFunction

from fedproof.app.amounts import show_tokens
from fedproof.app.connection import Connection
from fedproof.app.gas import payable
from fedproof.app.telling import Teller
from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Account, Receipt
from fedproof.ledger.federation import Ending, Stage, TaskInfo
from fedproof.ledger.federation_types import point, set_bits
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.state import StateFile

POLL_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Started:
    """A task whose rounds run. `fresh`: by this call, and not by one before. `stage`: of its round, in a word."""

    task_id: int
    enrolled: int
    round: int
    deadline: int
    fresh: bool
    stage: str

    def line(self) -> str:
        """For people."""
        now = f"round {self.round} is closed, and its updates are checked or summed"
        if self.stage == Stage.SUBMITTING.name.lower():
            now = f"round {self.round} takes updates of {self.enrolled} participants until block {self.deadline}"
        if self.fresh:
            return f"task {self.task_id}: {now}"
        return f"task {self.task_id} is started already, and nothing was sent: {now}"

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "task": self.task_id,
            "enrolled": self.enrolled,
            "round": self.round,
            "deadline_block": self.deadline,
            "fresh": self.fresh,
            "stage": self.stage,
        }


@dataclass
class Closed:
    """A task that has ended, and the sponsor's money.

    Attributes:
        ending: completed, closed or stalled.
        done: what this call did, a line each; empty when all was done before.
        refunded: base units that went back to the sponsor. left: rewards that participants have not claimed.
    """

    task_id: int
    ending: str
    refunded: int
    left: int
    done: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "task": self.task_id,
            "ending": self.ending,
            "refunded": show_tokens(self.refunded),
            "unclaimed": show_tokens(self.left),
            "done": self.done,
        }


def start_task(
    network: Connection,
    account: Account,
    state: StateFile,
    task_id: int,
    teller: Teller,
    *,
    at: int | None = None,
    timeout: float = 0.0,
    pause: Callable[[float], None] = time.sleep,
) -> Started:
    """Close the enrolment and open round 1. A task that was started before is only looked at, also if it started by
    itself, as one does whose places are all taken.

    Args:
        at: wait for so many participants first. timeout: seconds to wait at most; 0 is without an end.

    Raises:
        InputError: no such task, not this account's, ended, or too few have enrolled.
        LedgerError: the participants did not come in time, or the chain refuses.
    """
    task = network.federation.task_info(task_id)
    _require_sponsor(task, account, "start")
    if at is not None and not task.min_updates <= at <= task.params.max_participants:
        raise InputError(
            f"--at {at}: task {task_id} takes {task.min_updates} to {task.params.max_participants} participants"
        )
    if task.stage == Stage.ENROLLING:
        enrolled = _wait_enrolled(network, task, at or 0, timeout, teller, pause)
        if enrolled < task.min_updates:
            raise InputError(
                f"task {task_id} has {enrolled} of the {task.min_updates} participants that it needs at least; "
                "wait for more: fedproof task watch"
            )
        task = network.federation.task_info(task_id)
        if task.stage != Stage.ENROLLING:
            return _started(task, False)
        call = network.federation.contract.functions.openRound(task_id)
        _send(network, account, state, f"start/{task_id}", call)
        return _started(network.federation.task_info(task_id), True)
    if task.stage == Stage.ENDED:
        raise InputError(f"task {task_id} was started before and has ended; open another one")
    return _started(task, False)


def close_task(network: Connection, account: Account, state: StateFile, task_id: int, teller: Teller) -> Closed:
    """End what can be ended, settle a stalled round, and refund the sponsor. What was done before is not done again.

    Anyone may close a task that stands still, and refund; the money goes to the sponsor.

    Raises:
        InputError: no such task.
        LedgerError: it cannot be closed yet; with the block from which it can.
    """
    task = network.federation.task_info(task_id)
    done: list[str] = []
    if task.stage != Stage.ENDED:
        done.append(_end(network, account, state, task, teller))
        task = network.federation.task_info(task_id)
    refunded = refund_of(network, task)
    if refunded is None:
        teller.doing("refunding the sponsor")
        call = network.federation.contract.functions.refund(task_id, point(task.model), task.settled_abi())
        receipt = _send(network, account, state, f"refund/{task_id}", call)
        refunded = int(receipt.event("Refunded").args["amount"])
        done.append(f"{show_tokens(refunded)} tokens went back to {task.sponsor}")
        task = network.federation.task_info(task_id)
    return Closed(task_id, ending_of(network, task), refunded, task.escrow, done)


def refund_of(network: Connection, task: TaskInfo) -> int | None:
    """What was paid back to the sponsor, in base units; None before."""
    federation = network.federation
    where = {"task": task.task_id}
    events = network.chain.events(federation.contract, "Refunded", task.opened_block, argument_filters=where)
    return int(events[-1].args["amount"]) if events else None


def ending_of(network: Connection, task: TaskInfo) -> str:
    """How a task ended, in a word; empty before."""
    federation = network.federation
    where = {"task": task.task_id}
    events = network.chain.events(federation.contract, "TaskEnded", task.opened_block, argument_filters=where)
    return Ending(events[-1].args["ending"]).name.lower() if events else ""


# -- inside --


def _require_sponsor(task: TaskInfo, account: Account, what: str) -> None:
    if task.sponsor != account.address:
        raise InputError(
            f"only its sponsor {task.sponsor} can {what} task {task.task_id}, and the keys are of {account.address}"
        )


def _started(task: TaskInfo, fresh: bool) -> Started:
    return Started(task.task_id, task.enrolled, task.round, task.deadline, fresh, task.stage.name.lower())


def _wait_enrolled(
    network: Connection, task: TaskInfo, at: int, timeout: float, teller: Teller, pause: Callable[[float], None]
) -> int:
    """How many have enrolled, once `at` have."""
    deadline = time.monotonic() + timeout if timeout else None
    enrolled, told = task.enrolled, -1
    while enrolled < at:
        if enrolled != told:
            teller.step(f"task {task.task_id}: {enrolled} of {at} participants enrolled")
            told = enrolled
        if deadline is not None and time.monotonic() >= deadline:
            raise LedgerError(
                f"task {task.task_id}: {enrolled} of {at} participants enrolled within {timeout:g} s; run it again to "
                "wait on, or start with a lower --at"
            )
        pause(POLL_SECONDS)
        now = network.federation.task_info(task.task_id)
        if now.stage != Stage.ENROLLING and now.round:  # the last place is taken, and that opened it
            return now.enrolled
        if now.stage != Stage.ENROLLING:
            raise InputError(f"task {task.task_id} does not enrol any more: see fedproof task status {task.task_id}")
        enrolled = now.enrolled
    return enrolled


def _end(network: Connection, account: Account, state: StateFile, task: TaskInfo, teller: Teller) -> str:
    """End a running task, or say from which block that can be; returns what was done."""
    contract, head = network.federation.contract, network.chain.block_number()
    settle = task.params.settle_blocks
    if task.stage == Stage.FROZEN:
        _require_block(task, head, task.freeze_at + settle, "its round waits for the committee's sum, and stalls")
        teller.doing("settling the stalled round")
        enrolments = network.federation.enrolments(task.task_id)
        present = [enrolments[place].participant for place in set_bits(task.accepted)]
        call = contract.functions.settleStalled(task.task_id, task.standing(), present)
        _send(network, account, state, f"stall/{task.task_id}", call)
        return f"round {task.round} was settled as stalled: its {len(present)} participants are paid, the model stays"
    if task.stage in (Stage.SUBMITTING, Stage.REJECTING) and task.accepted:
        count = len(set_bits(task.accepted))
        raise LedgerError(
            f"task {task.task_id} cannot be closed now: round {task.round} has {count} updates, which are paid when it "
            f"settles; if it never does, from about block {task.freeze_at + settle} on (it is {head})"
        )
    if task.sponsor != account.address:
        since = task.opened_block if task.stage == Stage.ENROLLING else task.deadline
        _require_block(task, head, since + settle, "only its sponsor can close it before, anyone else")
    teller.doing("closing the task")
    _send(network, account, state, f"close/{task.task_id}", contract.functions.closeTask(task.task_id))
    return f"the task was closed; {task.enrolled} enrolled participants get their bonds back with their claim"


def _require_block(task: TaskInfo, head: int, block: int, why: str) -> None:
    if head + 1 < block:  # what is sent now comes into the next block at the earliest
        raise LedgerError(f"task {task.task_id} cannot be closed yet: {why} from block {block} on (it is {head})")


def _send(network: Connection, account: Account, state: StateFile, name: str, call: ContractFunction) -> Receipt:
    """Send once, for this federation; what follows is on the chain, so that nothing stays saved."""
    chain = network.chain
    full = f"{name}/{chain.chain_id}/{network.federation.address}"
    receipt = send_once(chain, state, full, lambda: payable(chain, chain.prepare(call, account)))
    forget(state, full)
    return receipt
