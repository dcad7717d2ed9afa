"""A constraint system checks what its rows say and has one digest, however its rows are written."""

import numpy as np
import pytest

from fedproof import _core

from .support import R, System, fr, random_system

ROW = ({1: 1, 2: 2}, {3: 1}, {4: 1})


def small(rows: list[tuple[dict[int, int], dict[int, int], dict[int, int]]]) -> _core.R1cs:
    return System(1, 2, 5, rows).build()


@pytest.mark.parametrize("seed", range(3))
def test_every_changed_wire_is_noticed_as_integers_notice_it(seed: int) -> None:
    system, z = random_system(seed, public=2, committed=5, rows=40)
    r1cs = system.build()
    assert r1cs.first_unsatisfied(fr(*z)) is None
    for wire in range(1, system.wires):
        changed = [*z]
        changed[wire] += 1
        assert r1cs.first_unsatisfied(fr(*changed)) == system.first_unsatisfied(changed)


def test_sizes_count_the_rows_of_the_statement() -> None:
    system, _ = random_system(0, public=3, committed=5, rows=61)
    r1cs = system.build()
    assert (r1cs.num_public, r1cs.num_committed, r1cs.num_wires) == (3, 5, 1 + 3 + 5 + 61)
    assert r1cs.num_constraints == 61 + 1 + 3
    assert r1cs.domain_size == 128


def test_committed_wires_cost_no_rows() -> None:
    """Only `[1 | x]` keeps its consistency rows (protocol, section 3): here they would double the domain."""
    r1cs = System(1, 30, 40, [({i: 1}, {0: 1}, {i: 1}) for i in range(2, 32)]).build()
    assert r1cs.num_constraints == r1cs.domain_size == 32


def test_rejects_an_assignment_of_another_length_or_without_its_one() -> None:
    r1cs = small([ROW])
    for z in (fr(1, 2, 3, 4), fr(1, 2, 3, 4, 32, 0), fr()):
        with pytest.raises(ValueError, match="5 wires"):
            r1cs.first_unsatisfied(z)
    with pytest.raises(ValueError, match="wire 0 is the constant 1"):
        r1cs.first_unsatisfied(fr(2, 2, 3, 4, 32))
    assert r1cs.first_unsatisfied(fr(1, 2, 3, 4, 32)) is None
    assert r1cs.first_unsatisfied(fr(1, 2, 3, 4, 33)) == 0


def test_a_system_without_rows_is_satisfied() -> None:
    r1cs = System(0, 0, 1).build()
    assert r1cs.first_unsatisfied(fr(1)) is None
    assert (r1cs.num_constraints, r1cs.domain_size) == (1, 1)


def test_the_digest_ignores_how_rows_are_written() -> None:
    plain = small([ROW]).digest()
    assert small([({2: 2, 1: 1}, {3: 1 + R}, {4: 1})]).digest() == plain
    assert small([({1: 1, 2: 2, 3: 0}, {3: 1}, {0: 0, 4: 1})]).digest() == plain
    split = np.array([0, 3], np.int64), np.array([2, 1, 2], np.int64), np.array([0, 0, 0], np.int32)
    single = [(np.array([0, 1], np.int64), np.array([w], np.int64), np.array([0], np.int32)) for w in (3, 4)]
    assert _core.R1cs(1, 2, 5, fr(1), split, *single).digest() == plain
    assert _core.R1cs(1, 2, 5, fr(1, 1, 99), split, *single).digest() == plain
    assert len(plain) == 32


def test_entries_that_cancel_vanish() -> None:
    cancelled = np.array([0, 2], np.int64), np.array([1, 1], np.int64), np.array([0, 1], np.int32)
    empty = np.array([0, 0], np.int64), np.array([], np.int64), np.array([], np.int32)
    left = _core.R1cs(1, 2, 5, fr(1, -1), cancelled, empty, empty)
    assert left.digest() == _core.R1cs(1, 2, 5, fr(), empty, empty, empty).digest()


CHANGED = {
    "coefficient": System(1, 2, 5, [({1: 1, 2: 3}, {3: 1}, {4: 1})]),
    "sign": System(1, 2, 5, [({1: 1, 2: -2}, {3: 1}, {4: 1})]),
    "wire": System(1, 2, 5, [({1: 1, 3: 2}, {3: 1}, {4: 1})]),
    "matrix": System(1, 2, 5, [({3: 1}, {1: 1, 2: 2}, {4: 1})]),
    "row more": System(1, 2, 5, [ROW, ({}, {}, {})]),
    "row twice": System(1, 2, 5, [ROW, ROW]),
    "public input more": System(2, 1, 5, [ROW]),
    "committed wire less": System(1, 1, 5, [ROW]),
    "wire more": System(1, 2, 6, [ROW]),
    "no row": System(1, 2, 5, []),
}


@pytest.mark.parametrize("system", CHANGED.values(), ids=CHANGED.keys())
def test_the_digest_changes_with_every_part(system: System) -> None:
    assert system.build().digest() != small([ROW]).digest()


def test_a_file_goes_there_and_back() -> None:
    system, z = random_system(4, public=2, committed=5, rows=40)
    r1cs = system.build()
    again = _core.R1cs.from_bytes(r1cs.to_bytes())
    assert again.digest() == r1cs.digest() == _core.keccak256(r1cs.to_bytes())
    assert again.num_constraints == r1cs.num_constraints
    assert again.first_unsatisfied(fr(*z)) is None
    z[-1] += 1
    assert again.first_unsatisfied(fr(*z)) == r1cs.first_unsatisfied(fr(*z)) is not None


def test_rejects_every_truncation_and_extension_of_a_file() -> None:
    data = small([ROW, ROW]).to_bytes()
    for end in range(len(data)):
        with pytest.raises(ValueError):
            _core.R1cs.from_bytes(data[:end])
    with pytest.raises(ValueError, match="1 bytes follow"):
        _core.R1cs.from_bytes(data + b"\0")


def test_a_changed_file_is_refused_or_has_another_digest() -> None:
    data = small([ROW]).to_bytes()
    for at in range(len(data)):
        for change in (1, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= change
            try:
                r1cs = _core.R1cs.from_bytes(bytes(changed))
            except ValueError:
                continue
            assert r1cs.digest() != small([ROW]).digest()


def test_rejects_a_file_that_is_not_canonical() -> None:
    """Two encodings of one system would give it two digests."""
    data = small([({1: 1, 2: 1}, {3: 1}, {4: 1})]).to_bytes()
    swapped = data.replace(bytes([1, 0, 0, 0, 2, 0, 0, 0]), bytes([2, 0, 0, 0, 1, 0, 0, 0]))
    assert swapped != data
    with pytest.raises(ValueError, match="canonical"):
        _core.R1cs.from_bytes(swapped)


@pytest.mark.parametrize(
    ("public", "committed", "wires"), [(1, 2, 3), (0, 0, 0), (5, 0, 5), (2**63, 2**63, 5), (2, 2**64 - 3, 5)]
)
def test_rejects_more_instance_wires_than_wires(public: int, committed: int, wires: int) -> None:
    with pytest.raises(ValueError, match=r"do not fit into|above the limit"):
        System(public, committed, wires).build()


def test_rejects_sizes_that_would_exhaust_memory() -> None:
    for public, wires in ((0, 2**28 + 1), (2**16 + 1, 2**20)):
        with pytest.raises(ValueError, match=r"do not fit into|above the limit"):
            System(public, 0, wires).build()


def test_rejects_rows_that_reach_outside() -> None:
    with pytest.raises(ValueError, match="b: column 5 is not below 5"):
        small([({}, {5: 1}, {})])
    empty = np.array([0], np.int64), np.array([], np.int64), np.array([], np.int32)
    row = np.array([0, 1], np.int64), np.array([0], np.int64), np.array([0], np.int32)
    with pytest.raises(ValueError, match="same number of rows"):
        _core.R1cs(1, 2, 5, fr(1), row, empty, row)
    with pytest.raises(ValueError, match="c: coefficient id 0 is not below 0"):
        _core.R1cs(1, 2, 5, fr(), empty, empty, row)
