"""HPKE: every byte of a sealed message and of its context counts (attacks 28 and 33)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.errors import SealingError
from fedproof.sealing import KeyPair, Suite, check_public_key, open_sealed, seal, sealed_length, suite_of_public_key

INFO = b"fedproof/test/v1" + bytes(36)
PAIRS = {"x25519": KeyPair.generate("x25519"), "mlkem768x25519": KeyPair.generate("mlkem768x25519")}
ONE_SENTENCE = "^the sealed message does not open with this key and context$"

both_suites = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())


@both_suites
def test_opens_what_it_sealed(pair: KeyPair) -> None:
    for plaintext in (b"", b"x", bytes(100_000)):
        sealed = seal(pair.public, plaintext, INFO)
        assert open_sealed(pair, sealed, INFO) == plaintext
        assert open_sealed(pair.private, sealed, INFO) == plaintext
        assert len(sealed) == sealed_length(pair.suite, len(plaintext))


@both_suites
def test_two_seals_of_one_message_differ(pair: KeyPair) -> None:
    assert seal(pair.public, b"message", INFO) != seal(pair.public, b"message", INFO)


@both_suites
def test_rejects_a_flip_of_every_byte_class(pair: KeyPair) -> None:
    sealed = seal(pair.public, b"message", INFO)
    body = 2 + pair.suite.encapsulation_bytes
    version, suite, encapsulated, ciphertext, tag = [0], [1], [2, body - 1], [body], [body + 7, len(sealed) - 1]
    for place in [*version, *suite, *encapsulated, *ciphertext, *tag]:
        # the top bit of an X25519 coordinate is ignored by RFC 7748, but HPKE hashes the bytes: bit 7 must count too
        for bit in (0x01, 0x80):
            damaged = bytearray(sealed)
            damaged[place] ^= bit
            with pytest.raises(SealingError, match=ONE_SENTENCE):
                open_sealed(pair, bytes(damaged), INFO)


@both_suites
def test_rejects_every_truncation_and_extension(pair: KeyPair) -> None:
    sealed = seal(pair.public, b"message", INFO)
    for length in range(len(sealed)):
        with pytest.raises(SealingError, match=ONE_SENTENCE):
            open_sealed(pair, sealed[:length], INFO)
    with pytest.raises(SealingError, match=ONE_SENTENCE):
        open_sealed(pair, sealed + b"\x00", INFO)


@both_suites
def test_rejects_another_context(pair: KeyPair) -> None:
    sealed = seal(pair.public, b"message", INFO)
    for info in (INFO[:-1], INFO + b"\x00", b"\x00" + INFO[1:], INFO[:-1] + b"\x01"):
        with pytest.raises(SealingError, match=ONE_SENTENCE):
            open_sealed(pair, sealed, info)


def test_rejects_another_recipient_of_the_same_and_of_the_other_suite() -> None:
    for name, pair in PAIRS.items():
        sealed = seal(pair.public, b"message", INFO)
        others = [KeyPair.generate(name), *(other for key, other in PAIRS.items() if key != name)]  # type: ignore[arg-type]
        for other in others:
            with pytest.raises(SealingError, match=ONE_SENTENCE):
                open_sealed(other, sealed, INFO)


@both_suites
def test_refuses_an_empty_context(pair: KeyPair) -> None:
    with pytest.raises(SealingError, match="context"):
        seal(pair.public, b"message", b"")
    with pytest.raises(SealingError, match="context"):
        open_sealed(pair, bytes(100), b"")


def test_refuses_public_keys_that_nothing_can_be_sealed_to() -> None:
    hybrid = PAIRS["mlkem768x25519"].public
    unusable = {
        "low order, zero": bytes(32),
        "low order, one": b"\x01" + bytes(31),
        "hybrid with a low-order half": hybrid[:-32] + bytes(32),
        "hybrid with an ML-KEM coefficient over q": b"\xff" * 1184 + hybrid[-32:],
        "empty": b"",
        "one byte short": hybrid[:-1],
    }
    for key in unusable.values():
        with pytest.raises(SealingError):
            check_public_key(key)
    for pair in PAIRS.values():
        check_public_key(pair.public)


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_refuses_a_second_encoding_of_a_key(suite: str) -> None:
    """What is sealed to it would not open: the holder hashes the canonical bytes."""
    key = PAIRS[suite].public
    high_bit = key[:-1] + bytes((key[-1] | 0x80,))
    small = 9  # the base point, which is below 19 and so has a second form below 2^255
    beyond_p = key[:-32] + (small + 2**255 - 19).to_bytes(32, "little")
    for second in (high_bit, beyond_p, key[:-32] + (2**255 - 19).to_bytes(32, "little")):
        with pytest.raises(SealingError, match="canonical"):
            check_public_key(second)
        with pytest.raises(SealingError, match="canonical"):
            seal(second, b"x", b"info")
    check_public_key(key[:-32] + small.to_bytes(32, "little"))


def test_a_public_keys_length_names_its_suite() -> None:
    assert suite_of_public_key(PAIRS["x25519"].public) is Suite.X25519
    assert suite_of_public_key(PAIRS["mlkem768x25519"].public) is Suite.MLKEM768_X25519


def test_refuses_what_is_not_a_private_key() -> None:
    good = PAIRS["x25519"].private
    for bad in (b"", good[:-1], good + b"\x00", b"\x02" + good[1:], b"\x01\x00" + good[2:], b"\x01\x03" + good[2:]):
        with pytest.raises(SealingError, match="private key"):
            KeyPair.from_private_bytes(bad)
    with pytest.raises(SealingError, match="unknown suite"):
        KeyPair.generate("rsa")  # type: ignore[arg-type]


def test_key_pairs_survive_their_encoding_and_hide_it() -> None:
    for pair in PAIRS.values():
        assert KeyPair.from_private_bytes(pair.private) == pair
        for text in (repr(pair), str(pair), f"{pair}"):
            assert pair.private[2:].hex() not in text
            assert repr(pair.private[2:])[2:10] not in text


def test_errors_carry_no_cause_and_no_secret() -> None:
    pair = PAIRS["x25519"]
    with pytest.raises(SealingError) as caught:
        open_sealed(pair, seal(pair.public, b"message", INFO)[:-1], INFO)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=80), prefix=st.sampled_from([b"", b"\x01\x01", b"\x01\x02"]))
def test_junk_gives_the_one_error_and_nothing_else(junk: bytes, prefix: bytes) -> None:
    for pair in PAIRS.values():
        with pytest.raises(SealingError, match=ONE_SENTENCE):
            open_sealed(pair, prefix + junk, INFO)
