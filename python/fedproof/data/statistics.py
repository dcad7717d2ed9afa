"""Centre and scale of the columns of a file, in two passes over it and in bounded memory."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedproof.data.naming import quoted, shown
from fedproof.data.plan import Column
from fedproof.data.tablefile import TableFile
from fedproof.errors import InputError


def centres_and_scales(table: TableFile, columns: Sequence[Column]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the values that are there; the scale of a constant column is 0.

    Sums are exactly rounded within a batch and across batches, so a file of one batch gives what `Schema.from_public`
    gives, and every machine the same.

    Raises:
        InputError: a column is not there or has no value.
    """
    lost = [column.name for column in columns if column.name not in table.names]
    if lost:
        raise InputError(f"{shown(table.path)}: no column {quoted(lost[0])}; the public file needs every feature")
    kinds = {column.name: column.kind for column in columns}
    counts = dict.fromkeys(kinds, 0)
    least, most = dict.fromkeys(kinds, math.inf), dict.fromkeys(kinds, -math.inf)
    sums: dict[str, list[float]] = {name: [] for name in kinds}
    for batch in table.batches(kinds):
        for name in kinds:
            values = _present(batch.numbers[name])
            if len(values):
                counts[name] += len(values)
                least[name], most[name] = min(least[name], float(values.min())), max(most[name], float(values.max()))
                sums[name].append(math.fsum(values.tolist()))
    for name, count in counts.items():
        if not count:
            raise InputError(f"{shown(table.path)}, column {quoted(name)}: no value, so no centre and scale")
    centre = {n: least[n] if least[n] == most[n] else math.fsum(sums[n]) / counts[n] for n in kinds}
    squares: dict[str, list[float]] = {name: [] for name in kinds}
    for batch in table.batches(kinds):
        for name in kinds:
            squares[name].append(math.fsum(((_present(batch.numbers[name]) - centre[name]) ** 2).tolist()))
    scale = {name: math.sqrt(math.fsum(squares[name]) / counts[name]) for name in kinds}
    return {name: (centre[name] + 0.0, scale[name]) for name in kinds}


def _present(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]
