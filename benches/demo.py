"""`fedproof demo` with default options and no cached keys, as a process of its own; and the auditor's part.

.venv/bin/python benches/demo.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figure, options, show

FEDPROOF = Path(sys.executable).with_name("fedproof")


def main() -> None:
    """Measure."""
    chosen = options("fedproof demo, keys not cached", repeat=3)
    whole = Figure("fedproof demo, keys not cached", "s", at_most=120)
    audit = Figure("fedproof verify", "s")
    memory = Figure("peak resident memory of the demo", "MiB")
    with tempfile.TemporaryDirectory() as folder:
        for k in range(chosen.repeat):
            run = Path(folder) / f"run-{k}"
            started = time.perf_counter()
            command = [FEDPROOF, "demo", "--no-cache", "--quiet", "--json", "--run", run]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            whole.samples.append(time.perf_counter() - started)
            memory.samples.append(json.loads(done.stdout)["peak_rss_mb"])
            started = time.perf_counter()
            subprocess.run([FEDPROOF, "verify", "--quiet", run], check=True, stdout=subprocess.DEVNULL)
            audit.samples.append(time.perf_counter() - started)
    show([whole, audit, memory], chosen.json)


if __name__ == "__main__":
    main()
