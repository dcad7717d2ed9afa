"""A block that the sender of a transaction has seen: on another branch of the chain its transaction reverts.

A signed transaction can be mined on any branch, by anyone who kept it. Where that could cost a bond, the contracts take
an anchor (`contracts/federation/Anchor.sol`): bits 0-31 the number of a block, 96-255 the first 20 bytes of its hash.
"""

from typing import Final

from fedproof.errors import InputError

NO_ANCHOR: Final = 0
"""Names no block: the transaction is good on every branch."""
ANCHOR_BLOCKS: Final = 256
"""A chain remembers the hashes of so many blocks; an older anchor is refused."""


def anchor(number: int, block_hash: bytes) -> int:
    """The word that names a block.

    Raises:
        InputError: no number of 32 bits, or no hash of 32 bytes.
    """
    if not 0 <= number < 1 << 32 or len(block_hash) != 32:
        raise InputError("an anchor is a block number of 32 bits with its hash of 32 bytes")
    return int.from_bytes(block_hash[:20]) << 96 | number
