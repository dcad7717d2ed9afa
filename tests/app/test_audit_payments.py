"""Money: one lie each, and the line that it is caught with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation
from tests.app.runs import FinishedRun
from tests.app.tampering import OTHER, Events, Lie, Tamper, add, refused, twice

pytestmark = pytest.mark.slow


def instead(name: str, events: Any) -> Lie:
    """Where the auditor of payments asks for events of this name, it gets these, made of the submissions."""

    def lie(tamper: Tamper) -> None:
        real = Chain.events

        def lying(chain: Chain, contract: Any, asked: str, *rest: Any, **more: Any) -> Events:
            filters = more.get("argument_filters", {})
            if asked == name and set(filters) == {"task"}:
                return [
                    replace(event, name=name)
                    for event in events(real(chain, contract, "UpdateSubmitted", *rest, **more))
                ]
            return real(chain, contract, asked, *rest, **more)

        tamper.patch.setattr(Chain, "events", lying)

    return lie


def rejected(count: int) -> Lie:
    return instead("UpdateRejected", lambda found: [replace(found[0], args={**found[0].args, "by": OTHER})] * count)


def never_moved(why: str) -> Lie:
    """The transfer that an event stands for did not happen."""

    def lie(tamper: Tamper) -> None:
        federations: list[Federation] = []
        init = Federation.__init__

        def remember(federation: Federation, chain: Chain, contract: Any) -> None:
            init(federation, chain, contract)
            federations.append(federation)

        tamper.patch.setattr(Federation, "__init__", remember)
        real = Chain.events

        def lying(chain: Chain, contract: Any, asked: str, *rest: Any, **more: Any) -> Events:
            found = real(chain, contract, asked, *rest, **more)
            if asked != "Transfer":
                return found
            causes = [event.tx_hash for event in real(chain, federations[0].contract, why)]
            return [event for event in found if event.tx_hash not in causes]

        tamper.patch.setattr(Chain, "events", lying)

    return lie


def stolen(found: Events) -> Events:
    return [*found, replace(found[0], tx_hash="0x" + 64 * "7", args={**found[0].args, "to": OTHER})]


LIES: dict[str, tuple[Lie, str]] = {
    "more than was earned": (lambda t: t.event("Claimed", reward=add(1)), "where its rows earned"),
    "less than was earned": (lambda t: t.event("Claimed", reward=add(-1)), "where its rows earned"),
    "nothing for proven rows": (lambda t: t.event("Claimed", reward=0), "where its rows earned"),
    "a reward before its round": (
        lambda t: t.events("Claimed", lambda f: [replace(event, block_number=0) for event in f]),
        "where its rows earned 0",
    ),
    "a reward paid twice": (lambda t: t.events("Claimed", twice), "where its rows earned 0"),
    "a stranger paid": (lambda t: t.event("Claimed", participant=OTHER), "took no part"),
    "a larger bond returned": (lambda t: t.event("Claimed", bond=add(1)), "was returned a bond of"),
    "a bond returned before the end": (lambda t: t.events("TaskEnded", lambda _: []), "was returned a bond of"),
    "a bond placed twice": (instead("BondRenewed", lambda found: found[:1]), "placed a second bond"),
    "a lost bond returned": (rejected(1), "was returned a bond of"),
    "a bond lost twice": (rejected(2), "went away twice"),
    "a larger refund": (lambda t: t.event("Refunded", amount=add(1)), "was refunded"),
    "a refund twice": (lambda t: t.events("Refunded", twice), "refunded twice"),
    "a refund before the end": (
        lambda t: t.events("Refunded", lambda f: [replace(event, block_number=0) for event in f]),
        "before the end",
    ),
    "a claim that is not told": (lambda t: t.events("Claimed", lambda found: found[1:]), "the task escrowed"),
    "escrow from nowhere": (lambda t: t.task(lambda task: replace(task, escrow=5)), "the task escrowed"),
    "claims that moved nothing": (never_moved("Claimed"), "did not move"),
    "bonds that moved nothing": (never_moved("Enrolled"), "did not move"),
    "a refund that moved nothing": (never_moved("Refunded"), "did not move"),
    "rewards that were never escrowed": (never_moved("TaskOpened"), "did not move"),
    "one transfer for two equal escrows": (lambda t: t.events("TaskOpened", twice), "did not move"),
    "tokens that left for no reason": (lambda t: t.events("Transfer", stolen), "for no reason"),
}


@pytest.mark.parametrize("what", LIES)
def test_refuses_payments_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *LIES[what])
