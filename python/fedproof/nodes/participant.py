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
from fedproof.errors import SealingError, StateError, StorageError
from fedproof.learning.local import Trainer
from fedproof.learning.model import GlobalModel
from fedproof.ledger import Account, Receipt, SignedTransaction
from fedproof.ledger.anchor import NO_ANCHOR
from fedproof.ledger.federation import Federation, TaskInfo, Update
from fedproof.nodes.checkpoints import checkpoint
from fedproof.nodes.holder import OpenedDataset
from fedproof.nodes.models import check_class, check_model, described
from fedproof.nodes.outbox import forget, forget_under, send_once
from fedproof.nodes.params import Deployment
from fedproof.nodes.ready import Ready, ReadyUpdates
from fedproof.nodes.sealed import ShareIndex, put_shares
from fedproof.nodes.sent import SentShares
from fedproof.nodes.state import StateFile
from fedproof.nodes.submissions import submissions, submitted, trained_elsewhere
from fedproof.nodes.updating import check_trainer, make_update, update_statement
from fedproof.proving.linked import check_linked, prove_linked
from fedproof.proving.r1cs import FrArray
from fedproof.proving.transcript import (
    Challenges,
    attachments_word,
    sealing_context,
    share_commitments_digest,
    training_challenges,
    training_pre,
)
from fedproof.sealing import seal
from fedproof.sharing import Sharing, info_for_share, split
from fedproof.statements.layout import UPDATE_BLINDING
from fedproof.statements.models.vectors import model_vector
from fedproof.statements.vectors import dataset_vector
from fedproof.storage import content_id


@dataclass(frozen=True)
class Submitted:
    """A submission and what it took: seconds of training, sharing and sealing, and proving.

    `advice`: a line for each thing that this node's owner should rescale; of its private records, so for its eyes only.
    """

    update: Update
    receipt: Receipt
    seconds: dict[str, float]
    advice: tuple[str, ...] = ()


class Participant:
    """Trains on one granted dataset in one task.

    Args:
        seen: the federation at a depth. What follows from a round that failed must not come back with a fork.
        trainer: of tasks that ask for bounded updates; by default that of this package, for a model of the family.
    """

    def __init__(
        self,
        deployment: Deployment,
        federation: Federation,
        account: Account,
        state: StateFile,
        opened: OpenedDataset,
        seen: Federation | None = None,
        trainer: Trainer | None = None,
    ) -> None:
        self._trainer = trainer
        self.deployment = deployment
        self.federation = federation
        self.account = account
        self.state = state
        self.opened = opened
        self._seen = seen or federation
        self.sent = SentShares(state.folder / "sent")
        self.ready = ReadyUpdates(state)
        self._advice: tuple[str, ...] = ()

    def check_task(self, task: TaskInfo) -> None:
        """Refuse a task that is not what its description says, before anything is signed or published.

        Raises:
            StateError: keys, scales, start or thresholds are not those that this node would train under; or a trainer
                is given where training is proven. InputError: a trainer is missing.
        """
        d, params = self.deployment, task.params
        check_trainer(d.plan, self._trainer)
        description = described(d, task)
        for name, address in ((d.plan.key_name, params.training_key), ("aggregation", params.aggregation_key)):
            if d.market.verifying_key(address) != d.keys[name].verifying:
                raise StateError(f"task {task.task_id}: its {name} key is not the one of this node's circuit")
        if description.plan.statement != d.plan.statement:
            raise StateError(
                f"task {task.task_id}: its description asks for a {description.plan.statement}, and the tasks of this "
                f"federation ask for a {d.plan.statement}"
            )
        if description.plan != d.plan or params.mask_count != d.plan.mask_count:
            raise StateError(f"task {task.task_id}: its description names another model, capacity class or scales")
        if params.spec_digest != d.plan.digest():
            raise StateError(f"task {task.task_id}: the chain binds another {d.plan.title} than its description names")
        check_class(d, task)
        if d.market.dataset(self.opened.dataset_id).schema.hex() != description.schema:
            raise StateError(
                f"task {task.task_id}: dataset {self.opened.dataset_id} was listed under another schema than the task's"
            )
        try:
            check_model(d, description.start, params.model)
        except StorageError as error:
            raise StateError(f"task {task.task_id}: its start model cannot be used: {error}") from None
        if params.min_updates < 2 or len(task.workers) < 2 * params.threshold + 1:
            raise StateError(f"task {task.task_id}: its minimum or its committee would not hide an update")

    def enrol(self, task: TaskInfo) -> Receipt:
        """Check the task, publish C_X' = C_X + Com(m) with fresh masks, and take the dataset's slot under its terms."""
        self.check_task(task)
        d = self.deployment
        known: dict[str, Any] = dict(self.state.get("enrolments", {}))
        if str(task.task_id) not in known:
            fresh = _core.fr_random(d.plan.mask_count)
            known[str(task.task_id)] = {
                "masks": _core.fr_to_bytes(fresh).hex(),
                "spent": 0,
                "terms": task.terms.hex(),
            }
            self.state.put(enrolments=known)
        masks = self._masks(task.task_id)
        masked = self._masked(masks)

        def prepare() -> SignedTransaction:
            self.federation.allow(self.account, task.params.enrol_bond)
            call = self.federation.enrol_call(
                task.task_id, self.opened.dataset_id, masked, d.srs.commit(masks), task.terms
            )
            return self.federation.chain.prepare(call, self.account)

        # of this version of this dataset: what another fork was to enrol may not be free, granted, or the last one now
        name = f"enrol/{task.task_id}/{self.opened.dataset_id}/{self.opened.commitment.hex()[:16]}"
        return send_once(self.federation.chain, self.state, name, prepare)

    def _masked(self, masks: FrArray) -> bytes:
        """C_X' = C_X + Com(m)."""
        return _core.g1_add(self.opened.commitment, self.deployment.srs.commit(masks, self.deployment.layout.masks))

    def _masks(self, task: int) -> FrArray:
        return _core.fr_from_bytes(bytes.fromhex(self.state.get("enrolments")[str(task)]["masks"]))

    def _agreed(self, task: TaskInfo) -> dict[str, Any]:
        """What is saved of an enrolment, once it is sure that the task has the terms of then.

        Raises:
            StateError: nothing is saved, or the task has other terms now.
        """
        mine = dict(self.state.get("enrolments", {}).get(str(task.task_id), {}))
        if not mine:
            raise StateError(f"this state has no enrolment in task {task.task_id}; a restored backup may be too old")
        if mine.get("terms", task.terms.hex()) != task.terms.hex():
            raise StateError(f"task {task.task_id} had other terms when this node enrolled: its chain node lies")
        return mine

    def _check_backup(self, task: TaskInfo, mine: dict[str, Any]) -> None:
        published = len(submissions(self.federation, self.account.address, task))
        if published > mine["spent"]:
            raise StateError(
                f"the chain has {published} submissions of this enrolment, the saved state {mine['spent']}: it was "
                "restored from an old backup and would repeat a mask; enrol in a new task"
            )

    def _enrolment(self, task: TaskInfo) -> dict[str, Any]:
        """What is saved of an enrolment, once it is sure that there is a mask left.

        Raises:
            StateError: nothing is, or too little, or the task has other terms now.
        """
        mine = self._agreed(task)
        self._check_backup(task, mine)
        if mine["spent"] + 1 >= self.deployment.plan.mask_count:
            raise StateError(f"task {task.task_id}: all masks of this enrolment are spent; enrol in a new task")
        return mine

    def _reserve(self, task: TaskInfo, round_number: int) -> None:
        """Bind the model to this round, durably, before anything is published.

        Raises:
            StateError: no mask is left, or this model was trained in another round that may still be finished.
        """
        self._enrolment(task)
        trained: dict[str, list[int]] = dict(self.state.get("trained", {}))
        before = trained.get(task.model.hex())
        # In the same round another attempt is one more mask and fresh shares of the same update, if the last did not
        # get in: it was not finished, for that is saved, or it was rejected, and then no worker sums its shares.
        again = before == [task.task_id, round_number] and not self._is_in(task, round_number)
        if before is not None and not again and not self._seen.round_failed(*before):
            raise StateError(
                f"this model was trained on in task {before[0]}, round {before[1]}: two sums over one model whose "
                "members differ would show the update"
            )
        known = {(place[0], place[1]) for place in trained.values()}
        unknown = trained_elsewhere(self.federation, self._seen, self.account.address, task, round_number, known)
        if unknown is not None:
            raise StateError(
                f"the chain has an update of this account over this model in task {unknown[0]}, round {unknown[1]}, of "
                "which the saved state knows nothing: it was restored from an old backup; two sums over one model "
                "whose members differ would show the update"
            )
        trained[task.model.hex()] = [task.task_id, round_number]
        self.state.put(trained=trained)

    def _spend_mask(self, task: TaskInfo, round_number: int, update: Update, seconds: dict[str, float]) -> None:
        """Count the mask that the y of a proof spends, and keep the update, in one write before it leaves this node."""
        mine = self._enrolment(task)
        mine["spent"] += 1
        self.state.put(
            enrolments={**self.state.get("enrolments", {}), str(task.task_id): mine},
            ready=self.ready.with_one(task, round_number, update, seconds),
        )

    def _made_before(self, task: TaskInfo, round_number: int) -> Ready | None:
        """The update whose mask is spent and which did not get in; what is no longer of use is forgotten.

        Raises:
            StateError: the state is an old backup, or the task has other terms now.
        """
        self._check_backup(task, self._agreed(task))
        masked = self._masked(self._masks(task.task_id))
        found = self.ready.find(task, round_number, self.account.address, masked)
        bound = dict(self.state.get("trained", {})).get(task.model.hex()) == [task.task_id, round_number]
        before = submitted(self.federation, self.account.address, task, round_number)
        if found is not None and bound and found[0].update not in before:
            return found
        self.ready.drop(task, round_number)
        return None

    def _is_in(self, task: TaskInfo, round_number: int) -> bool:
        updates = self.federation.updates(task.task_id, round_number)
        return any(update.participant == self.account.address for update in updates)

    def train(self, task: TaskInfo, round_number: int, model: GlobalModel, anchor: int = NO_ANCHOR) -> Submitted:
        """Train on the model of this round, and submit the update, shared, sealed and proven.

        After an interruption it sends what it had saved. An update is made once, however often sending it fails: each
        proof spends a mask.

        Args:
            anchor: a block of the branch on which the round has this model; elsewhere the update is refused.

        Raises:
            StateError: the saved state forbids it.
            SealingError: the model is not the one that the chain committed to.
            ProofError: the proof that was made does not verify: the proving key is bad. Nothing was sent.
            ContractRejected: the chain refused the submission.
        """
        chain = self.federation.chain
        # of this model: in another fork the round may have trained on another one, and its update would be rejected
        name = f"submit/{task.task_id}/{round_number}/{task.model.hex()[:16]}"
        made: list[Ready] = []

        def prepare() -> SignedTransaction:
            ready = self._made_before(task, round_number)
            if ready is None:
                ready = self._make(task, round_number, model)
                checkpoint("made")
                self._spend_mask(task, round_number, *ready)  # what no store or key takes spends none
                checkpoint("spent")
            made[:] = [ready]
            return chain.prepare(self.federation.submit_update_call(task, ready[0], anchor), self.account)

        receipt = send_once(chain, self.state, name, prepare)
        self.ready.drop(task, round_number)
        self.sent.drop_before(task.task_id, round_number)
        forget_under(self.state, f"submit/{task.task_id}/{round_number - 1}/")
        if made:
            return Submitted(made[0][0], receipt, made[0][1], self._advice)
        updates = self.federation.updates(task.task_id, round_number)
        update = next((each for each in updates if each.participant == self.account.address), None)
        if update is None:
            forget(self.state, name)  # it was in, and has been rejected
            raise StateError(f"the update of round {round_number} of task {task.task_id} was rejected")
        return Submitted(update, receipt, {})

    def republish(self, task: TaskInfo, round_number: int, index: int) -> None:
        """Put the sealed share of worker `index` (from 1) into the store once more, with the index blob.

        Never a share in the clear: that an honest worker cannot fetch says nothing of the others, and its share would
        be the (t + 1)-th (protocol, section 6).

        Raises:
            StateError: what was sealed is not here.
        """
        sealed = self._sealed(task, round_number)
        if sealed[index - 1] is None:
            raise StateError(f"the sealed shares of round {round_number} of task {task.task_id} are lost")
        for blob in (sealed[index - 1], *sealed[: index - 1], *sealed[index:]):  # those of others may be gone with it
            if blob is not None:
                self.deployment.store.put(blob)
        self._republish_index(task, round_number)

    def _republish_index(self, task: TaskInfo, round_number: int) -> None:
        """Put the index of the shares into the store once more, if all that it is made of is here."""
        commitments, sealed = self.sent.commitments(task.task_id, round_number), self._sealed(task, round_number)
        if commitments is not None and None not in sealed:
            ids = tuple(bytes.fromhex(content_id(each)) for each in sealed if each is not None)
            self.deployment.store.put(ShareIndex(commitments, ids).encode())

    def _sealed(self, task: TaskInfo, round_number: int) -> list[bytes | None]:
        return [self.sent.sealed(task.task_id, round_number, j) for j in range(1, len(task.workers) + 1)]

    def revealed_id(self, task: TaskInfo, round_number: int, index: int) -> bytes:
        """The content id, 32 bytes, of what `reveal` would publish; nothing leaves this node. Errors as there."""
        return bytes.fromhex(content_id(self._share_to_reveal(task, round_number, index)))

    def reveal(self, task: TaskInfo, round_number: int, index: int) -> bytes:
        """Publish the share of worker `index` (from 1) in the clear; returns its content id, 32 bytes.

        Of one round at most t shares, whatever the chain says: t + 1 of them are the update.

        Raises:
            StateError: t others are published already, the share is not here, or the task has other terms now.
        """
        share = self._share_to_reveal(task, round_number, index)
        self._republish_index(task, round_number)  # the share is judged by what is in it
        key = f"{task.task_id}/{round_number}"
        revealed: dict[str, list[int]] = dict(self.state.get("revealed", {}))
        if index not in revealed.get(key, []):
            self.state.put(revealed={**revealed, key: [*revealed.get(key, []), index]})
        return bytes.fromhex(self.deployment.store.put(share))

    def _share_to_reveal(self, task: TaskInfo, round_number: int, index: int) -> bytes:
        self._agreed(task)  # t is one of them
        share = self.sent.share(task.task_id, round_number, index)
        if share is None:
            raise StateError(f"the share of worker {index} in round {round_number} of task {task.task_id} is lost")
        others = [
            each for each in self.state.get("revealed", {}).get(f"{task.task_id}/{round_number}", []) if each != index
        ]
        if len(others) >= task.threshold:
            raise StateError(
                f"{len(others)} shares of round {round_number} of task {task.task_id} are published: one more would "
                "show the update"
            )
        return share

    def _make(self, task: TaskInfo, round_number: int, model: GlobalModel) -> Ready:
        d, keys = self.deployment, self.deployment.update_keys
        if not model.fits(d.plan):
            raise SealingError(f"task {task.task_id}: the model is of another shape or scale than the plan's")
        weights = model_vector(d.plan, model.layers)
        if d.srs.commit(weights) != task.model:
            raise SealingError(f"task {task.task_id}: the model blob is not the one that the chain committed to")
        self._reserve(task, round_number)
        checkpoint("reserved")
        seconds = {}
        started = time.perf_counter()
        made = make_update(d.plan, self.opened, model, self._trainer)
        seconds["train"] = time.perf_counter() - started
        self._advice = made.advice

        started = time.perf_counter()
        blinding = _core.fr_random(UPDATE_BLINDING)
        vector = made.vector(blinding)
        commitment = d.srs.commit(vector)
        sharing = split(vector, task.threshold, len(task.workers), d.srs)
        seconds["share"] = time.perf_counter() - started

        masks = np.concatenate([self.opened.blinding, self._masks(task.task_id)])
        dataset = dataset_vector(self.opened.features, self.opened.mask, self.opened.labels, masks)
        masked = d.srs.commit(dataset)
        share_digest = share_commitments_digest(sharing.commitments_r)
        sealed_digest: list[bytes] = []
        drawn: list[Challenges] = []

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
            )
            begun = time.perf_counter()
            context = sealing_context(pre, share_digest)
            sealed = seal_shares(sharing, [w.hpke_key for w in task.workers], context)
            plain = [share.encode() for share in sharing.shares]
            self.sent.keep(task.task_id, round_number, sharing.commitments_r, sealed, plain)
            checkpoint("kept shares")
            sealed_digest.append(put_shares(d.store, sharing.commitments_r, sealed))
            seconds["share"] += time.perf_counter() - begun
            drawn.append(training_challenges(pre, attachments_word(share_digest, sealed_digest[0])))
            return drawn[0]

        started = time.perf_counter()
        proof = prove_linked(
            keys,
            update_statement(d.plan),
            made.witness(masks, blinding),
            d.srs,
            [dataset, weights, vector],
            challenge,
        )
        seconds["prove"] = time.perf_counter() - started
        # The chain looks at it only when the round settles or somebody rejects it, and then the bond is gone.
        check_linked(keys.verifying, [], drawn[0], proof, [masked, task.model, commitment])
        update = Update(
            participant=self.account.address,
            rows=self.opened.rows,
            masked_dataset=masked,
            update=commitment,
            share_digest=share_digest,
            sealed_digest=sealed_digest[0],
            proof=proof,
        )
        return update, seconds


def seal_shares(sharing: Sharing, worker_keys: list[bytes], context: bytes) -> list[bytes]:
    """Seal share j to worker j, with chain, task, round, participant and D bound in the context."""
    return [
        seal(key, share.encode(), info_for_share(context, share.index))
        for key, share in zip(worker_keys, sharing.shares, strict=True)
    ]
