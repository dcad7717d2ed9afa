"""Places between two acts at which a node may be stopped. Tests stop it there; in a release nothing happens."""

from __future__ import annotations

from collections.abc import Callable

hook: Callable[[str], None] | None = None


def checkpoint(name: str) -> None:
    """The node has done one thing and not yet the next."""
    if hook is not None:
        hook(name)
