"""From a call to a mined transaction, without ever sending the same thing twice.

A transaction is signed once. Whatever the network does afterwards, only those same bytes are sent again: a node that
has them already says so, and the nonce inside lets a chain take them once.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from fedproof.errors import LedgerError
from fedproof.ledger.accounts import Account
from fedproof.ledger.diagnosis import Diagnosis
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.rpc import Rpc, RpcError, hex_data, parse_quantity
from fedproof.ledger.transactions import SignedTransaction, intrinsic_gas

TX_GAS_CAP = 16_777_216  # EIP-7825
GWEI = 10**9
_LOOKS = 4
# What nodes answer to bytes that they hold already, in their pool or in a block. "Nonce too low" may also mean that
# another transaction has the nonce; waiting tells the two apart.
_ALREADY_THERE = ("already known", "already imported", "known transaction", "already exists", "nonce too low")


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


@dataclass(frozen=True)
class SendingPolicy:
    """How patient and how generous to be.

    Attributes:
        confirmations: blocks that must follow a transaction's block before it counts.
        receipt_seconds: how long to wait for a receipt.
        poll_seconds: longest pause between two looks.
        max_fee_per_gas: wei; a node that asks for more is refused.
        gas_margin: factor on estimated gas.
    """

    confirmations: int = 0
    receipt_seconds: float = 120.0
    poll_seconds: float = 1.0
    max_fee_per_gas: int = 1_000 * GWEI
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

    def prepare(
        self, sender: Account, to: str | None, data: bytes, *, value: int, gas: int | None, what: str
    ) -> SignedTransaction:
        """Signs a transaction with the sender's next nonce and sends nothing. `what` names it in errors.

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
        fields["gas"] = gas if gas is not None else self._estimate(sender.address, to, data, value, what)
        fields["nonce"] = parse_quantity(
            self._rpc.request("eth_getTransactionCount", sender.address, "pending"), "an account's nonce"
        )
        raw = sender.sign(fields)
        return SignedTransaction(
            raw, hex_data(keccak(raw)), sender.address, fields["nonce"], fields.get("to"), data, value, fields["gas"]
        )

    def broadcast(self, transaction: SignedTransaction) -> None:
        """Hands the signed bytes to the node; doing so again changes nothing.

        Raises:
            UnreachableError: no answer; the transaction may have arrived.
            LedgerError: the node refused it.
        """
        try:
            self._rpc.request("eth_sendRawTransaction", hex_data(transaction.raw))
        except RpcError as error:
            if any(text in error.detail.lower() for text in _ALREADY_THERE):
                return
            raise self._diagnosis.meaning(error, f"sending {transaction.tx_hash}") from error

    def send(
        self, sender: Account, to: str | None, data: bytes, *, value: int, gas: int | None, what: str
    ) -> SignedTransaction:
        """`prepare` and `broadcast`, one at a time for each account.

        A transaction of the account whose fate is unknown after a time-out is followed first; and if it asks for the
        very same, it is the one returned. So a caller who tries again does not do a thing twice.
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
            except UnreachableError:
                self._unsettled[sender.address] = transaction  # it may have arrived: waiting sends it again
            return transaction

    def wait_raw(self, transaction: SignedTransaction) -> dict[str, Any]:
        """The receipt as the node gives it, once it is deep enough; the bytes are sent again while they are not known.

        Raises:
            UnsettledError: the time is over.
            ReplacedError: another transaction took the nonce.
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
                elif self._is_nonce_taken(transaction):
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
                self._unsettled[transaction.sender] = transaction
                raise UnsettledError(transaction, self._policy.receipt_seconds, reason)
            time.sleep(pause)
            pause = min(self._policy.poll_seconds, pause * 1.5)

    # -- inside --

    def _fees(self) -> dict[str, int]:
        block = self._rpc.request("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict):
            raise LedgerError("the node has no latest block")
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
        limit = min(2 * base + tip, self._policy.max_fee_per_gas)
        return {"type": 2, "maxFeePerGas": limit, "maxPriorityFeePerGas": tip}

    def _check_fee(self, wei: int) -> None:
        if wei > self._policy.max_fee_per_gas:
            raise LedgerError(f"the node asks for {wei} wei per gas, the limit is {self._policy.max_fee_per_gas}")

    def _estimate(self, sender: str, to: str | None, data: bytes, value: int, what: str) -> int:
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
        return min(int(estimate * self._policy.gas_margin), TX_GAS_CAP)

    def _receipt(self, transaction: SignedTransaction) -> dict[str, Any] | None:
        receipt = self._rpc.request("eth_getTransactionReceipt", transaction.tx_hash)
        if receipt is None:
            return None
        if not isinstance(receipt, dict) or "blockNumber" not in receipt:
            raise LedgerError("the node sent a malformed receipt")
        if self._policy.confirmations:
            # A reorganisation takes the receipt away again, so that it is asked for at every look.
            head = parse_quantity(self._rpc.request("eth_blockNumber"), "a block number")
            if head < parse_quantity(receipt["blockNumber"], "a block number") + self._policy.confirmations:
                return None
        return receipt

    def _is_nonce_taken(self, transaction: SignedTransaction) -> bool:
        count = self._rpc.request("eth_getTransactionCount", transaction.sender, "latest")
        return parse_quantity(count, "an account's nonce") > transaction.nonce

    def _is_known(self, transaction: SignedTransaction) -> bool:
        return self._rpc.request("eth_getTransactionByHash", transaction.tx_hash) is not None

    def _settle(self, transaction: SignedTransaction) -> None:
        if self._unsettled.get(transaction.sender) == transaction:
            del self._unsettled[transaction.sender]

    def _lock_of(self, address: str) -> threading.RLock:
        with self._locks_guard:
            return self._locks[address]
