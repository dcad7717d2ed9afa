"""Many nodes on one machine: seconds from the opening of a round to its settlement, and the memory of each node.

    .venv/bin/python benches/network.py --participants 50 --workers 5

Every node is a process with keys and state of its own, over anvil and a folder of blobs. The rows are drawn, 64 for
each participant: what is measured does not depend on them. Training proofs are made, as in any round; the seconds that
the participants spent on them are reported beside the whole, for on one machine they share its processors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fedproof.app.network import DEPLOYMENT, open_network
from fedproof.app.network_run import stop_network
from fedproof.app.network_task import federation_of
from fedproof.app.telling import Silent
from fedproof.ledger import Chain
from fedproof.ledger.federation import Federation, Stage

COMMAND = [sys.executable, "-m", "fedproof", "net"]
ROWS_EACH, COLUMNS = 64, 30


def write_rows(path: Path, rows: int) -> None:
    """A table with a label that a line separates, with noise."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(rows, COLUMNS)).round(3)
    labels = (features @ rng.normal(size=COLUMNS) + rng.normal(size=rows) > 0).astype(int)
    names = [f"x{k}" for k in range(COLUMNS)] + ["label"]
    lines = [",".join([*map(str, row), str(label)]) for row, label in zip(features, labels, strict=True)]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")


def net(*arguments: str) -> dict[str, Any]:
    """One command of the network."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"net {arguments[0]}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def peak_mib(pid: int) -> float:
    """The most memory that a process had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """What the nodes logged under a name."""
    found = []
    for path in sorted(folder.glob("logs/*.log")):
        for line in path.read_text().splitlines():
            if f'"{name}"' in line:
                found.append(json.loads(line))
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def play(folder: Path, seconds: float) -> dict[str, Any]:
    """Start everything, wait until all are enrolled, open the round, and follow it to its end."""
    begun = time.monotonic()
    net("start", str(folder), "--no-wait", "--json", "--quiet")
    network = open_network(folder)
    with Chain.connect(network.url) as chain:
        federation: Federation = federation_of(network, chain)
        task_id = federation.tasks()
        wanted = federation.task_info(task_id).params.max_participants
        while federation.task_info(task_id).enrolled < wanted:
            if time.monotonic() - begun > 10 * seconds:
                raise SystemExit("not all participants enrolled in time; see logs/")
            time.sleep(0.5)
        enrolled = time.monotonic()
        pids = {node["name"]: node["pid"] for node in net("status", str(folder), "--json")["nodes"]}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        opened = time.monotonic()
        subprocess.Popen([*COMMAND, "start", str(folder), "--json", "--quiet"], stdout=subprocess.DEVNULL)
        stages: dict[str, float] = {}
        while True:
            task = federation.task_info(task_id)
            stages.setdefault(task.stage.name.lower(), time.monotonic() - opened)
            if task.settled or task.stage == Stage.ENDED:
                break
            if time.monotonic() - opened > 10 * seconds:
                raise SystemExit("the round did not end in time; see logs/")
            time.sleep(0.2)
        ended = time.monotonic()
        after = {name: cpu_seconds(pid) for name, pid in pids.items()}
        peaks = {name: peak_mib(pid) for name, pid in pids.items()}
    spent = {name: after[name] - before[name] for name in pids}
    proving = [each["fields"]["prove"] for each in events(folder, "update.submitted")]
    return {
        "seconds_to_enrolled": round(enrolled - begun, 1),
        "seconds_of_round": round(ended - opened, 1),
        "updates": task.settled[0].accepted.bit_count() if task.settled else 0,
        "stages": {name: round(at, 1) for name, at in stages.items()},
        "proving_seconds_all": round(sum(proving), 1),
        "proving_seconds_median": round(float(np.median(proving)), 2) if proving else None,
        "cpu_seconds_participants": round(sum(v for k, v in spent.items() if k.startswith("participant")), 1),
        "cpu_seconds_workers": round(sum(v for k, v in spent.items() if k.startswith("worker")), 1),
        "peak_mib": {
            role: round(max(v for k, v in peaks.items() if k.startswith(role)), 1)
            for role in ("participant", "worker", "provider")
        },
        "failed_acts": len(events(folder, "act.failed")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=50)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="keep the network here and use it again")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds; ten times as much is waited")
    chosen = parser.parse_args()
    base = chosen.folder or Path(tempfile.mkdtemp(prefix="fedproof-bench-"))
    base.mkdir(parents=True, exist_ok=True)
    folder = base / "net"
    try:
        if not (folder / DEPLOYMENT).exists():
            write_rows(base / "rows.csv", int(chosen.participants * ROWS_EACH / 0.8))
            options = ["--participants", str(chosen.participants), "--workers", str(chosen.workers), "--rounds", "1"]
            options += ["--threshold", str((chosen.workers - 1) // 2), "--data", str(base / "rows.csv"), "--quiet"]
            begun = time.monotonic()
            subprocess.run([*COMMAND, "prepare", str(folder), *options, "--label", "label"], check=True)
            print(f"prepared in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        print(json.dumps(play(folder, chosen.limit), indent=1))
    finally:
        if (folder / "network.json").exists():
            stop_network(folder, Silent(), 10)
        if chosen.folder is None:
            shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
