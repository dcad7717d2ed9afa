"""A federation over a new marketplace home: keys of one dealer for all statements, contracts, and the public document.

All keys of a deployment share alpha, beta and tau (docs/decisions/0008), so they are made together, before there is a
marketplace. The home finds those of its own commands under the names that it would make them under.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedproof import _core
from fedproof.app.deployment import DeploymentFile
from fedproof.app.joining import publish
from fedproof.app.keyring import Keyring
from fedproof.app.taskfile import rows_from_file, schema_from_file
from fedproof.app.training import TRAINED, Training
from fedproof.app.world import key_requests
from fedproof.errors import InputError
from fedproof.learning.plans import Plan
from fedproof.ledger import Account
from fedproof.ledger.federation import Federation
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import Deployment, powers_size
from fedproof.proving.keys import Keys
from fedproof.statements.labels import LabelKind
from fedproof.statements.layout import DatasetLayout, srs_size
from fedproof.storage import BlobStore

MASKS: Final = 33
"""Of each enrolment: a task has at most 32 rounds, retried ones included."""
DEPLOYMENT_FILE: Final = "deployment.json"


def plan_of(
    rows: int,
    columns: int,
    *,
    model: str,
    epochs: int,
    statement: str = TRAINED,
    norm: float | None = None,
    labels: str | None = None,
    schema: Path | None = None,
    public: Path | None = None,
    label: str | None = None,
) -> Plan:
    """The plan of a federation's tasks, from what `market init --tasks` was given.

    Args:
        statement, norm: what is proven of updates, and the bound of a bounded one.
        schema, public, label: the datasets' schema and public rows, to which the scales are fitted; without them
            features are taken to be standardised.

    Raises:
        InputError: no such model, or files that do not belong to it.
    """
    training = Training.parse(model, epochs, statement, norm)
    if schema is None or public is None:
        if schema is not None or public is not None or label is not None:
            raise InputError("--schema, --public and --label belong together: give all of them, or none")
        return training.usual_plan(rows, columns, training.labelled(labels), MASKS)
    found = schema_from_file(schema, rows, columns)
    if labels is not None and LabelKind.parse(labels) != found.label_kind:
        raise InputError(f"--labels {labels}: the schema has labels of kind {found.label_kind}; leave it out")
    return training.plan(found, rows_from_file(public, label, found), rows, MASKS)


@dataclass(frozen=True)
class TaskKeys:
    """Powers of tau and all keys of a deployment for one capacity class."""

    plan: Plan
    srs: _core.Srs
    keys: Mapping[str, Keys]


def make_task_keys(keyring: Keyring, plan: Plan) -> TaskKeys:
    """Make them, and keep them where the commands of a home look for theirs.

    Args:
        keyring: of the home.
        plan: of all tasks of the federation.
    """
    rows, columns = plan.rows, plan.columns
    srs = keyring.srs(powers_size(plan), [DatasetLayout(rows, columns).masks])
    keys = keyring.keys(key_requests(plan), srs).keys
    for size in (2, srs_size(rows, columns, 0)):  # a home's own for notes, and for listings
        keyring.keep_srs(size, [], srs)
    for names in (("spend", "eligibility"), ("listing",)):
        keyring.keep_keys([keys[name] for name in names])
    return TaskKeys(plan, srs, keys)


@contextlib.contextmanager
def opened_store(address: str) -> Iterator[BlobStore]:
    """The blobs at an address. A folder that is made for them goes away again if the block fails and left it empty.

    Raises:
        InputError: an address that nothing can be kept at. StorageError: the folder cannot be made.
    """
    place = Path(address)
    missing = [] if "://" in address else [each for each in (place, *place.parents) if not each.exists()]
    try:
        yield BlobStore.open(address)
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def found(
    made: TaskKeys,
    market: Marketplace,
    operator: Account,
    store: BlobStore,
    path: Path,
    store_url: str | None = None,
) -> DeploymentFile:
    """Deploy the federation, open its capacity class, and write the public document.

    Args:
        path: of the document. store_url: where others find the store, if not where it is now.

    Raises:
        LedgerError: the chain refuses. StorageError: the store does.
    """
    federation = Federation.deploy(
        market.chain,
        operator,
        registry=market.addresses.registry,
        token=market.addresses.token,
        allow_development_keys=any(key.verifying.development for key in made.keys.values()),
    )
    class_id = market.register_class(
        operator, made.plan.rows, made.plan.columns, made.keys["listing"].verifying, made.keys["eligibility"].verifying
    )
    deployment = Deployment(market, store, made.srs, made.plan, class_id, made.keys)
    return publish(deployment, federation, path, store_url=store_url)
