"""S3 with a real server: killed, frozen, slow, failing, robbed, and pointed to by configuration alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import fsspec.config
import pytest

from fedproof.errors import StorageError
from fedproof.storage import BlobStore, content_id, s3
from tests.support import proxy as faults
from tests.support.proxy import FaultProxy
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, S3Server, configure, hand

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("s3")]

BLOB = bytes(range(256)) * 40
LARGE = [bytes([k]) * (1 << 20) for k in range(20)]  # four pieces of 5 MiB
IMPATIENT = {"config_kwargs": {"connect_timeout": 0.5, "read_timeout": 0.5, "retries": {"total_max_attempts": 1}}}


@pytest.fixture
def store(s3_place: str) -> BlobStore:
    return BlobStore.open(f"s3://{s3_place}/shares")


@pytest.fixture
def proxy(s3_server: S3Server, s3_place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What the store speaks through; the test's own hand does not."""
    with FaultProxy(s3_server.url) as between:
        configure(monkeypatch, between.url)
        monkeypatch.setitem(fsspec.config.conf, "s3", IMPATIENT)
        monkeypatch.setattr(s3, "CALL_SECONDS", 2.0)
        yield between


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that a test may end."""
    with S3Server() as server:
        configure(monkeypatch, server.url)
        monkeypatch.setitem(fsspec.config.conf, "s3", IMPATIENT)
        monkeypatch.setattr(s3, "CALL_SECONDS", 2.0)
        server.make_bucket("blobs")
        yield server


def failing(store: BlobStore) -> list[str]:
    """What every way to use the store says; each must be a StorageError that shows no secret."""
    said = []
    uses = (
        lambda: store.put(b"new"),
        lambda: store.put_stream(LARGE),
        lambda: store.get(content_id(BLOB)),
        lambda: list(store.get_unchecked(content_id(BLOB))),
        lambda: store.get_stream(content_id(BLOB)).__enter__(),
    )
    for use in uses:
        with pytest.raises(StorageError) as caught:
            use()
        text = f"{caught.value!r} {caught.value.__cause__!r}"
        assert not any(secret in text for secret in (ACCESS_KEY, SECRET_KEY, "Signature", "Credential"))
        said.append(str(caught.value))
    return said


def test_a_large_blob_goes_and_comes_in_pieces(store: BlobStore, s3_place: str) -> None:
    blob = store.put_stream(LARGE)
    assert blob == content_id(b"".join(LARGE))
    with store.get_stream(blob) as pieces:
        assert b"".join(pieces) == b"".join(LARGE)
    assert b"".join(store.get_unchecked(blob)) == b"".join(LARGE)
    assert hand().find(s3_place) == [f"{s3_place}/shares/{blob}"]
    hand().pipe_file(f"{s3_place}/shares/{blob}", b"".join(LARGE)[: 17 << 20])
    with pytest.raises(StorageError, match="damaged or swapped"):
        store.get(blob)


def test_another_nodes_blob_is_seen_at_once(store: BlobStore, s3_place: str) -> None:
    with pytest.raises(StorageError, match="it is not there"):
        store.get(content_id(BLOB))
    hand().pipe_file(f"{s3_place}/shares/{content_id(BLOB)}", BLOB)
    assert store.get(content_id(BLOB)) == BLOB
    hand().rm_file(f"{s3_place}/shares/{content_id(BLOB)}")
    with pytest.raises(StorageError, match="it is not there"):
        store.get(content_id(BLOB))


def test_a_bucket_that_does_not_exist_is_not_made(s3_place: str) -> None:
    store = BlobStore.open("s3://no-such-bucket/shares")
    assert all("s3://no-such-bucket/shares: it is not there" in text for text in failing(store))
    assert not hand().exists("no-such-bucket")


def once_more(put: Callable[[], str]) -> str:
    """On a loaded machine this server answers 500 to a call while it still works on one that was given up."""
    try:
        return put()
    except StorageError:
        time.sleep(5)
        return put()


@pytest.mark.parametrize(
    "fault",
    [faults.status(500), faults.status(429), faults.status(403), faults.garbage(), faults.hang, faults.hang_up],
    ids=["500", "429", "403", "garbage", "hangs", "hangs up"],
)
def test_a_failing_server_is_an_error_and_leaves_the_blobs(
    proxy: FaultProxy, s3_place: str, fault: faults.Fault
) -> None:
    store = BlobStore.open(f"s3://{s3_place}/shares")
    blob = store.put(BLOB)
    start = time.monotonic()
    with proxy.fault(fault):
        failing(store)
    assert time.monotonic() - start < 60
    assert store.get(blob) == BLOB
    assert once_more(lambda: store.put_stream(LARGE)) in {path.rsplit("/", 1)[1] for path in hand().find(s3_place)}


def test_a_slow_server_is_waited_for(proxy: FaultProxy, s3_place: str) -> None:
    store = BlobStore.open(f"s3://{s3_place}/shares")
    with proxy.fault(faults.slow(0.2)):
        assert store.get(store.put(BLOB)) == BLOB


def test_one_bad_answer_is_asked_again(proxy: FaultProxy, s3_place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fsspec.config.conf, "s3", {})
    store = BlobStore.open(f"s3://{s3_place}/shares")
    for fault in (faults.status(500), faults.hang_up, faults.cut(100)):
        blob = store.put(BLOB)
        proxy.set(fault, times=1, only={"GET"})
        assert store.get(blob) == BLOB


def test_a_read_that_is_cut_off_every_time_is_an_error(proxy: FaultProxy, s3_place: str) -> None:
    store = BlobStore.open(f"s3://{s3_place}/shares")
    blob = store.put(BLOB)
    with proxy.fault(faults.cut(100), only={"GET"}), pytest.raises(StorageError, match=blob):
        store.get(blob)
    assert store.get(blob) == BLOB


@pytest.mark.parametrize("step", ["POST", "PUT"])
def test_an_upload_that_breaks_off_leaves_nothing(proxy: FaultProxy, s3_place: str, step: str) -> None:
    store = BlobStore.open(f"s3://{s3_place}/shares")
    proxy.set(faults.status(500), only={step}, times=3)
    with pytest.raises(StorageError, match="cannot be stored"):
        store.put_stream(LARGE)
    proxy.clear()
    assert [path for path in hand().find(s3_place) if ".part-" not in path] == []
    assert b"".join(store.get_unchecked(store.put_stream(LARGE))) == b"".join(LARGE)


def test_a_move_whose_answer_is_lost_leaves_the_blob_whole(proxy: FaultProxy, s3_place: str) -> None:
    store = BlobStore.open(f"s3://{s3_place}/shares")
    proxy.set(faults.done_then_hang_up, only={f"PUT /{s3_place}/shares/{content_id(BLOB)}"})
    with pytest.raises(StorageError):
        store.put(BLOB)
    proxy.clear()
    assert store.get(content_id(BLOB)) == BLOB
    assert store.put(BLOB) == content_id(BLOB)
    assert hand().find(s3_place) == [f"{s3_place}/shares/{content_id(BLOB)}"]


def test_a_frozen_server_is_an_error_in_time_and_works_again(own_server: S3Server) -> None:
    store = BlobStore.open("s3://blobs/shares")
    blob = store.put(BLOB)
    own_server.freeze()
    start = time.monotonic()
    failing(store)
    assert time.monotonic() - start < 60
    own_server.thaw()
    assert store.get(blob) == BLOB


def test_a_server_that_comes_back_without_its_blobs_is_noticed_and_filled_again(own_server: S3Server) -> None:
    store = BlobStore.open("s3://blobs/shares")
    blob = store.put(BLOB)
    own_server.kill()
    failing(store)
    own_server.start()
    with pytest.raises(StorageError, match="it is not there"):
        store.get(blob)
    own_server.make_bucket("blobs")
    with pytest.raises(StorageError, match="it is not there"):
        store.get(blob)
    assert store.put(BLOB) == blob
    assert store.get(blob) == BLOB


CONFIGURED = """
from fedproof.storage import BlobStore
store = BlobStore.open("s3://blobs/shares")
print(store.get(store.put(b"x")).decode())
"""


@pytest.mark.parametrize(
    "settings",
    [
        {"AWS_ENDPOINT_URL": "{url}", "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        {"AWS_ENDPOINT_URL_S3": "{url}", "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        {"AWS_CONFIG_FILE": "{folder}/config", "AWS_SHARED_CREDENTIALS_FILE": "{folder}/credentials"},
        {"FSSPEC_S3": '{{"endpoint_url": "{url}", "key": "k", "secret": "s"}}'},
        {"FSSPEC_S3_ENDPOINT_URL": "{url}", "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_an_operator_names_the_server_by_configuration(
    s3_server: S3Server, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("aws")
    (folder / "config").write_text(f"[default]\nendpoint_url = {s3_server.url}\nregion = us-east-1\n")
    (folder / "credentials").write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    s3_server.make_bucket("blobs")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FSSPEC_"))}
    given = {name: value.format(url=s3_server.url, folder=folder) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURED],
        env={**clean, "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true", **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("x\n", 0), done.stderr
