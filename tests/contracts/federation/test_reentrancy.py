"""A token that calls back gets nowhere: whatever moves money refuses to be entered again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger.federation import Federation, TaskInfo
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import members, wrong
from tests.contracts.federation.reentrant import ReentrantToken

GUARD = _core.keccak256(b"ReentrancyGuardReentrantCall()")[:4]
Calls = dict[str, ContractFunction]


@pytest.fixture
def token(arena: Arena) -> ReentrantToken:
    return ReentrantToken(arena.chain, arena.sponsor)


@pytest.fixture
def there(arena: Arena, token: ReentrantToken) -> Arena:
    """The arena with a federation over this token."""
    federation = Federation.deploy(
        arena.chain,
        arena.sponsor,
        registry=arena.world.market.registry.address,
        token=token.address,
        allow_development_keys=True,
    )
    return type(arena)(**(arena.__dict__ | {"federation": federation}))


def guarded(there: Arena, task: TaskInfo) -> Calls:
    """Each function that moves money, called with arguments of the right form."""
    functions, player = there.federation.contract.functions, there.players[0]
    masked, mask = there.masking(there.now(task), there.players[4])
    update = there.prove(there.now(task), player)
    return {
        "openTask": there.federation.open_task_call(task.params, members(3)),
        "enrol": there.federation.enrol_call(task.task_id, player.dataset_id, masked, mask, task.terms),
        "rejectUpdate": there.federation.reject_update_call(task, update),
        "renewBond": functions.renewBond(task.task_id),
        "claim": functions.claim(task.task_id, task.standing()[0], []),
        "refund": functions.refund(task.task_id, task.standing()[0], []),
    }


def test_nothing_that_moves_money_can_be_entered_from_within(there: Arena, token: ReentrantToken) -> None:
    """Each outer call once, and each inner one at least once."""
    federation, task = there.federation, there.running(2)
    inner = guarded(there, task)
    player = there.players[0]
    bad = wrong(there.prove(task, player))
    there.submit(task, player, bad)
    outer: dict[str, Callable[[], object]] = {
        "openTask": lambda: there.chain.transact(inner["openTask"], there.sponsor),
        "enrol": lambda: there.enrol(there.open_task(training_key=task.params.training_key), there.players[3]),
        "rejectUpdate": lambda: federation.reject_update(there.outsider, there.now(task), bad),
        "renewBond": lambda: there.chain.transact(inner["renewBond"], player.account),
        "claim": lambda: (
            federation.close_task(there.sponsor, task.task_id),
            federation.claim(player.account, task.task_id),
        ),
        "refund": lambda: federation.refund(there.outsider, task.task_id),
    }
    for (_, act), call in zip(outer.items(), list(inner.values())[::-1], strict=True):
        token.tell(call)
        act()
        returned, worked = token.outcome()
        assert (returned[:4], worked) == (GUARD, False), call.fn_name


@pytest.mark.parametrize("name", ["claim", "refund", "rejectUpdate", "renewBond", "enrol", "openTask"])
def test_a_claim_pays_once_although_the_token_calls_back(there: Arena, token: ReentrantToken, name: str) -> None:
    federation, task = there.federation, there.running(2)
    inner = guarded(there, task)[name]
    federation.close_task(there.sponsor, task.task_id)
    token.tell(inner)
    paid = federation.claim(there.players[0].account, task.task_id)
    assert paid.bond == task.params.enrol_bond
    returned, worked = token.outcome()
    assert (returned[:4], worked) == (GUARD, False)
    assert federation.claimable(task.task_id, there.players[0].account.address) == (0, 0)


def test_the_token_does_call_back(there: Arena, token: ReentrantToken) -> None:
    """What the refusals above are measured against: a view is answered."""
    assert token.outcome() == (bytes(32), None)
    token.tell(there.federation.contract.functions.taskCount())
    there.open_task()
    assert token.outcome() == ((1).to_bytes(32, "big"), True)  # the escrow is taken when all else is done
