"""A model with its capacity class and scales: one plan is one circuit and one key (protocol, section 5).

Scales. Layer l reads inputs at scale `2^input_bits` and gets deltas at `2^delta_bits`; its weights have the scale
`s_w = 2^(input_bits + delta_bits) * 3200`, so that a step is `W -= A^T delta` in exact integers. What is rounded:

    forward, hidden layer     Z (scale s_in s_w)    -> pre-activation at the next layer's input scale, to nearest
    forward, last layer       Z                     -> table index at 2^logit_bits, floor; a squared error needs no
                                                       table: residual at its own delta scale, to nearest
    backward, hidden layer    delta W^T (s_d s_w)   -> delta at the lower layer's delta scale, to nearest

Every divisor is `25 * 2^B` (3200 = 2^7 * 25). A remainder is `B // limb_bits` limbs of the one limb table and a top
limb of a table of `25 * 2^(B % limb_bits)` entries, so nothing else bounds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from fedproof import _core
from fedproof.errors import InputError
from fedproof.learning.architecture import LOGISTIC, SQUARED, Model
from fedproof.learning.arrays import start_layers
from fedproof.learning.canonical import VERSION, canonical, parse
from fedproof.learning.fixed import (
    BATCH,
    FEATURE_FRACTION_BITS,
    FEATURE_LIMIT,
    INVERSE_LEARNING_RATE,
    MAX_EPOCHS,
    MAX_FRACTION_BITS,
    MAX_LOGIT,
    MAX_MASKS,
    MAX_ROWS,
    ODD_FACTOR,
    Int,
    TrainingSpec,
)

STATEMENT: Final = "proof of training"
EVEN_BITS = 7  # 3200 = 2^7 * 25
WEIGHT_LIMIT = 2**62  # of a public model's integers; the largest |Z| of an honest run, too
FIELD_BITS = 250  # nothing that a prover may put reaches 2^250 < r / 2
MIN_LIMB, MAX_LIMB, MAX_LIMBS, MAX_TOP = 6, 16, 4, 2**18


@final
@dataclass(frozen=True)
class LayerScales:
    """Fraction bits of a layer's inputs and of its output deltas."""

    input_bits: int
    delta_bits: int

    @property
    def weight_scale(self) -> int:
        """s_w = s_in * s_delta * batch / learning rate."""
        return (BATCH * INVERSE_LEARNING_RATE) << (self.input_bits + self.delta_bits)


@final
@dataclass(frozen=True)
class Rounding:
    """`Z + offset = divisor * q + rem`, `0 <= rem < divisor`, for `divisor = 25 * 2^bits`.

    `nearest` takes half the divisor as the offset, otherwise the quotient is a floor.
    """

    bits: int
    limb_bits: int
    nearest: bool

    @property
    def divisor(self) -> int:
        """s."""
        return ODD_FACTOR << self.bits

    @property
    def offset(self) -> int:
        """Added before the division."""
        return self.divisor // 2 if self.nearest else 0

    @property
    def limbs(self) -> int:
        """Low limbs of the remainder, each of `limb_bits` bits."""
        return self.bits // self.limb_bits

    @property
    def top_size(self) -> int:
        """Entries of the table of the top limb."""
        return ODD_FACTOR << (self.bits % self.limb_bits)

    def divide(self, values: Int) -> tuple[Int, Int]:
        """Quotients and remainders."""
        quotient, rest = np.divmod(values + self.offset, self.divisor)
        return quotient, rest


@final
@dataclass(frozen=True)
class TrainingPlan:
    """What a task fixes about local training.

    Args:
        model: the architecture.
        rows: rows of the capacity class, a multiple of 32.
        epochs: local epochs of each round.
        mask_count: fresh masks of an enrolment.
        scales: of each layer, the first with the 8 fraction bits of a feature.
        limb_bits: width of a limb; all ranges share one table of `2^limb_bits`.
        group: rows that the first layer folds together, a divisor of 32; hidden layers fold none.
        logit_bits: fraction bits of a table index; those of the last delta for a squared error.
        logit_limit: the sigmoid's table spans `[-logit_limit, logit_limit)`.
        exponential_bits: fraction bits of the exponential's table.
        logit_limbs: limbs of a logit's index beyond its table (and of the largest logit of a row).
        activation_limbs: limbs of the magnitude of a hidden pre-activation.
        delta_limbs: limbs of a back-propagated delta, sign included.
    """

    statement: ClassVar[str] = STATEMENT
    title: ClassVar[str] = "training plan"
    key_name: ClassVar[str] = "training"  # of the key that its updates are proven with

    model: Model
    rows: int
    epochs: int
    mask_count: int
    scales: tuple[LayerScales, ...]
    limb_bits: int = 10
    group: int = BATCH
    logit_bits: int = 7
    logit_limit: int = 8
    exponential_bits: int = 14
    logit_limbs: int = 2
    activation_limbs: int = 2
    delta_limbs: int = 2

    def __post_init__(self) -> None:
        if not BATCH <= self.rows <= MAX_ROWS or self.rows % BATCH:
            raise InputError(f"capacity class: {self.rows} rows; a multiple of {BATCH} up to {MAX_ROWS} is needed")
        if not 1 <= self.epochs <= MAX_EPOCHS or not 2 <= self.mask_count <= MAX_MASKS:
            raise InputError(f"a task has 1 to {MAX_EPOCHS} local epochs and 2 to {MAX_MASKS} masks")
        # before anything is computed from them: a plan may come from a stranger's document
        bits = [b for layer in self.scales for b in (layer.input_bits, layer.delta_bits)]
        if len(self.scales) != len(self.model.layers) or self.scales[0].input_bits != FEATURE_FRACTION_BITS:
            raise InputError(f"scales: one pair for each layer, the first with {FEATURE_FRACTION_BITS} input bits")
        if not all(1 <= b <= MAX_FRACTION_BITS for b in (*bits, self.logit_bits, self.exponential_bits)):
            raise InputError(f"scales: fraction bits are 1 to {MAX_FRACTION_BITS}")
        if not MIN_LIMB <= self.limb_bits <= MAX_LIMB or not 1 <= self.logit_limit <= MAX_LOGIT:
            raise InputError(f"scales: limbs have {MIN_LIMB} to {MAX_LIMB} bits, a sigmoid spans up to {MAX_LOGIT}")
        if not all(1 <= n <= MAX_LIMBS for n in (self.logit_limbs, self.activation_limbs, self.delta_limbs)):
            raise InputError(f"scales: ranges have 1 to {MAX_LIMBS} limbs")
        if self.group < 1 or BATCH % self.group:
            raise InputError(f"group: {self.group} is no divisor of {BATCH}")
        if self.model.loss == SQUARED and self.logit_bits != self.scales[-1].delta_bits:
            raise InputError("scales: a squared error keeps its residual at the scale of the last delta")
        if self.model.loss == SQUARED and self.scales[-1].delta_bits < FEATURE_FRACTION_BITS:
            raise InputError(f"scales: the residual of a target needs {FEATURE_FRACTION_BITS} bits or more")
        roundings = [self.forward(layer) for layer in range(self.depth)]
        roundings += [self.backward(layer) for layer in range(1, self.depth)]
        if any(r.bits < 1 or r.top_size > MAX_TOP for r in roundings):
            raise InputError("scales: a divisor does not fit the limbs")
        # the limits above leave no plan that could wrap; a test takes the largest
        assert self.wrap_bits < FIELD_BITS

    # shapes

    @property
    def columns(self) -> int:
        """Columns of the capacity class."""
        return self.model.columns

    @property
    def depth(self) -> int:
        """Layers."""
        return len(self.model.layers)

    def offset(self, layer: int) -> int:
        """O_l: position of the layer's first weight in the committed vector; `offset(depth)` is the blinding's."""
        at = 0
        for number, (a, b) in enumerate(self.model.layers[:layer]):
            at += self.stride(number) * (b - 1) + a
        return at

    @property
    def blinding_at(self) -> int:
        """Position of the first blinding coefficient of an update, after all weights and the gaps between them."""
        return self.offset(self.depth)

    def stride(self, layer: int) -> int:
        """Positions from the weights of one output to the next: g a."""
        return (self.group if layer == 0 else 1) * self.model.layers[layer][0]

    def positions(self) -> Int:
        """Position of each weight, `(parameters,)`, in the order of `Model.flatten`: `O_l + j + g a k`."""
        parts = [
            self.offset(layer) + np.arange(a) + self.stride(layer) * np.arange(b)[:, None]
            for layer, (a, b) in enumerate(self.model.layers)
        ]
        return np.concatenate([part.reshape(-1) for part in parts]).astype(np.int64)

    # scales

    def weight_scales(self) -> tuple[int, ...]:
        """s_w of each layer."""
        return tuple(layer.weight_scale for layer in self.scales)

    def real(self, weights: Sequence[Int]) -> list[NDArray[np.float64]]:
        """Weights as real numbers."""
        return [w.astype(np.float64) / scale for w, scale in zip(weights, self.weight_scales(), strict=True)]

    def forward(self, layer: int) -> Rounding:
        """How the layer's Z is rounded."""
        scale = self.scales[layer]
        last = layer == self.depth - 1
        out = self.logit_bits if last else self.scales[layer + 1].input_bits
        nearest = not last or self.model.loss == SQUARED
        return Rounding(2 * scale.input_bits + scale.delta_bits + EVEN_BITS - out, self.limb_bits, nearest)

    def backward(self, layer: int) -> Rounding:
        """How `delta W^T` of the layer becomes the delta of the layer below."""
        scale, below = self.scales[layer], self.scales[layer - 1]
        return Rounding(scale.input_bits + 2 * scale.delta_bits + EVEN_BITS - below.delta_bits, self.limb_bits, True)

    @property
    def table_half(self) -> int:
        """The sigmoid's index runs over [-table_half, table_half)."""
        return self.logit_limit << self.logit_bits

    # ranges: what a prover can put, so what no honest integer may leave

    @property
    def activation_range(self) -> int:
        """A pre-activation q is in `[-activation_range, activation_range)`."""
        return 1 << (self.activation_limbs * self.limb_bits)

    @property
    def delta_range(self) -> int:
        """A back-propagated delta is in `[-delta_range, delta_range)`."""
        return 1 << (self.delta_limbs * self.limb_bits - 1)

    @property
    def logit_range(self) -> int:
        """An index beyond its table is below this; a row's largest logit is within half of it."""
        return 1 << (self.logit_limbs * self.limb_bits)

    @property
    def division_limbs(self) -> int:
        """Limbs of the remainder of a softmax division, below twice the largest sum of a row."""
        return -(-((2 * self.model.outputs << self.exponential_bits) - 1).bit_length() // self.limb_bits)

    @property
    def probability_limbs(self) -> int:
        """Limbs of a probability, at most 2^delta_bits."""
        return -(-(self.scales[-1].delta_bits + 1) // self.limb_bits)

    def input_bound(self, layer: int) -> int:
        """Largest magnitude of a layer's input."""
        return FEATURE_LIMIT if layer == 0 else max(self.activation_range, 1 << self.scales[layer].input_bits)

    def delta_bound(self, layer: int) -> int:
        """Largest magnitude of a layer's output delta."""
        if layer < self.depth - 1:
            return self.delta_range
        unit = 1 << self.scales[-1].delta_bits
        return unit if self.model.loss != SQUARED else self.logit_range // 2 + (FEATURE_LIMIT * unit >> 8)

    def update_bound(self, layer: int) -> int:
        """No entry of a proven update of the layer is larger in magnitude."""
        return self.epochs * self.rows * self.input_bound(layer) * self.delta_bound(layer)

    def update_bounds(self) -> NDArray[np.object_]:
        """The same for each weight, `(parameters,)` in the order of `Model.flatten`; Python's integers."""
        bounds = np.array([self.update_bound(layer) for layer in range(self.depth)], dtype=object)
        return np.repeat(bounds, [a * b for a, b in self.model.layers])

    @cached_property
    def wrap_bits(self) -> int:
        """Bits of the largest integer that any identity can hold, for weights that start below 2^62."""
        largest = 0
        for layer, (a, b) in enumerate(self.model.layers):
            weight = WEIGHT_LIMIT + self.update_bound(layer)
            largest = max(largest, a * self.input_bound(layer) * weight, b * self.delta_bound(layer) * weight)
        return largest.bit_length() + 1

    # documents

    def spec(self) -> TrainingSpec:
        """The specification of a logistic regression.

        Raises:
            InputError: another model, or scales that logistic regression does not have.
        """
        spec = TrainingSpec(self.rows, self.columns, self.epochs, self.mask_count)
        if self.model.kind != LOGISTIC or self != TrainingPlan.of(spec):
            raise InputError("only a plan of logistic regression at its fixed scales is a training specification")
        return spec

    @classmethod
    def of(cls, spec: TrainingSpec) -> TrainingPlan:
        """The plan of logistic regression as the training statement has it."""
        scales = LayerScales(FEATURE_FRACTION_BITS, spec.delta_fraction_bits)
        return cls(
            Model.logistic(spec.columns - 1), spec.rows, spec.epochs, spec.mask_count, (scales,),
            logit_bits=spec.logit_fraction_bits, logit_limit=spec.logit_limit,
        )  # fmt: skip

    def start(self, seed: int) -> tuple[Int, ...]:
        """Weights that a task starts from, drawn evenly from a public seed; see `start_layers`."""
        return start_layers(self.model, self.weight_scales(), seed)

    def encode(self) -> bytes:
        """Canonical JSON."""
        document: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        document["version"] = VERSION
        document["model"] = self.model.document()
        document["scales"] = [[layer.input_bits, layer.delta_bits] for layer in self.scales]
        document["batch"], document["inverse_learning_rate"] = BATCH, INVERSE_LEARNING_RATE
        return canonical(document)

    def digest(self) -> bytes:
        """keccak256 of the canonical form."""
        return _core.keccak256(self.encode())

    @classmethod
    def decode(cls, blob: bytes) -> TrainingPlan:
        """Read a plan.

        Raises:
            InputError: not canonical, another version, or training that this build cannot do.
        """
        kinds: dict[str, type] = dict.fromkeys(("version", "batch", "inverse_learning_rate", *_NUMBERS), int)
        d = parse(blob, cls.title, kinds | {"model": dict, "scales": list})
        if (d["batch"], d["inverse_learning_rate"]) != (BATCH, INVERSE_LEARNING_RATE):
            raise InputError(f"{cls.title}: this build trains batches of {BATCH} at learning rate 0.01")
        pairs = d["scales"]
        if len(pairs) > 16 or not all(type(p) is list and [type(v) for v in p] == [int, int] for p in pairs):
            raise InputError(f"{cls.title}: scales must be pairs of integers")
        model = Model.decode(canonical(d["model"]))
        scales = tuple(LayerScales(*pair) for pair in pairs)
        return cls(model=model, scales=scales, **{name: d[name] for name in _NUMBERS})


_NUMBERS = tuple(f.name for f in fields(TrainingPlan) if f.name not in ("model", "scales"))
