"""Keys at rest: what is written, who may read it, and what is said when it does not open."""

from __future__ import annotations

import json
import os
import secrets
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_keyfile.keyfile import get_default_work_factor_for_kdf

from fedproof.app import keystore, passphrase
from fedproof.app.keystore import CHAIN, HPKE, create, read_chain_key, show, unlock
from fedproof.app.passphrase import read_passphrase
from fedproof.app.secret import Secret
from fedproof.errors import FedproofError, InputError, KeyFileError
from fedproof.sealing import KeyPair, open_sealed, seal

ORDINARY_WORK = keystore.WORK
PHRASE = "correct hôrse battery"
SUITES = ("x25519", "mlkem768x25519")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "WORK", 1 << 10)
    monkeypatch.delenv(passphrase.VARIABLE, raising=False)
    monkeypatch.delenv(passphrase.CREDENTIALS_VARIABLE, raising=False)


@pytest.fixture
def phrase() -> Secret:
    return Secret(PHRASE.encode())


@pytest.fixture
def kept(tmp_path: Path, phrase: Secret) -> Path:
    create(tmp_path / "keys", phrase)
    return tmp_path / "keys"


def refusal(call: Callable[[], Any], kind: type[FedproofError] = KeyFileError) -> str:
    """The one line of a refusal, which shows no secret; nor does its traceback."""
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    shown = "".join(traceback.format_exception(caught.value))
    assert PHRASE not in line + shown
    assert "wrong horse" not in line
    return line


def test_the_work_for_one_guess_is_that_of_ethereum_clients() -> None:
    assert (EthAccountDefaults.work(), keystore.WORK) == (1 << 18, 1 << 10)
    source = Path(keystore.__file__).read_text()
    assert "WORK: Final = 1 << 18" in source


class EthAccountDefaults:
    @staticmethod
    def work() -> int:

        return int(get_default_work_factor_for_kdf("scrypt"))


@pytest.mark.parametrize("suite", SUITES)
def test_keys_open_again_and_are_those_that_were_made(tmp_path: Path, phrase: Secret, suite: Any) -> None:
    made = create(tmp_path / "a" / "keys", phrase, suite=suite)
    assert show(tmp_path / "a" / "keys") == made
    opened = unlock(tmp_path / "a" / "keys", phrase, "hospital")
    assert (opened.account.address, opened.hpke.public) == (made.address, made.hpke_public)
    assert opened.account.name == "hospital"
    assert open_sealed(opened.hpke, seal(made.hpke_public, b"share", b"info"), b"info") == b"share"
    assert made.suite == suite
    assert opened.hpke.private.hex() not in repr(opened)


def test_the_chain_key_is_a_keystore_that_other_tools_read(kept: Path) -> None:
    document = json.loads((kept / CHAIN).read_text())
    key = EthAccount.decrypt(document, PHRASE)
    assert EthAccount.from_key(key).address == show(kept).address
    assert document["crypto"]["kdf"] == "scrypt"
    assert document["version"] == 3


def test_no_two_keystores_are_alike(tmp_path: Path, phrase: Secret) -> None:
    one, two = create(tmp_path / "one", phrase), create(tmp_path / "two", phrase)
    assert one.address != two.address
    assert one.hpke_public != two.hpke_public
    hpke = json.loads((tmp_path / "one" / HPKE).read_text())
    assert set(hpke) == {"version", "suite", "public_key", "crypto"}  # no address: it would be a function of the secret


def test_files_are_private_and_hold_no_secret(tmp_path: Path, phrase: Secret) -> None:
    before = os.umask(0)
    try:
        create(tmp_path / "keys", phrase)
    finally:
        os.umask(before)
    folder = tmp_path / "keys"
    assert folder.stat().st_mode & 0o777 == 0o700
    opened = unlock(folder, phrase)
    hidden = (opened.hpke.private[2:].hex(), PHRASE, EthAccount.decrypt((folder / CHAIN).read_text(), PHRASE).hex())
    assert sorted(path.name for path in folder.iterdir()) == [CHAIN, HPKE]
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert not any(value in path.read_text() for value in hidden)


def test_nothing_is_overwritten(kept: Path, phrase: Secret, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in kept.iterdir()}
    assert "never overwritten" in refusal(lambda: create(kept, phrase), InputError)
    assert {path: path.read_bytes() for path in kept.iterdir()} == before
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "exists already" in refusal(lambda: create(tmp_path / "link", phrase), InputError)


def test_a_crash_before_the_end_leaves_no_keys_behind(
    tmp_path: Path, phrase: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    assert "No space" in refusal(lambda: create(tmp_path / "keys", phrase), InputError)
    assert list(tmp_path.iterdir()) == []


def test_a_race_for_the_folder_loses(tmp_path: Path, phrase: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "keys", phrase)
    first = (tmp_path / "keys" / CHAIN).read_bytes()
    monkeypatch.setattr(Path, "exists", lambda *_: False)
    assert "cannot be written" in refusal(lambda: create(tmp_path / "keys", phrase), InputError)
    assert (tmp_path / "keys" / CHAIN).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_wrong_passphrase_is_named_as_one(kept: Path) -> None:
    line = refusal(lambda: unlock(kept, Secret(b"wrong horse")))
    assert "the passphrase is wrong" in line
    assert CHAIN in line


@pytest.mark.parametrize("name", [CHAIN, HPKE])
def test_a_missing_file_is_named(kept: Path, phrase: Secret, name: str) -> None:
    (kept / name).unlink()
    assert refusal(lambda: show(kept)) == f"{kept / name} is missing"
    assert refusal(lambda: unlock(kept, phrase)) == f"{kept / name} is missing"


@pytest.mark.parametrize("name", [CHAIN, HPKE])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o606])
def test_a_file_that_is_open_to_others_is_refused(kept: Path, phrase: Secret, name: str, mode: int) -> None:
    (kept / name).chmod(mode)
    assert "open to other users" in refusal(lambda: unlock(kept, phrase))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values of a document."""
    found = [path] if path else []
    for key in value if isinstance(value, dict) else ():
        found += leaves(value[key], (*path, key))
    return found


def put(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    if value is None:
        del document[path[-1]]
    else:
        document[path[-1]] = value


@pytest.mark.parametrize("name", [CHAIN, HPKE])
def test_every_damaged_field_is_refused_in_one_line(kept: Path, phrase: Secret, name: str) -> None:
    whole = json.loads((kept / name).read_text())
    tried = 0
    for path in leaves(whole):
        for other in (None, 7, "zz", {}, -1, 1 << 40):
            if path in {("id",)} and other == "zz":
                continue  # a free text
            document = json.loads(json.dumps(whole))
            put(document, path, other)
            if document == whole:
                continue
            (kept / name).write_text(json.dumps(document))
            refusal(lambda: unlock(kept, phrase))
            tried += 1
    assert tried > 60
    for text in ("", "[]", "{" * 5000, "\xff", "null", " " * 70_000):
        (kept / name).write_text(text)
        refusal(lambda: unlock(kept, phrase))
    (kept / name).write_text(json.dumps(whole | {"more": 1}))
    refusal(lambda: show(kept))


@pytest.mark.parametrize("name", [CHAIN, HPKE])
def test_a_swapped_public_part_does_not_open(kept: Path, phrase: Secret, tmp_path: Path, name: str) -> None:
    create(tmp_path / "other", phrase)
    field = {CHAIN: "address", HPKE: "public_key"}[name]
    document, other = (json.loads((folder / name).read_text()) for folder in (kept, tmp_path / "other"))
    (kept / name).write_text(json.dumps(document | {field: other[field]}))
    assert "another key than the" in refusal(lambda: unlock(kept, phrase))


def test_work_without_bound_is_refused_at_once(kept: Path, phrase: Secret) -> None:
    document = json.loads((kept / CHAIN).read_text())
    document["crypto"]["kdfparams"]["n"] = 1 << 30
    (kept / CHAIN).write_text(json.dumps(document))
    assert "damaged" in refusal(lambda: unlock(kept, phrase))


def test_a_pipe_in_the_place_of_a_file_does_not_hang(kept: Path) -> None:
    (kept / CHAIN).unlink()
    os.mkfifo(kept / CHAIN, 0o600)
    assert "not a regular file" in refusal(lambda: show(kept))


def test_keys_are_imported_from_digits_and_from_a_keystore(tmp_path: Path, phrase: Secret) -> None:
    key = secrets.token_bytes(32)
    address = EthAccount.from_key(key).address
    for number, text in enumerate((key.hex(), "0x" + key.hex() + "\n", json.dumps(EthAccount.encrypt(key, PHRASE)))):
        file = tmp_path / f"given-{number}"
        file.write_text(text)
        assert "open to other users" in refusal(lambda: read_chain_key(file, phrase))  # noqa: B023
        file.chmod(0o600)
        made = create(tmp_path / f"keys-{number}", phrase, key=read_chain_key(file, phrase))
        assert made.address == address
        assert unlock(tmp_path / f"keys-{number}", phrase).account.address == address


@pytest.mark.parametrize("text", ["", "12" * 31, "12" * 33, "zz" * 32, "{}", '{"version": 3}', "0" * 64, "ff" * 32])
def test_what_is_no_key_is_not_imported(tmp_path: Path, phrase: Secret, text: str) -> None:
    file = tmp_path / "given"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(FedproofError) as caught:
        create(tmp_path / "keys", phrase, key=read_chain_key(file, phrase))
    assert not text or text not in str(caught.value)
    assert not (tmp_path / "keys").exists()


# -- passphrases --


def written(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "passphrase"
    path.write_bytes(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_passphrase_file_is_one_line(tmp_path: Path, end: bytes) -> None:
    assert read_passphrase(written(tmp_path, PHRASE.encode() + end)).reveal().decode() == PHRASE


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610, 0o601])
def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    assert "open to other users" in refusal(lambda: read_passphrase(written(tmp_path, PHRASE.encode(), mode)))


@pytest.mark.parametrize("text", [b"", b"\n", b"a\nb", b"a\x00b", b"x" * 1025, b"x" * 100_000])
def test_what_is_no_passphrase_is_refused(tmp_path: Path, text: bytes) -> None:
    refusal(lambda: read_passphrase(written(tmp_path, text)))


def test_the_file_comes_before_the_environment_and_that_before_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert passphrase.VARIABLE in refusal(read_passphrase)
    assert read_passphrase(None, lambda: "from the prompt").reveal() == b"from the prompt"
    monkeypatch.setenv(passphrase.VARIABLE, "from the environment")
    assert read_passphrase(None, lambda: "from the prompt").reveal() == b"from the environment"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv(passphrase.CREDENTIALS_VARIABLE, str(credentials))
    assert read_passphrase().reveal() == b"from the environment"
    (credentials / passphrase.CREDENTIAL).write_bytes(b"from the service manager\n")
    (credentials / passphrase.CREDENTIAL).chmod(0o440)
    assert read_passphrase().reveal() == b"from the service manager"
    assert read_passphrase(written(tmp_path, b"from the file"), lambda: "").reveal() == b"from the file"
    assert "is missing" in refusal(lambda: read_passphrase(tmp_path / "nowhere"))
    for mode in (0o444, 0o460):
        (credentials / passphrase.CREDENTIAL).chmod(mode)
        assert "open to other users" in refusal(read_passphrase)


def test_a_new_passphrase_is_not_too_short(tmp_path: Path) -> None:
    assert "too short" in refusal(lambda: create(tmp_path / "keys", Secret(b"1234567")))
    assert not (tmp_path / "keys").exists()


def test_both_kinds_of_private_key_are_as_long_as_the_format_takes() -> None:
    for suite in SUITES:
        assert len(KeyPair.generate(suite).private) == 34  # type: ignore[arg-type]


def test_two_nodes_do_not_run_with_one_keystore(kept: Path) -> None:
    with keystore.held(kept):
        assert "another node runs with the keys" in refusal(keystore.held(kept).__enter__)
    with keystore.held(kept):
        pass
    (kept / CHAIN).unlink()
    assert "cannot be read" in refusal(keystore.held(kept).__enter__)
