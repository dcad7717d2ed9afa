"""The auditor's checks of the marketplace: notes, listings and grants, from public data alone."""

from __future__ import annotations

from typing import Any

from fedproof.app.audit_base import direct_call, number_words, relayed, require
from fedproof.errors import AuditError, FedproofError
from fedproof.ledger.federation import Enrolment, TaskInfo
from fedproof.ledger.market_types import AccessGranted, DatasetMinted
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.vault import Deposited, Spent
from fedproof.nodes.params import TIER_TRAINING
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof, check_linked, check_plain
from fedproof.proving.transcript import (
    EXTENSION,
    FIRST_GRANT,
    eligibility_scope,
    eligibility_signal,
    hpke_key_word,
)
from fedproof.statements.notes import Forest, Note
from fedproof.storage import BlobStore


def check_listing(
    market: Marketplace,
    store: BlobStore,
    key: VerifyingKey,
    task: TaskInfo,
    schema: str,
    enrolment: Enrolment,
    notes: list[str],
) -> str:
    """The listing proof of an enrolled dataset, verified again outside the chain; its class, schema and sealed records.

    Args:
        notes: gets a line where the proof cannot be read.
    """
    where = f"dataset {enrolment.dataset_id}"
    listing = listing_at(market, enrolment.dataset_id, enrolment)
    require(listing.terms.class_id == task.params.class_id, f"{where}: it is of another capacity class than the task")
    require(listing.terms.schema.hex() == schema, f"{where}: it was listed under another schema than the task's")
    name = "mintDataset" if listing.version == 1 else "updateDataset"
    call = direct_call(market.chain, market.registry, listing.tx_hash, name, listing.provider)
    try:
        if call is not None:
            _check_listing_proof(market, key, listing, call["listing"])
        store.get(listing.terms.sealed_files[TIER_TRAINING].hex())
    except FedproofError as error:
        raise AuditError(f"{where}: listing: {error}") from None
    kept = market.dataset(enrolment.dataset_id)
    require(
        kept.version != listing.version or (kept.rows, kept.commitment) == (listing.rows, listing.commitment),
        f"{where}: the registry keeps other rows or another commitment than were listed",
    )
    if call is None:
        notes.append(relayed(f"{where}: its listing of {listing.rows} rows"))
        return f"{where}: the index of its sealed records is stored"
    return f"{where}: the listing proof holds for {listing.rows} rows; the index of its sealed records is stored"


def _check_listing_proof(market: Marketplace, key: VerifyingKey, listing: DatasetMinted, given: Any) -> None:
    proof = LinkedProof(
        number_words(given["proof"]), number_words(given["d"]), number_words(given["q"]), int(given["y"])
    )
    challenges = market.listing_challenges(
        listing.provider, listing.terms, listing.commitment, listing.rows, key.circuit_id, proof.d
    )
    check_linked(key, [listing.rows], challenges, proof, [listing.commitment])


def listing_at(market: Marketplace, dataset_id: int, event: Enrolment | AccessGranted) -> DatasetMinted:
    """The version of a dataset that stood when something happened, which may be in the block of a later version."""
    found = market.listings(datasetId=dataset_id)
    require(
        [each.version for each in found] == list(range(1, market.dataset(dataset_id).version + 1)),
        f"dataset {dataset_id}: its versions do not follow one another",
    )
    at = (event.block_number, event.log_index)
    then = [each for each in found if (each.block_number, each.log_index) < at]
    require(bool(then), f"dataset {dataset_id}: it was not listed yet")
    return then[-1]


class GrantAuditor:
    """Checks the vault's trees once, then the grants of each dataset."""

    def __init__(self, market: Marketplace, key: VerifyingKey, spend_key: VerifyingKey) -> None:
        self.market = market
        self.key = key
        self.epoch_length = int(market.chain.call(market.vault.contract.functions.epochLength()))
        self.nullifiers: set[int] = set()
        self.roots: list[tuple[int, int]] = []
        self.checked: dict[int, list[AccessGranted]] = {}
        self.notes: list[str] = []
        """What nobody can check again."""
        unread = 0
        forest = Forest(capacity=market.vault.tree_capacity)
        paid = market.chain.events(market.token, "Transfer", argument_filters={"to": market.vault.address})
        transfers = [(event.tx_hash, event.args["from"], int(event.args["value"])) for event in paid]
        spent: set[int] = set()
        for deposit in market.vault.growth():
            where = f"note {deposit.leaf_index}"
            if isinstance(deposit, Spent):
                unread += not self._check_spend(deposit, spend_key, spent)
                self._grow(forest, deposit)
                continue
            note = Note(deposit.owner, deposit.amount, deposit.unlock_epoch, deposit.leaf_index)
            require(note.leaf() == deposit.leaf, f"{where}: its leaf is not the hash of what was deposited")
            self._grow(forest, deposit)
            payment = (deposit.tx_hash, deposit.depositor, deposit.amount)
            require(payment in transfers, f"{where}: its tokens never came in")
            transfers.remove(payment)
        trees = f" in {len(forest.trees)} trees" if len(forest.trees) > 1 else ""
        self.line = f"vault: {len(forest)} notes{trees}, each paid in or spent to, and every root is that of their tree"
        if unread:
            self.notes.append(relayed(f"{unread} of the vault's spends"))

    def _grow(self, forest: Forest, event: Deposited | Spent) -> None:
        """The new leaves stand where the vault says, and give their tree, which may be a new one, the root it says."""
        require(
            forest.grow(event.leaves) == event.leaf_index and forest.root == event.root,
            f"note {event.leaf_index}: the vault's tree does not add up",
        )
        self.roots.append((event.block_number, forest.root))

    def _check_spend(self, spend: Spent, key: VerifyingKey, spent: set[int]) -> bool:
        """Nullifiers of a spend are fresh; its proof holds, with signal and epoch computed anew. False where the proof
        cannot be read."""
        market, where = self.market, f"spend at note {spend.leaf_index}"
        require(not spent & set(spend.nullifiers), f"{where}: a note was spent twice")
        require(len(set(spend.nullifiers)) == len(spend.nullifiers), f"{where}: a note was spent twice")
        spent.update(spend.nullifiers)
        call = direct_call(market.chain, market.vault.contract, spend.tx_hash, "spend", None)
        if call is None:
            return False
        root = int(call["root_"])
        known = any(made == root for block, made in self.roots if block <= spend.block_number)
        require(known, f"{where}: the root was never the vault's")
        signal = market.vault.spend_signal(spend.recipient, spend.memo)
        epoch = market.chain.timestamp(spend.block_number) // self.epoch_length
        public = [root, *spend.nullifiers, *spend.leaves, spend.withdrawn, epoch, signal]
        try:
            check_plain(key, public, number_words(call["proof"]))
        except FedproofError as error:
            raise AuditError(f"{where}: {error}") from None
        return True

    def check_dataset(self, dataset_id: int) -> list[str]:
        """All grants of a dataset."""
        grants = self.market.grants(datasetId=dataset_id)
        lines = [self.check(grant) for grant in grants]
        self.checked[dataset_id] = grants
        return lines

    def check(self, grant: AccessGranted) -> str:
        """The eligibility proof of a grant, with scope, signal, threshold and epoch computed anew."""
        where = f"grant of dataset {grant.dataset_id} to {grant.grantee}"
        require(grant.nullifier not in self.nullifiers, f"{where}: its nullifier was spent before")
        self.nullifiers.add(grant.nullifier)
        terms = listing_at(self.market, grant.dataset_id, grant).terms
        threshold = terms.thresholds[grant.tier]
        require(grant.price == terms.prices[grant.tier], f"{where}: it was paid otherwise than the price")
        require(threshold > 0, f"{where}: Tier {grant.tier} was not offered")
        registry = self.market.registry
        call = direct_call(self.market.chain, registry, grant.tx_hash, "accessDataset", grant.grantee)
        if call is None:
            self.notes.append(relayed(where))
            return f"dataset {grant.dataset_id}: Tier {grant.tier} was granted, with a nullifier of its own"
        self._check_eligibility(grant, threshold, where, call)
        return f"dataset {grant.dataset_id}: Tier {grant.tier} was granted by a fresh proof of balance"

    def _check_eligibility(self, grant: AccessGranted, threshold: int, where: str, call: dict[str, Any]) -> None:
        market = self.market
        now = market.chain.timestamp(grant.block_number)
        epoch = now // self.epoch_length
        scope = eligibility_scope(
            chain_id=market.chain.chain_id,
            registry=market.registry.address,
            dataset=grant.dataset_id,
            epoch=epoch,
            purpose=EXTENSION if grant.extension else FIRST_GRANT,
        )
        duration = int(call["duration"])
        signal = eligibility_signal(
            tier=grant.tier,
            duration=duration,
            grantee=grant.grantee,
            hpke_key_hash=hpke_key_word(grant.hpke_key),
        )
        root, nullifier = int(call["root"]), int(call["nullifier"])
        known = any(made == root for block, made in self.roots if block <= grant.block_number)
        require(known, f"{where}: the root was never the vault's")
        require(nullifier == grant.nullifier, f"{where}: the registry burned another nullifier than the proof's")
        require(
            grant.extension or grant.expiry == now + duration, f"{where}: it ends at another time than was proven for"
        )
        try:
            check_plain(self.key, [root, scope, nullifier, threshold, signal, epoch], number_words(call["proof"]))
        except FedproofError as error:
            raise AuditError(f"{where}: eligibility proof: {error}") from None

    def held(self, dataset_id: int, grantee: str, block: int) -> bool:
        """Whether a grantee held a checked grant for training at a block."""
        then = self.market.chain.timestamp(block)
        return any(
            grant.grantee == grantee
            and grant.tier >= TIER_TRAINING
            and grant.block_number <= block
            and grant.expiry > then
            for grant in self.checked[dataset_id]
        )
