"""From a configuration to a role: every limit arrives in it, and what is missing is said before the start."""

from __future__ import annotations

import os
import threading
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.app.connection import Connection
from fedproof.app.nodefile import read_config
from fedproof.app.presence import announced
from fedproof.app.running import Parts, connect, make_role, open_store, take_state
from fedproof.errors import StateError, StorageError
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.roles.participant import Limits, ParticipantRole
from fedproof.nodes.roles.worker import WorkerLimits, WorkerRole
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair
from fedproof.storage import BlobStore
from tests.app.test_nodeconfig import LEAST, SOMEBODY, WORKERS, key_file
from tests.nodes.cast import Notes
from tests.support.flaky import FlakyNode


def parts(folder: Path, text: str) -> Parts:
    """What a role is made of, over a chain that nobody asks."""
    (folder / "node.toml").write_text(text)
    nothing: Any = None
    return Parts(
        config=read_config(folder / "node.toml"),
        deployment=nothing,
        federation=nothing,
        seen=nothing,
        market=SimpleNamespace(),  # type: ignore[arg-type]
        keys=SimpleNamespace(account=SimpleNamespace(address=SOMEBODY), hpke=KeyPair.generate()),  # type: ignore[arg-type]
        state=nothing,
        acts=Acts(Notes(), threading.Event()),
        slot=6,
        depth=2,
    )


def test_a_participant_has_every_limit_of_its_configuration(tmp_path: Path) -> None:
    key = KeyPair.generate().public
    key_file(tmp_path / "w", WORKERS[1], key)
    with StateFile(tmp_path / "access", "participant") as access:
        access.put(other=1)
    text = (
        LEAST.replace('"worker"', '"participant"')
        + f"""[participant]
        datasets = [1, 2]
        tasks = [3]
        max_rounds = 7
        min_committee = 5
        min_updates = 6
        max_bond = "0.000000000000000009"
        workers = ["w"]
        sponsors = ["{SOMEBODY}"]
        min_threshold = 2
        """
    )
    role = make_role(parts(tmp_path, text))
    assert isinstance(role, ParticipantRole)
    expected = Limits(
        datasets=frozenset({1, 2}),
        tasks=frozenset({3}),
        max_rounds=7,
        min_committee=5,
        min_updates=6,
        max_bond=9,
        workers=frozenset({(WORKERS[1], key)}),
        sponsors=frozenset({SOMEBODY}),
        min_threshold=2,
        depth=2,
    )
    assert role._limits == expected
    assert all(getattr(expected, each.name) != each.default for each in fields(Limits))


def test_a_worker_has_every_limit_of_its_configuration(tmp_path: Path) -> None:
    text = LEAST + f'[worker]\nmax_bond = "0.000000000000000009"\nsponsors = ["{SOMEBODY}"]'
    role = make_role(parts(tmp_path, text))
    assert isinstance(role, WorkerRole)
    expected = WorkerLimits(max_bond=9, sponsors=frozenset({SOMEBODY}), depth=2)
    assert role._limits == expected
    assert all(getattr(expected, each.name) != each.default for each in fields(WorkerLimits))


def test_a_state_that_a_node_holds_is_refused_with_its_process(tmp_path: Path) -> None:
    config = parts(tmp_path, LEAST).config
    with take_state(config), announced(config.state, config.path):
        words = rf"in use by another process, the node of {config.path} \(pid {os.getpid()}\): stop it first"
        with pytest.raises(StateError, match=words):
            take_state(config)
    with StateFile(config.state, config.role), pytest.raises(StateError, match="in use by another process"):
        take_state(config)


def test_access_that_holds_no_state_is_said_before_the_start(tmp_path: Path) -> None:
    """A state that is made there would hold no grant, and the node would wait for ever."""
    made = parts(tmp_path, LEAST.replace('"worker"', '"participant"') + '[participant]\naccess = "nowhere"')
    with pytest.raises(
        StateError, match=r"participant\.access .*nowhere holds no saved state: name the folder"
    ) as said:
        make_role(made)
    assert "\n" not in str(said.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    """As when a share is not mounted: an empty folder in its place has no blob that anybody asks for."""
    missing = tmp_path / "share"
    document: Any = SimpleNamespace(store=str(missing))
    nothing: Any = None
    network = Connection(document, nothing, nothing, nothing)
    for advice in ("store.url", "--store"):
        with pytest.raises(StorageError, match=f"the store {missing} is not there: .*{advice}") as said:
            _ = open_store(str(missing)) if advice == "store.url" else network.store
        assert "\n" not in str(said.value)
        assert not missing.exists()
    missing.mkdir()
    for store in (open_store(str(missing)), network.store, open_store("memory://running")):
        assert isinstance(store, BlobStore)


def test_a_node_gives_a_transaction_up_at_its_own_depth() -> None:
    with FlakyNode() as node:
        chain = SimpleNamespace(rpc=node.url, confirmations=7, timeout=5.0, retries=0, poll_seconds=0.1)
        config: Any = SimpleNamespace(chain=chain)
        document: Any = SimpleNamespace(chain_id=31_337)
        with connect(config, document, lambda _: None) as connected:
            assert connected._policy.rival_confirmations == 7
            assert connected._policy.confirmations == 0  # it acts at the head
