"""The table in docs/security.md names tests that exist, for each line one of `tests/attacks`, and all of these."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "security.md"
LINES = 36
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([\w/]+): (\w+|\*)`")


@cache
def rows() -> dict[int, tuple[str, ...]]:
    """Attack, tests, further tests, what they show and status, by line."""
    found = [(int(number), tuple(rest)) for number, *rest in ROW.findall(TABLE.read_text())]
    assert len(found) == len(dict(found)), "a line is there twice"
    return dict(found)


@cache
def functions(name: str) -> frozenset[str]:
    """The tests of a file, by the name that the table has for it."""
    folder, _, stem = name.rpartition("/")
    path = TESTS / folder / f"test_{stem}.py"
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name.removeprefix("test_")
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def missing(named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(file, name) for file, name in named if not functions(file) or name not in {*functions(file), "*"}]


def test_every_line_has_its_row() -> None:
    assert sorted(rows()) == list(range(1, LINES + 1))


@pytest.mark.parametrize("line", range(1, LINES + 1))
def test_every_test_of_a_line_exists(line: int) -> None:
    attack, tests, further, shows, status = rows()[line]
    named = NAMED.findall(tests)
    assert named, "a line without a test"
    assert all(file.startswith("attacks/") and name != "*" for file, name in named)
    assert missing(named + NAMED.findall(further)) == []
    assert len(NAMED.findall(tests)) == tests.count("`") // 2, "a test that is not written as the table has it"
    assert len(NAMED.findall(further)) == further.count("`") // 2
    assert re.match(r"holds$|partly: \w|does not apply: \w", status.strip())
    assert attack.strip()
    assert shows.strip()


def test_every_test_of_the_attacks_is_in_the_table() -> None:
    named = {each for row in rows().values() for each in NAMED.findall(row[1])}
    files = [path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")]
    every = {(f"attacks/{file}", name) for file in files if file != "table" for name in functions(f"attacks/{file}")}
    assert every - named == set()


def test_it_would_be_seen_if_a_test_had_another_name() -> None:
    assert missing([("attacks/table", "every_line_has_its_row"), ("attacks/table", "*")]) == []
    assert len(missing([("attacks/table", "nothing_of_that_name"), ("attacks/nowhere", "*")])) == 2
