"""The public model of a round: the start that its task describes, or the model that the last settled round made.

Blobs may be missing or be another model than the leader proved; what counts is the commitment on chain. Workers who
have the model may announce where it is (`Committee.announce_model`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from fedproof.errors import InputError, StateError, StorageError
from fedproof.learning.model import GlobalModel, TaskDescription, model_bytes
from fedproof.ledger.federation import Federation, SettledRound, TaskInfo
from fedproof.nodes.params import Deployment
from fedproof.nodes.patience import NotYetError
from fedproof.statements.models.vectors import model_vector

MAX_DESCRIPTION_BYTES: Final = 1 << 20


class Fetch(Protocol):
    """How a blob that somebody named is asked for: not at once where it did not come before."""

    def __call__(self, blob: str, get: Callable[[], GlobalModel], *, by: str) -> GlobalModel:
        """What `get` returns; StorageError when it does not come."""


def at_once(blob: str, get: Callable[[], GlobalModel], *, by: str) -> GlobalModel:  # noqa: ARG001 - a `Fetch`
    """Ask whatever came before."""
    return get()


def check_model(deployment: Deployment, blob: str, commitment: bytes) -> GlobalModel:
    """The model in a blob, once it is the one that was committed to.

    Args:
        blob: content id, 64 hex digits. commitment: 64 bytes.

    Raises:
        StorageError: the blob is missing, or holds something else.
    """
    try:
        model = GlobalModel.decode(deployment.store.get(blob, limit=model_bytes(deployment.plan)))
    except InputError as error:
        raise StorageError(f"blob {blob}: {error}") from None
    if not model.fits(deployment.plan):
        raise StorageError(f"blob {blob} holds a model of another shape or scale")
    if deployment.srs.commit(model_vector(deployment.plan, model.layers)) != commitment:
        raise StorageError(f"blob {blob} holds another model than the one that the chain committed to")
    return model


def check_class(deployment: Deployment, task: TaskInfo) -> None:
    """Refuse a task whose capacity class proves labels of another kind than its model needs (docs/training.md, 12).

    The bound of an update rests on the range of its labels, which the listing alone shows, and no contract compares
    the two. A deployment's own class was compared with the plan's circuit when its keys were.

    Raises:
        StateError: the class has another listing key.
    """
    market, named = deployment.market, task.params.class_id
    if named == deployment.class_id:
        return
    ours, other = (market.capacity_class(each).listing_key for each in (deployment.class_id, named))
    if market.verifying_key(ours) != market.verifying_key(other):
        raise StateError(
            f"task {task.task_id}: its capacity class {named} is of another listing key than class "
            f"{deployment.class_id} of the deployment, so its datasets are not shown to be what the model is trained on"
        )


def described(deployment: Deployment, task: TaskInfo) -> TaskDescription:
    """What a task says of itself.

    Raises:
        StorageError: the blob is missing, or is no description.
    """
    blob = task.params.description.hex()
    try:
        return TaskDescription.decode(deployment.store.get(blob, limit=MAX_DESCRIPTION_BYTES))
    except InputError as error:
        raise StorageError(f"blob {blob}: {error}") from None


def made_by(task: TaskInfo, round_number: int | None = None) -> SettledRound | None:
    """The last settled round that made a model, of those before `round_number` if it is given; None for the start."""
    made = [each for each in task.settled if each.new_model is not None]
    if round_number is not None:
        made = [each for each in made if each.round < round_number]
    return made[-1] if made else None


def current_model(
    deployment: Deployment,
    federation: Federation,
    task: TaskInfo,
    round_number: int | None = None,
    fetch: Fetch = at_once,
) -> GlobalModel:
    """The model that a round trains on, by default the task's present one.

    Raises:
        StorageError: neither the leader's blob nor any that a worker announced holds it; `NotYetError` if none of them
            was asked for.
    """
    last = made_by(task, round_number)
    if last is None:
        return check_model(deployment, described(deployment, task).start, task.params.model)
    return settled_model(deployment, federation, task, last, fetch)


def settled_model(
    deployment: Deployment, federation: Federation, task: TaskInfo, made: SettledRound, fetch: Fetch = at_once
) -> GlobalModel:
    """The model that a settled round made.

    Raises:
        StorageError: neither the leader's blob nor any that a worker announced holds it; `NotYetError` if none of them
            was asked for.
    """
    assert made.new_model is not None
    assert made.content_id is not None
    name, commitment = f"the model of round {made.round} of task {task.task_id}", made.new_model

    def ask(content_id: bytes, by: str) -> GlobalModel:
        blob = content_id.hex()
        return fetch(f"{name}, blob {blob}", lambda: check_model(deployment, blob, commitment), by=f"{name}, {by}")

    problems = []
    try:
        return ask(made.content_id, "leader")
    except StorageError as error:
        problems.append(error)
    for each in federation.committee.announced(task.task_id, round=made.round):
        try:
            return ask(each.content_id, each.worker)
        except StorageError as error:
            problems.append(error)
    waiting = [each.again_at for each in problems if isinstance(each, NotYetError)]
    if len(waiting) == len(problems):
        raise NotYetError(name, min(waiting))
    asked = next(each for each in problems if not isinstance(each, NotYetError))
    raise StorageError(f"{name}: {asked}") from None
