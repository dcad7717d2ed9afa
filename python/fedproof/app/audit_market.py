"""The auditor's checks of the marketplace: deployed code, keys, listings and grants, from public data alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_utils.address import to_checksum_address
from web3.contract import Contract

from fedproof import _core
from fedproof.errors import AuditError, FedproofError
from fedproof.learning.fixed import TrainingSpec
from fedproof.ledger import Chain, load_artifact
from fedproof.ledger.market_types import AccessGranted, DatasetMinted
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof, check_linked, check_plain
from fedproof.proving.transcript import (
    EXTENSION,
    FIRST_GRANT,
    eligibility_scope,
    eligibility_signal,
    hpke_key_word,
)
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.layout import DatasetLayout
from fedproof.statements.listing import ListingStatement
from fedproof.statements.notes import LeanImt
from fedproof.statements.training import TrainingStatement


def require(condition: bool, what: str) -> None:
    """Refuse the run with one line.

    Raises:
        AuditError: the condition does not hold.
    """
    if not condition:
        raise AuditError(what)


def number_words(values: Any) -> bytes:
    """Numbers from calldata as 32-byte words."""
    return b"".join(int(value).to_bytes(32, "big") for value in values)


def decoded_call(chain: Chain, contract: Contract, tx_hash: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the function that a transaction called.

    Raises:
        AuditError: the calldata is not a call of this contract.
    """
    try:
        function, arguments = contract.decode_function_input(chain.transaction_input(tx_hash))
    except ValueError as error:
        raise AuditError(f"transaction {tx_hash} is no call of {contract.address}: {error}") from None
    return str(function.fn_name), dict(arguments)


def check_code(chain: Chain, contracts: Mapping[str, tuple[str, str]]) -> str:
    """The contracts were made by exactly the creation code that this package ships.

    Args:
        contracts: by artifact name, the address and the hash of the transaction that made it.
    """
    for name, (address, tx_hash) in contracts.items():
        shipped = load_artifact(name)
        given = chain.transaction_input(tx_hash)
        libraries = {
            library: to_checksum_address(given[places[0]["start"] : places[0]["start"] + 20])
            for file in shipped.link_references.values()
            for library, places in file.items()
        }
        made = chain.receipt(tx_hash).contract_address
        require(
            made == address and given.startswith(shipped.linked(libraries)),
            f"the contract at {address} was not made from the {name} that this package ships",
        )
        for library, at in libraries.items():
            code = bytes.fromhex(load_artifact(library).deployed_bytecode)
            # a library's code begins with PUSH20 of its own address
            expected = code[:1] + bytes.fromhex(at[2:]) + code[21:]
            require(chain.code_at(at) == expected, f"the library at {at} is not the {library} that this package ships")
    return f"{len(contracts)} contracts run exactly the code that this package ships"


def check_keys(spec: TrainingSpec, srs: _core.Srs, keys: dict[str, VerifyingKey]) -> str:
    """Every key is of the circuit that this package compiles, and all link to the published powers of tau."""
    layout = DatasetLayout(spec.rows, spec.columns)
    circuits = {
        "eligibility": compile_statement(EligibilityStatement()),
        "listing": compile_statement(ListingStatement(spec.rows, spec.columns)),
        "training": compile_statement(TrainingStatement(spec)),
        "aggregation": compile_statement(AggregationStatement(spec.columns, spec.update_bound)),
    }
    seen: dict[bytes, str] = {_core.g2_generator(): "gamma"}
    for name, key in keys.items():
        require(
            key.circuit_id == circuits[name].circuit_id, f"the {name} key is of another circuit than this package's"
        )
        require(key.tau == srs.g2_power(1), f"the {name} key links to other powers of tau than the published ones")
        for part, point in (("delta", key.delta), ("eta", key.eta)):
            if point is not None:
                require(point not in seen, f"{part} of the {name} key is {seen.get(point)}: proofs could be forged")
                seen[point] = f"{part} of {name}"
    require(keys["training"].tau_d == srs.g2_power(layout.masks), "the training key has another [tau^d]_2")
    return f"{len(keys)} verifying keys are of the circuits that this package compiles; gamma, delta and eta all differ"


def check_listing(market: Marketplace, key: VerifyingKey, listing: DatasetMinted) -> str:
    """The listing proof of a dataset, verified again outside the chain."""
    _, call = decoded_call(market.chain, market.registry, listing.tx_hash)
    given = call["listing"]
    proof = LinkedProof(
        number_words(given["proof"]), number_words(given["d"]), number_words(given["q"]), int(given["y"])
    )
    challenges = market.listing_challenges(
        listing.provider, listing.terms, listing.commitment, listing.rows, key.circuit_id, proof.d
    )
    try:
        check_linked(key, [listing.rows], challenges, proof, [listing.commitment])
    except FedproofError as error:
        raise AuditError(f"dataset {listing.dataset_id}: listing proof: {error}") from None
    return f"dataset {listing.dataset_id}: the listing proof holds for {listing.rows} rows"


class GrantAuditor:
    """Checks grants one after the other, with the roots and nullifiers that came before."""

    def __init__(self, market: Marketplace, key: VerifyingKey) -> None:
        self.market = market
        self.key = key
        self.epoch_length = int(market.chain.call(market.vault.contract.functions.epochLength()))
        self.nullifiers: set[int] = set()
        tree = LeanImt()
        self.roots: list[tuple[int, int]] = []
        for deposit in market.vault.deposits():
            require(tree.insert(deposit.leaf) >= 0 and tree.root == deposit.root, "the vault's tree does not add up")
            self.roots.append((deposit.block_number, tree.root))

    def check(self, grant: AccessGranted) -> str:
        """The eligibility proof of a grant, with scope, signal, threshold and epoch computed anew."""
        market = self.market
        where = f"grant of dataset {grant.dataset_id} to {grant.grantee}"
        name, call = decoded_call(market.chain, market.registry, grant.tx_hash)
        require(name == "accessDataset", f"{where}: it was not made by accessDataset")
        epoch = market.chain.timestamp(grant.block_number) // self.epoch_length
        scope = eligibility_scope(
            chain_id=market.chain.chain_id,
            registry=market.registry.address,
            dataset=grant.dataset_id,
            epoch=epoch,
            purpose=EXTENSION if grant.extension else FIRST_GRANT,
        )
        signal = eligibility_signal(
            tier=grant.tier,
            duration=int(call["duration"]),
            grantee=grant.grantee,
            hpke_key_hash=hpke_key_word(grant.hpke_key),
        )
        root, nullifier = int(call["root"]), int(call["nullifier"])
        known = any(made == root for block, made in self.roots if block <= grant.block_number)
        require(known, f"{where}: the root was never the vault's")
        require(nullifier not in self.nullifiers, f"{where}: its nullifier was spent before")
        self.nullifiers.add(nullifier)
        threshold = market.dataset(grant.dataset_id).thresholds[grant.tier]
        try:
            check_plain(self.key, [root, scope, nullifier, threshold, signal, epoch], number_words(call["proof"]))
        except FedproofError as error:
            raise AuditError(f"{where}: eligibility proof: {error}") from None
        return f"dataset {grant.dataset_id}: Tier {grant.tier} was granted by a fresh proof of balance"
