"""A token that calls back gets nowhere: whatever moves money refuses to be entered again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger.committee import Kind
from fedproof.ledger.federation import Federation, TaskInfo
from tests.contracts.federation.arena import SETTLE_BLOCKS, Arena
from tests.contracts.federation.board import members, wrong
from tests.contracts.federation.quarrel import start
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


def test_nothing_of_the_committee_can_be_entered_from_within(there: Arena, token: ReentrantToken) -> None:
    """Every function that moves money, called while each of them moves some."""
    quarrel = start(there, rounds=1, mask_count=2, submit_blocks=30, freeze_blocks=203)
    committee, task_id = there.committee, quarrel.task.task_id
    bonding = there.federation.open_task(
        there.sponsor, **there.fields(worker_bond=1, training_key=quarrel.task.params.training_key)
    )
    complaint = quarrel.complain(0, 1, Kind.OPEN)
    inner = [
        committee.bond_call(bonding.task_id, bonding.terms),
        committee.release_bond_call(task_id),
        committee.complain_call(quarrel.task, quarrel.updates[2], Kind.OPEN),
        committee.attest_call(complaint),
        committee.withdraw_call(),
        committee.many_call([committee.withdraw_call(), committee.attest_call(complaint)]),
    ]

    def release() -> None:
        there.chain.wait_until_block(quarrel.windows.freeze)
        there.finalize(there.now(quarrel.task))
        there.chain.wait_until_block(there.now(quarrel.task).ended_at + 2 * SETTLE_BLOCKS)
        token.tell(inner[4])
        committee.release_bond(quarrel.workers[0], task_id)

    def attest() -> None:
        quarrel.wait(quarrel.windows.open_answers)
        quarrel.attest(1, complaint)

    outer: list[tuple[int, Callable[[], object]]] = [
        (1, lambda: committee.bond(quarrel.workers[0], bonding.task_id)),
        (0, lambda: quarrel.complain(1, 2, Kind.FETCH)),
        (5, lambda: quarrel.complain(2, 1, Kind.FETCH)),
        (2, lambda: quarrel.complain(2, 2, Kind.FETCH)),
        (2, attest),
        (3, lambda: committee.withdraw(quarrel.workers[0])),
    ]
    for place, act in outer:
        token.tell(inner[place])
        act()
        returned, worked = token.outcome()
        assert worked is False, inner[place].fn_name
        # The federation pays in the midst of an attestation: then the token calls back into the federation.
        assert act is attest or returned[:4] == GUARD, inner[place].fn_name
    release()
    returned, worked = token.outcome()
    assert (returned[:4], worked) == (GUARD, False)


def test_the_token_does_call_back(there: Arena, token: ReentrantToken) -> None:
    """What the refusals above are measured against: a view is answered."""
    assert token.outcome() == (bytes(32), None)
    token.tell(there.federation.contract.functions.taskCount())
    there.open_task()
    assert token.outcome() == ((1).to_bytes(32, "big"), True)  # the escrow is taken when all else is done
