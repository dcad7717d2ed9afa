"""Note addresses, and the memo of a spend: what each owner of a new note must know, sealed to it (protocol, section 5).

A note address is what a payee hands to a payer: the owner of its notes and the HPKE key that memos are sealed to. Its
text form is `fpnote1` and the base32 letters, in lower case, of

    version (1) || owner (32) || HPKE public key (32 or 1216) || checksum (4)

The checksum is the head of SHA-256 over the label below and what stands before it: a typing error is found out before
anybody pays to it.

A memo holds one sealed message for each of the two new notes, in the order of their leaves:

    version (1) || length of the first (2) || first || second

Each is sealed with HPKE to the owner of its leaf, over

    amount (16) || unlock epoch (4) || nonce (32)

with `info` = label || chain id (32) || vault (20) || leaf (32), so that it opens for this very note alone. Both are
always there: an empty note and the maker's own change look like a payment. What shows is the length, and so the suites
of the two keys.

A message that opens is still no proof: whoever made the note may have sealed anything. The owner computes the leaf from
what it reads and compares. The nonce must be told, and stays between the two: it is what keeps others from finding out
by trial whose leaf it is.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fedproof._core import MODULUS
from fedproof.errors import InputError, SealingError
from fedproof.sealing.hpke import KeyPair, Suite, check_public_key, open_sealed, seal, sealed_length

VERSION: Final = 1
PREFIX: Final = "fpnote1"
_ADDRESS_LABEL: Final = b"fedproof/note-address/v1"
_MEMO_LABEL: Final = b"fedproof/note-memo/v1"
_CHECKSUM_BYTES: Final = 4
_MESSAGE_BYTES: Final = 16 + 4 + 32


@dataclass(frozen=True)
class NoteAddress:
    """Where notes can be sent: an owner, a field element, and the HPKE public key that memos are sealed to."""

    owner: int
    hpke_public: bytes

    def __post_init__(self) -> None:
        if not 0 < self.owner < MODULUS:
            raise InputError("the owner of a note address must lie in [1, r)")
        try:
            check_public_key(self.hpke_public)
        except SealingError as error:
            raise InputError(f"the key of a note address is not usable: {error}") from None

    def __str__(self) -> str:
        """The text form."""
        payload = bytes((VERSION,)) + self.owner.to_bytes(32, "big") + self.hpke_public
        return PREFIX + base64.b32encode(payload + _checksum(payload)).decode().rstrip("=").lower()

    def __repr__(self) -> str:
        text = str(self)
        return f"NoteAddress({text[:16]}..{text[-8:]})"

    @classmethod
    def parse(cls, text: str) -> "NoteAddress":
        """Read the text form.

        Raises:
            InputError: it is not one, or a letter is wrong.
        """
        text = text.strip()
        if not text.startswith(PREFIX):
            raise InputError(f"a note address starts with {PREFIX}: ask the payee for it again")
        letters = text.removeprefix(PREFIX).upper()
        try:
            data = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            data = b""
        payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if not payload or checksum != _checksum(payload):
            raise InputError("the note address is mistyped or cut off: its checksum does not fit; copy it again")
        if payload[0] != VERSION:
            raise InputError(f"the note address has version {payload[0]}; this program reads version {VERSION}")
        found = cls(int.from_bytes(payload[1:33], "big"), payload[33:])
        if str(found) != text:
            raise InputError("the note address has another spelling than its own; copy it again")
        return found


@dataclass(frozen=True)
class NoteMessage:
    """What the owner of a new note must know of it."""

    amount: int = field(repr=False)
    unlock_epoch: int
    nonce: int = field(repr=False)

    def encode(self) -> bytes:
        """The bytes that are sealed."""
        try:
            return (
                self.amount.to_bytes(16, "big") + self.unlock_epoch.to_bytes(4, "big") + self.nonce.to_bytes(32, "big")
            )
        except OverflowError:
            raise SealingError("amount, unlock epoch or nonce of a note is out of its range") from None

    @classmethod
    def decode(cls, data: bytes) -> "NoteMessage":
        """Read what was sealed; SealingError when it is anything else."""
        nonce = int.from_bytes(data[20:], "big")
        if len(data) != _MESSAGE_BYTES or nonce >= MODULUS:
            raise SealingError("the memo opens, but does not hold a note")
        return cls(int.from_bytes(data[:16], "big"), int.from_bytes(data[16:20], "big"), nonce)


@dataclass(frozen=True)
class MemoContext:
    """Where a memo stands: the chain, and the vault's address (20 bytes)."""

    chain_id: int
    vault: bytes

    def info(self, leaf: int) -> bytes:
        """The HPKE context of the message for one leaf."""
        if len(self.vault) != 20 or not 0 <= self.chain_id < 1 << 256 or not 0 <= leaf < MODULUS:
            raise SealingError("a memo needs a chain id, the vault's address of 20 bytes, and a leaf in [0, r)")
        return _MEMO_LABEL + self.chain_id.to_bytes(32, "big") + self.vault + leaf.to_bytes(32, "big")


def seal_memo(context: MemoContext, notes: Sequence[tuple[bytes, int, NoteMessage]]) -> bytes:
    """The memo for two new notes: for each the HPKE public key of its owner, its leaf, and the message."""
    if len(notes) != 2:
        raise SealingError(f"a memo is for two notes, not {len(notes)}")
    first, second = (seal(key, message.encode(), context.info(leaf)) for key, leaf, message in notes)
    return bytes((VERSION,)) + len(first).to_bytes(2, "big") + first + second


def split_memo(memo: bytes) -> tuple[bytes, bytes]:
    """The two sealed messages of a memo; SealingError when it is no memo."""
    lengths = {sealed_length(suite, _MESSAGE_BYTES) for suite in Suite}
    end = 3 + int.from_bytes(memo[1:3], "big")
    first, second = memo[3:end], memo[end:]
    if memo[:1] != bytes((VERSION,)) or not {len(first), len(second)} <= lengths:
        raise SealingError("this is not a version 1 memo of two sealed notes")
    return first, second


def open_memo(private: KeyPair, memo: bytes, place: int, leaf: int, context: MemoContext) -> NoteMessage:
    """The message for the note at `place`, 0 or 1, with this leaf; SealingError when it is for somebody else."""
    return NoteMessage.decode(open_sealed(private, split_memo(memo)[place], context.info(leaf)))


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(_ADDRESS_LABEL + payload).digest()[:_CHECKSUM_BYTES]
