"""Answers of a chain's node that no honest node gives, each found by fuzzing."""

from __future__ import annotations

import pytest

from fedproof.errors import LedgerError
from fedproof.ledger.rpc import parse_quantity
from fedproof.ledger.transactions import encode_signed

SENT = {
    "type": "0x2", "chainId": "0x1", "nonce": "0x0", "maxPriorityFeePerGas": "0x1", "maxFeePerGas": "0x2",
    "gas": "0x5208", "to": "0x" + "11" * 20, "value": "0x0", "input": "0x", "accessList": [], "v": "0x0",
    "r": "0x1", "s": "0x1",
}  # fmt: skip


@pytest.mark.parametrize("value", ["0x-1", "0x+1", "0x 1", "0x1 ", "0x1_0", "0x", "1", "0x" + "1" * 65, "0x١", 1, None])
def test_a_number_with_a_sign_a_space_or_an_underscore_is_none(value: object) -> None:
    with pytest.raises(LedgerError):
        parse_quantity(value, "a block number")


def test_numbers_of_a_node_are_read_in_either_case() -> None:
    assert [parse_quantity(text, "it") for text in ("0x0", "0xAf", "0x" + "f" * 64)] == [0, 0xAF, 2**256 - 1]


@pytest.mark.parametrize("field", ["nonce", "gas", "value", "r"])
def test_a_transaction_with_a_negative_number_has_no_bytes(field: str) -> None:
    assert encode_signed(SENT)
    assert encode_signed(SENT | {field: "-0x1"}) == b""
