"""Nodes that are slow, busy or broken: asked again where that is safe, and never believed blindly."""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from fedproof.errors import InputError, LedgerError
from fedproof.ledger import Chain, http
from fedproof.ledger.http import HttpRpc, TooLargeError, UnreachableError
from fedproof.ledger.logs import get_logs
from fedproof.ledger.rpc import RpcError
from tests.support.flaky import (
    Exchange,
    FlakyNode,
    Handler,
    content,
    execute_then_drop,
    foreign_error,
    refusal,
    result,
    status,
    wrong_id,
)


@pytest.fixture
def node() -> Iterator[FlakyNode]:
    with FlakyNode() as flaky:
        yield flaky


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def rpc(node: FlakyNode, pauses: list[float]) -> Iterator[HttpRpc]:
    client = HttpRpc(node.url, timeout=1.0, retries=4, pause=pauses.append)
    yield client
    client.close()


def endless_answer(exchange: Exchange) -> None:
    """More bytes than anybody should read."""
    exchange.http.send_response(200)
    exchange.http.end_headers()
    chunk = b"x" * 2**20
    for _ in range(80):
        exchange.http.wfile.write(chunk)
    exchange.http.close_connection = True


def dripping_answer(exchange: Exchange) -> None:
    """A byte now and then, so that no single read times out."""
    exchange.http.send_response(200)
    exchange.http.end_headers()
    for _ in range(100):
        exchange.http.wfile.write(b" ")
        exchange.http.wfile.flush()
        if exchange.node.over.wait(0.1):
            break
    exchange.http.close_connection = True


FAULTS: dict[str, Handler] = {
    "429": status(429),
    "500": status(500),
    "502": status(502, b"<html>Bad Gateway</html>"),
    "503": status(503, b""),
    "html": content(b"<html>hello</html>"),
    "nothing": content(b""),
    "half": content(b'{"jsonrpc": "2.0", "id": 1, "resu'),
    "list": content(b"[]"),
    "number": content(b"7"),
    "no_result": content(b'{"jsonrpc": "2.0", "id": 1}'),
    "deep": content(b"[" * 100_000),
    "binary": content(bytes(range(256))),
    "wrong_id": wrong_id,
    "wrong_id_error": foreign_error,
    "error_word": content(b'{"jsonrpc": "2.0", "id": 1, "result": null, "error": "unauthorized"}'),
    "error_list": content(b'{"jsonrpc": "2.0", "id": 1, "result": null, "error": ["unauthorized"]}'),
    "rate_limit": refusal(-32005, "daily request count exceeded, request rate limited"),
    "rate_limit_code": refusal(429, "slow down"),
    "hangs": Exchange.hang,
    "hangs_up": Exchange.drop,
    "drips": dripping_answer,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_read_is_asked_again_after(node: FlakyNode, rpc: HttpRpc, pauses: list[float], fault: str) -> None:
    node.faults["eth_blockNumber"] = [FAULTS[fault]]
    assert rpc.request("eth_blockNumber") == "0x0"
    assert len(node.asked("eth_blockNumber")) == 2
    assert len(pauses) == 1


def test_reading_ends_after_the_last_attempt(node: FlakyNode, rpc: HttpRpc, pauses: list[float]) -> None:
    node.faults["eth_blockNumber"] = [status(500)] * 9
    with pytest.raises(UnreachableError, match="no usable answer to eth_blockNumber in 5 attempts: HTTP status 500"):
        rpc.request("eth_blockNumber")
    assert len(node.asked("eth_blockNumber")) == 5
    assert len(pauses) == 4


def test_pauses_grow_with_jitter_and_stay_bounded(node: FlakyNode) -> None:
    pauses: list[float] = []
    rpc = HttpRpc(node.url, retries=10, pause=pauses.append)
    for _ in range(2):
        node.faults["eth_chainId"] = [status(503)] * 10
        rpc.request("eth_chainId")
    rpc.close()
    assert all(0.125 <= pause <= 12 for pause in pauses)
    assert pauses[:10] != pauses[10:]
    assert sum(pauses[5:10]) > 4 * sum(pauses[:3])


def test_what_is_not_idempotent_is_asked_once(node: FlakyNode, rpc: HttpRpc) -> None:
    for method in ("evm_mine", "anvil_mine", "evm_snapshot", "eth_sendTransaction"):
        node.faults[method] = [execute_then_drop]
        with pytest.raises(UnreachableError, match="in 1 attempt:"):
            rpc.request(method, *([{}] if method == "eth_sendTransaction" else []))
        assert len(node.asked(method)) == 1
    assert node.chain.request("eth_blockNumber") == "0x2"


@pytest.mark.parametrize("code", [301, 302, 307, 400, 401, 403, 404])
def test_refusal_by_status_is_final(node: FlakyNode, rpc: HttpRpc, code: int) -> None:
    node.faults["eth_blockNumber"] = [status(code, b"no", {"location": node.url + "/elsewhere"})]
    with pytest.raises(LedgerError, match=f"HTTP status {code}: check the URL"):
        rpc.request("eth_blockNumber")
    assert len(node.seen) == 1


def test_refusal_by_json_rpc_is_final(node: FlakyNode, rpc: HttpRpc) -> None:
    with pytest.raises(RpcError, match="the node refused eth_noSuch: the method eth_noSuch does not exist") as caught:
        rpc.request("eth_noSuch")
    assert caught.value.code == -32601
    assert len(node.seen) == 1


def test_refusal_is_read_whatever_the_status(node: FlakyNode, rpc: HttpRpc) -> None:
    error = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 3, "message": "execution reverted", "data": "0x1234"}}'
    hardhat = error.replace(b'"id": 1', b'"id": 2').replace(b'"0x1234"', b'{"data": "0x1234"}')
    node.faults["eth_call"] = [status(400, error), content(hardhat)]
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            rpc.request("eth_call")
        assert (caught.value.code, caught.value.data) == (3, b"\x12\x34")


def test_refusal_may_leave_out_the_request_that_it_is_about(node: FlakyNode, rpc: HttpRpc) -> None:
    error = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "invalid request"}}'
    node.faults["eth_call"] = [content(error)]
    with pytest.raises(RpcError, match="invalid request"):
        rpc.request("eth_call")


def test_answer_without_end_is_cut_off(node: FlakyNode, rpc: HttpRpc) -> None:
    node.faults["eth_getLogs"] = [endless_answer]
    with pytest.raises(TooLargeError, match="more than 67108864 bytes"):
        rpc.request("eth_getLogs")


def test_logs_in_more_bytes_than_are_read_are_asked_for_in_parts(
    node: FlakyNode, rpc: HttpRpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes have limits of their own, and say so; this one is ours."""
    with Chain.connect(node.url, chain_id=31_337) as chain:
        sender = chain.new_account("sender")
        token = chain.deploy("AccessToken", 10**24, sender=sender)
        for amount in range(1, 7):
            chain.transact(token.functions.transfer("0x" + "11" * 20, amount), sender)
        head = chain.block_number()
        whole = get_logs(rpc, token.address, [], 0, head)
    assert len(whole) >= 6
    monkeypatch.setattr(http, "_MAX_RESPONSE", 2_000)  # two or three logs
    node.seen.clear()
    assert get_logs(rpc, token.address, [], 0, head) == whole
    assert len(node.asked("eth_getLogs")) > 2
    monkeypatch.setattr(http, "_MAX_RESPONSE", 200)
    with pytest.raises(TooLargeError):  # one block holds more than that
        get_logs(rpc, token.address, [], 0, head)


def test_dripping_answer_is_cut_off_in_time(node: FlakyNode, pauses: list[float]) -> None:
    rpc = HttpRpc(node.url, timeout=0.5, retries=0, pause=pauses.append)
    node.faults["eth_blockNumber"] = [dripping_answer]
    start = time.monotonic()
    with pytest.raises(UnreachableError, match="timed out"):
        rpc.request("eth_blockNumber")
    assert time.monotonic() - start < 3
    rpc.close()


class Drip:
    """A server on a socket of its own: it sends some bytes at once, and then one now and then without an end."""

    def __init__(self, at_once: bytes, then: bytes) -> None:
        self._at_once, self._then, self._over = at_once, then, threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Drip:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(self._at_once)
            for byte in itertools.cycle(self._then):
                if self._over.wait(0.05):
                    return
                connection.sendall(bytes([byte]))


LINE = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status line": (b"", b"HTTP/1.1 200 " + b"O" * 60_000),
    "name of a header": (LINE, b"x" * 60_000),
    "headers": (LINE, b"a: b\r\n"),
    "status lines to be continued": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "length of a chunk": (LINE + b"transfer-encoding: chunked\r\n\r\n", b"0" * 60_000),
    "chunks": (LINE + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body": (LINE + b"content-length: 9999\r\n\r\n", b" "),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_drips_at_any_place_is_cut_off_in_time(drip: str) -> None:
    with Drip(*DRIPS[drip]) as server:
        rpc = HttpRpc(server.url, timeout=0.5, retries=0)
        start = time.monotonic()
        with pytest.raises(UnreachableError, match="timed out"):
            rpc.request("eth_blockNumber")
        assert 0.4 < time.monotonic() - start < 1.5
        rpc.close()


def test_a_connection_that_is_used_again_has_its_whole_time_again(node: FlakyNode) -> None:
    rpc = HttpRpc(node.url, timeout=0.4, retries=0)
    for _ in range(4):
        assert rpc.request("eth_blockNumber") == "0x0"
        time.sleep(0.15)
    assert len(node.asked("eth_blockNumber")) == 4
    rpc.close()


def test_nobody_at_the_address(pauses: list[float]) -> None:
    with FlakyNode() as gone:
        url = gone.url
    with pytest.raises(UnreachableError, match="in 3 attempts: connection failed"):
        Chain.connect(url, timeout=1.0, retries=2, pause=pauses.append)


def test_wrong_chain_id_is_refused(node: FlakyNode) -> None:
    with pytest.raises(LedgerError, match="is chain 31337, not 1: check the URL"):
        Chain.connect(node.url, chain_id=1)
    with Chain.connect(node.url, chain_id=31_337) as chain:
        assert chain.chain_id == 31_337


@pytest.mark.parametrize("answer", [None, 5, "31337", "0x", "0xzz", "0x" + "f" * 70, {"id": 1}, True])
def test_malformed_chain_id_is_refused(node: FlakyNode, answer: object) -> None:
    node.faults["eth_chainId"] = [result(answer)]
    with pytest.raises(LedgerError, match="no hexadecimal number as a chain id"):
        Chain.connect(node.url)


@pytest.mark.parametrize("url", ["", "node:8545", "ftp://node", "http://", "file:///etc/passwd", "ws://node:8546"])
def test_url_must_be_http(url: str) -> None:
    with pytest.raises(InputError, match="must start with http:// or https://"):
        Chain.connect(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:sec/ret@node",
        "http://user:123/sec/ret@node",
        "http://user:pass@sec/ret@node",
        "http://user:sec#ret@node",
        "http://user:1?sec=ret@node",
        "http://user:[secret@node",
        "http://us\u2100er:secret@node",
        "http://user:secret\udc80@node",
        "http://user:secret@node:99999",
    ],
)
def test_url_that_cannot_be_taken_apart_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(InputError, match="start with http:// or https:// and name a host") as caught:
        HttpRpc(url)
    assert "sec" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_credentials_are_unquoted_and_may_be_of_any_letters(node: FlakyNode) -> None:
    seen: list[str] = []

    def look(exchange: Exchange) -> None:
        seen.append(base64.b64decode(exchange.http.headers["authorization"].removeprefix("Basic ")).decode())
        exchange.answer()

    for credentials in ("us%3Aer:p%40s%2Fs", "\u0142\u0105ka:%E2%82%AC", ":only", "user@host:word"):
        node.faults["eth_chainId"] = [look]
        rpc = HttpRpc(node.url.replace("http://", f"http://{credentials}@"))
        assert rpc.request("eth_chainId") == hex(31_337)
        rpc.close()
    assert seen == ["us:er:p@s/s", "\u0142\u0105ka:\u20ac", ":only", "user@host:word"]


def test_address_of_ip_version_6_keeps_its_brackets() -> None:
    for url, shown in (
        ("http://[::1]:8545/key", "http://[::1]:8545"),
        ("https://u:p@[2001:db8::1]", "https://[2001:db8::1]"),
    ):
        rpc = HttpRpc(url)
        assert rpc.url == shown
        assert rpc._target == shown + ("/key" if "key" in url else "/")
        rpc.close()


def test_settings_must_make_sense(node: FlakyNode) -> None:
    for settings in ({"timeout": 0.0}, {"timeout": -1.0}, {"retries": -1}):
        with pytest.raises(InputError, match="timeout must be positive"):
            HttpRpc(node.url, **settings)  # type: ignore[arg-type]


def test_credentials_in_the_url_are_used_and_never_shown(node: FlakyNode) -> None:
    seen: list[str | None] = []

    def look(exchange: Exchange) -> None:
        seen.append(exchange.http.headers["authorization"])
        seen.append(exchange.http.path)
        exchange.send(b"", 500)

    node.faults["eth_chainId"] = [look]
    url = node.url.replace("http://", "http://user:hunter2@") + "/v3/secret-api-key?token=secret-token"
    with pytest.raises(UnreachableError) as caught:
        Chain.connect(url, retries=0)
    assert seen == ["Basic dXNlcjpodW50ZXIy", "/v3/secret-api-key?token=secret-token"]
    rpc = HttpRpc(url)
    for text in (str(caught.value), repr(caught.value), repr(rpc), rpc.url):
        assert "hunter2" not in text
        assert "secret" not in text
        assert node.url in text
    rpc.close()
    # Nor where the connection itself fails, whose message the library would fill with the whole URL.
    with pytest.raises(UnreachableError) as caught:
        Chain.connect("http://user:hunter2@127.0.0.1:9/secret-api-key", retries=0, timeout=1.0)
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
