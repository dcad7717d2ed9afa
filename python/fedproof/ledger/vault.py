"""The note vault as one typed object: deposits, spends, and the trees that both grow (protocol, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_typing import ChecksumAddress
from web3.contract import Contract
from web3.contract.contract import ContractFunction

from fedproof.errors import LedgerError
from fedproof.ledger.accounts import Account
from fedproof.ledger.chain import Chain
from fedproof.ledger.events import Event
from fedproof.ledger.market_types import words
from fedproof.proving.transcript import spend_signal
from fedproof.statements.notes import TREE_CAPACITY, Forest

_NOBODY = "0x" + "0" * 40
DEPOSIT_GAS = 1_200_000
"""More than a deposit takes at the greatest depth."""
SPEND_GAS = 2_000_000
"""More than a spend takes at the greatest depth."""


@dataclass(frozen=True)
class Deposited:
    """A note was locked. Its nonce is its leaf index, which counts through all trees; `root` is that of its tree."""

    leaf_index: int
    owner: int
    depositor: ChecksumAddress
    amount: int
    unlock_epoch: int
    leaf: int
    root: int
    tx_hash: str
    block_number: int

    @property
    def leaves(self) -> tuple[int, ...]:
        """What it adds to the tree."""
        return (self.leaf,)

    @classmethod
    def of(cls, event: Event) -> Deposited:
        """The event, typed."""
        a = event.args
        return cls(
            leaf_index=a["leafIndex"],
            owner=a["owner"],
            depositor=a["depositor"],
            amount=a["amount"],
            unlock_epoch=a["unlockEpoch"],
            leaf=a["leaf"],
            root=a["root"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class Spent:
    """Two notes were spent and two made, at `leaf_index` and behind it. Any of the four may have been empty.

    `root` is that of the tree of the new notes.
    """

    leaf_index: int
    nullifiers: tuple[int, int]
    leaves: tuple[int, ...]
    root: int
    withdrawn: int
    recipient: ChecksumAddress
    memo: bytes = field(repr=False)
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Spent:
        """The event, typed."""
        a = event.args
        return cls(
            leaf_index=a["leafIndex"],
            nullifiers=(a["nullifier1"], a["nullifier2"]),
            leaves=tuple(a["leaves"]),
            root=a["root"],
            withdrawn=a["withdrawn"],
            recipient=a["recipient"],
            memo=a["memo"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


class Vault:
    """A deployed vault with its token."""

    tree_capacity = TREE_CAPACITY
    """Leaves of a full tree."""

    def __init__(self, chain: Chain, token: Contract, contract: Contract) -> None:
        self.chain = chain
        self.token = token
        self.contract = contract

    @property
    def address(self) -> ChecksumAddress:
        """Where it is."""
        return self.contract.address

    def current_epoch(self) -> int:
        """The vault's epoch at the latest block."""
        return int(self.chain.call(self.contract.functions.currentEpoch()))

    def epoch_length(self) -> int:
        """Seconds in an epoch."""
        return int(self.chain.call(self.contract.functions.epochLength()))

    def deposit_call(self, amount: int, owner: int, unlock_epoch: int) -> ContractFunction:
        """Locks `amount` base units in a note of `owner` (Poseidon of a secret) until `unlock_epoch` begins."""
        return self.contract.functions.deposit(amount, owner, unlock_epoch)

    def deposit(self, sender: Account, amount: int, owner: int, unlock_epoch: int) -> Deposited:
        """Allows the vault to take `amount` where needed, and locks it."""
        self.allow(sender, amount)
        call = self.deposit_call(amount, owner, unlock_epoch)
        receipt = self.chain.transact(call, sender, self.gas(DEPOSIT_GAS))
        return Deposited.of(receipt.event("Deposited"))

    def gas(self, most: int) -> int | None:
        """The gas to send with, or None to estimate it.

        Estimating runs the hashes three times over, which takes the embedded chain seconds.
        """
        return most if self.chain.is_development else None

    def allow(self, sender: Account, amount: int) -> None:
        """Allows the vault to take `amount` from the sender, where it may not already."""
        allowed = self.chain.call(self.token.functions.allowance(sender.address, self.address))
        if allowed < amount:
            self.chain.transact(self.token.functions.approve(self.address, amount), sender)

    def spend_signal(self, recipient: str | None, memo: bytes) -> int:
        """What a spend proof says beside its notes: who gets a withdrawal, and the memo."""
        return spend_signal(chain_id=self.chain.chain_id, vault=self.address, recipient=recipient or _NOBODY, memo=memo)

    def spend_call(self, public: Sequence[int], recipient: str | None, memo: bytes, proof: bytes) -> ContractFunction:
        """Spends two notes; `public` are the public inputs of the proof, in their order."""
        root, first, second, leaf1, leaf2, withdrawn = public[:6]
        return self.contract.functions.spend(
            root, [first, second], [leaf1, leaf2], withdrawn, recipient or _NOBODY, memo, words(proof, 8, "a proof")
        )

    def spend(self, sender: Account, public: Sequence[int], recipient: str | None, memo: bytes, proof: bytes) -> Spent:
        """Spends two notes; anybody may send it."""
        call = self.spend_call(public, recipient, memo, proof)
        receipt = self.chain.transact(call, sender, self.gas(SPEND_GAS))
        return Spent.of(receipt.event("Spent"))

    def is_spent(self, nullifier: int) -> bool:
        """Whether the note of this nullifier is spent."""
        return bool(self.chain.call(self.contract.functions.isSpent(nullifier)))

    def size(self) -> int:
        """Number of notes in all trees."""
        return int(self.chain.call(self.contract.functions.size()))

    def deposits(self, from_block: int = 0, to_block: int | None = None) -> list[Deposited]:
        """All deposits in order."""
        found = [Deposited.of(event) for event in self.chain.events(self.contract, "Deposited", from_block, to_block)]
        return sorted(found, key=lambda each: each.leaf_index)

    def spends(self, from_block: int = 0, to_block: int | None = None) -> list[Spent]:
        """All spends in order."""
        found = [Spent.of(event) for event in self.chain.events(self.contract, "Spent", from_block, to_block)]
        return sorted(found, key=lambda each: each.leaf_index)

    def growth(self) -> list[Deposited | Spent]:
        """Deposits and spends in the order in which they grew the trees.

        Raises:
            LedgerError: the node leaves out events, so that the trees cannot be rebuilt.
        """
        last = self.chain.block_number()  # one block for all, or what comes between two questions looks like a gap
        found: list[Deposited | Spent] = [*self.deposits(0, last), *self.spends(0, last)]
        found.sort(key=lambda each: each.leaf_index)
        expected = 0
        for each in found:
            if each.leaf_index != expected:
                break
            expected += len(each.leaves)
        else:
            if expected >= int(self.chain.call(self.contract.functions.size(), block=last)):
                return found
        raise LedgerError("the node left out deposits or spends: ask one that keeps all logs")

    def leaves(self) -> list[int]:
        """The leaves of all trees in order; see `growth` for the error."""
        return [leaf for each in self.growth() for leaf in each.leaves]

    def forest(self, growth: Sequence[Deposited | Spent] | None = None) -> Forest:
        """The trees of all deposits and spends, or of those given; see `growth` for the error."""
        return Forest((each.leaves for each in (self.growth() if growth is None else growth)), self.tree_capacity)
