"""Eligibility proofs, verified by the core, by snarkjs and by py_ecc."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedproof import _core
from fedproof.errors import ProofError
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import Keys, setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.eligibility import EligibilityStatement
from tests.statements.holders import holding
from tests.support import py_ecc, snarkjs

R = _core.MODULUS
Proven = tuple[Keys, list[int], bytes]
PUBLIC = ["root", "scope", "nullifier", "threshold", "signal", "epoch"]


@pytest.fixture(scope="module")
def small() -> Proven:
    """A proof about two notes in a tree of five."""
    statement = EligibilityStatement(depth=3, notes=2)
    keys = setup(compile_statement(statement), _core.Srs.generate(4, [1]))
    witness = holding([10, 20], size=5, at=[4, 1])
    proof, public = prove_plain(keys, statement, witness)
    assert public == witness.public_inputs()
    return keys, public, proof


def accepts(keys: Keys, public: list[int], proof: bytes) -> bool:
    return _core.groth16_verify(keys.verifying.groth16(), _core.fr_from_ints(public), proof, None)


def changed(public: list[int], at: int) -> list[int]:
    return [value + (place == at) for place, value in enumerate(public)]


def test_accepts_an_honest_proof(small: Proven) -> None:
    assert accepts(*small)
    keys, _, _ = small
    assert keys.verifying.num_public == len(PUBLIC)
    assert keys.verifying.eta is None


@pytest.mark.parametrize("name", PUBLIC)
def test_rejects_a_proof_about_another(small: Proven, name: str) -> None:
    keys, public, proof = small
    assert not accepts(keys, changed(public, PUBLIC.index(name)), proof)


def test_two_proofs_of_one_statement_differ(small: Proven) -> None:
    keys, public, proof = small
    again, same = prove_plain(keys, EligibilityStatement(3, 2), holding([10, 20], size=5, at=[4, 1]))
    assert same == public
    assert all(again[part] != proof[part] for part in (slice(0, 64), slice(64, 192), slice(192, 256)))


def test_refuses_to_prove_what_does_not_hold(small: Proven) -> None:
    keys, _, _ = small
    with pytest.raises(ProofError):
        prove_plain(keys, EligibilityStatement(3, 2), holding([10, 20], size=5, threshold=31))


@pytest.mark.node
def test_snarkjs_accepts_an_honest_proof_and_no_other(small: Proven, tmp_path: Path) -> None:
    keys, public, proof = small
    assert snarkjs.accepts(tmp_path, keys.verifying, public, proof)
    assert not snarkjs.accepts(tmp_path, keys.verifying, changed(public, PUBLIC.index("threshold")), proof)
    swapped = _core.g1_neg(proof[:64]) + proof[64:]
    assert not snarkjs.accepts(tmp_path, keys.verifying, public, swapped)


def test_py_ecc_accepts_an_honest_proof_and_no_other(small: Proven) -> None:
    keys, public, proof = small
    assert py_ecc.accepts(keys.verifying, public, proof)
    assert not py_ecc.accepts(keys.verifying, changed(public, PUBLIC.index("nullifier")), proof)


@pytest.mark.slow
@pytest.mark.node
def test_the_full_circuit_proves_and_snarkjs_agrees(tmp_path: Path) -> None:
    statement = EligibilityStatement()
    keys = setup(compile_statement(statement), _core.Srs.generate(4, [1]))
    for amounts, size in (([10], 1), ([10, 20, 30, 40], 33)):
        proof, public = prove_plain(keys, statement, holding(amounts, size=size))
        assert accepts(keys, public, proof)
        assert snarkjs.accepts(tmp_path, keys.verifying, public, proof)
        assert not snarkjs.accepts(tmp_path, keys.verifying, changed(public, 5), proof)
