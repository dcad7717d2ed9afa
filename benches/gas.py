"""Gas per update of whole tasks with real proofs: 3 and 10 participants on breast cancer, five rounds each;
40 on digits, two rounds.

    .venv/bin/python benches/gas.py

`gas_per_update` = (openRound + every submit + close and freeze + finalize) / updates (protocol, section 7). The field's
figure is a proof of 210,000 gas for each update and one for the aggregate: (N + 1) / N * 210,000. Gas does not vary
with the machine; a few bytes of calldata vary from run to run.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from _measure import Figure, options, show

from fedproof.app.demo import DemoOptions, run_demo
from fedproof.app.telling import Silent

LIMITS = {3: 300_000, 10: 192_000, 40: None}
LARGE = DemoOptions(Path(), data="digits", positive="8", rounds=2)  # breast cancer has too few rows for 40
FIELD = 210_000


def main() -> None:
    """Measure."""
    chosen = options("gas per update", repeat=1)
    figures = []
    with tempfile.TemporaryDirectory() as base:
        for participants, limit in LIMITS.items():
            figure = Figure(f"gas per update, {participants} participants", "gas", at_most=limit)
            submit = Figure(f"submitUpdate, {participants} participants", "gas")
            finalize = Figure(f"finalizeRound, {participants} participants", "gas")
            for k in range(chosen.repeat):
                sized = DemoOptions(Path()) if participants <= 10 else LARGE
                demo = replace(sized, folder=Path(base) / f"{participants}-{k}", participants=participants, seed=k + 1)
                report = run_demo(demo, Silent())
                figure.samples.append(report["gas_per_update"])
                submit.samples += [gas for played in report["rounds"] for gas in played["gas"]["submit"]]
                finalize.samples += [played["gas"]["finalize"] for played in report["rounds"]]
            field = Figure(
                f"the field's figure, {participants} participants", "gas", [(participants + 1) / participants * FIELD]
            )
            figures += [figure, submit, finalize, field]
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
