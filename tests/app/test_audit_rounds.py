"""Updates, shares and aggregates: one lie each, and the line that it is caught with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedproof.app import audit_rounds
from fedproof.learning.model import GlobalModel
from fedproof.ledger import Chain
from tests.app.runs import FinishedRun
from tests.app.tampering import OTHER, Events, Lie, Tamper, add, params, refused, settled, with_fitting_terms

pytestmark = pytest.mark.slow

ONE = (1, 2)


def submission(place: int, value: Any) -> Lie:
    """Change one part of a submission: C_U, D, the digest of shares, or the proof."""
    return lambda t: t.event("UpdateSubmitted", submission=lambda s: (*s[:place], value, *s[place + 1 :]))


def proof(place: int, value: Any) -> Lie:
    """Change one part of the proof of a submission: A, B, C, Q, y."""

    def change(s: Any) -> Any:
        return (*s[:4], (*s[4][:place], value, *s[4][place + 1 :]))

    return lambda t: t.event("UpdateSubmitted", submission=change)


def forged(lie: Lie) -> Lie:
    """The lie of a cheater whose proofs verify."""

    def both(tamper: Tamper) -> None:
        tamper.patch.setattr(audit_rounds, "check_linked", lambda *_: None)
        tamper.patch.setattr(audit_rounds, "check_aggregate", lambda *_: None)
        lie(tamper)

    return both


def sealed(change: Callable[[bytes], bytes]) -> Lie:
    real = audit_rounds.sealed_share
    return lambda t: t.patch.setattr(audit_rounds, "sealed_share", lambda *a, **k: change(real(*a, **k)))


def once_more(found: Events) -> Events:
    return [*found, replace(found[0], block_number=10**6)] if len(found) > 1 else found


def rejection(before: bool) -> Lie:
    """Somebody rejects an update of round 1."""

    def lie(tamper: Tamper) -> None:
        real = Chain.events

        def lying(chain: Chain, contract: Any, name: str, *rest: Any, **more: Any) -> Events:
            found = real(chain, contract, name, *rest, **more)
            if name == "UpdateRejected" and more.get("argument_filters", {}).get("round") == 1:
                first = real(chain, contract, "UpdateSubmitted", *rest, **more)[0]
                block = 0 if before else first.block_number + 1
                return [replace(first, name=name, block_number=block, args={**first.args, "by": OTHER})]
            return found

        tamper.patch.setattr(Chain, "events", lying)

    return lie


def other_models_after(count: int) -> Lie:
    seen: list[int] = []

    def change(model: GlobalModel) -> GlobalModel:
        seen.append(1)
        return model if len(seen) <= count else replace(model, weights=model.weights + 1)

    return lambda t: t.answer(GlobalModel, "decode", change)


def aggregate(**values: Any) -> Lie:
    return lambda t: t.call("finalizeRound", lambda c: c["aggregate"].update(values))


def finalized(change: Callable[[list[dict[str, Any]]], Any]) -> Lie:
    """Change the updates in finalize's calldata."""

    def apply(call: dict[str, Any]) -> None:
        call["updates"] = change([dict(each) for each in call["updates"]])

    return lambda t: t.call("finalizeRound", apply)


UPDATES: dict[str, tuple[Lie, str]] = {
    "another C_U": (submission(0, ONE), "round 1, update of .*: the"),
    "another D": (submission(1, ONE), "round 1, update of .*: the proof"),
    "other share commitments": (submission(2, bytes(32)), "round 1, update of .*: the proof"),
    "other sealed shares": (submission(3, bytes(32)), "round 1, update of .*: the proof"),
    "another A": (proof(0, ONE), "round 1, update of .*: the proof"),
    "another C": (proof(2, ONE), "round 1, update of .*: the proof"),
    "another Q": (proof(3, ONE), "round 1, update of .*: the link"),
    "another y": (proof(4, 1), "round 1, update of .*: the proof"),
    "a point off the curve": (proof(2, (1, 1)), "malformed point"),
    "an index with other commitments": (forged(submission(2, bytes(32))), "update of .*other share commitments"),
    "an update twice": (lambda t: t.events("UpdateSubmitted", once_more), "submitted twice"),
    "an update of a stranger": (lambda t: t.event("UpdateSubmitted", participant=OTHER), "is not enrolled"),
    "an update left out": (lambda t: t.events("UpdateSubmitted", lambda f: f[1:]), "exactly the accepted updates"),
    "a rejection from nowhere": (rejection(before=True), "before it was submitted"),
    "a valid update rejected": (rejection(before=False), "although its proof holds"),
}

SETTLED: dict[str, tuple[Lie, str]] = {
    "another set": (lambda t: t.task(settled(accepted=3)), "exactly the accepted updates"),
    "other rows": (lambda t: t.task(settled(total_rows=add(1))), "the chain counts"),
    "fewer than the minimum": (with_fitting_terms(params(min_updates=4)), "fewer updates than the minimum"),
    "a number used twice": (lambda t: t.task(settled(round=2)), "settled twice"),
    "a number that never opened": (lambda t: t.task(settled(round=9)), "never opened"),
    "nobody to settle it": (lambda t: t.task(lambda x: replace(x, settled=x.settled[1:])), "given up although"),
    "a leader who is no worker": (lambda t: t.task(settled(leader=OTHER)), "who is no worker"),
    "another leader": (
        lambda t: t.task(lambda x: settled(leader=x.workers[2].address)(x)),
        "did not go from",
    ),
    "an update left out": (finalized(lambda u: u[1:]), "settled with other updates"),
    "another order": (finalized(lambda u: u[::-1]), "settled with other updates"),
    "other share commitments": (
        finalized(lambda u: [u[0] | {"attachments": bytes(32)}, *u[1:]]),
        "settled with other updates",
    ),
    "another weight": (finalized(lambda u: [u[0] | {"rows": u[0]["rows"] + 1}, *u[1:]]), "settled with other updates"),
    "another model proven": (aggregate(newModel=ONE), "names another model than the proof"),
    "another blob named": (aggregate(contentId=bytes(32)), "names another model than the proof"),
    "another aggregation proof": (aggregate(d=ONE), "round 1: aggregation proof"),
    "another published model": (other_models_after(1), "round 1: the published model is not the one"),
}


@pytest.mark.parametrize("what", UPDATES)
def test_refuses_a_round_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *UPDATES[what])


@pytest.mark.parametrize("what", SETTLED)
def test_refuses_a_round_that_was_settled_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *SETTLED[what])


@pytest.mark.parametrize("change", [lambda blob: blob[:-1], lambda blob: blob + b"x"], ids=["short", "long"])
def test_tells_of_a_share_that_nobody_can_open_and_accepts_the_round(
    run: FinishedRun, tamper: Tamper, change: Callable[[bytes], bytes]
) -> None:
    """One participant must not make a whole task unauditable that honest workers settled."""
    sealed(change)(tamper)
    told = [line for line in run.audit().notes if "the sealed share of worker" in line]
    assert told
    assert all(
        re.search(r"round \d, update of 0x\w+: the sealed share of worker \d has \d+ bytes", each) for each in told
    )


def test_tells_who_opened_its_dataset_more_often_than_its_masks_hide(run: FinishedRun, tamper: Tamper) -> None:
    real = audit_rounds.RoundAuditor.__init__

    def counted(auditor: audit_rounds.RoundAuditor, *arguments: Any) -> None:
        real(auditor, *arguments)
        limit = auditor.auditor.task.params.mask_count - 1
        first, second, *_ = auditor.enrolments
        auditor.openings.update({first: limit - 1, second: limit - 2})  # and two more in the run

    tamper.patch.setattr(audit_rounds.RoundAuditor, "__init__", counted)
    told = [line for line in run.audit().notes if "opened its dataset" in line]
    assert len(told) == 1
