"""The participant's node: enrols a dataset in a task, trains, shares, seals, proves and submits (protocol, sections 4
to 7).

Saved before they are acted on: how many masks of an enrolment are spent (each published y spends one), which round a
model was trained in (two sums over one model whose members differ would show an update), every transaction, and what
answers to complaints will need.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedproof import _core
from fedproof.errors import SealingError, StateError
from fedproof.learning import sgd
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger import Account, Receipt, SignedTransaction
from fedproof.ledger.federation import Federation, TaskInfo, Update
from fedproof.nodes.holder import OpenedDataset
from fedproof.nodes.loop import checkpoint
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.params import Deployment
from fedproof.nodes.sent import SentShares
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import Challenges, training_challenges, training_pre
from fedproof.sealing import seal
from fedproof.sharing import Sharing, info_for_share, split
from fedproof.statements.layout import UPDATE_BLINDING
from fedproof.statements.training import TrainingStatement, TrainingWitness
from fedproof.statements.vectors import dataset_vector, update_vector, weight_vector
from fedproof.storage import BlobStore


@dataclass(frozen=True)
class Submitted:
    """A submission and what it took: seconds of training, sharing and sealing, and proving."""

    update: Update
    receipt: Receipt
    seconds: dict[str, float]


def put_shares(store: BlobStore, sealed: list[bytes]) -> bytes:
    """Store sealed shares and their index; returns the index's content id as 32 bytes, the sealed digest."""
    return bytes.fromhex(store.put(b"".join(bytes.fromhex(store.put(blob)) for blob in sealed)))


class Participant:
    """Trains on one granted dataset in one task."""

    def __init__(
        self, deployment: Deployment, federation: Federation, account: Account, state: StateFile, opened: OpenedDataset
    ) -> None:
        self.deployment = deployment
        self.federation = federation
        self.account = account
        self.state = state
        self.opened = opened
        self.sent = SentShares(state.folder / "sent")

    def check_task(self, task: TaskInfo) -> None:
        """Refuse a task that is not what its description says, before anything is signed or published.

        Raises:
            StateError: keys, scales, start or thresholds are not those that this node would train under.
        """
        d, params = self.deployment, task.params
        description = TaskDescription.decode(d.store.get(params.description.hex()))
        start = GlobalModel.decode(d.store.get(description.start))
        for name, address in (("training", params.training_key), ("aggregation", params.aggregation_key)):
            if d.market.verifying_key(address) != d.keys[name].verifying:
                raise StateError(f"task {task.task_id}: its {name} key is not the one of this node's circuit")
        if description.spec != d.spec or params.mask_count != d.spec.mask_count:
            raise StateError(f"task {task.task_id}: its description names another capacity class or other scales")
        if d.srs.commit(weight_vector(start.weights)) != params.model:
            raise StateError(f"task {task.task_id}: the start model is not the one that the chain committed to")
        if params.min_updates < 2 or len(task.workers) < 2 * params.threshold + 1:
            raise StateError(f"task {task.task_id}: its minimum or its committee would not hide an update")

    def enrol(self, task: TaskInfo) -> Receipt:
        """Check the task, publish C_X' = C_X + Com(m) with fresh masks, and take the dataset's slot under its terms."""
        self.check_task(task)
        d = self.deployment
        known: dict[str, Any] = dict(self.state.get("enrolments", {}))
        if str(task.task_id) not in known:
            fresh = _core.fr_random(d.spec.mask_count)
            known[str(task.task_id)] = {"masks": _core.fr_to_bytes(fresh).hex(), "spent": 0}
            self.state.put(enrolments=known)
        masks = self._masks(task.task_id)
        masked = _core.g1_add(self.opened.commitment, d.srs.commit(masks, d.layout.masks))

        def prepare() -> SignedTransaction:
            self.federation.allow(self.account, task.params.enrol_bond)
            call = self.federation.enrol_call(
                task.task_id, self.opened.dataset_id, masked, d.srs.commit(masks), task.terms
            )
            return self.federation.chain.prepare(call, self.account)

        return send_once(self.federation.chain, self.state, f"enrol/{task.task_id}", prepare)

    def _masks(self, task: int) -> FrArray:
        return _core.fr_from_bytes(bytes.fromhex(self.state.get("enrolments")[str(task)]["masks"]))

    def _reserve(self, task: TaskInfo, round_number: int) -> None:
        """Spend a mask and bind the model to this round, durably, before anything is published.

        Raises:
            StateError: no mask is left, or this model was trained in another round that may still be finished.
        """
        enrolments: dict[str, Any] = dict(self.state.get("enrolments", {}))
        mine = dict(enrolments.get(str(task.task_id), {}))
        if not mine:
            raise StateError(f"this state has no enrolment in task {task.task_id}; a restored backup may be too old")
        published = self._published(task)
        if published > mine["spent"]:
            raise StateError(
                f"the chain has {published} submissions of this enrolment, the saved state {mine['spent']}: it was "
                "restored from an old backup and would repeat a mask; enrol in a new task"
            )
        if mine["spent"] + 1 >= self.deployment.spec.mask_count:
            raise StateError(f"task {task.task_id}: all masks of this enrolment are spent; enrol in a new task")
        trained: dict[str, list[int]] = dict(self.state.get("trained", {}))
        before = trained.get(task.model.hex())
        # In the same round another attempt is one more mask and fresh shares of the same update, if the last did not
        # get in: it was not sent, for what is sent is saved, or it was rejected, and then no worker sums its shares.
        again = before == [task.task_id, round_number] and not self._is_in(task, round_number)
        if before is not None and not again and not self.federation.round_failed(*before):
            raise StateError(
                f"this model was trained on in task {before[0]}, round {before[1]}: two sums over one model whose "
                "members differ would show the update"
            )
        mine["spent"] += 1
        enrolments[str(task.task_id)] = mine
        trained[task.model.hex()] = [task.task_id, round_number]
        self.state.put(enrolments=enrolments, trained=trained)

    def _is_in(self, task: TaskInfo, round_number: int) -> bool:
        updates = self.federation.updates(task.task_id, round_number)
        return any(update.participant == self.account.address for update in updates)

    def _published(self, task: TaskInfo) -> int:
        """Submissions of this participant in a task, as the chain has them."""
        where = {"task": task.task_id, "participant": self.account.address}
        contract = self.federation.contract
        return len(self.federation.chain.events(contract, "UpdateSubmitted", task.opened_block, argument_filters=where))

    def train(self, task: TaskInfo, round_number: int, model: GlobalModel) -> Submitted:
        """Train on the model of this round, and submit the update, shared, sealed and proven.

        After an interruption it sends what it had saved, and else makes the update anew.

        Raises:
            StateError: the saved state forbids it.
            SealingError: the model is not the one that the chain committed to.
            ProofError: the proof that was made does not verify: the proving key is bad. Nothing was sent.
            ContractRejected: the chain refused the submission.
        """
        chain, name = self.federation.chain, f"submit/{task.task_id}/{round_number}"
        made: list[tuple[Update, dict[str, float]]] = []

        def prepare() -> SignedTransaction:
            made.append(self._make(task, round_number, model))
            checkpoint("made")
            return chain.prepare(self.federation.submit_update_call(task, made[0][0]), self.account)

        receipt = send_once(chain, self.state, name, prepare)
        self.sent.drop_before(task.task_id, round_number)
        forget(self.state, f"submit/{task.task_id}/{round_number - 1}")
        if made:
            return Submitted(made[0][0], receipt, made[0][1])
        updates = self.federation.updates(task.task_id, round_number)
        update = next((each for each in updates if each.participant == self.account.address), None)
        if update is None:
            forget(self.state, name)  # it was in, and has been rejected
            raise StateError(f"the update of round {round_number} of task {task.task_id} was rejected")
        return Submitted(update, receipt, {})

    def _make(self, task: TaskInfo, round_number: int, model: GlobalModel) -> tuple[Update, dict[str, float]]:
        d, keys = self.deployment, self.deployment.keys["training"]
        weights = weight_vector(model.weights)
        if d.srs.commit(weights) != task.model:
            raise SealingError(f"task {task.task_id}: the model blob is not the one that the chain committed to")
        self._reserve(task, round_number)
        seconds = {}
        started = time.perf_counter()
        trace = sgd.train(d.spec, self.opened.features, self.opened.mask, self.opened.labels, model.weights)
        seconds["train"] = time.perf_counter() - started

        started = time.perf_counter()
        blinding = _core.fr_random(UPDATE_BLINDING)
        vector = update_vector(trace.update, blinding)
        commitment = d.srs.commit(vector)
        sharing = split(vector, task.threshold, len(task.workers), d.srs)
        seconds["share"] = time.perf_counter() - started

        masks = np.concatenate([self.opened.blinding, self._masks(task.task_id)])
        dataset = dataset_vector(self.opened.features, self.opened.mask, self.opened.labels, masks)
        masked = d.srs.commit(dataset)
        sealed_digest: list[bytes] = []
        sent_pre: list[bytes] = []

        def challenge(point: bytes) -> Challenges:
            pre = training_pre(
                chain_id=d.market.chain.chain_id,
                federation=self.federation.address,
                task=task.task_id,
                round_number=round_number,
                participant=self.account.address,
                circuit_id=keys.circuit.circuit_id,
                masked_dataset=masked,
                model=task.model,
                update=commitment,
                d=point,
                share_commitments=sharing.commitments_r,
            )
            sent_pre.append(pre)
            begun = time.perf_counter()
            sealed = seal_shares(sharing, [w.hpke_key for w in task.workers], pre)
            self.sent.keep(task.task_id, round_number, sealed, [share.encode() for share in sharing.shares])
            sealed_digest.append(put_shares(d.store, sealed))
            seconds["share"] += time.perf_counter() - begun
            return training_challenges(pre, sealed_digest[0])

        started = time.perf_counter()
        proof = prove_linked(
            keys,
            TrainingStatement(d.spec),
            TrainingWitness(self.opened.features, self.opened.mask, self.opened.labels, masks, trace, blinding),
            d.srs,
            [dataset, weights, vector],
            challenge,
        )
        seconds["prove"] = time.perf_counter() - started
        # The chain looks at it only when the round settles or somebody rejects it, and then the bond is gone.
        challenges = training_challenges(sent_pre[0], sealed_digest[0])
        check_linked(keys.verifying, [], challenges, proof, [masked, task.model, commitment])
        update = Update(
            participant=self.account.address,
            rows=self.opened.rows,
            masked_dataset=masked,
            update=commitment,
            share_commitments=tuple(sharing.commitments_r),
            sealed_digest=sealed_digest[0],
            proof=proof,
        )
        return update, seconds


def seal_shares(sharing: Sharing, worker_keys: list[bytes], pre: bytes) -> list[bytes]:
    """Seal share j to worker j, with chain, task, round, participant and D bound in the context."""
    return [
        seal(key, share.encode(), info_for_share(pre, share.index))
        for key, share in zip(worker_keys, sharing.shares, strict=True)
    ]
