"""What a worker checks of updates before the freeze: proofs and its shares; and what it says of them on chain
(protocol, section 6).

A bad proof is shown on chain by anyone (`reject_update`). A share that cannot be fetched or opened is complained of
with a bond, and the participant answers; t + 1 workers who find the answer bad or missing remove the update.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from fedproof.errors import FedproofError, ProofError, SealingError, SharingError, StorageError
from fedproof.ledger.committee import Complained, Kind, Windows
from fedproof.ledger.federation import Federation, Stage, TaskInfo, Update
from fedproof.nodes.outbox import forget_under
from fedproof.nodes.patience import NotYetError
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.sealed import sealed_share, share_bytes
from fedproof.nodes.words import Word, say
from fedproof.nodes.worker import Worker
from fedproof.sharing import ReceivedShare, check_shares

PROBE_BLOCKS: Final = 4
"""So long a store that answered is not asked again whether it does."""


@dataclass
class Findings:
    """What a worker found out about the updates of one round, by their digests.

    Attributes:
        valid: whether the proof holds.
        shares: this worker's shares that are good. wrong: what is wrong with those that are not. asked: the block at
            which one was asked for last.
    """

    task_id: int
    round: int
    valid: dict[bytes, bool] = field(default_factory=dict)
    shares: dict[bytes, ReceivedShare] = field(default_factory=dict)
    wrong: dict[bytes, Kind] = field(default_factory=dict)
    asked: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Due:
    """A complaint that is to be made; `times`: so often the update was removed before and came again."""

    digest: bytes
    update: Update
    kind: Kind
    complaint: bytes
    times: int = 0

    @property
    def key(self) -> str:
        return f"{self.complaint.hex()}/{self.times}"


class Inspection:
    """The checks of one worker. `seen` is the federation at a depth, to decide by."""

    def __init__(self, worker: Worker, seen: Federation, acts: Acts) -> None:
        self._worker = worker
        self._seen = seen
        self._acts = acts
        self._rounds: dict[int, Findings] = {}
        self._answered = -PROBE_BLOCKS

    def findings(self, task: TaskInfo) -> Findings:
        """Of the running round of a task; those of earlier rounds are dropped."""
        known = self._rounds.get(task.task_id)
        if known is None or known.round != task.round:
            known = self._rounds[task.task_id] = Findings(task.task_id, task.round)
        return known

    def undone(self) -> None:
        """The chain took blocks back: look at everything again."""
        self._rounds.clear()

    def drop(self, task_id: int) -> None:
        """Forget a task."""
        self._rounds.pop(task_id, None)
        self._worker.forget_indexes(task_id)
        for what in ("complain", "attest"):
            forget_under(self._worker.state, f"{what}/{task_id}/")

    def look(self, task: TaskInfo) -> list[tuple[bytes, Update]]:
        """Check what has come in and was not checked yet; returns all accepted updates with their digests."""
        found, updates, due = self.findings(task), list[tuple[bytes, Update]](), self._due(task)
        for update in self._seen.updates(task.task_id, task.round):
            digest = self._seen.update_digest(task.task_id, task.round, update)
            updates.append((digest, update))
            if digest not in found.valid:
                found.valid[digest] = self._is_valid(task, update)
            again = found.wrong.get(digest) != Kind.OPEN  # what does not open will not; what is missing may come
            if found.valid[digest] and digest not in found.shares and again:
                self._look_for(task, digest, update, due)
        return updates

    def _due(self, task: TaskInfo) -> tuple[int, ...]:
        """Blocks at which a share that did not come is asked for whatever its pause."""
        if task.stage != Stage.REJECTING:
            return (task.deadline, task.freeze_at)
        windows = self._seen.committee.windows(task.task_id)
        return (self._last(windows.fetch_complaints), windows.fetch_answers, self._last(windows.freeze), windows.freeze)

    def _last(self, end: int) -> int:
        """The last block at which this node, which looks below the head, can act before another."""
        lag = max(0, self._worker.federation.chain.block_number() - self._acts.block)
        return end - 2 - lag

    def answered(self, task: TaskInfo, updates: list[tuple[bytes, Update]]) -> dict[str, ReceivedShare]:
        """The good shares, by participant."""
        shares = self.findings(task).shares
        return {update.participant: shares[digest] for digest, update in updates if digest in shares}

    def act(self, task: TaskInfo, updates: list[tuple[bytes, Update]]) -> None:
        """Reject, complain, judge answers, between close and freeze."""
        found, windows = self.findings(task), self._seen.committee.windows(task.task_id)
        for at in (windows.fetch_answers, windows.open_answers, windows.freeze):
            if at > self._acts.block:
                self._acts.wake_at(at)
        removed = Counter(each.digest for each in self._seen.committee.removals(task.task_id, round=task.round))
        due: list[_Due] = []
        for digest, update in updates:
            if digest in removed:
                due += self._due_again(digest, update, removed[digest], windows)
            elif not found.valid[digest]:
                self._acts.do(
                    f"reject/{digest.hex()}",
                    lambda u=update: self._reject(task, u),  # type: ignore[misc]
                    due=(self._last(windows.freeze),),
                )
            elif digest in found.wrong:
                due += self._due_complaint(task, digest, update, found.wrong[digest], windows)
        self._complain(task, due, windows)
        self._judge(task, dict(updates), windows)

    # -- checking --

    def _is_valid(self, task: TaskInfo, update: Update) -> bool:
        try:
            self._worker.check_update(task, task.round, update)
        except ProofError:
            self._acts.diary.warning(
                "update.invalid", task=task.task_id, round=task.round, participant=update.participant
            )
            return False
        return True

    def _look_for(self, task: TaskInfo, digest: bytes, update: Update, due: Collection[int]) -> None:
        name = f"share {digest.hex()}"

        def receive() -> None:
            self._receive(task, digest, update)
            if self.findings(task).wrong.get(digest) == Kind.FETCH:
                raise StorageError(f"{name} is not there")

        try:
            self._acts.fetch(name, receive, due=due)
        except NotYetError:
            self.findings(task).wrong.setdefault(digest, Kind.FETCH)  # as it was found before blocks were taken back
        except StorageError:
            pass

    def _receive(self, task: TaskInfo, digest: bytes, update: Update) -> None:
        self.findings(task).asked[digest] = self._acts.block
        found, index = self.findings(task), self._worker.index_in(task)
        try:
            share = self._worker.receive(task, task.round, update, index)
            check_shares([share], self._worker.deployment.srs)
        except StorageError:
            found.wrong[digest] = Kind.FETCH
        except (SealingError, SharingError):
            found.wrong[digest] = Kind.OPEN
        else:
            found.shares[digest] = share
            found.wrong.pop(digest, None)

    def _store_answers(self) -> bool:
        """Whether the store keeps and gives anything at all: a node whose own line is down complains of nobody.

        It is asked with a blob of this node's own. Any other, the task's description too, may be lost, or taken away so
        that nobody complains.
        """
        if self._acts.block < self._answered + PROBE_BLOCKS:
            return True
        store, probe = self._worker.deployment.store, b"fedproof worker probe " + os.urandom(16)
        try:
            answers = store.get(store.put(probe), limit=len(probe)) == probe
        except StorageError:
            return False
        if answers:
            self._answered = self._acts.block
        return answers

    # -- speaking --

    def _reject(self, task: TaskInfo, update: Update) -> None:
        self._worker.federation.reject_update(self._worker.account, task, update)
        self._acts.diary.warning("update.rejected", task=task.task_id, round=task.round, participant=update.participant)

    def _due_complaint(self, task: TaskInfo, digest: bytes, update: Update, kind: Kind, windows: Windows) -> list[_Due]:
        """The complaint of a share, if it was not made and there is time."""
        end = windows.fetch_complaints if kind == Kind.FETCH else windows.open_complaints
        complaint = self._seen.committee.complaint_id(digest, self._worker.account.address, kind)
        if self._seen.committee.complaint(complaint) is not None:
            self._use_answer(task, digest, update, complaint, windows)
        elif (
            self._worker.federation.chain.block_number() + 1 < end
            or self._worker.federation.committee.complaint(complaint) is not None  # nearer to the head
        ):
            return [_Due(digest, update, kind, complaint)]
        else:
            self._acts.tell_once("share.lost", task=task.task_id, round=task.round, participant=update.participant)
        return []

    def _due_again(self, digest: bytes, update: Update, times: int, windows: Windows) -> list[_Due]:
        """An update that the committee removed is in again, unchanged: the next complaint removes it and takes no bond,
        whoever sends it and whatever it found. Each time that it comes back is another one."""
        if self._worker.federation.chain.block_number() + 1 >= windows.open_complaints:
            return []
        complaint = self._seen.committee.complaint_id(digest, self._worker.account.address, Kind.OPEN)
        return [_Due(digest, update, Kind.OPEN, complaint, times)]

    def _complain(self, task: TaskInfo, due: list[_Due], windows: Windows) -> None:
        prefix = f"complain/{task.task_id}/{task.round}/"
        if not due:
            return forget_under(self._worker.state, prefix)
        self._acts.wake_at(self._acts.block + 1)  # a blob may still come
        ends = (self._last(windows.fetch_complaints), self._last(windows.open_complaints))
        self._acts.do(prefix, lambda: self._send_complaints(task, due, prefix), due=ends)
        return None

    def _send_complaints(self, task: TaskInfo, due: list[_Due], prefix: str) -> None:
        federation, account = self._worker.federation, self._worker.account
        committee = federation.committee
        fetches = [each for each in due if each.kind == Kind.FETCH]
        lost = bool(fetches) and not self._store_answers()
        # those that are made nearer to the head need no further bond
        said = {each.complaint for each in due if not each.times and committee.complaint(each.complaint) is not None}
        ready = [each for each in due if each.complaint not in said and self._is_due(task, each, lost)]
        bonds = sum(not each.times for each in ready)
        if bonds:
            committee.allow(account, bonds * task.params.enrol_bond)
        words = {each.key: each for each in ready}
        calls = [Word(key, committee.complain_call(task, each.update, each.kind)) for key, each in words.items()]
        for word in say(committee, account, self._worker.state, prefix, calls, task.threshold):
            each = words[word.key]
            self._acts.diary.warning(
                "complaint.sent",
                task=task.task_id,
                round=task.round,
                participant=each.update.participant,
                kind="again" if each.times else each.kind.name.lower(),
            )
        if lost and any(each.complaint not in said for each in fetches):
            raise StorageError("the blob store does not answer: nobody is complained of")

    def _is_due(self, task: TaskInfo, due: _Due, lost: bool) -> bool:
        """Whether a complaint is right still: what was missing may have come since, and then it costs its bond."""
        if due.kind != Kind.FETCH:
            return True
        if lost:
            return False
        if self.findings(task).asked.get(due.digest) != self._acts.block:
            self._receive(task, due.digest, due.update)
        return self.findings(task).wrong.get(due.digest) == due.kind

    def _use_answer(self, task: TaskInfo, digest: bytes, update: Update, complaint: bytes, windows: Windows) -> None:
        """A share that was published for this worker is as good as one that opened."""
        for each in self._seen.committee.answers(task.task_id, complaint=complaint):
            share = None
            with suppress(StorageError):
                share = self._published(task, update, self._worker.index_in(task), each.content_id, windows)
            if share is not None:
                found = self.findings(task)
                found.shares[digest] = share
                found.wrong.pop(digest, None)

    def _judge(self, task: TaskInfo, updates: dict[bytes, Update], windows: Windows) -> None:
        """Say which answers of others' complaints are bad or missing, once their time is over."""
        committee, me = self._seen.committee, self._worker.account.address
        due: list[Complained] = []
        for each in committee.complaints(task.task_id):
            if each.round != task.round or each.worker == me or each.digest not in updates:
                continue
            after = windows.fetch_answers if each.kind == Kind.FETCH else windows.open_answers
            if not after <= self._acts.block < windows.freeze:
                continue
            said = committee.attestations(task.task_id, complaint=each.complaint, worker=me)
            if not said and not self._is_answered(task, updates[each.digest], each, windows):
                due.append(each)
        prefix = f"attest/{task.task_id}/{task.round}/"
        if not due:
            return forget_under(self._worker.state, prefix)
        self._acts.do(prefix, lambda: self._attest(task, due, prefix), due=(self._last(windows.freeze),))
        return None

    def _is_answered(self, task: TaskInfo, update: Update, complaint: Complained, windows: Windows) -> bool:
        """Whether what was complained of is there after all. When the store is down for this node, it says nothing."""
        place = next((k for k, each in enumerate(task.workers, 1) if each.address == complaint.worker), None)
        if place is None:
            return True
        try:
            if complaint.kind == Kind.FETCH:
                self._sealed(task, update, place, windows)
                return True
            answers = self._seen.committee.answers(task.task_id, complaint=complaint.complaint)
            if answers and not self._can_judge(task, update):
                return True
            return any(self._published(task, update, place, each.content_id, windows) is not None for each in answers)
        except SharingError:
            return True  # it is there, and no index of blobs: that is for an open complaint
        except NotYetError:
            return True  # it was not there, and this was said, or could not be
        except StorageError:
            return not self._store_answers()

    def _can_judge(self, task: TaskInfo, update: Update) -> bool:
        """Whether an answer can be told good from bad: it takes the update's index, which a worker keeps once it came.

        That it never came is for a complaint of this worker's own, and no reason to call an answer bad.
        """
        with suppress(SharingError):  # no answer fits an index that is none
            try:
                self._worker.index_of(task, update)
            except StorageError:
                return False
        return True

    def _sealed(self, task: TaskInfo, update: Update, place: int, windows: Windows) -> bytes:
        """The sealed share of another worker."""
        return self._acts.fetch(
            f"sealed share {update.sealed_digest.hex()}/{place}",
            lambda: sealed_share(
                self._worker.deployment.store,
                update,
                place,
                len(task.workers),
                task.threshold,
                limit=self._worker.sealed_bytes,
            ),
            due=(windows.fetch_answers, self._last(windows.freeze)),
        )

    def _published(
        self, task: TaskInfo, update: Update, place: int, content_id: bytes, windows: Windows
    ) -> ReceivedShare | None:
        """The share in a blob, if it is the one that was committed to.

        Raises:
            StorageError: the blob does not come.
        """
        store, limit = self._worker.deployment.store, share_bytes(self._worker.deployment.update_size)
        plain = self._acts.fetch(
            f"published share {content_id.hex()}",
            lambda: store.get(content_id.hex(), limit=limit),
            due=(windows.open_answers, self._last(windows.freeze), windows.freeze),
        )
        try:
            share = self._worker.read_share(task, update, place, plain)
            check_shares([share], self._worker.deployment.srs)
        except StorageError:
            raise
        except FedproofError:
            return None
        return share

    def _attest(self, task: TaskInfo, due: list[Complained], prefix: str) -> None:
        committee = self._worker.federation.committee
        found = {each.complaint.hex(): each for each in due}
        words = [Word(key, committee.attest_call(each.complaint)) for key, each in found.items()]
        for word in say(committee, self._worker.account, self._worker.state, prefix, words):
            self._acts.diary.warning(
                "complaint.attested",
                task=task.task_id,
                round=task.round,
                participant=found[word.key].participant,
            )
