"""What the chain has of a participant's own submissions: a state that knows of fewer is an old backup."""

from __future__ import annotations

from collections.abc import Collection

from fedproof.ledger.events import Event
from fedproof.ledger.federation import Federation, TaskInfo
from fedproof.ledger.market_types import point_bytes
from fedproof.nodes.models import made_by


def submissions(federation: Federation, participant: str, task: TaskInfo) -> list[Event]:
    """Of a participant in a task, oldest first, also those that were rejected since."""
    where = {"task": task.task_id, "participant": participant}
    return federation.chain.events(federation.contract, "UpdateSubmitted", task.opened_block, argument_filters=where)


def submitted(federation: Federation, participant: str, task: TaskInfo, round_number: int) -> set[bytes]:
    """The C_U of what a participant submitted in a round, also of what was rejected since."""
    mine = [event.args for event in submissions(federation, participant, task)]
    return {point_bytes(args["submission"][0]) for args in mine if args["round"] == round_number}


def trained_elsewhere(
    federation: Federation,
    seen: Federation,
    participant: str,
    task: TaskInfo,
    round_number: int,
    known: Collection[tuple[int, int]],
) -> tuple[int, int] | None:
    """Another round over this model, in any task, that a participant submitted to and that may be finished.

    Args:
        federation: to read submissions from. seen: the same at a depth, to say which rounds can never be finished.
        known: tasks and rounds that need no look.
    """
    where = {"participant": participant}
    first = federation.opened_block(1)
    mine = federation.chain.events(federation.contract, "UpdateSubmitted", first, argument_filters=where)
    places = {(event.args["task"], event.args["round"]) for event in mine}
    for place in sorted(places - set(known) - {(task.task_id, round_number)}):
        other = federation.task_info(place[0])
        made = made_by(other, place[1])
        model = other.params.model if made is None else made.new_model
        if model == task.model and not seen.round_failed(*place):
            return place
    return None
