"""Who runs a federation for an estimator: a simulation, or the application layer's proven run through the same seam.

A runner takes a `Federation` and gives an `Outcome`. `SimulatedRunner` computes every integer that a proven task would
have, and proves nothing. A runner that proves says so in `training`, and its outcome names what an auditor can check.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np

from fedproof.data.limits import MIN_ROWS
from fedproof.errors import InputError
from fedproof.interop.inputs import Standardisation
from fedproof.interop.onnx_out import PROVEN, SIMULATED, Origin
from fedproof.learning import exact
from fedproof.learning.baseline import Float
from fedproof.learning.exact import Peak
from fedproof.learning.fixed import Int
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan
from fedproof.learning.sgd import pad_to
from fedproof.statements.aggregation import divide

_PROVER = ("fedproof.app.proven", "ProvenRunner")
MIN_PARTICIPANTS = 2
MAX_ROUNDS = 4095  # a task has a fresh mask for each round, and one more


@final
@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """One participant's records in training order.

    Args:
        features: `(n, f)` in 12 bits.
        labels: `(n,)`, classes, or targets with 8 fraction bits in 12.
        raw: the same rows before quantisation, as `fit` was given them: features `(n, f)` and labels `(n,)`. A runner
            that lists datasets needs them; a simulation does not.
    """

    features: Int
    labels: Int
    raw: tuple[Float, np.ndarray] | None = None

    @property
    def rows(self) -> int:
        """n: the weight of its updates."""
        return len(self.labels)


@final
@dataclass(frozen=True, eq=False)
class Publicity:
    """What everybody knows of the data.

    Args:
        inputs: centre, scale and name of each feature.
        classes: names from class 0; none for a regression.
        target: centre and scale of a regression's target.
        rows: public rows, features `(n, f)` and labels `(n,)`; nothing where a simulation pooled all rows instead.
        labels: those of `rows` as `Part.labels` has them.
    """

    inputs: Standardisation
    classes: tuple[str, ...] = ()
    target: tuple[float, float] = (0.0, 1.0)
    rows: tuple[Float, np.ndarray] | None = None
    labels: Int | None = None


@final
@dataclass(frozen=True, eq=False)
class Federation:
    """What is to be run: everything that decides the integers of the final model.

    Args:
        plan: architecture, capacity class, epochs and scales.
        start: weights that round 1 starts from, at `plan.weight_scales()`.
        parts: of each participant; all take part in every round.
        rounds: 1 or more.
        public: what a task says of its data; a simulation needs none of it.
        seed: what the start and the dealing of rows were drawn from, for a report to name.

    Raises:
        InputError: fewer than two participants, a part that is empty or too large, or no round.
    """

    plan: TrainingPlan
    start: tuple[Int, ...]
    parts: tuple[Part, ...]
    rounds: int
    public: Publicity | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.plan.model.check(self.start)
        if len(self.parts) < MIN_PARTICIPANTS:
            raise InputError(f"{len(self.parts)} participants; a round of fewer than two would publish an update")
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise InputError(f"rounds: {self.rounds}; give 1 to {MAX_ROUNDS}")
        for number, part in enumerate(self.parts, 1):
            if not 1 <= part.rows <= self.plan.rows:
                raise InputError(
                    f"participant {number} has {part.rows} rows; the capacity class holds {self.plan.rows}"
                )

    @property
    def small(self) -> tuple[int, ...]:
        """Participants, from 1, whose rows are too few to be listed for a proven run."""
        return tuple(number for number, part in enumerate(self.parts, 1) if part.rows < MIN_ROWS)


@final
@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave.

    Attributes:
        models: the global weights after each round, integers at the plan's scales.
        peaks: the largest integers of all local runs, with their limits; empty where the runner does not tell.
        saturated: logits beyond a sigmoid's table, over all runs.
        evidence: where an auditor finds the proofs, such as a run folder; nothing for a simulation.
        origin: of the last model, for its file; nothing where the runner does not tell.
    """

    models: tuple[tuple[Int, ...], ...]
    peaks: tuple[Peak, ...] = ()
    saturated: int = 0
    evidence: str | None = None
    origin: Origin | None = None


class Runner(Protocol):
    """Runs a federation. `training` is `"simulated"` or `"proven"`, and what it says of itself reaches the user."""

    training: str

    def run(self, federation: Federation) -> Outcome:
        """Train.

        Raises:
            FedproofError: the run failed.
        """
        ...


@final
class SimulatedRunner:
    """Exact integer FedAvg on one machine: the integers of a proven task, and no proof of anything."""

    training = SIMULATED

    def run(self, federation: Federation) -> Outcome:
        """Train every round.

        Raises:
            InputError: integers that would leave the range of the statements, as a proven run would refuse them.
        """
        plan, weights = federation.plan, federation.start
        records = [pad_to(plan.rows, plan.columns, part.features, part.labels) for part in federation.parts]
        counts = [part.rows for part in federation.parts]
        models, peaks, saturated = [], dict[str, Peak](), 0
        for _ in range(federation.rounds):
            updates = []
            for padded in records:
                trace = exact.train(plan, *padded, weights)
                updates.append(trace.update)
                saturated += trace.saturated
                for peak in trace.peaks:
                    if peak.name not in peaks or peaks[peak.name].largest < peak.largest:
                        peaks[peak.name] = peak
            weights = next_model(weights, updates, counts)
            models.append(weights)
        return Outcome(tuple(models), tuple(peaks.values()), saturated)


def next_model(weights: Sequence[Int], updates: Sequence[Sequence[Int]], counts: Sequence[int]) -> tuple[Int, ...]:
    """`W' = W + q` with `S = sum n_i U_i = N q + rem`, rounded as the aggregation statement rounds.

    Raises:
        InputError: a sum or weight that 62 bits do not hold.
    """
    out = []
    for layer, matrix in enumerate(weights):
        total: Any = sum(n * update[layer].astype(object) for n, update in zip(counts, updates, strict=True))
        largest = max(int(np.max(total)), -int(np.min(total)))
        if largest >= WEIGHT_LIMIT:
            raise InputError(
                f"the sum of layer {layer + 1}'s updates needs more than 62 bits; use fewer rows or epochs"
            )
        moved: Int = matrix + divide(total.astype(np.int64), sum(counts))[0]
        if np.abs(moved).max() >= WEIGHT_LIMIT:
            raise InputError(f"a weight of layer {layer + 1} needs more than 62 bits; rescale the features")
        out.append(moved)
    return tuple(out)


def choose_runner(run: str, runner: Runner | None, folder: str | Path | None = None, verbose: int = 0) -> Runner:
    """The runner of an estimator's parameters.

    Args:
        folder: where a proven run is kept.
        verbose: whether the built-in proven run says on standard error how far it is.

    Raises:
        InputError: a word that is neither; `"prove"` with neither a folder nor a runner that proves, or with both; or
            `"simulate"` with either.
    """
    if run not in ("simulate", "prove"):
        raise InputError(f"run: {run!r}; give 'simulate' (exact integers, nothing proven) or 'prove'")
    wanted = SIMULATED if run == "simulate" else PROVEN
    if folder is not None and (wanted == SIMULATED or runner is not None):
        other = "run='simulate' leaves none" if wanted == SIMULATED else "the runner that was given has its own"
        raise InputError(f"folder: it is where the built-in proven run is kept, and {other}")
    if runner is None and folder is None and wanted == PROVEN:
        raise InputError(
            "run='prove' needs folder=..., a new folder for the proven run, or a runner that proves, given as "
            "runner=...; nothing was trained. run='simulate' computes the same integers, and its model is simulated, "
            "not proven"
        )
    chosen: Runner = runner or (SimulatedRunner() if folder is None else _prover(_path(folder), verbose))
    if getattr(chosen, "training", None) != wanted:
        said = getattr(chosen, "training", "of no known kind")
        raise InputError(f"run={run!r}, but the runner {type(chosen).__name__} is {said}; they must say the same")
    return chosen


def _path(folder: object) -> Path:
    if not isinstance(folder, str | Path) or not str(folder) or "\0" in str(folder):
        raise InputError(f"folder: {folder!r}; give the path of a folder that does not exist yet")
    return Path(folder)


def _prover(folder: Path, verbose: int) -> Runner:
    """The application layer's runner. This room knows its name alone: the chain and the nodes are loaded by whoever
    proves, and by nobody else."""
    module, name = _PROVER
    prover: Runner = getattr(importlib.import_module(module), name)(folder, verbose=bool(verbose))
    return prover


def check_outcome(federation: Federation, runner: Runner, outcome: Outcome) -> None:
    """Refuse an outcome that does not fit, and a proven one without evidence.

    Raises:
        InputError: as said.
    """
    if len(outcome.models) != federation.rounds:
        raise InputError(f"the runner gave {len(outcome.models)} models for {federation.rounds} rounds")
    for model in outcome.models:
        federation.plan.model.check(model)
    if (runner.training == PROVEN) != (outcome.evidence is not None):
        raise InputError(
            f"a {runner.training} run {'without' if outcome.evidence is None else 'with'} evidence of proofs"
        )
