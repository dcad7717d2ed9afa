"""The `node.toml` of a node of a local network: what differs from the defaults, and the paths inside the folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fedproof.app.amounts import show_tokens
from fedproof.app.demo import BOND
from fedproof.app.network import DEPLOYMENT, NodeEntry
from fedproof.app.nodefile import read_config

TASKS: Final = 20
"""That the sponsor of a network can open and pay, and bonds that a node of it can place."""


def write_config(folder: Path, node: NodeEntry, rpc: str, min_updates: int, datasets: Iterable[int] = ()) -> None:
    """Write `node.toml` into a node's folder.

    Args:
        rpc: URL of the chain.
        min_updates: the fewest that a participant takes part in.
        datasets: of a provider, the folders below `datasets/`.
    """
    path = folder / "node.toml"
    path.write_text(_text(node, rpc, min_updates, datasets))
    read_config(path)  # what a node would refuse is never left for it


def _text(node: NodeEntry, rpc: str, min_updates: int, datasets: Iterable[int]) -> str:
    tasks = list(range(1, TASKS + 1))
    bond = f'max_bond = "{show_tokens(BOND)}"\n'
    section = {
        "participant": f'access = "access"\ntasks = {tasks}\nmin_updates = {min_updates}\n{bond}',
        "provider": f"datasets = [{', '.join(chr(34) + f'datasets/{each}' + chr(34) for each in datasets)}]\n",
        "worker": f"lead = true\n{bond}",
    }[node.role]
    return f"""\
role = "{node.role}"
name = "{node.name}"
deployment = "../../{DEPLOYMENT}"

[chain]
rpc = "{rpc}"
confirmations = 0                     # a chain of one machine exchanges no blocks
poll_seconds = 1.0
clock_tolerance = 3600                # it stands still while the network is stopped

[keys]
folder = "keys"
passphrase_file = "passphrase"

[state]
folder = "state"
cache = "../../cache"                 # one for all nodes of this machine
min_free_mib = 64

[http]
port = {node.port}

[{node.role}]
{section}"""
