"""The auditor's checks of rounds: every update, rejection, share and aggregate, from public data.

What was submitted, rejected and settled is put together from the events here, and compared with what the contract kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fedproof.app.audit_base import direct_call, number_words, plain, relayed, require
from fedproof.app.audit_committee import check_removal
from fedproof.app.audit_task import TaskAuditor
from fedproof.app.taskmodel import model_names
from fedproof.errors import AuditError, FedproofError, ProofError
from fedproof.learning.clipping import STATEMENT, BoundedPlan
from fedproof.learning.model import GlobalModel
from fedproof.ledger.events import Event
from fedproof.ledger.federation import Aggregate, Enrolment, SettledRound, TaskInfo, Update
from fedproof.ledger.federation_types import linked_proof, set_bits
from fedproof.nodes.params import update_size
from fedproof.nodes.sealed import sealed_bytes, sealed_share, share_bytes
from fedproof.nodes.worker import check_aggregate, update_pre
from fedproof.proving.linked import check_linked
from fedproof.proving.transcript import part_size, training_challenges
from fedproof.sealing import sealed_length, suite_of_public_key


class RoundAuditor:
    """Checks the rounds of a task in order; `models` grows with each that was settled."""

    def __init__(self, auditor: TaskAuditor, enrolments: Sequence[Enrolment]) -> None:
        self.auditor = auditor
        self.federation = auditor.federation
        self.enrolments: dict[str, Enrolment] = {each.participant: each for each in enrolments}
        self.models: list[tuple[bytes, GlobalModel]] = [(auditor.task.params.model, auditor.start)]
        self.settled = {each.round: each for each in auditor.task.settled}
        require(
            len(self.settled) == len(auditor.task.settled)
            and set(self.settled) <= set(range(1, auditor.task.round + 1)),
            "a round was settled twice, or never opened",
        )
        self.openings: Counter[str] = Counter()
        self.removed = 0
        self.unread: list[str] = []
        """What nobody can check again."""
        self.odd_shares: list[str] = []
        """Shares that no worker could open. Who complained was answered, or the others made the sum without it: such a
        share is its participant's fault, and none of the round's."""

    def check(self, number: int) -> list[str]:
        """All proofs, shares and commitments of a round."""
        before = self.models[-1][0]
        task = replace(self.auditor.task, model=before, round=number)
        accepted, rejected, removed = self._history(task, number)
        lines = []
        if rejected:
            lines.append(f"round {number}: {rejected} rejected updates, each of whose proofs does not hold")
        if removed:
            self.removed += removed
            lines.append(f"round {number}: {removed} updates removed, each on the word of {task.threshold + 1} workers")
        settled = self.settled.get(number)
        if settled is None:
            require(
                len(accepted) < task.min_updates, f"round {number}: it was given up although enough updates were in"
            )
            return [*lines, f"round {number}: {len(accepted)} updates came in; it ended without a sum"]
        places = [self.enrolments[update.participant].index for update in accepted]
        require(
            set_bits(settled.accepted) == places,
            f"round {number}: it was not settled with exactly the accepted updates",
        )
        for update in accepted:
            self._check_update(task, number, update)
        rows, shares = sum(update.rows for update in accepted), f"{len(accepted)} x {len(task.workers)}"
        require(rows == settled.total_rows, f"round {number}: the chain counts {settled.total_rows} rows, not {rows}")
        require(
            len(accepted) >= max(2, task.min_updates), f"round {number}: fewer updates than the minimum were summed"
        )
        return [
            *lines,
            f"round {number}: {len(accepted)} {self._proofs()} hold, each from challenges computed anew",
            f"round {number}: {shares} sealed shares are stored, each under the id that was committed to",
            self._check_end(task, settled, accepted),
        ]

    def _proofs(self) -> str:
        """What the proofs of updates are called."""
        bounded = isinstance(self.auditor.description.plan, BoundedPlan)
        return f"proofs of a {STATEMENT}" if bounded else "training proofs"

    def notes(self) -> list[str]:
        """Who opened its masked dataset more often than its masks hide; and what workers alone could see."""
        limit = self.auditor.task.params.mask_count - 1
        said = (
            ["whether shares were missing or wrong where workers said so, only they could see"] if self.removed else []
        )
        said += [
            f"{each}, which nobody can open; the round did without it, or its worker was answered"
            for each in self.odd_shares
        ]
        return [*self.unread, *said] + [
            f"{participant} opened its dataset {count} times where its masks hide {limit}"
            for participant, count in self.openings.items()
            if count > limit
        ]

    def _history(self, task: TaskInfo, number: int) -> tuple[list[Update], int, int]:
        """The updates that stand at the end of a round, in the order of enrolment; how many were proven invalid, and
        how many the committee removed."""
        chain, contract = self.auditor.market.chain, self.federation.contract
        where = {"task": task.task_id, "round": number}
        events: list[Event] = []
        for name in ("UpdateSubmitted", "UpdateRejected"):
            events += chain.events(contract, name, task.opened_block, argument_filters=where)
        standing: dict[str, Update] = {}
        rejected = removed = 0
        for event in sorted(events, key=lambda event: (event.block_number, event.log_index)):
            participant = event.args["participant"]
            whose = f"round {number}, update of {participant}"
            require(participant in self.enrolments, f"{whose}: it is not enrolled")
            if event.name == "UpdateSubmitted":
                require(participant not in standing, f"{whose}: it was submitted twice")
                standing[participant] = Update.of(event, self.enrolments[participant])
                self.openings[participant] += 1
                continue
            require(participant in standing, f"{whose}: it was rejected before it was submitted")
            if event.args["by"] == self.federation.committee.address:
                check_removal(self.federation, task, number, standing.pop(participant), event)
                removed += 1
                continue
            rejected += 1
            try:
                self._check_proof(task, number, standing.pop(participant))
            except ProofError:
                continue
            raise AuditError(f"{whose}: it was rejected although its proof holds")
        accepted = sorted(standing.values(), key=lambda update: self.enrolments[update.participant].index)
        return accepted, rejected, removed

    def _check_proof(self, task: TaskInfo, number: int, update: Update) -> None:
        vk = self.auditor.update_key
        chain_id = self.auditor.market.chain.chain_id
        pre = update_pre(self.federation, chain_id, vk.circuit_id, task, number, update)
        challenges = training_challenges(pre, update.attachments)
        check_linked(vk, [], challenges, update.proof, [update.masked_dataset, task.model, update.update])

    def _check_update(self, task: TaskInfo, number: int, update: Update) -> None:
        where = f"round {number}, update of {update.participant}"
        try:
            self._check_proof(task, number, update)
            size = update_size(self.auditor.description.plan)
            most = sealed_bytes(size)
            for place, worker in enumerate(task.workers, 1):
                blob = sealed_share(self.auditor.store, update, place, len(task.workers), task.threshold, limit=most)
                expected = sealed_length(suite_of_public_key(worker.hpke_key), share_bytes(size))
                if len(blob) != expected:
                    self.odd_shares.append(f"{where}: the sealed share of worker {place} has {len(blob)} bytes")
        except AuditError:
            raise
        except (FedproofError, ValueError) as error:
            raise AuditError(f"{where}: {error}") from None

    def _check_end(self, task: TaskInfo, settled: SettledRound, updates: list[Update]) -> str:
        """The aggregate of a round, or that it never got one."""
        number = settled.round
        if settled.leader is None or settled.new_model is None or settled.content_id is None:
            return f"round {number}: nobody settled it in time; its participants are paid and the model stays"
        shown = self._check_average(task, settled, updates, settled.leader)
        self.models.append((settled.new_model, self._model(task, settled, settled.new_model)))
        if not shown:
            return f"round {number}: the published model is the one that the chain settled on"
        return f"round {number}: the new model is the average of exactly these updates over {settled.total_rows} rows"

    def _model(self, task: TaskInfo, settled: SettledRound, commitment: bytes) -> GlobalModel:
        """The model under the leader's content id, or else under one that a worker announced."""
        what = f"round {settled.round}: the published model"
        problem: FedproofError | None = None
        for name in model_names(self.federation, task.task_id, settled):
            try:
                return self.auditor.model(name, commitment, what)
            except FedproofError as error:
                problem = problem or error
        raise problem or AuditError(f"{what} has no name")

    def _check_average(self, task: TaskInfo, settled: SettledRound, updates: list[Update], leader: str) -> bool:
        """The aggregation proof; False where it cannot be read."""
        number = settled.round
        where = f"round {number}"
        require(
            leader in [worker.address for worker in task.workers], f"{where}: {leader} settled it, who is no worker"
        )
        call = direct_call(
            self.auditor.market.chain, self.federation.contract, settled.tx_hash, "finalizeRound", leader
        )
        if call is None:
            self.unread.append(relayed(f"{where}: its settlement"))
            return False
        sealed = [plain(update.sealed(self.enrolments[update.participant].index)) for update in updates]
        require(
            list(plain(call["updates"])) == sealed[part_size(len(sealed)) :],  # of a large round the chain has a part
            f"{where}: it was settled with other updates than were submitted",
        )
        aggregate = _aggregate(call["aggregate"])
        require(
            (aggregate.new_model, aggregate.content_id) == (settled.new_model, settled.content_id),
            f"{where}: the event names another model than the proof",
        )
        try:
            check_aggregate(self.federation, self.auditor.keys["aggregation"], task, number, updates, aggregate, leader)
        except FedproofError as error:
            raise AuditError(f"{where}: aggregation proof: {error}") from None
        return True


def _aggregate(values: object) -> Aggregate:
    """The aggregate in finalize's calldata."""
    model, d, content_id, proof = plain(values)
    return Aggregate(number_words(model), bytes(content_id), linked_proof(number_words(d), proof))
