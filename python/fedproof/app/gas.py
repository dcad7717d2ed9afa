"""Money for gas: told before it is missed, and in one line where a chain's node says it in words of its own."""

from __future__ import annotations

import re
from typing import Final

from fedproof.errors import ContractRejected, FedproofError, LedgerError
from fedproof.ledger import Chain
from fedproof.ledger.node import ETHER
from fedproof.ledger.transactions import SignedTransaction

_SHORT: Final = re.compile(r"insufficient\s*(funds|balance)|cannot afford|exceeds account balance", re.IGNORECASE)


def advice(chain: Chain, address: str) -> str:
    """What to do about an account without money."""
    if chain.is_development:
        return f"send it some, on this development chain with: fedproof market fund {address} 100"
    return "send it some"


def shortage(chain: Chain, address: str, least: int) -> str | None:
    """One line where an account has less than `least` wei, with both figures; None where it has enough."""
    found = chain.balance(address)
    if found >= least:
        return None
    return (
        f"{address} has {found / ETHER:.6f} ether for gas, and {least / ETHER:.6f} are wanted: {advice(chain, address)}"
    )


def explained(error: FedproofError, chain: Chain, address: str) -> FedproofError:
    """The error itself, or if it says that the account cannot pay for gas, one that names account, money and remedy."""
    if isinstance(error, ContractRejected) or not _SHORT.search(str(error)):
        return error
    try:
        has = f"{chain.balance(address) / ETHER:.6f}"
    except LedgerError:
        has = "too little"
    return LedgerError(f"{address} cannot pay for gas, it has {has} ether: {advice(chain, address)}")


def payable(chain: Chain, prepared: SignedTransaction) -> SignedTransaction:
    """A transaction that its sender can pay for; it is asked before anything is saved or sent.

    Raises:
        LedgerError: it cannot.
    """
    short = shortage(chain, prepared.sender, prepared.gas * chain.fee_per_gas() + prepared.value)
    if short is not None:
        raise LedgerError(short)
    return prepared
