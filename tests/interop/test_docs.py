"""The examples of docs/interop.md run as they stand, and the room keeps to itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import fedproof

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
ROOM = Path(fedproof.__file__).parent / "interop"
CLOSED = ("ledger", "storage", "nodes", "app", "cli", "sealing", "sharing", "proving")


def test_the_examples_of_the_page_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 7
    known: dict[str, object] = {}
    for number, example in enumerate(examples, 1):
        exec(compile(example, f"example {number}", "exec"), known)


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
