"""A whole chain inside the process: py-evm with the pairing precompiles of the Rust core."""

from fedproof.ledger.embedded.genesis import Genesis
from fedproof.ledger.embedded.node import EmbeddedNode

__all__ = ["EmbeddedNode", "Genesis"]
