"""AES-256-GCM through our own wrapper, against NIST and Wycheproof (attack 27)."""

import pytest

from fedproof.errors import SealingError
from fedproof.sealing import Aes256Gcm
from tests.sealing.vectors import nist_gcm, wycheproof_aes_gcm


def ours(record: dict) -> bool:
    return record["Keylen"] == 256 and record["IVlen"] == 96 and record["Taglen"] == 128


def test_encrypts_as_nist_says() -> None:
    records = [r for r in nist_gcm("gcmEncryptExtIV256.rsp") if ours(r)]
    assert len(records) == 375
    for r in records:
        assert Aes256Gcm(r["Key"]).encrypt(r["IV"], r["PT"], r["AAD"]) == r["CT"] + r["Tag"]


def test_decrypts_as_nist_says_and_refuses_each_bad_tag() -> None:
    records = [r for r in nist_gcm("gcmDecrypt256.rsp") if ours(r)]
    failing = [r for r in records if "FAIL" in r]
    assert (len(records), len(failing)) == (375, 191)
    for r in records:
        if "FAIL" in r:
            with pytest.raises(SealingError):
                Aes256Gcm(r["Key"]).decrypt(r["IV"], r["CT"] + r["Tag"], r["AAD"])
        else:
            assert Aes256Gcm(r["Key"]).decrypt(r["IV"], r["CT"] + r["Tag"], r["AAD"]) == r["PT"]


def test_agrees_with_wycheproof_and_refuses_its_other_key_and_nonce_sizes() -> None:
    seen = {"valid": 0, "invalid": 0, "refused": 0}
    for group, test in wycheproof_aes_gcm():
        key, nonce, aad, plaintext, ciphertext, tag = (
            bytes.fromhex(test[field]) for field in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        if group["keySize"] != 256 or group["ivSize"] != 96:
            with pytest.raises(SealingError):
                Aes256Gcm(key).encrypt(nonce, plaintext, aad)
            seen["refused"] += 1
        elif test["result"] == "valid":
            assert Aes256Gcm(key).encrypt(nonce, plaintext, aad) == ciphertext + tag
            assert Aes256Gcm(key).decrypt(nonce, ciphertext + tag, aad) == plaintext
            seen["valid"] += 1
        else:
            with pytest.raises(SealingError):
                Aes256Gcm(key).decrypt(nonce, ciphertext + tag, aad)
            seen["invalid"] += 1
    assert seen == {"valid": 39, "invalid": 27, "refused": 250}


def test_refuses_a_nonce_of_another_length_on_both_sides() -> None:
    cipher = Aes256Gcm(bytes(32))
    for length in (0, 8, 11, 13, 16):
        with pytest.raises(SealingError, match="nonce"):
            cipher.encrypt(bytes(length), b"x", b"")
        with pytest.raises(SealingError, match="nonce"):
            cipher.decrypt(bytes(length), bytes(17), b"")


def test_hides_its_key_in_repr() -> None:
    assert "6b" not in repr(Aes256Gcm(b"k" * 32)).replace("key", "")
    assert repr(Aes256Gcm(b"k" * 32)) == "Aes256Gcm(<key hidden>)"
