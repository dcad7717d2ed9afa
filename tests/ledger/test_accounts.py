"""Keys stay inside accounts."""

from __future__ import annotations

import copy
import dataclasses
import logging
import os
import pickle
from pathlib import Path

import pytest

from fedproof.errors import InputError
from fedproof.ledger import Account, Chain, account_from_key
from fedproof.ledger.accounts import development_account, read_key

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"  # from the same key in eth-account's documentation


def test_address_follows_from_the_key() -> None:
    for key in (KEY, KEY.hex(), "0x" + KEY.hex(), f" {KEY.hex().upper()}\n"):
        assert account_from_key(key).address == ADDRESS


def test_key_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    account = account_from_key(KEY, "treasurer")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").warning("%s %r", account, account)
    shown = [repr(account), str(account), f"{account}", caplog.text, repr([account]), repr({"a": account})]
    for text in shown:
        assert ADDRESS in text
        assert KEY.hex() not in text.lower()
        assert str(int.from_bytes(KEY)) not in text
        assert "signer" not in text


def test_account_is_not_pickled_or_taken_apart() -> None:
    account = account_from_key(KEY)
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            attempt(account)
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        dataclasses.asdict(Holder([account]))


@dataclasses.dataclass
class Holder:
    """Something of a node that keeps its account."""

    accounts: list[Account]


SECRET = "5ec4e7" * 10
BAD_KEYS: list[str | bytes] = [
    "",
    SECRET,
    SECRET + "12345",
    "zz" + SECRET + "00",
    b"",
    bytes(31),
    bytes(33),
    bytes(32),
    b"\xff" * 32,
    "0x" + "00" * 32,
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_key_is_refused_without_being_repeated(key: str | bytes) -> None:
    with pytest.raises(InputError) as caught:
        account_from_key(key)
    assert str(caught.value) == "not a private key: give 32 bytes as 64 hexadecimal digits"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_key_of_a_development_account_follows_from_its_name() -> None:
    assert development_account("alice") == development_account("alice") != development_account("bob")


def test_transaction_of_an_account_shows_no_key(embedded_chain: Chain) -> None:
    rich = embedded_chain.new_account("rich")
    poor = embedded_chain.account_from_key(KEY)
    embedded_chain.transfer(rich, poor.address, 10**18)
    prepared = embedded_chain._sender.prepare(poor, rich.address, b"", value=1, gas=None, what="a transfer")
    assert KEY.hex() not in repr(prepared)
    assert KEY not in prepared.raw
    assert prepared.raw.hex() not in repr(prepared)


@pytest.mark.parametrize("data", [b"\xff" * 32, KEY, b"a" * 2000, "ß".encode()])
def test_a_key_file_of_bytes_is_one_line_that_does_not_repeat_them(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(InputError, match=r"key holds no private key: write it in 64 hexadecimal digits") as error:
        read_key(tmp_path / "key")
    assert "\n" not in str(error.value)


def test_a_folder_or_a_pipe_in_the_place_of_a_key_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("folder", "Is a directory"), ("pipe", "Not a plain file"), ("none", "No such file")):
        with pytest.raises(InputError, match=f"{name} cannot be read: {reason}"):
            read_key(tmp_path / name)


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602], ids=oct)
def test_a_key_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "key").chmod(mode)
    with pytest.raises(InputError, match=r"key can be written by other users: .*chmod 600"):
        read_key(tmp_path / "key")


def test_a_key_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"0x{KEY.hex()}\n")
    assert account_from_key(read_key(tmp_path / "key")).address == ADDRESS
