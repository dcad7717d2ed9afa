"""The task of a local network, as its sponsor sees it: opened, started when all are enrolled, and watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from fedproof.app import keystore
from fedproof.app.demo import BOND, FREEZE_BLOCKS, REWARD_PER_ROUND, SETTLE_BLOCKS, SUBMIT_BLOCKS
from fedproof.app.deployment import DeploymentFile
from fedproof.app.network import DEPLOYMENT, Network, node_folder
from fedproof.app.telling import Teller
from fedproof.errors import LedgerError, StateError
from fedproof.learning.plans import Plan, statement_text
from fedproof.ledger import Account, Chain
from fedproof.ledger.federation import Federation, Stage, TaskInfo

_POLL_SECONDS: Final = 0.5
_BLOCKS_EACH: Final = 20  # many participants share the processors of one machine


def _plan(network: Network) -> Plan:
    """Of all its tasks."""
    return DeploymentFile.read(network.folder / DEPLOYMENT).plan


def federation_of(network: Network, chain: Chain) -> Federation:
    """The federation of a network."""
    return Federation.at(chain, DeploymentFile.read(network.folder / DEPLOYMENT).federation)


def newest_task(federation: Federation) -> TaskInfo | None:
    """The task that was opened last."""
    count = federation.tasks()
    return federation.task_info(count) if count else None


def ensure_task(network: Network, chain: Chain, sponsor: Account, teller: Teller) -> TaskInfo:
    """The task that runs, or else a new one.

    Raises:
        StateError: no first model is left for another task.
    """
    federation = federation_of(network, chain)
    task = newest_task(federation)
    if task is not None and task.stage != Stage.ENDED:
        teller.step(f"task {task.task_id} is there already: {task.stage.name.lower()}")
        return task
    plan, count, asked = network.task, federation.tasks(), _plan(network)
    if count >= len(plan.starts):
        raise StateError(f"this network has played its {len(plan.starts)} tasks: clean it and prepare another")
    description, model = list(plan.starts.items())[count]
    workers = [node.name for node in network.nodes if node.role == "worker"]
    public = [keystore.show(node_folder(network.folder, name) / "keys") for name in workers]
    task = federation.open_task(
        sponsor,
        training_key=plan.training_key,
        aggregation_key=plan.aggregation_key,
        spec_digest=asked.digest(),
        description=bytes.fromhex(description),
        model=bytes.fromhex(model),
        class_id=plan.class_id,
        rounds=plan.rounds,
        mask_count=plan.mask_count,
        threshold=plan.threshold,
        committee=[(each.address, each.hpke_public) for each in public],
        min_updates=plan.min_updates,
        max_participants=plan.participants,
        submit_blocks=max(SUBMIT_BLOCKS, _BLOCKS_EACH * plan.participants),
        freeze_blocks=FREEZE_BLOCKS,
        settle_blocks=max(SETTLE_BLOCKS, _BLOCKS_EACH * plan.participants),
        reward_per_round=REWARD_PER_ROUND,
        enrol_bond=BOND,
        worker_bond=BOND,
    )
    teller.step(
        f"task {task.task_id} is open: {plan.rounds} rounds, {len(workers)} workers; each update comes with a "
        f"{statement_text(asked)}"
    )
    return task


def watch(
    network: Network,
    chain: Chain,
    task_id: int,
    teller: Teller,
    look: Callable[[], None],
    seconds: float,
) -> TaskInfo:
    """Start the task when all are enrolled, and return when a round is finished.

    Args:
        look: raises when a node has ended.
        seconds: how long without any progress.

    Raises:
        LedgerError: nothing moved for so long. StateError: the task ended without a round.
    """
    federation = federation_of(network, chain)
    seen: tuple[Any, ...] = ()
    deadline = time.monotonic() + seconds
    finished = len(federation.task_info(task_id).settled)
    while True:
        task = federation.task_info(task_id)
        now = (task.stage, task.round, task.enrolled, task.accepted)
        if now != seen:
            seen, deadline = now, time.monotonic() + seconds
            teller.step(progress(task))
        if len(task.settled) > finished:
            return task
        if task.stage == Stage.ENDED:
            if task.settled:
                return task
            raise StateError(f"task {task_id} ended without a finished round; see logs/")
        look()
        if time.monotonic() > deadline:
            raise LedgerError(f"task {task_id} has not moved for {seconds:g} s ({progress(task)}); see logs/")
        time.sleep(_POLL_SECONDS)


def progress(task: TaskInfo) -> str:
    """Where a task stands, in one line."""
    if task.stage == Stage.ENROLLING:
        return f"task {task.task_id}: {task.enrolled} of {task.params.max_participants} are enrolled"
    updates = f"{task.accepted.bit_count()} of {task.enrolled} updates"
    return (
        f"task {task.task_id}: round {task.round}, {task.stage.name.lower()}, {updates}, "
        f"{len(task.settled)} of {task.params.rounds} rounds finished"
    )


def describe(network: Network) -> dict[str, Any] | None:
    """The newest task for `status`; None when there is none.

    Raises:
        LedgerError: the chain does not answer.
    """
    with Chain.connect(network.url, retries=0, timeout=5.0) as chain:
        task = newest_task(federation_of(network, chain))
    if task is None:
        return None
    return {
        "task": task.task_id,
        "statement": statement_text(_plan(network)),
        "stage": task.stage.name.lower(),
        "enrolled": task.enrolled,
        "round": task.round,
        "updates": task.accepted.bit_count(),
        "rounds_finished": len(task.settled),
        "rounds": task.params.rounds,
        "models": [each.content_id.hex() for each in task.settled if each.content_id is not None],
        "text": progress(task),
    }
