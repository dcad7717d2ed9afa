"""The curve library against the Rust core, and what it does when the precompiles fail."""

from __future__ import annotations

import pytest
from eth.vm.computation import BaseComputation

from fedproof import _core
from fedproof.ledger import Chain
from fedproof.ledger.embedded.evm import NativeComputation
from fedproof.ledger.rpc import RpcError
from tests.contracts.support import P, R, call_with_gas, int_words, load_test_artifact, rejects
from tests.contracts.world import World

G1 = int_words(_core.g1_generator())
MINUS_G1 = int_words(_core.g1_neg(_core.g1_generator()))
G2 = int_words(_core.g2_generator())
TRUE_PAIRING = [*G1, *G2, *MINUS_G1, *G2]
FALSE_PAIRING = [*G1, *G2, *G1, *G2]
HOLDS, DOES_NOT_HOLD, MALFORMED = range(3)


def point_outside_the_subgroup() -> list[int]:
    """A point of the twist whose order is not r."""

    # Fp2 arithmetic by hand: elements are (real, imaginary), i^2 = -1.
    def mul(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return (a[0] * b[0] - a[1] * b[1]) % P, (a[0] * b[1] + a[1] * b[0]) % P

    def root(a: tuple[int, int]) -> tuple[int, int] | None:
        norm = pow(a[0] * a[0] + a[1] * a[1], (P + 1) // 4, P)
        for sign in (1, -1):
            half = (a[0] + sign * norm) * pow(2, -1, P) % P
            real = pow(half, (P + 1) // 4, P)
            if real and real * real % P == half:
                candidate = real, a[1] * pow(2 * real, -1, P) % P
                if mul(candidate, candidate) == a:
                    return candidate
        return None

    inverse = pow(82, -1, P)  # 1 / (9 + i) = (9 - i) / 82
    b = 27 * inverse % P, -3 * inverse % P
    for x in range(1, 100):
        cube = mul((x, 0), mul((x, 0), (x, 0)))
        y = root(((cube[0] + b[0]) % P, (cube[1] + b[1]) % P))
        if y is not None:
            return [0, x, y[1], y[0]]
    raise AssertionError("no point found")


def test_sums_and_multiples_agree_with_the_core(world: World) -> None:
    for k in (0, 1, 2, 3, R - 1):
        scalar = _core.fr_from_ints([k])
        point = _core.g1_mul(_core.g1_generator(), scalar)
        assert list(world.chain.call(world.harness.functions.mul(G1, k))) == int_words(point)
        total = _core.g1_add(point, _core.g1_generator())
        found = world.chain.call(world.harness.functions.add(int_words(point), G1))
        assert list(found) == int_words(total)


def test_pairings_are_told_apart(world: World) -> None:
    assert world.chain.call(world.harness.functions.pairing(TRUE_PAIRING)) is True
    assert world.chain.call(world.harness.functions.pairing(FALSE_PAIRING)) is False
    assert world.chain.call(world.harness.functions.pairing([])) is True


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (0, 0, "PointAtInfinity"),
        (1, 3, "NotOnCurve"),
        (0, 1, "NotOnCurve"),
        (P + 1, 2, "CoordinateTooLarge"),
        (1, P + 2, "CoordinateTooLarge"),
        (P, 0, "CoordinateTooLarge"),
    ],
)
def test_rejects_a_point_that_is_not_canonical_finite_and_on_the_curve(
    world: World, x: int, y: int, error: str
) -> None:
    with rejects(error):
        world.chain.call(world.harness.functions.requirePoint(x, y))
    world.chain.call(world.harness.functions.requirePoint(*G1))


@pytest.mark.parametrize(
    "pairing",
    [
        [1, 3, *G2, *MINUS_G1, *G2],
        [P + 1, 2, *G2, *MINUS_G1, *G2],
        [*G1, *G2[:3], G2[3] + 1, *MINUS_G1, *G2],
        [*G1, *point_outside_the_subgroup(), *MINUS_G1, *G2],
        TRUE_PAIRING[:-1],
    ],
    ids=["G1 off the curve", "G1 not canonical", "G2 off the curve", "G2 outside the subgroup", "a word missing"],
)
def test_a_malformed_pairing_reverts_and_is_never_called_false(world: World, pairing: list[int]) -> None:
    with rejects("PrecompileFailed", 8):
        world.chain.call(world.harness.functions.pairing(pairing))


def test_a_malformed_point_is_judged_only_beside_a_good_pairing_of_its_size(world: World) -> None:
    judge = world.harness.functions.judge
    price = 45_000 + 2 * 34_000
    assert world.chain.call(judge(TRUE_PAIRING, price)) == HOLDS
    assert world.chain.call(judge(FALSE_PAIRING, price)) == DOES_NOT_HOLD
    outside = [*G1, *point_outside_the_subgroup(), *MINUS_G1, *G2]
    assert world.chain.call(judge(outside, price)) == MALFORMED
    assert world.chain.call(judge(outside[:6], price)) == MALFORMED
    # With a unit less the precompile fails on good points, too: no judgement.
    for pairing in (TRUE_PAIRING, FALSE_PAIRING, outside):
        with rejects("PrecompileFailed", 8):
            world.chain.call(judge(pairing, price - 1))


@pytest.mark.parametrize("pairing", [TRUE_PAIRING, FALSE_PAIRING], ids=["true", "false"])
def test_a_starved_pairing_never_changes_its_answer(world: World, pairing: list[int]) -> None:
    function = world.harness.functions.pairing(pairing)
    expected = world.chain.call(function)
    answers = []
    for gas in range(22_000, 200_000, 4_000):
        try:
            answers.append(call_with_gas(world.chain, function, gas, world.stranger))
        except RpcError:
            answers.append(None)
    assert answers[0] is None
    assert answers[-1] is expected
    assert set(answers) == {None, expected}


def test_a_starved_judge_never_calls_a_good_pairing_malformed(world: World) -> None:
    function = world.harness.functions.judge(TRUE_PAIRING, 113_000)
    answers = []
    for gas in range(22_000, 420_000, 4_000):
        try:
            answers.append(call_with_gas(world.chain, function, gas, world.stranger))
        except RpcError:
            answers.append(None)
    assert set(answers) == {None, HOLDS}


def test_a_judge_says_what_it_lacks_before_it_begins(world: World) -> None:
    function = world.harness.functions.judge(TRUE_PAIRING, 113_000)
    with pytest.raises(RpcError) as caught:
        call_with_gas(world.chain, function, 110_000, world.stranger)
    assert (caught.value.data or b"")[:4] == _core.keccak256(b"NotEnoughGas(uint256)")[:4]


def test_a_pair_is_written_in_its_place_and_never_beside_the_array(world: World) -> None:
    function = world.harness.functions.setPair
    source = [1, 2, 3, 4, 5]
    assert list(world.chain.call(function(2, 0, source, 1))) == [7, 8, 2, 3, 4, 5, *([0] * 6)]
    assert list(world.chain.call(function(2, 1, source, 0))) == [*([0] * 6), 7, 8, 1, 2, 3, 4]
    for index, g2 in ((2, 0), (0, 2)):
        with rejects("OutOfBounds"):
            world.chain.call(function(2, index, source, g2))


def _answer(output: bytes) -> object:
    def run(computation: BaseComputation) -> BaseComputation:
        computation.output = output
        return computation

    return run


def _absent(computation: BaseComputation) -> BaseComputation:
    return computation


@pytest.mark.parametrize(
    ("number", "behaviour", "error"),
    [
        (8, _absent, "PrecompileFailed"),
        (8, _answer((1).to_bytes(32, "big")), "PairingIsWrong"),
        (8, _answer(bytes(32)), "PairingIsWrong"),
        (8, _answer((2).to_bytes(32, "big")), "PrecompileFailed"),
        (7, _absent, "PrecompileFailed"),
        (6, _absent, "PrecompileFailed"),
        (7, _answer(_core.g1_generator()), "PairingIsWrong"),
        (6, _answer(_core.g1_generator()), "PairingIsWrong"),
    ],
    ids=["no pairing", "always true", "always false", "garbage", "no ecMul", "no ecAdd", "wrong ecMul", "wrong ecAdd"],
)
def test_no_verifier_can_be_deployed_where_a_precompile_is_missing_or_wrong(
    monkeypatch: pytest.MonkeyPatch, number: int, behaviour: object, error: str
) -> None:
    monkeypatch.setitem(NativeComputation._precompiles, number.to_bytes(20, "big"), behaviour)
    chain = Chain.embedded()
    sender = chain.new_account("deployer")
    with rejects(error):
        chain.deploy(load_test_artifact("ProofHarness"), sender=sender)
    token = chain.deploy("AccessToken", 1, sender=sender)
    with rejects(error):
        chain.deploy("DatasetRegistry", token.address, 1, False, sender=sender)
