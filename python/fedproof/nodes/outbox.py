"""Transactions that are sent once, whatever happens in between: signed and saved first, then sent (attack 31).

A signed transaction has its nonce inside, so that a chain takes it once however often it is sent. What must not happen
is that a restarted node signs another in its place; so the bytes are saved under a name before they leave, and a
repeated act finds them there.
"""

from __future__ import annotations

from collections.abc import Callable

from fedproof.errors import ContractRejected
from fedproof.ledger import Chain, Receipt
from fedproof.ledger.sending import ReplacedError
from fedproof.ledger.transactions import SignedTransaction, read_signed
from fedproof.nodes.state import StateFile


def send_once(chain: Chain, state: StateFile, name: str, prepare: Callable[[], SignedTransaction]) -> Receipt:
    """Send the transaction saved under `name`, or else prepare, save and send one; returns its receipt.

    The saved bytes stay until `forget`, which the caller calls when what follows from the receipt is saved.

    Raises:
        ContractRejected: it reverted; nothing stays saved, and the act may be repeated with other arguments.
        UnsettledError: no receipt came in time; the bytes stay saved.
    """
    saved = state.get("outbox", {}).get(name)
    if saved is not None:
        try:
            return _deliver(chain, state, name, read_signed(bytes.fromhex(saved)))
        except ReplacedError:
            forget(state, name)  # another transaction took the nonce: this one can never be mined
    transaction = prepare()
    state.put(outbox={**state.get("outbox", {}), name: transaction.raw.hex()})
    return _deliver(chain, state, name, transaction)


def settle_saved(chain: Chain, state: StateFile, prefix: str) -> list[tuple[str, Receipt]]:
    """Follow to their end the transactions saved under names with this prefix, as an interrupted call left them.

    Returns the names and receipts of those that were mined; they stay saved until `forget`. What was refused, or can
    never be mined, is dropped.
    """
    out = []
    for name, saved in sorted(state.get("outbox", {}).items()):
        if not name.startswith(prefix):
            continue
        try:
            out.append((name, _deliver(chain, state, name, read_signed(bytes.fromhex(saved)))))
        except ReplacedError:
            forget(state, name)
        except ContractRejected:
            continue  # forgotten already
    return out


def forget(state: StateFile, name: str) -> None:
    """Drop the transaction saved under a name."""
    outbox = dict(state.get("outbox", {}))
    if outbox.pop(name, None) is not None:
        state.put(outbox=outbox)


def _deliver(chain: Chain, state: StateFile, name: str, transaction: SignedTransaction) -> Receipt:
    try:
        chain.broadcast(transaction)
        return chain.wait(transaction)
    except ContractRejected:
        forget(state, name)
        raise
