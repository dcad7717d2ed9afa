"""Strangers on one vault find nothing, and their lies and damaged memos change nothing. Secrets stay inside."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from fedproof.errors import FedproofError, StateError
from fedproof.nodes.wallet import Wallet
from fedproof.proving.linked import prove_plain
from fedproof.sealing.memo import NoteMessage, seal_memo
from fedproof.statements.notes import nullifier_of
from fedproof.statements.spend import Payment, SpendWitness
from tests.nodes.bank import Bank, amounts, filled


def test_nobody_finds_the_notes_of_another(bank: Bank) -> None:
    payer, payee = filled(bank, "a", 300), bank.wallet("b")
    payer.pay(payee.address, 120)
    stranger = bank.wallet("c")
    assert amounts(stranger) == []
    stranger._finder._owner = payee.address.owner  # it knows who is paid, but has not the key of the memo
    stranger._finder._tried.clear()
    assert amounts(stranger) == []


def make(bank: Bank, wallet: Wallet, message: NoteMessage, owner: int, key: bytes) -> None:
    """Pay a note of 1 with any memo at all."""
    holdings = wallet.holdings()
    own = holdings.unlocked()[-1:]
    witness = SpendWitness.of(
        wallet._secret,
        [each.note for each in own],
        holdings.proofs(own),
        [Payment(owner, 1, holdings.epoch)],
        withdrawn=own[0].amount - 1,
        root=holdings.root(own),
        epoch=holdings.epoch,
    )
    leaves = [note.leaf() for note in witness.made]
    honest = NoteMessage(1, holdings.epoch, witness.made[0].nonce)
    chosen = message if message.nonce else NoteMessage(message.amount, message.unlock_epoch, honest.nonce)
    memo = seal_memo(wallet._finder.context, [(key, leaf, chosen) for leaf in leaves])
    send(bank, wallet, witness, memo)


def send(bank: Bank, wallet: Wallet, witness: SpendWitness, memo: bytes) -> None:
    to = bank.owner.address
    witness = replace(witness, signal=bank.market.vault.spend_signal(to, memo))
    proof, public = prove_plain(bank.keys, wallet._statement, witness)
    bank.market.vault.spend(wallet.account, public, to, memo, proof)


@pytest.mark.parametrize("lie", ["amount", "epoch", "nonce", "owner"])
def test_a_lying_memo_makes_nobody_rich(bank: Bank, lie: str) -> None:
    liar, victim = filled(bank, "a", 50), bank.wallet("b")
    epoch = bank.market.vault.current_epoch()
    message = NoteMessage(10**20 if lie == "amount" else 1, epoch + (lie == "epoch"), 5 if lie == "nonce" else 0)
    owner = liar.address.owner if lie == "owner" else victim.address.owner
    make(bank, liar, message, owner, victim.address.hpke_public)
    assert amounts(victim) == []


@pytest.mark.parametrize("memo", [b"", b"\x01", b"\xff" * 300, bytes(207)])
def test_a_memo_that_is_none_stops_nobody(bank: Bank, memo: bytes) -> None:
    vandal, payee = filled(bank, "a", 50, 60), bank.wallet("b")
    holdings = vandal.holdings()
    own = holdings.unlocked()[-1:]
    witness = SpendWitness.of(
        vandal._secret,
        [each.note for each in own],
        holdings.proofs(own),
        [],
        withdrawn=own[0].amount,
        root=holdings.root(own),
        epoch=holdings.epoch,
    )
    send(bank, vandal, witness, memo)
    vandal.pay(payee.address, 25)
    assert (amounts(vandal), amounts(payee)) == ([35], [25])


# secrets


def test_no_secret_shows_in_representations_logs_errors_or_outside_the_state(
    bank: Bank, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    have, paid = 987654321, 123456789
    wallet, payee = filled(bank, "a", have), bank.wallet("b")
    wallet.pay(payee.address, paid, bank.market.vault.current_epoch() + 1)
    shown = [repr(wallet), str(wallet), repr(wallet.holdings()), repr(wallet.address), repr(wallet._finder)]
    for act in (lambda: wallet.pay(payee.address, 10**12), lambda: payee.withdraw(paid, bank.owner.address)):
        with pytest.raises(FedproofError) as error:
            act()
        shown.append(str(error.value))
    note = payee.holdings().notes[0].note
    shown += [repr(payee.holdings()), caplog.text, *capsys.readouterr()]
    state = json.loads((bank.folder / "a" / "state.json").read_text())["data"]
    secrets = [state["secret"], str(int(state["secret"], 16)), state["note_key"], state["note_key"][4:]]
    secrets += [str(note.nonce), hex(note.nonce), *map(str, (have, paid, have - paid, 10**12))]
    for text in shown:
        assert not any(secret in text for secret in secrets)
    assert set(state) == {"note_key", "outbox", "secret"}
    assert state["outbox"] == {}


def test_two_wallets_have_other_secrets_and_one_keeps_its_own(bank: Bank) -> None:
    first, second = bank.wallet("a"), bank.wallet("b")
    assert first.address != second.address
    address = first.address
    assert bank.reopen(first).address == address
    assert first.nullifier(5) == nullifier_of(first._secret, 5) != second.nullifier(5)


@pytest.mark.parametrize("lost", ["secret", "note_key"])
def test_a_wallet_that_lost_a_secret_makes_no_other(bank: Bank, lost: str) -> None:
    wallet = bank.wallet("a")
    wallet._state.close()
    path = bank.folder / "a" / "state.json"
    document = json.loads(path.read_text())
    del document["data"][lost]
    path.write_text(json.dumps(document))
    with pytest.raises(StateError, match=f"state.json has lost the {lost} of its notes; restore it"):
        bank.open("a", wallet.account)
    assert lost not in json.loads(path.read_text())["data"]


def test_a_wallet_that_lost_both_secrets_while_it_sent_makes_no_others(bank: Bank) -> None:
    wallet = bank.wallet("a")
    call = bank.market.token.functions.approve(bank.owner.address, 1)
    raw = bank.chain.prepare(call, wallet.account).raw.hex()
    wallet._state.close()
    path = bank.folder / "a" / "state.json"
    path.write_text(json.dumps({"version": 1, "role": "holder", "data": {"outbox": {"wallet/pay/1": raw}}}))
    with pytest.raises(StateError, match="has lost the secret"):
        bank.open("a", wallet.account)
