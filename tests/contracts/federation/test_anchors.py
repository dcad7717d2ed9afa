"""What costs a bond on another branch of the chain reverts there (attack 30)."""

from __future__ import annotations

import pytest

from fedproof.errors import InputError
from fedproof.ledger.anchor import ANCHOR_BLOCKS, NO_ANCHOR, anchor
from fedproof.ledger.federation import Stage
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import Board, player_of, refuses

BLOB = b"\x07" * 32


def seen(arena: Arena, number: int) -> bytes:
    """The hash of a block."""
    found = arena.chain.rpc.request("eth_getBlockByNumber", hex(number), False)["hash"]
    return bytes.fromhex(found[2:])


def other(block_hash: bytes, place: int) -> bytes:
    return bytes([*block_hash[:place], block_hash[place] ^ 1, *block_hash[place + 1 :]])


def test_an_update_counts_on_the_branch_that_it_names(arena: Arena, board: Board) -> None:
    task, update = board.submitting, board.pending
    sender, number = player_of(arena, update).account, arena.chain.block_number() - 1
    right = seen(arena, number)
    for place in (0, 19):
        call = arena.federation.submit_update_call(task, update, anchor(number, other(right, place)))
        refuses(arena, call, sender, "WrongAnchor", number)
    for bit in (32, 95):  # one name for each block
        call = arena.federation.submit_update_call(task, update, anchor(number, right) | 1 << bit)
        refuses(arena, call, sender, "WrongAnchor")
    arena.chain.transact(arena.federation.submit_update_call(task, update, anchor(number, right)), sender)
    assert arena.now(task).accepted == 0b011


def test_an_output_counts_on_the_branch_that_it_names(arena: Arena, board: Board) -> None:
    task, worker, number = board.tasks[Stage.FROZEN], arena.workers[1], arena.chain.block_number() - 1
    right = seen(arena, number)
    for place in (0, 19):
        call = arena.committee.post_output_call(task.task_id, 1, BLOB, anchor(number, other(right, place)))
        refuses(arena, call, worker, "WrongAnchor", number)
    call = arena.committee.post_output_call(task.task_id, 1, BLOB, anchor(number, right))
    arena.chain.transact(call, worker)
    assert [each.content_id for each in arena.committee.outputs(task.task_id, round=1)] == [BLOB]


def test_an_anchor_is_one_of_the_last_blocks(arena: Arena, board: Board) -> None:
    task, worker = board.tasks[Stage.FROZEN], arena.workers[1]
    number = arena.chain.block_number()
    right = seen(arena, number)
    call = arena.committee.post_output_call(task.task_id, 1, BLOB, anchor(number, right))
    future = arena.committee.post_output_call(task.task_id, 1, BLOB, anchor(number + 1000, right))
    unhashed = arena.committee.post_output_call(task.task_id, 1, BLOB, anchor(number + 1000, bytes(32)))
    refuses(arena, future, worker, "WrongAnchor", number + 1000)
    refuses(arena, unhashed, worker, "WrongAnchor", number + 1000)
    arena.chain.mine(ANCHOR_BLOCKS + 1)
    refuses(arena, call, worker, "WrongAnchor", number)
    unnamed = arena.committee.post_output_call(task.task_id, 1, BLOB, NO_ANCHOR)
    arena.chain.transact(unnamed, worker)


@pytest.mark.parametrize(("number", "size"), [(-1, 32), (1 << 32, 32), (1, 31), (1, 33)])
def test_an_anchor_is_a_number_with_a_hash(number: int, size: int) -> None:
    with pytest.raises(InputError, match="an anchor is a block number"):
        anchor(number, bytes(size))
