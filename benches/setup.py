"""A setup by many for the tasks of one shape: what each contributor, who begins, and who verifies spend.

    .venv/bin/python benches/setup.py [--rows 128] [--columns 31]

Keys of logistic regression, all five circuits. One run: the parts are minutes apart in size, not in noise.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from _measure import Figure, show

from fedproof.app import setups
from fedproof.app.founding import plan_of
from fedproof.app.telling import Silent
from fedproof.proving.ceremony import Beacon

T = TypeVar("T")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--columns", type=int, default=31)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    plan, silent = plan_of(chosen.rows, chosen.columns, model="logistic", epochs=1), Silent()
    found: list[Figure] = []

    def timed(name: str, act: Callable[[], T]) -> T:
        started = perf_counter()
        result = act()
        found.append(Figure(name, "s", [perf_counter() - started]))
        return result

    end = Beacon(bytes(32), 10)
    first = setups.start_first(plan)
    found.append(Figure("rows of the largest circuit, rounded up", "", [float(first.phase.size)]))
    first = timed("first phase: a contribution", lambda: first.contribute("one", None, silent))
    first = first.contribute("two", None, silent).contribute("beacon", end, silent)
    timed("first phase: verifying", lambda: first.verify(silent))
    found.append(Figure("first phase: file, MB", "", [len(first.encode()) / 1e6]))
    second = timed("second phase: beginning", lambda: setups.start_second(first, plan, silent))
    second = timed("second phase: a contribution", lambda: second.contribute("one", None, silent))
    second = second.contribute("two", None, silent).contribute("beacon", end, silent)
    timed("second phase: verifying, with the first", lambda: second.verify(silent, first))
    found.append(Figure("second phase: file, MB", "", [len(second.encode()) / 1e6]))
    with tempfile.TemporaryDirectory() as folder:
        timed("finishing", lambda: setups.finish(first, second, Path(folder) / "setup", silent))
    show(found, chosen.json)


if __name__ == "__main__":
    main()
