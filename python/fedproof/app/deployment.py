"""The deployment file: what a node must know of a marketplace and its federation before it starts. All of it is public.

Whoever deployed the contracts publishes it (`publish`), and every node joins from it (`join`). Nobody has to trust it:
the contracts must run the code that this package ships, each key must be of the circuit that this package compiles, and
the verifying key that follows from it must be the chain's. What a node downloads it keeps, and reads from there the
next time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from eth_utils.address import is_checksum_address

from fedproof.app.audit_run import CONTRACTS
from fedproof.app.strict import Field, read_json
from fedproof.errors import FedproofError, InputError
from fedproof.learning.canonical import canonical
from fedproof.learning.plans import Plan, decode_plan
from fedproof.ledger.market_types import Addresses
from fedproof.storage.content import check_content_id

VERSION: Final = 2
"""Version 1 knew logistic regression alone; its keys are of circuits that this build does not have."""
LIMIT: Final = 1 << 16
STORES: Final = ("", "s3", "s3a", "ipfs", "gs", "az", "abfs", "memory")
"""Where a stranger's document may send a node; other drivers would run with its user's credentials."""
LARGEST_BLOB: Final = 8 << 30


@dataclass(frozen=True)
class BlobRef:
    """A blob in the store. `circuit` is the id of the circuit that a proving key is for, 64 hex digits."""

    blob: str
    size: int
    circuit: str = ""


@dataclass(frozen=True)
class DeploymentFile:
    """The document.

    Attributes:
        contracts: by artifact name, the address and the hash of the transaction that made it.
        store: URL or folder of the blobs, without credentials.
        class_id: of the capacity class. plan: its shape, the model of its tasks, and the statement that they ask for.
        powers: the powers of tau. keys: the proving key of each of `statements_of(plan)`.
        path: the file, where it was read from one.
    """

    chain_id: int
    contracts: dict[str, tuple[str, str]]
    store: str
    class_id: int
    plan: Plan
    powers: BlobRef
    keys: dict[str, BlobRef]
    path: Path | None = field(default=None, compare=False)

    @property
    def addresses(self) -> Addresses:
        """Where the marketplace is."""
        return Addresses(*(self.contracts[name][0] for name in CONTRACTS[:-1]))  # type: ignore[arg-type]

    @property
    def federation(self) -> str:
        """Where the federation is."""
        return self.contracts["Federation"][0]

    def encode(self) -> bytes:
        """JSON for people to read, too."""
        document = {
            "version": VERSION,
            "chain_id": self.chain_id,
            "contracts": {
                name: {"address": address, "transaction": tx_hash}
                for name, (address, tx_hash) in self.contracts.items()
            },
            "store": self.store,
            "class_id": self.class_id,
            "plan": json.loads(self.plan.encode()),
            "powers": {"blob": self.powers.blob, "size": self.powers.size},
            "keys": {
                name: {"blob": ref.blob, "size": ref.size, "circuit": ref.circuit} for name, ref in self.keys.items()
            },
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes, where: str = "deployment") -> Self:
        """Read a document.

        Raises:
            InputError: one line that names the field which is missing, unknown or wrong.
        """
        top = Field.of(read_json(data, where, LIMIT), where)
        _check_kind(top)
        version = top.integer("version", 0, 1 << 32)
        if version != VERSION:
            raise InputError(
                f"{where}: version {version}; this build knows version {VERSION}: ask who runs the federation for its "
                "present deployment file, or use the fedproof that it was made with"
            )
        contracts: dict[str, tuple[str, str]] = {}
        given = top.table("contracts")
        for name in CONTRACTS:
            one = given.table(name)
            address = one.text("address", r"0x[0-9a-fA-F]{40}")
            if not is_checksum_address(address):
                raise InputError(f"{one.path}.address has no valid checksum: copy it again")
            contracts[name] = (address, one.text("transaction", r"0x[0-9a-f]{64}"))
            one.done()
        given.done()
        if len({address for address, _ in contracts.values()}) != len(CONTRACTS):
            raise InputError(f"{given.path}: two contracts have one address")
        shape = top.table("plan")
        try:
            plan = decode_plan(canonical(shape.values))
        except FedproofError as error:
            raise InputError(f"{shape.path}: {error}") from None
        powers = _ref(top.table("powers"), False)
        keys = top.table("keys")
        found = cls(
            chain_id=top.integer("chain_id", 1, (1 << 64) - 1),
            contracts=contracts,
            store=_store(top),
            class_id=top.integer("class_id", 1, (1 << 32) - 1),
            plan=plan,
            powers=powers,
            keys={name: _ref(keys.table(name), True) for name in statements_of(plan)},
        )
        keys.done()
        top.done()
        return found

    @classmethod
    def read(cls, path: Path) -> Self:
        """The document in a file.

        Raises:
            InputError: it is missing, or not a document that this build knows.
        """
        try:
            with path.open("rb") as file:
                data = file.read(LIMIT + 1)
        except FileNotFoundError:
            raise InputError(f"{path} is missing; ask who runs the federation for its deployment file") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        return replace(cls.decode(data, str(path)), path=path)


def statements_of(plan: Plan) -> tuple[str, ...]:
    """The statements of a deployment, by the names that their keys have."""
    return ("spend", "eligibility", "listing", plan.key_name, "aggregation")


def may_be_named(address: str, *more: str) -> bool:
    """Whether a folder or URL in a stranger's document is opened here; `more` are schemes beyond `STORES`."""
    scheme = address.partition("://")[0] if "://" in address else ""
    return "::" not in address and scheme in (*STORES, *more)


def _check_kind(top: Field) -> None:
    """Documents that lie beside it are taken for it; each is told by a field that it alone has."""
    for name, what, meant in (
        ("rpc", "the market.json of a marketplace home", "the deployment.json beside it, which fedproof market init "
         "writes with --tasks"),
        ("mark", "the network.json of a local network", "public/deployment.json in the same folder"),
    ):  # fmt: skip
        if name in top.values and "plan" not in top.values and "spec" not in top.values:
            raise InputError(f"{top.path} is {what}, and no deployment file: name {meant}")


def _store(top: Field) -> str:
    store = top.text("store", r"[ -~]{1,512}")
    if "://" in store and "@" in store.split("://", 1)[1].split("/", 1)[0]:
        raise InputError(f"{top.path}.store holds credentials, and the document is public: take them out")
    if not may_be_named(store):
        raise InputError(f"{top.path}.store must be a folder or begin with {', '.join(f'{s}://' for s in STORES[1:])}")
    return store


def _ref(field: Field, key: bool) -> BlobRef:
    blob = field.text("blob", r"[0-9a-f]{64}")
    found = BlobRef(
        check_content_id(blob),
        field.integer("size", 1, LARGEST_BLOB),
        field.text("circuit", r"[0-9a-f]{64}") if key else "",
    )
    field.done()
    return found
