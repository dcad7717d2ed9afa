"""Fixed point: the scales of a training task and the sigmoid table, in integers (protocol, section 5).

A real number v at scale s is the integer round(v * s). With the scale of a weight chosen as

    s_w = s_in * s_delta * batch / learning_rate

one step of mini-batch SGD is `W -= A^T delta` in exact integers: no weight is ever rounded. Rounding remains where a
logit becomes a table index (floor) and inside the sigmoid table (nearest).
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError

Int = NDArray[np.int64]

BATCH = 32
INVERSE_LEARNING_RATE = 100
FEATURE_FRACTION_BITS = 8
FEATURE_LIMIT = 2048
RANGE_BITS = 10  # width of one limb: all range checks of training share one table of 2^10
ODD_FACTOR: int = 25  # 3200 = 2^7 * 25
REMAINDER_LIMBS = 3
OVERFLOW_LIMBS = 2
MAX_ROWS, MAX_COLUMNS, MAX_EPOCHS, MAX_MASKS = 2**17, 4097, 64, 2**12
MAX_FRACTION_BITS, MAX_LOGIT = 20, 64


@dataclass(frozen=True)
class TrainingSpec:
    """What a task fixes about local training. One spec is one circuit and one key.

    Args:
        rows: rows of the capacity class, a multiple of 32.
        columns: features plus the mask column.
        epochs: local epochs of each round, at least 1.
        mask_count: fresh masks of an enrolment; it allows `mask_count - 1` rounds.
    """

    rows: int
    columns: int
    epochs: int = 1
    mask_count: int = 17

    #: scale of a looked-up output delta, 2^14
    delta_fraction_bits: int = 14
    #: a table index stands for 2^-7 of a logit
    logit_fraction_bits: int = 7
    #: the table spans [-8, 8)
    logit_limit: int = 8

    def __post_init__(self) -> None:
        if self.rows < BATCH or self.rows % BATCH:
            raise InputError(f"capacity class: {self.rows} rows; it must be a positive multiple of {BATCH}")
        if self.columns < 2:
            raise InputError(f"capacity class: {self.columns} columns; it needs one feature and the mask column")
        if self.rows > MAX_ROWS or self.columns > MAX_COLUMNS:
            raise InputError(f"capacity class: {self.rows} x {self.columns} is beyond {MAX_ROWS} x {MAX_COLUMNS}")
        if not 1 <= self.epochs <= MAX_EPOCHS or not 2 <= self.mask_count <= MAX_MASKS:
            raise InputError(f"a task has 1 to {MAX_EPOCHS} local epochs and 2 to {MAX_MASKS} masks")
        # before anything is computed from them: a spec may come from a stranger's document
        bits = (self.delta_fraction_bits, self.logit_fraction_bits)
        if not (all(1 <= b <= MAX_FRACTION_BITS for b in bits) and 1 <= self.logit_limit <= MAX_LOGIT):
            raise InputError("the scales are out of range; keep the default fraction bits and limit")
        if self.remainder_bits != REMAINDER_LIMBS * RANGE_BITS:
            raise InputError("the scales do not fit the limbs of the remainder; keep the default fraction bits")

    @property
    def input_scale(self) -> int:
        """s_in: scale of a feature, and the integer by which a real row's mask enters as the bias input."""
        return int(2**FEATURE_FRACTION_BITS)

    @property
    def delta_scale(self) -> int:
        """s_delta: scale of the output delta `sigmoid(z) - y`."""
        return int(2**self.delta_fraction_bits)

    @property
    def weight_scale(self) -> int:
        """s_w = s_in * s_delta * 3200 (3200 = batch / learning rate)."""
        return self.input_scale * self.delta_scale * BATCH * INVERSE_LEARNING_RATE

    @property
    def logit_divisor(self) -> int:
        """s: how many units of the exact logit `z` make one step of the table index; 2^30 * 25."""
        return (self.input_scale * self.weight_scale) >> self.logit_fraction_bits

    @property
    def remainder_bits(self) -> int:
        """Bits of the power of two in `logit_divisor`."""
        return (self.logit_divisor // ODD_FACTOR).bit_length() - 1

    @property
    def table_half(self) -> int:
        """The table index runs over [-table_half, table_half)."""
        return self.logit_limit << self.logit_fraction_bits

    @property
    def steps(self) -> int:
        """Mini-batch steps of one round."""
        return self.epochs * self.rows // BATCH

    @property
    def update_bound(self) -> int:
        """No entry of an honest or proven update is larger in magnitude: each row moves a weight by |x| * |delta|."""
        return self.epochs * self.rows * FEATURE_LIMIT * self.delta_scale


@lru_cache(maxsize=4)
def sigmoid_table(spec: TrainingSpec) -> tuple[Int, Int, Int]:
    """The table `(index, output, edge)` of the sigmoid, each of shape `(2 * table_half,)`.

    `output = round(s_delta * sigmoid((index + 1/2) / 2^logit_fraction_bits))`: the middle of the interval, because the
    index is a floor. `edge` is +1 and -1 at the two ends, where a logit beyond the table saturates, and 0 between.
    """
    half = spec.table_half
    index = np.arange(-half, half, dtype=np.int64)
    edge = np.zeros(2 * half, dtype=np.int64)
    edge[0], edge[-1] = -1, 1
    return index, sigmoid_values(spec.logit_fraction_bits, spec.delta_fraction_bits, half), edge


@lru_cache(maxsize=4)
def sigmoid_values(index_bits: int, delta_bits: int, half: int) -> Int:
    """The outputs of a sigmoid's table whose index has these fraction bits and runs over [-half, half).

    Computed in decimal, so that no platform's `exp` can change a circuit.
    """
    with localcontext() as context:
        context.prec = 40
        step, scale = Decimal(2 ** (index_bits + 1)), Decimal(2**delta_bits)
        output = [
            int((scale / (1 + (-Decimal(2 * q + 1) / step).exp())).to_integral_value()) for q in range(-half, half)
        ]
    return np.array(output, dtype=np.int64)
