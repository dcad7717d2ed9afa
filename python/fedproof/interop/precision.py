"""How far a federation in integers is from the same federation in float64, and what to rescale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from fedproof.interop.onnx_out import PROVEN
from fedproof.interop.runner import Federation, Outcome
from fedproof.learning.architecture import LOG, SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.comparison import FAR, NEAR, SATURATED
from fedproof.learning.cost import cost
from fedproof.learning.exact import Peak
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.predicting import Predictor
from fedproof.learning.reference import float_sgd


class PrecisionWarning(UserWarning):
    """Integers that are coarse for these data, or near their bounds; the text says what to change."""


@final
@dataclass(frozen=True)
class PrecisionReport:
    """The integers that an estimator trained with.

    Attributes:
        training: `"simulated"` or `"proven"`.
        public: whether centre, scale and precision come from public rows; otherwise from all rows pooled, which only a
            simulation can see.
        plan: scales that were chosen.
        constraints: of one training proof, as the cost law predicts it.
        weight_error: distance of the final weights from float64 FedAvg, relative to how far that moved.
        prediction_max_error, prediction_mean_error: of probabilities or standardised values on the training rows.
        disagreeing, rows: rows whose class differs from that of the float model, of how many.
        saturated, logits: logits beyond the sigmoid's table, of how many.
        clipped, values: feature values and targets beyond the 12 bits, of how many.
        peaks: the largest integers with their limits.
        advice: one line for each thing to change.
    """

    training: str
    public: bool
    plan: TrainingPlan
    constraints: int
    weight_error: float
    prediction_max_error: float
    prediction_mean_error: float
    disagreeing: int
    rows: int
    saturated: int
    logits: int
    clipped: int
    values: int
    peaks: tuple[Peak, ...]
    advice: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report, one line each."""
        proven = self.training == PROVEN
        bits = ", ".join(f"{layer.input_bits} + {layer.delta_bits}" for layer in self.plan.scales)
        out = [
            "proven: each update was proven"
            if proven
            else "simulated: exact integers without proofs; nothing is proven",
            f"fraction bits of inputs + deltas: {bits}; a training proof has {self.constraints:,} constraints",
            f"centre and scale from {'public rows' if self.public else 'all rows pooled'}",
            f"weights: {self.weight_error:.2%} from float training",
            f"predictions: {self.prediction_mean_error:.2e} away on average, {self.prediction_max_error:.2e} at most, "
            f"{self.disagreeing} of {self.rows} classes differ",
            f"saturated: {self.saturated} of {self.logits} logits; {self.clipped} of {self.values} values clipped",
        ]
        if self.peaks:
            nearest = min(self.peaks, key=lambda peak: peak.headroom)
            out.append(f"nearest bound: {nearest.name}, {nearest.headroom:.1f} bits of headroom")
        return [*out, *self.advice]


def float_fedavg(federation: Federation, features: Sequence[Float], labels: Sequence[Float]) -> list[Float]:
    """The same federation in float64 on rows before quantisation: the final weights.

    Args:
        features: `(n_i, f)` standardised, of each part.
        labels: `(n_i,)`, classes or standardised targets.
    """
    plan = federation.plan
    weights = plan.real(federation.start)
    counts = [part.rows for part in federation.parts]
    for _ in range(federation.rounds):
        local = [float_sgd(plan.model, weights, x, y, plan.epochs) for x, y in zip(features, labels, strict=True)]
        weights = [
            np.asarray(sum(n * part[layer] for n, part in zip(counts, local, strict=True)) / sum(counts))
            for layer in range(plan.depth)
        ]
    return weights


def compare(
    federation: Federation, outcome: Outcome, features: Sequence[Float], labels: Sequence[Float], clipped: int,
    training: str, public: bool,
) -> PrecisionReport:  # fmt: skip
    """The report of a run; features and labels as in `float_fedavg`, `clipped` of them beyond the 12 bits."""
    plan, model = federation.plan, federation.plan.model
    plain = float_fedavg(federation, features, labels)
    ours, begun = plan.real(outcome.models[-1]), plan.real(federation.start)
    off = np.concatenate([(a - b).ravel() for a, b in zip(ours, plain, strict=True)])
    moved = np.concatenate([(a - b).ravel() for a, b in zip(plain, begun, strict=True)])
    rows = np.vstack(features)
    exact, real = Predictor.exact(plan, outcome.models[-1]), Predictor.real(model, plain)
    if model.loss == SQUARED:
        away, disagreeing = np.abs(exact.decision(rows) - real.decision(rows)), 0
    else:
        away = np.abs(exact.predict_proba(rows) - real.predict_proba(rows))
        disagreeing = int(np.count_nonzero(exact.predict(rows) != real.predict(rows)))
    logits = len(rows) * plan.epochs * federation.rounds if model.loss == LOG else 0
    values = rows.size + (len(rows) if model.loss == SQUARED else 0)
    norm = float(np.linalg.norm(moved))
    out = PrecisionReport(
        training, public, plan, cost(plan).constraints, float(np.linalg.norm(off)) / norm if norm else 0.0,
        float(away.max()), float(away.mean()), disagreeing, len(rows), outcome.saturated, logits, clipped, values,
        outcome.peaks,
    )  # fmt: skip
    return replace(out, advice=tuple(_advice(out, federation)))


def _advice(report: PrecisionReport, federation: Federation) -> list[str]:
    out = []
    for peak in report.peaks:
        if peak.headroom < NEAR:
            bits = max(1, int(np.ceil(NEAR + 1 - peak.headroom)))
            out.append(f"{peak.name} come within {peak.headroom:.1f} bits of their bound: {peak.remedy(bits)}")
    if report.clipped > SATURATED * report.values:
        out.append(
            f"{report.clipped} of {report.values} values are clipped at 8 scales: look for outliers or wrong units"
        )
    if report.weight_error > FAR and report.prediction_max_error > FAR:
        away = f"predictions {report.prediction_max_error:.2g}"
        off = f"the weights are {report.weight_error:.1%} from float training, {away}"
        if report.saturated > SATURATED * max(report.logits, 1):
            out.append(
                f"{off}: {report.saturated} of {report.logits} logits lie beyond the sigmoid's table; train less"
            )
        else:
            out.append(f"{off}: features may vary too little for a 256th of their scale")
    if report.training != PROVEN and federation.small:
        listed = ", ".join(map(str, federation.small[:5]))
        out.append(f"participants {listed} have fewer than 32 rows, which a dataset of a proven run needs")
    return out
