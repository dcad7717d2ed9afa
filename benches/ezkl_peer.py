"""One SGD step proven here and with EZKL: the same model, batch and machine, in one run.

    .venv/bin/python benches/ezkl_peer.py --ezkl .peers/bin/python

`--ezkl` names an interpreter that has ezkl and onnx. The statements differ: EZKL proves one evaluation of a graph in
its own fixed point, ours also that dataset, model and update are the committed ones, in exact integers. The softmax of
784 x 10 takes EZKL minutes and some 19 GB, so that it runs with `--large` alone.
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

import training

STEP = Path(__file__).parent / "peers" / "ezkl_step.py"
SMALL, LARGE = "logistic 31 columns, one step", "softmax 784-10, one step"


def theirs(python: str, name: str, repeat: int) -> dict[str, Any]:
    """EZKL's figures, or why there are none."""
    model = training.CASES[name].model
    shape = [str(training.CASES[name].rows), str(model.widths[0]), str(model.outputs), str(repeat)]
    done = subprocess.run([python, str(STEP), *shape], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)  # noqa: UP022
    if done.returncode:
        return {"missing": (done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        "prove": statistics.median(found["prove"]), "prove, processor": statistics.median(found["cpu"]),
        "verify": statistics.median(found["verify"]), "setup": found["seconds"]["setup"], "memory": found["memory"],
        "proof bytes": found["proof bytes"], "key bytes": found["key bytes"], "valid": found["valid"],
        "prove samples": found["prove"], "logrows": found["logrows"],
    }  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="one SGD step beside EZKL")
    parser.add_argument("--repeat", type=int, default=3, help="proofs of each (default 3)")
    parser.add_argument("--ezkl", metavar="PYTHON", help="an interpreter that has ezkl and onnx")
    parser.add_argument("--large", action="store_true", help="the softmax of 784 x 10, too")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in (SMALL, LARGE):
        skipped = name == LARGE and not chosen.large
        found[name] = {"fedproof": {"missing": "--large"} if skipped else training.measure(name, chosen.repeat)}
        if chosen.ezkl is None or skipped:
            found[name]["ezkl"] = {"missing": "--large" if skipped else "no --ezkl"}
        else:
            found[name]["ezkl"] = theirs(chosen.ezkl, name, chosen.repeat)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "cases": found}, indent=2))
        return
    print(
        f"{machine}\n\n| case | prover | prove s | processor s | verify s | setup s | key MB | proof bytes | peak GB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, provers in found.items():
        for prover, f in provers.items():
            if "missing" in f:
                print(f"| {name} | {prover} | not run: {f['missing']} | | | | | | |")
                continue
            print(
                f"| {name} | {prover} | {f['prove']:.2f} | {f['prove, processor']:.2f} | {f['verify']:.4f} "
                f"| {f['setup']:.1f} | {f['key bytes'] / 1e6:.1f} | {f['proof bytes']} | {f['memory'] / 1e9:.2f} |"
            )


if __name__ == "__main__":
    main()
