"""A holder of marketplace tokens: locks them in a note, proves eligibility, and opens the records it is granted."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedproof import _core
from fedproof.data import Records, Schema
from fedproof.data.records import largest_records
from fedproof.errors import InputError, ProofError, SealingError, StateError
from fedproof.learning import sgd
from fedproof.learning.fixed import Int
from fedproof.ledger import Account, Receipt, SignedTransaction
from fedproof.ledger.market_types import AccessGranted, Dataset, DatasetMinted
from fedproof.nodes.access import find_access
from fedproof.nodes.outbox import forget, send_once, settle_saved
from fedproof.nodes.params import TIER_TRAINING, Deployment
from fedproof.nodes.provider import RECORDS
from fedproof.nodes.state import StateFile
from fedproof.nodes.wallet import Wallet
from fedproof.proving.linked import prove_plain
from fedproof.proving.r1cs import FrArray
from fedproof.sealing import KeyPair, TierKey
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.vectors import dataset_vector
from fedproof.storage.bundle import open_tier, read_index

_OPENED = "opened-"


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
    """The marketplace side of a participant.

    Args:
        account: takes the grants. depositor: deposits and spends notes; by default the same account, and then the chain
            shows whose deposit may back a grant.
    """

    def __init__(
        self, deployment: Deployment, account: Account, state: StateFile, depositor: Account | None = None
    ) -> None:
        self.deployment = deployment
        self.account = account
        self.state = state
        if state.get("hpke") is None:
            state.put(hpke=KeyPair.generate().private.hex())
        self.wallet = Wallet(deployment.market, deployment.keys["spend"], depositor or account, state)
        self._hpke = KeyPair.from_private_bytes(bytes.fromhex(state.get("hpke")))

    @property
    def hpke_public(self) -> bytes:
        """The HPKE key that grants are sealed to."""
        return self._hpke.public

    @property
    def hpke_keys(self) -> KeyPair:
        """The key pair that grants are sealed to."""
        return self._hpke

    def lock(self, amount: int, unlock_epoch: int) -> None:
        """Lock tokens in a note of this holder."""
        self.wallet.deposit(amount, unlock_epoch)

    def prove_eligibility(self, dataset_id: int, tier: int, duration: int) -> tuple[bytes, list[int]]:
        """An eligibility proof for this account and HPKE key, with its public inputs.

        The richest four locked notes count together, whether they were deposited or paid to this holder.

        Raises:
            ProofError: the locked notes do not reach the tier's threshold.
        """
        market = self.deployment.market
        terms = market.eligibility_terms(dataset_id, self.account.address, tier, duration, self.hpke_public)
        statement = EligibilityStatement()
        witness = self.wallet.eligibility(terms, statement.notes)
        return prove_plain(self.deployment.keys["eligibility"], statement, witness)

    def request_access(self, dataset_id: int, duration: int, tier: int = TIER_TRAINING, most: int = 0) -> AccessGranted:
        """Prove eligibility and take the grant, or the one that an interrupted call has sent."""
        sent = self.finish_grant(dataset_id, tier)
        if sent is not None:
            return sent
        seen = self.deployment.market.dataset(dataset_id)
        proven = self.prove_eligibility(dataset_id, tier, duration)
        return self.take_grant(dataset_id, duration, *proven, tier=tier, most=most, seen=seen)

    def take_grant(
        self,
        dataset_id: int,
        duration: int,
        proof: bytes,
        public: list[int],
        tier: int = TIER_TRAINING,
        most: int = 0,
        seen: Dataset | None = None,
    ) -> AccessGranted:
        """Send an eligibility proof; the registry verifies it, burns the nullifier and records the grant.

        Saved before it is sent; `finish_grant` finds it after an interruption.

        Args:
            most: base units to pay at most.
            seen: the dataset as the user has seen it, default as it is now; a grant of another version, or at another
                price, is refused.

        Raises:
            InputError: the tier costs more than `most`.
        """
        root, scope, nullifier = public[:3]
        if nullifier != self.wallet.nullifier(scope):
            raise ProofError("the proof carries another nullifier than this holder's")
        market = self.deployment.market

        known = market.dataset(dataset_id) if seen is None else seen
        price = known.prices[tier]
        if price > most:
            raise InputError(f"tier {tier} of dataset {dataset_id} costs {price} base units, more than {most}")

        def prepare() -> SignedTransaction:
            market.allow(self.account, market.registry.address, price)
            call = market.access_dataset_call(
                dataset_id, tier, duration, self.hpke_public, root, nullifier, proof, price, known.version
            )
            return market.chain.prepare(call, self.account)

        name = f"grant/{dataset_id}/{tier}/{nullifier:064x}"
        receipt = send_once(market.chain, self.state, name, prepare)
        return self._granted(name, receipt)

    def finish_grant(self, dataset_id: int, tier: int) -> AccessGranted | None:
        """The grant that an interrupted call has sent, sent again if need be; None when there is none.

        Without it a repeated request would be an extension, and paid a second time.
        """
        done = settle_saved(self.deployment.market.chain, self.state, f"grant/{dataset_id}/{tier}/")
        return [self._granted(name, receipt) for name, receipt in done][-1] if done else None

    def _granted(self, name: str, receipt: Receipt) -> AccessGranted:
        found = [each for each in receipt.events if each.name in ("AccessGranted", "AccessExtended")]
        forget(self.state, name)
        return AccessGranted.of(found[0])

    def open_dataset(self, dataset_id: int, tier: int = TIER_TRAINING) -> OpenedDataset:
        """Open the tier key and the sealed records, and check them against the listed commitment.

        Raises:
            StateError: neither provider nor committee has delivered the key yet.
            SealingError: key or records do not open, or are not what the listing committed to.
        """
        return open_records(self.deployment, self.account.address, self._hpke, dataset_id, self.state.folder, tier)


def open_records(
    d: Deployment,
    grantee: str,
    hpke: KeyPair,
    dataset_id: int,
    scratch: Path,
    tier: int = TIER_TRAINING,
    version: int | None = None,
) -> OpenedDataset:
    """Open what a grant gives, and check it against the listed commitment.

    Args:
        scratch: a private folder, for the opened file until it is read.
        version: of the dataset; by default the newest one whose key has come.

    Raises:
        StateError: neither provider nor committee has delivered the key yet.
        SealingError: key or records do not open, or are not what the listing committed to.
    """
    found = find_access(d, grantee, hpke, dataset_id, version).access
    if found.tier < tier:
        raise StateError(f"the key of dataset {dataset_id} that has come is of tier {found.tier}, not of tier {tier}")
    key, listing = found.key.down_to(TIER_TRAINING), found.listing
    records = _records(d, key, listing, scratch)
    records.check_schema(Schema.decode(d.store.get(listing.terms.schema.hex())))
    features, mask, labels = sgd.pad_to(d.plan.rows, d.plan.columns, records.features, np.asarray(records.labels))
    blinding = _core.fr_from_bytes(records.blinding)
    if d.srs.commit(dataset_vector(features, mask, labels, blinding)) != listing.commitment:
        raise SealingError(f"dataset {dataset_id}: the sealed records are not the listed ones; do not train on them")
    return OpenedDataset(dataset_id, records.rows, features, mask, labels, blinding, listing.commitment)


def remove_opened(scratch: Path) -> None:
    """Remove what a process that was killed had opened there; for who holds the folder, so that no other uses it."""
    for folder in scratch.glob(f"{_OPENED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _records(d: Deployment, key: TierKey, listing: DatasetMinted, scratch: Path) -> Records:
    """The records of the first block, out of the bundle of Tier 3."""
    index, name, plan = listing.terms.sealed_files[TIER_TRAINING].hex(), RECORDS.format(1), d.plan
    sizes = {each.name: each.size for each in read_index(d.store, key, listing.commitment, index)}
    if sizes.get(name, 0) > largest_records(plan.rows, plan.columns - 1):
        raise SealingError(f"dataset {listing.dataset_id}: {name} is larger than its capacity class allows")
    with tempfile.TemporaryDirectory(prefix=_OPENED, dir=scratch) as folder:
        opened = open_tier(d.store, key, listing.commitment, index, Path(folder), [name])
        return Records.decode(opened[0].read_bytes())
