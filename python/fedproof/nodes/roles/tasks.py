"""What all roles do about tasks: find those that are theirs, and end those that stand still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fedproof.ledger import Account
from fedproof.ledger.committee import Complaint
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.state import StateFile

PATIENCE: Final = 20
"""So many times `settle_blocks` a task may enrol before a node that is bound to it ends it."""


class Tasks:
    """The tasks of a federation that may still need something of this node."""

    def __init__(self, seen: Federation) -> None:
        self._seen = seen
        self._done: set[int] = set()

    def open(self) -> Iterator[int]:
        """Their numbers."""
        for task_id in range(1, self._seen.tasks() + 1):
            if task_id not in self._done:
                yield task_id

    def done(self, task_id: int) -> None:
        """Nothing will be due in a task any more."""
        self._done.add(task_id)

    def undone(self) -> None:
        """The chain took blocks back: an end may have been in them."""
        self._done.clear()


class Endings:
    """Ends what stands still: anyone may, once `settle_blocks` are over, and somebody must, or bonds stay locked.

    Args:
        rank: nodes with different ranks try one after another, so that not all of them pay for the same.
    """

    def __init__(self, federation: Federation, account: Account, state: StateFile, acts: Acts, slot: int) -> None:
        self._federation = federation
        self._account = account
        self._state = state
        self._acts = acts
        self._slot = slot

    def attend(self, task: TaskInfo, rank: int) -> None:
        """Settle a frozen round that nobody finalized, or close a task whose round failed and was not retried."""
        if task.stage == Stage.FROZEN:
            due = task.freeze_at + task.params.settle_blocks + rank * self._slot
            if self._acts.block < due:
                return self._acts.wake_at(due)
            self._acts.do(f"stalled/{task.task_id}/{task.round}", lambda: self._settle_stalled(task))
        elif task.stage in (Stage.FAILED, Stage.ENROLLING):
            idle = task.deadline + task.params.settle_blocks
            if task.stage == Stage.ENROLLING:
                idle = task.opened_block + PATIENCE * task.params.settle_blocks
            due = idle + rank * self._slot
            if self._acts.block < due:
                return self._acts.wake_at(due)
            self._acts.do(f"close/{task.task_id}/{task.round}", lambda: self._close(task))
        return None

    def _settle_stalled(self, task: TaskInfo) -> None:
        self._federation.settle_stalled(self._account, task.task_id)
        self._acts.diary.warning("round.stalled", task=task.task_id, round=task.round)

    def _close(self, task: TaskInfo) -> None:
        chain = self._federation.chain
        call = self._federation.close_task_call(task.task_id)
        name = f"close/{task.task_id}"
        send_once(chain, self._state, name, lambda: chain.prepare(call, self._account))
        forget(self._state, name)
        self._acts.diary.warning("task.closed", task=task.task_id, round=task.round)


def collect_bonds(
    federation: Federation,
    seen: Federation,
    task: TaskInfo,
    account: Account,
    acts: Acts,
    due: Callable[[Complaint], bool],
) -> bool:
    """Settle the complaints whose bond is due to this account, and withdraw its credit.

    Returns:
        Whether nothing is left to do.
    """
    committee, done = federation.committee, True
    for each in seen.committee.complaints(task.task_id):
        found = committee.complaint(each.complaint)
        if found is not None and not found.settled and due(found):
            done &= acts.do(
                f"settle/{each.complaint.hex()}",
                lambda e=each: committee.settle_complaint(account, e.complaint),  # type: ignore[misc]
            )
    if committee.credit(account.address):
        done &= acts.do(f"withdraw/{task.task_id}", lambda: committee.withdraw(account))
    return done
