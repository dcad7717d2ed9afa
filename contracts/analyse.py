"""Static analysis of the contracts: `pip install slither-analyzer && python contracts/analyse.py`, beside Node.js.

Slither wants a native compiler; this hands it what the pinned one from npm makes, all contracts in one compilation.
Ends with 1 where there is a finding that `ANSWERED` does not have; docs/security.md says why each of those stays.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = ["AccessToken", "Committee", "DatasetRegistry", "DatasetSales", "Federation", "KeyEscrow", "NoteVault"]
ANSWERED = {
    ("arbitrary-send-erc20", "DatasetSales.buy"),
    ("divide-before-multiply", "Committee._removeAtOnce"),
    ("divide-before-multiply", "Federation._due"),
    ("divide-before-multiply", "Federation.refund"),
    ("divide-before-multiply", "NoteVault._requireSpendCalldata"),
    ("missing-zero-check", "NoteVault.constructor"),
    ("timestamp", "DatasetRegistry._end"),
    ("timestamp", "DatasetRegistry._running"),
    ("timestamp", "NoteVault.deposit"),
    ("uninitialized-local", "Federation._holds"),
    ("unused-return", "NoteVault.constructor"),
    ("unused-return", "VerifyingKeys._checkG2"),
}
GATHER = r"""
const fs = require("fs"), path = require("path"), sources = {}, pending = process.argv.slice(1);
while (pending.length) {
  const unit = pending.pop();
  if (unit in sources) continue;
  sources[unit] = { content: fs.readFileSync(unit.startsWith("contracts/") ? unit : "node_modules/" + unit, "utf8") };
  for (const [, target] of sources[unit].content.matchAll(/^import\s[^;]*?["']([^"']+)["'];/gms))
    pending.push(target.startsWith(".") ? path.join(path.dirname(unit), target) : target);
}
const kinds = ["abi", "metadata", "devdoc", "userdoc", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"];
const outputSelection = { "*": { "*": kinds, "": ["ast"] } };
const settings = { optimizer: { enabled: true, runs: 1000 }, evmVersion: "cancun", viaIR: true, outputSelection };
const input = { language: "Solidity", sources, settings };
const solc = require("solc");
process.stdout.write(JSON.stringify([input, solc.compile(JSON.stringify(input)), solc.version()]));
"""


def compiled(folder: Path) -> dict[str, object]:
    """The input of the compiler; and a `solc` in the folder that answers it, so that it is compiled once."""
    command = ["node", "-e", GATHER, *(f"contracts/{name}.sol" for name in ENTRIES)]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    (folder / "output.json").write_text(found[1])
    solc = folder / "solc"
    answer = f"cat > /dev/null; cat {folder}/output.json"
    solc.write_text(f"#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'Version: {found[2]}'; else {answer}; fi\n")
    solc.chmod(0o700)
    units = found[0]["sources"]
    for top in {unit.split("/")[0] for unit in units}:  # where the paths of the sources lead
        (folder / top).symlink_to(ROOT / top if top == "contracts" else ROOT / "node_modules" / top)
    return dict(found[0])


def main() -> int:
    """Print what is not answered."""
    from crytic_compile import CryticCompile
    from crytic_compile.platform.solc_standard_json import SolcStandardJson
    from slither import Slither
    from slither.detectors import all_detectors
    from slither.detectors.abstract_detector import AbstractDetector

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        given = compiled(folder)
        os.chdir(folder)
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"
        slither = Slither(CryticCompile(SolcStandardJson(given), solc=str(folder / "solc")))
        for kind in vars(all_detectors).values():
            if inspect.isclass(kind) and issubclass(kind, AbstractDetector) and kind is not AbstractDetector:
                slither.register_detector(kind)
        findings = [each for found in slither.run_detectors() for each in found]
    seen, left = set(), 0
    for each in findings:
        place = each["first_markdown_element"]
        if each["impact"] in ("Informational", "Optimization") or not place.startswith("contracts/"):
            continue  # style, or a library's
        mark = (each["check"], each["description"].split("(")[0].split(" ")[0])
        seen.add(mark)
        if mark not in ANSWERED:
            left += 1
            print(f"{each['impact']}: {each['description']}")
    print(f"{len(findings)} findings, {len(seen)} of weight in our own code, {left} not answered")
    for mark in sorted(ANSWERED - seen):
        print("answered, and found no more:", *mark)
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main())
