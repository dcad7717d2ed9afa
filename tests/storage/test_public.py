"""Named files from a folder or a web server that nobody vouches for: bounded in time, memory and size."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedproof.errors import FedproofError, StorageError
from fedproof.storage import BlobStore
from fedproof.storage.public import read_public

MIB = 1 << 20


@contextlib.contextmanager
def serving(body: bytes, **headers: str) -> Iterator[tuple[str, list[str | None]]]:
    """A web server that answers everything with `body`, and what encodings it was asked for."""
    asked: list[str | None] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Accept-Encoding"])
            self.send_response(206 if self.headers["Range"] else 200)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  the name that the server looks for

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_file_comes_from_a_folder_and_a_web_server_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"content")
    assert read_public(str(tmp_path), "name", 7) == b"content"
    assert read_public(str(tmp_path), "other", 7) is None
    with serving(b"content") as (url, asked):
        assert read_public(url, "name", 7) == b"content"
        assert set(asked) == {"identity"}
        for base in (str(tmp_path), url):
            with pytest.raises(StorageError, match="name has more than 6 bytes"):
                read_public(base, "name", 6)


def test_a_compressed_answer_is_refused_before_it_unfolds() -> None:
    """Small on the wire, and hundreds of times as much in memory, for whoever takes a web server at its word."""
    bomb = gzip.compress(bytes(256 * MIB), 9)
    with serving(bomb, Content_Encoding="gzip") as (url, _):
        tracemalloc.start()
        try:
            with pytest.raises(StorageError, match="compressed"):
                read_public(url, "name", 1 << 30)
            with pytest.raises(FedproofError):
                BlobStore.open(url).get("0" * 64)
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


def test_what_is_said_to_be_too_large_is_refused_before_it_comes() -> None:
    with serving(b"begun", Content_Length=str(1 << 40)) as (url, _):
        started = time.monotonic()
        with pytest.raises(StorageError, match="name has more than 1000 bytes"):
            read_public(url, "name", 1000)
        assert time.monotonic() - started < 10


def test_what_is_cut_off_is_no_file() -> None:
    with serving(b"begun", Content_Length="900") as (url, _), pytest.raises(StorageError, match="cannot be read"):
        read_public(url, "name", 1000)


def test_a_file_is_in_memory_once(tmp_path: Path) -> None:
    with (tmp_path / "name").open("wb") as file:
        file.truncate(64 * MIB)
    tracemalloc.start()
    try:
        assert len(read_public(str(tmp_path), "name", 1 << 30) or b"") == 64 * MIB
        assert tracemalloc.get_traced_memory()[1] < 90 * MIB
    finally:
        tracemalloc.stop()
