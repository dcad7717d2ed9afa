"""`fedproof node`: long-lived nodes, their configuration, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import json_option, progress, quiet_option, show


@click.group()
def node() -> None:
    """A provider, participant or worker that runs by itself."""


@node.command()
@click.argument("role", type=click.Choice(["provider", "participant", "worker"]))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The new file, such as node.toml.")
def init(role: Any, out: Path) -> None:
    """Write a commented configuration for ROLE."""
    from fedproof.app.nodetemplate import write_template

    write_template(role, out)
    click.echo(f"wrote {out}")


@node.command()
@click.option(
    "--config",
    default="node.toml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The node's configuration.",
)
@click.option("--fetch", is_flag=True, help="Fetch proving keys that are missing.")
@json_option
@quiet_option
def check(config: Path, fetch: bool, as_json: bool, quiet: bool) -> None:
    """Tell what is wrong before a node is started: ok, warn or FAIL, a line for each thing.

    The exit code is that of the first failure.
    """
    from fedproof.app.nodecheck import check_node
    from fedproof.cli.keys import ask_passphrase

    with progress(quiet) as terminal:
        found = check_node(config, fetch=fetch, ask=ask_passphrase(), notice=terminal.doing)
    document = {
        "config": str(config),
        "ok": not found.exit_code,
        "checks": [each.to_json() for each in found.checks],
    }
    show(as_json, document, [f"{each.status:5} {each.name}: {each.text}" for each in found.checks])
    sys.exit(found.exit_code)


def _runs(role: str) -> click.Command:
    @click.command(role)
    @click.option(
        "--config",
        default="node.toml",
        show_default=True,
        type=click.Path(path_type=Path),
        help="Its configuration; fedproof node init writes one.",
    )
    def command(config: Path) -> None:
        with _ends_at_once():
            from fedproof.app.nodefile import read_config
            from fedproof.app.passphrase import read_passphrase
            from fedproof.app.running import run_node
            from fedproof.errors import InputError

            found = read_config(config)
            if found.role != role:
                raise InputError(f"{config} is of a {found.role}: run fedproof node {found.role}, or name another file")
            run_node(found, read_passphrase(found.passphrase_file, _ask))

    command.help = f"Run a {role} until SIGTERM or Ctrl-C. What it does is on standard error, a line for each event."
    return command


@contextlib.contextmanager
def _ends_at_once() -> Iterator[None]:
    """SIGTERM is a clean end before the node runs, too: its libraries take a second, and nothing is held so early."""
    before = signal.signal(signal.SIGTERM, lambda _, __: os._exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ask() -> str:
    if not sys.stdin.isatty():
        raise click.ClickException("no passphrase: set keys.passphrase_file or $FEDPROOF_PASSPHRASE")
    return str(click.prompt("Passphrase", hide_input=True, err=True))


for _role in ("provider", "participant", "worker"):
    node.add_command(_runs(_role))
