"""`fedproof demo` and `fedproof verify` on a node of its own process: anvil."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.runs import OPTIONS, FinishedRun, command
from tests.cli.test_command import only_line
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.slow, pytest.mark.anvil]


@pytest.fixture(scope="module")
def played(run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A node's URL and a run that was made on it."""
    folder = tmp_path_factory.mktemp("node") / "run"
    with AnvilProcess() as anvil:
        done = command("demo", *OPTIONS, "--quiet", "--json", "--run", str(folder), "--rpc", anvil.url, cache=run.cache)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["rounds"][1]["updates_accepted"] == 3
        assert report["rounds"][0]["gas"]["total"] > 0
        yield anvil.url, folder


def test_a_run_on_a_node_is_audited_through_it(played: tuple[str, Path], run: FinishedRun) -> None:
    url, folder = played
    done = command("verify", str(folder), "--rpc", url)
    assert done.returncode == 0
    assert "the exported transactions and receipts are those of the node" in done.stdout
    assert "note  what the node says of its chain was believed" in done.stdout
    first, *rest = [line for line in done.stdout.splitlines() if line.startswith("ok")]
    # all but the chain itself is checked as on the embedded chain; the powers of tau come from one cache
    assert rest == [f"ok    {line}" for line in run.report["audit"]["checks"][1:]]
    assert "31337" in first


def test_the_same_seed_gives_the_same_figures_on_both_chains(played: tuple[str, Path], run: FinishedRun) -> None:
    report = json.loads((played[1] / "report.json").read_text())
    for mine, theirs in zip(report["rounds"], run.report["rounds"], strict=True):
        assert (mine["accuracy"], mine["log_loss"]) == (theirs["accuracy"], theirs["log_loss"])


def test_it_needs_the_node_and_the_right_one(played: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = played
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


def test_an_export_that_is_not_the_nodes_is_refused(played: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = played
    public = tmp_path / "public"
    public.mkdir()
    (public / "blobs").symlink_to(folder / "public" / "blobs")
    (public / "manifest.json").write_bytes((folder / "public" / "manifest.json").read_bytes())
    export = json.loads((folder / "public" / "chain.json").read_text())
    block = next(block for block in export["blocks"] if block["transactions"])
    block["transactions"][0]["receipt"]["gasUsed"] += 1
    (public / "chain.json").write_text(json.dumps(export))
    done = command("verify", str(tmp_path), "--quiet", "--rpc", url)
    assert done.returncode == 10
    assert "gas is" in only_line(done)
