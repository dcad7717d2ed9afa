"""Publishing a deployment, and joining one: from the public document to the objects that a node works with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from fedproof import _core
from fedproof.app.audit_keys import check_keys, check_powers
from fedproof.app.audit_run import CONTRACTS, check_belonging, check_code
from fedproof.app.deployment import BlobRef, DeploymentFile
from fedproof.app.keyring import decode_key_file, encode_key_file
from fedproof.app.world import key_requests
from fedproof.errors import AuditError, InputError, KeyFileError, LedgerError, StorageError
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import Deployment
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.keys import Keys, VerifyingKey, with_proving_key
from fedproof.storage import BlobStore

T = TypeVar("T")


def publish(
    deployment: Deployment,
    federation: Federation,
    path: Path,
    *,
    store_url: str | None = None,
    creations: Mapping[str, str] | None = None,
) -> DeploymentFile:
    """Put powers and keys into the deployment's store, then write the document, which makes it known.

    Args:
        path: of the document.
        store_url: address of the store for others; by default the store's name.
        creations: by contract name, the hash of the transaction that made it; by default what this process deployed.

    Raises:
        InputError: the document would be none that a node takes, or cannot be written.
        LedgerError: a contract was not deployed here, and its transaction is not given.
        StorageError: the store refuses.
    """
    chain, addresses = deployment.market.chain, deployment.market.addresses
    at = dict(zip(CONTRACTS, (*vars(addresses).values(), federation.address), strict=True))
    made = {
        name: (address, creations[name] if creations is not None else chain.deployment_receipt(address).tx_hash)
        for name, address in at.items()
    }
    powers = deployment.srs.to_bytes()
    keys: dict[str, BlobRef] = {}
    for name in key_requests(deployment.spec):
        key = deployment.keys[name]
        data = encode_key_file(key.circuit.circuit_id, [key.proving.to_bytes()])
        keys[name] = BlobRef(deployment.store.put(data), len(data), key.circuit.circuit_id.hex())
    document = DeploymentFile(
        chain_id=chain.chain_id,
        contracts=made,
        store=store_url or deployment.store.name,
        class_id=deployment.class_id,
        spec=deployment.spec,
        powers=BlobRef(deployment.store.put(powers), len(powers)),
        keys=keys,
    )
    document = DeploymentFile.decode(document.encode())  # what nobody could read is not published
    check_contracts(document, chain)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(document.encode())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return document


def check_contracts(document: DeploymentFile, chain: Chain) -> tuple[Marketplace, Federation]:
    """The contracts of a document, once it is sure that they run the shipped code and belong together.

    Raises:
        LedgerError: they do not, or the chain is another.
    """
    if chain.chain_id != document.chain_id:
        raise LedgerError(f"the chain is {chain.chain_id}, the deployment is on {document.chain_id}: check the URL")
    try:
        check_code(chain, document.contracts)
        market, federation = Marketplace.at(chain, document.addresses), Federation.at(chain, document.federation)
        check_belonging(market, federation)
    except AuditError as error:
        raise LedgerError(f"{error}; the deployment file is not of this chain's federation") from None
    return market, federation


def join(
    document: DeploymentFile,
    chain: Chain,
    cache: Path,
    *,
    store: BlobStore | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> tuple[Deployment, Federation]:
    """The objects of a deployment, with its keys from `cache`, or else from the store.

    Args:
        cache: a folder of the node's own. What is in it was checked when it came, and its content id is every time.
        store: in place of the document's.
        notice: is told, in one line, what takes time.

    Raises:
        LedgerError: the contracts are not those of this package, or the chain is another.
        KeyFileError: a key is of another circuit than this package compiles, or not the chain's.
        StorageError: a blob is missing or not what its id says.
    """
    market, federation = check_contracts(document, chain)
    spec = document.spec
    found = market.capacity_class(document.class_id)
    if (found.rows, found.columns) != (spec.rows, spec.columns):
        raise KeyFileError(f"capacity class {document.class_id} is {found.rows} x {found.columns}, not the document's")
    notice("compiling circuits")
    requests = key_requests(spec)
    circuits = {name: compile_statement(request.statement) for name, request in requests.items()}
    for name, circuit in circuits.items():
        if document.keys[name].circuit != circuit.circuit_id.hex():
            raise KeyFileError(f"the {name} key is of another circuit than this build's: use the federation's version")
    store = store or BlobStore.open(document.store)
    blobs = _Cache(BlobStore.open(cache), store, notice)
    srs = blobs.load("powers of tau", document.powers, lambda data, _: _core.Srs.from_bytes(data))
    keys: dict[str, Keys] = {}
    for name, circuit in circuits.items():
        proving = blobs.load(f"{name} key", document.keys[name], partial(_proving_key, circuit))
        with _key_errors(f"{name} key"):
            keys[name] = with_proving_key(circuit, proving, srs, requests[name].mask_position)
    deployment = Deployment(market, store, srs, spec, document.class_id, keys)
    _check_verifying(deployment, {"listing": found.listing_key, "eligibility": found.eligibility_key})
    return deployment, federation


def _check_verifying(deployment: Deployment, addresses: dict[str, str]) -> None:
    """The keys of training and aggregation are the task's: who enrols in one compares them with it."""
    market, keys = deployment.market, deployment.keys
    addresses["spend"] = market.chain.call(market.vault.contract.functions.spendKey())
    for name, address in addresses.items():
        if market.verifying_key(address) != keys[name].verifying:
            raise KeyFileError(f"the {name} key of the deployment file is not the one on the chain")
    verifying: dict[str, VerifyingKey] = {name: each.verifying for name, each in keys.items() if name != "spend"}
    try:
        check_powers(deployment.spec, deployment.srs)
        check_keys(deployment.spec, deployment.srs, verifying)
    except AuditError as error:
        raise KeyFileError(str(error)) from None


@contextlib.contextmanager
def _key_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyFileError) as error:  # the core says ValueError
        raise KeyFileError(f"{what}: {error}") from None


def _proving_key(circuit: Circuit, data: bytes, fetched: bool) -> _core.ProvingKey:
    parts = decode_key_file(data, circuit.circuit_id)
    if len(parts) != 1:
        raise KeyFileError(f"it has {len(parts)} parts, not 1")
    proving = _core.ProvingKey.from_bytes(parts[0])
    if proving.circuit_digest != circuit.r1cs.digest():
        raise KeyFileError("it belongs to another circuit")
    # A point off its curve could make a proof tell of the witness. Looking at all of them takes seconds, so once.
    return _core.ProvingKey.from_bytes(parts[0], check=True) if fetched else proving


class _Cache:
    """A store of the node's own in front of the deployment's. It takes only what has been checked whole."""

    def __init__(self, own: BlobStore, store: BlobStore, notice: Callable[[str], None]) -> None:
        self._own = own
        self._store = store
        self._notice = notice

    def load(self, what: str, ref: BlobRef, parse: Callable[[bytes, bool], T]) -> T:
        """The parsed blob; `parse` is told whether it was fetched, and so is seen for the first time."""
        fetched = False
        try:
            data = self._own.get(ref.blob, limit=ref.size)
        except StorageError:  # not there yet, or damaged: what comes instead replaces it
            self._notice(f"fetching {what}, {ref.size:,} bytes")
            fetched, data = True, self._store.get(ref.blob, limit=ref.size)
        if len(data) != ref.size:
            raise StorageError(f"{what}: blob {ref.blob} has {len(data)} bytes, not {ref.size} as the document says")
        with _key_errors(what):
            found = parse(data, fetched)
        if fetched:
            self._own.put(data)
        return found
