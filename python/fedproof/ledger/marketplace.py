"""The marketplace contracts as one typed object: the access token, the note vault and the dataset registry.

Every change has two forms: `<name>_call` gives the bound contract function, for `Chain.prepare`, `send` or `transact`
(a node saves a transaction before it sends it); `<name>` sends it, waits, and returns what happened.
"""

from __future__ import annotations

from typing import Any, Self

from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.accounts import Account
from fedproof.ledger.chain import Chain
from fedproof.ledger.market_types import (
    HPKE_KEY_LENGTHS,
    AccessGranted,
    Addresses,
    CapacityClass,
    Dataset,
    DatasetMinted,
    Deposited,
    EligibilityTerms,
    Grant,
    KeyDelivered,
    Terms,
    point_bytes,
    words,
)
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof
from fedproof.proving.transcript import Challenges, hpke_key_word, listing_challenges

DAY = 86_400
_SUPPLY = 10**9 * 10**18
_DEPOSIT_GAS = 1_200_000  # more than a deposit takes at the greatest depth


class Marketplace:
    """A deployed marketplace. Make one with `Marketplace.deploy` or `Marketplace.at`."""

    def __init__(self, chain: Chain, token: Contract, vault: Contract, registry: Contract) -> None:
        self.chain = chain
        self.token = token
        self.vault = vault
        self.registry = registry

    @classmethod
    def deploy(
        cls,
        chain: Chain,
        sender: Account,
        *,
        supply: int = _SUPPLY,
        epoch_length: int = 7 * DAY,
        max_duration: int = 365 * DAY,
        allow_development_keys: bool = False,
        force: bool = False,
    ) -> Self:
        """Deploys token, vault and registry; `sender` gets the whole supply and owns the registry.

        Args:
            chain: where to.
            sender: who pays, and owns.
            supply: base units of the token.
            epoch_length: seconds in an epoch of the vault.
            max_duration: seconds that a grant may reach into the future.
            allow_development_keys: accept keys made by a single dealer, who can forge any proof.
            force: allow such keys even where the chain is not a development chain.

        Raises:
            InputError: development keys are asked for on a chain that is not for development.
            ContractRejected: a parameter is refused, or the chain lacks the pairing precompiles.
        """
        if allow_development_keys and not chain.is_development and not force:
            raise InputError(
                f"chain {chain.chain_id} is not a development chain: keys made by one dealer let that dealer forge "
                "every proof; make keys with the ceremony, or force it"
            )
        poseidon = {name: chain.deploy(name, sender=sender).address for name in ("PoseidonT3", "PoseidonT5")}
        token = chain.deploy("AccessToken", supply, sender=sender)
        vault = chain.deploy("NoteVault", token.address, epoch_length, sender=sender, libraries=poseidon)
        registry = chain.deploy("DatasetRegistry", vault.address, max_duration, allow_development_keys, sender=sender)
        return cls(chain, token, vault, registry)

    @classmethod
    def at(cls, chain: Chain, addresses: Addresses) -> Self:
        """The marketplace at these addresses.

        Raises:
            LedgerError: the contracts there do not belong together.
        """
        token = chain.contract_at("AccessToken", addresses.token)
        vault = chain.contract_at("NoteVault", addresses.vault)
        registry = chain.contract_at("DatasetRegistry", addresses.registry)
        if chain.call(registry.functions.vault()) != vault.address:
            raise LedgerError(f"the registry at {registry.address} belongs to another vault than {vault.address}")
        if chain.call(vault.functions.token()) != token.address:
            raise LedgerError(f"the vault at {vault.address} holds another token than {token.address}")
        return cls(chain, token, vault, registry)

    @property
    def addresses(self) -> Addresses:
        """Where it is."""
        return Addresses(self.token.address, self.vault.address, self.registry.address)

    # -- capacity classes --

    def register_class(
        self, sender: Account, rows: int, columns: int, listing_key: VerifyingKey, eligibility_key: VerifyingKey
    ) -> int:
        """Puts both keys on the chain and registers a class of this shape; only the registry's owner may. Its id."""
        addresses = [self.chain.deploy_data(key.encode(), sender) for key in (listing_key, eligibility_key)]
        receipt = self.chain.transact(self.registry.functions.registerClass(rows, columns, *addresses), sender)
        return int(receipt.event("ClassRegistered").args["classId"])

    def close_class(self, sender: Account, class_id: int) -> None:
        """Ends listings and grants of a class for good; only the registry's owner may."""
        self.chain.transact(self.registry.functions.closeClass(class_id), sender)

    def capacity_class(self, class_id: int) -> CapacityClass:
        """A class by id.

        Raises:
            InputError: there is none.
        """
        found = CapacityClass(*self.chain.call(self.registry.functions.getClass(class_id)))
        if found.rows == 0:
            raise InputError(f"the registry has no capacity class {class_id}")
        return found

    def verifying_key(self, address: str) -> VerifyingKey:
        """The key in a data contract, such as `capacity_class(1).listing_key`, checked point by point."""
        return VerifyingKey.decode(self.chain.code_at(address)[1:])

    # -- notes --

    def current_epoch(self) -> int:
        """The vault's epoch at the latest block."""
        return int(self.chain.call(self.vault.functions.currentEpoch()))

    def deposit_call(self, amount: int, owner: int, unlock_epoch: int) -> ContractFunction:
        """Locks `amount` base units in a note of `owner` (Poseidon of a secret) until `unlock_epoch` begins."""
        return self.vault.functions.deposit(amount, owner, unlock_epoch)

    def deposit(self, sender: Account, amount: int, owner: int, unlock_epoch: int) -> Deposited:
        """Allows the vault to take `amount` where needed, and locks it."""
        allowed = self.chain.call(self.token.functions.allowance(sender.address, self.vault.address))
        if allowed < amount:
            self.chain.transact(self.token.functions.approve(self.vault.address, amount), sender)
        # Estimating runs the hashes three times over, which takes the embedded chain seconds.
        gas = _DEPOSIT_GAS if self.chain.is_development else None
        receipt = self.chain.transact(self.deposit_call(amount, owner, unlock_epoch), sender, gas)
        return Deposited.of(receipt.event("Deposited"))

    def deposits(self, from_block: int = 0) -> list[Deposited]:
        """All notes in the order of their leaves.

        Raises:
            LedgerError: the node leaves out events, so that the tree cannot be rebuilt.
        """
        found = [Deposited.of(event) for event in self.chain.events(self.vault, "Deposited", from_block)]
        first = found[0].leaf_index if found else 0
        if [note.leaf_index for note in found] != list(range(first, first + len(found))):
            raise LedgerError("the node left out deposits: ask one that keeps all logs")
        return found

    def leaves(self) -> list[int]:
        """The leaves of the vault's tree, for `fedproof.statements.notes.LeanImt`."""
        leaves = [note.leaf for note in self.deposits()]
        if len(leaves) < self.chain.call(self.vault.functions.size()):
            raise LedgerError("the node left out deposits: ask one that keeps all logs")
        return leaves

    # -- datasets --

    def listing_challenges(
        self, minter: str, terms: Terms, commitment: bytes, rows: int, circuit_id: bytes, d: bytes
    ) -> Challenges:
        """The challenges of a listing proof: what the registry will compute when `minter` sends it."""
        return listing_challenges(
            chain_id=self.chain.chain_id,
            registry=self.registry.address,
            minter=minter,
            circuit_id=circuit_id,
            dataset=commitment,
            d=d,
            rows=rows,
            metadata=terms.metadata(),
        )

    def mint_dataset_call(self, terms: Terms, commitment: bytes, rows: int, proof: LinkedProof) -> ContractFunction:
        """Lists a dataset; the proof must be about the very account that sends this."""
        listing = (
            words(commitment, 2, "a dataset commitment"),
            rows,
            words(proof.proof, 8, "a proof"),
            words(proof.d, 2, "D"),
            words(proof.q, 2, "Q"),
            proof.y,
        )
        described = (terms.class_id, terms.schema, terms.thresholds, terms.sealed_files)
        return self.registry.functions.mintDataset(described, listing)

    def mint_dataset(
        self, sender: Account, terms: Terms, commitment: bytes, rows: int, proof: LinkedProof
    ) -> DatasetMinted:
        """Lists a dataset; `sender` becomes its provider."""
        receipt = self.chain.transact(self.mint_dataset_call(terms, commitment, rows, proof), sender)
        return DatasetMinted.of(receipt.event("DatasetMinted"))

    def retire(self, sender: Account, dataset_id: int) -> None:
        """Ends new grants of a dataset, for good."""
        self.chain.transact(self.registry.functions.retire(dataset_id), sender)

    def dataset(self, dataset_id: int) -> Dataset:
        """A dataset as the chain keeps it."""
        found = self.chain.call(self.registry.functions.getDataset(dataset_id))
        provider, class_id, rows, retired, commitment, schema, thresholds = found
        return Dataset(
            dataset_id, provider, class_id, rows, retired, point_bytes(commitment), schema, tuple(thresholds)
        )

    def listings(self, from_block: int = 0, **filters: Any) -> list[DatasetMinted]:
        """All listings; `filters` are `datasetId`, `provider`, `classId`."""
        events = self.chain.events(self.registry, "DatasetMinted", from_block, argument_filters=filters)
        return [DatasetMinted.of(event) for event in events]

    # -- grants --

    def eligibility_terms(
        self, dataset_id: int, grantee: str, tier: int, duration: int, hpke_key: bytes
    ) -> EligibilityTerms:
        """The public inputs that the registry will compute for this grantee, as of the latest block."""
        function = self.registry.functions.eligibilityTerms(
            dataset_id, grantee, tier, duration, hpke_key_word(hpke_key)
        )
        return EligibilityTerms(*self.chain.call(function))

    def access_dataset_call(
        self, dataset_id: int, tier: int, duration: int, hpke_key: bytes, root: int, nullifier: int, proof: bytes
    ) -> ContractFunction:
        """Opens a tier to the sender, or extends its running grant of the same tier by `duration` seconds."""
        if len(hpke_key) not in HPKE_KEY_LENGTHS:
            raise InputError(f"an HPKE public key has 32 or 1216 bytes, not {len(hpke_key)}")
        return self.registry.functions.accessDataset(
            dataset_id, tier, duration, hpke_key, root, nullifier, words(proof, 8, "a proof")
        )

    def access_dataset(
        self,
        sender: Account,
        dataset_id: int,
        tier: int,
        duration: int,
        hpke_key: bytes,
        *,
        root: int,
        nullifier: int,
        proof: bytes,
    ) -> AccessGranted:
        """Opens a tier to `sender` by an eligibility proof for `eligibility_terms`."""
        call = self.access_dataset_call(dataset_id, tier, duration, hpke_key, root, nullifier, proof)
        return AccessGranted.of(self.chain.transact(call, sender).event("AccessGranted"))

    def deliver_key_call(self, dataset_id: int, grantee: str, tier: int, sealed_key: bytes) -> ContractFunction:
        """Publishes a tier's key, sealed to the grantee; only the provider may."""
        return self.registry.functions.deliverKey(dataset_id, grantee, tier, sealed_key)

    def deliver_key(self, sender: Account, dataset_id: int, grantee: str, tier: int, sealed_key: bytes) -> KeyDelivered:
        """Publishes a tier's key, sealed to the grantee."""
        receipt = self.chain.transact(self.deliver_key_call(dataset_id, grantee, tier, sealed_key), sender)
        return KeyDelivered.of(receipt.event("KeyDelivered"))

    def grant(self, dataset_id: int, grantee: str, tier: int) -> Grant:
        """The last grant of exactly this tier."""
        return Grant(*self.chain.call(self.registry.functions.grantOf(dataset_id, grantee, tier)))

    def has_access(self, dataset_id: int, grantee: str, tier: int) -> bool:
        """Whether the grantee holds a running grant of this tier or a higher one."""
        return bool(self.chain.call(self.registry.functions.hasAccess(dataset_id, grantee, tier)))

    def grants(self, from_block: int = 0, **filters: Any) -> list[AccessGranted]:
        """All grants and extensions; `filters` are `datasetId`, `grantee`, `tier`."""
        events = self.chain.events(self.registry, "AccessGranted", from_block, argument_filters=filters)
        return [AccessGranted.of(event) for event in events]

    def deliveries(self, from_block: int = 0, **filters: Any) -> list[KeyDelivered]:
        """All delivered keys; `filters` are `datasetId`, `grantee`, `tier`."""
        events = self.chain.events(self.registry, "KeyDelivered", from_block, argument_filters=filters)
        return [KeyDelivered.of(event) for event in events]
