"""A marketplace home: the folder from which the `dataset`, `access` and `notes` commands work.

`market.json` says which chain, contracts and store; it is public, as is `keys/` with the proving keys. `private/` holds
one folder for each identity, with its secrets. A home without a node of its own keeps an embedded chain: every command
runs it again from `chain.json`, adds to it, and writes it back, one command at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from eth_utils.address import is_address

from fedproof import _core
from fedproof.app.deployment import may_be_named
from fedproof.app.founding import DEPLOYMENT_FILE, found, make_task_keys, opened_store
from fedproof.app.keyring import KeyRequest, Keyring
from fedproof.app.setups import keep_keys
from fedproof.app.telling import Teller
from fedproof.app.world import write_json
from fedproof.errors import InputError, KeyFileError, LedgerError, StateError
from fedproof.learning.plans import Plan
from fedproof.ledger import Account, Chain
from fedproof.ledger.accounts import read_key
from fedproof.ledger.market_types import Addresses, CapacityClass
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.replay import replay_file
from fedproof.nodes.state import StateFile
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.labels import BINARY, LabelKind
from fedproof.statements.layout import srs_size
from fedproof.statements.listing import ListingStatement
from fedproof.statements.spend import SpendStatement
from fedproof.storage import BlobStore
from fedproof.storage.folders import new_folder
from fedproof.storage.public import read_public

VERSION = 1
OPERATOR = "operator"
DEPOSITOR = "-deposits"
_FIELDS = {"version", "chain_id", "rpc", "store", "contracts", "keys"}
_MAX_BYTES = 1 << 16


def default_home() -> Path:
    """`$FEDPROOF_HOME`, or `fedproof-home` in the working directory."""
    return Path(os.environ.get("FEDPROOF_HOME", "fedproof-home"))


@dataclass
class Home:
    """An open home. `rpc` is None for an embedded chain. Use it as a context: leaving it saves the chain."""

    folder: Path
    rpc: str | None
    market: Marketplace
    store: BlobStore
    keyring: Keyring
    _states: dict[str, StateFile] = field(default_factory=dict)

    @classmethod
    def create(
        cls,
        folder: Path,
        teller: Teller,
        rpc: str | None = None,
        store: str | None = None,
        tasks: Plan | None = None,
        setup: Path | None = None,
    ) -> Plan | None:
        """Deploy a marketplace on an embedded chain or a development node, and write the home.

        Returns the plan of the federation, where one was deployed.

        Args:
            tasks: deploy a federation, too, whose tasks are of this plan, on datasets of its class, and write
                `deployment.json`, from which nodes join it.
            setup: folder of a finished setup by many, which is verified and whose keys are taken. With `rpc` the tasks
                are of its plan. The contracts then refuse keys of one dealer, such as are made here by default.

        Raises:
            InputError: the folder exists already, or there is no setup in `setup`.
            KeyFileError: the setup does not hold.
            LedgerError: the node is not a development node, which alone knows accounts by their names.
        """
        home = folder.resolve()
        place = _from_anywhere(store) if store is not None else str(home / "blobs")
        inside = "://" not in place and Path(place).is_relative_to(home)
        with contextlib.ExitStack() as stack:
            blobs = None if inside else stack.enter_context(opened_store(place))
            part = stack.enter_context(new_folder(folder))
            chain = stack.enter_context(Chain.embedded() if rpc is None else Chain.connect(rpc))
            if not chain.is_development:
                raise LedgerError(
                    f"chain {chain.chain_id} is not a development chain: there are no accounts to deploy from"
                )
            (part / "private").mkdir(mode=0o700)
            keyring = Keyring(part / "keys", teller.doing, strict=True, make=setup is None)
            if setup is not None:
                tasks = keep_keys(setup, keyring, teller)
            made = None if tasks is None else make_task_keys(keyring, tasks)
            operator = chain.new_account(OPERATOR)
            spend = note_keys(keyring)["spend"]
            teller.doing("deploying the marketplace")
            market = Marketplace.deploy(
                chain, operator, spend_key=spend.verifying, allow_development_keys=spend.verifying.development
            )
            if made is not None and rpc is not None:
                teller.doing("deploying the federation")
                blobs = blobs or BlobStore.open(part / Path(place).relative_to(home))
                found(made, market, operator, blobs, part / DEPLOYMENT_FILE, place if inside else None)
            a = market.addresses
            document = {
                "version": VERSION,
                "chain_id": chain.chain_id,
                "rpc": rpc,
                "store": place,
                "contracts": {name: getattr(a, name) for name in a.__dataclass_fields__},
                "keys": None,
            }
            if rpc is None:
                write_json(part / "chain.json", chain.export())
            write_json(part / "market.json", document)
        teller.step(f"marketplace on chain {document['chain_id']}, in {folder}")
        return None if rpc is None else tasks

    @classmethod
    def join(
        cls, folder: Path, source: str, teller: Teller, rpc: str | None = None, store: str | None = None
    ) -> dict[str, Any]:
        """Make a home of one's own on a marketplace that somebody else runs.

        Args:
            source: its home's folder, or a folder or URL with a copy of its public part: `market.json` and `keys/`.
            rpc, store: where this machine reaches chain and blobs, if not where that home does.

        Raises:
            InputError: there is no such marketplace, its chain is embedded in its home, or it names a store or keys
                that only the user can choose.
            LedgerError: the chain is another, or holds no such contracts.
        """
        data = read_public(source, "market.json", _MAX_BYTES)
        if data is None:
            raise InputError(f"{source} holds no market.json: give the folder or URL of a marketplace home")
        document = _decode(data, f"{source}/market.json")
        rpc = rpc or document["rpc"]
        if rpc is None:
            raise InputError(f"the chain of {source} is inside that home; only a home made with --rpc can be joined")
        _check_named(document, source, store)
        keys = _from_anywhere(document["keys"] or f"{source.rstrip('/')}/keys")
        document.update(rpc=rpc, store=_from_anywhere(store) if store else document["store"], keys=keys)
        with opened_store(document["store"]), Chain.connect(rpc, chain_id=document["chain_id"]) as chain:
            for name, address in document["contracts"].items():
                if not chain.code_at(address):
                    raise LedgerError(f"chain {chain.chain_id} has no contract at {address} ({name}): check --rpc")
            market = Marketplace.at(chain, Addresses(**document["contracts"]))
            with new_folder(folder) as part:
                _check_note_keys(market, note_keys(Keyring(part / "keys", teller.doing, keys, strict=True)), keys)
                (part / "private").mkdir(mode=0o700)
                write_json(part / "market.json", document)
        teller.step(f"joined the marketplace on chain {document['chain_id']}, in {folder}")
        return document

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path, teller: Teller) -> Iterator[Self]:
        """Open a home for one command.

        Raises:
            InputError: there is none, or it is damaged.
            StateError: another command has it open.
        """
        document = _read(folder / "market.json")
        with _locked(folder):
            chain = _chain(folder, document, teller)
            with chain:
                addresses = Addresses(**document["contracts"])
                if document["rpc"] is not None and not chain.code_at(addresses.registry):
                    raise LedgerError(
                        f"the marketplace of {folder} is not on the chain at {chain.rpc.url}: another chain answers "
                        "there, or a development chain that was started anew; start the right one, or make another "
                        "home with fedproof market init"
                    )
                market = Marketplace.at(chain, addresses)
                keyring = Keyring(folder / "keys", teller.doing, document["keys"], strict=True)
                home = cls(folder, document["rpc"], market, BlobStore.open(document["store"]), keyring)
                try:
                    yield home
                finally:
                    home._close()

    @property
    def chain(self) -> Chain:
        """The home's chain."""
        return self.market.chain

    def account(self, name: str) -> Account:
        """The account of an identity: of its key file where there is one, else the development account of its name.

        Raises:
            InputError: on a chain that is not for development every identity needs a key file.
        """
        _check_name(name)
        file = self.folder / "private" / name / "key"
        if file.exists():
            return self.chain.account_from_key(read_key(file), name)
        if not self.chain.is_development:
            raise InputError(f"{file} is missing: put the private key of {name} there, in 64 hexadecimal digits")
        return self.chain.new_account(name)

    def depositor(self, name: str) -> Account:
        """The account that an identity deposits and spends notes from.

        Another than the one that takes grants: an observer would else read off the chain whose deposit backs a grant.
        """
        return self.account(f"{name}{DEPOSITOR}")

    def state(self, name: str, folder: str, role: str) -> StateFile:
        """The private state of an identity in a folder of its own, for one role."""
        _check_name(name)
        key = f"{name}/{folder}"
        if key not in self._states:
            self._states[key] = StateFile(self.folder / "private" / name / folder, role)
        return self._states[key]

    def remember(self, name: str, dataset_id: int, folder: str) -> None:
        """Note in which state folder the keys of a listed dataset are."""
        notes = self.state(name, "datasets", "owner")
        notes.put(datasets={**notes.get("datasets", {}), str(dataset_id): folder})

    def remembered(self, name: str) -> dict[int, str]:
        """State folders of the datasets that an identity listed, by id."""
        return {int(key): folder for key, folder in self.state(name, "datasets", "owner").get("datasets", {}).items()}

    def note_keys(self) -> dict[str, Keys]:
        """Keys of the two statements about notes: `spend` and `eligibility`.

        Raises:
            KeyFileError: they are missing, or not those that the vault was deployed with.
        """
        keys = note_keys(replace(self.keyring, make=False))
        _check_note_keys(self.market, keys, str(self.folder / "keys"))
        return keys

    def listing_keys(self, rows: int, columns: int, kind: LabelKind = BINARY, *, make: bool) -> tuple[_core.Srs, Keys]:
        """Powers of tau and keys of the listing statement of a capacity class.

        Args:
            kind: of the labels.
            make: whether keys that are missing are made; those of a registered class never are.
        """
        keyring = replace(self.keyring, make=make and self.keyring.make)
        srs = keyring.srs(srs_size(rows, columns, 0), [])
        made = keyring.keys({"listing": KeyRequest(ListingStatement(rows, columns, kind))}, srs)
        return srs, made.keys["listing"]

    def class_keys(self, class_id: int, kind: LabelKind = BINARY) -> tuple[_core.Srs, Keys]:
        """Powers of tau and listing keys of a registered class, whose labels are of this kind.

        Raises:
            KeyFileError: those of this home are not the ones that the class was registered with.
        """
        found = self.market.capacity_class(class_id)
        srs, keys = self.listing_keys(found.rows, found.columns, kind, make=False)
        if self.market.verifying_key(found.listing_key) != keys.verifying:
            raise _foreign_keys(found, class_id)
        return srs, keys

    def class_powers(self, class_id: int) -> _core.Srs:
        """Powers of tau of a registered class, whatever its labels are.

        Raises:
            KeyFileError: those of this home are not the ones that the class was registered with.
        """
        found = self.market.capacity_class(class_id)
        keyring = replace(self.keyring, make=False)
        srs = keyring.srs(srs_size(found.rows, found.columns, 0), [])
        if self.market.verifying_key(found.listing_key).tau != srs.g2_power(1):
            raise _foreign_keys(found, class_id)
        return srs

    def class_of(self, rows: int, columns: int, kind: LabelKind = BINARY) -> int:
        """The open capacity class of this shape and label kind; the operator registers a missing one.

        Raises:
            InputError: there is none, and this home does not run the marketplace; or it is closed.
            KeyFileError: this home's keys are not those of the class.
        """
        closed, circuit = None, compile_statement(ListingStatement(rows, columns, kind)).circuit_id
        for class_id in range(1, self.chain.call(self.market.registry.functions.classCount()) + 1):
            found = self.market.capacity_class(class_id)
            if (found.rows, found.columns) == (rows, columns) and self._circuit(found) == circuit:
                if not found.closed:
                    self.class_keys(class_id, kind)
                    return class_id
                closed = class_id
        if closed is not None:
            raise InputError(f"capacity class {closed} of {_shape(rows, columns, kind)} is closed: no new datasets")
        if self.keyring.source is not None:
            raise InputError(
                f"there is no capacity class of {_shape(rows, columns, kind)} yet: who runs the marketplace adds it "
                f"with fedproof market add-class {rows} {columns}" + ("" if kind == BINARY else f' --labels "{kind}"')
            )
        eligibility = self.note_keys()["eligibility"]
        by_many = not eligibility.verifying.development
        try:
            _, listing = self.listing_keys(rows, columns, kind, make=not by_many)
        except KeyFileError as error:
            if not by_many:
                raise
            raise InputError(
                f"this marketplace has keys by many, and its setup made none for {_shape(rows, columns, kind)} "
                f"({error}): found another one, with a setup of that shape"
            ) from None
        return self.market.register_class(
            self.account(OPERATOR), rows, columns, listing.verifying, eligibility.verifying
        )

    def _circuit(self, found: CapacityClass) -> bytes:
        return self.market.verifying_key(found.listing_key).circuit_id

    def _close(self) -> None:
        for state in self._states.values():
            state.close()
        if self.rpc is None:
            write_json(self.folder / "chain.json", self.chain.export())


def _shape(rows: int, columns: int, kind: LabelKind) -> str:
    return f"{rows} x {columns}" + ("" if kind == BINARY else f" with labels of kind {kind}")


def _foreign_keys(found: CapacityClass, class_id: int) -> KeyFileError:
    return KeyFileError(
        f"the keys of this home for {found.rows} x {found.columns} are not those of capacity class {class_id}: "
        "restore keys/, or join the marketplace anew"
    )


def note_keys(keyring: Keyring) -> dict[str, Keys]:
    """Keys of the statements about notes; they link to no powers of tau."""
    requests = {"spend": KeyRequest(SpendStatement()), "eligibility": KeyRequest(EligibilityStatement())}
    return keyring.keys(requests, keyring.srs(2, [])).keys


def _check_note_keys(market: Marketplace, keys: dict[str, Keys], where: str) -> None:
    spend = market.chain.call(market.vault.contract.functions.spendKey())
    if market.verifying_key(spend) != keys["spend"].verifying:
        raise KeyFileError(f"the keys in {where} are not the vault's: restore them")


def _from_anywhere(address: str) -> str:
    """A folder or URL as other homes, nodes and later commands find it: their working folders are others."""
    return address if "://" in address else str(Path(address).resolve())


def _check_named(document: dict[str, Any], source: str, store: str | None) -> None:
    """Other drivers would run with this user's credentials; what the user names is the user's to choose."""
    if not store and not may_be_named(document["store"]):
        raise InputError(f"{source}/market.json names a store that only you can choose: give it with --store")
    if document["keys"] is not None and not may_be_named(document["keys"], "http", "https"):
        raise InputError(f"{source}/market.json names keys that only you can choose: join the home that they are from")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path.parent} is no marketplace home; make one with: fedproof market init") from None
    except OSError:
        raise InputError(f"{path} cannot be read; restore it") from None
    return _decode(data, str(path))


def _decode(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise InputError(f"{where} cannot be read; restore it") from None
    if not isinstance(document, dict) or document.get("version") != VERSION or set(document) != _FIELDS:
        raise InputError(f"{where} is not a market.json of version {VERSION}")
    texts = [document["store"], *(document[name] for name in ("rpc", "keys") if document[name] is not None)]
    contracts = document["contracts"]
    whole = type(document["chain_id"]) is int and all(isinstance(text, str) for text in texts)
    if not whole or not isinstance(contracts, dict) or set(contracts) != set(Addresses.__dataclass_fields__):
        raise InputError(f"{where} is damaged; restore it")
    if not all(isinstance(address, str) and is_address(address) for address in contracts.values()):
        raise InputError(f"{where} is damaged: a contract's address is none; restore it")
    return document


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StateError(f"{folder / 'lock'} cannot be opened: {error.strerror}") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"{folder} is in use by another command; try again when it has ended") from None
        yield


def _chain(folder: Path, document: dict[str, Any], teller: Teller) -> Chain:
    if document["rpc"] is not None:
        return Chain.connect(document["rpc"], chain_id=document["chain_id"])
    teller.doing("running the home's chain again")
    return replay_file(folder / "chain.json")


def _check_name(name: str) -> None:
    if name.lower().startswith("0x"):
        raise InputError(f"{name!r} looks like an address; an identity needs another name")
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_" for c in name) or not name.isascii():
        raise InputError(f"{name!r} is no name for an identity: use letters, digits, - and _")
