"""Where a task stands, in words and figures, from the chain and, for the accuracy, from the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fedproof.app.amounts import show_tokens
from fedproof.app.connection import Connection
from fedproof.app.taskmodel import Scorer, read_description
from fedproof.app.tasks import ending_of, refund_of
from fedproof.app.training import model_text
from fedproof.errors import FedproofError
from fedproof.learning.clipping import STATEMENT as BOUNDED
from fedproof.learning.plans import statement_text
from fedproof.learning.scoring import Scores
from fedproof.ledger.federation import SettledRound, Stage, TaskInfo
from fedproof.ledger.federation_types import set_bits

STAGES: Final = {
    Stage.ENROLLING: "enrolling",
    Stage.SUBMITTING: "collecting updates",
    Stage.REJECTING: "closed, checking updates",
    Stage.FROZEN: "frozen, summing",
    Stage.FAILED: "too few updates",
    Stage.ENDED: "ended",
}


@dataclass(frozen=True)
class Quarrels:
    """What workers have said in a task."""

    complaints: int
    answers: int
    removed: int
    accusations: int
    slashed: tuple[str, ...]


@dataclass(frozen=True)
class TaskStatus:
    """A task at one block.

    Attributes:
        name: of its description; empty where that cannot be read.
        seconds_per_block: pace of the last blocks. bonded: workers whose bond is placed.
        ending: how it ended. refunded: base units that went back; None before.
        model: what is trained, in words. statement: what is proven of each update, in words; empty where the task is of
            another plan than this deployment.
        scores: of the newest settled model on the public test rows; None where `accuracy_problem` says why.
    """

    task: TaskInfo
    block: int
    seconds_per_block: float
    name: str
    bonded: int
    outputs: int
    quarrels: Quarrels
    ending: str
    refunded: int | None
    scores: Scores | None
    accuracy_problem: str
    model: str = ""
    statement: str = ""

    @property
    def accuracy(self) -> float | None:
        """Of a classifier, where its scores are known."""
        return self.scores.accuracy if self.scores else None

    @property
    def stage(self) -> str:
        """In plain words."""
        return STAGES[self.task.stage]

    @property
    def round_place(self) -> int:
        """Which of the task's rounds runs: retried ones do not count; of an ended task those that are done."""
        done = len(self.task.settled)
        return done if self.task.stage in (Stage.ENDED, Stage.ENROLLING) else done + 1

    def due(self) -> tuple[str, int] | None:
        """What the running round waits for, and its block; None where nothing is timed."""
        task = self.task
        if task.stage == Stage.SUBMITTING:
            return "updates are taken", task.deadline
        if task.stage == Stage.REJECTING:
            return "updates can be removed", task.freeze_at
        if task.stage == Stage.FROZEN:
            return "the committee may settle before it counts as stalled", task.freeze_at + task.params.settle_blocks
        return None

    def seconds_to(self, block: int) -> int:
        """About how many seconds are left to a block; 0 when it has passed."""
        return round(max(0, block - self.block) * self.seconds_per_block)

    def to_json(self) -> dict[str, Any]:
        """For scripts; amounts in tokens."""
        task, due = self.task, self.due()
        return {
            "task": task.task_id,
            "name": self.name,
            "sponsor": task.sponsor,
            "stage": self.stage,
            "ending": self.ending,
            "block": self.block,
            "seconds_per_block": round(self.seconds_per_block, 3),
            "round": task.round,
            "round_place": self.round_place,
            "rounds": task.params.rounds,
            "retries": task.retries,
            "deadline_block": task.deadline,
            "freeze_block": task.freeze_at,
            "due_block": due[1] if due else None,
            "due_seconds": self.seconds_to(due[1]) if due else None,
            "enrolled": task.enrolled,
            "participants": task.params.max_participants,
            "min_updates": task.min_updates,
            "workers": [worker.address for worker in task.workers],
            "workers_bonded": self.bonded,
            "threshold": task.threshold,
            "updates": len(set_bits(task.accepted)),
            "outputs": self.outputs,
            "settled": [_settled_json(each) for each in task.settled],
            "model": self.model,
            "statement": self.statement,
            "accuracy": self.accuracy,
            "scores": self.scores.to_json() if self.scores else None,
            "accuracy_problem": self.accuracy_problem,
            "reward_per_round": show_tokens(task.params.reward_per_round),
            "escrow": show_tokens(task.escrow),
            "refunded": None if self.refunded is None else show_tokens(self.refunded),
            "complaints": self.quarrels.complaints,
            "answers": self.quarrels.answers,
            "removed": self.quarrels.removed,
            "accusations": self.quarrels.accusations,
            "slashed": list(self.quarrels.slashed),
        }

    def lines(self) -> list[str]:
        """For people."""
        task, params = self.task, self.task.params
        what = f"{self.stage} ({self.ending})" if self.ending else self.stage
        lines = [f"task {task.task_id}{f' {self.name}' * bool(self.name)}: {what}"]
        if self.model:
            bounded = self.statement.startswith(BOUNDED)
            lines.append(f"  {'averages updates of' if bounded else 'trains'} a {self.model}")
        if self.statement:
            lines.append(f"  each update comes with a {self.statement}")
        lines.append(f"  sponsor {task.sponsor}, {show_tokens(task.escrow)} tokens in escrow" + self._refund_text())
        lines.append(
            f"  {task.enrolled} of {params.max_participants} participants enrolled, at least {task.min_updates} needed"
        )
        lines.append(f"  {len(task.workers)} workers, any {task.threshold} learn nothing{self._bond_text()}")
        lines += self._round_lines()
        lines += [f"  {_settled_line(each)}" for each in task.settled]
        if self.scores is not None:
            lines.append(f"  the newest model scores {self.scores.brief()} on the public test rows")
        elif self.accuracy_problem:
            lines.append(f"  accuracy unknown: {self.accuracy_problem}")
        lines += self._quarrel_lines()
        return lines

    def line(self) -> str:
        """All of it in one line, for a list."""
        task = self.task
        what = f"{self.stage} ({self.ending})" if self.ending else self.stage
        return (
            f"{task.task_id}  {self.name or '?'}: {what}, {len(task.settled)} of {task.params.rounds} rounds done, "
            f"{task.enrolled} enrolled"
        )

    def _refund_text(self) -> str:
        return "" if self.refunded is None else f", {show_tokens(self.refunded)} refunded"

    def _bond_text(self) -> str:
        if not self.task.params.worker_bond:
            return ""
        return f"; {self.bonded} of them have placed their bond of {show_tokens(self.task.params.worker_bond)}"

    def _round_lines(self) -> list[str]:
        task, due = self.task, self.due()
        if task.stage in (Stage.ENROLLING, Stage.ENDED):
            return []
        retried = f", {task.retries} retried" if task.retries else ""
        count = f"{len(set_bits(task.accepted))} of {task.enrolled} updates in"
        lines = [f"  round {task.round} ({self.round_place} of {task.params.rounds}{retried}): {count}"]
        if task.stage == Stage.FROZEN:
            lines.append(f"    {self.outputs} of {len(task.workers)} workers have posted their sum")
        if due is not None:
            left = due[1] - self.block
            lines.append(f"    {due[0]} until block {due[1]}: {left} more, about {self.seconds_to(due[1])} s")
        if task.stage == Stage.FAILED:
            lines.append(f"    {task.min_updates} were needed: its sponsor or a worker retries it, or it is closed")
        return lines

    def _quarrel_lines(self) -> list[str]:
        q = self.quarrels
        lines = []
        if q.complaints:
            lines.append(f"  {q.complaints} complaints, {q.answers} answers, {q.removed} updates removed")
        if q.accusations:
            lines.append(f"  {q.accusations} accusations; slashed: {', '.join(q.slashed) or 'nobody'}")
        return lines


def _is_ours(network: Connection, task: TaskInfo) -> bool:
    """Whether a task is of the deployment's plan: the chain binds its digest."""
    return task.params.spec_digest == network.document.plan.digest()


def _model(network: Connection, task: TaskInfo) -> str:
    """What a task trains."""
    return model_text(network.document.plan) if _is_ours(network, task) else "model that is not this deployment's"


def statement_of(network: Connection, task: TaskInfo) -> str:
    """What a task asks each update for, in words; empty where its plan is not this deployment's."""
    return statement_text(network.document.plan) if _is_ours(network, task) else ""


def task_status(network: Connection, task_id: int, *, score: bool = True) -> TaskStatus:
    """Where a task stands.

    Args:
        score: whether to load the newest model for its scores.

    Raises:
        InputError: there is no such task.
    """
    federation = network.federation
    task, committee = federation.task_info(task_id), federation.committee
    scorer = Scorer(network, task)
    newest = next((each for each in reversed(task.settled) if each.new_model is not None), None)
    found = scorer.score(newest) if score and newest is not None else None
    running = task.stage == Stage.FROZEN
    return TaskStatus(
        task=task,
        block=network.chain.block_number(),
        seconds_per_block=network.seconds_per_block(),
        name=_name(network, task),
        bonded=committee.bonded(task_id),
        outputs=len({each.worker for each in committee.outputs(task_id, round=task.round)}) if running else 0,
        quarrels=_quarrels(network, task),
        ending=ending_of(network, task),
        refunded=refund_of(network, task),
        scores=found,
        accuracy_problem=scorer.problem,
        model=_model(network, task),
        statement=statement_of(network, task),
    )


def all_tasks(network: Connection) -> list[TaskStatus]:
    """Every task of the federation, without their scores."""
    return [task_status(network, number, score=False) for number in range(1, network.federation.tasks() + 1)]


def _name(network: Connection, task: TaskInfo) -> str:
    try:
        return read_description(network, task).name
    except FedproofError:
        return ""


def _quarrels(network: Connection, task: TaskInfo) -> Quarrels:
    committee = network.federation.committee
    where = {"task": task.task_id}
    slashed = network.chain.events(committee.contract, "Slashed", task.opened_block, argument_filters=where)
    return Quarrels(
        complaints=len(committee.complaints(task.task_id)),
        answers=len(committee.answers(task.task_id)),
        removed=len(committee.removals(task.task_id)),
        accusations=len(committee.accused(task.task_id)),
        slashed=tuple(event.args["worker"] for event in slashed),
    )


def _settled_json(settled: SettledRound) -> dict[str, Any]:
    return {
        "round": settled.round,
        "leader": settled.leader,
        "updates": len(set_bits(settled.accepted)),
        "rows": settled.total_rows,
        "block": settled.block_number,
        "model": None if settled.content_id is None else settled.content_id.hex(),
    }


def _settled_line(settled: SettledRound) -> str:
    updates = f"{len(set_bits(settled.accepted))} updates over {settled.total_rows} rows"
    if settled.leader is None:
        return f"round {settled.round}: {updates}, stalled: paid, and the model stayed"
    return f"round {settled.round}: {updates}, settled by {settled.leader} in block {settled.block_number}"
