"""The pure rooms know nothing of chain, disk, clock or network; the public names do not change by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fedproof
from fedproof import errors

PACKAGE = Path(fedproof.__file__).parent
PURE = ("proving", "statements", "learning", "sealing", "sharing")
CLOSED = {
    "fedproof.ledger", "fedproof.storage", "fedproof.nodes", "fedproof.app", "fedproof.cli", "fedproof.data",
    "socket", "time", "datetime", "pathlib", "shutil", "subprocess", "tempfile", "urllib", "http", "fsspec", "web3",
    "requests", "sqlite3", "pickle", "threading",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """Modules that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(*rooms: str) -> list[Path]:
    """All Python files of the rooms."""
    return sorted(path for room in rooms for path in (PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("path", files(*PURE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_pure_room_reaches_for_nothing_outside(path: Path) -> None:
    reached = {name for name in imported(path) for closed in CLOSED if name == closed or name.startswith(closed + ".")}
    assert reached == set()


@pytest.mark.parametrize("path", files(*PURE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_pure_room_opens_no_file(path: Path) -> None:
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input", "exec", "eval", "__import__"}


def test_nothing_is_ever_pickled() -> None:
    assert [path for path in files(".") if imported(path) & {"pickle", "marshal", "shelve", "dill"}] == []


SHARED = (
    errors.ContractRejected,
    errors.RevertedError,
    errors.PendingError,
)  # they exit as the error that they are a kind of


def test_errors_are_one_tree_with_distinct_exit_codes() -> None:
    tree = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.FedproofError) and value not in SHARED
    ]
    codes = [value.exit_code for value in tree]
    assert len(set(codes)) == len(codes) == 11
    assert errors.ContractRejected("X").exit_code == errors.LedgerError.exit_code
