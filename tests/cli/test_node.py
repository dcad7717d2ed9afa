"""`fedproof node init` and `check`: a file that parses, and lines of what is wrong with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
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


def test_check(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    missing = here("node", "check", "--config", str(path))
    assert missing.returncode == 2
    assert missing.stdout.startswith("FAIL  config: ")
    assert len(missing.stdout.splitlines()) == 1
    here("node", "init", "worker", "--out", str(path))
    found = here("node", "check", "--config", str(path), "--json", "--quiet")
    document = json.loads(found.stdout)
    checks = {each["name"]: each for each in document["checks"]}
    assert (document["ok"], found.returncode) == (False, 8)  # the first that failed
    assert {name: each["exit_code"] for name, each in checks.items() if each["status"] == "FAIL"} == {
        "keys": 8,
        "deployment": 2,
    }
    assert found.stderr == ""


SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == "fedproof.app.running":
            print("here", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from fedproof.cli.main import main
main()
"""


def test_a_node_that_is_told_to_end_while_it_starts_ends_well() -> None:
    command = [sys.executable, "-c", SLOW, "node", "worker", "--config", "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
