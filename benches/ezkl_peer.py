"""One SGD step proven here and with EZKL: the same model, batch and machine, in one run.

    .venv/bin/python benches/ezkl_peer.py --ezkl .peers/bin/python

`--ezkl` names an interpreter that has ezkl and onnx. The statements differ: EZKL proves one evaluation of a graph in
its own fixed point, ours also that dataset, model and update are the committed ones, in exact integers. The error is
how far the proven update is from float SGD on the unrounded features. The softmax of 784 x 10 takes EZKL minutes and
some 19 GB at its default scales, so that it runs with `--large` alone; calibrated it takes more than 24 GB, and needs
`--calibrated`, too.
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

from fedproof.learning.comparison import report

STEP = Path(__file__).parent / "peers" / "ezkl_step.py"
SMALL, LARGE = "logistic 31 columns, one step", "softmax 784-10, one step"


def ours(name: str, repeat: int) -> dict[str, Any]:
    """Our figures, and the error."""
    case = training.CASES[name]
    trace, _ = training.run_of(case, training.plan_of(case)[0])
    error = report(trace, training.drawn(case)[0][: case.rows - 2]).update_error
    return training.measure(name, repeat) | {"error": error}


def theirs(python: str, name: str, repeat: int, scales: str) -> dict[str, Any]:
    """EZKL's figures, or why there are none."""
    model = training.CASES[name].model
    shape = [str(training.CASES[name].rows), str(model.widths[0]), str(model.outputs), str(repeat), scales]
    done = subprocess.run([python, str(STEP), *shape], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)  # noqa: UP022
    if done.returncode < 0:
        return {"missing": f"ended by signal {-done.returncode}, as where memory is not enough"}
    if done.returncode:
        return {"missing": (done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        "prove": statistics.median(found["prove"]), "prove, processor": statistics.median(found["cpu"]),
        "verify": statistics.median(found["verify"]), "setup": found["seconds"]["setup"], "memory": found["memory"],
        "proof bytes": found["proof bytes"], "key bytes": found["key bytes"], "valid": found["valid"],
        "prove samples": found["prove"], "logrows": found["logrows"], "error": found["error"],
    }  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="one SGD step beside EZKL")
    parser.add_argument("--repeat", type=int, default=3, help="proofs of each (default 3)")
    parser.add_argument("--ezkl", metavar="PYTHON", help="an interpreter that has ezkl and onnx")
    parser.add_argument("--large", action="store_true", help="the softmax of 784 x 10, too")
    parser.add_argument("--calibrated", action="store_true", help="that one at calibrated scales, too: over 24 GB")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in (SMALL, LARGE):
        if name == LARGE and not chosen.large:
            found[name] = {"fedproof": {"missing": "--large"}}
            continue
        found[name] = {"fedproof": ours(name, chosen.repeat)}
        for scales in ("default", "calibrated"):
            if scales == "calibrated" and name == LARGE and not chosen.calibrated:
                continue
            found[name][f"ezkl, {scales} scales"] = (
                {"missing": "no --ezkl"} if chosen.ezkl is None else theirs(chosen.ezkl, name, chosen.repeat, scales)
            )
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if chosen.json:
        print(json.dumps({"machine": machine, "cases": found}, indent=2))
        return
    print(
        f"{machine}\n\n| case | prover | prove s | processor s | verify s | setup s | key MB | proof bytes | peak GB "
        "| error |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, provers in found.items():
        for prover, f in provers.items():
            if "missing" in f:
                print(f"| {name} | {prover} | not run: {f['missing']} | | | | | | | |")
                continue
            print(
                f"| {name} | {prover} | {f['prove']:.2f} | {f['prove, processor']:.2f} | {f['verify']:.4f} "
                f"| {f['setup']:.1f} | {f['key bytes'] / 1e6:.1f} | {f['proof bytes']} | {f['memory'] / 1e9:.2f} "
                f"| {f['error']:.2%} |"
            )


if __name__ == "__main__":
    main()
