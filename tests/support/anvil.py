"""The anvil node from npm, as a process of the test run that can be stopped and started again."""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
_LISTENING = "Listening on "
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SECONDS = 60.0


def anvil_binary() -> Path:
    """The platform's binary inside node_modules; started directly, so that killing it leaves nothing behind."""
    name = f"anvil-{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"
    binary = ROOT / "node_modules" / "@foundry-rs" / name / "bin" / "anvil"
    if not binary.exists():
        raise RuntimeError(f"{binary} is missing: run `npm ci`, or leave these tests out with -m 'not anvil'")
    return binary


class AnvilProcess:
    """A fresh chain on a free port, under the rules of mainnet: Osaka, with its cap on transactions.

    Args:
        options: further options of anvil.
        host: the address to listen on; 0.0.0.0 for nodes in network namespaces (`url` names loopback then).
        block_time: seconds between blocks, which come whether or not there are transactions; None mines at once.
        state: a file that the chain, with its history, is written to at `stop` and read from at `start`.
    """

    def __init__(
        self,
        *options: str,
        chain_id: int = 31_337,
        host: str = "127.0.0.1",
        block_time: float | None = None,
        state: Path | None = None,
    ) -> None:
        self._options = [
            *("--chain-id", str(chain_id), "--host", host),
            *("--hardfork", "osaka", "--enable-tx-gas-limit", "--gas-limit", "60000000"),
            *(() if block_time is None else ("--block-time", f"{block_time:g}")),
            *(() if state is None else ("--state", str(state), "--preserve-historical-states")),
            *options,
        ]
        self._state = state
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this object
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process and returns when it listens: on a free port at first, and on the same one ever after.

        Raises:
            RuntimeError: it does not start; the text has its output.
        """
        assert not self.is_running
        self._log.seek(0)
        self._log.truncate()
        command = [str(anvil_binary()), "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _SECONDS
        while (address := self._address()) is None:
            if not self.is_running or time.monotonic() > deadline:
                output = self._output()
                self.close()
                raise RuntimeError(f"anvil did not start:\n{output}")
            time.sleep(0.02)
        self.port = urlsplit("http://" + address).port or 0
        self.url = "http://" + address.replace("0.0.0.0", "127.0.0.1")

    def stop(self) -> None:
        """Ends the process as a service manager would (SIGTERM); with `state` the chain is on disk afterwards."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            raise RuntimeError(f"anvil did not stop within {_SECONDS:g} s") from None
        self._process = None
        if self._state is not None and not self._state.exists():
            raise RuntimeError(f"anvil left no state in {self._state}:\n{self._output()}")

    def restart(self) -> None:
        """`stop` and `start`: the same chain at the same address, if it has a `state`; else a fresh one there."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kills the process and waits for its end. It cannot be started again."""
        self._kill()
        self._log.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _output(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _address(self) -> str | None:
        for line in self._output().splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                return line.removeprefix(_LISTENING).strip()
        return None
