"""IPFS: a blob's SHA-256 is its address. A loopback server speaks the node's RPC and the gateway's paths."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fedproof.errors import InputError, StorageError
from fedproof.storage import BlobStore, content_id
from fedproof.storage.ipfs import BLOCK_BYTES, Ipfs, raw_cid

FOLDER = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


class Node(BaseHTTPRequestHandler):
    """`POST /api/v0/block/put | get | rm`, `pin/rm` and `GET /ipfs/<path>`, as Kubo and its gateway answer them."""

    served: dict[str, bytes] = {}  # noqa: RUF012  one per test, set by the fixture
    answer: Any = None
    status = 200

    def do_POST(self) -> None:
        call, _, argument = self.path.removeprefix("/api/v0/").partition("?arg=")
        if call != self.path.removeprefix("/api/v0/"):
            self._kept(call, argument.partition("&")[0])
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
        data = body.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n--" + boundary + b"--\r\n")
        assert self.path == "/api/v0/block/put?cid-codec=raw&mhtype=sha2-256&pin=true"
        key = raw_cid(content_id(data))
        if key not in self.served:  # a node does not write again what it believes to have
            self.served[key] = self.write(data)
        self._send(json.dumps({"Key": key, "Size": len(data)}).encode() if self.answer is None else self.answer)

    @staticmethod
    def write(data: bytes) -> bytes:
        """What the disk makes of a block."""
        return data

    def _kept(self, call: str, key: str) -> None:
        if call == "block/rm":
            self.served.pop(key, None)
        if call == "block/get" and key in self.served:
            self._send(self.served[key])
        elif call == "block/get" or (call == "pin/rm" and key not in self.served):
            self.send_error(500)
        else:
            self._send(b"{}")

    def do_GET(self) -> None:
        data = self.served.get(self.path.removeprefix("/ipfs/"))
        if data is None:
            self.send_error(404)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        # a reader that has seen enough hangs up
        with suppress(ConnectionError):
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def gateway_lookup() -> None:
    """ipfsspec remembers the gateway it found; each test has its own. Skips without ipfsspec."""
    pytest.importorskip("ipfsspec").async_ipfs.get_gateway.cache_clear()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Node]]:
    class OwnNode(Node):
        served: dict[str, bytes] = {}  # noqa: RUF012

    server = ThreadingHTTPServer(("127.0.0.1", 0), OwnNode)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("IPFS_API", address)
    monkeypatch.setenv("IPFS_GATEWAY", address)
    yield OwnNode
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def writer(node: type[Node]) -> BlobStore:
    return BlobStore(Ipfs(None, ""))


def test_the_address_is_the_documented_one() -> None:
    # `ipfs block put --cid-codec raw` of the five bytes "hello"
    assert raw_cid(content_id(b"hello")) == "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"


def test_puts_a_block_with_the_node(node: type[Node], writer: BlobStore) -> None:
    for data in (b"", b"hello", b"--\r\n\r\n--", bytes(BLOCK_BYTES)):
        blob = writer.put(data)
        assert blob == content_id(data)
        assert node.served[raw_cid(blob)] == data


@pytest.mark.parametrize("damaged", [b"", b"hell", b"other"])
def test_puts_a_block_again_that_the_node_holds_damaged(node: type[Node], writer: BlobStore, damaged: bytes) -> None:
    cid = raw_cid(content_id(b"hello"))
    node.served[cid] = damaged
    writer.put(b"hello")
    assert node.served[cid] == b"hello"


def test_says_where_a_disk_loses_what_is_written(
    node: type[Node], writer: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "write", staticmethod(lambda data: data[:-1]))
    with pytest.raises(StorageError, match="keeps a damaged copy"):
        writer.put(b"hello")


def test_refuses_a_blob_that_is_not_one_block(node: type[Node], writer: BlobStore) -> None:
    with pytest.raises(StorageError, match="not one IPFS block"):
        writer.put_stream([bytes(BLOCK_BYTES), b"x"])
    assert node.served == {}


def test_refuses_to_write_into_a_folder_that_is_fixed() -> None:
    with pytest.raises(StorageError, match="fixed folder"):
        BlobStore(Ipfs(None, FOLDER)).put(b"x")


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (200, b'{"Key": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}', "another address"),
        (200, b"[]", "another address"),
        (200, b"<html>", "not JSON"),
        (500, b"{}", "HTTP 500"),
        (403, b"", "HTTP 403"),
    ],
)
def test_rejects_what_a_node_should_not_answer(
    node: type[Node], writer: BlobStore, status: int, answer: bytes, message: str
) -> None:
    node.status, node.answer = status, answer
    with pytest.raises(StorageError, match=message):
        writer.put(b"x")


def test_says_what_to_do_when_no_node_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPFS_API", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="start the node or set IPFS_API"):
        BlobStore(Ipfs(None, "")).put(b"x")
    monkeypatch.setenv("IPFS_API", "file:///etc/passwd")
    with pytest.raises(InputError, match="IPFS_API"):
        BlobStore(Ipfs(None, "")).put(b"x")


def test_reads_blocks_and_folders_through_a_gateway(node: type[Node], gateway_lookup: None) -> None:
    store, folder = BlobStore.open("ipfs://"), BlobStore.open(f"ipfs://{FOLDER}")
    blob = store.put(b"hello")
    assert store.get(blob) == b"hello"
    large = bytes(3 << 20)
    node.served[f"{FOLDER}/{content_id(large)}"] = large
    with folder.get_stream(content_id(large)) as pieces:
        assert b"".join(pieces) == large
    with pytest.raises(StorageError, match="it is not there"):
        folder.get(blob)


def test_rejects_what_a_gateway_should_not_serve(node: type[Node], gateway_lookup: None) -> None:
    store = BlobStore.open("ipfs://")
    blob = store.put(b"hello")
    node.served[raw_cid(blob)] = b"hullo"
    with pytest.raises(StorageError, match="damaged or swapped"):
        store.get(blob)
    node.served[raw_cid(blob)] = bytes(4 << 20)
    with pytest.raises(StorageError, match="at most"):
        store.get(blob, limit=1000)


def test_says_what_to_do_without_a_gateway(
    gateway_lookup: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for variable in ("IPFS_GATEWAY", "IPFSSPEC_GATEWAYS", "IPFS_PATH", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StorageError, match="set IPFS_GATEWAY"):
        BlobStore.open("ipfs://").get(content_id(b"x"))
