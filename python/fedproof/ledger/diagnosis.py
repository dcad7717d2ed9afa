"""Why the chain said no: the contract's own error where there is one, else a plain account."""

from __future__ import annotations

from typing import Any

from fedproof.errors import LedgerError, RevertedError
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
            ContractRejected: the transaction reverted, or failed in another way, such as for want of gas
                (`RevertedError`). Either way it is mined, and sending it again does nothing.
            LedgerError: the receipt does not say how it ended.
        """
        if parse_quantity(receipt.get("status"), "a receipt's status") == 1:
            return
        where = f"transaction {transaction.tx_hash}"
        data = self._revert_data(transaction, receipt)
        if data is not None:
            raise self._abis.rejection(data, where)
        raise RevertedError(where, self._guess(transaction, receipt))

    def _guess(self, transaction: SignedTransaction, receipt: dict[str, Any]) -> str:
        try:
            used = parse_quantity(receipt.get("gasUsed"), "the gas used")
        except LedgerError:
            used = 0
        return f"it used all of its {used} gas" if used >= transaction.gas else "the node gives no reason"

    def _revert_data(self, transaction: SignedTransaction, receipt: dict[str, Any]) -> bytes | None:
        """Why it reverted: from the receipt, else a trace, else by trying it again on the block's state.

        That it failed is known by then. A node that does not say why, is not allowed to, or is too slow changes
        nothing about it: then there is no reason to be told.
        """
        reason = receipt.get("revertReason")
        try:
            if isinstance(reason, str) and reason.startswith("0x"):
                return bytes.fromhex(reason[2:])
            trace = self._rpc.request("debug_traceTransaction", transaction.tx_hash, {"tracer": "callTracer"})
            if isinstance(trace, dict):
                if "revert" not in str(trace.get("error", "")).lower():
                    return None
                return bytes.fromhex(str(trace.get("output") or "0x").removeprefix("0x"))
        except (LedgerError, ValueError):
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
        except LedgerError:
            return None
        return None
