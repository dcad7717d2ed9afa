"""Calls and results of contracts, between Python values and ABI bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.exceptions import DecodingError
from eth_typing import ABIComponent
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types, get_abi_output_types
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import Web3Exception

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.artifacts import Artifact

CODEC = Web3().codec


def contract_object(artifact: Artifact, address: str) -> Contract:
    """A web3 contract for encoding. It has no provider, so that only a `Chain` can call it."""
    return Web3().eth.contract(address=to_checksum_address(address), abi=list(artifact.abi))


def encode_call(function: ContractFunction) -> bytes:
    """Calldata of a bound function such as `contract.functions.open(1)`."""
    abi = function.abi
    return bytes(function_abi_to_4byte_selector(abi)) + CODEC.encode(get_abi_input_types(abi), function.arguments)


def encode_creation(artifact: Artifact, arguments: Sequence[Any], libraries: Mapping[str, str]) -> bytes:
    """Creation code with its encoded constructor arguments.

    Raises:
        InputError: the arguments do not fit the constructor, or the libraries the code.
    """
    factory = Web3().eth.contract(abi=list(artifact.abi), bytecode=artifact.linked(libraries))
    try:
        data = factory.constructor(*arguments).data_in_transaction
    except (TypeError, ValueError, Web3Exception) as error:
        raise InputError(f"constructor of {artifact.name}: {one_line(error)}") from error
    return bytes.fromhex(str(data).removeprefix("0x"))


def decode_result(function: ContractFunction, data: bytes) -> Any:
    """What a call returned: None, one value, or a tuple of values.

    Raises:
        LedgerError: the data is not what the ABI promises, as when no contract is at the address.
    """
    abi = function.abi
    types = get_abi_output_types(abi)
    if types and not data:
        raise LedgerError(f"{function.address} answered {abi['name']} with nothing: no such contract is there")
    try:
        values = CODEC.decode(types, data)
    except DecodingError as error:
        raise LedgerError(f"the answer of {function.address} to {abi['name']} does not fit its ABI") from error
    tidied = tidy_all(abi.get("outputs", ()), values)
    return None if not tidied else tidied[0] if len(tidied) == 1 else tidied


def component_types(components: Sequence[ABIComponent]) -> list[str]:
    """Canonical types of a parameter list; tuples are written out."""
    return get_abi_input_types({"type": "function", "name": "", "inputs": components})


def tidy_all(components: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> tuple[Any, ...]:
    """`tidy` for a whole parameter list."""
    return tuple(tidy(component, value) for component, value in zip(components, values, strict=True))


def tidy(component: Mapping[str, Any], value: Any) -> Any:
    """Addresses get their checksum, at any depth; everything else stays."""
    kind: str = component["type"]
    if kind.endswith("]"):
        inner = {**component, "type": kind[: kind.rindex("[")]}
        return tuple(tidy(inner, each) for each in value)
    if kind == "address":
        return to_checksum_address(value)
    if kind == "tuple":
        return tidy_all(component["components"], value)
    return value


def one_line(error: Exception) -> str:
    """The text of a library's error, short and without line breaks."""
    return " ".join(str(error).split())[:300]
