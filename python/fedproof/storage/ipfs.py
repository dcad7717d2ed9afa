"""IPFS: a blob of up to 1 MiB is one raw block, and its SHA-256 *is* its address.

    CID = "b" || base32(0x01 version 1, 0x55 raw, 0x12 SHA-256, 0x20 length, digest)

So `ipfs://` needs no table of names: content id and CID are two spellings of one digest, and any gateway or pinning
service that has the block can serve it. Reading goes through the gateway that ipfsspec finds (IPFS_GATEWAY or IPFS's
own configuration files); writing through the RPC of one's own node (IPFS_API, by default http://127.0.0.1:5001).

Larger blobs are trees of blocks on IPFS, and their address is not the SHA-256 of their bytes. For those,
`ipfs://<CID of a folder>` reads the files of a folder that are named by content id; add the folder of a local store
with one's node to publish it. Such a store is read-only.
"""

import asyncio
import base64
import http.client
import json
import os
import secrets
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any, Final

from fsspec.asyn import sync

from fedproof.errors import InputError, StorageError
from fedproof.storage.backend import Sink
from fedproof.storage.content import ContentId, content_id_to_word

BLOCK_BYTES: Final = 1 << 20
_CID_PREFIX: Final = bytes((0x01, 0x55, 0x12, 0x20))
_DEFAULT_API: Final = "http://127.0.0.1:5001"
_TIMEOUT_SECONDS: Final = 60
_MAX_ANSWER_BYTES: Final = 1 << 16


def raw_cid(blob: ContentId) -> str:
    """The CIDv1 of the raw block with this SHA-256."""
    return "b" + base64.b32encode(_CID_PREFIX + content_id_to_word(blob)).decode().lower().rstrip("=")


class Ipfs:
    """Raw blocks when `root` is empty, else the files of the folder with that CID."""

    scratch = None

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root.strip("/")
        self.name = f"ipfs://{self._root}"

    def pending(self) -> "IpfsPending":
        """Start a blob; only raw blocks can be written."""
        if self._root:
            raise StorageError(f"{self.name} is a fixed folder and cannot be written: use ipfs:// for single blocks")
        return IpfsPending()

    def copy_to(self, blob: ContentId, sink: Sink) -> None:
        """Read from the gateway piece by piece."""
        path = f"{self._root}/{blob}" if self._root else raw_cid(blob)
        try:
            sync(self._fs.loop, _copy, self._fs, path, sink)
        except RuntimeError:
            raise StorageError("no IPFS gateway is configured: set IPFS_GATEWAY to the address of one") from None

    def pieces(self, _: ContentId) -> None:
        """Nothing: the driver writes to a file of its caller."""


class IpfsPending:
    """A block in memory until its node takes it."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """Append; StorageError past one block."""
        if len(self._data) + len(data) > BLOCK_BYTES:
            raise StorageError(
                f"a blob of more than {BLOCK_BYTES} bytes is not one IPFS block: keep it in a folder, add the folder "
                "to IPFS, and read it as ipfs://<CID of the folder>"
            )
        self._data += data

    def commit(self, blob: ContentId) -> None:
        """Put and pin the block with the node, and hold the node to the address and to the bytes."""
        data, cid = bytes(self._data), raw_cid(blob)
        _put(data, cid)
        if _held(cid) == data:
            return
        # a block that the node believes to have is not written again: its damaged copy must go first
        with suppress(StorageError):
            _ask(f"pin/rm?arg={cid}")
        with suppress(StorageError):
            _ask(f"block/rm?arg={cid}&force=true")
        _put(data, cid)
        if _held(cid) != data:
            raise StorageError(
                "the IPFS node keeps a damaged copy of the block: check its disk, and unpin what else holds the block"
            )

    def discard(self) -> None:
        """Nothing is left: a block is put whole."""
        self._data.clear()


async def _copy(fs: Any, path: str, sink: Sink) -> None:
    """Have the driver write a file to a sink, as long as something comes; by itself it would try for 25 minutes."""
    running = asyncio.ensure_future(fs._get_file(path, sink))
    try:
        before = -1
        while not running.done() and before < sink.size:
            before = sink.size
            await asyncio.wait({running}, timeout=_TIMEOUT_SECONDS)
        if not running.done():
            raise TimeoutError
        await running
    finally:
        running.cancel()


def _put(data: bytes, cid: str) -> None:
    boundary = secrets.token_hex(16)
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="block"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    try:
        answer = json.loads(_ask("block/put?cid-codec=raw&mhtype=sha2-256&pin=true", body, kind))
    except ValueError:
        raise StorageError("the IPFS node's answer is not JSON") from None
    if not isinstance(answer, dict) or answer.get("Key") != cid:
        raise StorageError("the IPFS node stored the block under another address than its SHA-256")


def _held(cid: str) -> bytes | None:
    """The block as the node has it, None where it cannot give it."""
    try:
        return _ask(f"block/get?arg={cid}&offline=true", limit=BLOCK_BYTES + 1)
    except _RefusedError:
        return None


def _ask(call: str, body: bytes = b"", kind: str = "text/plain", limit: int = _MAX_ANSWER_BYTES) -> bytes:
    """One call of the node's RPC; at most `limit` bytes of its answer."""
    api = os.environ.get("IPFS_API", _DEFAULT_API).rstrip("/")
    if not api.startswith(("http://", "https://")):
        raise InputError("IPFS_API must be an http:// or https:// address of an IPFS node's RPC")
    request = urllib.request.Request(  # noqa: S310  the scheme is checked above
        f"{api}/api/v0/{call}", data=body, headers={"Content-Type": kind}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            return bytes(response.read(limit))
    except urllib.error.HTTPError as error:
        error.close()
        raise _RefusedError(f"the IPFS node refused the block (HTTP {error.code})") from None
    except (OSError, http.client.HTTPException):
        raise StorageError("the IPFS node's RPC does not answer: start the node or set IPFS_API") from None


class _RefusedError(StorageError):
    """The node answers, with an error."""
