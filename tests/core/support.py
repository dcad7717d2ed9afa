"""Independent arithmetic to hold the core against: py_ecc points, small constraint systems."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from py_ecc import optimized_bn128 as bn

from fedproof import _core

R = _core.MODULUS
P = bn.field_modulus
G1 = _core.g1_generator()
G2 = _core.g2_generator()
INFINITY_G1 = bytes(64)
INFINITY_G2 = bytes(128)

FrArray = npt.NDArray[np.uint64]
Row = dict[int, int]


def fr(*values: int) -> FrArray:
    return _core.fr_from_ints(list(values))


def one(value: FrArray) -> int:
    (number,) = _core.fr_to_ints(value)
    return number


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def to_g1(point: bytes) -> object:
    x, y = (int.from_bytes(point[i : i + 32], "big") for i in (0, 32))
    return bn.Z1 if (x, y) == (0, 0) else (bn.FQ(x), bn.FQ(y), bn.FQ(1))


def from_g1(point: object) -> bytes:
    if bn.is_inf(point):
        return INFINITY_G1
    x, y = bn.normalize(point)
    return word(int(x)) + word(int(y))


def to_g2(point: bytes) -> object:
    x1, x0, y1, y0 = (int.from_bytes(point[i : i + 32], "big") for i in (0, 32, 64, 96))
    return (bn.FQ2([x0, x1]), bn.FQ2([y0, y1]), bn.FQ2([1, 0]))


def from_g2(point: object) -> bytes:
    x, y = bn.normalize(point)
    return b"".join(word(int(part)) for part in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))


def pairing_product(*pairs: tuple[bytes, bytes]) -> bool:
    """Whether `prod e(p, q) = 1`, by py_ecc."""
    product = bn.FQ12.one()
    for p, q in pairs:
        if p != INFINITY_G1:
            product *= bn.pairing(to_g2(q), to_g1(p), final_exponentiate=False)
    return bool(bn.final_exponentiate(product) == bn.FQ12.one())


@dataclass
class System:
    """Rows `a * b = c` over integer wires; each of a, b, c maps a wire to its coefficient."""

    public: int
    committed: int
    wires: int
    rows: list[tuple[Row, Row, Row]] = field(default_factory=list)

    def build(self) -> _core.R1cs:
        values = sorted({v for row in self.rows for part in row for v in part.values()})
        ids = {value: i for i, value in enumerate(values)}

        def matrix(parts: Sequence[Row]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
            lengths = [0, *(len(part) for part in parts)]
            cols = [wire for part in parts for wire in part]
            coeffs = [ids[value] for part in parts for value in part.values()]
            return np.cumsum(lengths, dtype=np.int64), np.array(cols, np.int64), np.array(coeffs, np.int32)

        a, b, c = (matrix([row[k] for row in self.rows]) for k in range(3))
        return _core.R1cs(self.public, self.committed, self.wires, _core.fr_from_ints(values), a, b, c)

    def first_unsatisfied(self, z: Sequence[int]) -> int | None:
        def dot(part: Row) -> int:
            return sum(value * z[wire] for wire, value in part.items())

        return next((i for i, (a, b, c) in enumerate(self.rows) if (dot(a) * dot(b) - dot(c)) % R), None)


def random_system(seed: int, public: int, committed: int, rows: int) -> tuple[System, list[int]]:
    """A satisfied system: row i defines private wire i as a product of two short sums of earlier wires."""
    rng = np.random.default_rng(seed)
    free = 1 + public + committed
    system = System(public, committed, free + rows)
    z = [1, *(int(v) for v in rng.integers(1, 2**31, free - 1))]
    for i in range(rows):
        sums: list[Row] = []
        for start in (i % free, int(rng.integers(free + i))):
            wires = {start, *(int(w) for w in rng.integers(0, free + i, 2))}
            sums.append({w: int(rng.choice([1, -1, 3, -(2**40)])) for w in wires})
        a, b = sums
        system.rows.append((a, b, {free + i: 1}))
        value = 1
        for part in sums:
            value = value * sum(k * z[w] for w, k in part.items()) % R
        z.append(value)
    assert system.first_unsatisfied(z) is None
    return system, z
