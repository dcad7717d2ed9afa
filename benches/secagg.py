"""Hiding and summing updates of ten participants, here and with Flower's SecAgg+: one machine, one run.

    .venv/bin/python benches/secagg.py --flwr .peers/bin/python

`--flwr` names an interpreter that has flwr. Ours shares with three workers, each of which opens, checks, sums, seals
its output, checks the others' and rebuilds the sum; SecAgg+ masks pair by pair, and its server sums and unmasks. What
they promise differs: SecAgg+ trusts every participant to send the sum of what it was told to; ours checks each share
against a commitment that the training proof is about, and names who sent a wrong one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import Any

from committee import work

from fedproof import _core

PEER = Path(__file__).parent / "peers" / "secagg_plus.py"
PARTICIPANTS, SIZES, LARGE = 10, (10_000, 100_000), (1_000_000,)


def ours(parameters: int, repeat: int) -> dict[str, Any]:
    """A worker's and a participant's seconds."""
    srs = _core.Srs.generate(parameters + 1, [])
    runs = [work(parameters, PARTICIPANTS, srs) for _ in range(repeat)]
    return {"client": [client for _, client in runs], "server": [worker for worker, _ in runs]}


def theirs(python: str | None, parameters: int, repeat: int) -> dict[str, Any]:
    """The same of SecAgg+, or why there is nothing."""
    if python is None:
        return {"missing": "no --flwr"}
    command = [python, str(PEER), str(parameters), str(PARTICIPANTS), str(repeat)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["it failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="sharing and summing beside SecAgg+")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each (default 3)")
    parser.add_argument("--large", action="store_true", help="a million parameters, too: some minutes")
    parser.add_argument("--flwr", metavar="PYTHON", help="an interpreter that has flwr")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    found = {
        f"{size:,} parameters": {
            "fedproof": ours(size, chosen.repeat),
            "SecAgg+": theirs(chosen.flwr, size, chosen.repeat),
        }
        for size in SIZES + LARGE * chosen.large
    }
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "sizes": found}, indent=2))
        return
    print(f"{machine}\n\n| size | scheme | participant s | worker or server s |\n|---|---|---|---|")
    for size, schemes in found.items():
        for name, f in schemes.items():
            if "missing" in f:
                print(f"| {size} | {name} | not run: {f['missing']} | |")
                continue
            print(f"| {size} | {name} | {statistics.median(f['client']):.3f} | {statistics.median(f['server']):.3f} |")


if __name__ == "__main__":
    main()
