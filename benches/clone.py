"""`make demo` from a bare clone, set-up and Rust build included, with no cached keys.

    .venv/bin/python benches/clone.py

Package registries and caches are those of the machine; `CARGO_HOME` and pip's cache are emptied with `--cold`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figure, options, show

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure."""
    cold = "--cold" in sys.argv
    if cold:
        sys.argv.remove("--cold")
    chosen = options("make demo from a bare clone", repeat=1)
    figure = Figure(f"make demo from a bare clone{', no package cache' if cold else ''}", "s", at_most=900)
    for _ in range(chosen.repeat):
        with tempfile.TemporaryDirectory() as base:
            clone = Path(base) / "clone"
            subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
            environment = {**os.environ, "FEDPROOF_CACHE": str(Path(base) / "keys")}
            if cold:
                environment |= {"CARGO_HOME": str(Path(base) / "cargo"), "PIP_NO_CACHE_DIR": "1"}
            started = time.perf_counter()
            subprocess.run(["make", "demo"], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
            figure.samples.append(time.perf_counter() - started)
    show([figure], chosen.json)


if __name__ == "__main__":
    main()
