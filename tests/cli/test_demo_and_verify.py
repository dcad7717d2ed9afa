"""`fedproof demo` and `fedproof verify` as a user meets them: what they print, where, and how they end."""

from __future__ import annotations

import json
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import demo
from fedproof.cli import main as command_line
from fedproof.cli import terminal as terminal_of
from fedproof.ledger import Chain
from tests.app.runs import FinishedRun, command
from tests.cli.conftest import Here
from tests.cli.test_command import only_line

pytestmark = pytest.mark.slow

WINE = ["--data", "wine", "--positive", "class_1"]


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@contextmanager
def node(answers: dict[str, object]) -> Iterator[str]:
    """A node that knows these answers alone."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said: dict[str, object] = {"jsonrpc": "2.0", "id": asked["id"]}
            known = answers.get(asked["method"])
            said |= {"error": {"code": -32601, "message": "no"}} if known is None else {"result": known}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_demo_prints_the_report_alone_on_standard_output(run: FinishedRun) -> None:
    assert json.loads(run.stdout) == run.report == json.loads(run.report_copy.read_text())
    lines = run.stderr.splitlines()
    assert len(lines) > 10
    assert all(" s  " in line for line in lines)
    assert lines[-1].endswith("checks hold, no secret used")
    for said in (
        "wine: 178 rows",
        "hospital 3",
        "participant 3: Tier 3",
        "round 2: 3 updates settled, each with",
        "rewards",
    ):
        assert any(said in line for line in lines), said


def test_demo_leaves_two_halves_and_private_is_private(run: FinishedRun) -> None:
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "model.json", "private", "public", "report.json",
    ]  # fmt: skip
    assert sorted(path.name for path in (run.folder / "public").iterdir()) == ["blobs", "chain.json", "manifest.json"]
    roles = sorted(path.name for path in (run.folder / "private").iterdir())
    assert roles == sorted(f"{role}-{k}" for role in ("hospital", "participant", "worker") for k in (1, 2, 3))
    for path in [run.folder / "private", *(run.folder / "private").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("quiet", [True, False])
def test_demo_ends_with_a_summary_or_the_report(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    def played(options: demo.DemoOptions, teller: Any) -> dict[str, Any]:
        teller.step("something is done")
        assert (options.rounds, options.cache, options.folder.name) == (2, False, "there")
        return run.report

    monkeypatch.setattr(demo, "run_demo", played)
    more = ["--quiet"] if quiet else []
    arguments = ["demo", *WINE, "--rounds", "2", "--no-cache", "--run", "there", *more]
    command_line.cli.main(arguments, standalone_mode=False)
    said = capsys.readouterr()
    assert ("something is done" in said.err) is not quiet
    assert quiet or said.err.count("\n") == 1
    for line in ("wine: 2 rounds, 3 participants, 3 workers", "accuracy", "gas", "fedproof verify there"):
        assert line in said.out


def test_verify_says_what_it_checked(run: FinishedRun) -> None:
    done = command("verify", str(run.folder))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    audit = run.report["audit"]
    assert lines[:-1] == [f"ok    {line}" for line in audit["checks"]] + [f"note  {line}" for line in audit["notes"]]
    assert lines[-1] == (
        f"The run checks out: {len(audit['checks'])} checks, no secret used. Each update came with a proof of "
        f"training. Task 1 of the federation {run.manifest.contracts['Federation'][0]} "
        f"on chain {run.manifest.chain_id}."
    )
    assert all("\n" not in line for line in audit["checks"])


def test_verify_as_json_and_quietly(run: FinishedRun, here: Here) -> None:
    done = here("verify", str(run.folder), "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == run.report["audit"]
    done = here("verify", str(run.folder), "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The run checks out: ")
    assert done.stdout.count("\n") == 1


def test_verify_ends_with_ten_when_something_does_not_check_out(run: FinishedRun, tmp_path: Path) -> None:
    folder = run.copy(tmp_path)
    victim = next(iter((folder / "public" / "blobs").iterdir()))
    victim.write_bytes(victim.read_bytes()[:-1])
    done = command("verify", str(folder), "--quiet")
    assert done.returncode == 10
    assert victim.name in only_line(done)


def test_what_a_run_folder_holds_never_reaches_the_terminal_raw(run: FinishedRun, tmp_path: Path, here: Here) -> None:
    folder = run.copy(tmp_path)

    def change(export: dict[str, Any]) -> dict[str, Any]:
        export["blocks"][1]["transactions"][0]["hash"] = "\x1b[31m\x07\r\n[/red] " + "x" * 20
        return export

    rewrite(folder / "public" / "chain.json", change)
    done = here("verify", str(folder), "--quiet", "--json")
    assert done.returncode == 10
    assert only_line(done).isprintable()


def test_names_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = command_line.Terminal(quiet=False)
    terminal.step("the file [/x] of [bold]\x1b[31m")
    terminal.doing("the file [/x]")
    terminal.close()
    assert "the file [/x] of [bold]?[31m" in capsys.readouterr().err


def test_what_takes_long_is_a_line_where_no_spinner_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_of, "PATIENCE", 0.05)
    terminal = command_line.Terminal(quiet=False)
    terminal.doing("keys [/x]")
    time.sleep(0.5)
    terminal.doing("a proof")
    terminal.step("proven")
    terminal.doing("nothing more")
    terminal.close()
    time.sleep(0.2)
    said = [line.partition(" s  ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["keys [/x] ...", "proven"]


def test_a_node_that_is_not_there_is_one_line(
    run: FinishedRun, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:9"
    done = command(
        "demo", *WINE, "--quiet", "--rounds", "2", "--run", "x", "--rpc", nowhere, cwd=tmp_path, cache=run.cache
    )
    assert done.returncode == 6
    assert nowhere in only_line(done)
    assert list(tmp_path.iterdir()) == []
    folder = run.copy(tmp_path / "copy")
    rewrite(folder / "public" / "manifest.json", lambda m: m | {"embedded": False})
    monkeypatch.setattr(Chain, "connect", partial(Chain.connect, retries=0))
    done = here("verify", str(folder), "--quiet", "--rpc", nowhere)
    assert done.returncode == 6
    assert nowhere in only_line(done)


def test_a_chain_that_is_not_for_development_gets_no_development_keys(run: FinishedRun, tmp_path: Path) -> None:
    with node({"eth_chainId": "0x1", "web3_clientVersion": "Geth/v1"}) as url:
        done = command(
            "demo", *WINE, "--quiet", "--rounds", "2", "--run", "x", "--rpc", url, cwd=tmp_path, cache=run.cache
        )
    assert done.returncode == 6
    assert "chain 1 is not a development chain" in only_line(done)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", *WINE, "--run", "file/run"], "file/run cannot be made"),
        (["demo", *WINE, "--report", "nowhere/report.json"], "nowhere/report.json cannot be written"),
        (["demo", *WINE, "--report", "file/report.json"], "file/report.json cannot be written"),
        (["demo", *WINE, "--report", "."], "--report"),
        (["demo", *WINE, "--rpc", "ftp://x"], "http://"),
        (["verify", "file"], "file"),
        (["verify", "."], "manifest.json is missing"),
        (["verify", ".", "--rpc", "http://127.0.0.1:9"], "manifest.json is missing"),
    ],
)
def test_places_that_do_not_serve_are_one_line(
    run: FinishedRun, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDPROOF_CACHE", str(run.cache))
    done = here(*arguments, "--quiet")
    assert done.returncode == 2
    assert said in only_line(done)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
