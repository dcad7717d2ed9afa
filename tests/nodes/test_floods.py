"""A worker that posts far too many outputs costs the others a few downloads, and delays nobody's lead."""

from __future__ import annotations

from typing import Any

from fedproof.ledger.federation import Stage
from fedproof.nodes.roles.leading import MOST_AT_ONCE, MOST_OUTPUTS
from tests.nodes.paper import WORKERS, Desk, task
from tests.nodes.test_patience import Store, leading, post


def test_a_flood_of_good_outputs_is_looked_at_a_little_at_a_time(desk: Desk) -> None:
    flood = [f"good-{k}" for k in range(2000)]
    store = Store(*flood, "mine")
    role, collect = leading(desk, [post(3, "mine"), *(post(2, blob) for blob in flood)], store)
    assert collect(100) == {2, 3}
    assert len(store.asked) == MOST_AT_ONCE + 1
    assert role._acts.wake == 101
    for block in range(101, 200):
        collect(block)
    assert len(store.asked) == MOST_OUTPUTS + 1


def test_of_who_was_seen_to_lie_nothing_more_is_fetched(desk: Desk) -> None:
    lies = [f"junk-{k}" for k in range(2000)]
    store = Store(*lies)
    role, collect = leading(desk, [post(2, blob) for blob in lies], store)
    for block in range(100, 110):
        assert collect(block) == set()
    assert len(store.asked) == 1
    assert role._leading._outputs[1, 1].bad == {2}


def test_who_has_enough_outputs_leads_before_it_looks_at_more(desk: Desk) -> None:
    store = Store("mine", "other", "more")
    posted = [post(1, "mine"), post(2, "other")]
    role, _ = leading(desk, posted, store)
    node, order = role._leading, list[Any]()
    node._accuse = lambda *_: None
    node._lead = lambda *_: order.append(list(store.asked))
    running = task(stage=Stage.FROZEN, round=1, freeze_at=100)
    role._acts.begin(99)
    node.frozen(running, [], {}, release=False)
    posted.append(post(2, "more"))
    role._acts.begin(100 + len(WORKERS) * role._slot)
    node.frozen(running, [], {}, release=False)
    assert [set(each) for each in order] == [{"mine", "other"}]
    assert "more" in store.asked
