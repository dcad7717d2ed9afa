"""AES-256-GCM with the one shape fedproof uses: 32-byte key, 12-byte nonce, 16-byte tag.

Shorter keys, longer nonces and truncated tags are part of the standard but not of fedproof, so they are refused here:
a nonce of another length is hashed by GCM and would void the argument in `records` that no nonce repeats.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedproof.errors import SealingError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class Aes256Gcm:
    """One AES-256-GCM key. The caller answers for never giving it the same nonce twice."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise SealingError(f"an AES-256-GCM key has {KEY_BYTES} bytes, this one has {len(key)}")
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Aes256Gcm(<key hidden>)"

    def encrypt(self, nonce: bytes, plaintext: bytes | bytearray, associated: bytes) -> bytes:
        """Return ciphertext || tag (`len(plaintext) + 16` bytes)."""
        _check_nonce(nonce)
        return self._cipher.encrypt(nonce, plaintext, associated)

    def decrypt(self, nonce: bytes, ciphertext: bytes | bytearray, associated: bytes) -> bytes:
        """Return the plaintext once its tag has been checked; SealingError otherwise, and nothing of the plaintext."""
        _check_nonce(nonce)
        try:
            return self._cipher.decrypt(nonce, ciphertext, associated)
        except InvalidTag:
            # `from None`: the cause has no detail worth keeping, and a traceback must not grow one
            raise SealingError("the ciphertext does not authenticate under this key and context") from None


def _check_nonce(nonce: bytes) -> None:
    if len(nonce) != NONCE_BYTES:
        raise SealingError(f"an AES-256-GCM nonce has {NONCE_BYTES} bytes here, this one has {len(nonce)}")
