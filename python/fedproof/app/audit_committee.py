"""The auditor's checks of what a committee did: updates that its workers' word removed, as the events tell it."""

from __future__ import annotations

from fedproof.app.audit_base import require
from fedproof.ledger.committee import Committee
from fedproof.ledger.committee_types import Kind
from fedproof.ledger.events import Event
from fedproof.ledger.federation import Federation, TaskInfo, Update


def check_removal(federation: Federation, task: TaskInfo, number: int, update: Update, event: Event) -> None:
    """More than t workers of the task spoke against exactly this update, or it came in again unchanged.

    Whether they were right is nothing that public data show: they speak of what was sealed to them.

    Args:
        event: `UpdateRejected` by the committee's contract.
    """
    committee = federation.committee
    where = f"round {number}, update of {update.participant}"
    digest = federation.update_digest(task.task_id, number, update)
    removals = committee.removals(task.task_id, round=number, participant=update.participant)
    mine = [each for each in removals if each.tx_hash == event.tx_hash]
    require(
        [each.digest for each in mine] == [digest],
        f"{where}: the committee's contract removed it, and says that it removed another",
    )
    again = any(each.digest == digest and each.block_number < event.block_number for each in removals)
    require(
        again or _voices(committee, task, digest, event.block_number) > task.threshold,
        f"{where}: it was removed on the word of fewer than {task.threshold + 1} workers",
    )


def _voices(committee: Committee, task: TaskInfo, digest: bytes, block: int) -> int:
    """The most workers who said one thing of an update: one complaint, or each that its share does not open."""
    workers = {worker.address for worker in task.workers}
    complaints = [
        each for each in committee.complaints(task.task_id) if each.digest == digest and each.block_number <= block
    ]
    counts = [len(workers & {each.worker for each in complaints if each.kind == Kind.OPEN})]
    for each in complaints:
        attested = committee.attestations(task.task_id, complaint=each.complaint)
        said = {each.worker, *(one.worker for one in attested if one.block_number <= block)}
        counts.append(len(workers & said) if each.worker in workers else 0)
    return max(counts)
