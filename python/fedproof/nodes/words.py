"""What a node has to say to the committee's contract: all that one look found, in one transaction.

A node waits for each of its transactions, so that one a block is all that it sends, and the windows of the committee
are short: whoever could be kept busy with many words would be late for some.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from web3.contract.contract import ContractFunction

from fedproof._core import keccak256
from fedproof.errors import ContractRejected
from fedproof.ledger import Account, SignedTransaction
from fedproof.ledger.committee import Committee
from fedproof.ledger.sending import DoubtedError
from fedproof.nodes.outbox import send_once, settle_saved
from fedproof.nodes.state import StateFile

MOST_WORDS: Final = 32
"""In one transaction: so many complaints, each of them the deciding one, stay below the cap of EIP-7825."""


@dataclass(frozen=True)
class Word:
    """One call of the committee's contract.

    Attributes:
        key: what it says; what is said another time has another key.
        publish: done when the chain would take the word, before it is sent.
    """

    key: str
    call: ContractFunction
    publish: Callable[[], object] | None = None


def say(
    committee: Committee, account: Account, state: StateFile, prefix: str, words: Sequence[Word], threshold: int = 0
) -> list[Word]:
    """Send, in one transaction, all those words that the chain would take now; returns them.

    The transactions are saved under names that begin with `prefix`, and followed to their end at the next call. When
    nothing under it is due any more, the caller forgets them.

    Args:
        threshold: t of the task, for complaints; see `Committee.prepare`.

    Raises:
        ContractRejected, UnsettledError: as `send_once`.
    """
    chain = committee.chain
    with contextlib.suppress(DoubtedError):  # what is too late does not hold up what is due: its nonce is taken then
        settle_saved(chain, state, prefix)
    chosen = choose(committee, account, words)
    if not chosen:
        return []
    name = prefix + keccak256("\n".join(each.key for each in chosen).encode()).hex()[:16]

    def prepare() -> SignedTransaction:
        transaction = committee.prepare([each.call for each in chosen], account, threshold)
        for each in chosen:
            if each.publish is not None:
                each.publish()
        return transaction

    send_once(chain, state, name, prepare)
    return chosen


def choose(committee: Committee, account: Account, words: Sequence[Word]) -> list[Word]:
    """The words that would pass in one transaction: none that the chain refuses by itself, and, where some exclude one
    another, a first part of the rest."""
    chosen = [each for each in words if _passes(committee, account, [each])][:MOST_WORDS]
    while len(chosen) > 1 and not _passes(committee, account, chosen):
        chosen = chosen[: len(chosen) // 2]
    return chosen


def _passes(committee: Committee, account: Account, words: Sequence[Word]) -> bool:
    try:
        committee.chain.call(committee.many_call([each.call for each in words]), sender=account)
    except ContractRejected:
        return False
    return True
