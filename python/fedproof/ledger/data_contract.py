"""Contracts that are data: runtime code `0x00 || words`, read with EXTCODECOPY, and unchangeable."""

from __future__ import annotations

from fedproof.errors import InputError

CODE_SIZE_LIMIT = 24_576  # EIP-170
_WORD = 32


def data_contract_creation(words: bytes) -> bytes:
    """Creation code of a data contract. Its first byte, STOP, makes a call to it do nothing.

    Raises:
        InputError: not whole 32-byte words, or too many for one contract.
    """
    if len(words) % _WORD:
        raise InputError(f"a data contract takes whole 32-byte words: got {len(words)} bytes")
    runtime = b"\x00" + words
    if len(runtime) > CODE_SIZE_LIMIT:
        raise InputError(
            f"a data contract holds at most {CODE_SIZE_LIMIT // _WORD - 1} words: got {len(words) // _WORD}"
        )
    # PUSH2 size, DUP1, PUSH1 10 (length of this prefix), PUSH0, CODECOPY, PUSH0, RETURN
    return b"\x61" + len(runtime).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + runtime


def data_contract_words(code: bytes) -> bytes:
    """The words of a data contract's runtime code.

    Raises:
        InputError: the code is not a data contract's.
    """
    if len(code) % _WORD != 1 or code[0] != 0:
        raise InputError("the code at this address is not a data contract: it must be a zero byte and 32-byte words")
    return code[1:]
