"""Spend proofs, verified by the core, by snarkjs and by py_ecc."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.spend import SpendStatement
from tests.statements.spenders import spending
from tests.support import py_ecc, snarkjs

Proven = tuple[Keys, list[int], bytes]
PUBLIC = ["root", "nullifier 1", "nullifier 2", "leaf 1", "leaf 2", "withdrawn", "epoch", "signal"]


def proven(statement: SpendStatement) -> Proven:
    keys = setup(compile_statement(statement), _core.Srs.generate(4, [1]))
    witness = spending([10, 20], [(4, 2), (20, 0)])
    proof, public = prove_plain(keys, statement, witness)
    assert public == witness.public_inputs()
    return keys, public, proof


@pytest.fixture(scope="module")
def small() -> Proven:
    """A proof about two notes in a tree of five."""
    return proven(SpendStatement(depth=3))


def accepts(keys: Keys, public: list[int], proof: bytes) -> bool:
    return _core.groth16_verify(keys.verifying.groth16(), _core.fr_from_ints(public), proof, None)


def changed(public: list[int], name: str) -> list[int]:
    return [value + (place == PUBLIC.index(name)) for place, value in enumerate(public)]


def test_accepts_an_honest_proof(small: Proven) -> None:
    assert accepts(*small)
    keys, _, _ = small
    assert keys.verifying.num_public == len(PUBLIC)
    assert keys.verifying.eta is None


@pytest.mark.parametrize("name", PUBLIC)
def test_rejects_a_proof_about_another(small: Proven, name: str) -> None:
    keys, public, proof = small
    assert not accepts(keys, changed(public, name), proof)


def test_two_proofs_of_one_statement_differ(small: Proven) -> None:
    keys, _, proof = small
    again, _ = prove_plain(keys, SpendStatement(3), spending([10, 20], [(4, 2), (20, 0)]))
    assert all(again[part] != proof[part] for part in (slice(0, 64), slice(64, 192), slice(192, 256)))


def test_refuses_to_prove_what_does_not_hold(small: Proven) -> None:
    keys, _, _ = small
    with pytest.raises(ProofError, match="locked"):
        prove_plain(keys, SpendStatement(3), spending([10], unlock=60))


@pytest.mark.node
def test_snarkjs_accepts_an_honest_proof_and_no_other(small: Proven, tmp_path: Path) -> None:
    keys, public, proof = small
    assert snarkjs.accepts(tmp_path, keys.verifying, public, proof)
    assert not snarkjs.accepts(tmp_path, keys.verifying, changed(public, "withdrawn"), proof)


def test_py_ecc_accepts_an_honest_proof_and_no_other(small: Proven) -> None:
    keys, public, proof = small
    assert py_ecc.accepts(keys.verifying, public, proof)
    assert not py_ecc.accepts(keys.verifying, changed(public, "nullifier 1"), proof)


@pytest.mark.slow
@pytest.mark.node
def test_the_full_circuit_proves_and_snarkjs_agrees(tmp_path: Path) -> None:
    keys, public, proof = proven(SpendStatement())
    assert accepts(keys, public, proof)
    assert snarkjs.accepts(tmp_path, keys.verifying, public, proof)
    assert not snarkjs.accepts(tmp_path, keys.verifying, changed(public, "leaf 2"), proof)
