"""The worker as a role: bonds, checks, complains, releases outputs, leads, retries, and takes its bond back.

All decisions are made on the chain as it was at a depth (`seen`), all acts go to the chain as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from web3.contract import Contract

from fedproof.errors import SharingError, StateError
from fedproof.ledger.committee import Complaint, Stake
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.nodes.escrow_worker import EscrowWorker
from fedproof.nodes.outbox import forget, forget_under, send_once
from fedproof.nodes.patience import LONGEST_PAUSE
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.inspection import Inspection
from fedproof.nodes.roles.leading import Leading
from fedproof.nodes.roles.participant import READ_PAUSE, bad_windows
from fedproof.nodes.roles.tasks import Endings, Tasks, collect_bonds
from fedproof.nodes.worker import Worker

MOST_RETRIES: Final = 8
"""Of a task, beyond one for each round that was finished: each costs a worker gas."""


@dataclass(frozen=True)
class WorkerLimits:
    """What a worker lets itself be bound to. t + 1 others can take its bond, so that nobody else's word may place it.

    Attributes:
        max_bond: base units of the token that it stakes at once: its bond, and each complaint.
        sponsors: addresses whose tasks it works in; None for any.
        depth: blocks below the head at which the node looks: windows must leave it time.
    """

    max_bond: int = 0
    sponsors: frozenset[str] | None = None
    depth: int = 0

    def refuse(self, task: TaskInfo) -> str | None:
        """Why the node keeps out of a task, all reasons together; None if it need not."""
        return "; ".join(self._reasons(task)) or None

    def _reasons(self, task: TaskInfo) -> Iterator[str]:
        yield from bad_windows(task, self.depth)
        if self.sponsors is not None and task.sponsor not in self.sponsors:
            yield f"{task.sponsor} is none of the sponsors that this node works for"
        most = max(task.params.worker_bond, task.params.enrol_bond)
        if most > self.max_bond:
            yield f"its bonds, of workers and of complaints, are up to {most} base units, more than {self.max_bond}"


class WorkerRole:
    """One worker's account in all its tasks.

    Args:
        worker: acts on the chain as it is. seen: the federation at a depth, to decide by.
        slot: blocks that a leader has before the next one begins.
        lead: whether it adds up, proves and settles.
        keeper: releases its shares of tier keys. kept: of these datasets.
    """

    def __init__(
        self,
        worker: Worker,
        seen: Federation,
        acts: Acts,
        limits: WorkerLimits,
        *,
        slot: int,
        lead: bool = True,
        keeper: EscrowWorker | None = None,
        kept: Collection[int] = (),
    ) -> None:
        self._worker = worker
        self._seen = seen
        self._acts = acts
        self._limits = limits
        self._slot = slot
        self._tasks = Tasks(seen)
        self._inspection = Inspection(worker, seen, acts)
        self._leading = Leading(worker, seen, acts, slot, lead)
        self._endings = Endings(worker.federation, worker.account, worker.state, acts, slot)
        self._rounds: dict[int, int] = {}
        self._models: dict[int, bytes] = {}
        self._keeper = keeper
        self._kept = kept

    @property
    def contracts(self) -> Sequence[Contract]:
        """Whose events wake it."""
        found = [self._seen.contract, self._seen.committee.contract]
        if self._keeper is not None:
            found += [self._keeper.kit.market.registry, self._keeper.kit.market.escrow.contract]
        return found

    def undone(self, blocks: int) -> None:  # noqa: ARG002 - what was sent is in the outbox
        """The chain took blocks back."""
        self._tasks.undone()
        self._models.clear()
        self._inspection.undone()
        self._leading.undone()
        self._seen.forget()
        self._worker.federation.forget()

    def step(self, block: int) -> int | None:
        """Do what is due."""
        self._acts.begin(block, lambda: self._worker.federation.chain.block_number())
        if self._keeper is not None:
            self._acts.do("keys", self._release_keys)
        for task_id in self._tasks.open():
            longest = READ_PAUSE if task_id in self._models else LONGEST_PAUSE
            self._acts.do(f"read/{task_id}", lambda task_id=task_id: self._attend(task_id), longest=longest)  # type: ignore[misc]
        return self._acts.wake

    def _release_keys(self) -> None:
        assert self._keeper is not None
        out = self._keeper.release_shares(self._kept)
        for each in out.released:
            self._acts.diary.info("key_share.released", dataset=each.dataset_id, grantee=each.grantee, tier=each.tier)
        if out.refused:
            raise SharingError("; ".join(out.refused))

    def _attend(self, task_id: int) -> None:
        task = self._seen.task_info(task_id)
        if self._worker.account.address not in {each.address for each in task.workers}:
            return self._tasks.done(task_id)
        rival = self._rival(task)
        reason = self._limits.refuse(task) or self._other_key(task) or rival
        if reason is not None and not self._is_bound(task):
            self._tasks.done(task_id)  # its parameters never change, and sums that were served stay so
            return self._acts.tell_once("task.declined", task=task_id, reason=reason)
        self._note_rounds(task)
        self._models[task_id] = task.model
        match task.stage:
            case Stage.ENROLLING:
                self._bond(task)
                if self._is_bound(task):
                    self._endings.attend(task, self._worker.index_in(task))
            case Stage.SUBMITTING:
                self._acts.do(f"allow/{task_id}/{task.round}", lambda: self._allow_complaints(task))
                self._inspection.look(task)
                self._leading.guard_model(task)
                self._acts.wake_at(task.deadline)
            case Stage.REJECTING:
                self._inspection.act(task, self._inspection.look(task))
            case Stage.FROZEN:
                updates = self._inspection.look(task)
                shares = self._inspection.answered(task, updates)
                if rival is not None:
                    self._acts.tell_once("output.withheld", task=task_id, round=task.round, reason=rival)
                self._leading.frozen(task, [update for _, update in updates], shares, release=rival is None)
                self._endings.attend(task, self._leading.turn(task, task.round))
            case Stage.FAILED:
                self._retry(task)
            case Stage.ENDED:
                self._models.pop(task_id, None)
                self._finish(task)
        if task.stage != Stage.ENDED:
            self._leading.settled(task)
        return None

    def _other_key(self, task: TaskInfo) -> str | None:
        """Anybody can open tasks that name this worker with a key that is not its own, or a class of other labels."""
        try:
            self._worker.index_in(task)
            self._worker.check_class(task)
        except StateError as error:
            return str(error)
        return None

    def _rival(self, task: TaskInfo) -> str | None:
        """Why a task may not have a sum over its present model: an earlier one has or awaits one over the same.

        Only one is served of each model, and anybody may open a task over another's: the first to come is served, or
        whoever comes later could keep the first from its round.
        """
        why = "is over the same model, and a second sum over it could show an update"
        for other, model in sorted(self._models.items()):
            if other < task.task_id and model == task.model:
                return f"task {other} {why}"
        served = self._worker.state.get("served", {}).get(task.model.hex())
        if served is not None and served[0] != task.task_id:
            return f"task {served[0]} {why}"
        return None

    def _note_rounds(self, task: TaskInfo) -> None:
        """Count rounds as they end."""
        before = self._rounds.get(task.task_id)
        ended = len(task.settled)
        if before is not None:
            for each in task.settled[before:]:
                self._acts.diary.round_ended(
                    "stalled" if each.leader is None else "finalized", task.task_id, each.round
                )
        self._rounds[task.task_id] = ended

    # -- before and after rounds --

    def _is_bound(self, task: TaskInfo) -> bool:
        """Whether this worker's bond is in a task already, as when its limits were changed since."""
        return self._seen.committee.stake(task.task_id, self._worker.account.address) == Stake.BONDED

    def _bond(self, task: TaskInfo) -> None:
        me = self._worker.account.address
        if not task.params.worker_bond or self._seen.committee.stake(task.task_id, me) != Stake.NONE:
            return forget(self._worker.state, f"bond/{task.task_id}")
        self._acts.do(f"bond/{task.task_id}", lambda: self._place_bond(task))
        return None

    def _place_bond(self, task: TaskInfo) -> None:
        federation, account, name = self._worker.federation, self._worker.account, f"bond/{task.task_id}"
        # with what complaints will take: no transaction for that has to come first in their short windows
        federation.committee.allow(account, task.params.worker_bond + federation.committee.complaints_bond(task))
        call = federation.committee.bond_call(task.task_id, task.terms)
        send_once(federation.chain, self._worker.state, name, lambda: federation.chain.prepare(call, account))
        self._acts.diary.info("bond.placed", task=task.task_id)

    def _allow_complaints(self, task: TaskInfo) -> None:
        """Let the contract take the bonds of complaints before any is due, as where the task has no bond of workers."""
        committee = self._worker.federation.committee
        committee.allow(self._worker.account, committee.complaints_bond(task))

    def _retry(self, task: TaskInfo) -> None:
        """Open a failed round again while enough masks are left for the task to end."""
        wanted = task.params.rounds - len(task.settled)
        left = task.params.mask_count - 1 - task.round
        # of rounds that were done, not of those that the sponsor wants: those cost it nothing
        if left < wanted or task.retries >= len(task.settled) + MOST_RETRIES:
            self._acts.tell_once("task.given_up", task=task.task_id, round=task.round, retries=task.retries)
            return self._endings.attend(task, self._leading.turn(task, task.round))
        due = task.deadline + self._leading.turn(task, task.round) * self._slot
        if self._acts.block < due:
            return self._acts.wake_at(due)
        self._acts.do(f"retry/{task.task_id}/{task.round}", lambda: self._send_retry(task))
        return None

    def _send_retry(self, task: TaskInfo) -> None:
        federation, account = self._worker.federation, self._worker.account
        name = f"retry/{task.task_id}/{task.round}"
        if federation.task_info(task.task_id).round != task.round:
            raise StateError(f"round {task.round} of task {task.task_id} is retried already")
        call = federation.retry_round_call(task.task_id)
        send_once(federation.chain, self._worker.state, name, lambda: federation.chain.prepare(call, account))
        self._acts.diary.warning("round.retried", task=task.task_id, round=task.round)

    def _finish(self, task: TaskInfo) -> None:
        """Guard the last model, accuse while there is time, and take bonds back."""
        self._leading.guard_model(task)
        self._leading.settled(task)
        over = task.accusable_until
        federation, account = self._worker.federation, self._worker.account
        settled = {each.round for each in task.settled}

        def due(found: Complaint) -> bool:
            return found.worker == account.address and (found.removed or found.round not in settled)

        done = collect_bonds(federation, self._seen, task, account, self._acts, due)
        if self._acts.block < over:
            return self._acts.wake_at(over)
        if federation.committee.stake(task.task_id, account.address) == Stake.BONDED:
            done &= self._acts.do(
                f"release/{task.task_id}", lambda: federation.committee.release_bond(account, task.task_id)
            )
        if done and self._seen.committee.stake(task.task_id, account.address) != Stake.BONDED:
            self._acts.diary.info("task.done", task=task.task_id)
            for kind in ("finalize", "part", "retry", "announce"):
                forget_under(self._worker.state, f"{kind}/{task.task_id}/")
            forget(self._worker.state, f"close/{task.task_id}")
            self._tasks.done(task.task_id)
            self._inspection.drop(task.task_id)
        elif done:
            self._acts.wake_at(self._acts.block + 1)
        return None
