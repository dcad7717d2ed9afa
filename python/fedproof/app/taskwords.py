"""Events of a task in words: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fedproof.app.amounts import show_tokens
from fedproof.ledger.committee_types import Kind
from fedproof.ledger.events import Event
from fedproof.ledger.federation import Ending
from fedproof.ledger.federation_types import set_bits

Args = Mapping[str, Any]


def describe(event: Event, committee: str) -> tuple[str, str, dict[str, Any]]:
    """Kind, line and values of an event of the federation or its committee.

    Args:
        committee: address of the committee's contract: an update that it rejects was removed by workers' word.
    """
    args = event.args
    values = {name: _plain(args[name]) for name in _NAMED if name in args} | {"tx": event.tx_hash}
    if event.name == "UpdateRejected" and args["by"] == committee:
        return "removed", f"round {args['round']}: the committee removed the update of {args['participant']}", values
    kind, line = _WORDS.get(event.name, (event.name, lambda _: event.name))
    return kind, line(args), values | _more(event)


_NAMED: Final = (
    "sponsor", "participant", "datasetId", "rows", "round", "deadline", "freezeAt", "by", "leader", "totalRows",
    "worker", "to", "complaint", "contentId", "indexId",
)  # fmt: skip


def _more(event: Event) -> dict[str, Any]:
    args = event.args
    if event.name in ("RoundFinalized", "RoundStalled"):
        return {"updates": len(set_bits(args["accepted"]))}
    if event.name == "TaskEnded":
        return {"ending": Ending(args["ending"]).name.lower()}
    if event.name == "Complained":
        return {"kind": Kind(args["kind"]).name.lower()}
    return {name: show_tokens(args[name]) for name in ("reward", "bond", "amount") if name in args}


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _settled(a: Args) -> str:
    return f"{len(set_bits(a['accepted']))} updates over {a['totalRows']} rows"


def _complaint(a: Args) -> str:
    wrong = "cannot be fetched" if a["kind"] == Kind.FETCH else "does not open"
    return f"round {a['round']}: worker {a['worker']} complains that its share of {a['participant']} {wrong}"


_ENDINGS: Final = {
    Ending.COMPLETED: "all rounds are done",
    Ending.CLOSED: "it was closed",
    Ending.STALLED: "nobody settled its last round in time",
}

_WORDS: Final[dict[str, tuple[str, Callable[[Args], str]]]] = {
    "TaskOpened": ("opened", lambda a: f"opened by {a['sponsor']}"),
    "Enrolled": (
        "enrolled",
        lambda a: (
            f"participant {a['index'] + 1}, {a['participant']}, enrolled dataset {a['datasetId']}, {a['rows']} rows"
        ),
    ),
    "RoundOpened": (
        "round opened",
        lambda a: f"round {a['round']} takes updates until block {a['deadline']}, and freezes at {a['freezeAt']}",
    ),
    "UpdateSubmitted": ("submitted", lambda a: f"round {a['round']}: {a['participant']} submitted its update"),
    "UpdateRejected": (
        "rejected",
        lambda a: f"round {a['round']}: {a['by']} proved the update of {a['participant']} invalid",
    ),
    "BondRenewed": ("bond renewed", lambda a: f"{a['participant']} placed a new bond"),
    "RoundPartVerified": (
        "part verified",
        lambda a: f"round {a['round']}: {a['by']} had the first {len(set_bits(a['accepted']))} updates verified",
    ),
    "RoundFinalized": ("finalized", lambda a: f"round {a['round']}: {a['leader']} settled {_settled(a)}"),
    "RoundStalled": ("stalled", lambda a: f"round {a['round']} stalled: {_settled(a)} are paid, the model stays"),
    "TaskEnded": ("ended", lambda a: f"the task has ended: {_ENDINGS[Ending(a['ending'])]}"),
    "Claimed": (
        "claimed",
        lambda a: f"{a['participant']} was paid {show_tokens(a['reward'])} and its bond of {show_tokens(a['bond'])}",
    ),
    "Refunded": ("refunded", lambda a: f"{show_tokens(a['amount'])} tokens went back to {a['sponsor']}"),
    "BondPlaced": ("worker bonded", lambda a: f"worker {a['worker']} placed its bond"),
    "BondReleased": ("bond released", lambda a: f"worker {a['worker']} took its bond back"),
    "OutputPosted": ("output", lambda a: f"round {a['round']}: worker {a['worker']} posted its sum of shares"),
    "ModelAnnounced": ("announced", lambda a: f"round {a['round']}: worker {a['worker']} announced the model"),
    "Complained": ("complaint", _complaint),
    "Answered": ("answer", lambda a: f"{a['participant']} answered a complaint"),
    "Attested": ("attestation", lambda a: f"worker {a['worker']} says that an answer is bad or missing"),
    "UpdateRemoved": (
        "removal",
        lambda a: f"round {a['round']}: enough workers spoke against the update of {a['participant']}",
    ),
    "ComplaintSettled": ("complaint settled", lambda a: f"the bond of a complaint goes to {a['to']}"),
    "Accused": (
        "accusation",
        lambda a: f"round {a['round']}: worker {a['by']} accuses worker {a['worker']} of a false sum",
    ),
    "Slashed": ("slashed", lambda a: f"worker {a['worker']} lost its bond"),
}
