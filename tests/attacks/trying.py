"""How an attack is tried on a chain, and ways to disguise a proof."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from py_ecc.optimized_bn128 import FQ2, multiply, normalize
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.errors import ContractRejected
from fedproof.ledger import Account, Chain
from fedproof.ledger.federation import TaskInfo, Update
from fedproof.ledger.rpc import RpcError
from fedproof.proving.linked import LinkedProof
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import calldata
from tests.contracts.support import call_with_gas, int_words, to_bytes

DONE = "done"


def tried(chain: Chain, call: ContractFunction, sender: Account) -> str:
    """`DONE`, or the name of the error with which the contract refuses; what is done stays done."""
    try:
        chain.transact(call, sender)
    except ContractRejected as refused:
        return refused.name
    return DONE


def tried_raw(chain: Chain, to: str, data: bytes, sender: Account) -> str:
    """The same for calldata, without a transaction."""
    try:
        chain.call_raw(to, data, sender=sender)
    except ContractRejected as refused:
        return refused.name
    return DONE


OTHER_CHAIN = 7_331


@contextmanager
def on_another_chain(chain: Chain) -> Iterator[None]:
    """The chain as it is after a split: all contracts and accounts at their places, and another chain id.

    What is done there is gone afterwards.
    """
    assert chain.dev is not None
    node, snapshot = chain.rpc, chain.dev.snapshot()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "chain_id", OTHER_CHAIN)
        patch.setattr(chain._sender, "_chain_id", OTHER_CHAIN)
        patch.setattr(node.ledger._chain, "chain_id", OTHER_CHAIN)  # type: ignore[attr-defined]
        node._answers.clear()  # type: ignore[attr-defined]  # the node keeps answers by state, and that is the same
        try:
            yield
        finally:
            chain.dev.revert(snapshot)
            node._answers.clear()  # type: ignore[attr-defined]


def stands(arena: Arena, task: TaskInfo, update: Update) -> bool:
    """Whether nobody can have a submitted update removed by showing that it is invalid."""
    call = arena.federation.reject_update_call(arena.now(task), update)
    outcome = tried(arena.chain, call, arena.outsider)
    assert outcome in (DONE, "UpdateIsValid")
    return outcome == "UpdateIsValid"


def is_invalid(arena: Arena, task: TaskInfo, update: Update) -> bool:
    """What the federation's judge says of an update that may not have been submitted."""
    judge = arena.chain.deploy("RoundJudge", sender=arena.outsider)
    selector = _core.keccak256(b"isInvalid(address,address,uint256,uint256,BN254.G1,SealedUpdate)")[:4]  # of a library
    _, standing, sealed = arena.federation.reject_update_call(task, update).args
    where = (arena.federation.address, task.params.training_key, task.task_id, task.round)
    data = selector + calldata(judge.functions.isInvalid(*where, standing[0], sealed))[4:]
    answer = arena.chain.rpc.request(
        "eth_call", {"from": arena.outsider.address, "to": judge.address, "data": "0x" + data.hex()}, "latest"
    )
    return bool(int(answer, 16))


def starved(chain: Chain, call: ContractFunction, sender: Account, gas: range) -> set[object]:
    """What a call answers with each amount of gas; the name of its error where it fails with one."""
    answers: set[object] = set()
    for amount in gas:
        try:
            answers.add(call_with_gas(chain, call, amount, sender))
        except RpcError as error:
            answers.add(getattr(chain._diagnosis.meaning(error, ""), "name", "") if error.data else "no gas")
    return answers


def _g2_times(point: bytes, scalar: int) -> bytes:
    xi, xr, yi, yr = int_words(point)
    x, y = normalize(multiply((FQ2([xr, xi]), FQ2([yr, yi]), FQ2.one()), scalar))
    return to_bytes([int(value) for pair in (x, y) for value in reversed(pair.coeffs)])


def rerandomised(proof: bytes, factor: int = 0xDECAF) -> bytes:
    """Another proof of the same statement, by somebody without its witness: `A s`, `B / s`, C."""
    a = _core.g1_mul(proof[:64], _core.fr_from_ints([factor]))
    b = _g2_times(proof[64:192], pow(factor, -1, _core.MODULUS))
    return a + b + proof[192:]


def disguised(proof: LinkedProof) -> LinkedProof:
    """A linked proof with its Groth16 part rerandomised."""
    return replace(proof, proof=rerandomised(proof.proof))
