"""Real servers for the stores."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.s3 import S3Server, configure

_names = itertools.count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A running server that nobody stops for long."""
    with S3Server() as server:
        yield server


@pytest.fixture
def s3_place(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh bucket's name; `s3://` is that of the server."""
    bucket = f"blobs-{next(_names)}"
    configure(monkeypatch, s3_server.url)
    s3_server.make_bucket(bucket)
    return bucket
