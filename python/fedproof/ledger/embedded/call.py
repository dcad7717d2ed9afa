"""Runs a message without a signature and without keeping what it changed: eth_call and eth_estimateGas."""

from __future__ import annotations

from dataclasses import dataclass

from eth.abc import ComputationAPI, VirtualMachineAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import Revert, VMError

from fedproof.ledger.embedded.evm import TX_GAS_CAP, floor_gas
from fedproof.ledger.rpc import RpcError
from fedproof.ledger.transactions import init_code_gas, intrinsic_gas

_STIPEND = 2_300


@dataclass(frozen=True)
class Message:
    """One call. It has the attributes that py-evm's executor reads of a signed transaction, with a fee of zero."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int
    nonce: int = 0
    type_id: int = 2
    access_list: tuple[()] = ()
    max_fee_per_gas: int = 0
    max_priority_fee_per_gas: int = 0
    gas_price: int = 0
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[()] = ()

    @property
    def intrinsic_gas(self) -> int:
        """Calldata and base cost. The init code words are left out, as py-evm takes them when the code starts."""
        is_creation = self.to == CREATE_CONTRACT_ADDRESS
        return intrinsic_gas(self.data, is_creation) - (init_code_gas(self.data) if is_creation else 0)


def run(vm: VirtualMachineAPI, message: Message) -> ComputationAPI:
    """Executes `message` on the state of `vm` and takes every change back.

    Raises:
        RpcError: the sender cannot pay the value, or the gas does not cover the calldata.
    """
    if message.gas < intrinsic_gas(message.data, message.to == CREATE_CONTRACT_ADDRESS):
        raise RpcError("eth_call", -32000, f"intrinsic gas too low: have {message.gas}")
    state = vm.state
    snapshot = state.snapshot()
    try:
        executor = state.get_transaction_executor()
        return executor.build_computation(executor.build_evm_message(message), message)
    except VMError as error:  # raised before the first opcode: too little money, init code over its limit
        raise RpcError("eth_call", -32000, str(error)) from error
    finally:
        state.revert(snapshot)


def output_or_raise(method: str, computation: ComputationAPI) -> bytes:
    """What the call returned.

    Raises:
        RpcError: code 3 with the revert data, or -32000 with the EVM's own reason.
    """
    if computation.is_success:
        return bytes(computation.output)
    raise failure(method, computation)


def failure(method: str, computation: ComputationAPI) -> RpcError:
    """The JSON-RPC error of a failed computation, with the codes that geth and anvil use."""
    if isinstance(computation.error, Revert):
        return RpcError(method, 3, "execution reverted", bytes(computation.output))
    return RpcError(method, -32000, f"{type(computation.error).__name__}: {computation.error}")


def estimate(vm: VirtualMachineAPI, sender: bytes, to: bytes, data: bytes, value: int) -> int:
    """Gas limit that makes the call succeed: close to the least, never below it.

    One run with all the gas there is says what the call uses; a second one checks that this is also enough to be
    *given*, which the 1/64 that each CALL holds back can prevent. Only then it searches.
    """

    def attempt(gas: int) -> ComputationAPI:
        return run(vm, Message(sender, to, data, value, gas, vm.state.get_nonce(sender)))

    def is_enough(gas: int) -> bool:
        return bool(attempt(gas).is_success)

    first = attempt(TX_GAS_CAP)
    if first.is_error:
        raise failure("eth_estimateGas", first)
    used = TX_GAS_CAP - int(first.get_gas_remaining())
    least = max(used, floor_gas(data))
    for guess in (least, (least + _STIPEND) * 64 // 63):
        if guess <= TX_GAS_CAP and is_enough(guess):
            return guess
    low, high = least, TX_GAS_CAP
    while high - low > max(low // 64, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
