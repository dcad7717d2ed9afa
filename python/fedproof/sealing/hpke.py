"""HPKE (RFC 9180, base mode, one message per encapsulation) to one recipient's registered key.

Two suites, both with HKDF-SHA256 and AES-256-GCM:

    byte  suite             KEM id   public key          private key   encapsulation
    1     x25519            0x0020   32 bytes            32 bytes      32 bytes
    2     mlkem768x25519    0x647a   1216 bytes          32-byte seed  1120 bytes

Suite 2 is the X-Wing hybrid of ML-KEM-768 and X25519 (draft-ietf-hpke-pq, draft-connolly-cfrg-xwing-kem), for records
that must stay secret after a quantum computer: it holds as long as one of its two halves does. Its private key is the
seed of X-Wing, expanded by SHAKE256 as that draft says; its public key is `ML-KEM key (1184) || X25519 key (32)`.

Public keys travel in the KEM's own standard encoding; the lengths differ, so the length names the suite. A private key
file is `version (1) || suite (1) || 32 bytes`. A sealed message is

    version (1 byte) || suite (1 byte) || encapsulated key || ciphertext || tag (16)

Neither prefix byte needs a tag of its own: an unknown version is refused, and HPKE puts the suite into its key
schedule.

Every piece of context (chain, contract, round, sender, recipient) goes into `info`: that is what RFC 9180, section 8.1
asks of one-message users, and the public interface of pyca/cryptography takes no AAD. An empty `info` is refused, so
nothing can be sealed to "anywhere". Base mode does not authenticate the sender; in fedproof the digest of the
ciphertexts on chain does.
"""

import hashlib
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedproof.errors import SealingError

VERSION: Final = 1
PRIVATE_BYTES: Final = 32
MLKEM768_PUBLIC_BYTES: Final = 1184
MLKEM768_SEED_BYTES: Final = 64
TAG_BYTES: Final = 16
X25519_BYTES: Final = 32
_P25519: Final = 2**255 - 19

SuiteName = Literal["x25519", "mlkem768x25519"]


class Suite(IntEnum):
    """The suite byte of keys and sealed messages."""

    X25519 = 1
    MLKEM768_X25519 = 2

    @property
    def public_key_bytes(self) -> int:
        """Length of a public key in bytes."""
        return 32 if self is Suite.X25519 else MLKEM768_PUBLIC_BYTES + 32

    @property
    def encapsulation_bytes(self) -> int:
        """Length of the encapsulated key in a sealed message, in bytes."""
        return _kem(self).enc_length()


_NAMES: Final[dict[str, Suite]] = {"x25519": Suite.X25519, "mlkem768x25519": Suite.MLKEM768_X25519}


@dataclass(frozen=True, repr=False)
class KeyPair:
    """A recipient's key pair. `private` and `public` are the encodings described on top of this module."""

    private: bytes
    public: bytes

    @classmethod
    def generate(cls, suite: SuiteName = "x25519") -> "KeyPair":
        """A fresh key pair from the operating system's randomness."""
        if suite not in _NAMES:
            raise SealingError(f"unknown suite {suite!r}: use one of {', '.join(_NAMES)}")
        return cls.from_private_bytes(bytes((VERSION, _NAMES[suite])) + os.urandom(PRIVATE_BYTES))

    @classmethod
    def from_private_bytes(cls, private: bytes) -> "KeyPair":
        """Read a private key file's content; SealingError when it is not one."""
        x25519, mlkem = _decode_private(private)
        mlkem_public = mlkem.public_key().public_bytes_raw() if mlkem else b""
        return cls(bytes(private), mlkem_public + x25519.public_key().public_bytes_raw())

    @property
    def suite(self) -> Suite:
        """The suite that this key pair belongs to."""
        return Suite(self.private[1])

    def __repr__(self) -> str:
        return f"KeyPair({self.suite.name}, public={self.public.hex()[:16]}.., private=<hidden>)"


def seal(public_key: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal `plaintext` to the holder of `public_key`, bound to `info` (not empty). The result is randomised."""
    _check_info(info)
    suite = suite_of_public_key(public_key)
    _check_canonical(public_key)
    try:
        sealed = _hpke(suite).encrypt(plaintext, _decode_public(suite, public_key), info=info)
    except ValueError:
        # the library's own words differ by key type and backend; the cause is always the recipient's key
        raise SealingError("cannot seal: the recipient's public key is not a usable point") from None
    return bytes((VERSION, suite)) + sealed


def open_sealed(private: KeyPair | bytes, sealed: bytes, info: bytes) -> bytes:
    """Open a message of `seal`. Whatever is wrong with message, key or `info` gives one and the same SealingError."""
    _check_info(info)
    x25519, mlkem = _decode_private(private.private if isinstance(private, KeyPair) else private)
    suite = Suite.MLKEM768_X25519 if mlkem else Suite.X25519
    key = hpke.MLKEM768X25519PrivateKey(mlkem, x25519) if mlkem else x25519
    try:
        if sealed[:2] != bytes((VERSION, suite)):
            raise InvalidTag
        return _hpke(suite).decrypt(sealed[2:], key, info=info)
    except (InvalidTag, ValueError):
        # One sentence for every cause: who can tell a bad point from a bad tag can query a decryption oracle. OpenSSL
        # says InvalidTag for all of them; other backends may say ValueError for a bad encapsulation.
        raise SealingError("the sealed message does not open with this key and context") from None


def sealed_length(suite: Suite, plaintext_bytes: int) -> int:
    """Length in bytes of a sealed message that holds `plaintext_bytes`."""
    return 2 + suite.encapsulation_bytes + plaintext_bytes + TAG_BYTES


def suite_of_public_key(public_key: bytes) -> Suite:
    """The suite that a public key's length names."""
    for suite in Suite:
        if len(public_key) == suite.public_key_bytes:
            return suite
    lengths = " or ".join(str(suite.public_key_bytes) for suite in Suite)
    raise SealingError(f"a public key has {lengths} bytes, this one has {len(public_key)}")


def check_public_key(public_key: bytes) -> None:
    """Refuse a key that nothing can be sealed to, before it is registered.

    Raises:
        SealingError: its length, encoding or order is wrong, or its encoding not the canonical one.
    """
    seal(public_key, b"", b"fedproof/check-key/v1")


def _kem(suite: Suite) -> hpke.KEM:
    return hpke.KEM.X25519 if suite is Suite.X25519 else hpke.KEM.MLKEM768_X25519


def _hpke(suite: Suite) -> hpke.Suite:
    return hpke.Suite(_kem(suite), hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def _check_info(info: bytes) -> None:
    if not info:
        raise SealingError("the context (info) is empty: a sealed message must say what it belongs to")


def _check_canonical(public_key: bytes) -> None:
    """X25519 ignores the top bit and takes numbers modulo p, but HPKE hashes the bytes: the holder of the key, who has
    them in their one canonical form, could not open what is sealed to another."""
    if int.from_bytes(public_key[-X25519_BYTES:], "little") >= _P25519:  # the last part of a hybrid key, too
        raise SealingError("a public key is not in its canonical form: what is sealed to it would never open")


def _decode_private(private: bytes) -> tuple[X25519PrivateKey, MLKEM768PrivateKey | None]:
    """The X25519 half and, in the hybrid suite, the ML-KEM half of a private key file."""
    if len(private) != 2 + PRIVATE_BYTES or private[0] != VERSION or private[1] not in set(Suite):
        raise SealingError("this is not a version 1 private key: expected version, suite and 32 bytes")
    if private[1] == Suite.X25519:
        return X25519PrivateKey.from_private_bytes(private[2:]), None
    # the key derivation of X-Wing: SHAKE256(seed, 96) = ML-KEM seed (64) || X25519 key (32)
    expanded = hashlib.shake_256(private[2:]).digest(MLKEM768_SEED_BYTES + 32)
    x25519 = X25519PrivateKey.from_private_bytes(expanded[MLKEM768_SEED_BYTES:])
    return x25519, MLKEM768PrivateKey.from_seed_bytes(expanded[:MLKEM768_SEED_BYTES])


def _decode_public(suite: Suite, public_key: bytes) -> X25519PublicKey | hpke.MLKEM768X25519PublicKey:
    if suite is Suite.X25519:
        return X25519PublicKey.from_public_bytes(public_key)
    return hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public_key[:MLKEM768_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public_key[MLKEM768_PUBLIC_BYTES:]),
    )
