"""A wallet finds its notes, moves them in as few spends as it takes, and keeps what it should to itself."""

from __future__ import annotations

import pytest

from fedproof.errors import ContractRejected, InputError, ProofError
from fedproof.ledger.market_types import EligibilityTerms
from fedproof.nodes.holdings import OwnNote, choose, reserve
from fedproof.sealing.hpke import KeyPair
from fedproof.sealing.memo import NoteAddress
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.notes import Note, owner_of
from tests.nodes.bank import Bank, amounts, filled
from tests.support.soundness import broken_rules, forged


def test_a_deposit_is_a_locked_note_of_the_wallet(bank: Bank) -> None:
    wallet = bank.wallet("a")
    epoch = bank.market.vault.current_epoch()
    made = wallet.deposit(300, epoch + 2)
    assert (made.owner, made.depositor) == (wallet.address.owner, wallet.account.address)
    holdings = wallet.holdings()
    assert (amounts(wallet), holdings.unlocked(), len(holdings.locked(epoch))) == ([300], [], 1)
    assert bank.tokens(wallet.account.address) == 700
    bank.pass_epochs(2)
    assert [own.amount for own in wallet.holdings().unlocked()] == [300]
    assert wallet.holdings().locked(epoch) != []  # it did count in that epoch


def test_a_payment_arrives_and_the_change_stays(bank: Bank) -> None:
    payer, payee = filled(bank, "a", 300), bank.wallet("b")
    address = NoteAddress.parse(str(payee.address))
    spent = payer.pay(address, 120)
    assert (spent.withdrawn, len(spent.leaves)) == (0, 2)
    assert (amounts(payer), amounts(payee)) == ([180], [120])
    assert payee.pay(payer.address, 20).withdrawn == 0
    assert (amounts(payer), amounts(payee)) == ([180, 20], [100])
    assert bank.tokens(bank.market.vault.address) == 300


def test_a_payment_can_be_locked_and_counts_for_its_owner(bank: Bank) -> None:
    payer, payee = filled(bank, "a", 300), bank.wallet("b")
    epoch = bank.market.vault.current_epoch()
    payer.pay(payee.address, 120, epoch + 5)
    payer.pay(payee.address, 30, epoch + 6)
    holdings = payee.holdings()
    assert [own.amount for own in holdings.locked(epoch)] == [120, 30]
    assert holdings.unlocked() == []
    terms = EligibilityTerms(scope=7, threshold=150, signal=8, epoch=epoch)
    witness = payee.eligibility(terms, 4)
    assert witness.nullifier == payee.nullifier(7)
    assert broken_rules(forged(EligibilityStatement(depth=6), witness)) == set()


def test_the_richest_four_locked_notes_count_together(bank: Bank) -> None:
    wallet = bank.wallet("a")
    epoch = bank.market.vault.current_epoch()
    for amount, ahead in ((5, 3), (60, 3), (10, 3), (500, 1), (40, 3), (20, 9), (50, 3)):
        wallet.deposit(amount, epoch + ahead)
    now = bank.pass_epochs()
    witness = wallet.eligibility(EligibilityTerms(scope=7, threshold=170, signal=8, epoch=now), 4)
    assert [note.amount for note in witness.notes] == [60, 50, 40, 20]
    witness.check()
    with pytest.raises(ProofError, match="do not reach the threshold"):
        wallet.eligibility(EligibilityTerms(scope=7, threshold=171, signal=8, epoch=now), 4).check()


def test_more_than_two_notes_are_joined_on_the_way(bank: Bank) -> None:
    payer, payee = filled(bank, "a", 10, 20, 30, 40), bank.wallet("b")
    before = len(bank.market.vault.spends())
    payer.pay(payee.address, 95)
    assert len(bank.market.vault.spends()) == before + 3
    assert (amounts(payer), amounts(payee)) == ([5], [95])


def test_a_withdrawal_pays_an_account_in_public(bank: Bank) -> None:
    wallet = filled(bank, "a", 100, 50)
    recipient = bank.chain.new_account("somebody", funded=False).address
    spent = wallet.withdraw(120, recipient)
    assert (spent.withdrawn, spent.recipient) == (120, recipient)
    assert (bank.tokens(recipient), amounts(wallet)) == (120, [30])
    wallet.withdraw(30, recipient)
    assert (bank.tokens(recipient), amounts(wallet)) == (150, [])
    assert bank.tokens(bank.market.vault.address) == 0


def test_split_makes_the_notes_that_are_missing_and_a_second_time_does_nothing(bank: Bank) -> None:
    wallet = filled(bank, "a", 100)
    assert len(wallet.split([20, 20, 30])) == 3
    assert amounts(wallet) == [30, 30, 20, 20]
    assert wallet.split([20, 20, 30]) == []
    assert len(wallet.split([10, 20])) == 1
    assert amounts(wallet) == [30, 30, 20, 10, 10]
    with pytest.raises(ProofError, match="do not cover"):
        wallet.split([60, 50])
    assert len(amounts(wallet)) == 5


def test_join_makes_one_note_of_all(bank: Bank) -> None:
    wallet = filled(bank, "a", 1, 2, 3, 4, 5)
    locked = wallet.deposit(7, bank.market.vault.current_epoch() + 3)
    assert len(wallet.join()) == 4
    assert amounts(wallet) == [15, 7]
    assert wallet.join() == []
    assert locked.leaf in {own.note.leaf() for own in wallet.holdings().notes}


def test_refuses_locked_notes_in_one_line_that_says_when(bank: Bank) -> None:
    wallet = filled(bank, "a", 100)
    epoch = bank.market.vault.current_epoch()
    wallet.deposit(200, epoch + 4)
    wallet.deposit(200, epoch + 2)
    for act in (
        lambda: wallet.pay(wallet.address, 150),
        lambda: wallet.withdraw(150, bank.owner.address),
        lambda: wallet.split([150]),
    ):
        with pytest.raises(ProofError) as error:
            act()
        assert str(error.value) == (
            f"the unlocked notes do not cover the amount; 2 more are locked, the first until epoch {epoch + 2} "
            f"(this is {epoch})"
        )
    bank.pass_epochs(2)
    wallet.pay(wallet.address, 150)


@pytest.mark.parametrize("amount", [0, -1, 2**128])
def test_refuses_amounts_that_are_none(bank: Bank, amount: int) -> None:
    wallet = bank.wallet("a")
    for act in (
        lambda: wallet.deposit(amount, bank.market.vault.current_epoch() + 1),
        lambda: wallet.pay(wallet.address, amount),
        lambda: wallet.withdraw(amount, bank.owner.address),
        lambda: wallet.split([amount]),
    ):
        with pytest.raises(InputError, match="an amount must lie in"):
            act()
    with pytest.raises(ProofError, match="do not cover"):
        wallet.pay(wallet.address, 1)


@pytest.mark.parametrize("ahead", [-1, 2**20])
def test_refuses_to_pay_a_note_that_unlocks_too_early_or_too_late(bank: Bank, ahead: int) -> None:
    wallet = filled(bank, "a", 100)
    with pytest.raises(ProofError, match="new note 1 must unlock"):
        wallet.pay(wallet.address, 5, bank.market.vault.current_epoch() + ahead)
    assert amounts(wallet) == [100]


def test_a_refused_withdrawal_loses_nothing(bank: Bank) -> None:
    wallet = filled(bank, "a", 100)
    with pytest.raises(ContractRejected, match="WrongRecipient"):
        wallet.withdraw(5, bank.market.vault.address)
    assert amounts(wallet) == [100]
    assert wallet.withdraw(5, bank.owner.address).withdrawn == 5


def test_a_proof_that_is_too_late_for_its_epoch_is_made_again(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = filled(bank, "a", 100)
    call, late = wallet.vault.spend_call, [True]

    def slow(*arguments: object) -> object:
        if late.pop() if late else False:
            bank.pass_epochs()
        return call(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(wallet.vault, "spend_call", slow)
    wallet.pay(wallet.address, 60)
    assert amounts(wallet) == [60, 40]


# plans


def note_of(amount: int, index: int = 0, tree: int = 0) -> OwnNote:
    return OwnNote(Note(owner_of(1), amount, 1, index), index, tree)


@pytest.mark.parametrize(
    ("amount", "chosen"),
    [(5, [7]), (7, [7]), (8, [20]), (21, [40]), (41, [40, 20]), (61, [40, 20, 7]), (70, [40, 20, 7, 3])],
)
def test_the_least_note_that_covers_is_spent_or_else_as_few_as_can_be(
    bank: Bank, amount: int, chosen: list[int]
) -> None:
    notes = [note_of(each) for each in (40, 20, 7, 3)]
    holdings = bank.wallet("a").holdings()
    assert [own.amount for own in choose(notes, amount, holdings)] == chosen


def test_reserved_notes_are_counted_once_each() -> None:
    notes = [note_of(each, index) for index, each in enumerate((40, 20, 20, 3))]
    wanted, free = reserve([20, 20, 20, 3, 50], notes)
    assert wanted == [50, 20]
    assert [own.amount for own in free] == [40]


def test_an_address_of_the_hybrid_suite_is_paid_too(bank: Bank) -> None:
    wallet = filled(bank, "a", 100)
    hybrid = KeyPair.generate("mlkem768x25519")
    spent = wallet.pay(NoteAddress(owner_of(5), hybrid.public), 10)
    assert len(spent.memo) == 3 + 1190 + 102
    assert amounts(wallet) == [90]
