"""A wallet that is killed at any point, and then asked for the same again, neither loses nor doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fedproof.ledger.sending import UnsettledError
from fedproof.nodes import outbox
from fedproof.nodes import wallet as wallet_module
from fedproof.nodes.wallet import Wallet
from tests.nodes.bank import Bank, amounts, filled

RECIPIENT = "0x00000000000000000000000000000000000000AA"


class Killed(BaseException):
    """The process is gone."""


def kill(patch: pytest.MonkeyPatch, bank: Bank, wallet: Wallet, point: str, at: int) -> None:
    """Kill the process at its `at`-th transaction: before or after it is saved, sent, mined."""
    place: dict[str, tuple[Any, str]] = {
        "before saving": (wallet._state, "put"),
        "after saving": (bank.chain, "broadcast"),
        "after sending": (bank.chain, "wait"),
        "after mining": (wallet_module, "forget"),
    }
    holder, name = place[point]
    honest: Callable[..., Any] = getattr(holder, name)
    seen = [0]

    def dying(*arguments: Any, **named: Any) -> Any:
        if point != "before saving" or named.get("outbox"):
            seen[0] += 1
            if seen[0] > at:
                raise Killed
        return honest(*arguments, **named)

    patch.setattr(holder, name, dying)


POINTS = ["before saving", "after saving", "after sending", "after mining"]


def killed_and_repeated(
    bank: Bank, wallet: Wallet, patch: pytest.MonkeyPatch, point: str, at: int, act: Callable[[Wallet], object]
) -> Wallet:
    with patch.context() as within:
        kill(within, bank, wallet, point, at)
        with pytest.raises(Killed):
            act(wallet)
    again = bank.reopen(wallet)
    act(again)
    return again


@pytest.mark.parametrize("point", POINTS)
def test_a_deposit_is_made_once(bank: Bank, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wallet = bank.wallet("a", 1000)
    bank.market.vault.allow(wallet.account, 1000)
    unlock = bank.market.vault.current_epoch() + 1
    wallet = killed_and_repeated(bank, wallet, monkeypatch, point, 0, lambda each: each.deposit(300, unlock))
    assert (amounts(wallet), bank.tokens(wallet.account.address)) == ([300], 700)
    wallet.deposit(300, unlock)  # a call that returned is done: this is another
    assert (amounts(wallet), bank.tokens(wallet.account.address)) == ([300, 300], 400)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("point", POINTS)
def test_a_payment_of_two_steps_is_made_once(bank: Bank, monkeypatch: pytest.MonkeyPatch, point: str, at: int) -> None:
    payer, payee = filled(bank, "a", 10, 20, 30), bank.wallet("b")
    payer = killed_and_repeated(bank, payer, monkeypatch, point, at, lambda each: each.pay(payee.address, 55))
    assert (amounts(payer), amounts(payee)) == ([5], [55])
    assert payer._state.get("outbox") == {}


@pytest.mark.parametrize("point", POINTS)
def test_a_withdrawal_is_made_once(bank: Bank, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wallet = filled(bank, "a", 100)
    wallet = killed_and_repeated(bank, wallet, monkeypatch, point, 0, lambda each: each.withdraw(30, RECIPIENT))
    assert (amounts(wallet), bank.tokens(RECIPIENT)) == ([70], 30)


@pytest.mark.parametrize("point", POINTS)
def test_a_split_and_a_join_go_on_where_they_were(bank: Bank, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wallet = filled(bank, "a", 100)
    wallet = killed_and_repeated(bank, wallet, monkeypatch, point, 1, lambda each: each.split([20, 30]))
    assert amounts(wallet) == [50, 30, 20]
    wallet = killed_and_repeated(bank, wallet, monkeypatch, point, 1, lambda each: each.join())
    assert amounts(wallet) == [100]


@pytest.mark.parametrize("point", ["after saving", "after sending"])
def test_another_act_comes_after_the_one_that_was_interrupted(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    payer, payee = filled(bank, "a", 100), bank.wallet("b")
    with monkeypatch.context() as within:
        kill(within, bank, payer, point, 0)
        with pytest.raises(Killed):
            payer.pay(payee.address, 30)
    again = bank.reopen(payer)
    again.pay(payee.address, 40)
    assert (amounts(again), amounts(payee)) == ([30], [40, 30])


def test_finish_sees_through_what_was_interrupted(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    payer, payee = filled(bank, "a", 100), bank.wallet("b")
    with monkeypatch.context() as within:
        kill(within, bank, payer, "after saving", 0)
        with pytest.raises(Killed):
            payer.pay(payee.address, 30)
    assert amounts(payee) == []
    bank.reopen(payer).finish()
    assert amounts(payee) == [30]


def test_a_payment_whose_epoch_passed_while_the_process_was_down_is_proven_anew(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee = filled(bank, "a", 100), bank.wallet("b")
    with monkeypatch.context() as within:
        kill(within, bank, payer, "after saving", 0)
        with pytest.raises(Killed):
            payer.pay(payee.address, 30)
    bank.pass_epochs()
    again = bank.reopen(payer)
    again.pay(payee.address, 30)
    assert (amounts(again), amounts(payee)) == ([70], [30])


def test_a_payment_whose_nonce_another_transaction_took_is_made_anew(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee = filled(bank, "a", 100), bank.wallet("b")
    with monkeypatch.context() as within:
        kill(within, bank, payer, "after saving", 0)
        with pytest.raises(Killed):
            payer.pay(payee.address, 30)
    bank.chain.transfer(payer.account, RECIPIENT, 1)
    again = bank.reopen(payer)
    again.pay(payee.address, 30)
    assert (amounts(again), amounts(payee)) == ([70], [30])


def test_a_transaction_whose_fate_is_unknown_is_not_followed_by_another(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee = filled(bank, "a", 100), bank.wallet("b")
    prepared = []
    prepare = bank.chain.prepare

    def counting(*arguments: Any) -> Any:
        prepared.append(prepare(*arguments))
        return prepared[-1]

    def unsettled(transaction: Any) -> Any:
        raise UnsettledError(transaction, 1)

    monkeypatch.setattr(bank.chain, "prepare", counting)
    with monkeypatch.context() as within:
        within.setattr(bank.chain, "wait", unsettled)
        for _ in range(3):
            with pytest.raises(UnsettledError):
                payer.pay(payee.address, 30)
    assert payer.pay(payee.address, 30).tx_hash == prepared[0].tx_hash
    assert len(prepared) == 1
    assert (amounts(payer), amounts(payee)) == ([70], [30])
    assert outbox.send_once is wallet_module.send_once
