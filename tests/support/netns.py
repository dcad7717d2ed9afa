"""A process in a network of its own, joined to this machine by one cable that can be pulled.

    host end  198.18.x.1/30 ----- veth ----- 198.18.x.2/30  namespace

The namespace has no other way out, so that what runs there reaches this machine or nothing. Addresses are of the range
for tests of networks (RFC 2544); they never leave the machine.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pytest


class NetworkNamespace:
    """A network namespace with a cable to this machine.

    Attributes:
        host_address: this machine, as the namespace sees it. address: the namespace, as this machine sees it.
    """

    def __init__(self) -> None:
        mark = secrets.token_hex(3)
        self.name = f"fedproof-{mark}"
        self._outer, self._inner = f"fp{mark}o", f"fp{mark}i"
        number = secrets.randbelow(1 << 15)  # of the /30 networks in 198.18.0.0/15
        base = (198 << 24) + (18 << 16) + 4 * number
        self.host_address, self.address = (".".join(str(b) for b in (base + k).to_bytes(4, "big")) for k in (1, 2))

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._outer, "type", "veth", "peer", "name", self._inner)
            _ip("link", "set", self._inner, "netns", self.name)
            _ip("address", "add", f"{self.host_address}/30", "dev", self._outer)
            _ip("link", "set", self._outer, "up")
            _ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", self._inner)
            _ip("-n", self.name, "link", "set", "lo", "up")
            self.connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, *arguments: str) -> list[str]:
        """The command line that runs a command in the namespace; its process id is that of the command itself."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Starts a command in the namespace; options as those of `subprocess.Popen`."""
        return subprocess.Popen(self.command(*arguments), **options)

    def disconnect(self) -> None:
        """Pulls the cable: nothing passes in either direction, and nobody is told."""
        # the inner end: this machine keeps its route, so that it does not try another way
        _ip("-n", self.name, "link", "set", self._inner, "down")

    def connect(self) -> None:
        """Plugs the cable in."""
        _ip("-n", self.name, "link", "set", self._inner, "up")
        deadline = time.monotonic() + 10
        while "LOWER_UP" not in _ip("-n", self.name, "link", "show", self._inner):
            if time.monotonic() > deadline:
                raise RuntimeError("the link did not come up")
            time.sleep(0.01)

    @contextlib.contextmanager
    def partition(self) -> Iterator[None]:
        """`disconnect`, and `connect` at the end."""
        self.disconnect()
        try:
            yield
        finally:
            self.connect()

    def close(self) -> None:
        """Kills what still runs in the namespace and removes it."""
        with contextlib.suppress(RuntimeError):
            self.connect()  # so that the dead can say goodbye: nothing is sent again afterwards
        with contextlib.suppress(RuntimeError):
            for process in _ip("netns", "pids", self.name).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
        for command in (("link", "delete", self._outer), ("netns", "delete", self.name)):
            with contextlib.suppress(RuntimeError):
                _ip(*command)


@functools.cache
def why_not() -> str | None:
    """Why this machine has no network namespaces; None when it has."""
    if shutil.which("ip") is None:
        return "there is no `ip` (Debian's package iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with NetworkNamespace():
            return None
    except RuntimeError as error:
        return f"network namespaces are not allowed: {error}"


def need_namespaces() -> None:
    """Skips the test, with the reason, where there are none."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
