"""The Prague rules of py-evm, with native BN254 precompiles and the checks that py-evm leaves to a mempool."""

from __future__ import annotations

from collections.abc import Callable

from eth.abc import BlockHeaderAPI, ComputationAPI, SignedTransactionAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.exceptions import VMError
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth_utils.exceptions import ValidationError

import fedproof._core as _core
from fedproof.ledger.transactions import init_code_gas

TX_GAS_CAP = 16_777_216  # EIP-7825
CODE_SIZE_LIMIT = 24_576  # EIP-170
INITCODE_SIZE_LIMIT = 2 * CODE_SIZE_LIMIT  # EIP-3860
_FLOOR_GAS_PER_TOKEN = 10  # EIP-7623: a zero byte is one token, any other four
_TX_GAS = 21_000
_MAX_REFUND_QUOTIENT = 5  # EIP-3529

# EIP-1108
_EC_ADD_GAS = 150
_EC_MUL_GAS = 6_000
_PAIRING_BASE_GAS = 45_000
_PAIRING_PAIR_GAS = 34_000
_PAIR_BYTES = 192


def _run_native(computation: ComputationAPI, gas: int, run: Callable[[bytes], bytes]) -> ComputationAPI:
    computation.consume_gas(gas, reason="BN254 precompile")
    try:
        computation.output = run(computation.msg.data_as_bytes)
    except ValueError as error:
        # A VMError burns all gas handed to the call, and the CALL pushes 0: what EIP-196 and EIP-197 ask for.
        raise VMError("invalid BN254 input") from error
    return computation


def _ec_add(computation: ComputationAPI) -> ComputationAPI:
    return _run_native(computation, _EC_ADD_GAS, _core.ec_add)


def _ec_mul(computation: ComputationAPI) -> ComputationAPI:
    return _run_native(computation, _EC_MUL_GAS, _core.ec_mul)


def _ec_pairing(computation: ComputationAPI) -> ComputationAPI:
    pairs = len(computation.msg.data) // _PAIR_BYTES
    gas = _PAIRING_BASE_GAS + _PAIRING_PAIR_GAS * pairs
    return _run_native(computation, gas, lambda data: int(_core.ec_pairing(data)).to_bytes(32, "big"))


def _precompile_address(number: int) -> bytes:
    return number.to_bytes(20, "big")


class NativeComputation(PragueComputation):  # type: ignore[misc]
    """Prague, with 0x06, 0x07 and 0x08 served by the Rust core: py-evm's own pairing takes seconds."""

    _precompiles = {  # noqa: RUF012 - py-evm configures its classes by such mappings
        **PragueComputation.get_precompiles(),
        _precompile_address(6): _ec_add,
        _precompile_address(7): _ec_mul,
        _precompile_address(8): _ec_pairing,
    }


class NativeState(PragueState):  # type: ignore[misc]
    """Prague's state over `NativeComputation`."""

    computation_class = NativeComputation


class NativeVM(PragueVM):  # type: ignore[misc]
    """Prague, plus EIP-7825's transaction cap from the fork after it, so that no gas figure rests on a bigger block."""

    _state_class = NativeState

    def validate_transaction_against_header(self, header: BlockHeaderAPI, transaction: SignedTransactionAPI) -> None:
        """Refuses what a real node would not put in a block.

        Raises:
            ValidationError: with the reason.
        """
        super().validate_transaction_against_header(header, transaction)
        if transaction.gas > TX_GAS_CAP:
            raise ValidationError(f"transaction gas limit {transaction.gas} is over the cap of {TX_GAS_CAP}")
        if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
            raise ValidationError("max priority fee per gas higher than max fee per gas")
        is_create = transaction.to == CREATE_CONTRACT_ADDRESS
        if is_create and len(transaction.data) > INITCODE_SIZE_LIMIT:
            raise ValidationError(f"init code of {len(transaction.data)} bytes is over {INITCODE_SIZE_LIMIT}")
        intrinsic = transaction.intrinsic_gas + (init_code_gas(transaction.data) if is_create else 0)
        needed = max(intrinsic, floor_gas(transaction.data))
        if transaction.gas < needed:
            raise ValidationError(f"intrinsic gas too low: have {transaction.gas}, want {needed}")

    @classmethod
    def finalize_gas_used(cls, transaction: SignedTransactionAPI, computation: ComputationAPI) -> int:
        """EIP-7623's maximum of two sums; py-evm caps the refund on the wrong one of them."""
        used = transaction.gas - computation.get_gas_remaining()
        return gas_after_refund(used, computation.get_gas_refund(), transaction.data)


def floor_gas(data: bytes) -> int:
    """The least that a transaction with this calldata pays (EIP-7623)."""
    return _TX_GAS + _FLOOR_GAS_PER_TOKEN * (4 * len(data) - 3 * data.count(0))


def gas_after_refund(used: int, refund: int, data: bytes) -> int:
    """Gas that the sender pays in the end (EIP-3529, EIP-7623)."""
    return max(used - min(refund, used // _MAX_REFUND_QUOTIENT), floor_gas(data))
