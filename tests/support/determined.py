"""Which wires the public inputs and the committed segment leave to a prover that has seen the challenges."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from fedproof import _core
from tests.support.soundness import Forger


def free_after_the_challenges(cs: Forger) -> set[str]:
    """Names of the wires that their own rule does not determine from the public inputs and the committed segment.

    A row determines its one unknown wire if that stands in C alone, or in one of A and B whose other factor is known
    and, at this assignment, not zero. Whatever is determined is known in turn. Only rows of the rule that a wire is
    named after count: a wire that a later check would fix is one that a prover solves that check for. The output y is a
    wire to determine, too. An empty answer says: once D and the challenges are fixed, a prover has no choice.
    """
    z, place = cs.witness(), np.empty(cs._wires, dtype=np.int64)
    place[cs.order()] = np.arange(cs._wires)
    every, pool = np.ones(cs.num_constraints, dtype=bool), _core.fr_from_ints(cs.pool.values)
    parts = [cs._matrix(part, place, every) for part in cs._parts]
    values = [(_core.sparse_apply(*part, pool, z) != 0).any(axis=1) for part in parts]
    count = cs.num_constraints
    rows = [[set(wires[indptr[i] : indptr[i + 1]].tolist()) for i in range(count)] for indptr, wires, _ in parts]

    rule = {i: name for name, ranges in cs.groups.items() for first, last in ranges for i in range(first, last)}
    named = {int(place[wire]): name for name, first, size in cs.names for wire in range(first, first + size)}
    output = int(place[cs.made["y"][0].wires[0]])
    named[output] = "evaluation/output"
    unknown = {*place[cs.segment_wires(3)].tolist(), output}
    reads: dict[int, list[int]] = defaultdict(list)
    touched = [rows[0][i] | rows[1][i] | rows[2][i] for i in range(count)]
    for i, wires in enumerate(touched):
        for wire in wires:
            reads[wire].append(i)
    left_in = [len(wires & unknown) for wires in touched]
    waiting = [i for i in range(count) if left_in[i] == 1]
    while waiting:
        i = waiting.pop()
        if left_in[i] != 1:
            continue
        a, b, c = (part[i] & unknown for part in rows)
        if (a and b) or (a and (c or not values[1][i])) or (b and (c or not values[0][i])):
            continue
        (wire,) = a | b | c
        if named[wire] != rule[i]:
            continue
        unknown.remove(wire)
        for reader in reads[wire]:
            left_in[reader] -= 1
            if left_in[reader] == 1:
                waiting.append(reader)
    left = set(cs.order()[sorted(unknown)].tolist()) if unknown else set()
    return {name for name, first, size in cs.names if left.intersection(range(first, first + size))}
