"""The participant as a role: enrols in tasks that keep its limits, trains in every round, answers complaints, claims.

All decisions are made on the chain as it was at a depth (`seen`), all acts go to the chain as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from web3.contract import Contract

from fedproof import _core
from fedproof.errors import FedproofError, SealingError, StateError, StorageError
from fedproof.learning.local import Trainer
from fedproof.ledger import Account, SignedTransaction
from fedproof.ledger.committee import Complained, Kind
from fedproof.ledger.federation import Enrolment, Federation, Stage, TaskInfo
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.holder import OpenedDataset
from fedproof.nodes.models import current_model, described
from fedproof.nodes.outbox import forget, forget_under, send_once
from fedproof.nodes.params import TIER_TRAINING, Deployment
from fedproof.nodes.participant import Participant
from fedproof.nodes.patience import LONGEST_PAUSE
from fedproof.nodes.ready import ReadyUpdates
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.tasks import Endings, Tasks, collect_bonds
from fedproof.nodes.sent import SentShares
from fedproof.nodes.state import StateFile
from fedproof.nodes.words import Word, say
from fedproof.sealing import check_public_key


@dataclass(frozen=True)
class Limits:
    """What a participant takes part in. None: any.

    Attributes:
        datasets: ids of its datasets.
        tasks: ids of tasks. None: one task and no other. Two tasks from starts that are close, with other members, show
            updates by the difference of their sums, and how close is close nobody can say.
        max_rounds: of a task. min_committee, min_updates: the least that a task may ask for.
        max_bond: base units of the token that it stakes in one task.
        workers: address and HPKE key of workers; all of a task must be among them.
        sponsors: addresses whose tasks it takes part in. min_threshold: the least t of a task.
        depth: blocks below the head at which the node looks: windows must leave it time.
    """

    datasets: frozenset[int] | None = None
    tasks: frozenset[int] | None = None
    max_rounds: int = 100
    min_committee: int = 3
    min_updates: int = 2
    max_bond: int = 0
    workers: frozenset[tuple[str, bytes]] | None = None
    sponsors: frozenset[str] | None = None
    min_threshold: int = 1
    depth: int = 0

    def refuse(self, task: TaskInfo) -> str | None:
        """Why the node keeps out of a task, all reasons together; None if it need not."""
        return "; ".join(self._reasons(task)) or None

    def _reasons(self, task: TaskInfo) -> Iterator[str]:
        params, members = task.params, {(each.address, each.hpke_key) for each in task.workers}
        if self.tasks is not None and task.task_id not in self.tasks:
            yield "it is none of the tasks that this node takes part in"
        if params.rounds > self.max_rounds:
            yield f"it has {params.rounds} rounds, more than {self.max_rounds}"
        if len(members) < self.min_committee:
            yield f"its committee has {len(members)} workers, fewer than {self.min_committee}"
        if len({key for _, key in members}) < len(task.workers):
            yield "two of its workers have one HPKE key: one person would read two shares"
        for each in task.workers:
            try:
                check_public_key(each.hpke_key)
            except SealingError:
                yield f"the HPKE key of its worker {each.address} is none: nothing can be sealed to it"
        if params.threshold < self.min_threshold:
            yield f"{params.threshold + 1} of its workers read updates together, fewer than {self.min_threshold + 1}"
        if self.sponsors is not None and task.sponsor not in self.sponsors:
            yield f"{task.sponsor} is none of the sponsors that this node works for"
        yield from bad_windows(task, self.depth)
        if params.min_updates < self.min_updates:
            yield f"it may sum {params.min_updates} updates, fewer than {self.min_updates}"
        if params.enrol_bond > self.max_bond:
            yield f"its bond is {params.enrol_bond} base units, more than {self.max_bond}"
        if self.workers is not None and not members <= self.workers:
            stranger = min(members - self.workers)[0]
            yield f"{stranger} is none of the workers that this node trusts, or has another HPKE key"


READ_PAUSE: Final = 2
"""Blocks between two looks at a task that this node is bound to, however often one fails."""
MOST_BLOCKS: Final = 100_000
"""Of one window: two weeks at 12 s a block. A task that nobody ends holds bonds for `PATIENCE` times as long."""


def bad_windows(task: TaskInfo, depth: int) -> Iterator[str]:
    """Why a task leaves no time to a node that looks so many blocks below the head, or holds its bond for too long.

    Each fifth of the checks holds a complaint or an answer: seen at depth, and in a block before the next fifth.
    """
    if task.params.freeze_blocks < 5 * (depth + 2):
        least = 5 * (depth + 2)
        yield f"its checks last {task.params.freeze_blocks} blocks; with {depth} confirmations {least} are due"
    if min(task.params.submit_blocks, task.params.settle_blocks) < depth + 3:
        yield f"its windows are shorter than {depth + 3} blocks, which {depth} confirmations take"
    longest = max(task.params.submit_blocks, task.params.freeze_blocks, task.params.settle_blocks)
    if longest > MOST_BLOCKS:
        yield f"it has a window of {longest} blocks, more than {MOST_BLOCKS}: bonds could be held so long"


class Records(Protocol):
    """Where a participant has its records from."""

    def open(self, dataset_id: int, version: int) -> OpenedDataset:
        """The records of a version of a dataset that was granted.

        Raises:
            StateError: the key has not come yet. SealingError: it is of no use. StorageError: a blob is missing.
        """


class ParticipantRole:
    """One participant's account in all its tasks.

    Args:
        federation: to send to. seen, market: the same contracts at a depth, to decide by.
        trainer: of tasks that ask for bounded updates, as `Participant` takes it.
    """

    def __init__(
        self,
        deployment: Deployment,
        federation: Federation,
        seen: Federation,
        market: Marketplace,
        account: Account,
        state: StateFile,
        records: Records,
        limits: Limits,
        acts: Acts,
        *,
        slot: int,
        trainer: Trainer | None = None,
    ) -> None:
        self._trainer = trainer
        self._deployment = deployment
        self._federation = federation
        self._seen = seen
        self._market = market
        self._account = account
        self._state = state
        self._records = records
        self._limits = limits
        self._acts = acts
        self._tasks = Tasks(seen)
        self._endings = Endings(federation, account, state, acts, slot)
        self._slot = slot
        self._nodes: dict[int, Participant] = {}

    @property
    def contracts(self) -> Sequence[Contract]:
        """Whose events wake it."""
        return [self._seen.contract, self._seen.committee.contract, self._market.registry]

    def undone(self, blocks: int) -> None:  # noqa: ARG002 - what was sent is in the outbox
        """The chain took blocks back."""
        self._tasks.undone()
        self._seen.forget()
        self._federation.forget()

    def step(self, block: int) -> int | None:
        """Do what is due."""
        self._acts.begin(block, lambda: self._federation.chain.block_number())
        for task_id in self._tasks.open():
            # a bond may hang on what is seen; strangers' tasks, of which there may be many, wait as long as others
            longest = READ_PAUSE if str(task_id) in self._state.get("enrolments", {}) else LONGEST_PAUSE
            self._acts.do(f"read/{task_id}", lambda task_id=task_id: self._attend(task_id), longest=longest)  # type: ignore[misc]
        return self._acts.wake

    # -- a task --

    def _attend(self, task_id: int) -> None:
        task = self._seen.task_info(task_id)
        mine = self._enrolment(task)
        if mine is None:
            if task.stage == Stage.ENROLLING:
                self._consider(task)
            else:
                forget_under(self._state, f"enrol/{task_id}/")  # too late: the contract takes none any more
                self._tasks.done(task_id)
            return
        forget_under(self._state, f"enrol/{task_id}/")
        match task.stage:
            case Stage.SUBMITTING:
                self._take_part(task, mine)
            case Stage.REJECTING:
                self._answer_all(task, mine)
                self._acts.wake_at(task.freeze_at)
            case Stage.ENROLLING | Stage.FROZEN | Stage.FAILED:
                self._endings.attend(task, mine.index + len(task.workers))
            case Stage.ENDED:
                self._collect(task)

    def _enrolment(self, task: TaskInfo) -> Enrolment | None:
        if not task.enrolled:
            return None
        return next(
            (each for each in self._seen.enrolments(task.task_id) if each.participant == self._account.address), None
        )

    # -- enrolling --

    def _consider(self, task: TaskInfo) -> None:
        reason = self._limits.refuse(task)
        if reason is not None:
            self._tasks.done(task.task_id)  # its parameters never change: whoever opens thousands costs one look each
            return self._acts.tell_once("task.declined", task=task.task_id, reason=reason)
        before = [known for known in self._state.get("enrolments", {}) if self._took_part(int(known), task.task_id)]
        if self._limits.tasks is None and before:
            self._tasks.done(task.task_id)
            reason = (
                f"this node took part in task {before[0]}; a further one takes part when participant.tasks names it"
            )
            return self._acts.tell_once("task.declined", task=task.task_id, reason=reason)
        if task.enrolled >= task.params.max_participants:
            return self._acts.tell_once("task.declined", task=task.task_id, reason="it is full")
        if task.params.worker_bond and self._seen.committee.bonded(task.task_id) < len(task.workers):
            return None  # nobody can enrol yet; each bond wakes this node
        usable = self._usable(task)
        if not usable:
            reason = "no dataset of its schema and capacity class is granted to this node and free"
            return self._acts.tell_once("task.declined", task=task.task_id, reason=reason)
        for dataset_id in usable:
            name = f"enrol/{task.task_id}/{dataset_id}"
            if self._acts.do(name, lambda d=dataset_id: self._enrol(task, d)):  # type: ignore[misc]
                return None
        return None

    def _took_part(self, known: int, task_id: int) -> bool:
        """Whether an enrolment that was made ready got into another task, or may still: it may have come late."""
        if known == task_id or known > self._seen.tasks():
            return False
        task = self._seen.task_info(known)
        under_way = any(name.startswith(f"enrol/{known}/") for name in self._state.get("outbox", {}))
        if under_way and task.stage == Stage.ENROLLING:
            return True
        return self._enrolment(task) is not None

    def _usable(self, task: TaskInfo) -> list[int]:
        """Datasets that could be enrolled, in order."""
        granted = {each.dataset_id for each in self._market.grants(grantee=self._account.address)}
        if self._limits.datasets is not None:
            granted &= self._limits.datasets
        schema = bytes.fromhex(described(self._deployment, task).schema)
        return [
            each
            for each in sorted(granted)
            if self._market.has_access(each, self._account.address, TIER_TRAINING)
            and self._market.dataset(each).class_id == task.params.class_id
            and self._market.dataset(each).schema == schema
            and not self._seen.is_dataset_enrolled(task.task_id, each)
        ]

    def _enrol(self, task: TaskInfo, dataset_id: int) -> None:
        opened = self._records.open(dataset_id, self._market.dataset(dataset_id).version)
        self._nodes.pop(task.task_id, None)  # of another dataset, or of a version that was replaced
        self._node(task.task_id, opened).enrol(task)
        self._acts.diary.info("task.enrolled", task=task.task_id, dataset=dataset_id, rows=opened.rows)

    def _node(self, task_id: int, opened: OpenedDataset) -> Participant:
        if task_id not in self._nodes:
            self._nodes[task_id] = Participant(
                self._deployment, self._federation, self._account, self._state, opened, self._seen, self._trainer
            )
        return self._nodes[task_id]

    def _enrolled_node(self, task: TaskInfo, mine: Enrolment) -> Participant:
        """The node with the records that were enrolled, which may be of a version that has been replaced since."""
        known = self._state.get("enrolments", {}).get(str(task.task_id))
        if known is None:
            raise StateError(f"this state has no enrolment in task {task.task_id}: restore the folder that enrolled")
        masks = _core.fr_from_bytes(bytes.fromhex(known["masks"]))
        hiding = self._deployment.srs.commit(masks, self._deployment.layout.masks)

        def is_enrolled(opened: OpenedDataset) -> bool:
            masked = _core.g1_add(opened.commitment, hiding)
            return opened.dataset_id == mine.dataset_id and masked == mine.masked_dataset

        kept = self._nodes.pop(task.task_id, None)  # of whichever dataset was tried last: another may have got in
        if kept is not None and is_enrolled(kept.opened):
            return self._node(task.task_id, kept.opened)
        problem: FedproofError = StateError(f"no version of dataset {mine.dataset_id} is the one that was enrolled")
        for version in range(self._market.dataset(mine.dataset_id).version, 0, -1):
            try:
                opened = self._records.open(mine.dataset_id, version)
            except (StateError, SealingError, StorageError) as error:
                problem = error
                continue
            if is_enrolled(opened):
                return self._node(task.task_id, opened)
        raise problem

    # -- a round --

    def _take_part(self, task: TaskInfo, mine: Enrolment) -> None:
        self._acts.wake_at(task.deadline)
        name = f"train/{task.task_id}/{task.round}"
        if task.accepted >> mine.index & 1:
            return
        if not self._seen.is_bonded(task.task_id, self._account.address):
            return self._acts.tell_once("task.expelled", task=task.task_id, round=task.round)
        if self._federation.chain.block_number() + 1 >= task.deadline:
            return self._acts.tell_once("round.missed", task=task.task_id, round=task.round)
        self._acts.do(name, lambda: self._train(task, mine), due=_training_due(task))
        return None

    def _train(self, task: TaskInfo, mine: Enrolment) -> None:
        node = self._enrolled_node(task, mine)
        fetch = partial(self._acts.fetch, due=_training_due(task))
        model = current_model(self._deployment, self._seen, task, fetch=fetch)
        sent = node.train(task, task.round, model, self._seen.chain.anchor)
        if sent.seconds:
            seconds = {name: round(each, 2) for name, each in sent.seconds.items()}
            self._acts.diary.info("update.submitted", task=task.task_id, round=task.round, **seconds)
        for line in sent.advice:
            self._acts.diary.warning("training.advice", task=task.task_id, round=task.round, advice=line)

    # -- complaints --

    def _answer_all(self, task: TaskInfo, mine: Enrolment) -> None:
        committee, about = self._seen.committee, self._account.address
        complaints = [
            each for each in committee.complaints(task.task_id, participant=about) if each.round == task.round
        ]
        if not complaints or not task.accepted >> mine.index & 1:
            return
        if len(complaints) > 1:
            return self._answer_together(task, mine, complaints)
        answered = {each.complaint for each in committee.answers(task.task_id, participant=about)}
        update = next(each for each in self._seen.updates(task.task_id, task.round) if each.participant == about)
        digest = self._seen.update_digest(task.task_id, task.round, update)
        windows, lag = committee.windows(task.task_id), self._lag()
        ends = {Kind.FETCH: windows.fetch_answers, Kind.OPEN: windows.open_answers}
        for each in complaints:
            name = f"answer/{each.complaint.hex()}"
            if each.complaint in answered:
                forget(self._state, name)
            elif each.digest == digest:
                last = ends[each.kind] - 2 - lag  # in a block after this one, before the window's end
                self._acts.do(name, lambda e=each: self._answer(task, mine, e), due=(last,))  # type: ignore[misc]

    def _lag(self) -> int:
        """How many blocks below the head this node looks."""
        return max(0, self._federation.chain.block_number() - self._acts.block)

    def _answer(self, task: TaskInfo, mine: Enrolment, complaint: Complained) -> None:
        place = next((k for k, each in enumerate(task.workers, 1) if each.address == complaint.worker), None)
        if place is None:
            return
        node = self._enrolled_node(task, mine)
        chain, name = self._federation.chain, f"answer/{complaint.complaint.hex()}"
        committee, is_open = self._federation.committee, complaint.kind == Kind.OPEN
        if not is_open:
            node.republish(task, task.round, place)

        def prepare() -> SignedTransaction:
            content_id = node.revealed_id(task, task.round, place) if is_open else bytes(32)
            transaction = chain.prepare(committee.answer_call(complaint.complaint, content_id), self._account)
            if is_open:
                node.reveal(task, task.round, place)  # in the clear, so only for an answer that the chain would take
            return transaction

        send_once(chain, self._state, name, prepare)
        self._acts.diary.warning(
            "complaint.answered", task=task.task_id, round=task.round, worker=place, kind=complaint.kind.name.lower()
        )

    def _answer_together(self, task: TaskInfo, mine: Enrolment, complaints: list[Complained]) -> None:
        """Many complaints at once are no reason to be late for some: their answers go in one transaction."""
        about, words = self._account.address, list[Word]()
        answered = {each.complaint for each in self._seen.committee.answers(task.task_id, participant=about)}
        update = next(each for each in self._seen.updates(task.task_id, task.round) if each.participant == about)
        digest = self._seen.update_digest(task.task_id, task.round, update)
        due = [each for each in complaints if each.complaint not in answered and each.digest == digest]
        for each in complaints:
            if each.complaint in answered:
                forget(self._state, f"answer/{each.complaint.hex()}")
        if not due:
            return forget_under(self._state, f"answers/{task.task_id}/")
        ends = self._seen.committee.windows(task.task_id)
        last = (ends.fetch_answers - self._limits.depth - 2, ends.open_answers - self._limits.depth - 2)
        for each in due:  # one that cannot be answered keeps none of the others waiting
            name = f"answer/{each.complaint.hex()}/ready"
            self._acts.do(name, lambda e=each: words.extend(self._words(task, mine, e)), due=last)  # type: ignore[misc]
        if words:
            self._acts.do(f"answers/{task.task_id}", lambda: self._send_answers(task, words), due=last)
        return None

    def _words(self, task: TaskInfo, mine: Enrolment, complaint: Complained) -> list[Word]:
        place = next((k for k, each in enumerate(task.workers, 1) if each.address == complaint.worker), None)
        if place is None:
            return []
        node, publish, content_id = self._enrolled_node(task, mine), None, bytes(32)
        if complaint.kind == Kind.OPEN:
            content_id = node.revealed_id(task, task.round, place)
            publish = partial(node.reveal, task, task.round, place)
        else:
            node.republish(task, task.round, place)
        call = self._federation.committee.answer_call(complaint.complaint, content_id)
        return [Word(complaint.complaint.hex(), call, publish)]

    def _send_answers(self, task: TaskInfo, words: list[Word]) -> None:
        prefix = f"answers/{task.task_id}/{task.round}/"
        said = say(self._federation.committee, self._account, self._state, prefix, words)
        if said:
            self._acts.diary.warning(
                "complaint.answered", task=task.task_id, round=task.round, complaints=len(said), kind="together"
            )

    # -- the end --

    def _collect(self, task: TaskInfo) -> None:
        reward, bond = self._seen.claimable(task.task_id, self._account.address)
        done = True
        if reward or bond:
            done &= self._acts.do(f"claim/{task.task_id}", lambda: self._claim(task))
        done &= self._collect_bonds(task)
        if done and self._settled(task):
            self._drop(task)
            self._acts.diary.info("task.done", task=task.task_id)
            self._tasks.done(task.task_id)
            self._nodes.pop(task.task_id, None)

    def _drop(self, task: TaskInfo) -> None:
        """Forget what only a running task needs. What must never happen again, as a second use of a mask, stays."""
        SentShares(self._state.folder / "sent").drop(task.task_id)
        ReadyUpdates(self._state).drop(task, task.round)
        forget_under(self._state, f"submit/{task.task_id}/")
        forget(self._state, f"close/{task.task_id}")
        if any(name.startswith("answer/") for name in self._state.get("outbox", {})):
            for each in self._seen.committee.complaints(task.task_id, participant=self._account.address):
                forget(self._state, f"answer/{each.complaint.hex()}")

    def _settled(self, task: TaskInfo) -> bool:
        """Whether the depth shows that all is paid."""
        return not any(self._seen.claimable(task.task_id, self._account.address))

    def _claim(self, task: TaskInfo) -> None:
        if not any(self._federation.claimable(task.task_id, self._account.address)):
            return  # a block nearer to the head it is paid
        paid = self._federation.claim(self._account, task.task_id)
        self._acts.diary.info("reward.claimed", task=task.task_id, reward=str(paid.reward), bond=str(paid.bond))

    def _collect_bonds(self, task: TaskInfo) -> bool:
        """Bonds of complaints that found nothing wrong are this node's."""
        settled = {each.round for each in task.settled}
        return collect_bonds(
            self._federation,
            self._seen,
            task,
            self._account,
            self._acts,
            due=lambda each: each.participant == self._account.address and not each.removed and each.round in settled,
        )


def _training_due(task: TaskInfo) -> tuple[int, ...]:
    """When to try once more whatever the pause, with time left to train and to send."""
    return (task.deadline - task.params.submit_blocks // 2, task.deadline - task.params.submit_blocks // 4)
