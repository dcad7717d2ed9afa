"""How a node fares, for whoever looks after it: `/healthz` and `/metrics` over HTTP, on this machine by default."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from fedproof.app.logs import Log, reason
from fedproof.app.nodeconfig import is_loopback
from fedproof.errors import FedproofError, InputError


class Vitals:
    """What a node counts. Its loop and its role tell; health page and metrics read, in other threads.

    Args:
        stale_seconds: without progress for so long, the node counts as ill.
    """

    def __init__(self, role: str, stale_seconds: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.role = role
        self._stale = stale_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._moved = clock()
        self._block: int | None = None
        self._reason = "starting"
        self.registry = CollectorRegistry()  # of its own: nothing of the process or the platform
        more: dict[str, Any] = {"registry": self.registry}
        self._events = Counter("fedproof_events", "Events handled", **more)
        self._errors = Counter("fedproof_errors", "Steps that failed, by kind", ["kind"], **more)
        self._last = Gauge("fedproof_last_block", "Last block looked at", **more)
        self._lag = Gauge("fedproof_lag_blocks", "Blocks between that and the head", **more)
        self._idle = Gauge("fedproof_lag_seconds", "Seconds since the last progress", **more)
        self._idle.set_function(lambda: self._clock() - self._moved)
        self._rounds = Counter("fedproof_rounds", "Rounds, by outcome", ["outcome"], **more)
        self._retries = Counter("fedproof_rpc_retries", "Requests to the chain that were repeated", **more)
        self._proving = Summary("fedproof_proving_seconds", "Seconds of proving, by statement", ["statement"], **more)

    def progress(self, block: int, head: int, events: int) -> None:
        """A step is done."""
        with self._lock:
            self._moved, self._block, self._reason = self._clock(), block, ""
        self._last.set(block)
        self._lag.set(max(0, head - block))
        self._events.inc(events)

    def failed(self, error: BaseException, pause: float = 0.0) -> None:  # noqa: ARG002 - a loop's watcher
        """A step failed and is repeated after a pause."""
        kind = type(error).__name__ if isinstance(error, FedproofError) else "internal"
        self._errors.labels(kind).inc()
        with self._lock:
            self._reason = reason(error)

    def undone(self, blocks: int) -> None:  # noqa: ARG002 - a loop's watcher
        """The chain took blocks back."""
        self._errors.labels("reorganisation").inc()

    def round_ended(self, outcome: str) -> None:
        """A round is over for this node; `outcome` is one of a few constant words."""
        self._rounds.labels(outcome).inc()

    def retried(self) -> None:
        """A request to the chain is repeated."""
        self._retries.inc()

    @contextmanager
    def proving(self, statement: str) -> Iterator[None]:
        """Time what happens inside."""
        with self._proving.labels(statement).time():
            yield

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether the node is well, and what the health page says."""
        with self._lock:
            idle, block, why = self._clock() - self._moved, self._block, self._reason
        well = block is not None and idle <= self._stale
        return well, {"role": self.role, "last_block": block, "seconds_since_progress": round(idle, 1), "reason": why}


class HealthServer:
    """Serves the vitals until `stop`.

    Raises:
        InputError: the address is not of this machine alone and `public` is not set, or it cannot be bound.
    """

    def __init__(self, vitals: Vitals, log: Log, host: str = "127.0.0.1", port: int = 0, public: bool = False) -> None:
        if not is_loopback(host):
            if not public:
                raise InputError(f"http.host {host} is not of this machine alone: set http.public = true to allow it")
            log.warning("http.public", host=host)
        try:
            self._server = _Server(host, port, vitals)
        except OSError as error:
            raise InputError(f"http.port {port} of {host} cannot be served: {error.strerror}") from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port; requests under way end with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, vitals: Vitals) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.vitals = vitals
        super().__init__((host, port), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5
    server_version, sys_version = "fedproof", ""

    def do_GET(self) -> None:
        """The two pages."""
        if self.path == "/healthz":
            well, document = self.server.vitals.health()
            self._answer(200 if well else 503, "application/json", json.dumps(document).encode())
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.vitals.registry))
        else:
            self._answer(404, "text/plain", b"not here\n")

    def log_message(self, *_: object) -> None:
        """Requests are not logged: a path may hold anything."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
