"""A JSON-RPC node over HTTP that misbehaves on order, in front of a chain that does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from fedproof.ledger.embedded import EmbeddedNode, Genesis
from fedproof.ledger.rpc import RpcError, hex_data

Handler = Callable[["Exchange"], None]


class Exchange:
    """One request, and the means to answer it well or badly."""

    def __init__(self, node: FlakyNode, http: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        self.node = node
        self.http = http
        self.body = body
        self.method: str = body["method"]

    def execute(self) -> dict[str, Any]:
        """Lets the chain behind do what is asked, and gives the right answer."""
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": self.body["id"]}
        if self.node.is_public and self.method.startswith(("evm_", "anvil_", "eth_accounts", "eth_sendTransaction")):
            return answer | {"error": {"code": -32601, "message": "method not found"}}
        if self.node.is_public and self.method == "web3_clientVersion":
            return answer | {"result": "Geth/v1.16.0"}
        try:
            return answer | {"result": self.node.chain.request(self.method, *self.body["params"])}
        except RpcError as error:
            refusal: dict[str, Any] = {"code": error.code, "message": error.detail}
            if error.data is not None:
                refusal["data"] = hex_data(error.data)
            return answer | {"error": refusal}

    def send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Sends any bytes as the answer."""
        self.http.send_response(status)
        for name, value in (headers or {}).items():
            self.http.send_header(name, value)
        self.http.send_header("content-length", str(len(body)))
        self.http.end_headers()
        self.http.wfile.write(body)

    def answer(self) -> None:
        """The right answer."""
        self.send(json.dumps(self.execute()).encode())

    def hang(self) -> None:
        """No answer, until the test is over."""
        self.node.over.wait()
        self.http.close_connection = True

    def drop(self) -> None:
        """Closes the connection without an answer."""
        self.http.close_connection = True


@dataclass
class FlakyNode:
    """The server. `faults[method]` is a list of handlers, used up one for each request of the method."""

    chain: EmbeddedNode = field(default_factory=lambda: EmbeddedNode(Genesis()))
    is_public: bool = False
    faults: dict[str, list[Handler]] = field(default_factory=dict)
    seen: list[tuple[str, list[Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        node = self

        class Http(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                node.seen.append((body["method"], body["params"]))
                waiting = node.faults.get(body["method"], [])
                handler = waiting.pop(0) if waiting else Exchange.answer
                handler(Exchange(node, self, body))

            def log_message(self, *_: object) -> None:
                """Silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hung up is what these tests are about."""

        self._server = Server(("127.0.0.1", 0), Http)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self, method: str) -> list[list[Any]]:
        """Parameters of every request of a method."""
        return [params for name, params in self.seen if name == method]


def status(code: int, body: bytes = b"{}", headers: dict[str, str] | None = None) -> Handler:
    """Answers with an HTTP status."""
    return lambda exchange: exchange.send(body, code, headers)


def content(body: bytes) -> Handler:
    """Answers 200 with these bytes."""
    return lambda exchange: exchange.send(body)


def result(value: Any) -> Handler:
    """Answers with this result, whatever is right."""
    return lambda exchange: exchange.send(
        json.dumps({"jsonrpc": "2.0", "id": exchange.body["id"], "result": value}).encode()
    )


def refusal(code: int, message: str) -> Handler:
    """Answers with a JSON-RPC error."""
    return lambda exchange: exchange.send(
        json.dumps({"jsonrpc": "2.0", "id": exchange.body["id"], "error": {"code": code, "message": message}}).encode()
    )


def wrong_id(exchange: Exchange) -> None:
    """Answers to another request."""
    exchange.send(json.dumps(exchange.execute() | {"id": 10**9}).encode())


def execute_then_hang(exchange: Exchange) -> None:
    """Does it and says nothing: a time-out after broadcast."""
    exchange.execute()
    exchange.hang()


def execute_then_drop(exchange: Exchange) -> None:
    """Does it and hangs up."""
    exchange.execute()
    exchange.drop()


def execute_then(handler: Handler) -> Handler:
    """Does it and answers otherwise."""

    def both(exchange: Exchange) -> None:
        exchange.execute()
        handler(exchange)

    return both


@dataclass
class Forwarded:
    """Passes transactions on to nodes that this one does not see, and answers otherwise."""

    answer: Handler
    passed: list[str] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        self.passed.append(exchange.body["params"][0])
        self.answer(exchange)

    def arrive(self, chain: EmbeddedNode) -> None:
        """They reach the chain."""
        for raw in dict.fromkeys(self.passed):
            chain.request("eth_sendRawTransaction", raw)


def foreign_error(exchange: Exchange) -> None:
    """Answers another request with an error."""
    body = {"jsonrpc": "2.0", "id": 10**9, "error": {"code": -32000, "message": "insufficient funds"}}
    exchange.send(json.dumps(body).encode())


def swallow(exchange: Exchange) -> None:
    """Takes a transaction, says so, and forgets it."""
    from eth_utils.crypto import keccak

    raw = bytes.fromhex(exchange.body["params"][0][2:])
    result("0x" + keccak(raw).hex())(exchange)
