"""A holder of marketplace tokens: locks them in a note, proves eligibility, and opens the records it is granted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedproof import _core
from fedproof.data import Records, Schema
from fedproof.errors import ProofError, SealingError, StateError
from fedproof.learning import sgd
from fedproof.learning.fixed import Int
from fedproof.ledger import Account
from fedproof.ledger.market_types import AccessGranted
from fedproof.nodes.params import TIER_TRAINING, Deployment
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import prove_plain
from fedproof.proving.r1cs import FrArray
from fedproof.sealing import Grant, KeyPair, open_records, open_tier_key
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import LeanImt, Note, new_secret, nullifier_of, owner_of
from fedproof.statements.vectors import dataset_vector


@dataclass(frozen=True, eq=False, repr=False)
class OpenedDataset:
    """Granted records, checked against the listing: padded arrays and the blinding `(2, 4)` of C_X."""

    dataset_id: int
    rows: int
    features: Int
    mask: Int
    labels: Int
    blinding: FrArray
    commitment: bytes


class Holder:
    """The marketplace side of a participant."""

    def __init__(self, deployment: Deployment, account: Account, state: StateFile) -> None:
        self.deployment = deployment
        self.account = account
        self.state = state
        if state.get("secret") is None:
            state.put(secret=hex(new_secret()), hpke=KeyPair.generate().private.hex(), notes=[])
        self._secret = int(state.get("secret"), 16)
        self._hpke = KeyPair.from_private_bytes(bytes.fromhex(state.get("hpke")))

    @property
    def hpke_public(self) -> bytes:
        """The HPKE key that grants are sealed to."""
        return self._hpke.public

    def lock(self, amount: int, unlock_epoch: int) -> None:
        """Lock tokens in a note of this holder."""
        market = self.deployment.market
        note = market.vault.deposit(self.account, amount, owner_of(self._secret), unlock_epoch)
        self.state.put(notes=[*self.state.get("notes"), note.leaf_index])

    def prove_eligibility(self, dataset_id: int, tier: int, duration: int) -> tuple[bytes, list[int]]:
        """An eligibility proof for this account and HPKE key, with its public inputs.

        Raises:
            ProofError: the locked notes do not reach the tier's threshold.
        """
        market = self.deployment.market
        terms = market.eligibility_terms(dataset_id, self.account.address, tier, duration, self.hpke_public)
        tree = LeanImt(market.vault.leaves())
        mine = set(self.state.get("notes"))
        notes = [
            Note(event.owner, event.amount, event.unlock_epoch, event.leaf_index)
            for event in market.vault.deposits()
            if event.leaf_index in mine and event.unlock_epoch > terms.epoch
        ]
        chosen = sorted(notes, key=lambda note: -note.amount)[:4]
        witness = EligibilityWitness(
            secret=self._secret,
            notes=chosen,
            proofs=[tree.proof(note.nonce) for note in chosen],
            root=tree.root,
            scope=terms.scope,
            threshold=terms.threshold,
            signal=terms.signal,
            epoch=terms.epoch,
        )
        return prove_plain(self.deployment.keys["eligibility"], EligibilityStatement(), witness)

    def request_access(self, dataset_id: int, duration: int, tier: int = TIER_TRAINING) -> AccessGranted:
        """Prove eligibility and take the grant."""
        return self.take_grant(dataset_id, duration, *self.prove_eligibility(dataset_id, tier, duration), tier=tier)

    def take_grant(
        self, dataset_id: int, duration: int, proof: bytes, public: list[int], tier: int = TIER_TRAINING
    ) -> AccessGranted:
        """Send an eligibility proof; the registry verifies it, burns the nullifier and records the grant."""
        root, scope, nullifier = public[:3]
        if nullifier != nullifier_of(self._secret, scope):
            raise ProofError("the proof carries another nullifier than this holder's")
        market = self.deployment.market
        return market.access_dataset(
            *(self.account, dataset_id, tier, duration, self.hpke_public),
            root=root,
            nullifier=nullifier,
            proof=proof,
            price=market.dataset(dataset_id).prices[tier],
        )

    def open_dataset(self, dataset_id: int, tier: int = TIER_TRAINING) -> OpenedDataset:
        """Open the delivered tier key and the sealed records, and check them against the listed commitment.

        Raises:
            StateError: the provider has not delivered the key yet.
            SealingError: key or records do not open, or are not what the listing committed to.
        """
        d, market = self.deployment, self.deployment.market
        delivered = market.deliveries(datasetId=dataset_id, grantee=self.account.address, tier=tier)
        if not delivered:
            raise StateError(f"the provider of dataset {dataset_id} has not delivered the key yet; try again later")
        version = delivered[-1].version
        listing = market.listing(dataset_id, version)
        context = Grant(
            market.chain.chain_id,
            bytes.fromhex(market.addresses.registry[2:]),
            dataset_id,
            tier,
            bytes.fromhex(self.account.address[2:]),
            version,
        )
        key = open_tier_key(self._hpke, delivered[-1].sealed_key, context)
        sealed = d.store.get(listing.terms.sealed_files[tier].hex())
        records = Records.decode(b"".join(open_records(key, listing.commitment, [sealed])))
        records.check_schema(Schema.decode(d.store.get(listing.terms.schema.hex())))
        features, mask, labels = sgd.pad(d.spec, records.features, np.asarray(records.labels))
        blinding = _core.fr_from_bytes(records.blinding)
        if d.srs.commit(dataset_vector(features, mask, labels, blinding)) != listing.commitment:
            raise SealingError(
                f"dataset {dataset_id}: the sealed records are not the listed ones; do not train on them"
            )
        return OpenedDataset(dataset_id, records.rows, features, mask, labels, blinding, listing.commitment)
