"""`fedproof verify`: the auditor. It reads the public folder alone and re-checks all of a finished task."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedproof import _core
from fedproof.app.audit_market import GrantAuditor, check_code, check_keys, check_listing, require
from fedproof.app.audit_task import TaskAuditor
from fedproof.app.telling import Teller
from fedproof.data import Schema
from fedproof.data.public import decode_table
from fedproof.errors import AuditError, FedproofError, InputError
from fedproof.learning.model import TaskDescription
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation, Stage
from fedproof.ledger.market_types import Addresses
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.replay import check_export, replay
from fedproof.storage import BlobStore

MANIFEST_VERSION = 1
CONTRACTS = ("AccessToken", "NoteVault", "DatasetRegistry", "KeyEscrow", "DatasetSales", "Federation")


@dataclass
class Audit:
    """What was checked, one line each, in order."""

    teller: Teller
    checks: list[str] = field(default_factory=list)

    def passed(self, line: str) -> None:
        """Note a check that held."""
        self.checks.append(line)
        self.teller.doing(f"audit: {line}")

    def to_json(self) -> dict[str, Any]:
        """The report's `audit`."""
        return {"ok": True, "checks": self.checks}


def audit_run(folder: Path, teller: Teller, rpc: str | None = None) -> Audit:
    """Check a finished run.

    Args:
        folder: the run folder; only its `public` half is read.
        rpc: the chain of a run that was not made on the embedded one.

    Raises:
        InputError: there is no run in the folder.
        AuditError: something does not check out; the message says what.
    """
    public = folder / "public"
    manifest = _document(public / "manifest.json")
    export = _document(public / "chain.json")
    contracts, task_id = _pointers(manifest)
    audit = Audit(teller)
    try:
        with _chain(manifest, export, rpc, audit) as chain:
            _audit(chain, contracts, task_id, BlobStore.open(str(public / "blobs")), audit)
    except AuditError:
        raise
    except FedproofError as error:
        raise AuditError(f"the run does not check out: {error}") from error
    teller.step(f"audit: {len(audit.checks)} checks hold, no secret used")
    return audit


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing; name the folder of a finished run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object")
    return found


def _pointers(manifest: dict[str, Any]) -> tuple[dict[str, tuple[str, str]], int]:
    if manifest.get("version") != MANIFEST_VERSION:
        raise InputError(f"manifest.json has version {manifest.get('version')}; this build knows {MANIFEST_VERSION}")
    contracts, task_id = manifest.get("contracts"), manifest.get("task")
    if not isinstance(contracts, dict) or set(contracts) != set(CONTRACTS) or type(task_id) is not int:
        raise InputError(f"manifest.json must name a task and the contracts {', '.join(CONTRACTS)}")
    for name, made in contracts.items():
        if not (isinstance(made, list) and len(made) == 2 and all(isinstance(part, str) for part in made)):
            raise InputError(f"manifest.json: contract {name} needs an address and a transaction hash")
    return {name: (made[0], made[1]) for name, made in contracts.items()}, task_id


def _chain(manifest: dict[str, Any], export: dict[str, Any], rpc: str | None, audit: Audit) -> Chain:
    audit.teller.doing("audit: running every transaction again")
    if manifest.get("embedded"):
        chain = replay(export)
        blocks = chain.block_number()
        audit.passed(f"chain: all transactions of {blocks} blocks run again with the same receipts and block hashes")
        return chain
    if rpc is None:
        raise InputError(f"this run was made on chain {manifest.get('chain_id')}; name a node of it with --rpc URL")
    chain = Chain.connect(rpc, chain_id=manifest.get("chain_id"))
    check_export(export, chain)
    audit.passed("chain: the exported transactions and receipts are those of the node")
    return chain


def _audit(chain: Chain, contracts: dict[str, tuple[str, str]], task_id: int, store: BlobStore, audit: Audit) -> None:
    audit.passed(check_code(chain, contracts))
    at = {name: made[0] for name, made in contracts.items()}
    market = Marketplace.at(chain, Addresses(*(at[name] for name in CONTRACTS[:5])))  # type: ignore[arg-type]
    federation = Federation.at(chain, at["Federation"])
    task = federation.task_info(task_id)
    require(task.stage == Stage.ENDED, f"task {task_id} has not ended yet")
    description = TaskDescription.decode(store.get(task.params.description.hex()))
    srs = _core.Srs.from_bytes(store.get(description.srs))
    audit.passed(f"powers of tau: {srs.size} of them, consistent")

    capacity = market.capacity_class(task.params.class_id)
    keys = {
        "eligibility": market.verifying_key(capacity.eligibility_key),
        "listing": market.verifying_key(capacity.listing_key),
        "training": market.verifying_key(task.params.training_key),
        "aggregation": market.verifying_key(task.params.aggregation_key),
    }
    audit.passed(check_keys(description.spec, srs, keys))
    if any(key.development for key in keys.values()):
        audit.passed("note: the keys were made by one dealer, for development; who kept its randomness could forge")

    enrolments = federation.enrolments(task_id)
    used = {each.dataset_id for each in enrolments}
    for listing in market.listings():
        if listing.dataset_id in used:
            audit.passed(check_listing(market, keys["listing"], listing))
    grants = GrantAuditor(market, keys["eligibility"])
    for grant in market.grants():
        line = grants.check(grant)
        if grant.dataset_id in used:
            audit.passed(line)

    auditor = TaskAuditor(market, federation, store, srs, description, task, keys)
    audit.passed(f"task {task_id}: description, start model, keys and committee are those that the chain fixed")
    for enrolment in enrolments:
        audit.passed(auditor.check_enrolment(enrolment))
    rounds = federation.settled_rounds(task_id)
    for settled in rounds:
        for line in auditor.check_round(settled):
            audit.passed(line)
    audit.passed(auditor.check_payments(rounds))
    test = decode_table(store.get(description.test))
    schema = Schema.decode(store.get(description.schema))
    audit.passed(auditor.score(schema.standardise(test.features), test.labels))
