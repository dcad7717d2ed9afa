"""`fedproof node`: long-lived nodes. Their configuration so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


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
