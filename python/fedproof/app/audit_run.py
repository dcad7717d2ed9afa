"""The auditor's way in: the run folder's documents, and the chain that they speak of. All of it may be hostile."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address
from web3.types import Nonce
from web3.utils.address import get_create_address

from fedproof.app.audit_base import Audit, require
from fedproof.app.world import MANIFEST_VERSION
from fedproof.errors import AuditError, InputError
from fedproof.ledger import Chain, load_artifact
from fedproof.ledger.embedded.genesis import BLOCK_GAS_LIMIT
from fedproof.ledger.federation import Federation
from fedproof.ledger.market_types import Addresses
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.replay import check_export, replay
from fedproof.ledger.rpc import parse_quantity
from fedproof.storage import BlobStore

CONTRACTS = ("AccessToken", "NoteVault", "DatasetRegistry", "KeyEscrow", "DatasetSales", "Federation")
MANIFEST_BYTES = 1 << 16
CHAIN_BYTES = 512 << 20  # a thousand rounds of sixty participants; JSON takes several times its length in memory
_FIELDS = {"version", "embedded", "chain_id", "contracts", "task"}
_ADDRESS, _HASH = re.compile(r"0x[0-9a-fA-F]{40}"), re.compile(r"0x[0-9a-f]{64}")
_WORD = 32
_LIBRARY_NONCES = 1000  # transactions between a library and what is linked with it


@dataclass(frozen=True)
class Manifest:
    """Where the auditor starts: the contracts with the transactions that made them, and the task."""

    embedded: bool
    chain_id: int
    contracts: dict[str, tuple[str, str]]
    task: int


def read_manifest(path: Path) -> Manifest:
    """The manifest of a run.

    Raises:
        InputError: it is missing, or not one that this build knows.
    """
    d = read_document(path, MANIFEST_BYTES)
    if d.get("version") != MANIFEST_VERSION:
        raise InputError(f"manifest.json is not of version {MANIFEST_VERSION}, the one that this build knows")
    if set(d) != _FIELDS or (type(d["embedded"]), type(d["chain_id"]), type(d["task"])) != (bool, int, int):
        raise InputError(f"manifest.json must have exactly the fields {', '.join(sorted(_FIELDS))}")
    given = d["contracts"]
    if not isinstance(given, dict) or set(given) != set(CONTRACTS):
        raise InputError(f"manifest.json must name the contracts {', '.join(CONTRACTS)}")
    contracts: dict[str, tuple[str, str]] = {}
    for name in CONTRACTS:
        made = given[name]
        if not (isinstance(made, list) and len(made) == 2 and all(isinstance(part, str) for part in made)):
            raise InputError(f"manifest.json: contract {name} needs an address and a transaction hash")
        if not _ADDRESS.fullmatch(made[0]) or not _HASH.fullmatch(made[1]):
            raise InputError(f"manifest.json: contract {name} needs an address and a transaction hash")
        contracts[name] = (to_checksum_address(made[0]), made[1])
    return Manifest(d["embedded"], d["chain_id"], contracts, d["task"])


def read_document(path: Path, limit: int) -> dict[str, Any]:
    """A JSON object of at most `limit` bytes.

    Raises:
        InputError: there is none.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise InputError(f"{path} is not a file of at most {limit} bytes")
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing; name the folder of a finished run") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} is not a JSON object")
    return document


def open_chain(manifest: Manifest, export: dict[str, Any], rpc: str | None, audit: Audit) -> Chain:
    """The chain of the run: made again from the export, or the node's, compared with the export.

    Raises:
        InputError: a node is needed and none is named, or the other way round.
        LedgerError: the node cannot be reached, or is of another chain.
        AuditError: the export is not of that chain.
    """
    audit.teller.doing("audit: running every transaction again")
    if manifest.embedded:
        if rpc is not None:
            raise InputError("this run was made on the embedded chain, which runs again here: leave --rpc out")
        return _again(manifest, export, audit)
    if rpc is None:
        raise InputError(f"this run was made on chain {manifest.chain_id}: name a node of it with --rpc URL")
    chain = Chain.connect(rpc, chain_id=manifest.chain_id)
    try:
        check_export(export, chain)
    except BaseException:
        chain.close()
        raise
    audit.passed(f"chain {chain.chain_id}: the exported transactions and receipts are those of the node")
    audit.note("what the node says of its chain was believed; ask a node that you trust")
    return chain


def _again(manifest: Manifest, export: dict[str, Any], audit: Audit) -> Chain:
    genesis = export.get("genesis")
    require(isinstance(genesis, dict), "the export is not of an embedded chain, which the manifest says it is")
    # one transaction may run as long as its block allows
    require(genesis.get("gasLimit") == BLOCK_GAS_LIMIT, f"blocks of the export do not hold {BLOCK_GAS_LIMIT} gas")  # type: ignore[union-attr]
    require(export.get("chainId") == manifest.chain_id, "manifest and export name different chains")
    try:
        chain = replay(export)
    except InputError as error:
        raise AuditError(str(error)) from None
    blocks = chain.block_number()
    audit.passed(f"chain: all transactions of {blocks} blocks run again with the same receipts and block hashes")
    audit.note("an embedded chain has the clock, and the order of transactions, that whoever made the run gave it")
    return chain


def open_contracts(chain: Chain, contracts: dict[str, tuple[str, str]], audit: Audit) -> tuple[Marketplace, Federation]:
    """The run's contracts, once it is sure that they are the shipped ones and belong together."""
    audit.passed(check_code(chain, contracts))
    market = Marketplace.at(chain, Addresses(*(contracts[name][0] for name in CONTRACTS[:-1])))  # type: ignore[arg-type]
    federation = Federation.at(chain, contracts["Federation"][0])
    audit.passed(check_belonging(market, federation))
    return market, federation


def check_code(chain: Chain, contracts: dict[str, tuple[str, str]]) -> str:
    """The contracts were made by exactly the creation code that this package ships.

    Args:
        contracts: by artifact name, the address and the hash of the transaction that made it.
    """
    for name, (address, tx_hash) in contracts.items():
        shipped = load_artifact(name)
        given = chain.transaction_input(tx_hash)
        # a short transaction has no libraries where they would be looked for
        wrong = f"the contract at {address} was not made from the {name} that this package ships"
        require(len(given) >= len(shipped.bytecode) // 2, wrong)
        libraries = {
            library: to_checksum_address(given[places[0]["start"] : places[0]["start"] + 20])
            for file in shipped.link_references.values()
            for library, places in file.items()
        }
        code = shipped.linked(libraries)
        arguments = next((len(entry["inputs"]) for entry in shipped.abi if entry["type"] == "constructor"), 0)
        receipt = chain.receipt(tx_hash)
        require(
            receipt.status == 1
            and receipt.contract_address == address
            and given.startswith(code)
            and len(given) == len(code) + _WORD * arguments,
            wrong,
        )
        for library, at in libraries.items():
            require(
                _made_before(chain, tx_hash, at),
                f"the library at {at} was not made by the account that made {name}, in a transaction before: at any "
                "other address there may have been other code in between",
            )
            expected = load_artifact(library).deployed_at(at)
            require(chain.code_at(at) == expected, f"the library at {at} is not the {library} that this package ships")
    return f"{len(contracts)} contracts run exactly the code that this package ships"


def _made_before(chain: Chain, tx_hash: str, address: str) -> bool:
    """Whether an address is that of a contract which the sender of a transaction made itself, not long before it.

    Such an address has one code for ever. At one that a contract makes (CREATE2) there may be other code for the length
    of a transaction, which the linked contract would run as its own.
    """
    found = chain.rpc.request("eth_getTransactionByHash", tx_hash)
    known = isinstance(found, dict) and isinstance(found.get("from"), str)
    require(known, f"the chain has no transaction {tx_hash}, or does not say who sent it")
    nonce = parse_quantity(found.get("nonce"), "a nonce")
    sender = to_checksum_address(found["from"])
    return any(get_create_address(sender, Nonce(n)) == address for n in range(max(0, nonce - _LIBRARY_NONCES), nonce))


def check_belonging(market: Marketplace, federation: Federation) -> str:
    """One token, one vault, one registry: a federation over another registry would take anybody's grants."""
    chain, contract = market.chain, federation.contract
    for what, getter, address in (
        ("registry", contract.functions.registry(), market.registry.address),
        ("token", contract.functions.token(), market.token.address),
    ):
        require(chain.call(getter) == address, f"the contracts use another {what} than the manifest names")
    check_committee(federation)
    epoch = int(chain.call(market.vault.contract.functions.epochLength()))
    return f"token, vault, registry, federation and committee belong together; an epoch has {epoch:,} s"


def check_committee(federation: Federation) -> None:
    """The federation's committee runs the shipped code, and serves this federation with its token.

    The federation's creation code makes it, so this holds once that code is the shipped one. It is looked at all the
    same: a chain that says otherwise cannot be believed in anything.
    """
    chain, committee = federation.chain, federation.committee
    code = chain.code_at(committee.address)
    for what, getter, address in (
        ("federation", committee.contract.functions.federation(), federation.address),
        ("token", committee.contract.functions.token(), federation.token.address),
    ):
        require(chain.call(getter) == address, f"the committee at {committee.address} is of another {what}")
        code = code.replace(bytes(12) + bytes.fromhex(address[2:]), bytes(_WORD))  # immutables are zeros as compiled
    shipped = bytes.fromhex(load_artifact("Committee").deployed_bytecode)
    require(code == shipped, f"the contract at {committee.address} is not the Committee that this package ships")


def check_blobs(store: BlobStore) -> str:
    """Every blob of the run is what its id says, also those that only a grantee can open and so know of."""
    names = sorted(path.name for path in Path(store.name).iterdir())
    for name in names:
        store.get(name)
    return f"{len(names)} blobs are stored, each what its id says"
