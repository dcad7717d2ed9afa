"""The worker's node: checks every accepted proof and its shares, sums on shares, and may lead (protocol, section 6).

A worker releases an output only after the set is frozen and it has itself verified every accepted proof; and it saves
(task, model, set) before, so that it never helps to a second sum over one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedproof import _core
from fedproof.errors import ProofError, SharingError, StateError
from fedproof.learning.model import GlobalModel
from fedproof.ledger import Account, Receipt
from fedproof.ledger.federation import Aggregate, Federation, TaskInfo, Update
from fedproof.nodes.params import Deployment
from fedproof.nodes.state import StateFile
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.transcript import (
    Challenges,
    aggregation_challenges,
    aggregation_pre,
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
from fedproof.statements.layout import WeightLayout
from fedproof.statements.vectors import weight_vector
from fedproof.storage import BlobStore

MAX_INDEX_BYTES = 32 * 64
"""Of the content ids of a committee's blobs: it has at most 64 members."""


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
        share_commitments=update.share_commitments,
    )


def sealed_share(store: BlobStore, update: Update, index: int, members: int) -> bytes:
    """The sealed share of worker `index` (from 1), by the index blob that the chain names.

    Raises:
        StorageError: a blob is missing or is not what its id says.
        SharingError: the index blob has not one id for each worker.
    """
    try:
        return copy_for(store, update.sealed_digest, index, members)
    except SharingError as error:
        raise SharingError(f"{update.participant}: {error}") from None


def copy_for(store: BlobStore, index_id: bytes, index: int, members: int) -> bytes:
    """The blob of worker `index` (from 1) by an index blob with the content ids of all.

    Raises:
        StorageError: a blob is missing or is not what its id says.
        SharingError: the index blob has not one id for each worker.
    """
    ids = store.get(index_id.hex(), limit=MAX_INDEX_BYTES)
    if len(ids) != 32 * members:
        raise SharingError(f"an index of sealed blobs has {len(ids)} bytes for {members} workers")
    return store.get(ids[32 * (index - 1) : 32 * index].hex())


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
    check_linked(key, [count], challenges, aggregate.proof, [step, rest])


@dataclass(frozen=True, eq=False)
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

    def __init__(self, deployment: Deployment, federation: Federation, account: Account, state: StateFile) -> None:
        self.deployment = deployment
        self.federation = federation
        self.account = account
        self.state = state
        if state.get("hpke") is None:
            state.put(hpke=KeyPair.generate().private.hex())
        self._hpke = KeyPair.from_private_bytes(bytes.fromhex(state.get("hpke")))

    @property
    def hpke_public(self) -> bytes:
        """The HPKE key that shares are sealed to; registered with the task."""
        return self._hpke.public

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

    def check_update(self, task: TaskInfo, round_number: int, update: Update) -> None:
        """Verify an update's training proof against its transcript.

        Raises:
            ProofError: it does not hold; anyone may now reject it on chain.
        """
        vk = self.deployment.keys["training"].verifying
        chain_id = self.deployment.market.chain.chain_id
        pre = update_pre(self.federation, chain_id, vk.circuit_id, task, round_number, update)
        challenges = training_challenges(pre, update.sealed_digest)
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

    def publish_output(self, task: TaskInfo, round_number: int, updates: Sequence[Update]) -> bytes:
        """Sum this worker's shares and store the output sealed to each member, for any of them may lead.

        Returns the content id of the index blob: the members' content ids in order.
        """
        output = self.share_sum(task, round_number, updates).encode()
        info = info_for_output(self.round_tag(task, round_number), self.index_in(task))
        store = self.deployment.store
        sealed = [store.put(seal(member.hpke_key, output, info)) for member in task.workers]
        return bytes.fromhex(store.put(b"".join(map(bytes.fromhex, sealed))))

    def sealed_output(self, task: TaskInfo, index_id: bytes) -> bytes:
        """The copy for this worker of an output that `publish_output` stored.

        Raises:
            StorageError: a blob is missing. SharingError: the index has not one id for each member.
        """
        return copy_for(self.deployment.store, index_id, self.index_in(task), len(task.workers))

    def share_sum(self, task: TaskInfo, round_number: int, updates: Sequence[Update]) -> Output:
        """Sum this worker's shares of a frozen set.

        Raises:
            StateError: the set is not frozen, is below the minimum, or differs from the one already served for this
                model.
            ProofError, SharingError, SealingError, StorageError: an update or a share does not hold; nothing was
                released.
        """
        index = self.index_in(task)
        if not self.federation.is_frozen(task.task_id, round_number):
            raise StateError(f"round {round_number} of task {task.task_id} is not frozen: its set could still change")
        if len(updates) < max(2, task.min_updates):
            raise StateError(
                f"a sum of {len(updates)} updates would show them: the minimum is {max(2, task.min_updates)}"
            )
        received = []
        for update in updates:
            self.check_update(task, round_number, update)
            received.append(self._receive(task, round_number, update, index))
        check_shares(received, self.deployment.srs)
        self._bind(task, round_number, updates)
        return weighted_sum([entry.share for entry in received], [update.rows for update in updates])

    def _receive(self, task: TaskInfo, round_number: int, update: Update, index: int) -> ReceivedShare:
        d = self.deployment
        circuit_id = d.keys["training"].verifying.circuit_id
        pre = update_pre(self.federation, d.market.chain.chain_id, circuit_id, task, round_number, update)
        sealed = sealed_share(d.store, update, index, len(task.workers))
        plain = open_sealed(self._hpke, sealed, info_for_share(pre, index))
        share = Share.decode(plain, index=index, length=WeightLayout(d.spec.columns).update_size)
        return ReceivedShare(
            update.participant, share, share_commitment(update.update, update.share_commitments, index)
        )

    def _bind(self, task: TaskInfo, round_number: int, updates: Sequence[Update]) -> None:
        """Remember which set was summed over this model, before anything is released."""
        members = _core.keccak256(b"".join(update.update for update in updates)).hex()
        served: dict[str, list[object]] = dict(self.state.get("served", {}))
        before = served.get(task.model.hex())
        mine: list[object] = [task.task_id, round_number, members]
        if before is not None and before != mine:
            raise StateError(
                f"a sum over this model was served in task {before[0]}, round {before[1]}: a second one whose members "
                "differ would show an update"
            )
        served[task.model.hex()] = mine
        self.state.put(served=served)

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
        d = self.deployment
        length = WeightLayout(d.spec.columns).update_size
        rows = [update.rows for update in updates]
        good: list[Output] = []
        for index, sealed in sorted(sealed_outputs.items()):
            plain = open_sealed(self._hpke, sealed, info_for_output(self.round_tag(task, round_number), index))
            output = Output.decode(plain, index=index, length=length)
            check_output(output, [u.update for u in updates], [u.share_commitments for u in updates], rows, d.srs)
            good.append(output)
        vector = reconstruct(good, task.threshold)
        try:
            total = _core.fr_to_i64(np.ascontiguousarray(vector[: d.spec.columns]))
        except ValueError:
            raise SharingError("the sum is out of the range that training proofs guarantee") from None
        quotient, remainder = divide(total, sum(rows))
        fresh = GlobalModel(model.weights + quotient, model.weight_scale)
        return Sum(sum(rows), total, np.ascontiguousarray(vector[d.spec.columns :]), quotient, remainder, fresh)

    def aggregate(self, task: TaskInfo, round_number: int, updates: Sequence[Update], result: Sum) -> Aggregate:
        """Make the aggregation proof of a round, as the account that will send it."""
        d, keys = self.deployment, self.deployment.keys["aggregation"]
        new_model = d.srs.commit(weight_vector(result.model.weights))
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

        step = weight_vector(result.quotient)
        rest = np.concatenate([weight_vector(result.remainder), result.blinding])
        proof = prove_linked(
            keys,
            AggregationStatement(d.spec.columns, d.spec.update_bound),
            AggregationWitness(result.count, result.quotient, result.remainder, result.blinding),
            d.srs,
            [step, rest],
            challenge,
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
        """Settle the round: one transaction verifies all training proofs and the aggregation proof."""
        return self.federation.finalize_round(self.account, task, updates, aggregate)
