"""Publishing a deployment, and joining one: from the public document to the objects that a node works with."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from fedproof import __version__, _core
from fedproof.app.audit_keys import check_keys, check_powers
from fedproof.app.audit_run import CONTRACTS, check_belonging, check_code
from fedproof.app.deployment import BlobRef, DeploymentFile, statements_of
from fedproof.app.keyfile import encode_key_file, read_key_file
from fedproof.app.world import key_requests
from fedproof.errors import AuditError, InputError, KeyFileError, LedgerError, StateError, StorageError
from fedproof.learning.plans import Plan
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation
from fedproof.ledger.market_types import CapacityClass
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import Deployment
from fedproof.proving.circuit import Circuit, compile_statement
from fedproof.proving.keys import Keys, VerifyingKey, with_proving_key
from fedproof.storage import BlobStore
from fedproof.storage.folders import write_file

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
    for name in key_requests(deployment.plan):
        key = deployment.keys[name]
        data = encode_key_file(key.circuit.circuit_id, [key.proving.to_bytes()])
        keys[name] = BlobRef(deployment.store.put(data), len(data), key.circuit.circuit_id.hex())
    document = DeploymentFile(
        chain_id=chain.chain_id,
        contracts=made,
        store=store_url or deployment.store.name,
        class_id=deployment.class_id,
        plan=deployment.plan,
        powers=BlobRef(deployment.store.put(powers), len(powers)),
        keys=keys,
    )
    document = DeploymentFile.decode(document.encode())  # what nobody could read is not published
    check_contracts(document, chain)
    try:
        write_file(path, document.encode(), mode=0o666)
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
    _check_present(document, chain)
    try:
        check_code(chain, document.contracts)
        market, federation = Marketplace.at(chain, document.addresses), Federation.at(chain, document.federation)
        check_belonging(market, federation)
    except AuditError as error:
        raise LedgerError(f"{error}; the deployment file is not of this chain's federation") from None
    return market, federation


def _check_present(document: DeploymentFile, chain: Chain) -> None:
    """Many chains have one number, that of development: the transactions tell whether it is the document's."""
    for name, (address, tx_hash) in document.contracts.items():
        if chain.rpc.request("eth_getTransactionReceipt", tx_hash) is not None:
            continue
        file = document.path or "the deployment file"
        if chain.code_at(address) and not chain.is_development:
            raise LedgerError(
                f"{chain.rpc.url} has {name} at {address}, and not the transaction that made it, {tx_hash}: ask a node "
                "that keeps old transactions"
            )
        lost = (
            "; or, if this development chain was started anew, make the federation again: fedproof market init"
            if chain.is_development
            else ""
        )
        raise LedgerError(
            f"{file} and the chain at {chain.rpc.url} do not belong together: it has no transaction {tx_hash}, which "
            f"made {name}; name this chain's deployment file, or a node of the other chain{lost}"
        )


def join(
    document: DeploymentFile,
    chain: Chain,
    cache: Path,
    *,
    store: BlobStore | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> tuple[Deployment, Federation]:
    """The objects of a deployment, with its keys from `cache`, or else from the store.

    All keys are checked the first time, against each other and the chain. After that each is loaded when it is needed:
    a node needs two or three of them, and they take most of its memory.

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
    _class_of(document, market)
    store = store or BlobStore.open(document.store)
    blobs = _Cache(BlobStore.open(cache), store, notice)
    srs = load_powers(document, cache, store, notice)
    keys = LazyKeys(_Loader(document, market, srs, blobs).load, statements_of(document.plan))
    deployment = Deployment(market, store, srs, document.plan, document.class_id, keys)
    mark = checked_mark(document, cache)
    if not mark.exists():
        notice("compiling circuits and checking all keys")
        loader = _Loader(document, market, srs, blobs)
        loader.check_circuits()  # what takes long comes last
        verifying = {
            name: loader.load(name).verifying for name in statements_of(document.plan)
        }  # each compared with the chain's
        del verifying["spend"]
        _check_together(document.plan, srs, verifying)
        loader.check_points()
        set_mark(mark)
    return deployment, federation


def checked_mark(document: DeploymentFile, cache: Path) -> Path:
    """The file that tells that all keys of a document were checked, by this version of the package."""
    digest = hashlib.sha256(document.encode() + __version__.encode()).hexdigest()
    return cache / f"checked-{digest}"


def set_mark(mark: Path) -> None:
    """Say that all keys were checked.

    Raises:
        StateError: the disk refuses.
    """
    try:
        mark.touch(mode=0o600)
    except OSError as error:
        raise StateError(f"{mark} cannot be written: {error.strerror}") from None


def load_powers(
    document: DeploymentFile, cache: Path, store: BlobStore, notice: Callable[[str], None] = lambda _: None
) -> _core.Srs:
    """The powers of tau alone, from `cache` or else from the store: what checks a model against its commitment.

    Raises:
        KeyFileError: they are damaged or inconsistent.
        StorageError: the blob is missing or not what its id says.
    """
    blobs = _Cache(BlobStore.open(cache), store, notice)
    return blobs.load("powers of tau", document.powers, lambda data, _: _core.Srs.from_bytes(data))


def load_task_keys(
    document: DeploymentFile,
    market: Marketplace,
    cache: Path,
    store: BlobStore,
    notice: Callable[[str], None] = lambda _: None,
) -> tuple[_core.Srs, dict[str, VerifyingKey]]:
    """What opening a task takes: powers of tau, and the verifying keys of updates and of aggregation.

    The keys of listing and eligibility are the chain's; so their proving keys are not fetched.

    Raises:
        KeyFileError: a key is of another circuit than this package compiles, or of other powers than the chain's.
        StorageError: a blob is missing or not what its id says.
    """
    found = _class_of(document, market)
    notice("compiling circuits")
    srs = load_powers(document, cache, store, notice)
    loader = _Loader(document, market, srs, _Cache(BlobStore.open(cache), store, notice))
    made = {name: loader.load(name).verifying for name in (document.plan.key_name, "aggregation")}
    on_chain = {
        "listing": market.verifying_key(found.listing_key),
        "eligibility": market.verifying_key(found.eligibility_key),
    }
    _check_together(document.plan, srs, made | on_chain)
    return srs, made


def _class_of(document: DeploymentFile, market: Marketplace) -> CapacityClass:
    plan, found = document.plan, market.capacity_class(document.class_id)
    if (found.rows, found.columns) != (plan.rows, plan.columns):
        raise KeyFileError(f"capacity class {document.class_id} is {found.rows} x {found.columns}, not the document's")
    return found


class LazyKeys(Mapping[str, Keys]):
    """The keys of a deployment, each loaded when it is asked for."""

    def __init__(self, load: Callable[[str], Keys], names: tuple[str, ...]) -> None:
        self._load = load
        self._names = names
        self._loaded: dict[str, Keys] = {}

    def __getitem__(self, name: str) -> Keys:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Loader:
    """Loads one key, and compares it with the circuit that this package compiles and with the chain."""

    def __init__(self, document: DeploymentFile, market: Marketplace, srs: _core.Srs, blobs: _Cache) -> None:
        self._document = document
        self._market = market
        self._srs = srs
        self._blobs = blobs
        self._requests = key_requests(document.plan)
        self._unchecked = set(self._requests)

    def check_circuits(self) -> None:
        """The document says that its keys are of this build's circuits."""
        for name in self._requests:
            self._circuit(name)

    def check_points(self) -> None:
        """Every point of the keys that were not fetched by this loader, and so checked as they came."""
        for name in sorted(self._unchecked):
            parse = partial(_proving_key, self._circuit(name), check=True)
            self._blobs.load(f"{name} key", self._document.keys[name], parse)

    def _circuit(self, name: str) -> Circuit:
        circuit = compile_statement(self._requests[name].statement)
        if self._document.keys[name].circuit != circuit.circuit_id.hex():
            raise KeyFileError(f"the {name} key is of another circuit than this build's: use the federation's version")
        return circuit

    def load(self, name: str) -> Keys:
        request, circuit = self._requests[name], self._circuit(name)

        def parse(data: bytes, fetched: bool) -> _core.ProvingKey:
            found = _proving_key(circuit, data, fetched)
            if fetched:
                self._unchecked.discard(name)
            return found

        proving = self._blobs.load(f"{name} key", self._document.keys[name], parse)
        with _key_errors(f"{name} key"):
            keys = with_proving_key(circuit, proving, self._srs, request.mask_position)
        address = self._address(name)
        if address is not None and self._market.verifying_key(address) != keys.verifying:
            raise KeyFileError(f"the {name} key of the deployment file is not the one on the chain")
        return keys

    def _address(self, name: str) -> str | None:
        """Keys of updates and of aggregation are the task's: who enrols in one compares them with it."""
        if name == "spend":
            found: str = self._market.chain.call(self._market.vault.contract.functions.spendKey())
            return found
        if name not in ("listing", "eligibility"):
            return None
        shape = self._market.capacity_class(self._document.class_id)
        return shape.listing_key if name == "listing" else shape.eligibility_key


def _check_together(plan: Plan, srs: _core.Srs, verifying: dict[str, VerifyingKey]) -> None:
    """What the auditor checks of all keys."""
    try:
        check_powers(plan, srs)
        check_keys(plan, srs, verifying)
    except AuditError as error:
        raise KeyFileError(str(error)) from None


@contextlib.contextmanager
def _key_errors(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyFileError) as error:  # the core says ValueError
        raise KeyFileError(f"{what}: {error}") from None


def _proving_key(circuit: Circuit, data: bytes, fetched: bool, check: bool = False) -> _core.ProvingKey:
    # A point off its curve could make a proof tell of the witness. Looking at all of them takes seconds, so once.
    tested = fetched or check
    (proving,) = read_key_file(
        io.BytesIO(data), circuit.circuit_id, lambda pieces, size: _core.ProvingKey.from_chunks(pieces, size, tested), 1
    )
    if proving.circuit_digest != circuit.r1cs.digest():
        raise KeyFileError("it belongs to another circuit")
    return proving


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
