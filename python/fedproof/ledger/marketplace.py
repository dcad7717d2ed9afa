"""The marketplace contracts as one typed object: access token, note vault, dataset registry, key escrow and sales.

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
from fedproof.ledger.events import Event
from fedproof.ledger.market_types import (
    HPKE_KEY_LENGTHS,
    AccessGranted,
    Addresses,
    BlockAdded,
    CapacityClass,
    Dataset,
    DatasetMinted,
    EligibilityTerms,
    Grant,
    KeyDelivered,
    Terms,
    in_base_units,
    point_bytes,
    words,
)
from fedproof.ledger.sales import Escrow, Sales
from fedproof.ledger.vault import Vault
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof
from fedproof.proving.transcript import Challenges, block_metadata, hpke_key_word, listing_challenges

DAY = 86_400
_SUPPLY = 10**9 * 10**18


class Marketplace:
    """A deployed marketplace. Make one with `Marketplace.deploy` or `Marketplace.at`."""

    def __init__(
        self, chain: Chain, token: Contract, vault: Contract, registry: Contract, escrow: Contract, sales: Contract
    ) -> None:
        self.chain = chain
        self.token = token
        self.registry = registry
        self.vault = Vault(chain, token, vault)
        self.escrow = Escrow(chain, escrow)
        self.sales = Sales(chain, token, registry, sales)

    @classmethod
    def deploy(
        cls,
        chain: Chain,
        sender: Account,
        *,
        spend_key: VerifyingKey,
        supply: int = _SUPPLY,
        epoch_length: int = 7 * DAY,
        max_duration: int = 365 * DAY,
        allow_development_keys: bool = False,
        force: bool = False,
    ) -> Self:
        """Deploys all contracts; `sender` gets the whole supply and owns the registry.

        Args:
            chain: where to.
            sender: who pays, and owns.
            spend_key: verifying key of the spend statement.
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
        key = chain.deploy_data(spend_key.encode(), sender)
        vault = chain.deploy(
            *("NoteVault", token.address, epoch_length, key, allow_development_keys), sender=sender, libraries=poseidon
        )
        registry = chain.deploy("DatasetRegistry", vault.address, max_duration, allow_development_keys, sender=sender)
        escrow = chain.deploy("KeyEscrow", registry.address, sender=sender)
        sales = chain.deploy("DatasetSales", registry.address, token.address, sender=sender)
        return cls(chain, token, vault, registry, escrow, sales)

    @classmethod
    def at(cls, chain: Chain, addresses: Addresses) -> Self:
        """The marketplace at these addresses.

        Raises:
            LedgerError: the contracts there do not belong together.
        """
        token = chain.contract_at("AccessToken", addresses.token)
        vault = chain.contract_at("NoteVault", addresses.vault)
        registry = chain.contract_at("DatasetRegistry", addresses.registry)
        escrow = chain.contract_at("KeyEscrow", addresses.escrow)
        sales = chain.contract_at("DatasetSales", addresses.sales)
        for contract, function, other in (
            (registry, registry.functions.vault(), vault),
            (vault, vault.functions.token(), token),
            (escrow, escrow.functions.registry(), registry),
            (sales, sales.functions.registry(), registry),
            (sales, sales.functions.token(), token),
        ):
            if chain.call(function) != other.address:
                raise LedgerError(f"the contract at {contract.address} belongs to another {function.fn_name} than told")
        return cls(chain, token, vault, registry, escrow, sales)

    @property
    def addresses(self) -> Addresses:
        """Where it is."""
        return Addresses(
            *(self.token.address, self.vault.address, self.registry.address),
            *(self.escrow.address, self.sales.address),
        )

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
        return self.registry.functions.mintDataset(terms.abi(), _listing(commitment, rows, proof))

    def mint_dataset(
        self, sender: Account, terms: Terms, commitment: bytes, rows: int, proof: LinkedProof
    ) -> DatasetMinted:
        """Lists a dataset; `sender` becomes its provider."""
        receipt = self.chain.transact(self.mint_dataset_call(terms, commitment, rows, proof), sender)
        return DatasetMinted.of(receipt.event("DatasetMinted"))

    def update_dataset_call(
        self, dataset_id: int, terms: Terms, commitment: bytes, rows: int, proof: LinkedProof
    ) -> ContractFunction:
        """Replaces a dataset of the sender by its next version."""
        return self.registry.functions.updateDataset(dataset_id, terms.abi(), _listing(commitment, rows, proof))

    def update_dataset(
        self, sender: Account, dataset_id: int, terms: Terms, commitment: bytes, rows: int, proof: LinkedProof
    ) -> DatasetMinted:
        """Replaces a dataset of the sender by its next version."""
        call = self.update_dataset_call(dataset_id, terms, commitment, rows, proof)
        return DatasetMinted.of(self.chain.transact(call, sender).event("DatasetUpdated"))

    def block_challenges(
        self, minter: str, place: tuple[int, int, int], commitment: bytes, rows: int, circuit_id: bytes, d: bytes
    ) -> Challenges:
        """The challenges of the listing proof of another block; `place` is dataset, version and number, from 2."""
        return listing_challenges(
            chain_id=self.chain.chain_id,
            registry=self.registry.address,
            minter=minter,
            circuit_id=circuit_id,
            dataset=commitment,
            d=d,
            rows=rows,
            metadata=block_metadata(*place),
        )

    def add_block_call(self, dataset_id: int, commitment: bytes, rows: int, proof: LinkedProof) -> ContractFunction:
        """Adds a block of rows to a dataset of the sender."""
        return self.registry.functions.addBlock(dataset_id, _listing(commitment, rows, proof))

    def add_block(
        self, sender: Account, dataset_id: int, commitment: bytes, rows: int, proof: LinkedProof
    ) -> BlockAdded:
        """Adds a block of rows to a dataset of the sender."""
        receipt = self.chain.transact(self.add_block_call(dataset_id, commitment, rows, proof), sender)
        return BlockAdded.of(receipt.event("BlockAdded"))

    def blocks(self, dataset_id: int, version: int) -> list[BlockAdded]:
        """The blocks of a version behind its first, in order."""
        where = {"datasetId": dataset_id, "version": version}
        events = self.chain.events(self.registry, "BlockAdded", argument_filters=where)
        return [BlockAdded.of(event) for event in events]

    def retire(self, sender: Account, dataset_id: int) -> None:
        """Ends new grants of a dataset, for good."""
        self.chain.transact(self.registry.functions.retire(dataset_id), sender)

    def dataset(self, dataset_id: int) -> Dataset:
        """A dataset as the chain keeps it."""
        found = self.chain.call(self.registry.functions.getDataset(dataset_id))
        provider, class_id, rows, blocks, version, retired, commitment, schema, thresholds, prices = found
        return Dataset(
            dataset_id=dataset_id,
            provider=provider,
            class_id=class_id,
            rows=rows,
            blocks=blocks,
            version=version,
            retired=retired,
            commitment=point_bytes(commitment),
            schema=schema,
            thresholds=in_base_units(thresholds),
            prices=in_base_units(prices),
        )

    def datasets(self) -> int:
        """Number of datasets; their ids are 1 to this."""
        return int(self.chain.call(self.registry.functions.datasetCount()))

    def listings(self, from_block: int = 0, **filters: Any) -> list[DatasetMinted]:
        """All listings and updates, in order; `filters` are `datasetId`, `provider` (then), `classId`."""
        events = self._ordered(("DatasetMinted", "DatasetUpdated"), from_block, filters)
        return [DatasetMinted.of(event) for event in events]

    def listing(self, dataset_id: int, version: int | None = None) -> DatasetMinted:
        """The listing of a version, by default the present one.

        Raises:
            InputError: there is none.
            LedgerError: the node leaves out events.
        """
        found = self.listings(datasetId=dataset_id)
        present = self.dataset(dataset_id).version
        wanted = present if version is None else version
        for each in found:
            if each.version == wanted:
                return each
        if 1 <= wanted <= present:
            raise LedgerError("the node left out listings: ask one that keeps all logs")
        raise InputError(f"dataset {dataset_id} has no version {wanted}; the present one is {present}")

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
        self,
        dataset_id: int,
        tier: int,
        duration: int,
        hpke_key: bytes,
        root: int,
        nullifier: int,
        proof: bytes,
        price: int = 0,
        version: int | None = None,
    ) -> ContractFunction:
        """Opens a tier to the sender, or extends its grant of the same tier by `duration` seconds.

        The sender must have allowed the registry to take `price`, which must be the tier's; `version` is the one that
        it has seen, by default the present one.
        """
        if len(hpke_key) not in HPKE_KEY_LENGTHS:
            raise InputError(f"an HPKE public key has 32 or 1216 bytes, not {len(hpke_key)}")
        seen = self.dataset(dataset_id).version if version is None else version
        return self.registry.functions.accessDataset(
            dataset_id, tier, duration, hpke_key, price, seen, root, nullifier, words(proof, 8, "a proof")
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
        price: int = 0,
        version: int | None = None,
    ) -> AccessGranted:
        """Opens a tier to `sender` by an eligibility proof for `eligibility_terms`; allows the price where needed."""
        call = self.access_dataset_call(dataset_id, tier, duration, hpke_key, root, nullifier, proof, price, version)
        self.allow(sender, self.registry.address, price)
        receipt = self.chain.transact(call, sender)
        found = [each for each in receipt.events if each.name in ("AccessGranted", "AccessExtended")]
        return AccessGranted.of(found[0])

    def allow(self, sender: Account, spender: str, amount: int) -> None:
        """Allows a contract to take so much from the sender, where it may not already."""
        if amount and self.chain.call(self.token.functions.allowance(sender.address, spender)) < amount:
            self.chain.transact(self.token.functions.approve(spender, amount), sender)

    def deliver_key_call(
        self, dataset_id: int, grantee: str, tier: int, version: int, sealed_key: bytes
    ) -> ContractFunction:
        """Publishes the key of a tier and version, sealed to the grantee; only the provider may."""
        return self.registry.functions.deliverKey(dataset_id, grantee, tier, version, sealed_key)

    def deliver_key(
        self, sender: Account, dataset_id: int, grantee: str, tier: int, version: int, sealed_key: bytes
    ) -> KeyDelivered:
        """Publishes the key of a tier and version, sealed to the grantee."""
        call = self.deliver_key_call(dataset_id, grantee, tier, version, sealed_key)
        return KeyDelivered.of(self.chain.transact(call, sender).event("KeyDelivered"))

    def grant(self, dataset_id: int, grantee: str, tier: int) -> Grant:
        """The last grant of exactly this tier."""
        return Grant(*self.chain.call(self.registry.functions.grantOf(dataset_id, grantee, tier)))

    def has_access(self, dataset_id: int, grantee: str, tier: int) -> bool:
        """Whether the grantee holds a running grant of this tier or a higher one."""
        return bool(self.chain.call(self.registry.functions.hasAccess(dataset_id, grantee, tier)))

    def grants(self, from_block: int = 0, **filters: Any) -> list[AccessGranted]:
        """All grants and extensions, in order; `filters` are `datasetId`, `grantee`, `tier`."""
        events = self._ordered(("AccessGranted", "AccessExtended"), from_block, filters)
        return [AccessGranted.of(event) for event in events]

    def _ordered(self, names: tuple[str, ...], from_block: int, filters: dict[str, Any]) -> list[Event]:
        found = [
            event
            for name in names
            for event in self.chain.events(self.registry, name, from_block, argument_filters=filters)
        ]
        return sorted(found, key=lambda event: (event.block_number, event.log_index))

    def deliveries(self, from_block: int = 0, **filters: Any) -> list[KeyDelivered]:
        """All delivered keys; `filters` are `datasetId`, `grantee`, `tier`."""
        events = self.chain.events(self.registry, "KeyDelivered", from_block, argument_filters=filters)
        return [KeyDelivered.of(event) for event in events]


def _listing(commitment: bytes, rows: int, proof: LinkedProof) -> tuple[Any, ...]:
    """The contract's `Listing`."""
    return (
        words(commitment, 2, "a dataset commitment"),
        rows,
        words(proof.proof, 8, "a proof"),
        words(proof.d, 2, "D"),
        words(proof.q, 2, "Q"),
        proof.y,
    )
