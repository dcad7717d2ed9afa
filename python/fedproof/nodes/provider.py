"""The provider's node: lists a dataset and its versions with their proofs, and answers grants with the tiers' keys
(protocol, section 6).

Secrets of a version (its top tier key, the blinding of each block) are drawn once and saved before anything is sealed
or published, and every transaction is saved before it is sent. So listing can be interrupted at any step and repeated:
it goes on where it stopped, and never lists twice.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from fedproof import _core
from fedproof.data import Records
from fedproof.errors import InputError, LedgerError, SealingError, StateError
from fedproof.learning import sgd
from fedproof.ledger import Account, SignedTransaction
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.market_types import TIERS, BlockAdded, DatasetMinted, KeyDelivered, Terms
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.offering import Block, Offering
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.params import TIER_TRAINING, ListingKit
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import LinkedProof, prove_linked
from fedproof.proving.transcript import Challenges
from fedproof.sealing.tiers import Grant, TierKey, seal_tier_key_to
from fedproof.statements.layout import DATASET_BLINDING
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.vectors import dataset_vector
from fedproof.storage.bundle import Source, seal_tier

RECORDS = "records-{:06d}.bin"
"""Name of the file with the records of a block in the bundle of Tier 3, from 1."""


@dataclass(frozen=True)
class Listed:
    """A listed version, its proof, and the seconds that proving its first block took."""

    minted: DatasetMinted
    proof: LinkedProof | None
    challenges: Challenges | None
    prove_seconds: float


@dataclass(frozen=True)
class Answers:
    """Keys that were delivered, and in words what could not be."""

    delivered: list[KeyDelivered]
    refused: list[str]


class Provider:
    """Owns raw records of one dataset. They leave this node only sealed under a tier key.

    Args:
        seen: the marketplace at a depth. A grant is answered once it is there: a key cannot be taken back.
    """

    def __init__(self, kit: ListingKit, account: Account, state: StateFile, seen: Marketplace | None = None) -> None:
        self.kit = kit
        self._seen = seen or kit.market
        self.account = account
        self.state = state

    @property
    def dataset(self) -> int | None:
        """Id of the dataset: taken over from another owner, or listed here, as the chain knows it by its commitment."""
        taken = self.state.get("taken")
        if taken is not None:
            return int(taken)
        draft = self._versions().get("1")
        if draft is None or "commitments" not in draft:
            return None
        for listing in self.kit.market.listings():
            if listing.version == 1 and listing.commitment.hex() == draft["commitments"][0]:
                return listing.dataset_id
        return None

    def list_dataset(self, offering: Offering) -> Listed:
        """Quantise, commit, seal, prove and mint; or go on where an earlier call was interrupted.

        Called again with the same offering it lists nothing and returns the same listing.

        Raises:
            StateError: this node has listed, or begun to list, something else.
        """
        if self._finished(1) and self._versions()["1"].get("digest") != offering.digest().hex():
            raise StateError(
                f"{self.account.name} has listed this as dataset {self.dataset}; use update for a new version"
            )
        return self._list(1, offering)

    def update(self, offering: Offering) -> Listed:
        """List the next version of the dataset, under new keys; or go on where an earlier call was interrupted.

        Repeated with the present version's files and terms it lists nothing and returns that version.

        Raises:
            StateError: nothing is listed yet, or the interrupted update was of something else.
        """
        dataset = self.dataset
        if dataset is None:
            raise StateError(f"{self.account.name} has listed no dataset from this folder yet")
        present = self.kit.market.dataset(dataset).version
        draft = self._versions().get(str(present), {})
        if (
            draft.get("digest") == offering.digest().hex()
            and self._finished(present)
            and self._is_mine(dataset, present)
        ):
            return Listed(self.kit.market.listing(dataset, present), None, None, 0.0)
        # what is on chain may still lack its later blocks
        begun = self._is_mine(dataset, present) and not self._finished(present)
        return self._list(present if begun else present + 1, offering)

    def take_over(self, dataset: int, versions: dict[int, TierKey]) -> None:
        """Go on as the provider of a dataset that another node listed, with the keys of these versions.

        Raises:
            StateError: this folder belongs to another dataset.
        """
        if self.dataset not in (None, dataset):
            raise StateError(f"this folder belongs to dataset {self.dataset}, not to dataset {dataset}")
        known = self._versions()
        for version, key in versions.items():
            if not self._is_mine(dataset, version):
                commitment = self.kit.market.listing(dataset, version).commitment.hex()
                draft = {"tier_key": key.encode().hex(), "commitments": [commitment], "finished": True}
                known[str(version)] = draft
        self.state.put(taken=dataset, versions=known)

    def tier_keys(self) -> dict[int, TierKey]:
        """The top tier keys that this node has of listed versions, by version."""
        dataset = self.dataset
        if dataset is None:
            return {}
        return {
            version: TierKey.decode(bytes.fromhex(self._versions()[str(version)]["tier_key"]))
            for version in sorted(map(int, self._versions()))
            if version <= self.kit.market.dataset(dataset).version and self._is_mine(dataset, version)
        }

    # -- listing a version --

    def _versions(self) -> dict[str, dict[str, Any]]:
        return dict(self.state.get("versions", {}))

    def _is_mine(self, dataset: int, version: int) -> bool:
        """Whether the listed version is the one that this folder has secrets of: another owner may have listed it."""
        known = self._versions().get(str(version), {}).get("commitments", [""])[0]
        return bool(known == self.kit.market.listing(dataset, version).commitment.hex())

    def _finished(self, version: int) -> bool:
        return bool(self._versions().get(str(version), {}).get("finished"))

    def _save(self, version: int, **values: Any) -> None:
        versions = self._versions()
        versions[str(version)] = {**versions.get(str(version), {}), **values}
        self.state.put(versions=versions)

    def _list(self, version: int, offering: Offering) -> Listed:
        self._check(offering)
        draft = self._draft(version, offering)
        blindings = [_core.fr_from_bytes(bytes.fromhex(each)) for each in draft["blindings"]]
        commitments = [self._commit(block, blind) for block, blind in zip(offering.blocks, blindings, strict=True)]
        self._save(version, commitments=[each.hex() for each in commitments])
        terms = self._terms(version, offering, blindings, commitments[0])
        made: list[Any] = [None, None, 0.0]
        blocks = iter(offering.blocks)
        first = next(blocks)
        market, rows = self.kit.market, len(first[1])

        def challenge(point: bytes) -> Challenges:
            circuit = self.kit.keys.circuit.circuit_id
            return market.listing_challenges(self.account.address, terms, commitments[0], rows, circuit, point)

        def prepare() -> SignedTransaction:
            started = time.perf_counter()
            proof = self._prove(first, blindings[0], challenge)
            made[:] = [proof, challenge(proof.d), time.perf_counter() - started]
            listing = (terms, commitments[0], rows, proof)
            if version == 1:
                return market.chain.prepare(market.mint_dataset_call(*listing), self.account)
            dataset = self.dataset
            assert dataset is not None
            return market.chain.prepare(market.update_dataset_call(dataset, *listing), self.account)

        receipt = send_once(market.chain, self.state, f"list/{version}", prepare)
        minted = DatasetMinted.of(receipt.event("DatasetMinted" if version == 1 else "DatasetUpdated"))
        for number, block in enumerate(blocks, 2):
            self._add_block(minted, number, block, blindings[number - 1], commitments[number - 1])
        self._save(version, finished=True)
        return Listed(minted, *made)

    def _check(self, offering: Offering) -> None:
        kit = self.kit
        if not len(offering.blocks):
            raise InputError("there are no rows to list")
        for features, labels in offering.blocks:
            if not 0 < len(labels) <= kit.rows or features.shape != (len(labels), kit.columns - 1):
                raise InputError(
                    f"a block of {features.shape} values does not fit the capacity class of {kit.rows} x {kit.columns}"
                )
        supply = int(kit.market.chain.call(kit.market.token.functions.totalSupply()))
        for tier in range(1, TIERS):
            if offering.thresholds[tier] > supply:
                raise InputError(
                    f"the threshold of tier {tier} is above the token's whole supply: nobody could reach it"
                )
            if offering.files.get(tier) and not offering.thresholds[tier]:
                raise InputError(f"tier {tier} has files but no threshold: offer it, or take its files out")

    def _draft(self, version: int, offering: Offering) -> dict[str, Any]:
        """The secrets of a version, drawn and saved once."""
        digest = offering.digest().hex()
        known = self._versions().get(str(version))
        if known is None:
            fresh = [_core.fr_to_bytes(_core.fr_random(DATASET_BLINDING)).hex() for _ in offering.blocks]
            self._save(version, digest=digest, tier_key=TierKey.generate().encode().hex(), blindings=fresh)
            return self._versions()[str(version)]
        if known["digest"] != digest:
            raise StateError(
                f"version {version} was begun with other files or terms; give those again to finish it, "
                "or list from another state folder"
            )
        return known

    def _commit(self, block: Block, blinding: Any) -> bytes:
        features, mask, labels = sgd.pad_to(self.kit.rows, self.kit.columns, *block)
        return self.kit.srs.commit(dataset_vector(features, mask, labels, blinding))

    def _prove(self, block: Block, blinding: Any, challenge: Any) -> LinkedProof:
        kit = self.kit
        features, mask, labels = sgd.pad_to(kit.rows, kit.columns, *block)
        return prove_linked(
            kit.keys,
            ListingStatement(kit.rows, kit.columns, kit.kind),
            ListingWitness(features, mask, labels, blinding),
            kit.srs,
            [dataset_vector(features, mask, labels, blinding)],
            challenge,
        )

    def _terms(self, version: int, offering: Offering, blindings: list[Any], commitment: bytes) -> Terms:
        """Seals the tiers once; a repeated call finds what it sealed before."""
        kit, saved = self.kit, self._versions()[str(version)]
        if "sealed" not in saved:
            key = TierKey.decode(bytes.fromhex(saved["tier_key"]))
            sealed = [bytes(32)] * TIERS
            for tier in range(1, TIERS):
                files: dict[str, Source] = dict(offering.files.get(tier, {}))
                if tier == TIER_TRAINING and any(offering.thresholds[TIER_TRAINING:]):
                    files |= self._records(offering, blindings)
                if files:
                    sealed[tier] = bytes.fromhex(seal_tier(kit.store, key.down_to(tier), commitment, files))
            card = bytes.fromhex(kit.store.put(offering.card)) if offering.card else bytes(32)
            schema = bytes.fromhex(kit.store.put(offering.schema.encode()))
            self._save(version, sealed=[each.hex() for each in sealed], card=card.hex(), schema=schema.hex())
            saved = self._versions()[str(version)]
        return Terms(
            class_id=kit.class_id,
            schema=bytes.fromhex(saved["schema"]),
            thresholds=offering.thresholds,
            prices=offering.prices,
            card=bytes.fromhex(saved["card"]),
            sealed_files=tuple(bytes.fromhex(each) for each in saved["sealed"]),
        )

    def _records(self, offering: Offering, blindings: list[Any]) -> dict[str, Source]:
        """The wire form of each block's records, with the blinding that training proofs need.

        Made as they are sealed, in the order of their names, so that one block is in memory at a time.
        """
        blocks = zip(offering.blocks, blindings, strict=True)

        def encoded() -> Iterator[bytes]:
            (features, labels), blinding = next(blocks)
            yield Records(offering.schema.digest, features, labels, _core.fr_to_bytes(blinding)).encode()

        return {RECORDS.format(number): encoded() for number in range(1, len(blindings) + 1)}

    def _add_block(
        self, listed: DatasetMinted, number: int, block: Block, blinding: Any, commitment: bytes
    ) -> BlockAdded:
        market, rows = self.kit.market, len(block[1])
        for known in market.blocks(listed.dataset_id, listed.version):
            if known.number == number:
                return known

        def challenge(point: bytes) -> Challenges:
            place = (listed.dataset_id, listed.version, number)
            circuit = self.kit.keys.circuit.circuit_id
            return market.block_challenges(self.account.address, place, commitment, rows, circuit, point)

        def prepare() -> SignedTransaction:
            proof = self._prove(block, blinding, challenge)
            return market.chain.prepare(market.add_block_call(listed.dataset_id, commitment, rows, proof), self.account)

        receipt = send_once(market.chain, self.state, f"block/{listed.version}/{number}", prepare)
        return BlockAdded.of(receipt.event("BlockAdded"))

    # -- keys --

    def answer_grants(self) -> list[KeyDelivered]:
        """Seal the keys of the present version to every running grant that has none of it yet; see `answer`."""
        return self.answer().delivered

    def answer(self, again: Collection[str] = ()) -> Answers:
        """Seal the keys of the present version to every running grant that has none of it yet; safe to repeat.

        What the chain says was delivered is not sent again, so that a crash between event and answer loses nothing
        and doubles nothing. A grant that ended unanswered is passed over, and one that cannot be answered (its key is
        no key, it ends this second, its transaction gets no receipt) does not keep the others waiting.

        Args:
            again: grantees who get theirs once more, as when an earlier owner delivered what does not open.

        Raises:
            StateError: the keys of the present version are not in this folder.
            UnreachableError: the chain does not answer anything: no other grant would fare better.
        """
        out = Answers([], [])
        market, dataset = self.kit.market, self.dataset
        if dataset is None:
            return out
        present = market.dataset(dataset)
        if present.provider != self.account.address:
            return out  # sold: its new owner answers
        version = present.version
        key = self.tier_keys().get(version)
        if key is None:
            raise StateError(
                f"the keys of version {version} of dataset {dataset} are not in this folder: take them over from its "
                "last owner, or update the dataset"
            )
        before = Counter(
            (event.grantee, event.tier) for event in market.deliveries(datasetId=dataset) if event.version == version
        )
        now = market.chain.timestamp()
        latest = {(grant.grantee, grant.tier): grant for grant in self._seen.grants(datasetId=dataset)}
        for (grantee, tier), grant in latest.items():
            if (before[grantee, tier] and grantee not in again) or grant.expiry <= now:
                continue
            context = grant_context(market, dataset, version, tier, grantee)
            try:
                sealed = seal_tier_key_to(grant.hpke_key, key, context)
                out.delivered.append(self._deliver(context, grantee, sealed, before[grantee, tier]))
            except (SealingError, LedgerError) as error:
                if isinstance(error, UnreachableError):
                    market.chain.block_number()  # raises where nothing answers: no other grant would fare better
                out.refused.append(f"dataset {dataset}, tier {tier}, grantee {grantee}: {error}")
        return out

    def _deliver(self, grant: Grant, grantee: str, sealed: bytes, before: int) -> KeyDelivered:
        chain, name = self.kit.market.chain, f"deliver/{grant.version}/{grant.tier}/{grantee}/{before}"

        def prepare() -> SignedTransaction:
            call = self.kit.market.deliver_key_call(grant.dataset, grantee, grant.tier, grant.version, sealed)
            return chain.prepare(call, self.account)

        receipt = send_once(chain, self.state, name, prepare)
        forget(self.state, name)  # the chain remembers
        return KeyDelivered.of(receipt.event("KeyDelivered"))


def grant_context(market: Any, dataset: int, version: int, tier: int, grantee: str) -> Grant:
    """What a delivered tier key is bound to."""
    registry = bytes.fromhex(market.registry.address[2:])
    return Grant(market.chain.chain_id, registry, dataset, tier, bytes.fromhex(grantee[2:]), version)
