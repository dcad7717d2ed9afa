"""`fedproof demo` and `fedproof verify` on a node of its own process: anvil."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.runs import OPTIONS, FinishedRun, command
from tests.cli.test_command import only_line
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.slow, pytest.mark.anvil]


def test_a_run_on_a_node_is_audited_through_that_node_alone(run: FinishedRun, tmp_path: Path) -> None:
    """One test, for the run takes longer than all that is asked of it."""
    folder = tmp_path / "run"
    with AnvilProcess() as anvil:
        done = command("demo", *OPTIONS, "--quiet", "--json", "--run", str(folder), "--rpc", anvil.url, cache=run.cache)
        assert done.returncode == 0, done.stderr
        check_report(json.loads(done.stdout), run)
        check_audit(anvil.url, folder, run)
        check_changed_export(anvil.url, folder, tmp_path / "changed")
    check_other_nodes(folder)


def check_report(report: dict[str, Any], run: FinishedRun) -> None:
    """The same seed gives the same figures on both chains."""
    for mine, theirs in zip(report["rounds"], run.report["rounds"], strict=True):
        assert (mine["accuracy"], mine["log_loss"]) == (theirs["accuracy"], theirs["log_loss"])
        assert mine["updates_accepted"] == 3
        assert mine["gas"]["total"] > 0


def check_audit(url: str, folder: Path, run: FinishedRun) -> None:
    done = command("verify", str(folder), "--rpc", url)
    assert done.returncode == 0
    assert "note  what the node says of its chain was believed" in done.stdout
    first, *rest = [line for line in done.stdout.splitlines() if line.startswith("ok")]
    # all but the chain itself is checked as on the embedded chain; the powers of tau come from one cache
    assert rest == [f"ok    {line}" for line in run.report["audit"]["checks"][1:]]
    assert "chain 31337: the exported transactions and receipts are those of the node" in first


def check_changed_export(url: str, folder: Path, other: Path) -> None:
    (other / "public").mkdir(parents=True)
    for name in ("blobs", "manifest.json"):
        (other / "public" / name).symlink_to(folder / "public" / name)
    export = json.loads((folder / "public" / "chain.json").read_text())
    block = next(block for block in export["blocks"] if block["transactions"])
    block["transactions"][0]["receipt"]["gasUsed"] += 1
    (other / "public" / "chain.json").write_text(json.dumps(export))
    done = command("verify", str(other), "--quiet", "--rpc", url)
    assert done.returncode == 10
    assert "gas is" in only_line(done)


def check_other_nodes(folder: Path) -> None:
    """No node, a node of the same chain id that has not these blocks, and one of another chain."""
    done = command("verify", str(folder), "--quiet")
    assert done.returncode == 2
    assert "--rpc URL" in only_line(done)
    with AnvilProcess() as another:
        done = command("verify", str(folder), "--quiet", "--rpc", another.url)
        assert done.returncode == 10
        assert "is not on the chain" in only_line(done)
    with AnvilProcess(chain_id=31_338) as another:
        done = command("verify", str(folder), "--quiet", "--rpc", another.url)
        assert done.returncode == 6
        assert "chain 31338, not 31337" in only_line(done)
