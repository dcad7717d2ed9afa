import itertools
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof.data import Parts, Table, capacity_rows, load, split
from fedproof.data.load import CLASSES, TARGET
from fedproof.data.split import _share_out
from fedproof.errors import InputError

PINNED_SIZES = [113, 196, 132, 128]
PINNED_DIGEST = "4f7c63a5e22b5af6d69d15889cc03d543f8d0a9838a786b47186923db9351322"


def numbered(zeros: int, ones: int) -> Table:
    """A table whose one feature is the row number, in mixed order of classes."""
    labels = np.arange(zeros + ones) * 7919 % (zeros + ones) < ones
    return Table(
        "ward", np.arange(zeros + ones, dtype=np.float64)[:, None], ("row",), labels.astype(np.int64), ("no", "yes")
    )


def rows_of(parts: Parts) -> list[list[int]]:
    return [[int(v) for v in part.features[:, 0]] for part in (parts.test, *parts.parts)]


@settings(max_examples=100, deadline=None)
@given(
    participants=st.integers(2, 12),
    extra=st.integers(0, 400),
    share=st.floats(0.05, 0.95),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 2**64 - 1),
)
def test_parts_are_disjoint_complete_stratified_and_unequal(
    participants: int, extra: int, share: float, fraction: float, seed: int
) -> None:
    total = int((32 * participants + 2) / (1 - fraction)) + 3 + extra
    ones = min(max(round(total * share), 3 * participants + 3), total - 3 * participants - 3)
    table = numbered(total - ones, ones)
    parts = split(table, participants, seed, fraction)
    groups = rows_of(parts)
    assert sorted(row for group in groups for row in group) == list(range(total))
    assert len(parts.parts) == participants
    sizes = [part.rows for part in parts.parts]
    private = sum(sizes)
    assert min(sizes) >= 32
    if private - 32 * participants >= participants * (participants - 1) // 2:
        assert len(set(sizes)) == participants
    private_ones = sum(int(part.labels.sum()) for part in parts.parts)
    for part in parts.parts:
        assert 0 < part.labels.sum() < part.rows
        exact = private_ones * part.rows / private
        # the floor of one row of a class can move others, but only where a class is that scarce
        if min(private_ones, private - private_ones) * min(sizes) > private * 2:
            assert abs(part.labels.sum() - exact) <= 1
    assert abs(parts.test.labels.sum() - ones * fraction) <= 1
    assert abs(parts.test.rows - total * fraction) <= 2
    for part in (parts.test, *parts.parts):
        np.testing.assert_array_equal(part.labels, table.labels[part.features[:, 0].astype(int)])


@pytest.mark.parametrize(("participants", "fifths"), [(8, 71), (9, 81)])
def test_sizes_differ_when_the_rows_just_allow_it(participants: int, fifths: int) -> None:
    for seed in range(20):
        parts = split(numbered(5 * (fifths - 30), 150), participants, seed).parts
        assert sorted(part.rows for part in parts) == list(range(32, 32 + participants))
    assert len({part.rows for part in split(numbered(5 * (fifths - 31), 150), participants, 0).parts}) < participants


def test_every_possible_share_of_a_class_is_dealt_out() -> None:
    for sizes in itertools.product((2, 3, 4, 9), repeat=3):
        for ones in range(3, sum(sizes) - 2):
            counts = _share_out(ones, list(sizes))
            assert sum(counts) == ones
            assert all(0 < count < size for count, size in zip(counts, sizes, strict=True))


def test_equal_seeds_give_equal_parts_and_others_do_not() -> None:
    table = numbered(300, 200)
    assert rows_of(split(table, 3, 7)) == rows_of(split(table, 3, 7))
    assert rows_of(split(table, 3, 7)) != rows_of(split(table, 3, 8))


def test_the_split_of_a_seed_is_pinned() -> None:
    groups = rows_of(split(numbered(357, 212), 3, 2026))
    assert [len(group) for group in groups] == PINNED_SIZES
    assert sha256(repr(groups).encode()).hexdigest() == PINNED_DIGEST


def test_the_order_of_a_part_is_mixed() -> None:
    for part in split(numbered(300, 200), 3, 7).parts:
        order = part.features[:, 0]
        assert np.count_nonzero(np.diff(order) < 0) > part.rows / 4
        assert np.count_nonzero(np.diff(part.labels)) > 5  # classes do not come in blocks


def test_parts_have_names_of_their_own() -> None:
    parts = split(load(), 3, 1)
    assert [parts.test.name, *(part.name for part in parts.parts)] == [
        "breast-cancer test",
        "breast-cancer part 1",
        "breast-cancer part 2",
        "breast-cancer part 3",
    ]


def test_the_least_table_for_two_participants_is_split() -> None:
    parts = split(numbered(41, 39), 2, 0)
    assert [part.rows for part in parts.parts] == [32, 32]
    assert parts.test.rows == 16


@pytest.mark.parametrize(
    ("table", "participants", "found", "advice"),
    [
        (
            numbered(40, 39),
            2,
            "'ward': 63 rows are left after the test part",
            "2 participants need 32 each; use a larger",
        ),
        (numbered(300, 100), 11, "320 rows are left", "11 participants need 32 each; ask for at most 10"),
        (numbered(396, 4), 5, "3 rows of class 'yes' are left", "each of 5 participants needs one; ask for at most 3"),
        (numbered(1, 399), 2, "0 rows of class 'no' are left", "each of 2 participants needs one; use a larger"),
        (numbered(79, 2), 2, "1 rows of class 'yes' are left", "each of 2 participants needs one; use a larger"),
        (numbered(40, 40), 10**12, "64 rows are left", "ask for at most 2 participants"),
    ],
)
def test_rejects_too_few_rows_for_the_participants(table: Table, participants: int, found: str, advice: str) -> None:
    with pytest.raises(InputError) as caught:
        split(table, participants, 0)
    assert found in str(caught.value)
    assert advice in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("participants", [1, 0, -3, True, 2.0, "3"])
def test_rejects_bad_number_of_participants(participants: int) -> None:
    with pytest.raises(InputError, match=r"participants: .*at least 2"):
        split(load(), participants, 0)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, None, True])
def test_rejects_bad_seed(seed: int) -> None:
    with pytest.raises(InputError, match=r"seed: .*from 0 to 2\^64 - 1"):
        split(load(), 2, seed)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, float("nan"), float("inf"), 1, "0.2"])
def test_rejects_bad_test_fraction(fraction: float) -> None:
    with pytest.raises(InputError, match=r"test fraction: .*above 0 and below 1"):
        split(load(), 2, 0, fraction)


@pytest.mark.parametrize(("largest", "rows"), [(32, 32), (33, 64), (64, 64), (65, 128), (511, 512), (513, 1024)])
def test_the_capacity_class_holds_the_largest_part(largest: int, rows: int) -> None:
    assert capacity_rows([numbered(16, 16), numbered(largest - 16, 16)]) == rows


def test_rejects_a_capacity_class_of_nothing() -> None:
    with pytest.raises(InputError, match=r"no parts"):
        capacity_rows([])


@pytest.mark.parametrize(("name", "labels", "participants"), [("wine", CLASSES, 3), ("diabetes", TARGET, 4)])
def test_classes_are_mixed_evenly_and_targets_are_split(name: str, labels: str, participants: int) -> None:
    table = load(name, labels=labels)
    first, second = split(table, participants, 7), split(table, participants, 7)
    for one, other in zip((first.test, *first.parts), (second.test, *second.parts), strict=True):
        np.testing.assert_array_equal(one.features, other.features)
    sizes = [part.rows for part in first.parts]
    assert sum(sizes) + first.test.rows == table.rows
    assert min(sizes) >= 32
    assert len(set(sizes)) == participants
    for label in range(len(table.class_names)):
        share = np.mean(table.labels == label)
        assert all(abs(np.mean(part.labels == label) - share) < 0.05 for part in (first.test, *first.parts))
    assert sorted(np.concatenate([p.labels for p in (first.test, *first.parts)])) == sorted(table.labels)
    with pytest.raises(InputError, match="ask for at most"):
        split(table, 100, 7)
