"""The examples of docs/interop.md run as they stand, and the room keeps to itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fedproof

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
ROOM = Path(fedproof.__file__).parent / "interop"
CLOSED = ("ledger", "storage", "nodes", "app", "cli", "sealing", "sharing", "proving")


EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
PROVEN = next(example for example in EXAMPLES if 'run="prove", folder' in example)


def run(examples: list[str]) -> None:
    known: dict[str, object] = {}
    for number, example in enumerate(examples, 1):
        exec(compile(example, f"example {number}", "exec"), known)


def test_the_examples_of_the_page_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) == 8
    run([example for example in EXAMPLES if example != PROVEN])


@pytest.mark.slow
def test_the_proven_example_runs_after_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDPROOF_CACHE", str(tmp_path / "keys"))
    run([EXAMPLES[0], PROVEN])


@pytest.mark.parametrize("path", sorted(ROOM.glob("*.py")), ids=lambda path: path.name)
def test_the_room_reaches_for_no_chain_disk_of_others_or_node(path: Path) -> None:
    reached = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    reached |= {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not {name for name in reached if name and name.startswith(tuple(f"fedproof.{room}" for room in CLOSED))}
    assert not {name for name in reached if name and name.split(".")[0] in ("torch", "onnx", "onnxruntime", "pickle")}


def test_a_simulation_loads_neither_chain_nor_nodes() -> None:
    code = (
        "import sys; from fedproof.interop import FederatedRegressor; "
        "FederatedRegressor(rounds=1).fit([[k % 7] for k in range(9)], range(9)); "
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('fedproof.')}))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert not set(ast.literal_eval(done.stdout)) & {"app", "cli", "ledger", "nodes", "storage", "sealing"}
