"""Saved transactions: what is mined and failed is never sent again, whether or not anybody says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from web3.contract import Contract

from fedproof.errors import ContractRejected, LedgerError, RevertedError
from fedproof.ledger import Account, Chain, SendingPolicy, SignedTransaction, UnsettledError, read_signed
from fedproof.ledger.accounts import account_from_key
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.rpc import RpcError
from fedproof.ledger.transactions import fee_limits
from fedproof.nodes import checkpoints
from fedproof.nodes import provider as provider_module
from fedproof.nodes.outbox import forget, send_once, settle_saved
from fedproof.nodes.provider import Provider
from tests.nodes.paper import Desk
from tests.support.flaky import Exchange, FlakyNode, Forwarded, Handler, refusal, result, swallow

TO = "0x" + "11" * 20


@pytest.fixture
def chain() -> Chain:
    return Chain.embedded()


@pytest.fixture
def sender(chain: Chain) -> Account:
    return chain.new_account("sender")


class Signer:
    """Signs transfers of a token, the first of them with too little gas."""

    def __init__(self, chain: Chain, sender: Account) -> None:
        self._chain, self._sender = chain, sender
        self._token = chain.deploy("AccessToken", 10**24, sender=sender)
        self.signed: list[SignedTransaction] = []

    def __call__(self) -> SignedTransaction:
        gas = None if self.signed else 30_000
        self.signed.append(self._chain.prepare(self._token.functions.transfer(TO, 1), self._sender, gas))
        return self.signed[-1]


def test_what_ran_out_of_gas_is_forgotten_and_signed_anew(desk: Desk, chain: Chain, sender: Account) -> None:
    sign = Signer(chain, sender)
    with pytest.raises(RevertedError, match="it used all of its 30000 gas"):
        send_once(chain, desk.state, "attest/1", sign)
    assert desk.state.get("outbox") == {}
    assert send_once(chain, desk.state, "attest/1", sign).status == 1
    assert len(sign.signed) == 2


def test_what_failed_keeps_nothing_else_from_being_settled(desk: Desk, chain: Chain, sender: Account) -> None:
    sign = Signer(chain, sender)
    names = ("grant/1", "grant/2")
    for name in names:
        transaction = sign()
        chain.broadcast(transaction)
        desk.state.put(outbox={**desk.state.get("outbox", {}), name: transaction.raw.hex()})
    assert [name for name, _ in settle_saved(chain, desk.state, "grant/")] == ["grant/2"]
    assert list(desk.state.get("outbox")) == ["grant/2"]


@dataclass
class Payments:
    """Signs payments of one coin more each time."""

    chain: Chain
    node: FlakyNode
    sender: Account
    token: Contract
    amount: int = 0

    def __call__(self) -> SignedTransaction:
        self.amount += 1
        return self.chain.prepare(self.token.functions.transfer(TO, self.amount), self.sender)

    def paid(self) -> int:
        return int(self.chain.call(self.token.functions.balanceOf(TO)))

    def answers(self, *handlers: Handler) -> None:
        self.node.faults["eth_sendRawTransaction"] = list(handlers)


@pytest.fixture
def payments() -> Iterator[Payments]:
    policy = SendingPolicy(receipt_seconds=5.0, poll_seconds=0.02)
    with FlakyNode() as node, Chain.connect(node.url, retries=0, policy=policy, pause=lambda _: None) as chain:
        sender = chain.new_account("sender")
        yield Payments(chain, node, sender, chain.deploy("AccessToken", 10**24, sender=sender))


REVERTS = refusal(3, "execution reverted")


def test_an_answer_to_sending_is_no_end_of_a_transaction(desk: Desk, payments: Payments) -> None:
    """The node passes the bytes on, tries them out and says that they revert; elsewhere they are mined."""
    forwarded = Forwarded(REVERTS)
    payments.answers(forwarded)
    with pytest.raises(LedgerError, match="the contract rejected the call") as caught:
        send_once(payments.chain, desk.state, "pay/1", payments)
    assert not isinstance(caught.value, ContractRejected)
    assert list(desk.state.get("outbox")) == ["pay/1"]
    forwarded.arrive(payments.node.chain)
    assert send_once(payments.chain, desk.state, "pay/1", payments).status == 1
    assert payments.paid() == 1


def test_what_a_node_says_to_revert_is_signed_anew_with_the_same_nonce(desk: Desk, payments: Payments) -> None:
    """Bytes that are too old would be refused for ever, by a node that tries them out first."""
    payments.answers(REVERTS, REVERTS)
    with pytest.raises(LedgerError, match="the contract rejected the call"):
        send_once(payments.chain, desk.state, "pay/1", payments)
    first = read_signed(bytes.fromhex(desk.state.get("outbox")["pay/1"]))
    receipt = send_once(payments.chain, desk.state, "pay/1", payments)
    second = read_signed(bytes.fromhex(desk.state.get("outbox")["pay/1"]))
    assert (second.tx_hash, second.nonce) == (receipt.tx_hash, first.nonce)
    assert desk.state.get("outbid") == {"pay/1": [first.raw.hex()]}
    assert payments.paid() == 2


def test_of_two_with_the_same_nonce_the_first_may_be_the_one_that_counts(desk: Desk, payments: Payments) -> None:
    forwarded = Forwarded(REVERTS)

    def first_arrives(exchange: Exchange) -> None:
        forwarded.arrive(payments.node.chain)
        swallow(exchange)

    payments.answers(forwarded, REVERTS, first_arrives)
    with pytest.raises(LedgerError, match="the contract rejected the call"):
        send_once(payments.chain, desk.state, "pay/1", payments)
    assert send_once(payments.chain, desk.state, "pay/1", payments).status == 1
    assert payments.amount == 2
    assert payments.paid() == 1


def test_what_cannot_have_the_same_nonce_is_not_signed_in_the_place_of_another(desk: Desk, payments: Payments) -> None:
    """Another transaction waits at the nonce: of the bytes that were saved and new ones both could be mined."""
    payments.answers(REVERTS, REVERTS)
    with pytest.raises(LedgerError, match="the contract rejected the call"):
        send_once(payments.chain, desk.state, "pay/1", payments)
    saved = desk.state.get("outbox")
    payments.node.faults["eth_getTransactionCount"] = [result("0x9")]
    with pytest.raises(LedgerError, match="the contract rejected the call"):
        send_once(payments.chain, desk.state, "pay/1", payments)
    assert (desk.state.get("outbox"), "outbid" in desk.state) == (saved, False)
    assert payments.paid() == 0


# -- a provider's answers --


def answering(monkeypatch: pytest.MonkeyPatch, failures: dict[str, LedgerError], *, away: bool = False) -> Any:
    """The answers to the grants of a, b and c, of which some fail; where all is away, nothing answers."""

    def block_number() -> int:
        if away:
            raise UnreachableError("no usable answer to eth_blockNumber")
        return 7

    def deliver(_: Any, __: Any, grantee: str, *___: Any) -> str:
        if grantee in failures:
            raise failures[grantee]
        return grantee

    market: Any = SimpleNamespace(
        chain=SimpleNamespace(timestamp=lambda: 0, block_number=block_number),
        dataset=lambda _: SimpleNamespace(version=1, provider="me"),
        deliveries=lambda **_: [],
        grants=lambda **_: [SimpleNamespace(grantee=each, tier=3, expiry=9, hpke_key=b"") for each in "abc"],
    )
    monkeypatch.setattr(Provider, "dataset", 5)
    monkeypatch.setattr(Provider, "tier_keys", lambda _: {1: "key"})
    monkeypatch.setattr(Provider, "_deliver", deliver)
    monkeypatch.setattr(provider_module, "grant_context", lambda *_: None)
    monkeypatch.setattr(provider_module, "seal_tier_key_to", lambda *_: b"")
    account: Any = SimpleNamespace(address="me")
    nothing: Any = None
    return Provider(SimpleNamespace(market=market), account, nothing).answer()  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [LedgerError("no receipt in time"), UnreachableError("no answer to eth_estimateGas")])
def test_an_answer_that_fails_keeps_no_later_grantee_waiting(
    monkeypatch: pytest.MonkeyPatch, error: LedgerError
) -> None:
    answers = answering(monkeypatch, {"a": error})
    assert answers.delivered == ["b", "c"]
    assert [f"grantee a: {error}" in each for each in answers.refused] == [True]


def test_a_chain_that_answers_nothing_is_asked_for_no_further_grantee(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError, match="eth_blockNumber"):
        answering(monkeypatch, {"a": UnreachableError("no answer to eth_estimateGas")}, away=True)


# -- fees that rise --

ACCOUNT = account_from_key(bytes([7]) * 32)
POLICY = SendingPolicy(receipt_seconds=0.05, poll_seconds=0.002, max_fee_per_gas=1000)
HASH = "0x" + "22" * 32


class Market:
    """A chain whose base fee moves; it mines nothing until it is told to, and then in the order of nonces."""

    url = "x"

    def __init__(self) -> None:
        self.base = 10
        self.pool: dict[int, list[SignedTransaction]] = {}
        self.mined: dict[str, SignedTransaction] = {}

    def request(self, method: str, *params: Any) -> Any:
        match method:
            case "eth_getBlockByNumber":
                return {"baseFeePerGas": hex(self.base)}
            case "eth_maxPriorityFeePerGas":
                return hex(2)
            case "eth_estimateGas" | "eth_blockNumber":
                return hex(21_000)
            case "eth_getTransactionCount":
                return hex(len(self.mined) + (len(self.pool) if params[1] == "pending" else 0))
            case "eth_sendRawTransaction":
                self._take(read_signed(bytes.fromhex(params[0][2:])))
                return HASH
            case "eth_getTransactionByHash":
                known = [each[-1].tx_hash for each in self.pool.values()] + list(self.mined)
                return {} if params[0] in known else None
            case "eth_getTransactionReceipt" if params[0] in self.mined:
                words = dict.fromkeys(("blockNumber", "gasUsed", "status"), "0x1")
                return {"transactionHash": params[0], "blockHash": HASH, "logs": [], **words}
        return None

    def _take(self, transaction: SignedTransaction) -> None:
        if transaction.nonce < len(self.mined):
            raise RpcError("eth_sendRawTransaction", -32000, "nonce too low")
        here = self.pool.setdefault(transaction.nonce, [])
        if transaction in here:
            raise RpcError("eth_sendRawTransaction", -32000, "already known")
        for old, new in zip(fees(here[-1]), fees(transaction), strict=True) if here else ():
            assert new * 10 >= old * 11, "replacement transaction underpriced"
        here.append(transaction)

    def mine(self, which: int = -1) -> None:
        """As many as pay the base fee; of those with one nonce the one in this place."""
        while (nonce := len(self.mined)) in self.pool and fees(self.pool[nonce][which])[0] >= self.base:
            found = self.pool.pop(nonce)[which]
            self.mined[found.tx_hash] = found


def fees(transaction: SignedTransaction) -> tuple[int, int]:
    found = fee_limits(transaction)
    assert found is not None
    return found


def market_chain(market: Market) -> Chain:
    return Chain(market, chain_id=1, dev=None, policy=POLICY)


def send(chain: Chain, desk: Desk, name: str) -> str:
    call: Any = SimpleNamespace(address=TO, fn_name="act")
    return send_once(chain, desk.state, name, lambda: chain.prepare(call, ACCOUNT)).tx_hash


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> Market:
    """A market on which two acts wait when its base fee rises above what they pay."""
    monkeypatch.setattr("fedproof.ledger.chain.encode_call", lambda _: b"call")
    return Market()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("which", [-1, 0], ids=["the new one", "the old one"])
def test_more_is_offered_when_fees_have_risen_and_whichever_is_mined_counts(
    desk: Desk, rising: Market, restarted: bool, which: int
) -> None:
    chain = market_chain(rising)
    for name in ("attest/1", "answer/2"):  # the first is not due any more, and holds up the second
        with pytest.raises(UnsettledError):
            send(chain, desk, name)
    assert "outbid" not in desk.state  # fees are as they were
    first = [desk.state.get("outbox")[name] for name in ("attest/1", "answer/2")]
    rising.base = 40
    rising.mine()
    assert not rising.mined
    if restarted:
        chain = market_chain(rising)
        chain.remember(ACCOUNT)
    with pytest.raises(UnsettledError):
        send(chain, desk, "answer/2")
    assert desk.state.get("outbid") == {"attest/1": [first[0]], "answer/2": [first[1]]}
    assert [len(each) for each in rising.pool.values()] == [2, 2]
    if which == 0:
        rising.base = 10  # fees fell again
    rising.mine(which)
    assert list(rising.mined)[1] == send(chain, desk, "answer/2")
    sent = [read_signed(bytes.fromhex(raw)) for raw in first]
    assert [(each.nonce, each.to, each.data, each.value, each.gas) for each in rising.mined.values()] == [
        (each.nonce, each.to, each.data, each.value, each.gas) for each in sent
    ]
    for name in ("attest/1", "answer/2"):
        forget(desk.state, name)
    assert (desk.state.get("outbox"), desk.state.get("outbid")) == ({}, {})


def test_no_more_is_offered_than_the_policy_allows_nor_by_who_cannot_sign(desk: Desk, rising: Market) -> None:
    chain = market_chain(rising)
    with pytest.raises(UnsettledError):
        send(chain, desk, "answer/2")
    rising.base = 999
    with pytest.raises(UnsettledError):
        send(chain, desk, "answer/2")
    rising.base = 40
    with pytest.raises(UnsettledError):
        send(market_chain(rising), desk, "answer/2")
    assert "outbid" not in desk.state
    assert [len(each) for each in rising.pool.values()] == [1]


def test_the_last_offer_is_the_limit_itself_and_none_follows_it(rising: Market) -> None:
    chain = market_chain(rising)
    call: Any = SimpleNamespace(address=TO, fn_name="act")
    rising.base = 474
    transaction = chain.prepare(call, ACCOUNT)
    assert fees(transaction) == (950, 2)
    rising.base = 960
    assert fees(chain.prepare(call, ACCOUNT)) == (1000, 2)
    assert chain.outbid(transaction) is None  # a tenth more than 950 is over the limit


def test_no_more_is_offered_for_what_has_lost_its_nonce(rising: Market) -> None:
    chain = market_chain(rising)
    call: Any = SimpleNamespace(address=TO, fn_name="act")
    transaction = chain.prepare(call, ACCOUNT)
    rising.base = 11
    rival = chain.prepare(call, ACCOUNT)
    assert rival.nonce == transaction.nonce
    rising.base = 40
    assert chain.outbid(transaction) is not None
    rising.base = 10
    chain.broadcast(rival)
    rising.mine()
    rising.base = 40
    assert chain.outbid(transaction) is None


def test_a_higher_offer_is_saved_before_it_is_sent(desk: Desk, rising: Market) -> None:
    chain = market_chain(rising)
    with pytest.raises(UnsettledError):
        send(chain, desk, "answer/2")
    rising.base = 40

    def kill(name: str) -> None:
        if name.startswith("outbid"):
            raise KeyboardInterrupt

    checkpoints.hook = kill
    try:
        with pytest.raises(KeyboardInterrupt):
            send(chain, desk, "answer/2")
    finally:
        checkpoints.hook = None
    assert [len(each) for each in rising.pool.values()] == [1]
    with pytest.raises(UnsettledError):
        send(market_chain(rising), desk, "answer/2")
    rising.mine()
    assert send(market_chain(rising), desk, "answer/2") in rising.mined
