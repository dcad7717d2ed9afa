"""The keys of a dataset on their way to its new owner: sealed to it alone, for one dataset of one registry.

    version (1) || for each version of the dataset, in rising order: number (2) || top tier key (32)

Sealed with HPKE under an `info` of a fixed width:

    "fedproof/hand-over/v1" || chain id (32) || registry (20) || dataset (32) || new owner's address (20)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fedproof.errors import SealingError
from fedproof.sealing.escrow import Member
from fedproof.sealing.hpke import KeyPair, open_sealed, seal
from fedproof.sealing.tiers import KEY_BYTES, TOP_TIER, TierKey

VERSION: Final = 1
MAX_VERSIONS: Final = (1 << 16) - 1
MAX_BYTES: Final = 4096 + MAX_VERSIONS * (2 + KEY_BYTES)
"""No sealed hand-over is longer."""
_LABEL: Final = b"fedproof/hand-over/v1"
_ADDRESS: Final = 20
_ENTRY: Final = 2 + KEY_BYTES


@dataclass(frozen=True)
class HandoverContext:
    """Of which dataset the keys are: chain, registry (20 bytes), token id."""

    chain_id: int
    registry: bytes
    dataset: int

    def info(self, receiver: bytes) -> bytes:
        """The HPKE context, as on top of this module; SealingError for what has no such place in it."""
        try:
            words = self.chain_id.to_bytes(32, "big") + self.registry + self.dataset.to_bytes(32, "big")
        except OverflowError:
            raise SealingError("chain id or dataset of a hand-over is out of its range") from None
        for what, address in (("a registry", self.registry), ("a receiver", receiver)):
            if len(address) != _ADDRESS:
                raise SealingError(f"{what}'s address has {_ADDRESS} bytes, not {len(address)}")
        return _LABEL + words + receiver


def seal_handover(receiver: Member, keys: Mapping[int, TierKey], context: HandoverContext) -> bytes:
    """Seal the top tier keys of a dataset's versions to its new owner.

    Raises:
        SealingError: there is no key, or one that is not of the top tier; or the context is none.
    """
    if not keys or any(key.tier != TOP_TIER or not 0 < version <= MAX_VERSIONS for version, key in keys.items()):
        raise SealingError(f"a hand-over takes the keys of tier {TOP_TIER} of one version at least")
    body = b"".join(version.to_bytes(2, "big") + key.encode()[2:] for version, key in sorted(keys.items()))
    return seal(receiver.hpke_key, bytes((VERSION,)) + body, context.info(receiver.address))


def open_handover(private: KeyPair, receiver: bytes, sealed: bytes, context: HandoverContext) -> dict[int, TierKey]:
    """Open a hand-over; SealingError when it is for somebody else, of another dataset, or damaged."""
    plain = open_sealed(private, sealed, context.info(receiver))
    body = plain[1:]
    if plain[:1] != bytes((VERSION,)) or not body or len(body) % _ENTRY:
        raise SealingError(f"this is no hand-over of version {VERSION}")
    entries = [body[k : k + _ENTRY] for k in range(0, len(body), _ENTRY)]
    numbers = [int.from_bytes(entry[:2], "big") for entry in entries]
    if numbers != sorted(set(numbers)) or numbers[0] == 0:
        raise SealingError("the versions of a hand-over do not rise")
    return {number: TierKey(TOP_TIER, entry[2:]) for number, entry in zip(numbers, entries, strict=True)}
