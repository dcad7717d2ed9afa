"""Files that a person or a stranger gives: tables, plans, configurations and saved state."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from fedproof.app.contact import read_contact
from fedproof.app.nodefile import read_config
from fedproof.data.csvfile import read_csv
from fedproof.data.load import load
from fedproof.data.plan import read_plan
from fedproof.data.tablefile import open_table
from fedproof.nodes.state import StateFile
from fuzz.harness import Harness


@cache
def _folder() -> Path:
    """One folder for this process, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108  # files of a fuzzer, in a folder of a random name
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def _written(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _csv(data: bytes) -> object:
    path = _written(data, "table.csv")
    return read_csv(path), load(path)


def _table(data: bytes) -> object:
    """As `prepare` reads: the head first, then what it names, in batches."""
    file = open_table(_written(data, "table"))
    kinds = file.kinds or dict.fromkeys(file.names, "text")
    return sum(1 for _ in file.batches({name: kinds.get(name, "text") for name in file.names}))


def _state(data: bytes) -> object:
    _written(data, "state/state.json")
    with StateFile(_folder() / "state", "worker") as state:
        return state.get("secret")


HARNESSES = [
    Harness("csv", _csv),
    Harness("table-csv", _table),
    Harness("table-parquet", _table),
    Harness("data-plan", lambda data: read_plan(_written(data, "plan.toml"))),
    Harness("node-toml", lambda data: read_config(_written(data, "node.toml"))),
    Harness("contact", lambda data: read_contact(_written(data, "contact.json"))),
    Harness("state-file", _state),
]
