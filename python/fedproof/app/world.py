"""A deployment on one machine: the chain, the contracts, the keys, the store, and the run folder's two halves.

`public/` holds what the whole world may see, and all that an auditor needs; `private/` holds one folder for each
role, readable by its owner alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedproof import _core
from fedproof.app.keyring import KeyRequest, Keyring
from fedproof.app.telling import Teller
from fedproof.errors import InputError, LedgerError
from fedproof.learning.plans import Plan
from fedproof.ledger import Account, Chain
from fedproof.ledger.federation import Federation
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import Deployment, powers_size
from fedproof.nodes.state import StateFile
from fedproof.nodes.updating import update_statement
from fedproof.proving.keys import Keys
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.layout import DatasetLayout
from fedproof.statements.listing import ListingStatement
from fedproof.statements.spend import SpendStatement
from fedproof.storage import BlobStore
from fedproof.storage.folders import write_file

MANIFEST_VERSION = 1


@dataclass
class KeyFigures:
    """What making the keys of a statement took."""

    constraints: int
    domain: int
    public_inputs: int
    setup_seconds: float


@dataclass
class World:
    """Everything the roles of a demo share."""

    folder: Path
    chain: Chain
    operator: Account
    deployment: Deployment
    federation: Federation
    figures: dict[str, KeyFigures]
    embedded: bool
    deployments: dict[str, tuple[str, str]]
    task_id: int = 0
    states: list[StateFile] = field(default_factory=list)

    def state(self, role: str, name: str) -> StateFile:
        """Open the private state of a role."""
        made = StateFile(self.folder / "private" / name, role)
        self.states.append(made)
        return made

    def close(self) -> None:
        """Release all state folders and the chain."""
        for state in self.states:
            state.close()
        self.chain.close()


def create_folder(folder: Path) -> None:
    """Make the run folder with its two halves.

    Raises:
        InputError: it exists already, or cannot be made.
    """
    try:
        folder.mkdir(parents=True)
        (folder / "public").mkdir()
        (folder / "private").mkdir(mode=0o700)
    except FileExistsError:
        raise InputError(f"{folder} exists already; name a folder for this run that does not") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}") from None


def key_requests(plan: Plan) -> dict[str, KeyRequest]:
    """The statements of a deployment, by the names that its keys have."""
    return {
        "spend": KeyRequest(SpendStatement()),
        "eligibility": KeyRequest(EligibilityStatement()),
        "listing": KeyRequest(ListingStatement.of(plan)),
        plan.key_name: KeyRequest(update_statement(plan), DatasetLayout(plan.rows, plan.columns).masks),
        "aggregation": KeyRequest(AggregationStatement.of(plan)),
    }


def make_keys(plan: Plan, keyring: Keyring) -> tuple[_core.Srs, dict[str, Keys], dict[str, KeyFigures]]:
    """Powers of tau and the keys of the four statements."""
    srs = keyring.srs(powers_size(plan), [DatasetLayout(plan.rows, plan.columns).masks])
    made = keyring.keys(key_requests(plan), srs)
    figures = {
        name: KeyFigures(
            keys.circuit.r1cs.num_constraints,
            keys.circuit.r1cs.domain_size,
            keys.verifying.num_public,
            made.seconds[name],
        )
        for name, keys in made.keys.items()
        if name != "spend"
    }
    return srs, made.keys, figures


def build(folder: Path, plan: Plan, keyring: Keyring, rpc: str | None, teller: Teller) -> World:
    """Make keys, deploy the contracts and register the capacity class.

    Raises:
        InputError: `rpc` is not a development chain; the keys made here are for development only.
    """
    teller.doing("making keys")
    srs, keys, figures = make_keys(plan, keyring)
    total = sum(figure.setup_seconds for figure in figures.values())
    teller.step(
        f"keys of four statements for {plan.rows} x {plan.columns}: ready in {total:.1f} s (development: one dealer)"
    )
    chain = Chain.embedded() if rpc is None else Chain.connect(rpc)
    try:
        if not chain.is_development:
            raise LedgerError(
                f"chain {chain.chain_id} is not a development chain; the demo's keys come from one dealer"
            )
        operator = chain.new_account("operator")
        market = Marketplace.deploy(chain, operator, spend_key=keys["spend"].verifying, allow_development_keys=True)
        federation = Federation.deploy(
            chain,
            operator,
            registry=market.addresses.registry,
            token=market.addresses.token,
            allow_development_keys=True,
        )
        class_id = market.register_class(
            operator, plan.rows, plan.columns, keys["listing"].verifying, keys["eligibility"].verifying
        )
    except BaseException:
        chain.close()
        raise
    addresses = {
        "AccessToken": market.addresses.token,
        "NoteVault": market.addresses.vault,
        "DatasetRegistry": market.addresses.registry,
        "KeyEscrow": market.addresses.escrow,
        "DatasetSales": market.addresses.sales,
        "Federation": federation.address,
    }
    deployments: dict[str, tuple[str, str]] = {
        name: (at, chain.deployment_receipt(at).tx_hash) for name, at in addresses.items()
    }
    store = BlobStore.open(str(folder / "public" / "blobs"))
    deployment = Deployment(market, store, srs, plan, class_id, keys)
    teller.step(
        f"contracts on chain {chain.chain_id}: token, vault, registry, federation; capacity class {class_id} registered"
    )
    return World(folder, chain, operator, deployment, federation, figures, rpc is None, deployments)


def write_json(path: Path, document: Any) -> None:
    """Write a document whole or not at all, and durably: it may be all that is left of a chain.

    Raises:
        InputError: the disk refuses.
    """
    try:
        write_file(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode(), mode=0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
