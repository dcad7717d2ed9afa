"""Health and metrics: what they say, where they listen, and that they show no secret."""

from __future__ import annotations

import json
import logging
import secrets

import pytest
import urllib3

from fedproof.app.health import HealthServer, Vitals
from fedproof.app.logs import Log
from fedproof.app.secret import remember
from fedproof.errors import InputError, LedgerError

LOG = Log(logging.getLogger("fedproof.tests.health"), "n")


def get(port: int, path: str) -> tuple[int, str]:
    with urllib3.PoolManager(retries=False) as pool:
        answer = pool.request("GET", f"http://127.0.0.1:{port}{path}", headers={"connection": "close"})
        return answer.status, answer.data.decode()


def test_health_follows_progress() -> None:
    now = [0.0]
    vitals = Vitals("worker", 60, lambda: now[0])
    with HealthServer(vitals, LOG) as server:
        status, body = get(server.port, "/healthz")
        assert (status, json.loads(body)["reason"]) == (503, "starting")
        vitals.progress(7, 9, 3)
        now[0] = 60.0
        status, body = get(server.port, "/healthz")
        assert status == 200
        assert json.loads(body) == {
            "role": "worker", "last_block": 7, "seconds_since_progress": 60.0, "reason": "",
        }  # fmt: skip
        now[0] = 60.5
        vitals.failed(LedgerError("the node at http://u:word@node/key is away"), 1.0)
        status, body = get(server.port, "/healthz")
        assert (status, json.loads(body)["reason"]) == (503, "the node at http://node is away")
        assert get(server.port, "/other")[0] == 404


def test_metrics_count() -> None:
    vitals = Vitals("worker")
    vitals.progress(7, 9, 3)
    vitals.failed(LedgerError("x"))
    vitals.failed(KeyError("x"))
    vitals.round_ended("settled")
    vitals.retried()
    with vitals.proving("training"):
        pass
    with HealthServer(vitals, LOG) as server:
        status, body = get(server.port, "/metrics")
    assert status == 200
    for line in (
        "fedproof_events_total 3.0", 'fedproof_errors_total{kind="LedgerError"} 1.0',
        'fedproof_errors_total{kind="internal"} 1.0', "fedproof_last_block 7.0", "fedproof_lag_blocks 2.0",
        'fedproof_rounds_total{outcome="settled"} 1.0',
        "fedproof_rpc_retries_total 1.0", 'fedproof_proving_seconds_count{statement="training"} 1.0',
    ):  # fmt: skip
        assert line in body.splitlines()


def test_it_listens_to_this_machine_alone_by_default() -> None:
    with HealthServer(Vitals("worker"), LOG) as server:
        assert server._server.socket.getsockname()[0] == "127.0.0.1"
    for host in ("0.0.0.0", "::", "10.0.0.1", ""):
        with pytest.raises(InputError, match=r"http.public"):
            HealthServer(Vitals("worker"), LOG, host)


def test_beyond_this_machine_it_warns(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "fedproof.tests.health"), HealthServer(Vitals("worker"), LOG, "0.0.0.0", 0, True):
        assert [record.getMessage() for record in caplog.records] == ["http.public"]


def test_a_stopped_server_gives_its_port_back_and_a_taken_one_is_refused() -> None:
    with HealthServer(Vitals("worker"), LOG) as server:
        port = server.port
        with pytest.raises(InputError, match=rf"http.port {port}"):
            HealthServer(Vitals("worker"), LOG, port=port)
    HealthServer(Vitals("worker"), LOG, port=port).stop()


def test_no_secret_shows() -> None:
    key = secrets.token_bytes(32)
    remember(key)
    vitals = Vitals("worker")
    vitals.failed(LedgerError(f"key {key.hex()}"))
    vitals.failed(ValueError(key.hex()))
    with HealthServer(vitals, LOG) as server:
        for path in ("/healthz", "/metrics"):
            assert key.hex() not in get(server.port, path)[1]
