"""One finished run for all tests that look at runs: made by the command itself, once for all test processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import audit
from fedproof.app.audit_base import Audit
from fedproof.app.audit_run import CHAIN_BYTES, Manifest, open_chain, read_document, read_manifest
from fedproof.app.telling import Silent
from fedproof.ledger import Chain
from fedproof.storage import BlobStore

COMMAND = [sys.executable, "-c", "from fedproof.cli.main import main; main()"]
OPTIONS = ["--data", "wine", "--positive", "class_1", "--rounds", "2", "--seed", "7"]


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that all processes of this test run share."""
    base = factory.getbasetemp()
    return base.parent if base.name.startswith("popen") else base


def command(*arguments: str, cwd: Path | None = None, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own; with a cache of its own, so that no other run's keys change anything."""
    environment = dict(os.environ)
    if cache is not None:
        environment["FEDPROOF_CACHE"] = str(cache)
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=300, cwd=cwd, env=environment
    )


@dataclass
class FinishedRun:
    """A run folder, what the command said, and its chain, run again once."""

    folder: Path
    report_copy: Path
    stdout: str
    stderr: str
    cache: Path
    _chain: list[Chain] = field(default_factory=list)

    @property
    def report(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return document

    @property
    def manifest(self) -> Manifest:
        return read_manifest(self.folder / "public" / "manifest.json")

    @property
    def chain(self) -> Chain:
        """The run's chain. Who adds blocks to it copies the run and replays it instead."""
        if not self._chain:
            self._chain.append(replayed(self.folder))
        return self._chain[0]

    def audit(self, blobs: Path | None = None) -> Audit:
        """The audit of everything but the replay, which was done once."""
        found = Audit(Silent())
        audit._audit(self.chain, self.manifest, BlobStore.open(str(blobs or self.folder / "public" / "blobs")), found)
        return found

    def copy(self, to: Path) -> Path:
        """The public half alone, to be tampered with."""
        shutil.copytree(self.folder / "public", to / "public")
        return to


def replayed(folder: Path) -> Chain:
    """The chain of a run, run again."""
    public = folder / "public"
    manifest, export = read_manifest(public / "manifest.json"), read_document(public / "chain.json", CHAIN_BYTES)
    return open_chain(manifest, export, None, Audit(Silent()))


def make_run(factory: pytest.TempPathFactory) -> FinishedRun:
    """The run: the first process that asks makes it, the others wait."""
    home = shared_folder(factory) / "finished"
    home.mkdir(exist_ok=True)
    run = FinishedRun(home / "run", home / "copy.json", "", "", home / "keys")
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = home / "said.json"
        if not said.exists():
            arguments = ["demo", *OPTIONS, "--json", "--run", str(run.folder), "--report", str(run.report_copy)]
            done = command(*arguments, cache=run.cache)
            assert done.returncode == 0, done.stderr
            said.write_text(json.dumps([done.stdout, done.stderr]))
        run.stdout, run.stderr = json.loads(said.read_text())
    return run
