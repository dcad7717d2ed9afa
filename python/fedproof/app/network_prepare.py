"""`fedproof net prepare`: everything that comes before the first process, in a folder that appears whole or not at all.

Datasets are listed and grants taken and answered by the same node classes that the processes run, with each node's own
account and state folders. What is left for the processes is the task.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedproof.app import keystore
from fedproof.app.anvil import check_free, find_anvil, free_ports, temporary_anvil
from fedproof.app.demo import BOND, GRANT_SECONDS, LOCK_EPOCHS, NOTES, REWARD_PER_ROUND, THRESHOLDS
from fedproof.app.deployment import DeploymentFile
from fedproof.app.joining import checked_mark, publish, set_mark
from fedproof.app.keyring import Keyring, default_cache
from fedproof.app.keystore import NodeKeys
from fedproof.app.network import DEPLOYMENT, LIGHT_WORK, Network, NodeEntry, TaskPlan, node_folder
from fedproof.app.network_config import TASKS, write_config
from fedproof.app.secret import Secret
from fedproof.app.telling import Teller
from fedproof.app.training import TRAINED, Training, foreseen
from fedproof.app.world import World, build
from fedproof.data import Parts, Schema, Table, capacity_rows, load, split
from fedproof.data.public import encode_table
from fedproof.errors import InputError, LedgerError
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger import Account
from fedproof.nodes.holder import Holder
from fedproof.nodes.offering import Offering
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.statements.models.vectors import model_vector
from fedproof.storage import BlobStore
from fedproof.storage.folders import new_folder

GAS_MONEY: Final = 100 * 10**18
PROVIDER: Final = "provider"


@dataclass(frozen=True)
class NetworkOptions:
    """What the command takes; see its help."""

    folder: Path
    participants: int = 3
    workers: int = 3
    threshold: int = 1
    rounds: int = 3
    seed: int = 1
    model: str = "logistic"
    epochs: int = 1
    statement: str = TRAINED
    norm: float | None = None
    data: str | None = None
    label: str | None = None
    positive: str | None = None
    block_time: int = 1
    port: int = 0
    anvil: Path | None = None

    @property
    def min_updates(self) -> int:
        """One participant may be missing, but a sum of fewer than two shows them."""
        return max(2, min(3, self.participants - 1))

    @property
    def training(self) -> Training:
        """What is trained; InputError where there is no such model."""
        return Training.parse(self.model, self.epochs, self.statement, self.norm)

    def check(self) -> None:
        """Refuse what no task can be.

        Raises:
            InputError: one line saying what to change.
        """
        self.training.check_trainable()
        least = 2 * self.threshold + 1
        if self.workers < least:
            raise InputError(
                f"--threshold {self.threshold} needs at least {least} workers; give --workers {least}, or a lower one"
            )
        if self.folder.exists() or self.folder.is_symlink():
            raise InputError(f"{self.folder} exists already; remove it or name another folder")
        if not os.access(next(each for each in self.folder.absolute().parents if each.exists()), os.W_OK):
            raise InputError(f"{self.folder} cannot be made: its place is not writable")
        if self.port:
            check_free(self.port)


def prepare(options: NetworkOptions, teller: Teller) -> Network:
    """Make the folder of a network; its chain is saved, and no process is left running.

    Raises:
        FedproofError: any step that does not hold; then nothing is left.
    """
    options.check()
    anvil = find_anvil(options.anvil)
    training = options.training
    table = load(options.data or training.data, options.label, options.positive, training.labels)
    parts = split(table, options.participants, options.seed)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    plan = training.plan(schema, parts.test, rows, max(9, options.rounds + 5))
    teller.step(f"{table.name}: {table.rows} rows in {options.participants} private parts and a public one")
    for line in foreseen(plan, schema, parts.test, GlobalModel.start(plan, options.seed)):
        teller.step(line)
    port, *ports = free_ports(2 + options.participants + options.workers)
    port = options.port or port
    nodes = tuple(NodeEntry(name, role, at) for (name, role), at in zip(_names(options), ports, strict=True))
    final = options.folder.resolve()
    with new_folder(options.folder) as part:
        for name in ("chain", "cache", "nodes"):
            (part / name).mkdir(mode=0o700)
        keyring = Keyring(default_cache(), teller.doing)
        with temporary_anvil(anvil, part / "chain", port) as url:
            world = build(part, plan, keyring, url, teller)
            try:
                task = _Builder(options, world, part, final, nodes, teller).build(parts, schema)
            finally:
                world.close()
        made = Network(final, anvil, port, options.block_time, nodes, task)
        made.write(part)
    teller.step(f"the network is ready in {options.folder}")
    return made


def _names(options: NetworkOptions) -> list[tuple[str, str]]:
    return [
        (PROVIDER, "provider"),
        *((f"participant-{number}", "participant") for number in range(1, options.participants + 1)),
        *((f"worker-{number}", "worker") for number in range(1, options.workers + 1)),
    ]


class _Builder:
    """Fills the folder while anvil runs."""

    def __init__(
        self,
        options: NetworkOptions,
        world: World,
        part: Path,
        final: Path,
        nodes: tuple[NodeEntry, ...],
        teller: Teller,
    ) -> None:
        self._options = options
        self._world = world
        self._part = part
        self._final = final
        self._nodes = nodes
        self._teller = teller
        self._url = world.chain.rpc.url

    def build(self, parts: Parts, schema: Schema) -> TaskPlan:
        """Publish, make all nodes, list the datasets and have the grants answered."""
        world, count = self._world, len(parts.parts)
        path = self._part / DEPLOYMENT
        document = publish(world.deployment, world.federation, path, store_url=str(self._final / "public" / "blobs"))
        self._fill_cache(document)
        keys = {node.name: self._node(node) for node in self._nodes}
        sponsor = _make_keys(self._part / "sponsor", "sponsor")
        self._fund(sponsor.account, TASKS * self._options.rounds * REWARD_PER_ROUND)
        self._teller.step(f"{len(keys)} nodes have keys and money")
        holders = [self._holder(number, keys[f"participant-{number}"]) for number in range(1, count + 1)]
        for number, (part, holder) in enumerate(zip(parts.parts, holders, strict=True), 1):
            self._teller.doing(f"dataset {number} of {count}: listing, and the grant of participant-{number}")
            self._enter(number, part, schema, keys[PROVIDER].account, holder)
        self._teller.step(f"{count} datasets listed with proofs, and as many grants of Tier {TIER_TRAINING} answered")
        return self._task(parts.test, schema)

    def _fill_cache(self, document: DeploymentFile) -> None:
        """One for all nodes. What a node would check of what it fetches was made here a moment ago."""
        cache, store = BlobStore.open(self._part / "cache"), self._world.deployment.store
        for ref in (document.powers, *document.keys.values()):
            cache.put(store.get(ref.blob, limit=ref.size))
        set_mark(checked_mark(document, self._part / "cache"))

    def _node(self, node: NodeEntry) -> NodeKeys:
        folder = node_folder(self._part, node.name)
        keys = _make_keys(folder, node.name)
        datasets = range(1, self._options.participants + 1)
        write_config(folder, node, self._url, self._options.min_updates, datasets if node.role == "provider" else ())
        # bonds of participants, of workers, and of complaints
        self._fund(keys.account, 0 if node.role == "provider" else TASKS * BOND)
        return keys

    def _fund(self, account: Account, tokens: int) -> None:
        chain, world = self._world.chain, self._world
        chain.dev.give(account.address, GAS_MONEY)
        if tokens:
            chain.transact(world.deployment.market.token.functions.transfer(account.address, tokens), world.operator)

    def _holder(self, number: int, keys: NodeKeys) -> Holder:
        """With its notes locked. They were deposited from an account apart: else the chain shows whose back a grant."""
        world, d = self._world, self._world.deployment
        state = self._state(StateFile(node_folder(self._part, f"participant-{number}") / "access", "participant"))
        state.put(hpke=keys.hpke.private.hex())  # one key for all that is sealed to the node
        depositor = world.chain.new_account(f"participant-{number}-deposits")
        self._fund(depositor, sum(NOTES))
        holder = Holder(d, keys.account, state, depositor)
        for amount in NOTES:
            holder.lock(amount, d.market.vault.current_epoch() + LOCK_EPOCHS)
        return holder

    def _enter(self, number: int, part: Table, schema: Schema, owner: Account, holder: Holder) -> None:
        folder = node_folder(self._part, PROVIDER) / "datasets" / str(number)
        provider = Provider(self._world.deployment.listing, owner, self._state(StateFile(folder, "provider")))
        dataset = provider.list_dataset(Offering.of_table(part, schema, THRESHOLDS)).minted.dataset_id
        holder.request_access(dataset, GRANT_SECONDS)
        if len(provider.answer_grants()) != 1:
            raise LedgerError(f"the grant of participant-{number} was not answered")

    def _state(self, state: StateFile) -> StateFile:
        self._world.states.append(state)
        return state

    def _task(self, test: Table, schema: Schema) -> TaskPlan:
        """All of the tasks but their opening, so that who opens them needs no proving keys."""
        world, d, options = self._world, self._world.deployment, self._options
        blobs = [d.store.put(each) for each in (schema.encode(), encode_table(test), d.srs.to_bytes())]
        training, aggregation = (
            world.chain.deploy_data(d.keys[name].verifying.encode(), world.operator)
            for name in (d.plan.key_name, "aggregation")
        )
        return TaskPlan(
            training_key=training,
            aggregation_key=aggregation,
            starts=dict(self._start(test.name, options.seed + number, *blobs) for number in range(TASKS)),
            class_id=d.class_id,
            rounds=options.rounds,
            mask_count=d.plan.mask_count,
            threshold=options.threshold,
            min_updates=options.min_updates,
            participants=options.participants,
        )

    def _start(self, name: str, seed: int, schema: str, test: str, srs: str) -> tuple[str, str]:
        """Content id of a description, and the commitment of its first model."""
        d = self._world.deployment
        model = GlobalModel.start(d.plan, seed % 2**64)
        start = d.store.put(model.encode())
        description = TaskDescription(name=name, schema=schema, test=test, start=start, plan=d.plan, srs=srs)
        return d.store.put(description.encode()), d.srs.commit(model_vector(d.plan, model.layers)).hex()


def _make_keys(folder: Path, name: str) -> NodeKeys:
    """A keystore with a passphrase of its own in a file beside it."""
    folder.mkdir(mode=0o700)
    phrase = secrets.token_hex(16).encode()
    handle = os.open(folder / "passphrase", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(phrase + b"\n")
    keystore.create(folder / "keys", Secret(phrase), name=name, work=LIGHT_WORK)
    return keystore.unlock(folder / "keys", Secret(phrase), name)
