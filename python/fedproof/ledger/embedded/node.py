"""A JSON-RPC node inside the process. It answers the methods that fedproof asks, as geth and anvil would."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from eth.abc import VirtualMachineAPI
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from fedproof.ledger.embedded import call, wire
from fedproof.ledger.embedded.block import Sealed
from fedproof.ledger.embedded.genesis import BASE_FEE, FAUCET_KEY, Genesis
from fedproof.ledger.embedded.ledger import EmbeddedLedger
from fedproof.ledger.rpc import RpcError, hex_data, parse_data, parse_quantity

_METHOD_MISSING = -32601
_INVALID_PARAMS = -32602
_REFUSED = -32000
_ANSWERS_KEPT = 1024
_LONGEST_KEPT = 4096


class EmbeddedNode:
    """One chain with instant mining: each transaction gets its own block, unless mining is held."""

    url = "embedded"

    def __init__(self, genesis: Genesis) -> None:
        self.ledger = EmbeddedLedger(genesis)
        self._lock = threading.RLock()
        self._answers: dict[tuple[bytes | None, bytes, bytes, bytes, int, int], str] = {}
        self._faucet: LocalAccount = Account.from_key(FAUCET_KEY)
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "fedproof-embedded",
            "eth_chainId": lambda: hex(genesis.chain_id),
            "eth_blockNumber": lambda: hex(self.ledger.head.number),
            "eth_getBlockByNumber": self._get_block,
            "eth_accounts": lambda: [self._faucet.address],
            "eth_maxPriorityFeePerGas": lambda: hex(BASE_FEE),
            "eth_getBalance": self._get_balance,
            "eth_getTransactionCount": self._get_nonce,
            "eth_getCode": self._get_code,
            "eth_getStorageAt": self._get_storage,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send_raw,
            "eth_sendTransaction": self._send_from_faucet,
            "eth_getTransactionReceipt": self._get_receipt,
            "eth_getTransactionByHash": self._get_transaction,
            "eth_getRawTransactionByHash": self._get_raw_transaction,
            "eth_getLogs": self._get_logs,
            "evm_mine": lambda: self.ledger.mine(),
            "anvil_mine": lambda count="0x1": self.ledger.mine(parse_quantity(count, "a block count")),
            "evm_setAutomine": self._set_automine,
            "evm_setNextBlockTimestamp": self._set_next_timestamp,
            "evm_snapshot": lambda: hex(self.ledger.snapshot()),
            "evm_revert": lambda snapshot: self.ledger.revert(parse_quantity(snapshot, "a snapshot id")),
        }

    def request(self, method: str, *params: Any) -> Any:
        """Answers one JSON-RPC request; thread-safe.

        Raises:
            RpcError: an unknown method, bad parameters, or a refused transaction or call.
        """
        answer = self._methods.get(method)
        if answer is None:
            raise RpcError(method, _METHOD_MISSING, f"the method {method} does not exist")
        with self._lock:
            return answer(*params)

    # -- blocks --

    def _get_block(self, block: str, full: bool = False) -> dict[str, Any] | None:
        sealed = self._sealed(block)
        return None if sealed is None else wire.block(sealed, full)

    def _set_automine(self, enabled: bool) -> None:
        self.ledger.automine = bool(enabled)

    def _set_next_timestamp(self, timestamp: str) -> None:
        if not self.ledger.set_next_timestamp(parse_quantity(timestamp, "a timestamp")):
            reason = "it is not after the last block, or the next block already holds transactions"
            raise RpcError("evm_setNextBlockTimestamp", _INVALID_PARAMS, reason)

    # -- state --

    def _get_balance(self, address: str, block: str = "latest") -> str:
        return hex(self._vm(block).state.get_balance(parse_data(address, "an address", 20)))

    def _get_nonce(self, address: str, block: str = "latest") -> str:
        return hex(self._vm(block).state.get_nonce(parse_data(address, "an address", 20)))

    def _get_code(self, address: str, block: str = "latest") -> str:
        return hex_data(self._vm(block).state.get_code(parse_data(address, "an address", 20)))

    def _get_storage(self, address: str, slot: str, block: str = "latest") -> str:
        state = self._vm(block).state
        value = state.get_storage(parse_data(address, "an address", 20), parse_quantity(slot, "a slot"))
        return hex_data(value.to_bytes(32, "big"))

    # -- calls and transactions --

    def _call(self, request: dict[str, str], block: str = "latest") -> str:
        sender, to, data, value = wire.parse_call(request)
        limit = self.ledger.genesis.gas_limit
        gas = min(parse_quantity(request.get("gas", hex(limit)), "a gas limit"), limit)
        # many nodes of one process ask the same of one block, and a block's hash says what it answers
        key = (self._block_hash(block), sender, to, data, value, gas)
        answer = self._answers.get(key)
        if answer is None:
            vm = self._vm(block)
            message = call.Message(sender, to, data, value, gas, vm.state.get_nonce(sender))
            answer = hex_data(call.output_or_raise("eth_call", call.run(vm, message)))
            if key[0] is not None and len(data) <= _LONGEST_KEPT:
                self._answers[key] = answer
                if len(self._answers) > _ANSWERS_KEPT:
                    del self._answers[next(iter(self._answers))]
        return answer

    def _estimate(self, request: dict[str, str], block: str = "pending") -> str:
        return hex(call.estimate(self._vm(block), *wire.parse_call(request)))

    def _send_raw(self, raw: str) -> str:
        return hex_data(self.ledger.add(parse_data(raw, "a raw transaction")))

    def _send_from_faucet(self, request: dict[str, str]) -> str:
        if to_checksum_address(request["from"]) != self._faucet.address:
            raise RpcError("eth_sendTransaction", _REFUSED, "only the faucet's key is held here")
        signed = self._faucet.sign_transaction(
            {
                "type": 2,
                "chainId": self.ledger.genesis.chain_id,
                "nonce": parse_quantity(self._get_nonce(self._faucet.address, "pending"), "a nonce"),
                "gas": 21_000,
                "maxFeePerGas": 10 * BASE_FEE,
                "maxPriorityFeePerGas": BASE_FEE,
                "to": to_checksum_address(request["to"]),
                "value": parse_quantity(request["value"], "a value"),
            }
        )
        return hex_data(self.ledger.add(bytes(signed.raw_transaction)))

    def _get_receipt(self, transaction_hash: str) -> dict[str, Any] | None:
        found = self._find(transaction_hash)
        return None if found is None else wire.receipt(*found)

    def _get_transaction(self, transaction_hash: str) -> dict[str, Any] | None:
        found = self._find(transaction_hash)
        if found is not None:
            return wire.transaction(*found)
        wanted = parse_data(transaction_hash, "a transaction hash", 32)
        return next((wire.unmined(each) for each in self.ledger.pending if each.hash == wanted), None)

    def _get_raw_transaction(self, transaction_hash: str) -> str | None:
        found = self._find(transaction_hash)
        return None if found is None else hex_data(found[0].transactions[found[1]].raw)

    def _get_logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first = self._sealed(query.get("fromBlock", "earliest"))
        last = self._sealed(query.get("toBlock", "latest")) or self.ledger.head
        if first is None:
            return []
        return wire.matching_logs(self.ledger.blocks[first.number : last.number + 1], query)

    # -- inside --

    def _block_hash(self, block: str) -> bytes | None:
        """None for the pending block, which has none yet, and for one that is not there."""
        sealed = None if block == "pending" else self._sealed(block)
        return None if sealed is None else bytes(sealed.header.hash)

    def _vm(self, block: str) -> VirtualMachineAPI:
        if block == "pending":
            return self.ledger.pending_vm()
        sealed = self._sealed(block)
        if sealed is None:
            raise RpcError("eth_call", _REFUSED, f"block {block} is not there yet")
        return self.ledger.vm_at(sealed)

    def _sealed(self, block: str) -> Sealed | None:
        if block in ("latest", "safe", "finalized", "pending"):
            return self.ledger.head
        return self.ledger.block(0 if block == "earliest" else parse_quantity(block, "a block number"))

    def _find(self, transaction_hash: str) -> tuple[Sealed, int] | None:
        return self.ledger.find(parse_data(transaction_hash, "a transaction hash", 32))
