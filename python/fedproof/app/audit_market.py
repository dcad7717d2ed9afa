"""The auditor's checks of the marketplace: notes, listings and grants, from public data alone."""

from __future__ import annotations

from fedproof.app.audit_base import direct_call, number_words, require
from fedproof.errors import AuditError, FedproofError
from fedproof.ledger.federation import TaskInfo
from fedproof.ledger.market_types import AccessGranted
from fedproof.ledger.marketplace import Marketplace
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
from fedproof.statements.notes import LeanImt, Note
from fedproof.storage import BlobStore


def check_listing(
    market: Marketplace, store: BlobStore, key: VerifyingKey, task: TaskInfo, schema: str, dataset_id: int
) -> str:
    """The listing proof of a dataset, verified again outside the chain; its class, schema and sealed records."""
    where = f"dataset {dataset_id}"
    found = market.listings(datasetId=dataset_id)
    require(len(found) == 1, f"{where}: it was listed {len(found)} times")
    listing = found[0]
    require(listing.terms.class_id == task.params.class_id, f"{where}: it is of another capacity class than the task")
    require(listing.terms.schema.hex() == schema, f"{where}: it was listed under another schema than the task's")
    given = direct_call(market.chain, market.registry, listing.tx_hash, "mintDataset", listing.provider)["listing"]
    proof = LinkedProof(
        number_words(given["proof"]), number_words(given["d"]), number_words(given["q"]), int(given["y"])
    )
    challenges = market.listing_challenges(
        listing.provider, listing.terms, listing.commitment, listing.rows, key.circuit_id, proof.d
    )
    try:
        check_linked(key, [listing.rows], challenges, proof, [listing.commitment])
        store.get(listing.terms.sealed_files[TIER_TRAINING].hex())
    except FedproofError as error:
        raise AuditError(f"{where}: listing: {error}") from None
    kept = market.dataset(dataset_id)
    require(
        (kept.rows, kept.commitment) == (listing.rows, listing.commitment),
        f"{where}: the registry keeps other rows or another commitment than were listed",
    )
    return f"{where}: the listing proof holds for {listing.rows} rows; its sealed records are stored"


class GrantAuditor:
    """Checks the vault's tree once, then the grants of each dataset."""

    def __init__(self, market: Marketplace, key: VerifyingKey) -> None:
        self.market = market
        self.key = key
        self.epoch_length = int(market.chain.call(market.vault.functions.epochLength()))
        self.nullifiers: set[int] = set()
        self.roots: list[tuple[int, int]] = []
        self.checked: dict[int, list[AccessGranted]] = {}
        tree = LeanImt()
        paid = market.chain.events(market.token, "Transfer", argument_filters={"to": market.vault.address})
        transfers = [(event.tx_hash, event.args["from"], int(event.args["value"])) for event in paid]
        for deposit in market.deposits():
            where = f"note {deposit.leaf_index}"
            note = Note(deposit.owner, deposit.amount, deposit.unlock_epoch, deposit.leaf_index)
            require(note.leaf() == deposit.leaf, f"{where}: its leaf is not the hash of what was deposited")
            require(
                tree.insert(deposit.leaf) == deposit.leaf_index and tree.root == deposit.root,
                f"{where}: the vault's tree does not add up",
            )
            payment = (deposit.tx_hash, deposit.depositor, deposit.amount)
            require(payment in transfers, f"{where}: its tokens never came in")
            transfers.remove(payment)
            self.roots.append((deposit.block_number, tree.root))
        self.line = f"vault: {len(tree)} notes, each paid in, and every root is that of their tree"

    def check_dataset(self, dataset_id: int) -> list[str]:
        """All grants of a dataset."""
        grants = self.market.grants(datasetId=dataset_id)
        lines = [self.check(grant) for grant in grants]
        self.checked[dataset_id] = grants
        return lines

    def check(self, grant: AccessGranted) -> str:
        """The eligibility proof of a grant, with scope, signal, threshold and epoch computed anew."""
        market = self.market
        where = f"grant of dataset {grant.dataset_id} to {grant.grantee}"
        call = direct_call(market.chain, market.registry, grant.tx_hash, "accessDataset", grant.grantee)
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
        require(nullifier not in self.nullifiers, f"{where}: its nullifier was spent before")
        self.nullifiers.add(nullifier)
        require(
            grant.extension or grant.expiry == now + duration, f"{where}: it ends at another time than was proven for"
        )
        threshold = market.dataset(grant.dataset_id).thresholds[grant.tier]
        require(threshold > 0, f"{where}: Tier {grant.tier} was not offered")
        try:
            check_plain(self.key, [root, scope, nullifier, threshold, signal, epoch], number_words(call["proof"]))
        except FedproofError as error:
            raise AuditError(f"{where}: eligibility proof: {error}") from None
        return f"dataset {grant.dataset_id}: Tier {grant.tier} was granted by a fresh proof of balance"

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
