"""`fedproof node init`: a file that parses, and is never written over another."""

from __future__ import annotations

from pathlib import Path

from fedproof.app.nodefile import read_config
from tests.cli.conftest import Here


def test_init(here: Here, tmp_path: Path) -> None:
    out = tmp_path / "node.toml"
    assert here("node", "init", "worker", "--out", str(out)).returncode == 0
    assert read_config(out).role == "worker"
    refused = here("node", "init", "worker", "--out", str(out))
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    assert here("node", "init", "leader", "--out", str(tmp_path / "other")).returncode == 2
