"""Whatever Python hands over, the core answers or raises an ordinary exception; it never panics (attack 34)."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedproof import _core

from .support import G1, G2, R, System, fr, random_system

SYSTEM, Z = random_system(3, public=1, committed=2, rows=5)
R1CS = SYSTEM.build()
KEY = _core.ProvingKey.setup(R1CS, bytes(32))
SRS = _core.Srs.generate(8, [3], bytes(32))
VK = KEY.verifying_key()
FIRST = _core.PhaseOne.start(4).contribute("a").contribute("b").contribute("c", (bytes(32), 0))
SECOND = _core.PhaseTwo.start(R1CS, FIRST)
PROOF, D = KEY.prove(R1CS, fr(*Z)), KEY.commit(fr(*Z[2:4]))

BYTES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"", G1, G2, G1 + G2, PROOF, D, bytes(32), bytes(64), bytes(256), b"\xff" * 192]),
)
ARRAYS = st.one_of(
    st.lists(st.integers(0, R - 1), max_size=8).map(_core.fr_from_ints),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6).map(lambda v: np.array(v, np.int64)),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6).map(lambda v: np.array(v, np.int32)),
    st.lists(st.integers(0, 9), max_size=6).map(lambda v: np.array(v, np.int64)),
    st.lists(st.integers(0, 3), max_size=6).map(lambda v: np.array(v, np.int32)),
    st.integers(0, 12).map(lambda n: np.full((n, 4), 2**64 - 1, np.uint64)),
    st.sampled_from([np.zeros((0, 4), np.uint64), np.zeros((3, 4)), np.zeros(4, np.uint64), np.array(1)]),
)
OTHERS = st.one_of(
    st.integers(-3, 600),
    st.integers(),
    st.none(),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=4),
    st.booleans(),
)
MATRICES = st.tuples(ARRAYS, ARRAYS, ARRAYS)
KEYS = st.dictionaries(st.sampled_from(sorted(VK)), st.one_of(BYTES, st.lists(BYTES, max_size=3), OTHERS)).map(
    lambda changes: {**VK, **changes}
)
ANYTHING = st.one_of(BYTES, ARRAYS, OTHERS, MATRICES, KEYS, st.sampled_from([R1CS, KEY, SRS, FIRST, SECOND]))

FUNCTIONS: dict[str, Callable[..., object]] = {
    **{name: getattr(_core, name) for name in _core.__all__ if callable(getattr(_core, name))},
    **{
        f"{owner.__class__.__name__}.{name}": getattr(owner, name)
        for owner in (R1CS, KEY, SRS, FIRST, SECOND)
        for name in dir(owner)
        if not name.startswith("_") and callable(getattr(owner, name))
        if (owner, name) != (FIRST, "start")  # a number that is small enough to be right asks for gigabytes
    },
}
# Sizes within the limits may take long; the limits themselves have tests of their own.
ALLOWED = (ValueError, TypeError, OverflowError)


def large(value: object) -> bool:
    return isinstance(value, int) and 600 < value <= 2**26


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_every_function_answers_or_refuses(name: str, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 7 if name == "R1cs" else 5))
    arguments: list[Any] = [data.draw(ANYTHING) for _ in range(count)]
    if any(large(argument) for argument in arguments):
        return
    with contextlib.suppress(*ALLOWED):
        FUNCTIONS[name](*arguments)


@pytest.mark.parametrize(
    ("decode", "good"),
    [
        (_core.R1cs.from_bytes, R1CS.to_bytes()),
        (_core.ProvingKey.from_bytes, KEY.to_bytes()),
        (lambda data: _core.ProvingKey.from_bytes(data, check=True), KEY.to_bytes()),
        (_core.Srs.from_bytes, SRS.to_bytes()),
        (lambda data: _core.Srs.from_bytes(data, check=False), SRS.to_bytes()),
    ],
    ids=["r1cs", "key", "key, checked", "powers", "powers, unchecked"],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_decoder_survives_damage(decode: Callable[[bytes], object], good: bytes, data: st.DataObject) -> None:
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        # Headers and counts sit at the front, and are where a decoder goes wrong.
        at = data.draw(st.one_of(st.integers(0, 200), st.integers(0, len(good) - 1)))
        damaged[at % len(damaged)] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    with contextlib.suppress(ValueError):
        decode(bytes(damaged[:cut]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PROOF) + len(D) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_proof_verifies(at: int, change: int) -> None:
    changed = bytearray(PROOF + D)
    changed[at] ^= change
    with contextlib.suppress(ValueError):
        assert not _core.groth16_verify(VK, fr(*Z[1:2]), bytes(changed[: len(PROOF)]), bytes(changed[len(PROOF) :]))


def test_a_key_that_is_only_well_formed_proves_nothing_false() -> None:
    """An unchecked key file with exchanged points still yields no proof that the honest key accepts."""
    data = KEY.to_bytes()
    start = 16 + 12 + 32 + 3 * 64 + 3 * 128 + 4
    damaged = data[:start] + data[start + 64 : start + 128] + data[start : start + 64] + data[start + 128 :]
    proof = _core.ProvingKey.from_bytes(damaged).prove(R1CS, fr(*Z))
    assert not _core.groth16_verify(_core.ProvingKey.from_bytes(damaged).verifying_key(), fr(*Z[1:2]), proof, D)


def test_repr_shows_no_contents() -> None:
    for owner in (R1CS, KEY, SRS):
        assert "object at" in repr(owner)


def test_long_calls_release_the_interpreter_lock() -> None:
    values = _core.fr_random(1 << 16)
    srs = _core.Srs.generate(1 << 12, [])
    ticks, done = 0, threading.Event()

    def work() -> None:
        for _ in range(10):
            srs.commit(values[: 1 << 12])
            _core.poseidon(values[: 1 << 10], 2)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.001):
        ticks += 1
    thread.join()
    assert ticks > 5


def test_calls_from_many_threads_agree() -> None:
    values = _core.fr_random(1 << 12)
    expected, results = _core.fr_to_ints(_core.fr_mul(values, values)), []
    threads = [
        threading.Thread(target=lambda: results.append(_core.fr_to_ints(_core.fr_mul(values, values))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


def test_classes_cannot_be_made_from_nothing() -> None:
    for cls in (_core.Srs, _core.ProvingKey):
        with pytest.raises(TypeError):
            cls()
    assert System(0, 0, 1).build().num_wires == 1
