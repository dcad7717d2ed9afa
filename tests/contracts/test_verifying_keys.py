"""Which keys a contract accepts: every field of the blob, damaged one at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eth_typing import ChecksumAddress

from fedproof import _core
from fedproof.ledger import Artifact
from fedproof.ledger.data_contract import data_contract_creation
from fedproof.proving.keys import VerifyingKey
from tests.contracts import toy
from tests.contracts.support import P, int_words, rejects
from tests.contracts.test_bn254 import point_outside_the_subgroup
from tests.contracts.world import World

CIRCUIT_ID, FLAGS, PUBLIC, ALPHA, BETA, DELTA, ETA, TAU, TAU_MASK, IC = 0, 1, 2, 3, 5, 9, 13, 17, 21, 25
Words = list[int]
LINKED = (4, True, True, False, True)
PLAIN = (6, False, False, False, True)


def linked_words() -> Words:
    return int_words(toy.listing_keys().verifying.encode())


def plain_words() -> Words:
    return int_words(toy.eligibility_keys().verifying.encode())


def blob(words: Words) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)


def negated(g2: Words) -> Words:
    return [*g2[:2], *((P - y) % P for y in g2[2:])]


def check(world: World, address: ChecksumAddress, expected: tuple[object, ...]) -> Words:
    words: Words = list(world.chain.call(world.harness.functions.checkKey(address, expected)))
    return words


def put(start: int, *values: int) -> Callable[[Words], Words]:
    return lambda words: words[:start] + list(values) + words[start + len(values) :]


def copy(source: int, target: int, change: Callable[[Words], Words] = list) -> Callable[[Words], Words]:
    return lambda words: put(target, *change(words[source : source + 4]))(words)


def test_accepts_the_keys_of_a_setup_and_reads_them_back_word_for_word(world: World) -> None:
    for words, expected in ((linked_words(), LINKED), (plain_words(), PLAIN)):
        address = world.deploy_blob(blob(words))
        assert check(world, address, expected) == words
        assert list(world.chain.call(world.harness.functions.loadKey(address))) == words


def test_accepts_a_key_with_mask_powers_where_masks_are_needed(world: World) -> None:
    masked = toy.listing_keys(mask_position=toy.MASK_POSITION).verifying
    address = world.deploy_key(masked)
    check(world, address, (4, True, True, True, True))
    without = world.deploy_key(toy.listing_keys().verifying)
    with rejects("WrongKeyPoint", without, TAU_MASK):
        check(world, without, (4, True, True, True, True))


G2 = int_words(_core.g2_generator())
OUTSIDE = point_outside_the_subgroup()


@pytest.mark.parametrize(
    ("change", "error", "arguments"),
    [
        (put(CIRCUIT_ID, 0), "NotAKey", ()),
        (put(FLAGS, 2 | 3 << 8), "WrongKeyFlags", ()),
        (put(FLAGS, 0 | 3 << 8), "WrongKeyFlags", ()),
        (put(FLAGS, 1 | 7 << 8), "WrongKeyFlags", ()),
        (put(FLAGS, 1 | 2 << 8), "WrongCommittedSegment", ()),
        (put(PUBLIC, 3), "WrongPublicInputs", ()),
        (put(PUBLIC, 5), "WrongPublicInputs", ()),
        (put(PUBLIC, 1 << 255), "WrongPublicInputs", ()),
        (lambda words: words[:-2], "WrongKeyLength", ()),
        (lambda words: words[:-1], "WrongKeyLength", ()),
        (lambda words: [*words, 0], "WrongKeyLength", ()),
        (put(ALPHA, 0, 0), "PointAtInfinity", ()),
        (put(ALPHA, 1, 3), "NotOnCurve", ()),
        (put(ALPHA, P + 1, 2), "CoordinateTooLarge", (P + 1,)),
        (put(IC, 0, 0), "PointAtInfinity", ()),
        (put(IC + 2, 0, 0), "PointAtInfinity", ()),
        (put(IC + 8, 0, 0), "PointAtInfinity", ()),
        (put(IC + 8, 1, 3), "NotOnCurve", ()),
        (put(IC + 8, 1, P + 2), "CoordinateTooLarge", (P + 2,)),
        (put(BETA, 0, 0, 0, 0), "WrongKeyPoint", (BETA,)),
        (put(DELTA, 0, 0, 0, 0), "WrongKeyPoint", (DELTA,)),
        (put(ETA, 0, 0, 0, 0), "WrongKeyPoint", (ETA,)),
        (put(TAU, 0, 0, 0, 0), "WrongKeyPoint", (TAU,)),
        *((put(start, *OUTSIDE), "PrecompileFailed", ()) for start in (BETA, DELTA, ETA, TAU, TAU_MASK)),
        *((put(start, 1, 2, 3, 4), "PrecompileFailed", ()) for start in (BETA, DELTA, ETA, TAU, TAU_MASK)),
        *((put(DELTA + k, P + 7), "CoordinateTooLarge", (P + 7,)) for k in range(4)),
        *((put(start, *G2), "CoincidingKeyPoints", (0, start)) for start in (BETA, DELTA, ETA, TAU, TAU_MASK)),
        *((put(start, *negated(G2)), "CoincidingKeyPoints", (0, start)) for start in (BETA, DELTA, ETA)),
        (copy(DELTA, ETA), "CoincidingKeyPoints", (DELTA, ETA)),
        (copy(DELTA, ETA, negated), "CoincidingKeyPoints", (DELTA, ETA)),
        (copy(BETA, DELTA), "CoincidingKeyPoints", (BETA, DELTA)),
        (copy(BETA, ETA), "CoincidingKeyPoints", (BETA, ETA)),
        (copy(ETA, TAU), "CoincidingKeyPoints", (ETA, TAU)),
    ],
)
def test_rejects_a_key_with_a_damaged_field(
    world: World, change: Callable[[Words], Words], error: str, arguments: tuple[int, ...]
) -> None:
    address = world.deploy_blob(blob(change(linked_words())))
    expected_arguments = (address, *arguments) if error in ("WrongKeyPoint", "CoincidingKeyPoints") else arguments
    with rejects(error, *expected_arguments):
        check(world, address, LINKED)


def test_rejects_a_key_of_more_public_inputs_than_any_statement_has(world: World) -> None:
    words = plain_words()
    words[PUBLIC] = 65
    words[IC:] = [1, 2] * 66
    address = world.deploy_blob(blob(words))
    with rejects("WrongKeyLength", address):
        check(world, address, (65, False, False, False, True))
    words[PUBLIC] = 64
    check(world, world.deploy_blob(blob(words[:-2])), (64, False, False, False, True))


def test_rejects_eta_in_a_key_without_a_committed_segment(world: World) -> None:
    words = plain_words()
    words[ETA : ETA + 4] = linked_words()[ETA : ETA + 4]
    address = world.deploy_blob(blob(words))
    with rejects("WrongKeyPoint", address, ETA):
        check(world, address, PLAIN)


def test_rejects_a_development_key_unless_they_are_allowed(world: World) -> None:
    for key, expected in ((toy.listing_keys().verifying, LINKED), (toy.eligibility_keys().verifying, PLAIN)):
        address = world.deploy_key(key)
        with rejects("DevelopmentKeyRefused", address):
            check(world, address, (*expected[:4], False))
        production = VerifyingKey(**{**key.__dict__, "development": False})
        check(world, world.deploy_key(production), (*expected[:4], False))


def test_rejects_an_address_that_holds_no_key(world: World) -> None:
    empty_account = world.chain.new_account("nobody", funded=False).address
    for address in (empty_account, world.market.token.address, world.deploy_blob(b""), world.deploy_blob(bytes(32))):
        for function in (
            world.harness.functions.checkKey(address, LINKED),
            world.harness.functions.loadKey(address),
        ):
            with rejects("NotAKey", address):
                world.chain.call(function)


def test_rejects_code_that_could_run(world: World) -> None:
    """A key whose first byte is not STOP could have been made to destroy and replace itself."""
    words = blob(plain_words())
    creation = bytearray(data_contract_creation(words))
    creation[-len(words) - 1] = 0x5B  # JUMPDEST
    raw = Artifact("Code", (), creation.hex(), "", {}, "")
    address = world.chain.deploy(raw, sender=world.owner).address
    assert world.chain.code_at(address)[1:] == words
    with rejects("NotAKey", address):
        check(world, address, PLAIN)
