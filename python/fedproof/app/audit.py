"""`fedproof verify`: the auditor. It reads the public folder alone and re-checks all of a finished task."""

from __future__ import annotations

from pathlib import Path

from eth_utils.exceptions import ValidationError
from web3.exceptions import Web3Exception

from fedproof import _core
from fedproof.app.audit_base import Audit, require
from fedproof.app.audit_keys import check_keys, check_powers
from fedproof.app.audit_market import GrantAuditor, check_listing
from fedproof.app.audit_payments import check_payments
from fedproof.app.audit_rounds import RoundAuditor
from fedproof.app.audit_run import (
    CHAIN_BYTES,
    Manifest,
    check_blobs,
    open_chain,
    open_contracts,
    read_document,
    read_manifest,
)
from fedproof.app.audit_task import TaskAuditor
from fedproof.app.setups import VerifiedSetup
from fedproof.app.telling import Teller
from fedproof.errors import AuditError, FedproofError, InputError
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.model import TaskDescription
from fedproof.learning.plans import proves, statement_text
from fedproof.ledger import Chain
from fedproof.ledger.federation import Stage
from fedproof.ledger.view import View
from fedproof.storage import BlobStore

# What hostile content may raise in the libraries that read it; a missing check never hides behind these.
_MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValidationError, ValueError, Web3Exception,
)  # fmt: skip


def audit_run(folder: Path, teller: Teller, rpc: str | None = None, setup: Path | None = None) -> Audit:
    """Check a finished run.

    Args:
        folder: the run folder, of which only the `public` half is read, or that half alone.
        rpc: a node of the chain of a run that was not made on the embedded one.
        setup: folder of the setup by many that the run's keys should be of.

    Raises:
        InputError: there is no run in the folder, or it needs another `rpc`.
        KeyFileError: the setup does not hold.
        LedgerError: the node cannot be reached, or is of another chain.
        AuditError: something does not check out; the message says what.
    """
    alone, public = (folder / "manifest.json").is_file(), folder / "public"
    if alone and public.exists():  # an honest run may stand over another one, which whoever sent both means
        raise InputError(f"{folder} has a manifest.json and a folder public: name one of both, there are two runs")
    public = folder if alone else public
    manifest = read_manifest(public / "manifest.json")
    export = read_document(public / "chain.json", CHAIN_BYTES)
    blobs = public / "blobs"
    if not blobs.is_dir():  # opening a store would make it
        raise InputError(f"{blobs} is missing; name the folder of a finished run")
    by_many = None if setup is None else VerifiedSetup.read(setup, teller)
    audit = Audit(teller)
    with open_chain(manifest, export, rpc, audit) as chain:
        try:
            store = BlobStore.open(str(blobs.absolute()))
            _audit(chain, manifest, store, audit, by_many)
        except AuditError:
            raise
        except FedproofError as error:
            raise AuditError(f"the run does not check out: {error}") from error
        except _MALFORMED as error:
            raise AuditError(f"the run does not check out: malformed content ({type(error).__name__})") from error
    teller.step(f"audit: {len(audit.checks)} checks hold, no secret used")
    return audit


def _audit(
    living: Chain, manifest: Manifest, store: BlobStore, audit: Audit, by_many: VerifiedSetup | None = None
) -> None:
    # claims may still be on their way: all that is compared is of one block
    chain = View.of(living)
    chain.move_to(living.block_number())
    market, federation = open_contracts(chain, manifest.contracts, audit)
    audit.about = {"chain_id": manifest.chain_id, "federation": federation.address, "task": manifest.task}
    task = federation.task_info(manifest.task)
    require(task.stage == Stage.ENDED, f"task {manifest.task} has not ended yet")
    description = TaskDescription.decode(store.get(task.params.description.hex()))
    capacity = market.capacity_class(task.params.class_id)
    require(
        (capacity.rows, capacity.columns) == (description.plan.rows, description.plan.columns),
        f"task {task.task_id}: its description is for another shape than its capacity class",
    )
    srs = _core.Srs.from_bytes(store.get(description.srs))
    audit.passed(check_powers(description.plan, srs))
    keys = {
        "eligibility": market.verifying_key(capacity.eligibility_key),
        "spend": market.verifying_key(chain.call(market.vault.contract.functions.spendKey())),
        "listing": market.verifying_key(capacity.listing_key),
        description.plan.key_name: market.verifying_key(task.params.training_key),
        "aggregation": market.verifying_key(task.params.aggregation_key),
    }
    audit.passed(check_keys(description.plan, srs, keys))
    audit.plan = description.plan
    if by_many is not None:
        audit.passed(by_many.check(keys))
    elif any(key.development for key in keys.values()):
        audit.note("the keys were made by one dealer, for development; who kept its randomness could forge")
    else:
        audit.note("the keys say that many made them; whether they did their setup shows: verify with --setup FOLDER")

    auditor = TaskAuditor(market, federation, store, srs, description, task, keys)
    audit.passed(f"{auditor.check_terms()}; each update is asked for a {statement_text(description.plan)}")
    enrolments = federation.enrolments(task.task_id)
    grants = GrantAuditor(market, keys["eligibility"], keys["spend"])
    audit.passed(grants.line)
    for enrolment in enrolments:
        audit.passed(check_listing(market, store, keys["listing"], task, description.schema, enrolment, audit.notes))
        for line in grants.check_dataset(enrolment.dataset_id):
            audit.passed(line)
    for enrolment in enrolments:
        audit.passed(auditor.check_enrolment(enrolment, grants))
    rounds = RoundAuditor(auditor, enrolments)
    for number in range(1, task.round + 1):
        for line in rounds.check(number):
            audit.passed(line)
    for line in (*grants.notes, *auditor.notes, *rounds.notes()):
        audit.note(line)
    for line in check_payments(market, federation, task, enrolments):
        audit.passed(line)
    scored = auditor.score(rounds.models[-1][1])
    audit.passed(check_blobs(store))
    if scored is not None:
        audit.passed(scored)
    else:
        audit.note("the final model is outside the family: only its users can score what the chain committed to")
    if isinstance(description.plan, BoundedPlan):
        audit.note(f"this run shows that {proves(description.plan)}; row counts weigh updates and have no part in them")
    else:
        audit.note("a proven update is not an honest dataset: invented rows inside the ranges pass")
