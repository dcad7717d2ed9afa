"""The verifier on real proofs: it agrees with the core, refuses what is malformed, and cannot be starved into a no."""

from __future__ import annotations

import pytest
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger.rpc import RpcError
from fedproof.proving.linked import LinkedProof, check_linked, check_plain
from fedproof.proving.transcript import Challenges, aggregation_challenges
from tests.contracts import toy
from tests.contracts.support import P, R, call_with_gas, int_words, rejects, to_bytes
from tests.contracts.test_bn254 import point_outside_the_subgroup
from tests.contracts.world import World

SIGMA, LAM, ROWS = 1_000_003, 77, 40
PUBLIC = [11, 12, 13, 14, 15, 16]
HOLDS, DOES_NOT_HOLD, MALFORMED = range(3)
OTHER_POINT = int_words(_core.g1_mul(_core.g1_generator(), _core.fr_from_ints([12345])))


@pytest.fixture(scope="module")
def linked() -> LinkedProof:
    return toy.prove_listing(ROWS, toy.vector(), lambda _: Challenges(SIGMA, LAM))


@pytest.fixture(scope="module")
def commitment() -> list[int]:
    return int_words(toy.srs().commit(toy.vector()))


@pytest.fixture(scope="module")
def plain() -> list[int]:
    return int_words(toy.prove_eligibility(PUBLIC))


@pytest.fixture
def plain_key(world: World) -> ChecksumAddress:
    return world.deploy_key(toy.eligibility_keys().verifying)


@pytest.fixture
def linked_key(world: World) -> ChecksumAddress:
    return world.deploy_key(toy.listing_keys().verifying)


class Claim:
    """A linked check whose parts can be changed one by one."""

    def __init__(self, proof: LinkedProof, commitment: list[int]) -> None:
        self.proof = int_words(proof.proof)
        self.x = [ROWS, SIGMA, LAM, proof.y]
        self.d, self.f, self.q = int_words(proof.d), commitment, int_words(proof.q)
        self.y, self.sigma = proof.y, SIGMA

    def arguments(self, key: str) -> tuple[object, ...]:
        return key, self.x, self.proof, (self.d, self.f, self.q, self.y, self.sigma)

    def call(self, world: World, key: str) -> object:
        return world.chain.call(world.harness.functions.verifyLinked(*self.arguments(key)))

    def judge(self, world: World, key: str, budget: int = 300_000) -> object:
        return world.chain.call(world.harness.functions.judgeLinked(*self.arguments(key), budget))


@pytest.fixture
def claim(linked: LinkedProof, commitment: list[int]) -> Claim:
    return Claim(linked, commitment)


def verify(world: World, key: str, x: list[int], proof: list[int]) -> object:
    return world.chain.call(world.harness.functions.verify(key, x, proof))


def test_accepts_what_the_core_accepts(
    world: World, plain_key: str, linked_key: str, plain: list[int], claim: Claim, linked: LinkedProof
) -> None:
    check_plain(toy.eligibility_keys().verifying, PUBLIC, toy.prove_eligibility(PUBLIC))
    check_linked(toy.listing_keys().verifying, [ROWS], Challenges(SIGMA, LAM), linked, [toy.srs().commit(toy.vector())])
    assert verify(world, plain_key, PUBLIC, plain) is True
    assert claim.call(world, linked_key) is True
    assert claim.judge(world, linked_key) == HOLDS


@pytest.mark.parametrize("position", range(6))
def test_says_no_to_a_proof_of_another_public_input(
    world: World, plain_key: str, plain: list[int], position: int
) -> None:
    x = list(PUBLIC)
    x[position] += 1
    assert verify(world, plain_key, x, plain) is False


def test_says_no_to_a_proof_under_another_key(world: World, plain: list[int], claim: Claim) -> None:
    other_plain = world.deploy_key(toy.eligibility_keys("another statement").verifying)
    other_linked = world.deploy_key(toy.listing_keys("another statement").verifying)
    assert verify(world, other_plain, PUBLIC, plain) is False
    assert claim.call(world, other_linked) is False


@pytest.mark.parametrize("point", [0, 6], ids=["A", "C"])
def test_says_no_to_a_replaced_point_of_the_proof(world: World, plain_key: str, plain: list[int], point: int) -> None:
    changed = plain[:point] + OTHER_POINT + plain[point + 2 :]
    assert verify(world, plain_key, PUBLIC, changed) is False


def test_says_no_when_b_is_another_point(world: World, plain_key: str, plain: list[int]) -> None:
    changed = plain[:2] + int_words(_core.g2_generator()) + plain[6:]
    assert verify(world, plain_key, PUBLIC, changed) is False


@pytest.mark.parametrize("part", ["d", "f", "q", "y", "sigma", "x0", "x1", "x2", "x3", "A", "C"])
def test_says_no_when_one_part_of_a_linked_proof_changes(
    world: World, linked_key: str, claim: Claim, part: str
) -> None:
    if part in "dfq":
        setattr(claim, part, OTHER_POINT)
    elif part in ("y", "sigma"):
        setattr(claim, part, getattr(claim, part) + 1)
    elif part[0] == "x":
        claim.x[int(part[1])] += 1
    else:
        start = 0 if part == "A" else 6
        claim.proof[start : start + 2] = OTHER_POINT
    assert claim.call(world, linked_key) is False
    assert claim.judge(world, linked_key) == DOES_NOT_HOLD


def test_says_no_to_a_proof_about_another_vector_than_the_committed_one(
    world: World, linked_key: str, commitment: list[int]
) -> None:
    """The circuit's own vector opens to another y: the link's equation fails although the Groth16 equation holds."""
    other = toy.vector(2)
    opened, q = toy.srs().open(toy.vector(), _core.fr_from_ints([SIGMA]))
    honest = toy.prove_listing(ROWS, other, lambda _: Challenges(SIGMA, LAM))
    claim = Claim(honest, commitment)
    claim.q = int_words(q)
    assert claim.call(world, linked_key) is False
    claim.y = _core.fr_to_ints(opened)[0]  # now the link holds, and the circuit's output is another value
    claim.x[3] = claim.y
    assert claim.call(world, linked_key) is False


def test_two_wrong_equations_do_not_cancel(world: World, linked_key: str, claim: Claim) -> None:
    """IC(x) loses the point that F gains: with a known factor between the equations their product would be one."""
    claim.x[0] = ROWS - 1
    claim.f = int_words(_core.g1_add(to_bytes(claim.f), toy.listing_keys().verifying.ic[1]))
    assert claim.call(world, linked_key) is False


@pytest.mark.parametrize(
    ("start", "values", "error"),
    [
        (0, [0, 0], "PointAtInfinity"),
        (6, [0, 0], "PointAtInfinity"),
        (2, [0, 0, 0, 0], "PointAtInfinity"),
        (0, [1, 3], "NotOnCurve"),
        (6, [1, 3], "NotOnCurve"),
        (0, [P + 1, 2], "CoordinateTooLarge"),
        (6, [1, P + 2], "CoordinateTooLarge"),
        *((2 + k, [P], "CoordinateTooLarge") for k in range(4)),
        (2, [1, 2, 3, 4], "PrecompileFailed"),
        (2, point_outside_the_subgroup(), "PrecompileFailed"),
    ],
)
def test_rejects_a_malformed_point_of_a_proof(
    world: World,
    plain_key: str,
    linked_key: str,
    plain: list[int],
    claim: Claim,
    start: int,
    values: list[int],
    error: str,
) -> None:
    with rejects(error):
        verify(world, plain_key, PUBLIC, plain[:start] + values + plain[start + len(values) :])
    claim.proof[start : start + len(values)] = values
    with rejects(error):
        claim.call(world, linked_key)


def test_a_proof_outside_the_subgroup_is_judged_malformed(world: World, linked_key: str, claim: Claim) -> None:
    claim.proof[2:6] = point_outside_the_subgroup()
    assert claim.judge(world, linked_key) == MALFORMED


def test_rejects_the_same_point_under_a_second_name(world: World, plain_key: str, plain: list[int]) -> None:
    """x and x + p name one point; accepting both would make two proofs out of one."""
    with rejects("CoordinateTooLarge", plain[0] + P):
        verify(world, plain_key, PUBLIC, [plain[0] + P, *plain[1:]])


@pytest.mark.parametrize("position", range(6))
def test_rejects_a_public_input_at_or_over_r(world: World, plain_key: str, plain: list[int], position: int) -> None:
    x = list(PUBLIC)
    for alias in (x[position] + R, R, 2**256 - 1):
        x[position] = alias
        with rejects("ScalarTooLarge", alias):
            verify(world, plain_key, x, plain)


@pytest.mark.parametrize("part", ["y", "sigma"])
def test_rejects_a_link_scalar_at_or_over_r(world: World, linked_key: str, claim: Claim, part: str) -> None:
    alias = getattr(claim, part) + R
    setattr(claim, part, alias)
    with rejects("ScalarTooLarge", alias):
        claim.call(world, linked_key)


@pytest.mark.parametrize(
    ("part", "value", "error"),
    [
        ("d", [0, 0], "PointAtInfinity"),
        ("d", [1, 3], "NotOnCurve"),
        ("f", [1, 3], "NotOnCurve"),
        ("q", [1, 3], "NotOnCurve"),
        ("d", [P + 1, 2], "CoordinateTooLarge"),
        ("f", [P + 1, 2], "CoordinateTooLarge"),
        ("q", [P + 1, 2], "CoordinateTooLarge"),
    ],
)
def test_rejects_a_malformed_point_of_a_link(
    world: World, linked_key: str, claim: Claim, part: str, value: list[int], error: str
) -> None:
    setattr(claim, part, value)
    with rejects(error):
        claim.call(world, linked_key)


@pytest.mark.parametrize("count", [0, 5, 7])
def test_rejects_another_number_of_public_inputs(world: World, plain_key: str, plain: list[int], count: int) -> None:
    with rejects("WrongInputCount", 6, count):
        verify(world, plain_key, [*PUBLIC, 1][:count], plain)


def test_rejects_a_key_of_the_other_kind(
    world: World, plain_key: str, linked_key: str, plain: list[int], claim: Claim
) -> None:
    with rejects("WrongKindOfKey"):
        verify(world, linked_key, [1, 2, 3, 4], plain)
    with rejects("WrongKindOfKey"):
        claim.call(world, plain_key)


def test_a_rerandomised_proof_verifies_too(world: World, plain_key: str, plain: list[int]) -> None:
    """So proof bytes name nothing, and no contract may use them as a key."""
    minus_a = [plain[0], P - plain[1]]
    minus_b = [*plain[2:4], P - plain[4], P - plain[5]]
    assert verify(world, plain_key, PUBLIC, minus_a + minus_b + plain[6:]) is True


def _answers(world: World, function: ContractFunction, most: int, step: int) -> list[object]:
    answers: list[object] = []
    for gas in range(24_000, most, step):
        try:
            answers.append(call_with_gas(world.chain, function, gas, world.stranger))
        except RpcError:
            answers.append(None)
    return answers


def test_a_starved_verifier_reverts_and_never_says_invalid(
    world: World, plain_key: str, linked_key: str, plain: list[int], claim: Claim
) -> None:
    plain_call = world.harness.functions.verify(plain_key, PUBLIC, plain)
    linked_call = world.harness.functions.verifyLinked(*claim.arguments(linked_key))
    for function, most in ((plain_call, 340_000), (linked_call, 460_000)):
        answers = _answers(world, function, most, 6_000)
        assert answers[0] is None
        assert answers[-1] is True
        assert set(answers) == {None, True}


def test_challenges_are_those_of_the_python_transcript(world: World) -> None:
    """Of a listing and of an aggregate; those of an update are checked with every round of the federation's tests."""
    pre = b"\x11" * 32
    tags = (keccak(f"fedproof/{name}/v1".encode()) for name in ("sigma", "lambda"))
    listing = (int.from_bytes(keccak(tag + pre), "big") % R for tag in tags)
    found = world.chain.call(world.harness.functions.challenges(pre))
    assert tuple(found) == (*listing, *aggregation_challenges(pre))
