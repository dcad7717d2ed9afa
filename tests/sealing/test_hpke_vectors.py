"""HPKE through our own wrapper, against RFC 9180 and draft-ietf-hpke-pq (attack 27).

The published messages carry an AAD, which our format does not have. So the RFC's vector is used twice: the published
message itself through the library's own AAD form; and, through `open_sealed`, the message that the vector's key and
base nonce give without AAD. The second holds key parsing, decapsulation, the key schedule and `info` to the vector.
"""

import hmac
from typing import Any

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedproof.errors import SealingError
from fedproof.sealing import Aes256Gcm, KeyPair, Suite, open_sealed, sealed_length
from tests.sealing.vectors import hpke_pq, rfc9180

X25519 = rfc9180(mode=0, kem=0x0020, kdf=1, aead=2)
HYBRID = hpke_pq(mode=0, kem=0x647A, kdf=1, aead=3)


def unhex(vector: dict[str, Any], *fields: str) -> list[bytes]:
    return [bytes.fromhex(vector[field]) for field in fields]


def test_opens_the_message_of_rfc_9180() -> None:
    private, public, enc, info, key, nonce = unhex(X25519, "skRm", "pkRm", "enc", "info", "key", "base_nonce")
    pair = KeyPair.from_private_bytes(b"\x01\x01" + private)
    assert pair.public == public
    plaintext = bytes.fromhex(X25519["encryptions"][0]["pt"])
    sealed = b"\x01\x01" + enc + Aes256Gcm(key).encrypt(nonce, plaintext, b"")
    assert len(sealed) == sealed_length(Suite.X25519, len(plaintext))
    assert open_sealed(pair, sealed, info) == plaintext
    with pytest.raises(SealingError):
        open_sealed(pair, sealed, info + b"\x00")


def test_library_opens_the_published_message_of_rfc_9180_with_its_aad() -> None:
    private, enc, info = unhex(X25519, "skRm", "enc", "info")
    first = X25519["encryptions"][0]
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    opened = openssl.hpke._decrypt_with_aad(
        suite,
        enc + bytes.fromhex(first["ct"]),
        X25519PrivateKey.from_private_bytes(private),
        info=info,
        aad=bytes.fromhex(first["aad"]),
    )
    assert opened == bytes.fromhex(first["pt"])


def test_reads_the_hybrid_keys_as_the_draft_writes_them() -> None:
    seed, public = unhex(HYBRID, "skRm", "pkRm")
    assert KeyPair.from_private_bytes(b"\x01\x02" + seed).public == public


def test_opens_a_hybrid_message_made_from_the_drafts_shared_secret() -> None:
    # The draft has this KEM with ChaCha20-Poly1305 alone. Decapsulation does not depend on the cipher, so its shared
    # secret and the key schedule of RFC 9180, written out below, give the AES-256-GCM message; the first assertion
    # holds that schedule to the draft.
    seed, enc, info, secret, key, nonce = unhex(HYBRID, "skRm", "enc", "info", "shared_secret", "key", "base_nonce")
    assert key_schedule(secret, info, kem=0x647A, aead=3) == (key, nonce)
    key, nonce = key_schedule(secret, info, kem=0x647A, aead=2)
    sealed = b"\x01\x02" + enc + Aes256Gcm(key).encrypt(nonce, b"records", b"")
    assert len(sealed) == sealed_length(Suite.MLKEM768_X25519, 7)
    assert open_sealed(b"\x01\x02" + seed, sealed, info) == b"records"


def key_schedule(shared_secret: bytes, info: bytes, *, kem: int, aead: int) -> tuple[bytes, bytes]:
    """RFC 9180, section 5.1, base mode with HKDF-SHA256: (key, base nonce)."""
    suite = b"HPKE" + kem.to_bytes(2, "big") + (1).to_bytes(2, "big") + aead.to_bytes(2, "big")

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        # both outputs fit in one block of HKDF
        block = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context + b"\x01"
        return hmac.digest(prk, block, "sha256")[:length]

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared_secret, b"secret", b"")
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
