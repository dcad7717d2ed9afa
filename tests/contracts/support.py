"""How the tests state that a contract refuses, and small helpers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.errors import ContractRejected
from fedproof.ledger import Account, Artifact, Chain
from fedproof.ledger.abi import decode_result, encode_call
from fedproof.ledger.rpc import hex_data, parse_data

ARTIFACTS = Path(__file__).parent / "artifacts"
R = _core.MODULUS
P = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def load_test_artifact(name: str) -> Artifact:
    return Artifact.from_json((ARTIFACTS / f"{name}.json").read_text(), name)


def int_words(data: bytes) -> list[int]:
    return [int.from_bytes(data[k : k + 32], "big") for k in range(0, len(data), 32)]


def to_bytes(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)


@contextlib.contextmanager
def rejects(name: str, *arguments: object) -> Iterator[None]:
    """The block must be refused with this custom error; its first arguments are compared where given."""
    with pytest.raises(ContractRejected) as caught:
        yield
    assert caught.value.name == name, str(caught.value)
    assert caught.value.arguments[: len(arguments)] == arguments


def call_with_gas(chain: Chain, function: ContractFunction, gas: int, sender: Account) -> object:
    """The result of a call that is given exactly this much gas; RpcError when it fails."""
    request = {
        "from": sender.address,
        "to": function.address,
        "data": hex_data(encode_call(function)),
        "gas": hex(gas),
    }
    answer = chain.rpc.request("eth_call", request, "latest")
    return decode_result(function, parse_data(answer, "the result of a call"))


def send_raw_calldata(chain: Chain, function: ContractFunction, extra: bytes, sender: Account) -> None:
    """Calls with bytes behind the encoded arguments."""
    request = {"from": sender.address, "to": function.address, "data": hex_data(encode_call(function) + extra)}
    chain.rpc.request("eth_call", request, "latest")
