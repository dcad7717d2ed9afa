"""`fedproof keys`: what it prints, and what it never prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account as EthAccount

from fedproof.app import keystore
from fedproof.app.passphrase import VARIABLE
from fedproof.app.secret import Secret
from tests.cli.conftest import Here

PHRASE = "open sesame, twice"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "WORK", 1 << 10)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def phrase_file(tmp_path: Path) -> str:
    path = tmp_path / "passphrase"
    path.write_text(PHRASE + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("suite", ["x25519", "mlkem768x25519"])
def test_new_and_show(here: Here, tmp_path: Path, phrase_file: str, suite: str) -> None:
    folder = str(tmp_path / "keys")
    made = here("keys", "new", folder, "--passphrase-file", phrase_file, "--suite", suite, "--json")
    assert made.returncode == 0, made.stderr
    shown = here("keys", "show", folder, "--json")
    assert json.loads(shown.stdout) == json.loads(made.stdout)
    document = json.loads(shown.stdout)
    assert set(document) == {"folder", "address", "hpke_suite", "hpke_public_key"}
    opened = keystore.unlock(tmp_path / "keys", Secret(PHRASE.encode()))
    assert document["hpke_public_key"] == opened.hpke.public.hex()
    for_people = here("keys", "show", folder, "--check", "--passphrase-file", phrase_file)
    assert f"address: {opened.account.address}" in for_people.stdout
    key = EthAccount.decrypt((tmp_path / "keys" / "chain.json").read_text(), PHRASE).hex()
    said = made.stdout + made.stderr + shown.stdout + shown.stderr + for_people.stdout + for_people.stderr
    for hidden in (PHRASE, key, opened.hpke.private.hex(), opened.hpke.private[2:].hex()):
        assert hidden not in said


def test_the_environment_gives_the_passphrase(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PHRASE)
    assert here("keys", "new", str(tmp_path / "keys")).returncode == 0
    assert here("keys", "show", str(tmp_path / "keys"), "--check").returncode == 0
    monkeypatch.setenv(VARIABLE, "another passphrase")
    refused = here("keys", "show", str(tmp_path / "keys"), "--check")
    assert refused.returncode == 8
    assert "the passphrase is wrong" in refused.stderr
    assert "another passphrase" not in refused.stderr


def test_import(here: Here, tmp_path: Path, phrase_file: str) -> None:
    file = tmp_path / "given"
    file.write_text("11" * 32)
    call = ("keys", "import", str(tmp_path / "keys"), "--key-file", str(file), "--passphrase-file", phrase_file)
    refused = here(*call)
    assert (refused.returncode, refused.stdout) == (8, "")
    assert "chmod 600" in refused.stderr
    file.chmod(0o600)
    done = here(*call, "--json")
    assert json.loads(done.stdout)["address"] == EthAccount.from_key("0x" + "11" * 32).address
    assert "11" * 32 not in done.stdout + done.stderr


def test_errors_are_one_line_with_their_code(here: Here, tmp_path: Path, phrase_file: str) -> None:
    folder = str(tmp_path / "keys")
    for arguments, code, said in (
        (("new", folder), 8, "no passphrase"),
        (("show", folder), 8, "is missing"),
        (("new", str(tmp_path), "--passphrase-file", phrase_file), 2, "exists already"),
        (("new", folder, "--passphrase", "x"), 2, "No such option"),
        (("import", folder, "--passphrase-file", phrase_file), 2, "--key-file"),
    ):
        refused = here("keys", *arguments)
        assert (refused.returncode, refused.stdout) == (code, ""), arguments
        assert said in refused.stderr
        assert refused.stderr.count("\n") == 1
    Path(phrase_file).chmod(0o644)
    refused = here("keys", "new", folder, "--passphrase-file", phrase_file)
    assert refused.returncode == 8
    assert "open to other users" in refused.stderr
    assert PHRASE not in refused.stderr


def test_no_option_takes_a_passphrase() -> None:
    """An argument would be in the list of processes."""
    from fedproof.cli.keys import keys

    for command in keys.commands.values():
        assert not {"--passphrase", "--password", "--key", "--private-key"} & {
            option for parameter in command.params for option in parameter.opts
        }
