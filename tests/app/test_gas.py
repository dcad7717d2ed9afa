"""An account that cannot pay for gas is told by its address, with its money and the remedy."""

from __future__ import annotations

import io
import json

import pytest

from fedproof.app.gas import explained, payable, shortage
from fedproof.app.health import Vitals
from fedproof.app.logs import open_log
from fedproof.app.running import NodeDiary
from fedproof.errors import ContractRejected, LedgerError
from fedproof.ledger import Chain

SAID = (
    "sending 0x12: Insufficient funds for gas * price + value",  # anvil
    "sending 0x12: insufficient funds for gas * price + value: balance 0, tx cost 1",  # geth and others
    "sending 0x12: Upfront cost exceeds account balance",  # Besu
    "sending 0x12: Sender b'' cannot afford txn gas 1 with account balance 0",  # the embedded chain
)


@pytest.mark.parametrize("words", SAID)
def test_the_words_of_a_node_become_ours(words: str) -> None:
    with Chain.embedded() as chain:
        poor = chain.new_account("poor", funded=False)
        found = explained(LedgerError(words), chain, poor.address)
        assert str(found) == (
            f"{poor.address} cannot pay for gas, it has 0.000000 ether: send it some, on this development chain with: "
            f"fedproof market fund {poor.address} 100"
        )


def test_other_errors_stay_as_they_are() -> None:
    with Chain.embedded() as chain:
        address = chain.new_account("poor", funded=False).address
        for error in (LedgerError("another one"), ContractRejected("ERC20InsufficientBalance")):
            assert explained(error, chain, address) is error


def test_a_transaction_that_cannot_be_paid_is_not_sent() -> None:
    with Chain.embedded() as chain:
        rich, poor = chain.new_account("rich"), chain.new_account("poor", funded=False)
        token = chain.deploy("AccessToken", 1, sender=rich)
        call = token.functions.approve(rich.address, 1)
        with pytest.raises(LedgerError, match=f"{poor.address} has 0.000000 ether for gas, and 0.*market fund"):
            payable(chain, chain.prepare(call, poor))
        assert payable(chain, chain.prepare(call, rich)).sender == rich.address
        assert shortage(chain, poor.address, 0) is None


def test_a_node_logs_and_shows_what_is_to_be_done() -> None:
    stream = io.StringIO()
    log, vitals = open_log("w-1", "info", "json", stream), Vitals("worker")
    with Chain.embedded() as chain:
        poor = chain.new_account("poor", funded=False).address
        diary = NodeDiary(log, vitals, lambda error: explained(error, chain, poor))
        diary.act_failed("bond/1", LedgerError(SAID[0]), 7)
    line = json.loads(stream.getvalue())
    assert line["event"] == "act.failed"
    assert line["fields"]["why"].startswith(f"{poor} cannot pay for gas")
    assert vitals.health()[1]["reason"] == line["fields"]["why"]
