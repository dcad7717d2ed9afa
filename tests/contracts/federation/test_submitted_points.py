"""What an update must be made of, so that whatever was submitted can be judged and settled."""

from __future__ import annotations

import pytest
from web3.contract.contract import ContractFunction

from fedproof.ledger.federation import Update
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import Board, calldata, player_of, refuses_raw
from tests.contracts.support import P, R

POINTS = {"C_U": 8, "D": 10, "A": 14, "C": 20, "Q": 22}
"""First words of the G1 points among the arguments."""
B, Y = 16, 24


@pytest.fixture
def update(board: Board) -> Update:
    return board.pending


@pytest.fixture
def honest(arena: Arena, board: Board, update: Update) -> ContractFunction:
    return arena.federation.submit_update_call(board.submitting, update)


def word(data: bytes, place: int) -> int:
    return int.from_bytes(data[4 + 32 * place : 36 + 32 * place], "big")


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_rejects_a_bad_point(arena: Arena, update: Update, honest: ContractFunction, point: int) -> None:
    sender, data = player_of(arena, update).account, calldata(honest)
    x, y = word(data, point), word(data, point + 1)
    assert (y * y - x**3 - 3) % P == 0
    cases = [
        (0, 0, "PointAtInfinity", ()),
        (1, 3, "NotOnCurve", (1, 3)),
        (0, 1, "NotOnCurve", (0, 1)),
        (x, (y + 1) % P, "NotOnCurve", ()),
        (P + 1, 2, "CoordinateTooLarge", (P + 1,)),
        (x + P, y, "CoordinateTooLarge", (x + P,)),  # the same point, by another name
        (x, y + P, "CoordinateTooLarge", (y + P,)),
        (0, P, "CoordinateTooLarge", (P,)),
        (P, P, "CoordinateTooLarge", (P,)),
        (2**256 - 1, 2**256 - 1, "CoordinateTooLarge", (2**256 - 1,)),
    ]
    for bad_x, bad_y, error, arguments in cases:
        refuses_raw(arena, calldata(honest, {point: bad_x, point + 1: bad_y}), sender, error, *arguments)


def test_rejects_b_at_infinity_or_not_canonical(arena: Arena, update: Update, honest: ContractFunction) -> None:
    sender, data = player_of(arena, update).account, calldata(honest)
    refuses_raw(arena, calldata(honest, dict.fromkeys(range(B, B + 4), 0)), sender, "PointAtInfinity")
    for place in range(B, B + 4):
        for value in (P, word(data, place) + P, 2**256 - 1):
            refuses_raw(arena, calldata(honest, {place: value}), sender, "CoordinateTooLarge", value)
        # off the curve, canonical: taken, for the judge to tell
        arena.chain.call_raw(arena.federation.address, calldata(honest, {place: P - 1}), sender=sender)


def test_rejects_y_beyond_the_field(arena: Arena, update: Update, honest: ContractFunction) -> None:
    sender, data = player_of(arena, update).account, calldata(honest)
    for value in (R, word(data, Y) + R, P, 2**256 - 1):
        refuses_raw(arena, calldata(honest, {Y: value}), sender, "ScalarTooLarge", value)
    for value in (0, R - 1):
        arena.chain.call_raw(arena.federation.address, calldata(honest, {Y: value}), sender=sender)
