"""A federation of an estimator, played and proven from listing to payment: what `run="prove"` runs.

The same nodes, contracts and audit as `fedproof demo`, on an embedded chain: each participant's rows are listed by a
provider of its own, the committee is of this process, and the run folder is one that `fedproof verify` takes. All roles
are one machine's, which sees all rows: who wants them apart runs nodes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, final

import numpy as np

from fedproof.app.demo import MODEL, DemoOptions, play_plan
from fedproof.app.opening import MOST_PARTICIPANTS, MOST_ROUNDS, MOST_WORKERS
from fedproof.app.telling import Silent, Teller
from fedproof.data import Parts, Schema, Table
from fedproof.data.limits import MIN_ROWS
from fedproof.errors import InputError
from fedproof.interop.onnx_out import PROVEN, Origin
from fedproof.interop.runner import Federation, Outcome, Publicity
from fedproof.interop.validate import whole
from fedproof.learning.baseline import Float
from fedproof.learning.fixed import Int
from fedproof.learning.model import GlobalModel

_NAME: Final = "estimator"
_TARGET: Final = "target"


@final
@dataclass(frozen=True)
class ProvenRunner:
    """Runs a federation as a task, and leaves its run folder.

    Args:
        folder: of the run; must not exist. Its `public` half is what an auditor needs, and holds the public rows; its
            `private` half holds the secrets of all roles.
        workers, threshold: the committee, and how many of it together learn nothing.
        teller: is told what happens. verbose: where there is none, standard error is.
        cache: whether keys are kept for the next run of the same shape; making them takes longest.
    """

    folder: Path
    workers: int = 3
    threshold: int = 1
    teller: Teller = field(default_factory=Silent)
    cache: bool = True
    verbose: bool = False

    training: ClassVar[str] = PROVEN

    def run(self, federation: Federation) -> Outcome:
        """Play the task, and audit it.

        Raises:
            InputError: a federation that cannot be proven: no public rows, parts that are too small to be listed, names
                that no schema takes; or a folder that exists.
            FedproofError: any step that does not hold; nothing is passed over.
        """
        whole("workers", self.workers, 3, MOST_WORKERS)
        whole("threshold", self.threshold, 1, (MOST_WORKERS - 1) // 2)
        if (least := 2 * self.threshold + 1) > self.workers:
            raise InputError(f"threshold={self.threshold} needs at least {least} workers; give workers={least}")
        options = DemoOptions(
            folder=Path(self.folder),
            participants=len(federation.parts),
            rounds=federation.rounds,
            workers=self.workers,
            threshold=self.threshold,
            seed=federation.seed,
            cache=self.cache,
        )
        options.check()
        parts, schema = listed(federation)
        plan = federation.plan
        start = GlobalModel(plan.model, plan.weight_scales(), plan.model.flatten(federation.start))
        teller = Lines() if self.verbose and isinstance(self.teller, Silent) else self.teller
        _, models = play_plan(options, _NAME, parts, schema, plan, start, teller)
        last = json.loads((options.folder / MODEL).read_text())
        origin = Origin(PROVEN, f"task {last['task']} of {options.folder.name}", bytes.fromhex(last["commitment"]))
        return Outcome(tuple(model.layers for model in models), evidence=str(options.folder), origin=origin)


class Lines:
    """Progress for a person, on standard error."""

    def step(self, text: str) -> None:
        """A line of what is done."""
        print(text, file=sys.stderr, flush=True)

    def doing(self, text: str) -> None:
        """A line of what begins."""
        print(f"{text} ...", file=sys.stderr, flush=True)


def listed(federation: Federation) -> tuple[Parts, Schema]:
    """The tables that a federation's participants list, and their schema.

    Raises:
        InputError: see `ProvenRunner.run`; or rows that would not be listed as the integers that the federation names.
    """
    public = federation.public
    if public is None or public.rows is None or public.labels is None:
        raise InputError("a proven run takes centre and scale from public rows, and there are none")
    _check_range("rounds", federation.rounds, min(MOST_ROUNDS, federation.plan.mask_count - 1))
    _check_range("participants", len(federation.parts), MOST_PARTICIPANTS)
    if federation.small:
        number = federation.small[0]
        raise InputError(
            f"participant {number} has {federation.parts[number - 1].rows} rows; a dataset is listed with {MIN_ROWS} "
            "or more"
        )
    test = _table(public, public.rows, public.labels, "test")
    tables = tuple(
        _table(public, part.raw, part.labels, f"part {number}") for number, part in enumerate(federation.parts, 1)
    )
    schema = Schema.from_public(test, federation.plan.rows)
    for number, (part, table) in enumerate(zip(federation.parts, tables, strict=True), 1):
        same = np.array_equal(schema.quantise(table.features), part.features)
        if not same or not np.array_equal(schema.quantise_labels(table.labels), part.labels):
            raise InputError(f"participant {number}: its rows are not listed as the integers that are to be trained on")
    return Parts(test, tables), schema


def _table(public: Publicity, raw: tuple[Float, np.ndarray] | None, labels: Int, what: str) -> Table:
    """Rows as a table: classes by number, a target in its unit."""
    if raw is None:
        raise InputError(f"{what}: a proven run lists the rows as they were given, and there are none")
    target = "" if public.classes else _TARGET
    kept = np.asarray(raw[1], dtype=np.float64) if target else labels.astype(np.int64)
    return Table(f"{_NAME} {what}", raw[0], public.inputs.names, kept, public.classes, target)


def _check_range(what: str, value: int, most: int) -> None:
    if value > most:
        raise InputError(f"{what}: {value}; a task has {most} at most")
