"""What every benchmark shares: repetition, medians, and a table with the machine it was measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field


@dataclass
class Figure:
    """One figure: the samples in `unit`, and the most that the project allows itself."""

    name: str
    unit: str
    samples: list[float] = field(default_factory=list)
    at_most: float | None = None

    @property
    def median(self) -> float:
        """The figure that is reported."""
        return statistics.median(self.samples)

    def line(self) -> str:
        """The row of the table."""
        bound = "" if self.at_most is None else f"{self.at_most:,g}"
        verdict = "" if self.at_most is None else ("ok" if self.median <= self.at_most else "MISSED")
        spread = f"{self._format(min(self.samples))} .. {self._format(max(self.samples))}"
        shown = f"{self._format(self.median)} {self.unit}".strip()
        return f"| {self.name} | {shown} | {spread} | {len(self.samples)} | {bound} | {verdict} |"

    def _format(self, value: float) -> str:
        return f"{value:,.3f}" if self.unit == "s" else f"{value:,.0f}"


def timed(name: str, call: Callable[[], object], repeat: int, at_most: float | None = None) -> Figure:
    """Seconds of a call after one run that is not counted."""
    call()
    figure = Figure(name, "s", at_most=at_most)
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        figure.samples.append(time.perf_counter() - started)
    return figure


def options(description: str, repeat: int) -> argparse.Namespace:
    """The options that all benchmarks take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeat", type=int, default=repeat, help=f"samples of each figure (default {repeat})")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    return parser.parse_args()


def show(figures: list[Figure], as_json: bool) -> None:
    """Print the figures."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if as_json:
        print(
            json.dumps({"machine": machine, "figures": [asdict(f) | {"median": f.median} for f in figures]}, indent=2)
        )
        return
    print(f"{machine}\n\n| what | median | spread | samples | at most | |\n|---|---|---|---|---|---|")
    for figure in figures:
        print(figure.line())
