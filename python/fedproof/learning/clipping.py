"""Bounded updates in integers: what a task fixes about them, and clipping an update of any model to it.

For models outside the family of `architecture.py`. Weights are integers at the scale `2^fraction_bits`. An update U is
bounded when `sum U_i^2 <= norm_squared` and every entry is in `[-entry_limit, entry_limit)`; that is what
`statements/bounded.py` proves, and all that it proves. Clipping is by the norm (all entries by one factor, as in
differentially private training; Abadi et al. 2016, section 3.1) and then entry by entry. It is exact and rounds toward
zero, so that what it gives is within the bounds on every machine, not but for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from math import isqrt
from typing import Any, ClassVar, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.arrays import (
    MAX_PARAMETERS,
    Architecture,
    OtherModel,
    read_architecture,
    start_arrays,
    start_layers,
)
from fedproof.learning.canonical import VERSION, canonical, parse
from fedproof.learning.fixed import BATCH, MAX_COLUMNS, MAX_EPOCHS, MAX_MASKS, MAX_ROWS, Int
from fedproof.learning.plan import FIELD_BITS, MAX_LIMB, MIN_LIMB

STATEMENT: Final = "bounded update"
MAX_ENTRY_BITS, MAX_SCALE_BITS = 48, 40


@final
@dataclass(frozen=True)
class BoundedPlan:
    """What a task of bounded updates fixes. One plan is one circuit and one key.

    Args:
        rows, columns: capacity class of the datasets that participants enrol; the last column is the mask.
        mask_count: fresh masks of an enrolment; it allows `mask_count - 1` rounds.
        parameters: weights of the model, at positions 0, 1, ... of its vector; an update's blinding follows.
        fraction_bits: a weight of 1.0 is the integer `2^fraction_bits`.
        norm_squared: bound of the sum of the squares of an update's integers.
        limb_bits: width of a limb; all ranges share one table of `2^limb_bits`.
        entry_limbs: limbs of an entry, sign included.
        described: what the parameters are, where they are more than one array of binary labels. Of a model of the
            family scores are known, and participants have a trainer for it.
        epochs: local epochs that a participant is asked for. No proof shows them.

    Raises:
        InputError: a number out of its limits, a norm that the range of the entries implies, or another model.
    """

    statement: ClassVar[str] = STATEMENT
    title: ClassVar[str] = "plan of bounded updates"
    key_name: ClassVar[str] = "bounded"  # of the key that its updates are proven with

    rows: int
    columns: int
    mask_count: int
    parameters: int
    fraction_bits: int
    norm_squared: int
    limb_bits: int = 12
    entry_limbs: int = 2
    described: Architecture | None = None
    epochs: int = 1

    def __post_init__(self) -> None:
        # before anything is computed from them: a plan may come from a stranger's document
        if not BATCH <= self.rows <= MAX_ROWS or self.rows % BATCH or not 2 <= self.columns <= MAX_COLUMNS:
            raise InputError(
                f"capacity class: {self.rows} x {self.columns}; rows are a multiple of {BATCH} up to {MAX_ROWS}, "
                f"columns 2 to {MAX_COLUMNS}"
            )
        if not 2 <= self.mask_count <= MAX_MASKS or not 1 <= self.parameters <= MAX_PARAMETERS:
            raise InputError(f"a task has 2 to {MAX_MASKS} masks and 1 to {MAX_PARAMETERS} parameters")
        if not 1 <= self.fraction_bits <= MAX_SCALE_BITS or not MIN_LIMB <= self.limb_bits <= MAX_LIMB:
            raise InputError(
                f"scales: fraction bits are 1 to {MAX_SCALE_BITS}, limbs have {MIN_LIMB} to {MAX_LIMB} bits"
            )
        if not 1 <= self.entry_limbs <= MAX_ENTRY_BITS // self.limb_bits:
            raise InputError(f"scales: an entry has one limb or more, and {MAX_ENTRY_BITS} bits at most")
        if not 1 <= self.norm_squared < self.parameters * self.entry_limit**2:
            raise InputError("bound: the squared norm must be above 0 and below what the range of the entries implies")
        if not 1 <= self.epochs <= MAX_EPOCHS:
            raise InputError(f"a task has 1 to {MAX_EPOCHS} local epochs")
        model = self.described
        if model is not None and model.parameters != self.parameters:
            raise InputError(f"model: it has {model.parameters} parameters, and the plan {self.parameters}")
        if isinstance(model, Model) and model.columns != self.columns:
            raise InputError(f"model: it reads {model.columns - 1} features, and the datasets have {self.columns - 1}")
        if model == OtherModel(((self.parameters,),)):  # one plan has one form
            object.__setattr__(self, "described", None)
        # the limits above leave no plan that could wrap; a test takes the largest
        assert self.wrap_bits < FIELD_BITS

    # what a plan of training has, too

    @property
    def model(self) -> Architecture:
        """What the parameters are."""
        return self.described or OtherModel(((self.parameters,),))

    @property
    def blinding_at(self) -> int:
        """Position of the first blinding coefficient of an update."""
        return self.parameters

    def positions(self) -> Int:
        """Position of each weight, `(parameters,)`."""
        return np.arange(self.parameters)

    def weight_scales(self) -> tuple[int, ...]:
        """The integer that a weight of 1.0 is, of each array."""
        return (1 << self.fraction_bits,) * len(self.model.layers)

    def update_bounds(self) -> NDArray[np.object_]:
        """No entry of a proven update is larger in magnitude, `(parameters,)`; Python's integers."""
        return np.full(self.parameters, self.entry_limit, dtype=object)

    def start(self, seed: int) -> tuple[Int, ...]:
        """Weights that a task starts from, drawn from a public seed: `start_layers` or `start_arrays`."""
        if isinstance(self.model, Model):
            return start_layers(self.model, self.weight_scales(), seed)
        return start_arrays(self.model, 1 << self.fraction_bits, seed)

    # bounds

    @property
    def entry_limit(self) -> int:
        """An entry is in `[-entry_limit, entry_limit)`; no entry of a proven update is larger in magnitude."""
        return 1 << (self.limb_bits * self.entry_limbs - 1)

    @property
    def slack_limbs(self) -> int:
        """Limbs of `norm_squared - sum U_i^2`."""
        return -(-self.norm_squared.bit_length() // self.limb_bits)

    @property
    def wrap_bits(self) -> int:
        """Bits of the largest `sum U_i^2 + slack` that the ranges admit: an integer only as long as it is below r."""
        return (self.parameters * self.entry_limit**2 + (1 << (self.limb_bits * self.slack_limbs))).bit_length()

    @property
    def norm(self) -> float:
        """The bound of the L2 norm, in units of a weight."""
        return math.ldexp(math.sqrt(self.norm_squared), -self.fraction_bits)

    @classmethod
    def choose(
        cls,
        rows: int,
        columns: int,
        model: int | Architecture,
        norm: float,
        fraction_bits: int = 16,
        mask_count: int = 17,
        epochs: int = 1,
    ) -> Self:
        """The plan with the fewest constraints for a bound of the L2 norm, in units of a weight.

        A model is described, or is a number of parameters. Entries get the smallest range that holds an update of this
        norm in one entry, up to a limb.

        Raises:
            InputError: no plan has this bound.
        """
        if not (math.isfinite(norm) and 0 < norm < 2**MAX_ENTRY_BITS and 1 <= fraction_bits <= MAX_SCALE_BITS):
            raise InputError(f"bound: a norm of {norm} at {fraction_bits} fraction bits is beyond what can be proven")
        described = None if isinstance(model, int) else model
        parameters = model if isinstance(model, int) else model.parameters
        squared = int(Fraction(norm) ** 2 * 4**fraction_bits)
        bits = isqrt(squared).bit_length() + 1

        def lookups(width: int) -> int:
            return parameters * -(-bits // width) - (-squared.bit_length() // width) + (1 << width)

        widths = [w for w in range(MIN_LIMB, MAX_LIMB + 1) if -(-bits // w) * w <= MAX_ENTRY_BITS]
        if not widths:
            raise InputError(f"bound: entries of {bits} bits are beyond {MAX_ENTRY_BITS}; take fewer fraction bits")
        width = min(widths, key=lookups)  # of equally dear ones the narrower
        limbs = -(-bits // width)
        return cls(
            rows, columns, mask_count, parameters, fraction_bits, squared, width, limbs, described, epochs
        )  # fmt: skip

    def check(self, update: Int) -> None:
        """Refuse an update beyond the bounds.

        Args:
            update: shape `(parameters,)`.

        Raises:
            InputError: another shape, an entry out of its range, or too large a norm.
        """
        self._check_shape(update)
        if (update < -self.entry_limit).any() or (update >= self.entry_limit).any():
            raise InputError(f"update: an entry is out of [-{self.entry_limit}, {self.entry_limit})")
        if squares(update.tolist()) > self.norm_squared:
            raise InputError(f"update: its norm is above {self.norm:g}")

    def clip(self, update: Int) -> Int:
        """An integer update `(parameters,)` within the bounds; itself, if it is.

        Raises:
            InputError: another shape.
        """
        self._check_shape(update)
        return self._clip(update.tolist())

    def clip_real(self, update: NDArray[np.float64]) -> Int:
        """A real update `(parameters,)`, in units of a weight, as integers within the bounds.

        Raises:
            InputError: another shape, or a value that is not finite at the scale.
        """
        self._check_shape(update)
        with np.errstate(over="ignore"):
            scaled = np.trunc(np.ldexp(update.astype(np.float64), self.fraction_bits))
        if not np.isfinite(scaled).all():
            raise InputError("update: a value is not finite; training has diverged")
        return self._clip([int(value) for value in scaled.tolist()])

    def real(self, weights: Int) -> NDArray[np.float64]:
        """Integers at the scale as real numbers."""
        return np.ldexp(weights.astype(np.float64), -self.fraction_bits)

    def _clip(self, update: Sequence[int]) -> Int:
        total, bound, limit = squares(update), self.norm_squared, self.entry_limit
        if total > bound:
            # floor(|u| sqrt(bound / total)) exactly, and so sum v^2 <= sum u^2 bound / total = bound
            update = [isqrt(u * u * bound // total) * (1 if u > 0 else -1) for u in update]
        return np.array([max(-limit, min(limit - 1, u)) for u in update], dtype=np.int64)

    def _check_shape(self, update: NDArray[Any]) -> None:
        if update.shape != (self.parameters,):
            raise InputError(f"update: shape {update.shape}; the plan has {self.parameters} parameters")

    # documents

    def encode(self) -> bytes:
        """Canonical JSON."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        return canonical(document | {"version": VERSION, "statement": STATEMENT, "model": self.model.document()})

    def digest(self) -> bytes:
        """keccak256 of the canonical form."""
        return _core.keccak256(self.encode())

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """Read a plan.

        Raises:
            InputError: not canonical, another version, another statement, or numbers out of their limits.
        """
        numbers: dict[str, type] = dict.fromkeys(("version", *_NUMBERS), int)
        d = parse(blob, cls.title, numbers | {"statement": str, "model": dict})
        if d["statement"] != STATEMENT:
            raise InputError(f"{cls.title}: the statement is {d['statement'][:40]!r}")
        return cls(**{name: d[name] for name in _NUMBERS}, described=read_architecture(d["model"]))


def squares(values: Sequence[int]) -> int:
    """The sum of squares of integers of any size."""
    return sum(v * v for v in values)


_NUMBERS = tuple(field.name for field in fields(BoundedPlan) if field.name != "described")
