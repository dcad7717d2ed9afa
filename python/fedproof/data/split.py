"""Split a table into a public test part and the private parts of the participants.

Only the raw output of PCG64 is used, whose stream NumPy keeps stable for ever; the distributions of `Generator` may
change between versions, and the published row order is part of what is committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedproof.data.limits import MIN_ROWS
from fedproof.data.naming import quoted
from fedproof.data.table import Table
from fedproof.errors import InputError
from fedproof.learning.fixed import BATCH

MIN_PARTICIPANTS = 2
"""A round of one would publish that participant's update."""


@dataclass(frozen=True)
class Parts:
    """A split table: `test` is public, `parts[i]` is participant i's; the row order of a part is its training order."""

    test: Table
    parts: tuple[Table, ...]


def split(table: Table, participants: int, seed: int, test_fraction: float = 0.2) -> Parts:
    """Split into a test part and `participants` private parts: stratified, disjoint, together the whole table.

    The parts have unequal sizes (no two equal where there are rows enough), at least 32 rows, and of two classes both.
    Equal arguments give equal parts, on any machine.

    Args:
        participants: at least 2.
        seed: any integer from 0 to 2^64 - 1.
        test_fraction: the public share of the rows, above 0 and below 1.

    Raises:
        InputError: an argument is out of range, or there are too few rows, of one class or in all.
    """
    if type(participants) is not int or participants < MIN_PARTICIPANTS:
        raise InputError(f"participants: {quoted(participants)}; give a whole number of at least {MIN_PARTICIPANTS}")
    if type(seed) is not int or not 0 <= seed < 1 << 64:
        raise InputError(f"seed: {quoted(seed)}; give a whole number from 0 to 2^64 - 1")
    if not isinstance(test_fraction, float) or not 0 < test_fraction < 1:
        raise InputError(f"test fraction: {quoted(test_fraction)}; give a number above 0 and below 1, such as 0.2")
    draw = _Draw(seed)
    if len(table.class_names) != 2:
        return _in_turn(table, participants, draw, test_fraction)
    by_class = [draw.shuffled(np.flatnonzero(table.labels == label)) for label in (0, 1)]
    test_counts = [max(1, round(len(rows) * test_fraction)) for rows in by_class]
    left = [len(rows) - count for rows, count in zip(by_class, test_counts, strict=True)]
    _check_enough(table, participants, left)
    sizes = _unequal_sizes(draw, sum(left), participants)
    ones = _share_out(left[1], sizes)
    test = np.sort(np.concatenate([rows[:count] for rows, count in zip(by_class, test_counts, strict=True)]))
    rest = [rows[count:] for rows, count in zip(by_class, test_counts, strict=True)]
    parts, taken = [], [0, 0]
    for number, (size, one) in enumerate(zip(sizes, ones, strict=True), 1):
        counts = (size - one, one)
        chosen = [rest[label][taken[label] : taken[label] + counts[label]] for label in (0, 1)]
        taken = [taken[label] + counts[label] for label in (0, 1)]
        parts.append(table.take(draw.shuffled(np.concatenate(chosen)), f"{table.name[:100]} part {number}"))
    return Parts(table.take(test, f"{table.name[:100]} test"), tuple(parts))


def capacity_rows(parts: Sequence[Table]) -> int:
    """The rows of the smallest capacity class (32, 64, 128, ...) that holds the largest of the parts.

    Raises:
        InputError: no parts.
    """
    if not parts:
        raise InputError("no parts: a capacity class needs at least one")
    rows = BATCH
    while rows < max(part.rows for part in parts):
        rows *= 2
    return rows


class _Draw:
    """Random choices from the raw 64-bit stream."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def shuffled(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        keys = np.asarray(self._bits.random_raw(len(values)), dtype=np.uint64)
        return values[np.argsort(keys, kind="stable")]

    def below(self, limit: int) -> int:
        return int(self._bits.random_raw()) % limit  # the bias is below limit / 2^64


def _in_turn(table: Table, participants: int, draw: _Draw, test_fraction: float) -> Parts:
    """Several classes, or a target: every part is a stretch of a row order in which the classes are mixed evenly."""
    strata = [np.flatnonzero(table.labels == label) for label in range(len(table.class_names))]
    rows = [draw.shuffled(stratum) for stratum in strata or [np.arange(table.rows)]]
    counts = [min(len(each), max(1, round(len(each) * test_fraction))) for each in rows]
    test = np.sort(np.concatenate([each[:count] for each, count in zip(rows, counts, strict=True)]))
    rest = [each[count:] for each, count in zip(rows, counts, strict=True)]
    left = sum(map(len, rest))
    _check_enough(table, participants, [left])
    places = np.concatenate([(np.arange(len(each)) * 2 + 1) / (2 * max(len(each), 1)) for each in rest])
    mixed = np.concatenate(rest)[np.argsort(places, kind="stable")]
    ends = np.cumsum(_unequal_sizes(draw, left, participants))[:-1]
    parts = [
        table.take(draw.shuffled(piece), f"{table.name[:100]} part {number}")
        for number, piece in enumerate(np.split(mixed, ends), 1)
    ]
    return Parts(table.take(test, f"{table.name[:100]} test"), tuple(parts))


def _check_enough(table: Table, participants: int, left: list[int]) -> None:
    possible = min(sum(left) // MIN_ROWS, *left)
    if participants <= possible:
        return
    advice = f"ask for at most {possible} participants" if possible >= MIN_PARTICIPANTS else "use a larger table"
    if sum(left) < participants * MIN_ROWS:
        raise InputError(
            f"{quoted(table.name)}: {sum(left)} rows are left after the test part, but {participants} participants "
            f"need {MIN_ROWS} each; {advice}"
        )
    scarce = 0 if left[0] < left[1] else 1
    raise InputError(
        f"{quoted(table.name)}: {left[scarce]} rows of class {quoted(table.class_names[scarce])} are left after the "
        f"test part, but each of {participants} participants needs one; {advice}"
    )


def _unequal_sizes(draw: _Draw, total: int, count: int) -> list[int]:
    """`count` sizes of at least 32 that sum to `total`; all different when `total` allows it."""
    spare = total - count * MIN_ROWS
    steps = [min(i, spare // count) for i in range(count)]  # 0, 1, 2, ... makes them differ
    if count * (count - 1) // 2 <= spare:
        steps = list(range(count))
    spare -= sum(steps)
    weights = sorted(1000 + draw.below(2001) for _ in range(count))  # the largest gets up to three times the smallest
    extra = [spare * weight // sum(weights) for weight in weights]
    extra[-1] += spare - sum(extra)
    # both lists ascend, so sums of different steps stay different
    sizes = [MIN_ROWS + step + more for step, more in zip(steps, extra, strict=True)]
    return [sizes[i] for i in draw.shuffled(np.arange(count, dtype=np.int64))]


def _share_out(ones: int, sizes: list[int]) -> list[int]:
    """How many rows of class 1 each part gets: in proportion to its size, but at least one row of either class."""
    total = sum(sizes)
    counts = [min(max(ones * size // total, 1), size - 1) for size in sizes]
    missing = ones - sum(counts)
    step = 1 if missing > 0 else -1

    def distance(i: int) -> int:
        return step * (ones * sizes[i] - counts[i] * total)

    while missing:
        # move the part that lies furthest from its exact share, among those that can still move
        movable = [i for i, size in enumerate(sizes) if 1 <= counts[i] + step <= size - 1]
        best = max(movable, key=distance)
        counts[best] += step
        missing -= step
    return counts
