"""From a call to a mined transaction, without ever sending the same thing twice.

A transaction is signed once. Whatever the network does afterwards, only those same bytes are sent again: a node that
has them already says so, and the nonce inside lets a chain take them once. Where fees rose above what they offer, the
same call may be signed again with the same nonce: of the two a chain takes one.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from fedproof.errors import ContractRejected, LedgerError
from fedproof.ledger.accounts import Account
from fedproof.ledger.diagnosis import Diagnosis
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.receipts import check_receipt
from fedproof.ledger.rpc import Rpc, RpcError, hex_data, parse_quantity
from fedproof.ledger.transactions import SignedTransaction, fee_limits, intrinsic_gas

TX_GAS_CAP = 16_777_216  # EIP-7825
GWEI = 10**9
_LOOKS = 4
# What nodes answer to bytes that they hold already, in their pool or in a block. "Nonce too low" may also mean that
# another transaction has the nonce; waiting tells the two apart.
_ALREADY_THERE = ("already known", "already imported", "known transaction", "already exists", "nonce too low")
# What nodes answer to bytes that they have looked at and take from nobody. Any other answer, such as that something
# timed out or that the call reverts, may come from a node that has passed the bytes on.
_NEVER_TAKEN = (
    "insufficient funds",
    "cannot afford",
    "enough balance",
    "exceeds account balance",
    "intrinsic gas",
    "underpriced",
    "base fee",
    "max priority fee per gas higher",
    "gas limit",
    "exceeds the configured cap",
    "nonce too high",
    "invalid transaction nonce",
    "invalid sender",
    "invalid signature",
    "invalid chain id",
    "cannot be decoded",
    "not supported",
)


class UnsettledError(LedgerError):
    """The transaction was sent and no receipt came in time. It may still be mined: wait for it, sign no other."""

    def __init__(self, transaction: SignedTransaction, seconds: float, reason: str = "") -> None:
        self.transaction = transaction
        super().__init__(
            f"transaction {transaction.tx_hash} has no receipt after {seconds:g} s{reason and f' ({reason})'} and may "
            "still be mined: wait for it again, do not send another in its place"
        )


class ReplacedError(LedgerError):
    """Another transaction of the account took the nonce, so that this one can never be mined."""


class RefusedError(LedgerError):
    """The node refused the transaction for a fault of its own and does not hold it: another may be signed."""


class DoubtedError(LedgerError):
    """The node says that the transaction would revert, and may have passed it on: what is signed in its place must have
    its nonce."""


@dataclass(frozen=True)
class SendingPolicy:
    """How patient and how generous to be.

    Attributes:
        confirmations: blocks that must follow a transaction's block before it counts.
        rival_confirmations: blocks that must follow another one with its nonce before it is given up; at least
            `confirmations`. For nodes, which act at the head and judge at a depth of their own.
        receipt_seconds: how long to wait for a receipt.
        poll_seconds: longest pause between two looks.
        max_fee_per_gas: wei; a node that asks for more is refused.
        max_tip_per_gas: wei of it for the block's maker. The base fee is what the chain says, but a tip is paid in full
            as offered: of a node that names a higher one only so much is believed.
        gas_margin: factor on estimated gas. It covers what grows with a call; where another's call that lands first
            makes one dearer by a fixed amount, its caller asks for `extra_gas`.
    """

    confirmations: int = 0
    rival_confirmations: int = 0
    receipt_seconds: float = 120.0
    poll_seconds: float = 1.0
    max_fee_per_gas: int = 1_000 * GWEI
    max_tip_per_gas: int = 50 * GWEI
    gas_margin: float = 1.2


class Sender:
    """Signs, sends and follows transactions of any number of accounts."""

    def __init__(self, rpc: Rpc, chain_id: int, diagnosis: Diagnosis, policy: SendingPolicy) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._diagnosis = diagnosis
        self._policy = policy
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._locks_guard = threading.Lock()
        self._unsettled: dict[str, SignedTransaction] = {}
        self._accounts: dict[str, Account] = {}

    def remember(self, account: Account) -> None:
        """`outbid` may sign for this account; for those that `prepare` has signed for it may anyway."""
        self._accounts[account.address] = account

    def prepare(
        self,
        sender: Account,
        to: str | None,
        data: bytes,
        *,
        value: int,
        gas: int | None,
        what: str,
        extra_gas: int = 0,
    ) -> SignedTransaction:
        """Signs a transaction with the sender's next nonce and sends nothing. `what` names it in errors.

        Args:
            gas: its limit; None estimates it. extra_gas: added to an estimate, beyond the policy's margin.

        Raises:
            ContractRejected: the call would revert (unless `gas` is given: then nothing is tried out).
            LedgerError: it would fail otherwise, or the fee is over the policy's.
        """
        fields: dict[str, Any] = {"chainId": self._chain_id, "value": value, "data": data} | self._fees()
        if to is not None:
            fields["to"] = to_checksum_address(to)
        least = intrinsic_gas(data, is_creation=to is None)
        if gas is not None and gas < least:  # some nodes keep such a transaction and never mine it
            raise LedgerError(f"{what}: gas {gas} is less than the {least} that sending it costs")
        fields["gas"] = gas if gas is not None else self._estimate(sender.address, to, data, value, what, extra_gas)
        fields["nonce"] = parse_quantity(
            self._rpc.request("eth_getTransactionCount", sender.address, "pending"), "an account's nonce"
        )
        self.remember(sender)
        return _sign(sender, fields)

    def outbid(self, transaction: SignedTransaction) -> SignedTransaction | None:
        """The same call with the same nonce and a higher fee, signed and not sent; None where it is of no use.

        It is of use while the base fee is above what the transaction pays at most: nobody can mine it then, nor any
        later one of the account. Save it beside the first before it is sent: either may be mined.

        Raises:
            LedgerError: the node fails, or the fee is over the policy's.
        """
        account, limits = self._accounts.get(transaction.sender), fee_limits(transaction)
        if account is None or limits is None:
            return None
        base = self._latest_block().get("baseFeePerGas")
        if base is None or limits[0] >= parse_quantity(base, "a base fee"):
            return None
        if self._is_nonce_taken(transaction, "latest"):
            return None
        fees = self._fees()
        # nodes take another one of the same nonce only if both of its limits are a tenth higher
        most = max(fees.get("maxFeePerGas", 0), limits[0] * 9 // 8 + 1)
        tip = max(fees.get("maxPriorityFeePerGas", 0), limits[1] * 9 // 8 + 1)
        if most > self._policy.max_fee_per_gas:
            return None
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": transaction.nonce,
            "gas": transaction.gas,
            "value": transaction.value,
            "data": transaction.data,
            "maxFeePerGas": most,
            "maxPriorityFeePerGas": min(tip, most),
        }
        return _sign(account, fields if transaction.to is None else fields | {"to": transaction.to})

    def broadcast(self, transaction: SignedTransaction) -> None:
        """Hands the signed bytes to the node; doing so again changes nothing.

        No answer says that a contract rejected the call (`ContractRejected`): a node that says so may have passed the
        bytes on, and they may fare better elsewhere. Only a receipt says what became of them.

        Raises:
            RefusedError: the node never takes it, and does not hold it.
            DoubtedError: it says that it would revert, and does not show it.
            UnreachableError: no answer; the transaction may have arrived.
            LedgerError: an answer that is no such refusal; it may have arrived, too.
        """
        try:
            self._rpc.request("eth_sendRawTransaction", hex_data(transaction.raw))
        except UnreachableError:
            raise
        except LedgerError as error:
            detail = error.detail.lower() if isinstance(error, RpcError) else ""
            if any(text in detail for text in _ALREADY_THERE):
                return
            try:
                if self._is_known(transaction):
                    return
            except LedgerError:
                detail = ""  # who does not say what it holds does not say that it refused for good
            if not isinstance(error, RpcError):
                raise
            said = self._diagnosis.meaning(error, f"sending {transaction.tx_hash}")
            if isinstance(said, ContractRejected):
                raise DoubtedError(str(said)) from error
            kind = RefusedError if any(text in detail for text in _NEVER_TAKEN) else LedgerError
            raise kind(str(said)) from error

    def send(
        self, sender: Account, to: str | None, data: bytes, *, value: int, gas: int | None, what: str
    ) -> SignedTransaction:
        """`prepare` and `broadcast`, one at a time for each account.

        A transaction of the account whose fate is unknown, after a time-out or an answer that is no refusal, is
        followed first; and if it asks for the very same, it is the one returned. So a caller who tries again does not
        do a thing twice.
        """
        with self._lock_of(sender.address):
            unsettled = self._unsettled.get(sender.address)
            if unsettled is not None:
                target = None if to is None else to_checksum_address(to)
                if (unsettled.to, unsettled.data, unsettled.value) == (target, data, value):
                    return unsettled
                self.wait_raw(unsettled)
            transaction = self.prepare(sender, to, data, value=value, gas=gas, what=what)
            try:
                self.broadcast(transaction)
            except RefusedError:
                raise
            except UnreachableError:
                self.keep(transaction)  # it may have arrived: waiting sends it again
            except BaseException:
                self.keep(transaction)  # so it may, but the caller should know what was said
                raise
            return transaction

    def keep(self, transaction: SignedTransaction) -> None:
        """Has a transaction followed before its account sends anything else: nobody knows what became of it."""
        self._unsettled[transaction.sender] = transaction

    def wait_raw(self, transaction: SignedTransaction) -> dict[str, Any]:
        """The receipt as the node gives it, once it is deep enough; the bytes are sent again while they are not known.

        Raises:
            UnsettledError: the time is over.
            ReplacedError: another transaction took the nonce, and is deep enough.
        """
        deadline = time.monotonic() + self._policy.receipt_seconds
        pause = 0.01
        reason = ""
        taken: list[float] = []  # when looks in a row found the nonce taken
        while True:
            try:
                receipt = self._receipt(transaction)
                if receipt is not None or self._is_known(transaction):
                    taken.clear()
                elif self._is_nonce_taken(transaction, self._deep_block()):
                    taken.append(time.monotonic())
                else:
                    taken.clear()
                    self.broadcast(transaction)
            except LedgerError as error:
                # A busy node or a full pool now may take it later, and another node may hold it: time decides.
                reason, receipt = str(error), None
            if receipt is not None:
                self._settle(transaction)
                return receipt
            # One look is not enough: behind one address, one node may know of the block and the next not yet.
            if len(taken) >= _LOOKS and taken[-1] - taken[0] >= _LOOKS * self._policy.poll_seconds:
                self._settle(transaction)
                raise ReplacedError(
                    f"transaction {transaction.tx_hash} will never be mined: another one took nonce {transaction.nonce}"
                )
            if time.monotonic() >= deadline:
                self.keep(transaction)
                raise UnsettledError(transaction, self._policy.receipt_seconds, reason)
            time.sleep(pause)
            pause = min(self._policy.poll_seconds, pause * 1.5)

    def fee_per_gas(self) -> int:
        """The most wei that a transaction sent now offers for each gas: its sender must hold that much."""
        fees = self._fees()
        return fees["maxFeePerGas"] if "maxFeePerGas" in fees else fees["gasPrice"]

    # -- inside --

    def _fees(self) -> dict[str, int]:
        block = self._latest_block()
        if block.get("baseFeePerGas") is None:
            price = parse_quantity(self._rpc.request("eth_gasPrice"), "a gas price")
            self._check_fee(price)
            return {"gasPrice": price}
        base = parse_quantity(block["baseFeePerGas"], "a base fee")
        try:
            tip = parse_quantity(self._rpc.request("eth_maxPriorityFeePerGas"), "a priority fee")
        except RpcError:
            tip = GWEI
        self._check_fee(base + tip)
        tip = min(tip, self._policy.max_tip_per_gas)
        limit = min(2 * base + tip, self._policy.max_fee_per_gas)
        return {"type": 2, "maxFeePerGas": limit, "maxPriorityFeePerGas": tip}

    def _latest_block(self) -> dict[str, Any]:
        block = self._rpc.request("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise LedgerError("the node has no latest block")
        return block

    def _check_fee(self, wei: int) -> None:
        if wei > self._policy.max_fee_per_gas:
            raise LedgerError(f"the node asks for {wei} wei per gas, the limit is {self._policy.max_fee_per_gas}")

    def _estimate(self, sender: str, to: str | None, data: bytes, value: int, what: str, extra: int) -> int:
        request = {"from": sender, "data": hex_data(data), "value": hex(value)}
        if to is not None:
            request["to"] = to_checksum_address(to)
        try:
            # Against the block to come: a window that opens or closes with it counts.
            answer = self._rpc.request("eth_estimateGas", request, "pending")
        except RpcError as error:
            raise self._diagnosis.meaning(error, what) from error
        estimate = parse_quantity(answer, "a gas estimate")
        if estimate > TX_GAS_CAP:
            raise LedgerError(f"{what} needs {estimate} gas, over the cap of {TX_GAS_CAP} for one transaction")
        return min(int(estimate * self._policy.gas_margin) + extra, TX_GAS_CAP)

    def _receipt(self, transaction: SignedTransaction) -> dict[str, Any] | None:
        receipt = self._rpc.request("eth_getTransactionReceipt", transaction.tx_hash)
        if receipt is None:
            return None
        if not isinstance(receipt, dict) or "blockNumber" not in receipt:
            raise LedgerError("the node sent a malformed receipt")
        check_receipt(receipt, transaction.tx_hash)
        depth = self._policy.confirmations
        # A reorganisation takes the receipt away again, so that it is asked for at every look.
        if depth and self._head() < parse_quantity(receipt["blockNumber"], "a block number") + depth:
            return None
        return receipt

    def _head(self) -> int:
        return parse_quantity(self._rpc.request("eth_blockNumber"), "a block number")

    def _deep_block(self) -> str:
        """The last block that is believed about rivals: a reorganisation may take back those of later ones."""
        depth = max(self._policy.confirmations, self._policy.rival_confirmations)
        return hex(max(0, self._head() - depth)) if depth else "latest"

    def _is_nonce_taken(self, transaction: SignedTransaction, block: str) -> bool:
        count = self._rpc.request("eth_getTransactionCount", transaction.sender, block)
        return parse_quantity(count, "an account's nonce") > transaction.nonce

    def _is_known(self, transaction: SignedTransaction) -> bool:
        return self._rpc.request("eth_getTransactionByHash", transaction.tx_hash) is not None

    def _settle(self, transaction: SignedTransaction) -> None:
        if self._unsettled.get(transaction.sender) == transaction:
            del self._unsettled[transaction.sender]

    def _lock_of(self, address: str) -> threading.RLock:
        with self._locks_guard:
            return self._locks[address]


def _sign(account: Account, fields: dict[str, Any]) -> SignedTransaction:
    raw = account.sign(fields)
    return SignedTransaction(
        raw=raw,
        tx_hash=hex_data(keccak(raw)),
        sender=account.address,
        nonce=fields["nonce"],
        to=fields.get("to"),
        data=fields["data"],
        value=fields["value"],
        gas=fields["gas"],
    )
