"""The auditor's checks of a task, from public data: terms, enrolments, every update, aggregate and payment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.app.audit_market import decoded_call, number_words, require
from fedproof.errors import AuditError, FedproofError
from fedproof.learning.metrics import accuracy
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger.federation import Aggregate, Enrolment, Federation, SettledRound, TaskInfo, Update
from fedproof.ledger.federation_types import linked_proof
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.worker import check_aggregate, sealed_share, update_pre
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import check_linked
from fedproof.proving.transcript import training_challenges
from fedproof.sealing import sealed_length, suite_of_public_key
from fedproof.sharing.share import HEAD_BYTES, VALUE_BYTES
from fedproof.statements.layout import WeightLayout
from fedproof.statements.vectors import weight_vector
from fedproof.storage import BlobStore

Float = NDArray[np.float64]


class TaskAuditor:
    """Checks one finished task round by round; `models` grows with each."""

    def __init__(
        self,
        market: Marketplace,
        federation: Federation,
        store: BlobStore,
        srs: _core.Srs,
        description: TaskDescription,
        task: TaskInfo,
        keys: dict[str, VerifyingKey],
    ) -> None:
        self.market = market
        self.federation = federation
        self.store = store
        self.srs = srs
        self.description = description
        self.task = task
        self.keys = keys
        start = GlobalModel.decode(store.get(description.start))
        require(
            srs.commit(weight_vector(start.weights)) == task.params.model,
            "the start model is not the one that the task committed to",
        )
        self.models = [(task.params.model, start)]

    def check_enrolment(self, enrolment: Enrolment) -> str:
        """C_X' is the listed C_X with masks alone on top, and the participant held a grant."""
        where = f"enrolment of dataset {enrolment.dataset_id}"
        _, call = decoded_call(self.market.chain, self.federation.contract, enrolment.tx_hash)
        listed = self.market.dataset(enrolment.dataset_id)
        require(listed.rows == enrolment.rows, f"{where}: it counts other rows than the listing")
        require(call["terms"] == self.task.terms, f"{where}: it was made for other terms")
        mask = number_words(call["mask"].values() if isinstance(call["mask"], dict) else call["mask"])
        difference = _core.g1_add(enrolment.masked_dataset, _core.g1_neg(listed.commitment))
        tau_d = self.keys["training"].tau_d
        require(
            tau_d is not None and _core.ec_pairing(difference + _core.g2_generator() + _core.g1_neg(mask) + tau_d),
            f"{where}: the masked dataset is not the listed one plus masks",
        )
        block = self.market.chain.receipt(enrolment.tx_hash).block_number
        grants = self.market.grants(datasetId=enrolment.dataset_id, grantee=enrolment.participant, tier=TIER_TRAINING)
        then = self.market.chain.timestamp(block)
        require(
            any(grant.block_number <= block and grant.expiry > then for grant in grants),
            f"{where}: its participant held no Tier-{TIER_TRAINING} grant",
        )
        return f"dataset {enrolment.dataset_id}: enrolled by its grantee, masked and otherwise unchanged"

    def check_round(self, settled: SettledRound) -> list[str]:
        """All proofs, shares and commitments of a settled round."""
        number = settled.round
        before = self.models[-1][0]
        task = replace(self.task, model=before, round=number)
        updates = self.federation.updates(task.task_id, number)
        for update in updates:
            self._check_update(task, number, update)
        rows = sum(update.rows for update in updates)
        require(rows == settled.total_rows, f"round {number}: the chain counts {settled.total_rows} rows, not {rows}")
        require(len(updates) >= max(2, task.min_updates), f"round {number}: fewer updates than the minimum were summed")
        return [
            f"round {number}: {len(updates)} training proofs hold, each from challenges computed anew",
            f"round {number}: {len(updates)} x {len(task.workers)} sealed shares are stored whole, of the right degree",
            self._check_end(task, settled, updates),
        ]

    def _check_end(self, task: TaskInfo, settled: SettledRound, updates: list[Update]) -> str:
        """The aggregate of a round, or that it never got one."""
        number = settled.round
        if settled.leader is None or settled.new_model is None or settled.content_id is None:
            return f"round {number}: nobody settled it in time; its participants are paid and the model stays"
        self._check_average(task, settled, updates, settled.leader)
        model = GlobalModel.decode(self.store.get(settled.content_id.hex()))
        require(
            self.srs.commit(weight_vector(model.weights)) == settled.new_model,
            f"round {number}: the published model is not the one that the chain committed to",
        )
        self.models.append((settled.new_model, model))
        return f"round {number}: the new model is the average of exactly these updates over {settled.total_rows} rows"

    def _check_update(self, task: TaskInfo, number: int, update: Update) -> None:
        where = f"round {number}, update of {update.participant}"
        vk = self.keys["training"]
        pre = update_pre(self.federation, self.market.chain.chain_id, vk.circuit_id, task, number, update)
        challenges = training_challenges(pre, update.sealed_digest)
        try:
            check_linked(vk, [], challenges, update.proof, [update.masked_dataset, task.model, update.update])
            require(len(update.share_commitments) == task.threshold, f"{where}: shares of another degree")
            for point in update.share_commitments:
                _core.g1_check(point)
            length = HEAD_BYTES + VALUE_BYTES * WeightLayout(self.description.spec.columns).update_size
            for place, worker in enumerate(task.workers, 1):
                blob = sealed_share(self.store, update, place, len(task.workers))
                expected = sealed_length(suite_of_public_key(worker.hpke_key), length)
                require(len(blob) == expected, f"{where}: the sealed share of worker {place} has {len(blob)} bytes")
        except (FedproofError, ValueError) as error:
            raise AuditError(f"{where}: {error}") from None

    def _check_average(self, task: TaskInfo, settled: SettledRound, updates: list[Update], leader: str) -> None:
        number = settled.round
        _, call = decoded_call(self.market.chain, self.federation.contract, settled.tx_hash)
        aggregate = _aggregate(call["aggregate"])
        require(
            aggregate.new_model == settled.new_model, f"round {number}: the event names another model than the proof"
        )
        try:
            check_aggregate(self.federation, self.keys["aggregation"], task, number, updates, aggregate, leader)
        except FedproofError as error:
            raise AuditError(f"round {number}: aggregation proof: {error}") from None

    def check_payments(self, rounds: list[SettledRound]) -> str:
        """Every claim is the claimant's share by rows, and no token appears or is lost."""
        chain, federation = self.market.chain, self.federation
        reward = self.task.params.reward_per_round
        rows: list[str] = [each.participant for each in federation.enrolments(self.task.task_id)]
        earned = dict.fromkeys(rows, 0)
        for settled in rounds:
            for update in federation.updates(self.task.task_id, settled.round):
                earned[update.participant] += reward // settled.total_rows * update.rows
        paid = dict.fromkeys(rows, 0)
        where = {"task": self.task.task_id}
        for event in chain.events(federation.contract, "Claimed", argument_filters=where):
            paid[event.args["participant"]] += int(event.args["reward"])
        for participant, amount in paid.items():
            require(
                amount in (0, earned[participant]),
                f"{participant} was paid {amount} where its rows earned {earned[participant]}",
            )
        escrowed = reward * self.task.params.rounds
        back = sum(int(e.args["amount"]) for e in chain.events(federation.contract, "Refunded", argument_filters=where))
        held = federation.task_info(self.task.task_id).escrow
        require(
            sum(paid.values()) + back + held == escrowed,
            f"the task escrowed {escrowed}: paid {sum(paid.values())}, refunded {back}, held {held}",
        )
        return f"payments: {len(rounds)} rounds paid by proven rows; what was escrowed is paid, refunded or still held"

    def score(self, features: Float, labels: Any) -> str:
        """Accuracy of the final model on the public test part."""
        final = self.models[-1][1]
        return f"the final model scores {accuracy(final.real(), features, labels):.4f} on the public test part"


def _aggregate(values: Any) -> Aggregate:
    """The aggregate in finalize's calldata."""
    model, d, content_id, proof = _plain(values)
    return Aggregate(number_words(model), bytes(content_id), linked_proof(number_words(d), proof))


def _plain(value: Any) -> Any:
    """Structs of calldata as nested tuples, in the order of their fields."""
    if isinstance(value, dict):
        return tuple(_plain(each) for each in value.values())
    return tuple(_plain(each) for each in value) if isinstance(value, list | tuple) else value
