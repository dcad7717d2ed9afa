"""`fedproof task open`: a sponsor describes, funds and opens a task, once, however often the command is repeated."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedproof import _core
from fedproof.app.amounts import show_tokens
from fedproof.app.connection import Connection
from fedproof.app.gas import advice
from fedproof.app.joining import load_task_keys
from fedproof.app.opening import Opening
from fedproof.app.startmodel import first_model
from fedproof.app.telling import Teller
from fedproof.app.training import foreseen
from fedproof.data.public import encode_table
from fedproof.errors import InputError, LedgerError
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plans import statement_text
from fedproof.ledger import Account, SignedTransaction
from fedproof.ledger.federation import Federation, TaskInfo, TaskParams
from fedproof.ledger.node import ETHER
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.state import StateFile
from fedproof.proving.keys import VerifyingKey
from fedproof.statements.models.vectors import model_vector

ROLE: Final = "sponsor"
_GAS: Final = 1_500_000  # of two keys, the allowance and the task
_GAS_PER_WORKER: Final = 60_000


@dataclass(frozen=True)
class Opened:
    """A task that is open. `fresh`: by this call, and not by one before. `statement`: of each update, in words."""

    task_id: int
    escrow: int
    fresh: bool
    statement: str = ""

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        document = {"task": self.task_id, "escrow": show_tokens(self.escrow), "fresh": self.fresh}
        return document | {"statement": self.statement}


def open_task(
    network: Connection, account: Account, state: StateFile, opening: Opening, cache: Path, teller: Teller
) -> Opened:
    """Check everything, publish what participants read, and open the task.

    What is signed is saved before it is sent. So the same opening with the same state is finished when it was
    interrupted, and is found again when it was done; another `name` or `seed` makes another task.

    Args:
        state: of role `sponsor`, the account's own. cache: folder of the proving keys.

    Raises:
        InputError: a parameter is wrong, or the account has too little.
        KeyFileError, StorageError, LedgerError, StateError: keys, blobs, chain or saved state refuse.
    """
    opening.check(network.document.plan)
    said = statement_text(network.document.plan)
    digest = opening.digest(network, account.address)
    record = _record(state, digest)
    done = _found(network, account, record)
    if done is not None:
        return Opened(done.task_id, opening.escrow, False, said)
    under_way = f"open/{digest}" in state.get("outbox", {})
    if not under_way:
        check_funds(network, account, opening)
    srs, keys = load_task_keys(network.document, network.market, cache, network.store, teller.doing)
    plan = network.document.plan
    if isinstance(opening.start, GlobalModel):
        model = opening.start
    else:
        if "seed" not in record:
            record = _remember(state, digest, seed=secrets.randbits(64) if opening.seed is None else opening.seed)
        model = first_model(opening.start, plan, opening.schema, opening.test, int(record["seed"]), teller)
    for line in foreseen(plan, opening.schema, opening.test, model):
        teller.step(line)

    def prepare() -> SignedTransaction:
        teller.doing("publishing the description")
        description = _publish(network, opening, srs, model)
        addresses = {name: _place_key(network, account, state, name, key) for name, key in keys.items()}
        _allow(network, account, state, opening.escrow)
        params = _params(
            network,
            opening,
            keys,
            addresses,
            description,
            srs.commit(model_vector(network.document.plan, model.layers)),
        )
        committee = [(worker.address, worker.hpke_public) for worker in opening.workers]
        teller.doing("opening the task")
        return network.chain.prepare(network.federation.open_task_call(params, committee), account)

    receipt = send_once(network.chain, state, f"open/{digest}", prepare)
    task_id = int(receipt.event("TaskOpened").args["task"])
    # The bytes stay saved: should the chain take the task back, they are sent again, and no others.
    _remember(state, digest, task=task_id, terms=network.federation.task_info(task_id).terms.hex())
    return Opened(task_id, opening.escrow, True, said)


def check_funds(network: Connection, account: Account, opening: Opening) -> None:
    """Tokens for all rounds, and money for the transactions.

    Raises:
        InputError: too little of either; with both figures.
    """
    chain = network.chain
    tokens = int(chain.call(network.federation.token.functions.balanceOf(account.address)))
    if tokens < opening.escrow:
        raise InputError(
            f"{account.address} has {show_tokens(tokens)} tokens, and {opening.rounds} rounds of "
            f"{show_tokens(opening.reward)} take {show_tokens(opening.escrow)}: get more, or promise less"
        )
    needed = chain.fee_per_gas() * (_GAS + _GAS_PER_WORKER * len(opening.workers))
    money = chain.balance(account.address)
    if money < needed:
        raise InputError(
            f"{account.address} has {money / ETHER:.6f} of the chain's money, and opening a task takes about "
            f"{needed / ETHER:.6f} at this moment: {advice(chain, account.address)}"
        )


def open_state(folder: Path) -> StateFile:
    """The saved state of a sponsor.

    Raises:
        StateError: it is another's, damaged, lost, or in use.
    """
    return StateFile(folder, ROLE)


# -- inside --


def _record(state: StateFile, digest: str) -> dict[str, Any]:
    return dict(state.get("openings", {}).get(digest, {}))


def _remember(state: StateFile, digest: str, **values: Any) -> dict[str, Any]:
    openings = dict(state.get("openings", {}))
    openings[digest] = {**openings.get(digest, {}), **values}
    state.put(openings=openings)
    return dict(openings[digest])


def _found(network: Connection, account: Account, record: dict[str, Any]) -> TaskInfo | None:
    """The task that an earlier call opened; None if the chain took it back, and it is to be sent again."""
    if "task" not in record:
        return None
    try:
        task = network.federation.task_info(int(record["task"]))
    except InputError:
        return None
    if task.sponsor != account.address or record.get("terms") not in (None, task.terms.hex()):
        return None
    return task


def _publish(network: Connection, opening: Opening, srs: _core.Srs, model: GlobalModel) -> bytes:
    """Store what participants read; returns the content id of the description."""
    store = network.store
    description = TaskDescription(
        name=opening.name,
        schema=store.put(opening.schema.encode()),
        test=store.put(encode_table(opening.test)),
        start=store.put(model.encode()),
        plan=network.document.plan,
        srs=store.put(srs.to_bytes()),
    )
    return bytes.fromhex(store.put(description.encode()))


def _place_key(network: Connection, account: Account, state: StateFile, name: str, key: VerifyingKey) -> str:
    """The data contract of a verifying key: that of an earlier task, or else a new one."""
    code_hash = _core.keccak256(b"\0" + key.encode())
    for params in _tasks_before(network):
        for address, known in (
            (params.training_key, params.training_key_hash),
            (params.aggregation_key, params.aggregation_key_hash),
        ):
            if known == code_hash:
                return address
    chain = network.chain
    receipt = send_once(
        chain, state, f"key/{chain.chain_id}/{code_hash.hex()}", lambda: chain.prepare_data(key.encode(), account)
    )
    if receipt.contract_address is None:
        raise LedgerError(f"transaction {receipt.tx_hash} made no contract for the {name} key")
    return receipt.contract_address


def _tasks_before(network: Connection) -> list[TaskParams]:
    made = network.chain.receipt(network.document.contracts["Federation"][1]).block_number
    events = network.chain.events(network.federation.contract, "TaskOpened", made)
    return [TaskParams.of(event.args["params"]) for event in events]


def _allow(network: Connection, account: Account, state: StateFile, amount: int) -> None:
    chain, federation = network.chain, network.federation
    call = federation.token.functions.approve(federation.address, amount)
    name = f"allow/{chain.chain_id}/{federation.address}/{amount}"
    for _ in range(3):  # what is saved may be of an earlier task that has used it up
        if allowance(federation, account.address) >= amount:
            forget(state, name)
            return
        send_once(chain, state, name, lambda: chain.prepare(call, account))
        forget(state, name)
    raise LedgerError("the allowance for the escrow does not show on the chain: repeat the command")


def allowance(federation: Federation, owner: str) -> int:
    """What the federation may take of an account, in base units."""
    return int(federation.chain.call(federation.token.functions.allowance(owner, federation.address)))


def _params(
    network: Connection,
    opening: Opening,
    keys: dict[str, VerifyingKey],
    addresses: dict[str, str],
    description: bytes,
    model: bytes,
) -> TaskParams:
    plan = network.document.plan
    hashes = {name: _core.keccak256(b"\0" + key.encode()) for name, key in keys.items()}
    return TaskParams(
        training_key=addresses[plan.key_name],
        training_key_hash=hashes[plan.key_name],
        aggregation_key=addresses["aggregation"],
        aggregation_key_hash=hashes["aggregation"],
        spec_digest=plan.digest(),
        description=description,
        model=model,
        class_id=network.document.class_id,
        rounds=opening.rounds,
        mask_count=plan.mask_count,
        threshold=opening.threshold,
        min_updates=opening.min_updates,
        max_participants=opening.participants,
        submit_blocks=opening.submit_blocks,
        freeze_blocks=opening.freeze_blocks,
        settle_blocks=opening.settle_blocks,
        reward_per_round=opening.reward,
        enrol_bond=opening.bond,
        worker_bond=opening.worker_bond,
    )
