"""The start of a node while the chain comes and goes."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fedproof.app import running
from fedproof.app.secret import Secret
from fedproof.errors import StateError
from fedproof.ledger.http import UnreachableError
from fedproof.nodes.roles.acts import Stopped
from fedproof.nodes.state import StateFile


class Enough(BaseException):
    """The test has seen what it wanted."""


class Impatient(threading.Event):
    """Waits for nothing."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_node_that_is_told_to_end_does_not_wait_for_a_chain_that_is_gone() -> None:
    stop, repeated = threading.Event(), []
    vitals: Any = SimpleNamespace(retried=lambda: repeated.append(1))
    log: Any = SimpleNamespace()
    patience = running._Patience(log, vitals, stop)
    patience.rest(0.0)
    stop.set()
    with pytest.raises(Stopped):
        patience.rest(3600.0)
    assert len(repeated) == 2


@pytest.mark.parametrize("late", ["connect", "join", "look"])
def test_a_node_waits_for_a_chain_that_goes_away_at_any_step_of_its_start(
    late: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: Any = SimpleNamespace(
        path=tmp_path / "node.toml",
        deployment=None, keystore=None, name="n", role="worker", state=tmp_path, store=str(tmp_path), cache=None,
        participant=None,
        http=SimpleNamespace(port=0), chain=SimpleNamespace(depth=lambda _: 1),
    )  # fmt: skip
    asked: list[str] = []
    chain = SimpleNamespace(is_development=True, remember=lambda _: None)
    steps = {"connect": nullcontext(chain), "join": (None, None)}

    def step(name: str) -> Any:
        def act(*_: object, **__: object) -> Any:
            asked.append(name)
            if name == late and asked.count(name) == 1:
                raise UnreachableError("no answer")
            if name == "look":
                raise Enough
            return steps[name]

        return act

    monkeypatch.setattr(running.DeploymentFile, "read", lambda _: None)
    keys = SimpleNamespace(account=SimpleNamespace(address="0x1"))
    monkeypatch.setattr(running, "unlock", lambda *_: keys)
    monkeypatch.setattr(running, "held", lambda _: nullcontext())
    bound: list[str] = []
    monkeypatch.setattr(running, "bind", lambda _, account, __: bound.append(account))
    for name in ("connect", "join", "look"):
        monkeypatch.setattr(running, name, step(name))
    log: Any = SimpleNamespace(warning=lambda *_, **__: None, info=lambda *_, **__: None)
    with pytest.raises(Enough):
        running._run(config, Secret(b"open sesame"), log, Impatient())
    assert asked.count(late) == 2
    assert bound == ["0x1"]


def test_a_state_is_of_the_first_account_and_federation_that_used_it(tmp_path: Path) -> None:
    one, other = (cast(Any, SimpleNamespace(contracts={"Federation": ("0x5", made)})) for made in ("0xa", "0xb"))
    with StateFile(tmp_path / "state", "worker") as state:
        running.bind(state, "0x1", one)
        running.bind(state, "0x1", one)
        with pytest.raises(StateError, match="is the state of 0x1, and the keys are of 0x2"):
            running.bind(state, "0x2", one)
        with pytest.raises(StateError, match="by transaction 0xa, not by 0xb"):
            running.bind(state, "0x1", other)
