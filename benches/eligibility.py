"""Eligibility proof of four notes in a tree of 2^20 leaves: the most that the circuit takes.

    .venv/bin/python benches/eligibility.py

The tree is built once and not counted; a wallet grows it as notes come in.
"""

from __future__ import annotations

from _measure import Figure, options, show, timed

from fedproof import _core
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import setup
from fedproof.proving.linked import prove_plain
from fedproof.statements.eligibility import EligibilityStatement, EligibilityWitness
from fedproof.statements.notes import MAX_DEPTH, LeanImt, Note, new_secret, owner_of

EPOCH, AMOUNT = 100, 10**21


def main() -> None:
    """Measure."""
    chosen = options("eligibility proof of four notes in 2^20 leaves", repeat=7)
    secret = new_secret()
    places = [0, 345_678, (1 << 19) + 1, (1 << MAX_DEPTH) - 1]
    notes = [Note(owner_of(secret), AMOUNT, EPOCH + 5, place) for place in places]
    leaves = _core.fr_to_ints(_core.fr_random(1 << MAX_DEPTH))
    for note in notes:
        leaves[note.nonce] = note.leaf()
    tree = LeanImt(leaves)
    statement = EligibilityStatement()
    keys = setup(compile_statement(statement), _core.Srs.generate(2, [1]))
    witness = EligibilityWitness(
        secret=secret,
        notes=notes,
        proofs=[tree.proof(place) for place in places],
        root=tree.root,
        scope=7,
        threshold=4 * AMOUNT,
        signal=9,
        epoch=EPOCH,
    )
    figure = timed(
        "eligibility proof, four notes, 2^20 leaves", lambda: prove_plain(keys, statement, witness), chosen.repeat, 0.7
    )
    show([figure, Figure("constraints", "", [keys.circuit.r1cs.num_constraints])], chosen.json)


if __name__ == "__main__":
    main()
