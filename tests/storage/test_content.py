"""Content ids: one spelling, no paths, and the digest that the chain holds (attack 36)."""

import hashlib

import pytest
from eth_utils import keccak

from fedproof.errors import StorageError
from fedproof.storage import BlobStore, content_id, content_id_from_word, content_id_to_word, sealed_digest

GOOD = content_id(b"hello")

NOT_IDS = [
    "",
    "..",
    "../" + GOOD,
    GOOD + "/..",
    "/" + GOOD,
    "./" + GOOD,
    GOOD[:-1],
    GOOD + "0",
    GOOD + "\n",
    GOOD.upper(),
    "0x" + GOOD,
    GOOD[:-1] + "g",
    GOOD[:-1] + "\x00",
    GOOD[:-1] + "٣",
    "%2e%2e%2f" + GOOD[9:],
    "/etc/passwd".ljust(64, "0"),
]


def test_an_id_is_the_sha256_in_lowercase_hex() -> None:
    assert content_id(b"hello") == hashlib.sha256(b"hello").hexdigest()
    assert content_id_from_word(content_id_to_word(GOOD)) == GOOD


@pytest.mark.parametrize("text", NOT_IDS)
def test_rejects_what_is_not_an_id_before_it_reaches_a_path(text: str) -> None:
    store = BlobStore.open("memory://content")
    for use in (content_id_to_word, store.get, lambda text: store.get_stream(text).__enter__()):
        with pytest.raises(StorageError, match="not a content id"):
            use(text)


def test_rejects_reading_a_file_outside_the_folder(tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    store = BlobStore.open(tmp_path / "store")
    with pytest.raises(StorageError, match="not a content id"):
        store.get("../secret")


def test_refuses_a_word_of_another_length() -> None:
    for length in (0, 31, 33):
        with pytest.raises(StorageError, match="32 bytes"):
            content_id_from_word(bytes(length))


def test_the_sealed_digest_is_the_keccak_of_the_words_in_order() -> None:
    ids = [content_id(bytes([i])) for i in range(5)]
    expected = keccak(b"".join(bytes.fromhex(blob) for blob in ids))
    assert sealed_digest(ids) == expected
    assert sealed_digest(ids[::-1]) != expected
    assert sealed_digest(ids[:-1]) != expected
    with pytest.raises(StorageError, match="not a content id"):
        sealed_digest([*ids, "x"])
