"""What `deploy/` ships: files that parse, and name only commands, options and keys that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from fedproof import errors
from fedproof.app import passphrase
from fedproof.app.nodeconfig import ROLES
from fedproof.app.nodefile import RPC_VARIABLE, read_config
from fedproof.cli.main import cli

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "fedproof-node@.service"


def check_command(words: list[str]) -> click.Command:
    """The command of these words, and that its options are known."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    known = {name for each in command.params for name in each.opts}
    assert {word for word in words if word.startswith("--")} <= known, words
    return command


def settings(path: Path) -> dict[str, dict[str, list[str]]]:
    """Sections of a unit, with all values of each key."""
    found: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            found[section] = {}
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            found[section].setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_the_unit_runs_a_command_that_there_is(role: str) -> None:
    unit = settings(UNIT)
    program, *words = unit["Service"]["ExecStart"][0].replace("%i", role).split()
    assert program.endswith("/fedproof")
    assert check_command(words).name == role
    assert words[-1] == f"/etc/fedproof/{role}/node.toml"


def test_the_unit_is_strict_and_gives_up_where_no_restart_helps() -> None:
    service = settings(UNIT)["Service"]
    assert service["LoadCredential"][0].split(":")[0] == passphrase.CREDENTIAL
    assert service["ProtectSystem"] == ["strict"]
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["LimitCORE"] == ["0"]
    hopeless = {kind.exit_code for kind in (errors.InputError, errors.KeyFileError, errors.StateError)}
    assert set(map(int, service["RestartPreventExitStatus"][0].split())) == hopeless
    assert RPC_VARIABLE in UNIT.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text().replace("/opt/fedproof/bin/fedproof", "/bin/true").replace("User=fedproof", "User=daemon")
    copy = tmp_path / "fedproof-node@worker.service"
    copy.write_text(text.replace("Group=fedproof", "Group=daemon"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False)
    assert not [line for line in done.stderr.splitlines() if "fedproof-node" in line], done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_the_configurations_are_taken(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.toml"
    text = (DEPLOY / f"nodes/{role}.toml").read_text()
    path.write_text(text)
    monkeypatch.delenv(RPC_VARIABLE, raising=False)
    with pytest.raises(errors.InputError, match=RPC_VARIABLE):
        read_config(path)  # the URL comes from outside
    monkeypatch.setenv(RPC_VARIABLE, "http://node")
    config = read_config(path)
    assert (config.role, config.http.port, config.http.public) == (role, 9100, False)
    assert config.passphrase_file is None
    assert {Path("/var/lib/fedproof") / role} == {config.state.parent, config.keystore.parent}
    # what is only proposed is known, too
    proposed = re.sub(r'^# (\w+ = \[)"0x\.\.\."', rf'\1"0x{"0" * 40}"', text, flags=re.MULTILINE)
    path.write_text(proposed)
    assert read_config(path).role == role


def test_the_composition_names_commands_files_and_secrets_that_there_are() -> None:
    yaml = pytest.importorskip("yaml")
    whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(whole["services"]) == set(ROLES)
    for role, service in whole["services"].items():
        assert check_command(service["command"]).name == role
        mounts = dict(reversed(each.removesuffix(":ro").split(":")) for each in service["volumes"])
        assert (DEPLOY / mounts[service["command"][-1]]).is_file()
        assert mounts[f"/var/lib/fedproof/{role}"] in whole["volumes"]
        (secret,) = service["secrets"]
        assert secret["target"] == passphrase.CREDENTIAL
        assert secret["source"] in whole["secrets"]
        assert RPC_VARIABLE in service["environment"]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_image_runs_as_nobody_special() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and line[0].isupper()]
    assert [each[1] for each in words if each[0] == "USER"][-1] == "10001"
    assert "--uid 10001" in (DEPLOY / "Dockerfile").read_text()
    root = DEPLOY.parent
    copied = [path for each in words if each[0] == "COPY" and "--from=build" not in each for path in each[1:-1]]
    assert copied
    assert all((root / path).exists() for path in copied)
    assert f"{passphrase.CREDENTIALS_VARIABLE}=/run/secrets" in (DEPLOY / "Dockerfile").read_text()


def test_the_guide_names_commands_that_there_are() -> None:
    for text in (DEPLOY / "README.md", *DEPLOY.glob("nodes/*.toml")):
        for words in re.findall(r"fedproof ((?:node|net|keys) [a-z]+(?: --[a-z-]+)?)", text.read_text()):
            check_command(words.split())
