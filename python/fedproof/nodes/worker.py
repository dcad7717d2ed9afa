"""The worker's node: checks every accepted proof and its shares, sums on shares, and may lead (protocol, section 6).

A worker releases an output only after the set is frozen and it has itself verified every accepted proof; and it saves
(task, model, set) before, so that it never helps to a second sum over one model.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fedproof import _core
from fedproof.errors import InputError, ProofError, SharingError, StateError, StorageError
from fedproof.learning.model import GlobalModel
from fedproof.ledger import Account, Receipt
from fedproof.ledger.federation import Aggregate, Federation, TaskInfo, Update
from fedproof.nodes.models import check_class, made_by
from fedproof.nodes.params import Deployment
from fedproof.nodes.sealed import ShareIndex, output_copy, read_index, sealed_bytes, share_index
from fedproof.nodes.state import StateFile
from fedproof.nodes.sums import placed, weight_sums
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.transcript import (
    Challenges,
    aggregation_challenges,
    aggregation_pre,
    sealing_context,
    training_challenges,
    training_pre,
)
from fedproof.sealing import KeyPair, open_sealed, seal
from fedproof.sharing import (
    Output,
    ReceivedShare,
    Share,
    check_output,
    check_shares,
    info_for_output,
    info_for_share,
    reconstruct,
    share_commitment,
    weighted_sum,
)
from fedproof.statements.aggregation import AggregationStatement, AggregationWitness, divide
from fedproof.statements.models.vectors import model_vector

MOST_INDEXES: Final = 1024
"""So many index blobs are kept in memory, 4 KB each at most; then all are read again."""


def update_pre(
    federation: Federation, chain_id: int, circuit_id: bytes, task: TaskInfo, round_number: int, update: Update
) -> bytes:
    """The transcript of an update, from public data alone."""
    return training_pre(
        chain_id=chain_id,
        federation=federation.address,
        task=task.task_id,
        round_number=round_number,
        participant=update.participant,
        circuit_id=circuit_id,
        masked_dataset=update.masked_dataset,
        model=task.model,
        update=update.update,
        d=update.proof.d,
    )


def check_aggregate(
    federation: Federation,
    key: VerifyingKey,
    task: TaskInfo,
    round_number: int,
    updates: Sequence[Update],
    aggregate: Aggregate,
    sender: str,
) -> None:
    """Verify an aggregation proof: C_W' is the rounded average of exactly these updates (protocol, section 5).

    Raises:
        ProofError: it does not hold.
    """
    count = sum(update.rows for update in updates)
    challenges = aggregation_challenges(
        aggregation_pre(
            chain_id=federation.chain.chain_id,
            federation=federation.address,
            task=task.task_id,
            round_number=round_number,
            sender=sender,
            circuit_id=key.circuit_id,
            digests=[federation.update_digest(task.task_id, round_number, update) for update in updates],
            total_rows=count,
            model=task.model,
            new_model=aggregate.new_model,
            d=aggregate.proof.d,
        )
    )
    step = _core.g1_add(aggregate.new_model, _core.g1_neg(task.model))
    points = b"".join(update.update for update in updates) + step
    rest = _core.g1_msm(points, _core.fr_from_ints([*(update.rows for update in updates), -count]))
    check_linked(key, [], challenges, aggregate.proof, [step, rest], numbers=[count])


@dataclass(frozen=True, eq=False, repr=False)
class Sum:
    """What a leader reconstructs: the sum over all accepted updates, and the new model that follows from it."""

    count: int
    total: np.ndarray
    blinding: np.ndarray
    quotient: np.ndarray
    remainder: np.ndarray
    model: GlobalModel


class Worker:
    """Member `index` (from 1) of a committee."""

    def __init__(
        self,
        deployment: Deployment,
        federation: Federation,
        account: Account,
        state: StateFile,
        hpke: KeyPair | None = None,
    ) -> None:
        self.deployment = deployment
        self.federation = federation
        self.account = account
        self.state = state
        if hpke is None:  # keys that live with the state
            if state.get("hpke") is None:
                state.put(hpke=KeyPair.generate().private.hex())
            hpke = KeyPair.from_private_bytes(bytes.fromhex(state.get("hpke")))
        self._hpke = hpke
        self._indexes: dict[tuple[int, bytes], ShareIndex] = {}

    @property
    def hpke_public(self) -> bytes:
        """The HPKE key that shares are sealed to; registered with the task."""
        return self._hpke.public

    @property
    def sealed_bytes(self) -> int:
        """The most that a sealed share or output of this deployment's models can have."""
        return sealed_bytes(self.deployment.update_size)

    def index_in(self, task: TaskInfo) -> int:
        """This worker's place in the committee, from 1.

        Raises:
            StateError: it is not a member, or the task registered another HPKE key for it.
        """
        for place, member in enumerate(task.workers, start=1):
            if member.address == self.account.address:
                if member.hpke_key != self.hpke_public:
                    raise StateError(f"task {task.task_id} registered another HPKE key for {self.account.name}")
                return place
        raise StateError(f"{self.account.name} is not in the committee of task {task.task_id}")

    def check_class(self, task: TaskInfo) -> None:
        """Refuse a task whose updates are proven with another circuit than this federation's, or whose datasets may
        have labels that its model is not trained on; StateError.

        With another circuit updates may be larger than the sum can hold, and this worker could check none of them.
        """
        plan, circuit = self.deployment.plan, self.deployment.update_keys.verifying.circuit_id
        if task.training_circuit != circuit:
            raise StateError(
                f"task {task.task_id}: its key is of another circuit than that of the {plan.statement} which tasks of "
                "this federation ask for"
            )
        check_class(self.deployment, task)

    def check_update(self, task: TaskInfo, round_number: int, update: Update) -> None:
        """Verify an update's proof against its transcript.

        Raises:
            ProofError: it does not hold; anyone may now reject it on chain.
        """
        vk = self.deployment.update_keys.verifying
        chain_id = self.deployment.market.chain.chain_id
        pre = update_pre(self.federation, chain_id, vk.circuit_id, task, round_number, update)
        challenges = training_challenges(pre, update.attachments)
        check_linked(vk, [], challenges, update.proof, [update.masked_dataset, task.model, update.update])

    def reject_invalid(self, task: TaskInfo, round_number: int, updates: Sequence[Update]) -> list[str]:
        """Prove on chain that invalid updates are invalid, before the freeze; returns whose they were."""
        rejected = []
        for update in updates:
            try:
                self.check_update(task, round_number, update)
            except ProofError:
                self.federation.reject_update(self.account, task, update)
                rejected.append(update.participant)
        return rejected

    def output(self, task: TaskInfo, round_number: int, updates: Sequence[Update], leader_key: bytes) -> bytes:
        """Sum this worker's shares of a frozen set and seal the output to one leader; errors as `share_sum`."""
        output = self.share_sum(task, round_number, updates)
        index = self.index_in(task)
        return seal(leader_key, output.encode(), info_for_output(self.round_tag(task, round_number), index))

    def publish_output(
        self,
        task: TaskInfo,
        round_number: int,
        updates: Sequence[Update],
        answered: Mapping[str, ReceivedShare] | None = None,
    ) -> bytes:
        """Sum this worker's shares and store the output sealed to each member, for any of them may lead.

        Returns the content id of the index blob: the members' content ids in order. Arguments and errors as
        `share_sum`.
        """
        output = self.share_sum(task, round_number, updates, answered).encode()
        info = info_for_output(self.round_tag(task, round_number), self.index_in(task))
        store = self.deployment.store
        sealed = [store.put(seal(member.hpke_key, output, info)) for member in task.workers]
        return bytes.fromhex(store.put(b"".join(map(bytes.fromhex, sealed))))

    def sealed_output(self, task: TaskInfo, index_id: bytes) -> bytes:
        """The copy for this worker of an output that `publish_output` stored.

        Raises:
            StorageError: a blob is missing. SharingError: the index has not one id for each member.
        """
        return output_copy(
            self.deployment.store, index_id, self.index_in(task), len(task.workers), limit=self.sealed_bytes
        )

    def share_sum(
        self,
        task: TaskInfo,
        round_number: int,
        updates: Sequence[Update],
        answered: Mapping[str, ReceivedShare] | None = None,
    ) -> Output:
        """Sum this worker's shares of a frozen set.

        Args:
            answered: by participant, shares that were published in answer to this worker's complaints.

        Raises:
            StateError: the set is not frozen, is below the minimum, or differs from the one already served for this
                model.
            ProofError, SharingError, SealingError, StorageError: an update or a share does not hold; nothing was
                released.
        """
        index = self.index_in(task)
        self.check_class(task)
        if not self.federation.is_frozen(task.task_id, round_number):
            raise StateError(f"round {round_number} of task {task.task_id} is not frozen: its set could still change")
        if len(updates) < max(2, task.min_updates):
            raise StateError(
                f"a sum of {len(updates)} updates would show them: the minimum is {max(2, task.min_updates)}"
            )
        received = []
        for update in updates:
            self.check_update(task, round_number, update)
            known = (answered or {}).get(update.participant)
            received.append(known or self.receive(task, round_number, update, index))
        check_shares(received, self.deployment.srs)
        self._bind(task, round_number, updates)
        return weighted_sum([entry.share for entry in received], [update.rows for update in updates])

    def receive(self, task: TaskInfo, round_number: int, update: Update, index: int) -> ReceivedShare:
        """Fetch and open this worker's share of an update. `check_shares` says whether it is the committed one.

        Raises:
            StorageError: a blob is missing or is not what its id says.
            SharingError, SealingError: what the digest commits to does not open.
        """
        d = self.deployment
        circuit_id = d.update_keys.verifying.circuit_id
        pre = update_pre(self.federation, d.market.chain.chain_id, circuit_id, task, round_number, update)
        sealed = d.store.get(self.index_of(task, update).ids[index - 1].hex(), limit=self.sealed_bytes)
        context = sealing_context(pre, update.share_digest)
        return self.read_share(task, update, index, open_sealed(self._hpke, sealed, info_for_share(context, index)))

    def index_of(self, task: TaskInfo, update: Update) -> ShareIndex:
        """An update's index blob, kept with the state until the task is over: answers and outputs are judged by it, and
        its participant must not be able to take it away. Errors as `share_index`.

        Of one task: another one has another committee, and what is an index there may be none here.
        """
        key, size = (task.task_id, update.attachments), (len(task.workers), task.threshold)
        known = self._indexes.get(key)
        if known is not None:
            return known
        kept = self._kept_indexes(task.task_id) / update.attachments.hex()
        try:
            known = read_index(kept.read_bytes(), update, *size)
        except (OSError, SharingError):  # not kept, or damaged
            known = share_index(self.deployment.store, update, *size)
            with suppress(OSError):  # a full disk is no reason not to look at a share
                for folder in (kept.parent.parent, kept.parent):
                    folder.mkdir(mode=0o700, exist_ok=True)
                part = kept.with_suffix(".part")
                descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(known.encode())
                part.replace(kept)
        if len(self._indexes) >= MOST_INDEXES:
            self._indexes.clear()
        self._indexes[key] = known
        return known

    def forget_indexes(self, task_id: int) -> None:
        """Drop what was kept of a task's updates."""
        shutil.rmtree(self._kept_indexes(task_id), ignore_errors=True)
        self._indexes = {key: index for key, index in self._indexes.items() if key[0] != task_id}

    def _kept_indexes(self, task_id: int) -> Path:
        return self.state.folder / "indexes" / str(task_id)

    def read_share(self, task: TaskInfo, update: Update, index: int, plain: bytes) -> ReceivedShare:
        """A worker's share of an update in its wire form, with what it must match.

        Raises:
            StorageError: the index of the update's shares is not there.
            SharingError: it is no share of this worker.
        """
        length = self.deployment.update_size
        share = Share.decode(plain, index=index, length=length)
        commitment = share_commitment(update.update, self.index_of(task, update).commitments, index)
        return ReceivedShare(update.participant, share, commitment)

    def _bind(self, task: TaskInfo, round_number: int, updates: Sequence[Update]) -> None:
        """Remember which set was summed over this model, before anything is released."""
        members = _core.keccak256(b"".join(update.update for update in updates)).hex()
        served: dict[str, list[object]] = dict(self.state.get("served", {}))
        before = served.get(task.model.hex())
        mine: list[object] = [task.task_id, round_number, members]
        if before is None:
            before = self._served_before(task, round_number, {(entry[0], entry[1]) for entry in served.values()})
        if before is not None and before != mine:
            raise StateError(
                f"a sum over this model was served in task {before[0]}, round {before[1]}: a second one whose members "
                "differ would show an update"
            )
        served[task.model.hex()] = mine
        self.state.put(served=served)

    def _served_before(
        self, task: TaskInfo, round_number: int, known: set[tuple[object, object]]
    ) -> list[object] | None:
        """A sum over this model that this account posted, and of which the state says nothing: it is an old backup."""
        for each in self.federation.committee.outputs_of(self.account.address):
            place = (each.task_id, each.round)
            if place in known or place == (task.task_id, round_number):
                continue
            other = self.federation.task_info(each.task_id)
            made = made_by(other, each.round)
            if (other.params.model if made is None else made.new_model) == task.model:
                return [*place, "in a state that is lost"]
        return None

    def round_tag(self, task: TaskInfo, round_number: int) -> bytes:
        words = (self.deployment.market.chain.chain_id, int(self.federation.address, 16), task.task_id, round_number)
        return _core.keccak256(b"fedproof/round/v1" + b"".join(word.to_bytes(32, "big") for word in words))

    # the leader's part: it sees the sum only

    def reconstruct(
        self,
        task: TaskInfo,
        round_number: int,
        updates: Sequence[Update],
        model: GlobalModel,
        sealed_outputs: dict[int, bytes],
    ) -> Sum:
        """Open and check the outputs of at least t + 1 workers, and reconstruct the sum and the new model.

        Args:
            model: the public model of this round.
            sealed_outputs: by worker index, as `output` made them.

        Raises:
            SharingError: an output is not what its worker's commitments say (the worker is named), or too few are good.
        """
        outputs = [
            self.open_output(task, round_number, updates, index, sealed)
            for index, sealed in sorted(sealed_outputs.items())
        ]
        return self.combine(task, updates, model, outputs)

    def open_output(
        self, task: TaskInfo, round_number: int, updates: Sequence[Update], index: int, sealed: bytes
    ) -> Output:
        """Open and check the output of worker `index` (from 1).

        Raises:
            StorageError: an update's share commitments are not there, so that nothing can be said of the output.
            SealingError, SharingError: it is not what its worker's commitments say.
        """
        d = self.deployment
        try:
            commitments = [self.index_of(task, update).commitments for update in updates]
        except SharingError as error:  # of the participant's doing: no worker is to blame
            raise StorageError(str(error)) from None
        length = d.update_size
        plain = open_sealed(self._hpke, sealed, info_for_output(self.round_tag(task, round_number), index))
        output = Output.decode(plain, index=index, length=length)
        rows = [update.rows for update in updates]
        check_output(output, [u.update for u in updates], commitments, rows, d.srs)
        return output

    def combine(self, task: TaskInfo, updates: Sequence[Update], model: GlobalModel, outputs: Sequence[Output]) -> Sum:
        """Reconstruct the sum and the new model from checked outputs.

        Raises:
            SharingError: there are not more than t of them, or the sum is out of range.
        """
        d, count = self.deployment, sum(update.rows for update in updates)
        vector = reconstruct(outputs, task.threshold)
        total = weight_sums(d.plan, vector, count)
        quotient, remainder = divide(total, count)
        try:
            fresh = model.moved(quotient)
        except InputError as error:
            raise SharingError(f"the sum cannot make a model: {error}") from None
        blinding = np.ascontiguousarray(vector[d.plan.blinding_at :])
        return Sum(count, total, blinding, quotient, remainder.astype(np.int64), fresh)

    def model_commitment(self, model: GlobalModel) -> bytes:
        """What the chain has of a model, 64 bytes."""
        return self.deployment.srs.commit(model_vector(self.deployment.plan, model.layers))

    def aggregate(self, task: TaskInfo, round_number: int, updates: Sequence[Update], result: Sum) -> Aggregate:
        """Make the aggregation proof of a round, as the account that will send it."""
        d, keys = self.deployment, self.deployment.keys["aggregation"]
        new_model = self.model_commitment(result.model)
        content_id = bytes.fromhex(d.store.put(result.model.encode()))
        digests = [self.federation.update_digest(task.task_id, round_number, update) for update in updates]

        def challenge(point: bytes) -> Challenges:
            return aggregation_challenges(
                aggregation_pre(
                    chain_id=d.market.chain.chain_id,
                    federation=self.federation.address,
                    task=task.task_id,
                    round_number=round_number,
                    sender=self.account.address,
                    circuit_id=keys.circuit.circuit_id,
                    digests=digests,
                    total_rows=result.count,
                    model=task.model,
                    new_model=new_model,
                    d=point,
                )
            )

        step = placed(d.plan, result.quotient)
        rest = np.concatenate([placed(d.plan, result.remainder), result.blinding])
        proof = prove_linked(
            keys,
            AggregationStatement.of(d.plan),
            AggregationWitness(result.count, result.quotient, result.remainder, result.blinding),
            d.srs,
            [step, rest],
            challenge,
            numbers=[result.count],
        )
        return Aggregate(new_model=new_model, content_id=content_id, proof=proof)

    def check_aggregate(
        self, task: TaskInfo, round_number: int, updates: Sequence[Update], aggregate: Aggregate
    ) -> None:
        """Verify an aggregation proof of this worker, from what the chain will hold.

        Raises:
            ProofError: it does not hold.
        """
        check_aggregate(
            self.federation, self.deployment.keys["aggregation"].verifying, task, round_number, updates, aggregate,
            self.account.address,
        )  # fmt: skip

    def finalize(self, task: TaskInfo, updates: Sequence[Update], aggregate: Aggregate) -> Receipt:
        """Settle the round: one transaction verifies the proofs of all updates and the aggregation proof. A large round
        has another one before it, for the first updates; the receipt is that of the last."""
        self.verify_part(task, updates)
        return self.federation.finalize_round(self.account, task, updates, aggregate)

    def verify_part(self, task: TaskInfo, updates: Sequence[Update]) -> Receipt | None:
        """Have the first updates of a large round verified; None where nothing is to be done."""
        if not self.federation.needs_part(task, updates):
            return None
        return self.federation.chain.transact(self.federation.verify_part_call(task, updates), self.account)
