"""The auditor's checks of what a task fixed, and of who joined it, from public data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.app.audit_base import direct_call, number_words, plain, relayed, require
from fedproof.app.audit_market import GrantAuditor, listing_at
from fedproof.data import Schema, Table
from fedproof.data.public import decode_table
from fedproof.errors import SealingError
from fedproof.learning.architecture import Model
from fedproof.learning.model import GlobalModel, TaskDescription, model_bytes
from fedproof.learning.scoring import score
from fedproof.ledger.federation import Enrolment, Federation, TaskInfo
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import TIER_TRAINING
from fedproof.proving.keys import VerifyingKey
from fedproof.sealing.hpke import check_public_key
from fedproof.statements.labels import LabelKind
from fedproof.statements.models.vectors import model_vector
from fedproof.storage import BlobStore

Float = NDArray[np.float64]


class TaskAuditor:
    """Checks what one finished task was opened with. What it holds serves the checks of its rounds."""

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
        self.notes: list[str] = []
        """What nobody can check again."""
        self.start = self.model(description.start, task.params.model, "the start model")
        self.schema = Schema.decode(store.get(description.schema))
        self.test: Table = decode_table(store.get(description.test))

    @property
    def update_key(self) -> VerifyingKey:
        """Of the statement that updates are proven with."""
        return self.keys[self.description.plan.key_name]

    def model(self, content_id: str, commitment: bytes, what: str) -> GlobalModel:
        """A model that was published, as the task's model and of the commitment on chain."""
        plan = self.description.plan
        model = GlobalModel.decode(self.store.get(content_id, limit=model_bytes(plan)))
        require(model.fits(plan), f"{what} has another shape or scale than the task's description")
        require(
            self.srs.commit(model_vector(plan, model.layers)) == commitment,
            f"{what} is not the one that the chain committed to",
        )
        return model

    def check_terms(self) -> str:
        """Terms, keys, schema, test part and committee fit together."""
        task, params, where = self.task, self.task.params, f"task {self.task.task_id}"
        committee = [(worker.address, worker.hpke_key) for worker in task.workers]
        require(
            self.federation.terms_of(task.sponsor, params, committee) == task.terms,
            f"{where}: its terms are not the hash of what it fixed",
        )
        chain = self.market.chain
        for name, address, digest, circuit in (
            (self.description.plan.key_name, params.training_key, params.training_key_hash, task.training_circuit),
            ("aggregation", params.aggregation_key, params.aggregation_key_hash, task.aggregation_circuit),
        ):
            require(_core.keccak256(chain.code_at(address)) == digest, f"{where}: its terms name another {name} key")
            require(self.keys[name].circuit_id == circuit, f"{where}: it was opened for another {name} circuit")
        plan = self.description.plan
        require(params.spec_digest == plan.digest(), f"{where}: the chain fixed another {plan.title} than described")
        require(params.mask_count == plan.mask_count, f"{where}: its description names another number of masks")
        require(params.min_updates >= 2, f"{where}: a sum of one update would show it")
        require(
            (self.schema.columns, self.schema.rows) == (plan.columns, plan.rows),
            f"{where}: its schema has another shape than its description",
        )
        require(
            self.schema.label_kind == LabelKind.of(plan.model),
            f"{where}: its schema has labels of kind {self.schema.label_kind}, which are not those of its model",
        )
        test = self.test
        named = (self.schema.features, self.schema.classes, self.schema.target.name if self.schema.target else "")
        require(
            (test.feature_names, test.class_names, test.target) == named,
            f"{where}: its test part has other features or classes than its schema",
        )
        self._check_committee(where)
        return (
            f"{where}: terms, keys, start model, schema, test part and committee are those that the chain fixed; "
            f"{len(task.workers)} workers, any {task.threshold} learn nothing"
        )

    def _check_committee(self, where: str) -> None:
        workers = self.task.workers
        require(len(workers) >= 2 * self.task.threshold + 1, f"{where}: its committee is too small for its threshold")
        for what, values in (("address", [w.address for w in workers]), ("HPKE key", [w.hpke_key for w in workers])):
            require(len(set(values)) == len(workers), f"{where}: two workers have one {what}, so one reads two shares")
        for place, worker in enumerate(workers, 1):
            try:
                check_public_key(worker.hpke_key)
            except SealingError as error:
                require(False, f"{where}: worker {place}: {error}")

    def check_enrolment(self, enrolment: Enrolment, grants: GrantAuditor) -> str:
        """C_X' is the C_X that was listed then with masks alone on top, and the participant held a grant."""
        where = f"enrolment of dataset {enrolment.dataset_id}"
        chain = self.market.chain
        call = direct_call(chain, self.federation.contract, enrolment.tx_hash, "enrol", enrolment.participant)
        listed = listing_at(self.market, enrolment.dataset_id, enrolment)
        require(listed.rows == enrolment.rows, f"{where}: it counts other rows than the listing")
        difference = _core.g1_add(enrolment.masked_dataset, _core.g1_neg(listed.commitment))
        require(difference != bytes(64), f"{where}: it has no masks")
        require(
            grants.held(enrolment.dataset_id, enrolment.participant, enrolment.block_number),
            f"{where}: its participant held no Tier-{TIER_TRAINING} grant",
        )
        if call is None:
            self.notes.append(relayed(where))
            return f"dataset {enrolment.dataset_id}: enrolled by its grantee, masked"
        require(call["terms"] == self.task.terms, f"{where}: it was made for other terms")
        mask, tau_d = number_words(plain(call["mask"])), self.update_key.tau_d
        require(
            tau_d is not None and _core.ec_pairing(difference + _core.g2_generator() + _core.g1_neg(mask) + tau_d),
            f"{where}: the masked dataset is not the listed one plus masks",
        )
        return f"dataset {enrolment.dataset_id}: enrolled by its grantee, masked and otherwise unchanged"

    def score(self, final: GlobalModel) -> str | None:
        """The scores of the final model on the public test part; None for one outside the family."""
        if not isinstance(final.model, Model):
            return None
        features: Float = self.schema.standardise(self.test.features)
        labels = self.schema.standardise_labels(self.test.labels)
        found = score(final.model, final.real(), features, labels).brief()
        return f"the final model scores {found} on the public test part"
