"""Proves a witness with groth16py so many times; prints seconds and processor seconds of each proof as JSON.

    PYTHON benches/peers/groth16py_prove.py CIRCUIT.r1cs WITNESS.wtns REPEAT

It runs in an interpreter that has groth16py, which fedproof never installs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import groth16py  # type: ignore[import-not-found]


def main() -> None:
    """Measure."""
    circuit, witness, repeat = sys.argv[1:]
    # one public value: the wire after 1, behind the file's head and the heads of its two sections
    at = 12 + 12 + 40 + 12 + 32
    public = int.from_bytes(Path(witness).read_bytes()[at : at + 32], "little")
    found: dict[str, Any] = {"prove": [], "cpu": [], "valid": True}
    started = time.perf_counter()
    key, verifying = groth16py.setup(circuit)
    found["setup"] = time.perf_counter() - started
    for run in range(int(repeat) + 1):
        started, processor = time.perf_counter(), time.process_time()
        proof = groth16py.prove_wtns(key, witness)
        seconds, used = time.perf_counter() - started, time.process_time() - processor
        found["valid"] = groth16py.Verifier(verifying).verify(proof, [public]) and found["valid"]
        if run:
            found["prove"].append(seconds)
            found["cpu"].append(used)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
