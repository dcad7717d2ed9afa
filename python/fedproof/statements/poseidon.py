"""The Poseidon gadget: many hashes at once in a constraint system, with circomlib's parameters.

Rounds multiply, add and raise to the fifth power. Only the powers cost constraints, three each, so the input of every
S-box is written as one linear combination of the outputs of the S-boxes before it; the coefficients are constants of
the arity. The state starts as `(0, inputs)`, hence the first S-box is a constant and costs nothing.

Cost of one hash of k inputs, t = k + 1, with R_F full and R_P partial rounds: `3 (R_F t - 1 + R_P)`, that is 213, 240
and 297 constraints for k = 1, 2 and 4.

A gated hash has every constant multiplied by a boolean wire. With the gate at 1 it is Poseidon; with the gate at 0 and
all inputs 0 every wire is 0, which costs a prover next to nothing. Whoever gates must ignore the output of a closed
gate.

Why it is sound: each wire is the square, the fourth or the fifth power of what was fixed before it, so the inputs
determine every wire and the output (Grassi et al., "Poseidon", USENIX Security 2021; eprint 2019/458).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.proving.lin import Index, Lin, concatenate
from fedproof.proving.r1cs import ConstraintSystem, FrArray

_R = _core.MODULUS


@dataclass(frozen=True)
class _Parameters:
    """Constants of one arity: `constants[r][i]` is added to element i before the S-boxes of round r."""

    width: int
    constants: tuple[tuple[int, ...], ...]
    mds: tuple[tuple[int, ...], ...]
    full: int
    partial: int

    @property
    def rounds(self) -> int:
        return self.full + self.partial

    @property
    def boxes(self) -> int:
        """S-boxes with a constraint, without the constant first one."""
        return self.full * self.width - 1 + self.partial

    @property
    def first(self) -> int:
        """The constant output of the first S-box."""
        return pow(self.constants[0][0], 5, _R)

    def is_full(self, index: int) -> bool:
        """Whether a round has an S-box for each element."""
        return index < self.full // 2 or index >= self.full // 2 + self.partial


@cache
def _parameters(arity: int) -> _Parameters:
    constants, mds, full, partial = _core.poseidon_parameters(arity)
    width = arity + 1
    rows = tuple(tuple(constants[at : at + width]) for at in range(0, len(constants), width))
    return _Parameters(width, rows, tuple(map(tuple, mds)), full, partial)


def poseidon_cost(arity: int) -> int:
    """Constraints of one hash."""
    return 3 * _parameters(arity).boxes


def poseidon_hash(cs: ConstraintSystem, inputs: Lin, group: str, gate: Lin | None = None) -> Lin:
    """Hashes `(n,)` of inputs `(n, arity)`; all constraints belong to `group`.

    The wires are named `<group>/square`, `<group>/fourth` and `<group>/fifth`, shape `(n, boxes)`. The gate, shape
    `(n,)`, consists of plain wires that the caller has made boolean; without one, all hashes are open.
    """
    n, arity = inputs.shape
    p = _parameters(arity)
    gate = cs.one.broadcast_to((n,)) if gate is None else gate
    values: tuple[FrArray, FrArray, FrArray] | tuple[None, None, None] = (None, None, None)
    if cs.assigning:
        values = _trace(cs.value(inputs), cs.value(gate), arity)
    shape = (n, p.boxes)
    square = cs.private(shape, values[0], f"{group}/square")
    fourth = cs.private(shape, values[1], f"{group}/fourth")
    fifth = cs.private(shape, values[2], f"{group}/fifth")
    # an assignment alone counts rows and stores none, so any array of the right shape does
    into = _box_inputs(cs, inputs, gate, fifth, p) if cs.structure else fifth
    cs.constrain(into, into, square, group)
    cs.constrain(square, square, fourth, group)
    cs.constrain(fourth, into, fifth, group)
    return (fifth[:, -p.width :] * np.array(p.mds[0], dtype=object)).sum(1)


def _box_inputs(cs: ConstraintSystem, inputs: Lin, gate: Lin, fifth: Lin, p: _Parameters) -> Lin:
    """Inputs of all S-boxes, `(n, boxes)`: of round 0 over the gadget's inputs, of later rounds over S-box outputs."""
    n = inputs.shape[0]
    head = inputs + gate.reshape(n, 1) * np.array(p.constants[0][1:], dtype=object)
    rows, columns, values = _later_boxes(p.width - 1)
    ids = np.array([cs.pool.id(value) for value in values], dtype=np.int32)
    later = p.boxes - (p.width - 1)
    element = (rows + later * np.arange(n, dtype=np.int64)[:, None]).reshape(-1)
    # column -1 is the constant
    wires = np.where(columns < 0, gate.wires[:, None], fifth.wires.reshape(n, p.boxes)[:, columns]).reshape(-1)
    tail = Lin(cs, (n, later), element, wires, np.tile(ids, n))
    return concatenate([head, tail], axis=1)


@cache
def _later_boxes(arity: int) -> tuple[Index, Index, tuple[int, ...]]:
    """Inputs of the S-boxes after round 0 over S-box outputs: terms (row, column, coefficient), sorted by row."""
    p = _parameters(arity)
    made = p.width - 1
    state: list[dict[int, int]] = [{-1: p.first}, *({box: 1} for box in range(made))]
    boxes: list[dict[int, int]] = []
    for index in range(1, p.rounds):
        state = [_combine(row, state, constant) for row, constant in zip(p.mds, p.constants[index], strict=True)]
        for element in range(p.width if p.is_full(index) else 1):
            boxes.append(state[element])
            state[element] = {made: 1}
            made += 1
    terms = [(row, column, value) for row, box in enumerate(boxes) for column, value in sorted(box.items())]
    rows, columns, values = zip(*terms, strict=True)
    return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64), values


def _combine(weights: tuple[int, ...], state: list[dict[int, int]], constant: int) -> dict[int, int]:
    out = {-1: constant}
    for weight, element in zip(weights, state, strict=True):
        for column, value in element.items():
            out[column] = (out.get(column, 0) + weight * value) % _R
    return out


def _trace(inputs: FrArray, gate: FrArray, arity: int) -> tuple[FrArray, FrArray, FrArray]:
    """Squares, fourth and fifth powers of all S-boxes, each `(n * boxes, 4)`, hash by hash."""
    p = _parameters(arity)
    n, width = len(inputs) // arity, p.width
    linear = _round_layers(arity, n)
    # element by element, so that the one that every round touches is the first n rows
    by_element = inputs.reshape(n, arity, 4).transpose(1, 0, 2).reshape(-1, 4)
    state = _core.fr_add(by_element, _core.fr_mul(linear.head, np.tile(gate, (arity, 1))))
    first = _core.fr_mul(gate, linear.first)
    parts: list[list[FrArray]] = [[], [], []]
    for index in range(p.rounds):
        if index:
            padded = np.concatenate([gate, state])
            state = _core.sparse_apply(linear.indptr, linear.wires, linear.coeffs, linear.pools[index], padded)
        raised = state if p.is_full(index) else state[:n]
        square = _core.fr_mul(raised, raised)
        fourth = _core.fr_mul(square, square)
        fifth = _core.fr_mul(fourth, raised)
        for part, values in zip(parts, (square, fourth, fifth), strict=True):
            part.append(values)
        state = np.concatenate([first, fifth]) if not index else np.concatenate([fifth, state[len(fifth) :]])
    assert len(state) == n * width
    square, fourth, fifth = (
        np.ascontiguousarray(np.concatenate(part).reshape(p.boxes, n, 4).transpose(1, 0, 2)).reshape(-1, 4)
        for part in parts
    )
    return square, fourth, fifth


@dataclass(frozen=True)
class _RoundLayers:
    """The linear layer of n states as a sparse matrix over `(gates, states)`; its pool holds the round's constants."""

    first: FrArray
    head: FrArray
    indptr: Index
    wires: Index
    coeffs: NDArray[np.int32]
    pools: tuple[FrArray, ...]


@cache
def _round_layers(arity: int, n: int) -> _RoundLayers:
    p = _parameters(arity)
    t = p.width
    mds = [value for row in p.mds for value in row]
    pools = tuple(_core.fr_from_ints([*mds, *constants]) for constants in p.constants)
    element, instance, term = np.meshgrid(np.arange(t), np.arange(n), np.arange(t + 1), indexing="ij")
    wires = np.where(term < t, n + term * n + instance, instance)
    coeffs = np.where(term < t, element * t + term, t * t + element)
    return _RoundLayers(
        first=_core.fr_from_ints([p.first]),
        head=_core.fr_from_ints([constant for constant in p.constants[0][1:] for _ in range(n)]),
        indptr=np.arange(0, t * n * (t + 1) + 1, t + 1, dtype=np.int64),
        wires=wires.reshape(-1).astype(np.int64),
        coeffs=coeffs.reshape(-1).astype(np.int32),
        pools=pools,
    )
