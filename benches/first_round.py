"""`fedproof net` with default options: seconds to make the network, and from its start to the first finished round.

.venv/bin/python benches/first_round.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figure, options, show

COMMAND = [sys.executable, "-m", "fedproof", "net"]


def main() -> None:
    """Measure."""
    chosen = options("from nothing to the first round of a local network", repeat=3)
    prepared = Figure("fedproof net prepare", "s")
    started = Figure("fedproof net start to the first finished round", "s", at_most=60)
    with tempfile.TemporaryDirectory() as folder:
        for k in range(chosen.repeat):
            where = str(Path(folder) / f"net-{k}")
            try:
                for name, figure in (("prepare", prepared), ("start", started)):
                    begun = time.perf_counter()
                    subprocess.run([*COMMAND, name, where, "--quiet"], check=True, stdout=subprocess.DEVNULL)
                    figure.samples.append(time.perf_counter() - begun)
            finally:
                subprocess.run([*COMMAND, "stop", where, "--quiet"], check=False, stdout=subprocess.DEVNULL)
    show([prepared, started], chosen.json)


if __name__ == "__main__":
    main()
