"""The native boundary: whatever bytes and arrays come, `_core` answers or raises an ordinary exception."""

from __future__ import annotations

import contextlib
import struct
from itertools import pairwise
from typing import Any

import numpy as np

from fedproof import _core
from fuzz.harness import CORE, Harness

VALUE = (ValueError,)
_PIECE = 97


def _one_form(read: Any) -> Any:
    def run(data: bytes) -> object:
        found = read(data)
        assert found.to_bytes() == data, "two byte forms of one value"
        return found

    return run


def _chunks(data: bytes) -> object:
    pieces = (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))
    return _core.ProvingKey.from_chunks(pieces, len(data), True)


def _unchecked(data: bytes) -> object:
    """A key whose points nobody checked may prove nothing, and still does no harm."""
    key = _core.ProvingKey.from_bytes(data, False)
    with contextlib.suppress(ValueError):  # of a key without committed wires
        key.commit(_core.fr_from_ints([3, 5]))
    return key.to_bytes(), key.verifying_key(), key.circuit_digest


def _phase_one(data: bytes) -> object:
    """Verified, too, where that takes no time: a beacon may ask for millions of hashes."""
    phase = _one_form(_core.PhaseOne.from_bytes)(data)
    told = phase.contributions()
    if len(told) <= 3 and all(beacon is None or beacon[1] <= 10 for _, beacon, _ in told):
        phase.verify()
    return told


def _points(data: bytes) -> object:
    """The precompiles take any bytes; the checks take points."""
    for call in (_core.ec_add, _core.ec_mul, _core.ec_pairing):
        try:
            call(data)
        except ValueError:
            continue
    _core.g1_check(data[:64])
    _core.g2_check(data[64:192])
    return _core.g1_add(data[:64], _core.g1_neg(data[:64]))


def _point(data: bytes) -> object:
    """A point of either group. What is one has one form, so that doing nothing to it gives it back."""
    if len(data) == 128:
        _core.g2_check(data)
        return None
    _core.g1_check(data)
    assert _core.g1_add(data, bytes(64)) == data
    return None


def _verify(data: bytes) -> object:
    """alpha, beta, delta, eta, an IC point twice, a proof, D, and one public input."""
    cut = [0, 64, 192, 320, 448, 512, 576, 832, 896, 928]
    alpha, beta, delta, eta, ic0, ic1, proof, d, x = (data[a:b] for a, b in pairwise(cut))
    vk: Any = {
        "alpha_g1": alpha,
        "beta_g2": beta,
        "delta_g2": delta,
        "eta_g2": eta if any(eta) else None,
        "ic": [ic0, ic1],
    }
    return _core.groth16_verify(vk, _core.fr_from_bytes(x), proof, d if any(d) else None)


def _arrays(data: bytes) -> object:
    """Two vectors of raw limbs, cut where the first byte says; every function of vectors gets them."""
    body = data[2:]
    limbs = np.frombuffer(body[: len(body) // 32 * 32], np.uint64).reshape(-1, 4)
    at, small = (*data[:2], 0, 0)[:2]
    a, b = limbs[:at], limbs[at:]
    calls: list[Any] = [
        lambda: _core.fr_add(a, b), lambda: _core.fr_sub(a, b), lambda: _core.fr_mul(a, b), lambda: _core.fr_dot(a, b),
        lambda: _core.fr_neg(a), lambda: _core.fr_inverse(a), lambda: _core.fr_sum(a), lambda: _core.fr_to_i64(a),
        lambda: _core.fr_to_ints(a), lambda: _core.fr_to_bytes(a), lambda: _core.poly_eval(a, b),
        lambda: _core.poly_divide_linear(a, b), lambda: _core.poseidon(a, small), lambda: _core.fr_powers(b, small),
        lambda: _core.g1_multiples(a[:4]), lambda: _core.g1_msm(body[: 64 * len(a)], a),
        lambda: _core.poseidon(limbs[:, ::-1], small), lambda: _core.fr_sum(limbs[::2]), lambda: _core.fr_sum(a.T),
        lambda: _core.fr_neg(np.frombuffer(data, np.uint8)), lambda: _core.fr_from_i64(limbs[:, 0].view(np.int64)),
    ]  # fmt: skip
    return _all(calls)


def _system(data: bytes) -> object:
    """A constraint system from small numbers: counts, then row starts, columns and coefficients of three matrices."""
    numbers = struct.unpack(f">{len(data) // 2}h", data[: len(data) // 2 * 2])
    public, committed, wires, rows = (*numbers[:4], 0, 0, 0, 0)[:4]
    rest, size = numbers[4:], max(0, min(rows, 40))
    each = len(rest) // 3
    parts = [rest[k * each : (k + 1) * each] for k in range(3)]
    matrices: list[Any] = []
    for part in parts:
        starts, body = part[: size + 1], part[size + 1 :]
        half = len(body) // 2
        matrices.append((np.array(starts, np.int64), np.array(body[:half], np.int64), np.array(body[half:], np.int32)))
    pool = _core.fr_from_ints([1, -1, 7, 11])
    z = _core.fr_from_ints([1, *range(2, max(2, min(wires, 200) + 1))])
    return _all(
        [
            lambda: _core.R1cs(public, committed, wires, pool, *matrices).first_unsatisfied(z),
            lambda: _core.sparse_apply(*matrices[0], pool, z),
        ]
    )


def _all(calls: list[Any]) -> bool:
    """Whether all of them answered; one that refuses keeps none from being asked."""
    answered = 0
    for call in calls:
        try:
            call()
            answered += 1
        except CORE:
            continue
    return answered == len(calls)


HARNESSES = [
    Harness("core-field-bytes", lambda data: _core.fr_to_bytes(_core.fr_from_bytes(data)) == data or 1 // 0, VALUE),
    Harness("core-powers", _one_form(_core.Srs.from_bytes), VALUE),
    Harness("core-phase-one", _phase_one, VALUE),
    Harness("core-phase-two", _one_form(_core.PhaseTwo.from_bytes), VALUE),
    Harness("core-r1cs", _one_form(_core.R1cs.from_bytes), VALUE),
    Harness("core-proving-key", _one_form(lambda data: _core.ProvingKey.from_bytes(data, True)), VALUE),
    Harness("core-proving-key-unchecked", _unchecked, VALUE),
    Harness("core-proving-key-chunks", _chunks, VALUE),
    Harness("core-point", _point, VALUE),
    Harness("core-points", _points, VALUE),
    Harness("core-verify", _verify, VALUE),
    Harness("core-arrays", _arrays, CORE),
    Harness("core-system", _system, CORE),
]
