"""How far an integer run is from float training, how near its integers came to their bounds, and what to rescale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from fedproof.learning.architecture import SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.exact import ModelTrace, Peak
from fedproof.learning.fixed import FEATURE_FRACTION_BITS
from fedproof.learning.reference import float_sgd, predict

NEAR = 1.0  # headroom in bits below which a run is told to rescale
SATURATED = 0.01  # share of the logits
FAR = 0.01  # relative error of an update


@final
@dataclass(frozen=True)
class Report:
    """An integer run against float training from the same weights on the same rows.

    Attributes:
        update_error: `|U - U_float| / |U_float|` in the Euclidean norm.
        update_max_error: largest error of one weight, relative to the largest change of its layer.
        prediction_max_error, prediction_mean_error: of the outputs on the rows that were trained on.
        logits: of real rows, in all epochs.
        saturated: of those, beyond the sigmoid's table.
        clipped: feature values at either end of the 12 bits.
        peaks: largest integers with their limits.
        advice: one line for each thing to rescale; empty when all is well.
    """

    update_error: float
    update_max_error: float
    prediction_max_error: float
    prediction_mean_error: float
    logits: int
    saturated: int
    clipped: int
    peaks: tuple[Peak, ...]
    advice: tuple[str, ...]

    @property
    def headroom(self) -> float:
        """Bits between the integers and the nearest of their bounds."""
        return min(peak.headroom for peak in self.peaks)

    def lines(self) -> list[str]:
        """The report, one line each."""
        nearest = min(self.peaks, key=lambda peak: peak.headroom)
        return [
            f"update: {self.update_error:.2%} from float training, at most {self.update_max_error:.2%} at one weight",
            f"predictions: {self.prediction_mean_error:.2e} away on average, {self.prediction_max_error:.2e} at most",
            f"saturated: {self.saturated} of {self.logits} logits; {self.clipped} clipped feature values",
            f"nearest bound: {nearest.name}, {nearest.headroom:.1f} bits of headroom",
            *self.advice,
        ]


def report(trace: ModelTrace, features: Float | None = None, targets: Float | None = None) -> Report:
    """Compare a run with float training.

    Args:
        trace: the run.
        features: `(n, f)`, the real rows before quantisation; the quantised ones without it.
        targets: `(n,)`, real targets before quantisation; the quantised ones without it.
    """
    plan, n = trace.plan, int(trace.mask.sum())
    unit = 1 << FEATURE_FRACTION_BITS
    x = trace.inputs[:n, :-1] / unit if features is None else features
    y = trace.labels[:n] / (unit if plan.model.loss == SQUARED else 1) if targets is None else targets
    start = plan.real(trace.start)
    plain = float_sgd(plan.model, start, x, np.asarray(y, dtype=np.float64), plan.epochs)
    ours = plan.real(trace.end)
    off = [a - b for a, b in zip(ours, plain, strict=True)]
    moved = [a - b for a, b in zip(plain, start, strict=True)]
    norm = float(np.sqrt(sum(float((m**2).sum()) for m in moved)))
    error = float(np.sqrt(sum(float((o**2).sum()) for o in off)))
    worst = [_ratio(float(np.abs(o).max()), float(np.abs(m).max())) for o, m in zip(off, moved, strict=True)]
    away = np.abs(predict(plan.model, ours, x) - predict(plan.model, plain, x)) if n else np.zeros(1)
    logits = n * plan.epochs * plan.model.outputs
    out = Report(
        _ratio(error, norm), max(worst), float(away.max()), float(away.mean()), logits, trace.saturated,
        _clipped(trace), trace.peaks, (),
    )  # fmt: skip
    return Report(**{**out.__dict__, "advice": tuple(_advice(trace, out))})


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else (0.0 if not part else float("inf"))


def strains(trace: ModelTrace) -> tuple[str, ...]:
    """A line for each thing that the records or the weights strain: saturated logits, bounds, clipped values."""
    rows, out = int(trace.mask.sum()), []
    logits = rows * trace.plan.epochs * trace.plan.model.outputs
    if trace.saturated > SATURATED * max(logits, 1):
        largest = max(peak.largest for peak in trace.peaks if peak.name == "logits")
        factor = max(2, 1 << (largest // trace.plan.table_half).bit_length())
        out.append(
            f"{trace.saturated} of {logits} logits saturate, up to {largest >> trace.plan.logit_bits}; the "
            f"table ends at {trace.plan.logit_limit}: multiply the schema's scale by {factor}, or start smaller"
        )
    for peak in trace.peaks:
        if peak.headroom < NEAR:
            bits = max(1, int(np.ceil(NEAR + 1 - peak.headroom)))
            out.append(f"{peak.name} come within {peak.headroom:.1f} bits of their bound: {peak.remedy(bits)}")
    values, clipped = max(rows * (trace.plan.columns - 1), 1), _clipped(trace)
    if clipped > SATURATED * values:
        out.append(f"{clipped} of {values} feature values are clipped at 8 scales: enlarge the schema's scale")
    return tuple(out)


def _clipped(trace: ModelTrace) -> int:
    return int(np.isin(trace.inputs[: int(trace.mask.sum()), :-1], (-2048, 2047)).sum())


def _advice(trace: ModelTrace, result: Report) -> list[str]:
    out = list(strains(trace))
    if result.update_error > FAR:
        out.append(
            f"the update is {result.update_error:.1%} from float training: choose scales with more fraction bits, or "
            "features that vary by more than a 256th"
        )
    return out
