"""What the statements about notes share: numbers as bits, and the path from a leaf to the root of the tree of notes.

Why they are sound is told where they are used, in `eligibility.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedproof import _core
from fedproof.proving.lin import Lin, concatenate, stack
from fedproof.proving.r1cs import ConstraintSystem, Values
from fedproof.statements.notes import MerkleProof
from fedproof.statements.poseidon import poseidon_cost, poseidon_hash


def number(cs: ConstraintSystem, values: Sequence[int] | None, count: int, bits: int, name: str) -> Lin:
    """Numbers `(count,)` in `[0, 2^bits)`, as combinations of boolean wires `<name>/bits`."""
    digits: Values = None
    if values is not None:
        # a value out of range keeps its low bits, and the constraint on the number fails
        digits = np.array([value >> bit & 1 for value in values for bit in range(bits)], dtype=np.int64)
    wires = cs.private((count, bits), digits, f"{name}/bits")
    cs.constrain(wires, 1 - wires, 0, f"{name}/bits")
    return (wires * np.array([1 << bit for bit in range(bits)], dtype=object)).sum(1)


def equals_number(cs: ConstraintSystem, wire: Lin, value: int | None, bits: int, name: str) -> None:
    """Require that a public input lies in `[0, 2^bits)`."""
    found = number(cs, None if value is None else [value], 1, bits, name)
    cs.equal(found[0], wire, f"{name}/value")


def climb(cs: ConstraintSystem, leaf: Lin, proofs: Sequence[MerkleProof] | None, depth: int) -> Lin:
    """Tops `(m,)` of the paths from the leaves `(m,)`, of at most `depth` hashes each. One gadget hashes all levels."""
    if not depth:
        return leaf
    shape = (leaf.size, depth)
    path = None if proofs is None else path_values(_core.fr_to_ints(cs.value(leaf)), proofs, depth)
    left = cs.private(shape, path and path[0], "path/left")
    right = cs.private(shape, path and path[1], "path/right")
    goes_on = cs.private(shape, path and path[2], "path/goes on")
    above = cs.private(shape, path and path[3], "path/above")
    node = leaf.reshape(-1, 1)
    if depth > 1:
        node = concatenate([node, above[:, :-1]], axis=1)
    cs.constrain(goes_on, 1 - goes_on, 0, "path/goes on")
    stranger = cs.product(node - left, node - right, "path/stranger")
    cs.constrain(goes_on, stranger, 0, "path/child")
    children = stack([left, right], axis=2).reshape(-1, 2)
    parent = poseidon_hash(cs, children, "path/hash", gate=goes_on.reshape(-1)).reshape(*shape)
    cs.constrain(goes_on, parent - node, above - node, "path/above")
    return above[:, -1]


def climb_cost(leaves: int, depth: int) -> int:
    """Constraints of `climb`."""
    return leaves * depth * (poseidon_cost(2) + 4)


def path_values(
    leaves: Sequence[int], proofs: Sequence[MerkleProof], depth: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Left and right child, whether the level is hashed, node above: path by path, each from the leaf up."""
    levels: list[list[tuple[int, int, int, int]]] = []
    nodes = list(leaves)
    for level in range(depth):
        steps = [_step(node, proof, level) for node, proof in zip(nodes, proofs, strict=True)]
        hashed = [place for place, (_, _, goes_on) in enumerate(steps) if goes_on]
        if hashed:
            pairs = [child for place in hashed for child in steps[place][:2]]
            parents = _core.fr_to_ints(_core.poseidon(_core.fr_from_ints(pairs), 2))
            for place, parent in zip(hashed, parents, strict=True):
                nodes[place] = parent
        levels.append([(*step, node) for step, node in zip(steps, nodes, strict=True)])
    rows = [level[slot] for slot in range(len(nodes)) for level in levels]
    left, right, goes_on, above = ([row[part] for row in rows] for part in range(4))
    return left, right, goes_on, above


def _step(node: int, proof: MerkleProof, level: int) -> tuple[int, int, int]:
    if level >= len(proof.siblings):
        return 0, 0, 0
    sibling = proof.siblings[level]
    return (sibling, node, 1) if proof.right[level] else (node, sibling, 1)
