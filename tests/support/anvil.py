"""The anvil node from npm, as a process of the test run."""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
_LISTENING = "Listening on "
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def anvil_binary() -> Path:
    """The platform's binary inside node_modules; started directly, so that killing it leaves nothing behind."""
    name = f"anvil-{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    binary = ROOT / "node_modules" / "@foundry-rs" / name / "bin" / "anvil"
    if not binary.exists():
        raise RuntimeError(f"{binary} is missing: run `npm ci`, or leave these tests out with -m 'not anvil'")
    return binary


class AnvilProcess:
    """A fresh chain on a free loopback port, under the rules of mainnet: Osaka, with its cap on transactions."""

    def __init__(self, *options: str, chain_id: int = 31_337) -> None:
        self._command = [
            *(str(anvil_binary()), "--port", "0", "--chain-id", str(chain_id)),
            *("--hardfork", "osaka", "--enable-tx-gas-limit", "--gas-limit", "60000000"),
            *options,
        ]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self.url:
            time.sleep(0.02)
            self._log.seek(0)
            output = self._log.read().decode(errors="replace")
            for line in output.splitlines(keepends=True):
                if line.startswith(_LISTENING) and line.endswith("\n"):
                    self.url = "http://" + line.removeprefix(_LISTENING).strip()
            if not self.url and (self._process.poll() is not None or time.monotonic() > deadline):
                self.close()
                raise RuntimeError(f"anvil did not start:\n{output}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kills the process and waits for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._log.close()
