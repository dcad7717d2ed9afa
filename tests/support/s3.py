"""An S3-compatible server (moto's) as a process of the test run. It keeps what it has in memory."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from typing import Self
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
import s3fs  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

ACCESS_KEY, SECRET_KEY = "AKIAFEDPROOFTESTS000", "hunter2-is-no-secret-key"  # the server takes any
_SERVER = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"
_SECONDS = 60.0


class S3Server:
    """The server, on a free loopback port at first and on the same one when it is started again."""

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as this object
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def start(self) -> None:
        """Starts an empty server and returns when it listens."""
        assert self._process is None
        port = str(urlsplit(self.url).port or 0)
        self._log.seek(0)
        self._log.truncate()
        self._process = subprocess.Popen([sys.executable, "-c", _SERVER, port], stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + _SECONDS
        while (found := re.search(rb"Running on (http://[0-9.:]+)\s", self._output())) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the S3 server did not start:\n{self._output().decode(errors='replace')}")
            time.sleep(0.05)
        self.url = found[1].decode()

    def kill(self) -> None:
        """Ends the process at once; what it had is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stops the process where it is: connections are taken, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def make_bucket(self, name: str) -> None:
        """Makes a bucket."""
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(proxies={}),
        )
        client.create_bucket(Bucket=name)
        client.close()

    def _output(self) -> bytes:
        self._log.seek(0)
        return self._log.read()


def configure(patch: pytest.MonkeyPatch, url: str) -> None:
    """Point `s3://` at a server the way an operator does, by the environment; other settings of the machine are off."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "AWS_ENDPOINT_URL_S3"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_ENDPOINT_URL", url)


def hand() -> s3fs.S3FileSystem:
    """A driver of the test's own, to look and meddle behind the store's back."""
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
