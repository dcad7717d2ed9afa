"""The type stub says exactly what the compiled module holds."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fedproof
from fedproof import _core

STUB = Path(fedproof.__file__).with_name("_core.pyi")


def public(names: set[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def test_the_stub_names_what_the_module_holds() -> None:
    declared: set[str] = set()
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            declared.add(node.name)
            assert ast.get_docstring(node) or node.name.startswith("_"), f"{node.name} has no docstring"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared.add(node.target.id)
    assert public(declared) - {"FrArray"} == public(set(dir(_core)))
    assert set(_core.__all__) == public(set(dir(_core)))


@pytest.mark.slow
def test_the_signatures_in_the_stub_are_those_of_the_module() -> None:
    root = STUB.parents[2]
    command = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "fedproof._core",
        "--mypy-config-file",
        str(root / "pyproject.toml"),
    ]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, env={"MYPYPATH": "python", "PATH": ""})
    assert result.returncode == 0, result.stdout + result.stderr
