"""A whole chain inside the process: py-evm with the pairing precompiles of the Rust core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedproof.ledger.embedded.genesis import Genesis

if TYPE_CHECKING:
    from fedproof.ledger.embedded.node import EmbeddedNode

__all__ = ["EmbeddedNode", "Genesis"]


def __getattr__(name: str) -> Any:
    """The node on its first use: py-evm takes a quarter of a second to load, and who asks another chain needs none."""
    if name != "EmbeddedNode":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fedproof.ledger.embedded.node import EmbeddedNode

    return EmbeddedNode
