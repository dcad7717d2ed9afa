"""Memos open for the owner of the very note, say nothing to others, and note addresses survive being copied."""

from __future__ import annotations

import contextlib
from itertools import product
from typing import Literal

import pytest

from fedproof import _core
from fedproof.errors import InputError, SealingError
from fedproof.sealing.hpke import KeyPair, seal
from fedproof.sealing.memo import MemoContext, NoteAddress, NoteMessage, open_memo, seal_memo, split_memo

R = _core.MODULUS
CONTEXT = MemoContext(31_337, bytes(range(20)))
PAYEE, PAYER = KeyPair.generate(), KeyPair.generate()
PAID, CHANGE = NoteMessage(2**128 - 1, 2**32 - 1, R - 1), NoteMessage(0, 0, 0)
LEAVES = (111, R - 1)


def memo(first: KeyPair = PAYEE, second: KeyPair = PAYER, context: MemoContext = CONTEXT) -> bytes:
    return seal_memo(context, [(first.public, LEAVES[0], PAID), (second.public, LEAVES[1], CHANGE)])


def test_each_owner_opens_its_message_and_no_other() -> None:
    sealed = memo()
    assert open_memo(PAYEE, sealed, 0, LEAVES[0], CONTEXT) == PAID
    assert open_memo(PAYER, sealed, 1, LEAVES[1], CONTEXT) == CHANGE
    for who, place in ((PAYEE, 1), (PAYER, 0)):
        for leaf in LEAVES:
            with pytest.raises(SealingError, match="does not open"):
                open_memo(who, sealed, place, leaf, CONTEXT)


@pytest.mark.parametrize("context", [MemoContext(1, CONTEXT.vault), MemoContext(31_337, bytes(20))])
def test_a_memo_does_not_open_elsewhere(context: MemoContext) -> None:
    with pytest.raises(SealingError, match="does not open"):
        open_memo(PAYEE, memo(), 0, LEAVES[0], context)
    with pytest.raises(SealingError, match="does not open"):
        open_memo(PAYEE, memo(), 0, LEAVES[0] + 1, CONTEXT)


def test_messages_cannot_change_places() -> None:
    first, second = split_memo(memo(PAYEE, PAYEE))
    swapped = b"\x01" + len(second).to_bytes(2, "big") + second + first
    for place in (0, 1):
        with pytest.raises(SealingError):
            open_memo(PAYEE, swapped, place, LEAVES[place], CONTEXT)


Kind = Literal["x25519", "mlkem768x25519"]


@pytest.mark.parametrize(("first", "second"), list(product(("x25519", "mlkem768x25519"), repeat=2)))
def test_a_memo_of_either_suite_fits_into_the_vault_and_shows_its_suites_alone(first: Kind, second: Kind) -> None:
    keys = KeyPair.generate(first), KeyPair.generate(second)
    sealed = memo(*keys)
    assert len(sealed) <= 4096
    length = {"x25519": 102, "mlkem768x25519": 1190}
    assert [len(part) for part in split_memo(sealed)] == [length[first], length[second]]
    for place, (key, message) in enumerate(zip(keys, (PAID, CHANGE), strict=True)):
        assert open_memo(key, sealed, place, LEAVES[place], CONTEXT) == message


def test_an_empty_note_looks_like_a_rich_one() -> None:
    assert len(memo(PAYEE, PAYER)) == len(memo(PAYER, PAYER)) == 207
    first, second = split_memo(memo())
    assert (first[:2], len(first)) == (second[:2], len(second))
    assert memo() != memo()


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 40, 70, 104, -1])
def test_refuses_a_memo_with_one_byte_changed(at: int) -> None:
    damaged = bytearray(memo(PAYEE, PAYEE))
    damaged[at] ^= 1
    opened = 0
    for place in (0, 1):
        with contextlib.suppress(SealingError):
            open_memo(PAYEE, bytes(damaged), place, LEAVES[place], CONTEXT)
            opened += 1
    assert opened < 2


@pytest.mark.parametrize(
    "data", [b"", b"\x01", b"\x01\x00\x00", b"\x01\xff\xff" + bytes(204), bytes(207), b"\x02" * 207]
)
def test_refuses_what_is_no_memo(data: bytes) -> None:
    for damaged in (data, memo()[:-1], memo() + b"\0"):
        with pytest.raises(SealingError, match="not a version 1 memo"):
            split_memo(damaged)


def test_refuses_a_message_that_is_no_note() -> None:
    for plain in (b"", bytes(51), bytes(53), bytes(20) + R.to_bytes(32, "big")):
        with pytest.raises(SealingError, match="does not hold a note"):
            NoteMessage.decode(plain)
    beyond = bytes(20) + R.to_bytes(32, "big")
    sealed = seal(PAYEE.public, beyond, CONTEXT.info(5))
    forged = b"\x01" + len(sealed).to_bytes(2, "big") + sealed * 2
    with pytest.raises(SealingError, match="does not hold a note"):
        open_memo(PAYEE, forged, 0, 5, CONTEXT)


@pytest.mark.parametrize("message", [NoteMessage(2**128, 0, 0), NoteMessage(-1, 0, 0), NoteMessage(0, 2**32, 0)])
def test_refuses_to_seal_what_does_not_fit(message: NoteMessage) -> None:
    with pytest.raises(SealingError, match="out of its range"):
        message.encode()


def test_refuses_a_context_that_is_none() -> None:
    for context, leaf in ((MemoContext(-1, bytes(20)), 1), (MemoContext(1, bytes(19)), 1), (CONTEXT, R), (CONTEXT, -1)):
        with pytest.raises(SealingError):
            context.info(leaf)
    with pytest.raises(SealingError, match="two notes"):
        seal_memo(CONTEXT, [(PAYEE.public, 1, PAID)])


def test_a_message_does_not_show_what_it_holds() -> None:
    shown = repr(NoteMessage(123456, 7, 987654321))
    assert "123456" not in shown
    assert "987654321" not in shown


# addresses


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_a_second_encoding_of_a_key_makes_no_address(suite: Kind) -> None:
    """No memo that is sealed to it would ever open, and its payee would not see the note."""
    key = KeyPair.generate(suite).public
    with pytest.raises(InputError, match="canonical"):
        NoteAddress(1, key[:-1] + bytes((key[-1] | 0x80,)))


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
@pytest.mark.parametrize("owner", [1, R - 1])
def test_an_address_survives_being_written_down(suite: Kind, owner: int) -> None:
    address = NoteAddress(owner, KeyPair.generate(suite).public)
    text = str(address)
    assert NoteAddress.parse(f"  {text}\n") == address
    assert text.isalnum()
    assert text == text.lower()
    assert len(text) == (118 if suite == "x25519" else 2012)


def test_every_single_wrong_letter_is_noticed() -> None:
    text = str(NoteAddress(12345, PAYEE.public))
    for at in range(len(text)):
        for letter in ("a", "b", "7", "8", "A", " "):
            if text[at] != letter:
                with pytest.raises(InputError):
                    NoteAddress.parse(text[:at] + letter + text[at + 1 :])


@pytest.mark.parametrize("cut", [1, 2, 8, 100])
def test_refuses_an_address_cut_off_or_run_on(cut: int) -> None:
    text = str(NoteAddress(12345, PAYEE.public))
    for wrong in (text[:-cut], text + text[-cut:], text[:7] + text[7 + cut :]):
        with pytest.raises(InputError, match="note address"):
            NoteAddress.parse(wrong)


def test_refuses_another_version_owner_or_key() -> None:
    for owner in (0, R, -1):
        with pytest.raises(InputError, match="owner"):
            NoteAddress(owner, PAYEE.public)
    for key in (b"", bytes(31), bytes(32), bytes(1216)):
        with pytest.raises(InputError, match="key of a note address"):
            NoteAddress(1, key)
    for wrong in ("", "fpnote1", "0x" + "00" * 20, "fpnote2aaaa"):
        with pytest.raises(InputError, match="note address"):
            NoteAddress.parse(wrong)
