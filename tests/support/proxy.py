"""An HTTP proxy whose faults are switched while it runs: in front of anvil, of a blob store, of anything.

It is a thread of the test, and what speaks through it may be any process that is given its URL.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"})
_SECONDS = 60.0


@dataclass
class Answer:
    """What the server behind said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Exchange:
    """One request, and the means to answer it well or badly.

    Attributes:
        name: the JSON-RPC method, or else the HTTP method and the path.
        call: the JSON-RPC request, None where it is none.
    """

    def __init__(self, proxy: FaultProxy, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.proxy = proxy
        self.body = body
        self._handler = handler
        self.call = _json_rpc(body)
        self.name: str = self.call["method"] if self.call else f"{handler.command} {handler.path}"

    def forward(self, body: bytes | None = None) -> Answer:
        """Lets the server behind do it, and gives its answer."""
        target = urlsplit(self.proxy.target)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_SECONDS)
        try:
            headers = {k: v for k, v in self._handler.headers.items() if k.lower() not in {*_HOP_BY_HOP, "expect"}}
            connection.request(self._handler.command, self._handler.path, body or self.body, headers)
            response = connection.getresponse()
            length = response.headers.get("content-length")
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP_BY_HOP]
            if self._handler.command == "HEAD" and length is not None:
                kept.append(("content-length", length))
            return Answer(response.status, kept, response.read())
        finally:
            connection.close()

    def send(self, answer: Answer, cut_at: int | None = None) -> None:
        """Sends an answer; with `cut_at` only that many bytes of the body that it announces, and hangs up."""
        self._handler.send_response(answer.status)
        for name, value in answer.headers:
            self._handler.send_header(name, value)
        if self._handler.command != "HEAD":
            self._handler.send_header("content-length", str(len(answer.body)))
        self._handler.end_headers()
        self._handler.wfile.write(answer.body[:cut_at])
        if cut_at is not None:
            self.hang_up()

    def send_bytes(self, body: bytes, code: int = 200) -> None:
        """Sends any bytes."""
        self.send(Answer(code, [("content-type", "application/json")], body))

    def send_result(self, result: Any) -> None:
        """Answers a JSON-RPC request with this result."""
        assert self.call is not None
        self.send_bytes(json.dumps({"jsonrpc": "2.0", "id": self.call.get("id"), "result": result}).encode())

    def hang(self) -> None:
        """No answer, until the faults are changed or the test is over."""
        self.proxy.wait_for_change()
        self.hang_up()

    def hang_up(self) -> None:
        """Closes the connection."""
        self._handler.close_connection = True


Fault = Callable[[Exchange], None]


@dataclass
class _Rule:
    fault: Fault
    only: frozenset[str] | None
    times: int | None

    def applies(self, name: str) -> bool:
        if self.times == 0 or not (self.only is None or any(name.startswith(each) for each in self.only)):
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class FaultProxy:
    """The proxy. `target` may be changed while it runs; `seen` has the name and parameters of each request."""

    target: str
    host: str = "127.0.0.1"
    seen: list[tuple[str, Any]] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _changed: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # header and body are two writes: the second would wait 40 ms for a word
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy._handle(self, _read_body(self))

            do_GET = do_HEAD = do_PUT = do_DELETE = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hung up is what these tests are about."""

        self._server = Server((self.host, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens, without a path; loopback if it listens everywhere."""
        return self.url_at("127.0.0.1" if self.host == "0.0.0.0" else self.host)

    def url_at(self, host: str) -> str:
        """Where it listens, seen from another network."""
        return f"http://{host}:{self._server.server_address[1]}"

    def set(self, fault: Fault, *, only: Collection[str] | None = None, times: int | None = None) -> None:
        """From now on requests meet this fault and no other.

        Args:
            only: requests whose names begin with one of these ("eth_call", "GET /bucket"); None for all.
            times: for so many requests; None until `clear`.
        """
        self._replace([_Rule(fault, None if only is None else frozenset(only), times)])

    def clear(self) -> None:
        """No faults from now on; what hangs hangs up."""
        self._replace([])

    @contextlib.contextmanager
    def fault(self, fault: Fault, *, only: Collection[str] | None = None, times: int | None = None) -> Iterator[None]:
        """`set`, and `clear` at the end."""
        self.set(fault, only=only, times=times)
        try:
            yield
        finally:
            self.clear()

    def asked(self, name: str) -> list[Any]:
        """Parameters of every JSON-RPC request of a method, or paths."""
        return [params for found, params in self.seen if found.startswith(name)]

    def wait_for_change(self) -> None:
        """Returns when the faults are changed."""
        self._changed.wait()

    def _replace(self, rules: list[_Rule]) -> None:
        with self._lock:
            self._rules = rules
            self._changed.set()
            self._changed = threading.Event()

    def _handle(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        exchange = Exchange(self, handler, body)
        with self._lock:
            self.seen.append((exchange.name, exchange.call["params"] if exchange.call else None))
            rule = next((each for each in self._rules if each.applies(exchange.name)), None)
        try:
            (rule.fault if rule else _honest)(exchange)
        except (ConnectionError, http.client.HTTPException, TimeoutError):
            exchange.hang_up()  # the server behind is gone


def _honest(exchange: Exchange) -> None:
    exchange.send(exchange.forward())


# -- faults of any HTTP server --


def status(code: int, body: bytes = b"") -> Fault:
    """Answers with an HTTP status (429, 500, ...) and does nothing."""
    return lambda exchange: exchange.send_bytes(body, code)


def garbage(body: bytes = bytes(range(256))) -> Fault:
    """Answers 200 with these bytes and does nothing."""
    return lambda exchange: exchange.send_bytes(body)


def slow(seconds: float) -> Fault:
    """The right answer, late."""

    def fault(exchange: Exchange) -> None:
        threading.Event().wait(seconds)
        _honest(exchange)

    return fault


def hang(exchange: Exchange) -> None:
    """Nothing, with the connection open."""
    exchange.hang()


def hang_up(exchange: Exchange) -> None:
    """Nothing, with the connection closed."""
    exchange.hang_up()


def done_then_hang(exchange: Exchange) -> None:
    """Has it done and says nothing: with eth_sendRawTransaction a time-out after broadcast."""
    exchange.forward()
    exchange.hang()


def done_then_hang_up(exchange: Exchange) -> None:
    """Has it done and closes the connection."""
    exchange.forward()
    exchange.hang_up()


def cut(size: int) -> Fault:
    """The right answer, of which only so many bytes come."""
    return lambda exchange: exchange.send(exchange.forward(), cut_at=size)


# -- faults of a JSON-RPC node --


def result(value: Any) -> Fault:
    """Answers with this result, whatever is right."""
    return lambda exchange: exchange.send_result(value)


def refusal(code: int, message: str) -> Fault:
    """Answers with a JSON-RPC error."""

    def fault(exchange: Exchange) -> None:
        number = exchange.call.get("id") if exchange.call else None
        error = {"code": code, "message": message}
        exchange.send_bytes(json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode())

    return fault


def chain_id(number: int) -> Fault:
    """A node of another chain, as far as it says which; all else is right."""

    def fault(exchange: Exchange) -> None:
        if exchange.name == "eth_chainId":
            exchange.send_result(hex(number))
        elif exchange.name == "net_version":
            exchange.send_result(str(number))
        else:
            _honest(exchange)

    return fault


def swallow(exchange: Exchange) -> None:
    """Takes a raw transaction, says so, and forgets it; all else is right."""
    from eth_utils.crypto import keccak

    if exchange.name != "eth_sendRawTransaction" or exchange.call is None:
        _honest(exchange)
        return
    exchange.send_result("0x" + keccak(bytes.fromhex(exchange.call["params"][0][2:])).hex())


_BLOCK_AT: Mapping[str, int] = {
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getCode": 1,
    "eth_getBalance": 1,
    "eth_getTransactionCount": 1,
    "eth_getStorageAt": 2,
    "eth_getBlockByNumber": 0,
}
_HEADS = frozenset({"latest", "pending", "safe", "finalized"})


def stale(block: int) -> Fault:
    """A node that stopped following the chain at a block: it knows nothing later, and passes transactions on."""

    def fault(exchange: Exchange) -> None:
        call = exchange.call
        if call is None:
            _honest(exchange)
            return
        if call["method"] == "eth_blockNumber":
            exchange.send_result(hex(block))
            return
        asked = _as_of(call, block)
        if asked is None:
            exchange.send_result(None if call["method"] != "eth_getLogs" else [])
            return
        answer = exchange.forward(json.dumps(asked).encode())
        if _is_later(answer.body, block):
            exchange.send_result(None)
        else:
            exchange.send(answer)

    return fault


def _as_of(call: dict[str, Any], block: int) -> dict[str, Any] | None:
    """The request as a node at this block would understand it; None when it has nothing to say."""
    params = list(call["params"])
    if call["method"] == "eth_getLogs":
        query = dict(params[0])
        for name, default in (("fromBlock", hex(block)), ("toBlock", hex(block))):
            if "blockHash" not in query and query.get(name, "latest") in _HEADS:
                query[name] = default
        if int(query.get("fromBlock", "0x0").replace("earliest", "0x0"), 16) > block:
            return None
        if "toBlock" in query:
            query["toBlock"] = hex(min(block, int(query["toBlock"], 16)))
        return call | {"params": [query]}
    place = _BLOCK_AT.get(call["method"])
    if place is None:
        return call
    if len(params) <= place:
        params.append("latest")
    if params[place] in _HEADS:
        params[place] = hex(block)
    elif isinstance(params[place], str) and params[place].startswith("0x") and int(params[place], 16) > block:
        return None
    return call | {"params": params}


def _is_later(body: bytes, block: int) -> bool:
    """Whether an answer tells of a block, receipt or transaction that this node does not know yet."""
    found = json.loads(body).get("result")
    if not isinstance(found, dict):
        return False
    number = found.get("blockNumber", found.get("number"))
    return isinstance(number, str) and int(number, 16) > block


def _json_rpc(body: bytes) -> dict[str, Any] | None:
    if not body.startswith(b"{"):
        return None
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("method"), str) else None


def _read_body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("transfer-encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("content-length") or 0))
    body = bytearray()
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return bytes(body)
