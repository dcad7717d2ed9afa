"""A wallet of notes: deposits, pays, splits, joins and withdraws, and proves what is locked (protocol, section 5).

A spend takes two notes and makes two. What needs more is done in steps, each of which moves notes of the holder to the
holder. So only the last step does what was asked for, and a plan that was interrupted is made anew from what the chain
says: a step that is done is not missed, and one that is not loses nothing. Notes of several trees of the vault are
brought together the same way, as a spend takes notes of one tree and puts what it makes into the newest.

Each transaction is saved before it is sent, under a name that says what it does. Who repeats the same call after a
crash gets the result of the transaction saved for it, if that was mined. A call that has returned is done, and another
like it does it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from web3.contract.contract import ContractFunction

from fedproof.errors import ContractRejected, InputError, ProofError, StateError
from fedproof.ledger import Account, Receipt
from fedproof.ledger.market_types import EligibilityTerms
from fedproof.ledger.marketplace import Marketplace
from fedproof.ledger.sending import ReplacedError
from fedproof.ledger.transactions import SignedTransaction
from fedproof.ledger.vault import DEPOSIT_GAS, SPEND_GAS, Deposited, Spent
from fedproof.nodes.holdings import Finder, Holdings, OwnNote, at_once, choose, next_step, reserve, richest, total
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.state import StateFile
from fedproof.proving.keys import Keys
from fedproof.proving.linked import prove_plain
from fedproof.sealing.hpke import KeyPair
from fedproof.sealing.memo import NoteAddress, NoteMessage, seal_memo
from fedproof.statements.eligibility import EligibilityWitness
from fedproof.statements.notes import AMOUNT_BITS, new_secret, nullifier_of, owner_of
from fedproof.statements.spend import Payment, SpendStatement, SpendWitness

_ACTS = "wallet/"

Output = tuple[NoteAddress, int, int]
"""Whose, base units, unlock epoch."""


class Wallet:
    """The notes of one secret.

    Args:
        market: whose vault holds them.
        spend_keys: of the spend statement.
        account: pays the gas, and the deposits. It shows on chain; see `docs/privacy.md`.
        state: keeps the secrets, and transactions under way.
        statement: the circuit of `spend_keys`.

    Raises:
        StateError: the state cannot be written, or has lost a secret.
    """

    def __init__(
        self,
        market: Marketplace,
        spend_keys: Keys,
        account: Account,
        state: StateFile,
        statement: SpendStatement | None = None,
    ) -> None:
        self.vault = market.vault
        self.account = account
        self._state = state
        self._keys = spend_keys
        self._statement = statement or SpendStatement()
        if "secret" not in state and "note_key" not in state and not _acts(state):
            state.put(secret=hex(new_secret()), note_key=KeyPair.generate().private.hex())
        for name in ("secret", "note_key"):
            if name not in state:
                # a fresh one would silently lose the notes of the one before
                raise StateError(f"{state.path} has lost the {name} of its notes; restore it, do not delete it")
        self._secret = int(state.get("secret"), 16)
        key = KeyPair.from_private_bytes(bytes.fromhex(state.get("note_key")))
        self._finder = Finder(market.vault, self._secret, key)
        self.address = NoteAddress(owner_of(self._secret), key.public)

    def __repr__(self) -> str:
        return f"Wallet({self.address!r}, account={self.account.address!r})"

    # -- what there is --

    def holdings(self) -> Holdings:
        """All notes that are not spent, as the chain has them now."""
        return self._finder.look()

    def nullifier(self, scope: int) -> int:
        """The nullifier of this holder in an eligibility scope."""
        return nullifier_of(self._secret, scope)

    def eligibility(self, terms: EligibilityTerms, slots: int) -> EligibilityWitness:
        """What an eligibility proof needs, with the richest notes of one tree that are locked beyond its epoch.

        Args:
            slots: how many notes the circuit takes.

        Raises:
            ProofError: it would take notes of several trees to reach the threshold.
        """
        holdings = self.holdings()
        locked = holdings.locked(terms.epoch)
        chosen = richest(locked, slots)
        if total(chosen) < terms.threshold <= total(locked[:slots]):
            raise ProofError(
                "the notes that reach the threshold together are in several trees of the vault, and a proof names "
                "notes of one: deposit more, or pay them to yourself when they unlock, which moves them to the newest"
            )
        return EligibilityWitness(
            secret=self._secret,
            notes=[own.note for own in chosen],
            proofs=holdings.proofs(chosen),
            root=holdings.root(chosen),
            scope=terms.scope,
            threshold=terms.threshold,
            signal=terms.signal,
            epoch=terms.epoch,
        )

    # -- what can be done --

    def deposit(self, amount: int, unlock_epoch: int) -> Deposited:
        """Lock tokens of the account in a note of this wallet until an epoch begins."""
        act = _act("deposit", amount, unlock_epoch)
        receipt = self._settle(act)
        if receipt is None:
            _check_amount(amount)
            self.vault.allow(self.account, amount)
            call = self.vault.deposit_call(amount, self.address.owner, unlock_epoch)
            receipt = self._send(act, call, DEPOSIT_GAS)
        return Deposited.of(receipt.event("Deposited"))

    def pay(self, address: NoteAddress, amount: int, unlock_epoch: int | None = None) -> Spent:
        """Make a note of somebody else, which unlocks in an epoch, by default the present one; keep the change.

        Raises:
            ProofError: the unlocked notes do not cover the amount.
        """

        def outputs(epoch: int) -> list[Output]:
            return [(address, amount, epoch if unlock_epoch is None else unlock_epoch)]

        return self._move(_act("pay", address, amount, unlock_epoch), amount, outputs)

    def withdraw(self, amount: int, recipient: str) -> Spent:
        """Pay tokens out to an account; keep the change.

        Raises:
            ProofError: the unlocked notes do not cover the amount.
        """
        return self._move(_act("withdraw", amount, recipient), amount, lambda _: [], recipient)

    def split(self, amounts: Sequence[int]) -> list[Spent]:
        """See to it that there are unlocked notes of these amounts; returns the spends that it took.

        Notes that have one of the amounts already are left alone, so that a second call does nothing.

        Raises:
            ProofError: the unlocked notes do not cover the amounts.
        """
        for amount in amounts:
            _check_amount(amount)
        self._settle(None)
        done: list[Spent] = []
        while True:
            holdings = self.holdings()
            wanted, free = reserve(amounts, holdings.unlocked())
            if not wanted:
                return done
            choose(free, sum(wanted), holdings)  # all or nothing
            chosen = choose(free, wanted[0], holdings)
            outputs = [(self.address, wanted[0], holdings.epoch)] if at_once(chosen) else []
            done += self._step(holdings, chosen, outputs)

    def join(self) -> list[Spent]:
        """Make one note of all unlocked ones, of whatever trees; returns the spends that it took."""
        self._settle(None)
        done: list[Spent] = []
        while len(notes := (holdings := self.holdings()).unlocked()) > 1:
            done += self._step(holdings, notes, [])
        return done

    def finish(self) -> None:
        """Send what was saved before a crash and never seen through."""
        self._settle(None)

    # -- inside --

    def _move(
        self, act: str, amount: int, outputs: Callable[[int], list[Output]], recipient: str | None = None
    ) -> Spent:
        """Spend so much into outputs, or to a recipient, in as many steps as it takes."""
        _check_amount(amount)
        receipt = self._settle(act)
        if receipt is not None:
            return Spent.of(receipt.event("Spent"))
        while True:
            holdings = self.holdings()
            chosen = choose(holdings.unlocked(), amount, holdings)
            if not at_once(chosen):
                self._step(holdings, chosen, [])
                continue
            withdrawn = amount if recipient else 0
            for spent in self._spend(act, holdings, chosen, outputs(holdings.epoch), withdrawn, recipient):
                return spent

    def _step(self, holdings: Holdings, chosen: Sequence[OwnNote], outputs: list[Output]) -> list[Spent]:
        """Spend what comes first of these into notes of this wallet."""
        return self._spend(_act("step"), holdings, next_step(chosen), outputs, 0, None)

    def _spend(
        self,
        act: str,
        holdings: Holdings,
        chosen: Sequence[OwnNote],
        outputs: list[Output],
        withdrawn: int,
        recipient: str | None,
    ) -> list[Spent]:
        """One spend, or none if the epoch that its proof is about was over before it was mined."""
        change = total(chosen) - sum(amount for _, amount, _ in outputs) - withdrawn
        outputs = [*outputs, (self.address, change, holdings.epoch)]
        outputs += [(self.address, 0, holdings.epoch)] * (2 - len(outputs))
        witness = SpendWitness.of(
            self._secret,
            [own.note for own in chosen],
            holdings.proofs(chosen),
            [Payment(address.owner, amount, unlock) for address, amount, unlock in outputs],
            withdrawn=withdrawn,
            root=holdings.root(chosen),
            epoch=holdings.epoch,
        )
        witness.check()  # before the new notes are hashed: it says best what is wrong with them
        messages = [
            (address.hpke_public, note.leaf(), NoteMessage(note.amount, note.unlock_epoch, note.nonce))
            for (address, _, _), note in zip(outputs, witness.made, strict=True)
        ]
        memo = seal_memo(self._finder.context, messages)
        witness = replace(witness, signal=self.vault.spend_signal(recipient, memo))
        proof, public = prove_plain(self._keys, self._statement, witness)
        call = self.vault.spend_call(public, recipient, memo, proof)
        try:
            return [Spent.of(self._send(act, call, SPEND_GAS).event("Spent"))]
        except ContractRejected:
            if self.vault.current_epoch() == holdings.epoch:
                raise
            return []

    def _send(self, act: str, call: ContractFunction, most_gas: int) -> Receipt:
        chain = self.vault.chain
        return self._once(act, lambda: chain.prepare(call, self.account, self.vault.gas(most_gas)))

    def _once(self, act: str, prepare: Callable[[], SignedTransaction]) -> Receipt:
        receipt = send_once(self.vault.chain, self._state, act, prepare)
        forget(self._state, act)
        return receipt

    def _settle(self, act: str | None) -> Receipt | None:
        """See all saved transactions through; the receipt of the one of this act, if it was mined."""

        def none_left() -> NoReturn:
            raise ReplacedError("it can never be mined")

        found = None
        for name in _acts(self._state):
            try:
                receipt = self._once(name, none_left)
            except (ContractRejected, ReplacedError):
                continue  # it did nothing and is forgotten, or what is signed next takes its nonce
            found = receipt if name == act else found
        return found


def _acts(state: StateFile) -> list[str]:
    """Names of the transactions of a wallet that are under way."""
    return sorted(name for name in state.get("outbox", {}) if name.startswith(_ACTS))


def _act(kind: str, *arguments: object) -> str:
    """The name of an act, by which its transaction is found again; it hides the arguments from who reads the state."""
    return f"{_ACTS}{kind}/" + hashlib.sha256(repr([str(each) for each in arguments]).encode()).hexdigest()[:32]


def _check_amount(amount: int) -> None:
    if not 0 < amount < 1 << AMOUNT_BITS:
        raise InputError(f"an amount must lie in [1, 2^{AMOUNT_BITS})")
