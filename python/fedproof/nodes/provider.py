"""The provider's node: lists a dataset with its proof, and answers grants with the tier's key (protocol, section 6)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fedproof import _core
from fedproof.data import Records, Schema, Table
from fedproof.errors import StateError
from fedproof.learning import sgd
from fedproof.ledger import Account
from fedproof.ledger.market_types import DatasetMinted, KeyDelivered, Terms
from fedproof.nodes.params import TIER_TRAINING, Deployment
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import LinkedProof, prove_linked
from fedproof.proving.transcript import Challenges
from fedproof.sealing.records import seal_records
from fedproof.sealing.tiers import Grant, TierKey, seal_tier_key_to
from fedproof.statements.layout import DATASET_BLINDING
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.vectors import dataset_vector


@dataclass(frozen=True)
class Listed:
    """A minted dataset, its proof, and the seconds that proving took."""

    minted: DatasetMinted
    proof: LinkedProof
    challenges: Challenges
    prove_seconds: float


class Provider:
    """Owns raw records. They leave this node only sealed under a tier key."""

    def __init__(self, deployment: Deployment, account: Account, state: StateFile) -> None:
        self.deployment = deployment
        self.account = account
        self.state = state

    @property
    def dataset(self) -> int | None:
        """Id of the listed dataset. After a crash between minting and saving, the chain still knows it."""
        known: int | None = self.state.get("dataset")
        committed = self.state.get("commitment")
        if known is None and committed is not None:
            for listing in self.deployment.market.listings(provider=self.account.address):
                if listing.commitment.hex() == committed:
                    self.state.put(dataset=listing.dataset_id)
                    return listing.dataset_id
        return known

    def list_dataset(self, table: Table, schema: Schema, thresholds: tuple[int, ...]) -> Listed:
        """Quantise, commit, seal, prove and mint. `thresholds` are base units for tiers 0 to 5 (0: not offered).

        Raises:
            StateError: this node has listed a dataset already; one state folder holds one dataset.
        """
        if self.dataset is not None:
            raise StateError(f"{self.account.name} has listed dataset {self.dataset} already")
        d = self.deployment
        blinding = _core.fr_random(DATASET_BLINDING)
        features = schema.quantise(table.features)
        records = Records(schema.digest, features, table.labels, _core.fr_to_bytes(blinding))
        padded, mask, labels = sgd.pad(d.spec, features, table.labels)
        vector = dataset_vector(padded, mask, labels, blinding)
        commitment = d.srs.commit(vector)
        key = TierKey.generate()
        self.state.put(tier_key=key.encode().hex(), records=records.encode().hex(), commitment=commitment.hex())

        sealed = b"".join(seal_records(key.down_to(TIER_TRAINING), commitment, [records.encode()]))
        files = [bytes(32)] * 6
        files[TIER_TRAINING] = bytes.fromhex(d.store.put(sealed))
        terms = Terms(d.class_id, bytes.fromhex(d.store.put(schema.encode())), thresholds, tuple(files))
        keys = d.keys["listing"]

        def challenge(point: bytes) -> Challenges:
            return d.market.listing_challenges(
                self.account.address, terms, commitment, table.rows, keys.circuit.circuit_id, point
            )

        started = time.perf_counter()
        proof = prove_linked(
            keys,
            ListingStatement(d.spec.rows, d.spec.columns),
            ListingWitness(padded, mask, labels, blinding),
            d.srs,
            [vector],
            challenge,
        )
        seconds = time.perf_counter() - started
        minted = d.market.mint_dataset(self.account, terms, commitment, table.rows, proof)
        self.state.put(dataset=minted.dataset_id)
        return Listed(minted, proof, challenge(proof.d), seconds)

    def answer_grants(self) -> list[KeyDelivered]:
        """Seal the tier's key to every grantee that has none yet; safe to repeat.

        What the chain says was delivered is not sent again, so that a crash between event and answer loses nothing.
        A grant that ended unanswered is passed over: the registry refuses a key for it, and the others must get theirs.
        """
        d = self.deployment
        dataset = self.dataset
        if dataset is None:
            return []
        key = TierKey.decode(bytes.fromhex(self.state.get("tier_key")))
        last_delivery = {
            (event.grantee, event.tier): event.block_number for event in d.market.deliveries(datasetId=dataset)
        }
        latest = {(grant.grantee, grant.tier): grant for grant in d.market.grants(datasetId=dataset)}
        now = d.market.chain.timestamp()
        out = []
        for (grantee, tier), grant in latest.items():
            if grant.expiry <= now or last_delivery.get((grantee, tier), -1) >= grant.block_number:
                continue
            context = Grant(
                d.market.chain.chain_id,
                bytes.fromhex(d.market.addresses.registry[2:]),
                dataset,
                tier,
                bytes.fromhex(grantee[2:]),
            )
            sealed = seal_tier_key_to(grant.hpke_key, key, context)
            out.append(d.market.deliver_key(self.account, dataset, grantee, tier, sealed))
        return out
