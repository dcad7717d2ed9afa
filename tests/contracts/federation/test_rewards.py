"""What is paid, to whom, and how often."""

from __future__ import annotations

import pytest

from fedproof.ledger.federation import Ending, Federation, Stage, TaskInfo
from tests.contracts.federation.arena import BOND, REWARD, Arena
from tests.contracts.federation.board import Board, held, refuses

UINT128 = 2**128 - 1


def claiming(arena: Arena, task: TaskInfo, **changes: object):  # type: ignore[no-untyped-def]  # a web3 function
    honest = {"model": task.standing()[0], "settled": task.settled_abi()} | changes
    return arena.federation.contract.functions.claim(task.task_id, honest["model"], honest["settled"])


def refunding(arena: Arena, task: TaskInfo, **changes: object):  # type: ignore[no-untyped-def]  # a web3 function
    honest = {"model": task.standing()[0], "settled": task.settled_abi()} | changes
    return arena.federation.contract.functions.refund(task.task_id, honest["model"], honest["settled"])


def test_rewards_follow_the_rows_and_the_dust_goes_back(arena: Arena, board: Board) -> None:
    federation, task = arena.federation, board.ended
    players = arena.players[:3]
    total = sum(player.rows for player in players)
    per_row, sponsor_had = REWARD // total, arena.balance(arena.sponsor)
    for player in players:
        had = arena.balance(player.account)
        assert federation.claimable(task.task_id, player.account.address) == (per_row * player.rows, BOND)
        receipt = arena.chain.transact(claiming(arena, task), player.account)
        assert arena.balance(player.account) == had + per_row * player.rows + BOND
        assert receipt.event("Claimed").args == {
            "task": task.task_id,
            "participant": player.account.address,
            "reward": per_row * player.rows,
            "bond": BOND,
        }
        assert federation.claimable(task.task_id, player.account.address) == (0, 0)
    dust = arena.now(task).escrow
    assert 0 < dust == REWARD - per_row * total < total
    assert federation.refund(arena.outsider, task.task_id) == dust
    assert arena.balance(arena.sponsor) == sponsor_had + dust
    assert arena.now(task).escrow == 0


@pytest.mark.parametrize("refund_first", [True, False])
def test_nothing_is_paid_twice(arena: Arena, board: Board, refund_first: bool) -> None:
    task, player = board.ended, arena.players[0]
    refund, claim = refunding(arena, task), claiming(arena, task)
    for call, sender in [(refund, arena.outsider), (claim, player.account)][:: 1 if refund_first else -1]:
        arena.chain.transact(call, sender)
        refuses(arena, call, sender, "NothingToClaim")
    for account in (arena.sponsor, player.account):
        refuses(arena, refund, account, "NothingToClaim")
    for other in arena.players[1:3]:
        arena.federation.claim(other.account, task.task_id)
    assert arena.now(task).escrow == 0


def test_outsiders_get_nothing(arena: Arena, board: Board) -> None:
    for account in (arena.outsider, arena.sponsor, arena.workers[0], arena.players[3].account):
        refuses(arena, claiming(arena, board.ended), account, "NotAllowed", account.address)
        assert arena.federation.claimable(board.ended.task_id, account.address) == (0, 0)


def test_rejects_another_history(arena: Arena, board: Board) -> None:
    """More rounds, fewer rows, another set, another model: the standing knows them all."""
    task, account = board.ended, arena.players[0].account
    number, accepted, rows = task.settled_abi()[0]
    histories = [
        [],
        [(number, accepted, rows)] * 2,
        [(number, accepted, rows), (number + 1, accepted, rows)],
        [(number, accepted, 1)],
        [(number, 0b001, rows)],
        [(number + 1, accepted, rows)],
    ]
    for settled in histories:
        refuses(arena, claiming(arena, task, settled=settled), account, "WrongStanding")
        refuses(arena, refunding(arena, task, settled=settled), account, "WrongStanding")
    for make in (claiming, refunding):
        refuses(arena, make(arena, task, model=(1, 2)), account, "WrongStanding")
    view = arena.federation.contract.functions.claimable
    refuses(arena, view(task.task_id, account.address, (1, 2), task.settled_abi()), account, "WrongStanding")


def test_rounds_are_claimed_as_they_settle_and_the_bond_at_the_end(arena: Arena) -> None:
    """The third player skips the second round; the first claims after each, the second at the end."""
    federation, task = arena.federation, arena.running(3, rounds=3)
    players, rows = arena.players[:3], [player.rows for player in arena.players[:3]]
    per_row = [REWARD // sum(rows), REWARD // sum(rows[:2]), REWARD // sum(rows)]
    for number, present in enumerate((3, 2, 3)):
        arena.play_round(task, present)
        paid = federation.claim(players[0].account, task.task_id)
        last = number == 2
        assert (paid.reward, paid.bond) == (per_row[number] * rows[0], BOND if last else 0)
        refuses(arena, claiming(arena, arena.now(task)), players[0].account, "NothingToClaim")
    with_bonds = [federation.claim(player.account, task.task_id) for player in players[1:]]
    assert [paid.reward for paid in with_bonds] == [sum(per_row) * rows[1], (per_row[0] + per_row[2]) * rows[2]]
    assert [paid.bond for paid in with_bonds] == [BOND, BOND]
    dust = 3 * REWARD - per_row[0] * sum(rows) - per_row[1] * sum(rows[:2]) - per_row[2] * sum(rows)
    assert federation.refund(arena.sponsor, task.task_id) == dust
    assert arena.balance(federation.address) == held(arena)


def test_a_rejected_participant_gets_no_bond_back(arena: Arena, board: Board) -> None:
    federation, task = arena.federation, board.rejecting
    federation.reject_update(arena.outsider, task, board.updates[Stage.REJECTING][1])
    arena.freeze(task)
    arena.chain.mine()
    arena.finalize(arena.now(task))
    federation.close_task(arena.sponsor, task.task_id)
    refuses(arena, claiming(arena, arena.now(task)), arena.players[1].account, "NothingToClaim")
    paid = federation.claim(arena.players[0].account, task.task_id)
    rows = [arena.players[k].rows for k in (0, 2)]
    assert (paid.reward, paid.bond) == (REWARD // sum(rows) * rows[0], BOND)


def test_a_task_closed_while_it_enrols_gives_bonds_and_escrow_back(arena: Arena, board: Board) -> None:
    federation, task = arena.federation, board.enrolling
    refuses(arena, claiming(arena, task), arena.players[0].account, "NothingToClaim")
    receipt = federation.close_task(arena.sponsor, task.task_id)
    assert receipt.event("TaskEnded").args["ending"] == Ending.CLOSED
    for player in arena.players[:3]:
        paid = federation.claim(player.account, task.task_id)
        assert (paid.reward, paid.bond) == (0, BOND)
    assert federation.refund(arena.outsider, task.task_id) == 3 * REWARD


@pytest.mark.parametrize(("reward", "bond"), [(0, 0), (0, BOND), (REWARD, 0), (1, 1)])
def test_zero_amounts_are_no_obstacle(arena: Arena, reward: int, bond: int) -> None:
    """A reward of less than a unit for each row is all dust."""
    federation = arena.federation
    before = arena.balance(federation.address)
    task = arena.running(2, rounds=1, reward_per_round=reward, enrol_bond=bond)
    arena.play_round(task)
    task, rows = arena.now(task), [player.rows for player in arena.players[:2]]
    per_row = reward // sum(rows)
    for player in arena.players[:2]:
        if per_row == bond == 0:
            refuses(arena, claiming(arena, task), player.account, "NothingToClaim")
        else:
            paid = federation.claim(player.account, task.task_id)
            assert (paid.reward, paid.bond) == (per_row * player.rows, bond)
    assert federation.refund(arena.sponsor, task.task_id) == reward - per_row * sum(rows)
    assert arena.balance(federation.address) == before


def test_the_largest_amounts_are_paid_in_full(arena: Arena) -> None:
    """Over a token with the largest supply: 1024 rounds at 2^128 - 1, and bonds of as much."""
    token = arena.chain.deploy("AccessToken", 2**256 - 1, sender=arena.sponsor)
    registry = arena.world.market.registry.address
    rich = Federation.deploy(
        arena.chain, arena.sponsor, registry=registry, token=token.address, allow_development_keys=True
    )
    there = type(arena)(**(arena.__dict__ | {"federation": rich}))
    for player in arena.players[:2]:
        arena.chain.transact(token.functions.transfer(player.account.address, UINT128), arena.sponsor)
    task = there.open_task(rounds=1024, mask_count=1025, reward_per_round=UINT128)
    assert task.escrow == there.balance(rich.address) == 1024 * UINT128
    rich.close_task(arena.sponsor, task.task_id)
    assert rich.refund(arena.outsider, task.task_id) == 1024 * UINT128
    task = there.running(2, rounds=8, mask_count=9, reward_per_round=UINT128, enrol_bond=UINT128)
    assert there.balance(rich.address) == 10 * UINT128
    there.play_round(task)
    rows = [player.rows for player in arena.players[:2]]
    per_row = UINT128 // sum(rows)
    rich.close_task(arena.sponsor, task.task_id)
    for player in arena.players[:2]:
        paid = rich.claim(player.account, task.task_id)
        assert (paid.reward, paid.bond) == (per_row * player.rows, UINT128)
    assert rich.refund(arena.outsider, task.task_id) == 8 * UINT128 - per_row * sum(rows)
    assert there.balance(rich.address) == 0
