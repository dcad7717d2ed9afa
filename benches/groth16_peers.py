"""Plain Groth16 over BN254 beside other provers: one chain of squarings, one machine, one run.

    .venv/bin/python benches/groth16_peers.py --groth16py .peers/bin/python

Each prover runs in a process of its own, one after the other, and proves once uncounted. Processor seconds are those of
all cores together: on a machine with other work they say more than seconds do. snarkjs comes with `npm ci`; gnark is
built by the Go toolchain from `peers/gnark`, its versions pinned there; groth16py is used where `--groth16py` names an
interpreter that has it. What cannot be run is said to be missing, never estimated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import chain

from fedproof import _core

PEERS = Path(__file__).parent / "peers"
AT_MOST = {"snarkjs": 0.25, "gnark": 1.5}
"""What part of a peer's seconds ours may take, where the project has set itself one."""


def ours(power: int, repeat: int) -> dict[str, Any]:
    """Our core, from the witness to the proof; the last proof is checked."""
    r1cs, z = chain.matrices(chain.lengths(power))
    started = time.perf_counter()
    key = _core.ProvingKey.setup(r1cs)
    found: dict[str, Any] = {"setup": time.perf_counter() - started, "prove": [], "cpu": [], "verify": []}
    for run in range(repeat + 1):
        started, processor = time.perf_counter(), time.process_time()
        proof = key.prove(r1cs, z)
        seconds, used = time.perf_counter() - started, time.process_time() - processor
        started = time.perf_counter()
        valid = _core.groth16_verify(key.verifying_key(), z[1:2].copy(), proof, None)
        if run:
            found["prove"].append(seconds)
            found["cpu"].append(used)
            found["verify"].append(time.perf_counter() - started)
    return found | {"valid": valid, "constraints": r1cs.num_constraints, "domain": r1cs.domain_size}


def run(command: list[str]) -> dict[str, Any]:
    """What a command prints as JSON, or why there is nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["it failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def gnark(length: int, repeat: int, folder: Path) -> dict[str, Any]:
    """gnark's prover, with a key of its own."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        return {"missing": "there is no go"}
    program = folder / "gnark"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=PEERS / "gnark", capture_output=True, text=True, check=False
    )
    if built.returncode:
        return {"missing": (built.stderr.strip().splitlines() or ["it cannot be built"])[-1]}
    return run([str(program), str(length), str(repeat)])


def measure(power: int, repeat: int, groth16py: str | None) -> dict[str, dict[str, Any]]:
    """All provers at one size."""
    found = {"fedproof": run([sys.executable, __file__, "--repeat", str(repeat), "--ours", str(power)])}
    length, node = chain.lengths(power), shutil.which("node")
    with tempfile.TemporaryDirectory() as folder:
        circuit, witness, key = (Path(folder) / f"chain.{kind}" for kind in ("r1cs", "wtns", "zkey"))
        chain.write_witness(chain.matrices(length)[1], witness)
        if node is None:
            found["snarkjs"] = {"missing": "there is no node"}
        else:
            chain.write_key(length, key)
            found["snarkjs"] = run([node, str(PEERS / "snarkjs.cjs"), str(key), str(witness), str(repeat)])
            key.unlink()
        found["gnark"] = gnark(length, repeat, Path(folder))
        if groth16py is None:
            found["groth16py"] = {"missing": "no --groth16py"}
        else:
            chain.write_circuit(length, circuit)
            command = [groth16py, str(PEERS / "groth16py_prove.py"), str(circuit), str(witness), str(repeat)]
            found["groth16py"] = run(command)
    mine = found["fedproof"]
    for name, peer in found.items():
        if "prove" in peer and "prove" in mine:
            peer["median"] = statistics.median(peer["prove"])
            peer["median cpu"] = statistics.median(peer["cpu"])
            peer["ours to it"] = statistics.median(mine["prove"]) / peer["median"]
            peer["ours to it, cpu"] = statistics.median(mine["cpu"]) / peer["median cpu"]
            peer["missed"] = peer["ours to it"] > AT_MOST.get(name, float("inf"))
    return found


def table(sizes: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print the figures."""
    print("| domain | prover | prove s | spread | processor s | ours / it | ours / it, processor | valid | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for size, found in sizes.items():
        for name, f in found.items():
            if "median" not in f:
                print(f"| {size} | {name} | not run: {f.get('missing', 'ours failed')} | | | | | | |")
                continue
            bound = f"at most {AT_MOST[name]}: {'MISSED' if f['missed'] else 'ok'}" if name in AT_MOST else ""
            print(
                f"| {size} | {name} | {f['median']:.2f} | {min(f['prove']):.2f} .. {max(f['prove']):.2f} "
                f"| {f['median cpu']:.2f} | {f['ours to it']:.2f} | {f['ours to it, cpu']:.2f} "
                f"| {f['valid']} | {bound} |"
            )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="plain Groth16 beside snarkjs, gnark and groth16py")
    parser.add_argument("--repeat", type=int, default=3, help="proofs of each prover (default 3)")
    parser.add_argument("--power", type=int, action="append", help="log2 of a domain (default 16 and 18)")
    parser.add_argument("--large", action="store_true", help="2^20 as well: 4 GB of memory, and minutes for each peer")
    parser.add_argument("--groth16py", metavar="PYTHON", help="an interpreter that has groth16py")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--ours", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.ours:
        print(json.dumps(ours(chosen.ours, chosen.repeat)))
        return
    powers = (chosen.power or [16, 18]) + ([20] if chosen.large else [])
    load = os.getloadavg()[0]
    sizes = {f"2^{power}": measure(power, chosen.repeat, chosen.groth16py) for power in powers}
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {load:.1f} before"
    )
    if chosen.json:
        print(json.dumps({"machine": machine, "sizes": sizes}, indent=2))
        return
    print(machine + "\n")
    table(sizes)


if __name__ == "__main__":
    main()
