"""The wire form of an escrow: which committee holds shares of which tier's key, and where (protocol, section 6).

    version (1) || t (2) || M (2) || number of tiers (1)
        || for each member: address (20) || length of its key (2) || HPKE public key
        || for each tier, in rising order:
               tier (1) || C (64) || Com(R_1) .. Com(R_t) (64 each) || M content ids (32 each)

Numbers are big-endian. The place of a member in the list, from 1, is the x of its shares. A content id names a share,
sealed with HPKE to its member. Every sealed share says in `info` what it belongs to, at a fixed width:

    label || chain id (32) || registry (20) || dataset (32) || version (2) || tier (1)
        || digest of C and the Com(R_k) (32) || member's index (2) || member's address (20)

and, when a member passes it on to a grantee, under another label, the grantee's address (20) behind it. So who copies a
sealed share into an escrow of its own dataset, version or tier, or moves it to another place, has a blob that no worker
opens; and a released share is of use to nobody but its grantee.
"""

import hashlib
from dataclasses import dataclass
from typing import Final, Self

from fedproof import _core
from fedproof.errors import SealingError
from fedproof.sealing.hpke import suite_of_public_key
from fedproof.sealing.tiers import check_tier

VERSION: Final = 1
MAX_MEMBERS: Final = 256
MAX_ESCROW_BYTES: Final = 1 << 20
"""No escrow is longer."""
_SHARE_LABEL: Final = b"fedproof/escrow-share/v1"
_RELEASE_LABEL: Final = b"fedproof/escrow-release/v1"
_ADDRESS, _POINT, _ID = 20, 64, 32


@dataclass(frozen=True)
class Member:
    """A worker that holds shares: its address on chain (20 bytes), and the HPKE key that they are sealed to."""

    address: bytes
    hpke_key: bytes

    def __post_init__(self) -> None:
        if len(self.address) != _ADDRESS:
            raise SealingError(f"a member's address has {_ADDRESS} bytes, not {len(self.address)}")
        suite_of_public_key(self.hpke_key)


@dataclass(frozen=True)
class SharedTier:
    """A tier whose key is shared: the commitments, and the content id of each member's sealed share (32 bytes)."""

    tier: int
    commitment: bytes
    commitments_r: tuple[bytes, ...]
    shares: tuple[bytes, ...]

    def __post_init__(self) -> None:
        check_tier(self.tier)
        if any(len(each) != _ID for each in self.shares):
            raise SealingError(f"a content id has {_ID} bytes")
        try:
            for point in (self.commitment, *self.commitments_r):
                _core.g1_check(point)
        except ValueError:
            raise SealingError("a commitment of the escrow is no point of the curve") from None

    def digest(self) -> bytes:
        """What a sealed share says of the commitments that it opens."""
        return hashlib.sha256(self.commitment + b"".join(self.commitments_r)).digest()


@dataclass(frozen=True)
class EscrowContext:
    """Whose keys they are: chain, registry (20 bytes), dataset and version."""

    chain_id: int
    registry: bytes
    dataset: int
    version: int

    def share_info(self, shared: SharedTier, index: int, member: Member) -> bytes:
        """The HPKE context of a share that the provider seals to a member."""
        return _SHARE_LABEL + self._where(shared, index, member)

    def release_info(self, shared: SharedTier, index: int, member: Member, grantee: bytes) -> bytes:
        """The HPKE context of a share that a member seals to a grantee."""
        if len(grantee) != _ADDRESS:
            raise SealingError(f"a grantee's address has {_ADDRESS} bytes, not {len(grantee)}")
        return _RELEASE_LABEL + self._where(shared, index, member) + grantee

    def _where(self, shared: SharedTier, index: int, member: Member) -> bytes:
        try:
            head = self.chain_id.to_bytes(32, "big") + self.registry + self.dataset.to_bytes(32, "big")
            tail = self.version.to_bytes(2, "big") + bytes((shared.tier,)) + shared.digest() + index.to_bytes(2, "big")
        except OverflowError:
            raise SealingError("chain id, dataset, version or index of an escrow is out of its range") from None
        if len(self.registry) != _ADDRESS:
            raise SealingError(f"a registry's address has {_ADDRESS} bytes, not {len(self.registry)}")
        return head + tail + member.address


@dataclass(frozen=True)
class Escrow:
    """The keys of one version of a dataset with a committee of which at most `threshold` may collude."""

    threshold: int
    members: tuple[Member, ...]
    tiers: tuple[SharedTier, ...]

    def __post_init__(self) -> None:
        count = len(self.members)
        if self.threshold < 1 or not 2 * self.threshold + 1 <= count <= MAX_MEMBERS:
            raise SealingError(
                f"a threshold of {self.threshold} needs 3 to {MAX_MEMBERS} members, at least twice as many and one; "
                f"there are {count}"
            )
        for what in ("address", "hpke_key"):
            if len({getattr(member, what) for member in self.members}) != count:
                raise SealingError("a member is in the committee twice: it would hold two shares of a key")
        if not self.tiers or [each.tier for each in self.tiers] != sorted({each.tier for each in self.tiers}):
            raise SealingError("an escrow holds at least one tier, each once and in rising order")
        for each in self.tiers:
            if len(each.commitments_r) != self.threshold or len(each.shares) != count:
                raise SealingError(f"tier {each.tier} of the escrow has not one commitment for each power and share")

    def tier(self, tier: int) -> SharedTier | None:
        """A tier, if its key is in here."""
        return next((each for each in self.tiers if each.tier == tier), None)

    def place_of(self, address: bytes) -> int | None:
        """A member's index, from 1."""
        return next((k for k, member in enumerate(self.members, 1) if member.address == address), None)

    def encode(self) -> bytes:
        """The wire form on top of this module."""
        head = bytes((VERSION,)) + self.threshold.to_bytes(2, "big") + len(self.members).to_bytes(2, "big")
        members = b"".join(m.address + len(m.hpke_key).to_bytes(2, "big") + m.hpke_key for m in self.members)
        tiers = b"".join(
            bytes((each.tier,)) + each.commitment + b"".join(each.commitments_r) + b"".join(each.shares)
            for each in self.tiers
        )
        return head + bytes((len(self.tiers),)) + members + tiers

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the wire form; SealingError for anything else, a byte too many included."""
        reader = _Reader(data)
        if reader.number(1) != VERSION:
            raise SealingError(f"this is no escrow of version {VERSION}")
        threshold, count, tiers = reader.number(2), reader.number(2), reader.number(1)
        if threshold > MAX_MEMBERS or count > MAX_MEMBERS:
            raise SealingError(f"an escrow has at most {MAX_MEMBERS} members")
        members = tuple(Member(reader.take(_ADDRESS), reader.take(reader.number(2))) for _ in range(count))
        found = tuple(
            SharedTier(
                reader.number(1),
                reader.take(_POINT),
                tuple(reader.take(_POINT) for _ in range(threshold)),
                tuple(reader.take(_ID) for _ in range(count)),
            )
            for _ in range(tiers)
        )
        if reader.left():
            raise SealingError("there are bytes behind the escrow")
        return cls(threshold, members, found)


class _Reader:
    """Takes bytes from the front; SealingError at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._data):
            raise SealingError("the escrow is cut off")
        return self._data[self._at - count : self._at]

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def left(self) -> int:
        return len(self._data) - self._at
