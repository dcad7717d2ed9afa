"""A process behind a cable that can be pulled."""

from __future__ import annotations

import subprocess
import sys

from tests.support.flaky import FlakyNode
from tests.support.netns import NetworkNamespace, need_namespaces
from tests.support.proxy import FaultProxy

ASKING = """
import sys
from fedproof.ledger.http import HttpRpc, UnreachableError
rpc = HttpRpc(sys.argv[1], timeout=1.0, retries=0)
for line in sys.stdin:
    try:
        print(rpc.request("eth_blockNumber"), flush=True)
    except UnreachableError as error:
        print("unreachable", flush=True)
"""


def test_a_pulled_cable_is_silence_and_a_plugged_one_works_again() -> None:
    need_namespaces()
    with FlakyNode() as node, FaultProxy(node.url, host="0.0.0.0") as proxy, NetworkNamespace() as namespace:
        url = proxy.url_at(namespace.host_address)
        client = namespace.popen(
            [sys.executable, "-c", ASKING, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert client.stdin is not None
        assert client.stdout is not None
        said = []
        for connected in (True, False, True, False, True):
            namespace.connect() if connected else namespace.disconnect()
            client.stdin.write("\n")
            client.stdin.flush()
            said.append(client.stdout.readline().strip())
        assert said == ["0x0", "unreachable", "0x0", "unreachable", "0x0"]
        client.stdin.close()
        assert client.wait(20) == 0
        client.stdout.close()


def test_there_is_no_other_way_out_and_nothing_is_left() -> None:
    need_namespaces()
    with NetworkNamespace() as namespace:
        routes = subprocess.run(
            namespace.command("ip", "route"), capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(routes) == 1
        assert "default" not in routes[0]
        sleeper = namespace.popen(["sleep", "60"])
        assert sleeper.poll() is None
    assert sleeper.wait(10) != 0
    assert namespace.name not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
