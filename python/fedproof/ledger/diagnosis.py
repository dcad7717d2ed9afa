"""Why the chain said no: the contract's own error where there is one, else a plain account."""

from __future__ import annotations

from typing import Any

from fedproof.errors import LedgerError
from fedproof.ledger.knowledge import AbiIndex
from fedproof.ledger.rpc import Rpc, RpcError, hex_data, parse_quantity
from fedproof.ledger.transactions import SignedTransaction


class Diagnosis:
    """Turns refused calls and failed receipts into exceptions."""

    def __init__(self, rpc: Rpc, abis: AbiIndex) -> None:
        self._rpc = rpc
        self._abis = abis

    def meaning(self, error: RpcError, where: str) -> LedgerError:
        """The error of a refused call: the contract's own where it reverted."""
        if error.data:
            return self._abis.rejection(error.data, where)
        if "revert" in error.detail.lower():
            return self._abis.rejection(b"", where)
        return LedgerError(f"{where}: {error.detail[:300] or 'the node gives no reason'}")

    def check(self, transaction: SignedTransaction, receipt: dict[str, Any]) -> None:
        """Passes a successful receipt.

        Raises:
            ContractRejected: the transaction reverted.
            LedgerError: it failed in another way, such as for want of gas.
        """
        if parse_quantity(receipt.get("status"), "a receipt's status") == 1:
            return
        where = f"transaction {transaction.tx_hash}"
        data = self._revert_data(transaction, receipt)
        if data is not None:
            raise self._abis.rejection(data, where)
        used = parse_quantity(receipt.get("gasUsed"), "the gas used")
        why = f"it used all of its {used} gas" if used >= transaction.gas else "the node gives no reason"
        raise LedgerError(f"{where} failed: {why}")

    def _revert_data(self, transaction: SignedTransaction, receipt: dict[str, Any]) -> bytes | None:
        """Why it reverted: from the receipt, else a trace, else by trying it again on the block's state."""
        reason = receipt.get("revertReason")
        if isinstance(reason, str) and reason.startswith("0x"):
            return bytes.fromhex(reason[2:])
        try:
            trace = self._rpc.request("debug_traceTransaction", transaction.tx_hash, {"tracer": "callTracer"})
            if isinstance(trace, dict):
                if "revert" not in str(trace.get("error", "")).lower():
                    return None
                return bytes.fromhex(str(trace.get("output") or "0x").removeprefix("0x"))
        except (RpcError, ValueError):
            pass
        request = {
            "from": transaction.sender,
            "data": hex_data(transaction.data),
            "value": hex(transaction.value),
            "gas": hex(transaction.gas),
        }
        if transaction.to is not None:
            request["to"] = transaction.to
        try:
            self._rpc.request("eth_call", request, receipt["blockNumber"])
        except RpcError as error:
            return error.data
        return None
