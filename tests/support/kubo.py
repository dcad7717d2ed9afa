"""A real IPFS node (Kubo), built once from the Go module proxy and kept in a folder of the user's cache.

Building takes some minutes on two cores, starting it a second. It runs offline, in no network.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

_MODULE = Path(__file__).parent / "kubo"
_PACKAGE = "github.com/ipfs/kubo/cmd/ipfs"
_BUILD_SECONDS = 1800.0
_SECONDS = 60.0
BUILD = "FEDPROOF_BUILD_IPFS"


def kubo_binary() -> Path:
    """The node's binary, built where that is asked for; without one the test is skipped, with the reason."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    pinned = hashlib.sha256((_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedproof-tests"
    binary = base / f"kubo-{pinned}"
    base.mkdir(parents=True, exist_ok=True)
    with (base / "kubo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one builds
        if binary.exists():
            return binary
        if BUILD not in os.environ:
            pytest.skip(f"no IPFS node was built yet: `make test-ipfs` does, in some minutes (or set {BUILD}=1)")
        if go is None:
            pytest.skip("there is no Go to build an IPFS node with")
        fresh = binary.with_suffix(".part")
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", str(fresh), _PACKAGE]
        done = subprocess.run(command, cwd=_MODULE, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
        if done.returncode != 0:
            pytest.skip(f"the IPFS node cannot be built here: {done.stderr.strip().splitlines()[-1:]}")
        fresh.rename(binary)
    return binary


class KuboNode:
    """An offline node with its repository in `folder`. `api` and `gateway` are its addresses, on loopback."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self.folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IPFS_")},
            **{"IPFS_PATH": str(folder), "IPFS_TELEMETRY": "off"},
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this object
        self._process: subprocess.Popen[bytes] | None = None
        self.api = self.gateway = ""

    def __enter__(self) -> Self:
        self.run("init", "--profile=test")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def run(self, *arguments: str) -> str:
        """One command of the node's command line; what it printed."""
        done = subprocess.run(
            [str(self._binary), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"ipfs {arguments[0]}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Starts the daemon and returns when it listens; at the addresses it had before."""
        self._log.seek(0)
        self._log.truncate()
        command = [str(self._binary), "daemon", "--offline"]
        self._process = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _SECONDS
        while b"Daemon is ready" not in (output := self._output()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the IPFS node did not start:\n{output.decode(errors='replace')}")
            time.sleep(0.05)
        ports = [re.search(pattern, output) for pattern in (rb"RPC API .*/tcp/(\d+)", rb"Gateway server .*/tcp/(\d+)")]
        assert ports[0] is not None
        assert ports[1] is not None
        self.api, self.gateway = (f"http://127.0.0.1:{found[1].decode()}" for found in ports if found)
        addresses = json.loads((self.folder / "config").read_text())
        for name, found in zip(("API", "Gateway"), ports, strict=True):
            addresses["Addresses"][name] = f"/ip4/127.0.0.1/tcp/{found[1].decode()}" if found else ""
        (self.folder / "config").write_text(json.dumps(addresses))

    def kill(self) -> None:
        """Ends the daemon at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops it where it is: connections are taken, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def block_file(self, cid: str) -> Path:
        """Where the node keeps a block: blocks are found by their hash in Base32."""
        address = self.run("cid", "format", "-f", "%M", "-b", "base32upper", cid).strip()
        found = [path for path in (self.folder / "blocks").rglob("*.data") if address.endswith(path.stem)]
        assert len(found) == 1, (address, found)
        return found[0]

    def _output(self) -> bytes:
        self._log.seek(0)
        return self._log.read()
