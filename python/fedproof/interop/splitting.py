"""One table of rows as the parts of several participants: deterministic, disjoint, together all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedproof.data.limits import MAX_ROWS
from fedproof.data.split import MIN_PARTICIPANTS
from fedproof.errors import InputError
from fedproof.interop.validate import DataError, Rows, classes
from fedproof.learning.fixed import BATCH


def deal(rows: Rows, participants: int, seed: int, stratify: bool) -> list[Rows]:
    """Shuffle and deal the rows round, so that sizes differ by one at most; stratified: each class is dealt in turn.

    Raises:
        DataError: fewer rows than participants, or labels that are no classes.
    """
    n = len(rows.y)
    if n < participants:
        raise DataError(f"{n} rows (n_samples={n}) for {participants} participants; each needs one or more")
    draw = np.random.Generator(np.random.PCG64(seed))
    order = draw.permutation(n)
    if stratify:
        order = order[np.argsort(np.searchsorted(classes(rows.y), rows.y[order]), kind="stable")]
    out = []
    for first in range(participants):
        mine = draw.permutation(order[first::participants])
        out.append(Rows(rows.X[mine], rows.names, rows.y[mine]))
    return out


def by_group(rows: Rows, groups: Any) -> list[Rows]:
    """A part for each group, in the order of sorted groups; rows keep theirs.

    Args:
        groups: `(n,)` numbers or texts.

    Raises:
        DataError: not one for each row, of several types, missing, or fewer than two groups.
    """
    owners = np.asarray(groups)
    if owners.shape != rows.y.shape:
        raise DataError(f"groups has shape {owners.shape}, and X has {len(rows.y)} rows; one group a row is needed")
    if any(owner is None or owner != owner for owner in owners.tolist()):
        raise DataError("groups holds NaN or None; say whose each row is")
    try:
        names = np.unique(owners)
    except TypeError:
        raise DataError("groups mixes values of several types") from None
    if len(names) < MIN_PARTICIPANTS:
        raise DataError(f"groups names {len(names)} participant; a federation has {MIN_PARTICIPANTS} or more")
    return [Rows(rows.X[owners == name], rows.names, rows.y[owners == name]) for name in names]


def capacity(parts: Sequence[Rows]) -> int:
    """Rows of the smallest capacity class (32, 64, 128, ...) that holds the largest part.

    Raises:
        InputError: none does.
    """
    most, rows = max(len(part.y) for part in parts), BATCH
    while rows < most:
        rows *= 2
    if rows > MAX_ROWS:
        raise InputError(f"a participant has {most} rows; the largest capacity class has {MAX_ROWS}")
    return rows
