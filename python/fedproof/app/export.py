"""The public folder of a finished task: its chain, its blobs, and the pointers that an auditor starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedproof.app.audit_market import listing_at
from fedproof.app.connection import Connection
from fedproof.app.taskmodel import load_model, model_names, read_description
from fedproof.app.world import MANIFEST_VERSION, write_json
from fedproof.errors import AuditError, InputError, LedgerError, SharingError, StorageError
from fedproof.ledger import Chain, embedded
from fedproof.ledger.federation import Stage, TaskInfo, Update
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.sealed import share_index
from fedproof.storage import BlobStore
from fedproof.storage.folders import new_folder


@dataclass(frozen=True)
class Exported:
    """A public folder that was written."""

    task_id: int
    folder: Path
    blobs: int
    blocks: int

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {"task": self.task_id, "folder": str(self.folder), "blobs": self.blobs, "blocks": self.blocks}


def write_public(
    public: Path, chain: Chain, contracts: Mapping[str, tuple[str, str]], task_id: int, *, eventful: bool = False
) -> int:
    """Write chain and manifest; returns how many blocks that are.

    Args:
        contracts: by artifact name, the address and the hash of the transaction that made it.
        eventful: of a node's chain leave out blocks in which these contracts did nothing.
    """
    whole = isinstance(chain.rpc, embedded.EmbeddedNode)
    if whole:
        export = chain.export()
    else:  # a node may hold any number of older blocks, and other people's transactions
        begin = min(chain.receipt(tx_hash).block_number for _, tx_hash in contracts.values())
        addresses = [address for address, _ in contracts.values()]
        export = chain.export(begin, addresses=addresses, eventful=eventful)
    write_json(public / "chain.json", export)
    write_json(
        public / "manifest.json",
        {
            "version": MANIFEST_VERSION,
            "embedded": whole,
            "chain_id": chain.chain_id,
            "contracts": {name: list(made) for name, made in contracts.items()},
            "task": task_id,
        },
    )
    return len(export["blocks"])


def export_task(network: Connection, task_id: int, out: Path) -> Exported:
    """Write `out` with a `public` folder of a task that has ended, for `fedproof verify`; whole or not at all.

    Raises:
        InputError: no such task, it has not ended, or `out` exists.
        StorageError: a blob that the audit reads is in the store no more; the message says of what it is.
    """
    task = network.federation.task_info(task_id)
    if task.stage != Stage.ENDED:
        raise InputError(f"task {task_id} has not ended yet, and only a finished task is audited: wait, or close it")
    with new_folder(out) as folder:
        public = folder / "public"
        public.mkdir()
        kept = BlobStore.open(str((public / "blobs").absolute()))
        copied: set[str] = set()
        for what, name in _blobs(network, task):
            if name not in copied:
                network.teller.doing(f"copying blobs: {len(copied)}")
                _copy(network.store, kept, what, name)
                copied.add(name)
        network.teller.doing("reading the chain")
        blocks = write_public(
            public, network.chain, network.document.contracts, task_id, eventful=not _embedded(network)
        )
        folder.chmod(0o755)  # all of it is public
    return Exported(task_id, out, len(copied), blocks)


# -- inside --


def _embedded(network: Connection) -> bool:
    return isinstance(network.chain.rpc, embedded.EmbeddedNode)


def _blobs(network: Connection, task: TaskInfo) -> Iterator[tuple[str, str]]:
    """What the audit reads, as what it is and its content id; index blobs come before what they name."""
    where = f"task {task.task_id}"
    yield f"{where}: its description", task.params.description.hex()
    description = read_description(network, task)
    yield f"{where}: its schema", description.schema
    yield f"{where}: its test rows", description.test
    yield f"{where}: its start model", description.start
    yield f"{where}: its powers of tau", description.srs
    for enrolment in network.federation.enrolments(task.task_id):
        try:
            listing = listing_at(network.market, enrolment.dataset_id, enrolment)
        except AuditError as error:
            raise LedgerError(str(error)) from None
        sealed = listing.terms.sealed_files[TIER_TRAINING].hex()
        yield f"dataset {enrolment.dataset_id}: the index of its sealed records", sealed
    for settled in task.settled:
        for update in network.federation.updates(task.task_id, settled.round):
            yield from _shares(network, task, settled.round, update)
        if settled.new_model is not None:
            names = model_names(network.federation, task.task_id, settled)
            what = f"{where}, round {settled.round}"
            _, name = load_model(network.store, network.powers, description.plan, names, settled.new_model, what)
            yield f"{what}: its model", name


def _shares(network: Connection, task: TaskInfo, number: int, update: Update) -> Iterator[tuple[str, str]]:
    what = f"round {number}, update of {update.participant}: its sealed shares"
    yield what, update.sealed_digest.hex()
    try:
        index = share_index(network.store, update, len(task.workers), task.threshold)
    except StorageError as error:
        raise StorageError(f"{what}: {error}") from None
    except SharingError as error:
        raise SharingError(f"{what}: {error}") from None
    for name in index.ids:
        yield what, name.hex()


def _copy(store: BlobStore, kept: BlobStore, what: str, name: str) -> None:
    try:
        with store.get_stream(name) as pieces:
            kept.put_stream(pieces)
    except StorageError as error:
        raise StorageError(f"{what}: {error}") from None
