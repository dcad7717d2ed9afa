"""Which keys a task accepts: the named code, the two statements, one tau, no shared secret, no single dealer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fedproof import _core
from fedproof.ledger.federation import Federation
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey, setup
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import Board, members, refuses
from tests.contracts.support import P, int_words, to_bytes

TAU, TAU_MASK = 17, 21
Pair = tuple[VerifyingKey, VerifyingKey]


@dataclass
class Opening:
    """Opens a task with any two keys, on a federation of choice."""

    arena: Arena
    board: Board
    federation: Federation

    def refused(self, training: VerifyingKey, aggregation: VerifyingKey, error: str, *arguments: object) -> None:
        refuses(self.arena, self.call(training, aggregation), self.arena.sponsor, error, *arguments)

    def accepted(self, training: VerifyingKey, aggregation: VerifyingKey) -> None:
        self.arena.chain.call(self.call(training, aggregation), sender=self.arena.sponsor)

    def call(self, training: VerifyingKey, aggregation: VerifyingKey):  # type: ignore[no-untyped-def]  # a web3 function
        self.places = [self.arena.world.deploy_key(key) for key in (training, aggregation)]
        params = replace(
            self.board.enrolling.params,
            training_key=self.places[0],
            training_key_hash=_core.keccak256(b"\0" + training.encode()),
            aggregation_key=self.places[1],
            aggregation_key_hash=_core.keccak256(b"\0" + aggregation.encode()),
            reward_per_round=0,
        )
        return self.federation.open_task_call(params, members(3))


@pytest.fixture
def opening(arena: Arena, board: Board) -> Opening:
    return Opening(arena, board, arena.federation)


@pytest.mark.parametrize("which", ["training_key", "aggregation_key"])
def test_rejects_a_key_whose_code_is_not_the_named_one(arena: Arena, board: Board, which: str) -> None:
    honest = board.enrolling.params
    other = arena.world.deploy_key(toys.training_keys("another").verifying)
    found = _core.keccak256(arena.chain.code_at(other))
    call = arena.federation.open_task_call(replace(honest, **{which: other}), members(3))
    refuses(arena, call, arena.sponsor, "WrongKeyHash", other, found)
    call = arena.federation.open_task_call(replace(honest, **{f"{which}_hash": bytes(32)}), members(3))
    refuses(arena, call, arena.sponsor, "WrongKeyHash", getattr(honest, which))
    nobody = arena.chain.new_account("nobody", funded=False).address
    call = arena.federation.open_task_call(replace(honest, **{which: nobody, f"{which}_hash": bytes(32)}), members(3))
    refuses(arena, call, arena.sponsor, "NotAKey", nobody)


def test_rejects_a_key_of_another_statement(arena: Arena, opening: Opening) -> None:
    training, aggregation = arena.training, arena.aggregation
    opening.refused(aggregation, training, "WrongPublicInputs")
    opening.refused(training, training, "WrongPublicInputs")
    opening.refused(toy.eligibility_keys().verifying, aggregation, "WrongPublicInputs")
    opening.refused(replace(training, eta=None), aggregation, "WrongCommittedSegment")
    opening.refused(training, replace(aggregation, eta=None), "WrongCommittedSegment")
    opening.accepted(training, aggregation)


def test_rejects_a_training_key_without_mask_powers(arena: Arena, opening: Opening) -> None:
    key = replace(arena.training, tau_d=None)
    call = opening.call(key, arena.aggregation)
    refuses(arena, call, arena.sponsor, "WrongKeyPoint", opening.places[0], TAU_MASK)


@pytest.mark.parametrize("which", [0, 1], ids=["training", "aggregation"])
def test_rejects_a_key_without_powers_for_its_link(arena: Arena, opening: Opening, which: int) -> None:
    keys = [arena.training, arena.aggregation]
    keys[which] = replace(keys[which], tau=bytes(128))
    call = opening.call(*keys)
    refuses(arena, call, arena.sponsor, "WrongKeyPoint", opening.places[which], TAU)


def test_rejects_keys_of_two_phase_ones(arena: Arena, opening: Opening) -> None:
    other = _core.Srs.generate(16, [1, toy.MASK_POSITION], seed=b"\x02" * 32)
    aggregation = setup(compile_statement(toys.ToyAggregation()), other).verifying
    opening.refused(arena.training, aggregation, "DifferentTau")
    y = int_words(arena.aggregation.tau)
    mirrored = to_bytes([*y[:2], P - y[2], P - y[3]])
    opening.refused(arena.training, replace(arena.aggregation, tau=mirrored), "DifferentTau")


def same(point: bytes) -> bytes:
    return point


def negated(point: bytes) -> bytes:
    x0, x1, y0, y1 = int_words(point)
    return to_bytes([x0, x1, P - y0, P - y1])


@pytest.mark.parametrize("change", [same, negated])
@pytest.mark.parametrize("of_training", ["delta", "eta"])
@pytest.mark.parametrize("of_aggregation", ["delta", "eta"])
def test_rejects_two_keys_with_one_delta_or_eta(
    arena: Arena, opening: Opening, of_training: str, of_aggregation: str, change: Callable[[bytes], bytes]
) -> None:
    shared = change(getattr(arena.training, of_training))
    opening.refused(arena.training, replace(arena.aggregation, **{of_aggregation: shared}), "SharedKeySecret")


@pytest.mark.parametrize(("name", "other"), [("delta", "eta"), ("delta", "beta"), ("eta", "tau")])
def test_rejects_a_key_that_shares_a_secret_within_itself(
    arena: Arena, opening: Opening, name: str, other: str
) -> None:
    for which in (0, 1):
        keys = [arena.training, arena.aggregation]
        keys[which] = replace(keys[which], **{name: getattr(keys[which], other)})
        opening.refused(*keys, "CoincidingKeyPoints")


def test_accepts_two_keys_with_one_alpha_and_beta(opening: Opening) -> None:
    opening.accepted(*(keys.verifying for keys in toys.shared_keys()))


def test_a_federation_can_refuse_development_keys(arena: Arena, board: Board) -> None:
    market = arena.world.market
    strict = Federation.deploy(arena.chain, arena.sponsor, registry=market.registry.address, token=market.token.address)
    assert arena.chain.call(strict.contract.functions.allowDevelopmentKeys()) is False
    opening = Opening(arena, board, strict)
    good = [replace(key, development=False) for key in (arena.training, arena.aggregation)]
    for which in (0, 1):
        keys = list(good)
        keys[which] = replace(keys[which], development=True)
        call = opening.call(*keys)
        refuses(arena, call, arena.sponsor, "DevelopmentKeyRefused", opening.places[which])
    opening.accepted(*good)
