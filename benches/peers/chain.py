"""A chain of squarings as a circuit for each prover: our matrices, and the files that snarkjs and groth16py read.

`w[i + 1] = w[i]^2`; the last value is public. Wires are `[1 | last | w[0] | w[1] | ...]`. The `.zkey` is made here and
not by snarkjs, whose own way to it takes hours for 2^20: powers of tau, their transform, and a setup. It is what a
ceremony with one dealer would give, and snarkjs's own verifier accepts the proofs made with it.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedproof import _core

R = _core.MODULUS
P = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Characteristic of the field of coordinates."""

FrArray = NDArray[np.uint64]
_MONTGOMERY = 2**256
_ROOT = pow(5, (R - 1) >> 28, R)
"""A root of one of order 2^28."""


def lengths(power: int) -> int:
    """Constraints of the chain that fills a domain of `2^power`: rows of 1 and of the public wire follow them."""
    return 2**power - 2


def matrices(length: int) -> tuple[_core.R1cs, FrArray]:
    """The chain and its witness in our core."""
    starts, ids = np.arange(length + 1, dtype=np.int64), np.zeros(length, dtype=np.int32)
    factors, results = _wires(length)
    matrix = (starts, factors, ids)
    r1cs = _core.R1cs(1, 0, length + 2, _core.fr_from_ints([1]), matrix, matrix, (starts, results, ids))
    values = [3]
    for _ in range(length):
        values.append(values[-1] ** 2 % R)
    return r1cs, _core.fr_from_ints([1, values[-1], *values[:-1]])


def _wires(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row, the wire that is squared and the wire of the square."""
    factors = np.arange(length, dtype=np.int64) + 2
    return factors, np.append(factors[1:], 1)


def _file(kind: bytes, version: int, sections: list[tuple[int, bytes]]) -> bytes:
    head = kind + version.to_bytes(4, "little") + len(sections).to_bytes(4, "little")
    return head + b"".join(k.to_bytes(4, "little") + len(data).to_bytes(8, "little") + data for k, data in sections)


def _u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def _le(value: int) -> bytes:
    return value.to_bytes(32, "little")


def write_witness(z: FrArray, path: Path) -> None:
    """The `.wtns` file."""
    words = np.frombuffer(_core.fr_to_bytes(z), dtype=np.uint8).reshape(-1, 32)[:, ::-1]
    head = _u32(32) + _le(R) + _u32(len(z))
    path.write_bytes(_file(b"wtns", 2, [(1, head), (2, words.tobytes())]))


def write_circuit(length: int, path: Path) -> None:
    """The `.r1cs` file."""
    factors, results = _wires(length)
    term = np.dtype([("terms", "<u4"), ("wire", "<u4"), ("coefficient", "u1", 32)])
    rows = np.zeros((length, 3), dtype=term)
    rows["terms"] = 1
    rows["wire"] = np.stack([factors, factors, results], axis=1)
    rows["coefficient"][..., 0] = 1
    wires = length + 2
    head = _u32(32) + _le(R) + _u32(wires, 1, 0, 1) + wires.to_bytes(8, "little") + _u32(length)
    labels = np.arange(wires, dtype="<u8").tobytes()
    path.write_bytes(_file(b"r1cs", 1, [(1, head), (2, rows.tobytes()), (3, labels)]))


def write_key(length: int, path: Path) -> None:
    """The `.zkey` file, by a dealer who forgets its secrets."""
    factors, results = _wires(length)
    wires, domain = length + 2, 1 << (length + 1).bit_length()
    tau, alpha, beta, delta = (1 + secrets.randbelow(R - 1) for _ in range(4))
    basis = _lagrange(domain, tau)
    u, v, w = (np.zeros((wires, 4), dtype=np.uint64) for _ in range(3))
    u[factors], v[factors], w[results] = basis[:length], basis[:length], basis[:length]
    u[:2] = basis[length : length + 2]  # snarkjs has a row for 1 and for each public wire, in A alone
    sums = _core.fr_add(_core.fr_add(_scaled(u, beta), _scaled(v, alpha)), w)
    over = pow(delta, -1, R)
    odd = np.ascontiguousarray(_lagrange(2 * domain, tau)[1::2])
    one = _g1([1])
    head = _u32(32) + _le(P) + _u32(32) + _le(R) + _u32(wires, 1, domain)
    head += _g1([alpha]) + _g1([beta]) + _g2([beta]) + _g2([1]) + _g1([delta]) + _g2([delta])
    sections = [
        (1, _u32(1)),
        (2, head),
        (3, _g1(sums[:2])),
        (4, _coefficients(factors, length)),
        (5, _g1(u)),
        (6, _g1(v)),
        (7, _g2(v)),
        (8, _g1(_scaled(sums[2:], over))),
        (9, _g1(_scaled(odd, over))),
        (10, bytes(64) + _u32(0)),
    ]
    assert one == _le(_MONTGOMERY % P) + _le(2 * _MONTGOMERY % P)
    path.write_bytes(_file(b"zkey", 1, sections))


def _coefficients(factors: NDArray[np.int64], length: int) -> bytes:
    entry = np.dtype([("matrix", "<u4"), ("row", "<u4"), ("wire", "<u4"), ("value", "u1", 32)])
    entries = np.zeros(2 * length + 2, dtype=entry)
    entries["matrix"][1 : 2 * length : 2] = 1
    entries["row"] = np.append(np.repeat(np.arange(length), 2), [length, length + 1])
    entries["wire"] = np.append(np.repeat(factors, 2), [0, 1])
    entries["value"] = np.frombuffer(_le(_MONTGOMERY**2 % R), dtype=np.uint8)
    return _u32(len(entries)) + entries.tobytes()


def _lagrange(domain: int, tau: int) -> FrArray:
    """Values of the domain's Lagrange basis at tau: `(tau^n - 1) / n * w^i / (tau - w^i)`."""
    root = pow(_ROOT, (1 << 28) // domain, R)
    powers = _core.fr_powers(_core.fr_from_ints([root]), domain)
    distances = _core.fr_inverse(_core.fr_sub(_core.fr_from_ints([tau]), powers))
    return _scaled(_core.fr_mul(powers, distances), (pow(tau, domain, R) - 1) * pow(domain, -1, R))


def _scaled(values: FrArray, factor: int) -> FrArray:
    return _core.fr_mul(np.ascontiguousarray(values), _core.fr_from_ints([factor]))


def _field(scalars: FrArray | list[int]) -> FrArray:
    return _core.fr_from_ints(scalars) if isinstance(scalars, list) else np.ascontiguousarray(scalars)


def _g1(scalars: FrArray | list[int]) -> bytes:
    return _montgomery(_core.g1_multiples(_field(scalars)), (0, 1))


def _g2(scalars: FrArray | list[int]) -> bytes:
    return _montgomery(_core.g2_multiples(_field(scalars)), (1, 0, 3, 2))


def _montgomery(points: bytes, order: tuple[int, ...]) -> bytes:
    """Coordinates as snarkjs has them: little-endian, in Montgomery form, the real part first."""
    words = [int.from_bytes(points[at : at + 32], "big") for at in range(0, len(points), 32)]
    step = len(order)
    return b"".join(_le(words[at + k] * _MONTGOMERY % P) for at in range(0, len(words), step) for k in order)
