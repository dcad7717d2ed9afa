"""What the commands of a federation on a network share: where it is, and whose keys sign."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import F, json_option, progress, quiet_option
from fedproof.cli.keys import ask_passphrase
from fedproof.cli.terminal import Terminal

DEFAULT_RPC = "http://127.0.0.1:8545"

_deployment_option = click.option(
    "--deployment",
    required=True,
    envvar="FEDPROOF_DEPLOYMENT",
    type=click.Path(path_type=Path),
    help="The federation's public deployment file.  [default: $FEDPROOF_DEPLOYMENT]",
)
_rpc_option = click.option(
    "--rpc",
    default=DEFAULT_RPC,
    envvar="FEDPROOF_RPC",
    help=f"A node of the chain.  [default: $FEDPROOF_RPC or {DEFAULT_RPC}]",
)
_store_option = click.option(
    "--store", default=None, help="Folder or URL of the blobs.  [default: as in the deployment file]"
)
_cache_option = click.option(
    "--cache",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for keys that were fetched.  [default: $FEDPROOF_CACHE or ~/.cache/fedproof]",
)
_keys_option = click.option(
    "--keys", "keys_folder", required=True, type=click.Path(path_type=Path), help="Keys made by: fedproof keys new."
)
_passphrase_option = click.option(
    "--passphrase-file",
    default=None,
    type=click.Path(path_type=Path),
    help="File of mode 0600 with the passphrase.  [default: $FEDPROOF_PASSPHRASE, or a prompt]",
)
_state_option = click.option(
    "--state",
    "state_folder",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that remembers what was sent; keep it.  [default: KEYS-state beside the keys]",
)
_confirmations_option = click.option(
    "--confirmations",
    default=None,
    type=click.IntRange(0, 10_000),
    help="Blocks after which a transaction counts.  [default: 2, on a development chain 0]",
)


def network_options(command: F) -> F:
    """`--deployment`, `--rpc`, `--store`, `--cache`, `--json` and `--quiet`; all but the last two come as `where`."""
    return _deployment_option(_rpc_option(_store_option(_cache_option(json_option(quiet_option(command))))))


def signing_options(command: F) -> F:
    """`--keys`, `--passphrase-file`, `--state` and `--confirmations`; they come as `where`, too."""
    return _keys_option(_passphrase_option(_state_option(_confirmations_option(command))))


@contextlib.contextmanager
def opened_network(quiet: bool, where: dict[str, Any]) -> Iterator[tuple[Any, Terminal]]:
    """The network of the options, and the progress that belongs to it."""
    from fedproof.app.connection import open_connection
    from fedproof.app.keyring import default_cache

    with (
        progress(quiet) as terminal,
        open_connection(
            where["deployment"],
            where["rpc"],
            store=where["store"],
            cache=where["cache"] or default_cache(),
            confirmations=where.get("confirmations"),
            teller=terminal,
        ) as network,
    ):
        yield network, terminal


@contextlib.contextmanager
def signer(where: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The account of the options' keys, and its saved state."""
    from fedproof.app.keystore import show, unlock
    from fedproof.app.passphrase import read_passphrase
    from fedproof.app.taskopen import open_state

    folder: Path = where["keys_folder"]
    show(folder)  # before anybody is asked for a passphrase
    account = unlock(folder, read_passphrase(where["passphrase_file"], ask_passphrase())).account
    state_folder = where["state_folder"] or folder.absolute().with_name(folder.absolute().name + "-state")
    with open_state(state_folder) as state:
        yield account, state
