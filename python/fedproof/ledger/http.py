"""JSON-RPC over HTTP, made for nodes that are slow, overloaded, or broken now and then."""

from __future__ import annotations

import base64
import http.client
import io
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.rpc import RpcError

_MAX_RESPONSE = 64 * 2**20
_CHUNK = 2**16
_BACKOFF_START = 0.25
_BACKOFF_LIMIT = 8.0
_TOO_MANY_REQUESTS = 429
_BUSY = ("rate limit", "too many requests")
# Asking twice does another thing than asking once. A raw transaction is not among them: its nonce is inside.
_ONCE = ("evm_", "anvil_", "hardhat_", "eth_sendTransaction")


class UnreachableError(LedgerError):
    """No usable answer, however often asked. What was asked may or may not have happened."""


class TooLargeError(LedgerError):
    """An answer of more bytes than are taken: ask for less at once."""


class HttpRpc:
    """A JSON-RPC endpoint.

    Args:
        url: http or https; credentials in it are used and never shown.
        timeout: seconds for one attempt.
        retries: further attempts after the first, for what can be asked twice.
    """

    def __init__(
        self, url: str, timeout: float = 20.0, retries: int = 5, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.url, self._target, credentials = _taken_apart(url)
        if timeout <= 0 or retries < 0:
            raise InputError("the chain's timeout must be positive, and its retries at least 0")
        self._headers = {"content-type": "application/json"}
        if credentials is not None:
            self._headers["authorization"] = "Basic " + base64.b64encode(credentials).decode()
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._pool = urllib3.PoolManager(maxsize=8, retries=False)
        self._pool.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        self._ids = itertools.count(1)
        self._random = random.Random()  # noqa: S311 - jitter, not a secret
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"HttpRpc({self.url!r})"

    def close(self) -> None:
        """Closes idle connections."""
        self._pool.clear()

    def request(self, method: str, *params: Any) -> Any:
        """One request, repeated while the node is busy or talks nonsense.

        Raises:
            RpcError: the node refused.
            UnreachableError: no usable answer in all attempts.
        """
        attempts = 1 if method.startswith(_ONCE) else 1 + self._retries
        reason = ""
        for attempt in range(attempts):
            if attempt:
                self._pause(self._delay(attempt))
            try:
                return self._once(method, params)
            except _Again as again:
                reason = str(again)
        times = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        raise UnreachableError(f"{self.url} gave no usable answer to {method} in {times}: {reason}")

    def _delay(self, attempt: int) -> float:
        with self._lock:
            jitter = self._random.uniform(0.5, 1.5)
        return jitter * min(_BACKOFF_LIMIT, _BACKOFF_START * float(2 ** (attempt - 1)))

    def _once(self, method: str, params: tuple[Any, ...]) -> Any:
        with self._lock:
            number = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)})
        try:
            status, answer = self._post(body.encode())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _Again(_short(error)) from None  # the library's own text may quote the whole URL
        if status == _TOO_MANY_REQUESTS or status >= 500:
            raise _Again(f"HTTP status {status}")
        try:
            message = json.loads(answer)
        except (ValueError, RecursionError):
            message = None
        told = message.get("error") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not (isinstance(told, dict) or (told is None and "result" in message)):
            if status != 200:
                raise LedgerError(f"{self.url} answers with HTTP status {status}: check the URL and its credentials")
            raise _Again("the answer is no JSON-RPC")
        # An error may leave the id out: a node that cannot read a request does not know it.
        if message.get("id") != number and (told is None or message.get("id") is not None):
            raise _Again("the answer is to another request")
        if told is not None:
            refusal = _rpc_error(method, told)
            if refusal.code == _TOO_MANY_REQUESTS or any(text in refusal.detail.lower() for text in _BUSY):
                raise _Again(refusal.detail[:100])
            raise refusal
        return message["result"]

    def _post(self, body: bytes) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        response = self._pool.request(
            "POST",
            self._target,
            body=body,
            headers=self._headers,
            timeout=urllib3.Timeout(total=self._timeout),
            redirect=False,
            preload_content=False,
        )
        received = bytearray()
        try:
            while chunk := response.read1(_CHUNK):
                received += chunk
                if len(received) > _MAX_RESPONSE:
                    raise TooLargeError(f"{self.url} sent more than {_MAX_RESPONSE} bytes as one answer")
                if time.monotonic() > deadline:
                    raise TimeoutError("timed out")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, bytes(received)


def _taken_apart(url: str) -> tuple[str, str, bytes | None]:
    """A URL as it may be shown, as it is asked, and its credentials.

    Raises:
        InputError: it is none, or may be cut within a secret. The message does not repeat any of it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        secret = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    except ValueError:  # its text may quote what comes before an @
        host = None
    # What follows the first / ? or # of a secret looks like a path, and what precedes it like a host.
    if not host or parts.scheme not in ("http", "https") or "@" in parts.path + parts.query + parts.fragment:
        raise InputError(
            "the chain's URL must start with http:// or https:// and name a host; where its credentials or its path "
            "have any of / ? # @ : [ ] in them, write them as %2F %3F %23 %40 %3A %5B %5D"
        ) from None
    # A path or query often is an API key.
    shown = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    target = shown + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return shown, target, None if secret == b":" else secret


class _UntilDeadline(io.RawIOBase):
    """What comes from a socket, all of it within the socket's timeout, which itself restarts with each byte."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw = raw
        self._connection = connection
        timeout = connection.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose status line, headers, chunks and body have one deadline together."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Again(Exception):  # noqa: N818 - a signal inside this file
    """This attempt failed in a way that another may not."""


def _short(error: Exception) -> str:
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # to the library a kind of time-out
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError) and not refused:
        return "timed out"
    return f"connection failed ({type(error).__name__})"


def _rpc_error(method: str, error: dict[str, Any]) -> RpcError:
    code = error.get("code")
    data = error.get("data")
    if isinstance(data, dict):  # Hardhat
        data = data.get("data")
    revert_data = None
    if isinstance(data, str):
        text = data.removeprefix("Reverted ").removeprefix("0x")  # OpenEthereum
        try:
            revert_data = bytes.fromhex(text)
        except ValueError:
            revert_data = None
    return RpcError(method, code if isinstance(code, int) else 0, str(error.get("message", "")), revert_data)
