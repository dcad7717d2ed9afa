"""anvil, the development node from npm, as the chain of a local network."""

from __future__ import annotations

import contextlib
import os
import platform
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fedproof.app.processes import Slot, last_line
from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Chain

CHAIN_ID: Final = 31_337
HOST: Final = "127.0.0.1"
STATE: Final = "state.json"
_PORTS: Final = range(20_000, 32_000)  # below those that systems give to outgoing connections
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_START_SECONDS: Final = 60.0
_STATES: Final = 256  # of past blocks that calls can be made at
_SAVE_SECONDS: Final = 30  # what is lost when the machine fails; a clean end loses nothing
# anvil ends with the process that started it, however that ends, for then the pipe closes; and the shell with anvil
_WITH_PARENT: Final = (
    'log="$1"; shift; exec 3<&0; "$@" >>"$log" 2>&1 </dev/null 3<&- & node=$!; '
    "{ read -r _ <&3; kill $node; } & reader=$!; exec 3<&-; wait $node; code=$?; kill $reader 2>/dev/null; exit $code"
)


def find_anvil(given: Path | None = None) -> Path:
    """The program: the one that is named, or on the path, or what npm put under ./node_modules.

    Raises:
        InputError: there is none.
    """
    if given is not None:
        if not (given.is_file() and os.access(given, os.X_OK)):
            raise InputError(f"{given} is no program: give the path of anvil with --anvil")
        return given.absolute()
    on_path = shutil.which("anvil")
    if on_path is not None and not _is_script(Path(on_path)):
        return Path(on_path).absolute()
    # npm puts a script on the path, whose end would leave the node behind: the program itself is beside it
    roots = [Path("node_modules").absolute()]
    if on_path is not None:
        roots += [each for each in Path(on_path).resolve().parents if each.name == "node_modules"]
    machine = platform.machine()
    name = f"anvil-{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    for root in roots:
        found = root / "@foundry-rs" / name / "bin" / "anvil"
        if found.is_file():
            return found
    raise InputError(
        "anvil, the development node, is not here: install it with `npm install @foundry-rs/anvil` in this folder, "
        "or name it with --anvil PATH"
    )


def command(anvil: Path, folder: Path, port: int, block_time: int | None) -> list[str]:
    """How it is started: with the rules of mainnet, for this machine alone, on the chain that `folder` holds.

    Args:
        block_time: seconds; None mines each transaction at once.
    """
    return [
        *(str(anvil), "--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID), "--quiet"),
        *("--hardfork", "osaka", "--enable-tx-gas-limit", "--gas-limit", "60000000"),
        *("--accounts", "1", "--balance", "1000000", "--prune-history", str(_STATES)),
        *("--state", str(folder / STATE), "--state-interval", str(_SAVE_SECONDS)),
        *(() if block_time is None else ("--block-time", str(block_time))),
    ]


def url_of(port: int) -> str:
    """Where it answers."""
    return f"http://{HOST}:{port}"


@contextlib.contextmanager
def temporary_anvil(anvil: Path, folder: Path, port: int) -> Iterator[str]:
    """A node that mines at once and ends with the block, or with this process; then `folder` holds the chain.

    Raises:
        InputError: the port is taken. LedgerError: it did not start, or did not save the chain.
    """
    check_free(port)
    log = folder / "prepare.log"
    arguments = ["/bin/sh", "-c", _WITH_PARENT, "sh", str(log), *command(anvil, folder, port, None)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, start_new_session=True) as process:  # noqa: S603
        try:
            wait_until_ready(port, log, lambda: process.poll() is None)
            yield url_of(port)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    if not (folder / STATE).exists():
        raise LedgerError(f"anvil saved no chain: {last_line(log) or 'it says nothing'}")


def start_anvil(slot: Slot, anvil: Path, folder: Path, port: int, block_time: int) -> None:
    """Go on with the chain in `folder`, as a process that outlives this one.

    Raises:
        InputError: the port is taken, or the chain is lost. LedgerError: it did not start.
    """
    if not (folder / STATE).exists():
        raise InputError(f"{folder / STATE} is missing, and the chain with it: clean this network and prepare another")
    check_free(port, "anvil")
    slot.start(command(anvil, folder, port, block_time))
    wait_until_ready(port, slot.log, lambda: slot.running)


def wait_until_ready(port: int, log: Path, alive: Callable[[], bool]) -> None:
    """Returns once the node answers.

    Args:
        alive: whether its process runs.

    Raises:
        LedgerError: it ended, or does not answer in a minute.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            Chain.connect(url_of(port), chain_id=CHAIN_ID, retries=0, timeout=5.0).close()
            return
        except LedgerError:
            if not alive() or time.monotonic() > deadline:
                raise LedgerError(f"anvil did not start: {last_line(log) or 'it says nothing'}") from None
        time.sleep(0.05)


def check_free(port: int, whose: str = "") -> None:
    """Refuse a port that another process has: its node would be taken for ours.

    Args:
        whose: the name of the process that needs it.

    Raises:
        InputError: it is taken.
    """
    if not _is_free(port):
        needed = f"port {port}, which {whose} needs," if whose else f"port {port}"
        raise InputError(f"{needed} is taken by another process: end that one first")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens at, none of them twice.

    Raises:
        InputError: there are not so many.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise InputError(f"this machine has no {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what ended a moment ago is no obstacle
        try:
            one.bind((HOST, port))
        except OSError:
            return False
    return True


def _is_script(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True
