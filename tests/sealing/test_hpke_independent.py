"""Our sealed messages and those of another implementation of RFC 9180, PyHPKE: each opens what the other seals."""

from __future__ import annotations

import os

import pytest

from fedproof.errors import SealingError
from fedproof.sealing import KeyPair, open_sealed
from fedproof.sealing.hpke import seal

pyhpke = pytest.importorskip("pyhpke")

INFO = b"fedproof/share/v1 of somebody"
HEAD = b"\x01\x01"
"""Version and suite, which are ours; the rest is `enc || ciphertext`."""


def suite():  # type: ignore[no-untyped-def]  # no part of our own types
    return pyhpke.CipherSuite.new(
        pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES256_GCM
    )


@pytest.mark.parametrize("size", [0, 1, 31, 32, 1000])
def test_the_other_opens_what_we_seal(size: int) -> None:
    pair, plain = KeyPair.generate("x25519"), os.urandom(size)
    sealed = seal(pair.public, plain, INFO)
    key = suite().kem.deserialize_private_key(pair.private[2:])
    receiver = suite().create_recipient_context(sealed[2:34], key, info=INFO)
    assert receiver.open(sealed[34:]) == plain
    other = suite().create_recipient_context(sealed[2:34], key, info=INFO + b"x")
    with pytest.raises(pyhpke.OpenError):
        other.open(sealed[34:])


@pytest.mark.parametrize("size", [0, 1, 31, 32, 1000])
def test_we_open_what_the_other_seals(size: int) -> None:
    pair, plain = KeyPair.generate("x25519"), os.urandom(size)
    enc, sender = suite().create_sender_context(suite().kem.deserialize_public_key(pair.public), info=INFO)
    sealed = HEAD + enc + sender.seal(plain)
    assert open_sealed(pair, sealed, INFO) == plain
    with pytest.raises(SealingError):
        open_sealed(pair, sealed, INFO + b"x")
    second = HEAD + enc + sender.seal(plain)  # of the same context, with the next nonce: ours are single messages
    with pytest.raises(SealingError):
        open_sealed(pair, second, INFO)
