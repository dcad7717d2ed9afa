"""`fedproof keys`: a node's own keys, encrypted at rest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import F, home_option, json_option, opened, show

_folder = click.argument("folder", type=click.Path(path_type=Path))
_passphrase_option = click.option(
    "--passphrase-file",
    default=None,
    type=click.Path(path_type=Path),
    help="File of mode 0600 with the passphrase.  [default: $FEDPROOF_PASSPHRASE, or a prompt]",
)
_suite_option = click.option(
    "--suite",
    default="x25519",
    show_default=True,
    type=click.Choice(["x25519", "mlkem768x25519"]),
    help="Kind of the HPKE key; the second one holds against quantum computers, too.",
)


def _making(command: F) -> F:
    return _folder(_suite_option(_passphrase_option(json_option(command))))


@click.group()
def keys() -> None:
    """Keys of a node: one signs its transactions, one opens what is sealed to it."""


@keys.command()
@_making
def new(folder: Path, suite: Any, passphrase_file: Path | None, as_json: bool) -> None:
    """Make fresh keys in FOLDER, which must not exist."""
    from fedproof.app.keystore import create

    _show(folder, create(folder, _new_passphrase(passphrase_file), suite=suite), as_json)


@keys.command("import")
@_making
@click.option(
    "--key-file",
    default=None,
    type=click.Path(path_type=Path),
    help="File of mode 0600 with a chain key: 64 hexadecimal digits, or a keystore with the same passphrase.",
)
@click.option("--as", "name", default=None, help="In place of a file: an identity of a marketplace home.")
@home_option
def import_key(
    folder: Path,
    suite: Any,
    passphrase_file: Path | None,
    as_json: bool,
    key_file: Path | None,
    name: str | None,
    home_folder: Path | None,
) -> None:
    """Keep a chain key that exists already in FOLDER, with a fresh HPKE key."""
    from fedproof.app.identities import known_account
    from fedproof.app.keystore import create, read_chain_key
    from fedproof.app.secret import Secret

    if (key_file is None) == (name is None):
        raise click.UsageError("give --key-file FILE, or --as NAME (with --home)")
    passphrase = _new_passphrase(passphrase_file)
    if key_file is not None:
        key = read_chain_key(key_file, passphrase)
    else:
        with opened(home_folder, quiet=True) as (home, _):
            key = Secret(known_account(home, str(name)).private_key())
    _show(folder, create(folder, passphrase, suite=suite, key=key), as_json)


@keys.command("show")
@_folder
@click.option("--check", is_flag=True, help="Open the keys, too, and see that they are those of the public part.")
@_passphrase_option
@json_option
def show_keys(folder: Path, check: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Show address and HPKE public key."""
    from fedproof.app import keystore

    public = keystore.show(folder)
    if check:
        from fedproof.app.passphrase import read_passphrase

        keystore.unlock(folder, read_passphrase(passphrase_file, ask_passphrase()))
    _show(folder, public, as_json)


def ask_passphrase(confirm: bool = False) -> Any:
    """A prompt, or None where nobody sits at the terminal."""
    if not sys.stdin.isatty():
        return None

    def ask() -> str:
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))

    return ask


def _new_passphrase(file: Path | None) -> Any:
    from fedproof.app.passphrase import read_passphrase

    return read_passphrase(file, ask_passphrase(confirm=True))


def _show(folder: Path, public: Any, as_json: bool) -> None:
    document = {"folder": str(folder)} | public.to_json()
    show(as_json, document, [f"{name.replace('_', ' ')}: {value}" for name, value in document.items()])
