"""One prepared network for all tests here; each test opens a task of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.app.network import open_network
from fedproof.app.network_prepare import NetworkOptions, prepare
from fedproof.app.telling import Silent
from tests.app.runs import shared_folder
from tests.network.crew import Crew
from tests.support.anvil import AnvilProcess, anvil_binary
from tests.support.proxy import FaultProxy


@pytest.fixture(scope="session")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("network") / "net"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDPROOF_CACHE", str(shared_folder(tmp_path_factory) / "net-keys"))
        options = NetworkOptions(folder, data="wine", positive="class_1", rounds=1, anvil=anvil_binary())
        prepare(options, Silent())
    network = open_network(folder)
    for path in folder.glob("nodes/*/node.toml"):
        # a block below the head, so that what they send names the branch that they have seen
        quick = re.sub("poll_seconds = .*", "poll_seconds = 0.3", path.read_text())
        path.write_text(re.sub("confirmations = .*", "confirmations = 1", quick))
    scratch = tmp_path_factory.mktemp("logs")
    anvil = AnvilProcess(host="0.0.0.0", block_time=0.5, state=Path(folder / "chain" / "state.json"))
    anvil.port = network.port
    with anvil, FaultProxy(anvil.url) as proxy:
        made = Crew(network, anvil, proxy, scratch)
        yield made
        made.close()
