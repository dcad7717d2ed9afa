"""Transactions that are sent once, whatever happens in between: signed and saved first, then sent (attack 31).

A signed transaction has its nonce inside, so that a chain takes it once however often it is sent. What must not happen
is that a restarted node signs another in its place; so the bytes are saved under a name before they leave, and a
repeated act finds them there.

Where fees rose so far that nobody mines them, the same call is signed with the same nonce and a higher fee, and saved
beside the first: of the two a chain takes one, and whichever it is counts. So it goes where a node does not take the
bytes because they would revert, as when they are too old: it may have passed them on nevertheless.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from fedproof.errors import ContractRejected, LedgerError
from fedproof.ledger import Chain, Receipt
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.sending import DoubtedError, ReplacedError
from fedproof.ledger.transactions import SignedTransaction, read_signed
from fedproof.nodes.checkpoints import checkpoint
from fedproof.nodes.state import StateFile

_MOST_OUTBID: Final = 16  # signed anew for one act; a node that says yes and no in turn fills no disk


def send_once(chain: Chain, state: StateFile, name: str, prepare: Callable[[], SignedTransaction]) -> Receipt:
    """Send the transaction saved under `name`, or else prepare, save and send one; returns its receipt.

    The saved bytes stay until `forget`, which the caller calls when what follows from the receipt is saved.

    Raises:
        ContractRejected: it reverted, or failed for a reason that cannot be read; nothing stays saved, and the act may
            be repeated with other arguments. DoubtedError: a node says that it would; the bytes stay saved.
        UnsettledError: no receipt came in time; the bytes stay saved.
    """
    saved = state.get("outbox", {}).get(name)
    if saved is not None:
        sent = read_signed(bytes.fromhex(saved))
        try:
            return _deliver(chain, state, name, sent)
        except ReplacedError:
            forget(state, name)  # another transaction took the nonce: this one can never be mined
        except DoubtedError:
            anew, before = prepare(), state.get("outbid", {}).get(name, [])
            if anew.nonce != sent.nonce or anew == sent or len(before) >= _MOST_OUTBID:
                raise
            _put_before(state, name, anew)
            return _deliver(chain, state, name, anew)
    transaction = prepare()
    state.put(outbox={**state.get("outbox", {}), name: transaction.raw.hex()})
    checkpoint(f"saved {name}")
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
    if name in state.get("outbox", {}):
        _keep(state, lambda each: each != name)


def forget_under(state: StateFile, prefix: str) -> None:
    """Drop every transaction whose name begins so."""
    if any(name.startswith(prefix) for name in state.get("outbox", {})):
        _keep(state, lambda name: not name.startswith(prefix))


def _keep(state: StateFile, wanted: Callable[[str], bool]) -> None:
    kept = {name: raw for name, raw in state.get("outbox", {}).items() if wanted(name)}
    outbid = state.get("outbid", {})
    if outbid:
        state.put(outbox=kept, outbid={name: raws for name, raws in outbid.items() if name in kept})
    else:
        state.put(outbox=kept)


def _deliver(chain: Chain, state: StateFile, name: str, transaction: SignedTransaction) -> Receipt:
    try:
        chain.broadcast(transaction)
        checkpoint(f"sent {name}")
        try:
            return chain.wait(transaction)
        except ReplacedError:
            return _outbid_receipt(chain, state, name)
    except ContractRejected:
        forget(state, name)
        raise
    except (ReplacedError, UnreachableError):
        raise
    except LedgerError:  # no receipt in time, or the node takes it no more
        _outbid(chain, state)
        raise


def _outbid_receipt(chain: Chain, state: StateFile, name: str) -> Receipt:
    """The receipt of an earlier transaction of the same nonce that was outbid, and mined nevertheless.

    Raises:
        ReplacedError: there is none.
    """
    for raw in state.get("outbid", {}).get(name, []):
        try:
            return chain.wait(read_signed(bytes.fromhex(raw)))
        except ReplacedError:
            continue
    raise ReplacedError(f"another transaction of the account took the nonce of {name}")


def _outbid(chain: Chain, state: StateFile) -> None:
    """Offer more for every saved transaction that nobody mines at the fees of now: each of them holds up all later ones
    of its account, also when its own act is not due any more."""
    for name, raw in sorted(state.get("outbox", {}).items()):
        with contextlib.suppress(LedgerError):  # what cannot be done now is done after the next failure
            better = chain.outbid(read_signed(bytes.fromhex(raw)))
            if better is None:
                continue
            _put_before(state, name, better)
            chain.broadcast(better)


def _put_before(state: StateFile, name: str, better: SignedTransaction) -> None:
    """Save a transaction of the same nonce in the place of another, which stays beside it."""
    outbox, outbid = state.get("outbox", {}), dict(state.get("outbid", {}))
    outbid[name] = [outbox[name], *outbid.get(name, [])]
    state.put(outbox={**outbox, name: better.raw.hex()}, outbid=outbid)
    checkpoint(f"outbid {name}")
