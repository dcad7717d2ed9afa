"""`node.toml` is read strictly, and every refusal names the key in one line without its value."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import nodefile
from fedproof.app.nodeconfig import ROLES, NodeConfig, Role
from fedproof.app.nodefile import read_config
from fedproof.app.nodetemplate import template, write_template
from fedproof.errors import InputError
from fedproof.sealing import KeyPair

LEAST = """
role = "worker"
name = "w-1"
deployment = "d.json"
[chain]
rpc = "http://node:8545"
[keys]
folder = "keys"
[state]
folder = "state"
"""
SOMEBODY = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
WORKERS = (SOMEBODY, "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")
Read = Callable[[str], NodeConfig]


@pytest.fixture(autouse=True)
def _no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(nodefile.RPC_VARIABLE, raising=False)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def call(text: str) -> NodeConfig:
        path = tmp_path / "node.toml"
        path.write_text(text)
        return read_config(path)

    return call


def refusal(read: Read, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_least_file_has_careful_defaults(read: Read, tmp_path: Path) -> None:
    config = read(LEAST)
    assert (config.role, config.name) == ("worker", "w-1")
    assert config.deployment == tmp_path / "d.json"
    assert (config.keystore, config.state, config.cache) == (
        tmp_path / "keys",
        tmp_path / "state",
        tmp_path / "state/cache",
    )
    assert (config.passphrase_file, config.store) == (None, None)
    assert (config.http.host, config.http.port, config.http.public) == ("127.0.0.1", 0, False)
    assert (config.log.level, config.log.format) == ("info", "json")
    assert config.worker is not None
    assert (config.worker.lead, config.worker.escrow_datasets) == (True, ())
    assert (config.worker.max_bond, config.worker.sponsors) == (0, None)
    assert (config.provider, config.participant) == (None, None)
    assert (config.chain.confirmations, config.chain.retries, config.chain.slot_blocks) == (None, 5, None)
    assert config.chain.min_balance == 5 * 10**16


@pytest.mark.parametrize("role", ROLES)
def test_the_template_parses_and_names_every_key(read: Read, tmp_path: Path, role: Role) -> None:
    path = tmp_path / "made.toml"
    write_template(role, path)
    config = read_config(path)
    assert config.role == role
    assert getattr(config, role) is not None
    with pytest.raises(InputError, match="exists already"):
        write_template(role, path)
    # with the lines that are only proposed, too: each is a key that is known
    proposed = re.sub(r"^# (\[store\]|\w+ = )", r"\1", template(role), flags=re.MULTILINE)
    assert proposed != template(role)
    keys = {name: KeyPair.generate().public for name in ("w1.json", "w2.json")}
    for address, (name, key) in zip(WORKERS, keys.items(), strict=True):
        key_file(tmp_path / name, address, key)
    full = read(proposed.replace("0x...", SOMEBODY))
    assert full.store == "s3://bucket/folder"
    assert full.passphrase_file == tmp_path / "passphrase"
    if full.participant is not None:
        assert (full.participant.datasets, full.participant.tasks) == ((1, 2), (1,))
        assert full.participant.workers == set(zip(WORKERS, keys.values(), strict=True))
        assert full.participant.sponsors == {SOMEBODY}
    if full.worker is not None:
        assert full.worker.sponsors == {SOMEBODY}
    assert full.chain.slot_blocks == 10


def key_file(path: Path, address: str, key: bytes, suite: str = "x25519") -> Path:
    """What `fedproof keys show KEYS --json` prints."""
    path.write_text(json.dumps({"address": address, "hpke_suite": suite, "hpke_public_key": key.hex()}))
    return path


def test_workers_are_pinned_by_their_key_files(read: Read, tmp_path: Path) -> None:
    """An address alone would let a sponsor name it with a key of its own."""
    keys = [KeyPair.generate().public for _ in WORKERS]
    for name, address, key in zip("ab", WORKERS, keys, strict=True):
        key_file(tmp_path / name, address, key)
    text = LEAST.replace('"worker"', '"participant"') + "[participant]\nworkers = "
    participant = read(text + '["a", "b"]').participant
    assert participant is not None
    assert participant.workers == {(WORKERS[0], keys[0]), (WORKERS[1], keys[1])}
    key_file(tmp_path / "same address", WORKERS[0], KeyPair.generate().public)
    key_file(tmp_path / "same key", WORKERS[1], keys[0])
    for other, said in (("same address", f"the same address {WORKERS[0]}"), ("same key", "the same HPKE key")):
        assert re.search(f"{other} and .*/a have {said}", refusal(read, text + f'["a", "{other}"]'))
    key_file(tmp_path / "short", WORKERS[1], keys[1][:-1])
    (tmp_path / "address").write_text(json.dumps({"address": WORKERS[1]}))
    for names, said in (
        ("[]", "participant.workers"),
        ('["a", "a"]', "participant.workers"),
        (f'["{WORKERS[0]}"]', "fedproof keys show KEYS --json"),
        ('["a", "short"]', "hexadecimal bytes"),
        ('["address"]', "hpke_suite"),
    ):
        assert said in refusal(read, text + names)


def test_paths_may_be_anywhere(read: Read, tmp_path: Path) -> None:
    config = read(LEAST.replace('"keys"', '"/etc/keys"').replace('"state"', '"../state"'))
    assert config.keystore == Path("/etc/keys")
    assert config.state == tmp_path / "../state"
    for url, store in (("blobs", f"{tmp_path}/blobs"), ("/srv/blobs", "/srv/blobs"), ("s3://bucket", "s3://bucket")):
        assert read(LEAST + f'[store]\nurl = "{url}"').store == store


def test_the_environment_gives_the_url_and_nothing_shows_it(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(nodefile.RPC_VARIABLE, "https://user:word@node/v3/abcd1234")
    for text in (LEAST, LEAST.replace('rpc = "http://node:8545"', "")):
        config = read(text)
        assert config.chain.rpc == "https://user:word@node/v3/abcd1234"
        assert "word" not in repr(config)
        assert "abcd1234" not in repr(config)
    monkeypatch.setenv(nodefile.RPC_VARIABLE, "word")
    said = refusal(read, LEAST)
    assert nodefile.RPC_VARIABLE in said
    assert "word" not in said


def test_depth(read: Read) -> None:
    unsaid, none, two = (
        read(LEAST.replace("[keys]", f"{text}\n[keys]")) for text in ("", "confirmations = 0", "confirmations = 2")
    )
    assert [config.chain.depth(True) for config in (unsaid, none, two)] == [0, 0, 2]
    assert two.chain.depth(False) == 2
    for config in (unsaid, none):
        with pytest.raises(InputError, match=r"chain.confirmations must be 1 or more"):
            config.chain.depth(False)


WRONG = {
    ("role",): ["leader", 3],
    ("name",): ["", "a b", "x" * 65, "ü", 7],
    ("deployment",): ["", 7, "a\nb", "~nobody-of-this-name"],
    ("more",): [1],
    ("chain",): [1],
    ("chain", "rpc"): ["ftp://x", "node:8545", "http://", "http://x:99999", 1, ""],
    ("chain", "confirmations"): [-1, 1.0, "2", True, 10_001],
    ("chain", "poll_seconds"): [0, "1", 3601, True, float("nan")],
    ("chain", "timeout"): [0, -1, float("inf")],
    ("chain", "retries"): [-1, 1.5, 101],
    ("chain", "min_balance"): [-1, "0.5"],
    ("chain", "clock_tolerance"): [0, 1.5],
    ("chain", "slot_blocks"): [0, 1.5, "5", 100_001],
    ("chain", "more"): [1],
    ("store", "url"): [7, "", "~nobody-of-this-name/blobs"],
    ("store", "more"): [7],
    ("keys", "folder"): [7, "", "~nobody-of-this-name/keys"],
    ("keys", "passphrase_file"): [7],
    ("keys", "passphrase"): ["secret"],
    ("state", "folder"): [7],
    ("state", "cache"): [[]],
    ("state", "min_free_mib"): [-1, 1.5],
    ("http", "host"): ["0.0.0.0", "::", "192.168.1.2", "example.org", "", 7, "a b"],
    ("http", "port"): [-1, 65_536, "80"],
    ("http", "public"): [1, "yes"],
    ("log", "level"): ["loud", 1],
    ("log", "format"): ["xml"],
    ("worker", "lead"): [1],
    ("worker", "escrow_datasets"): [1, [0], [-1], ["1"], [1, 1], [True], [1 << 63]],
    ("worker", "max_bond"): [50, "-1", "", "fifty", "1e3", "0.0000000000000000001", True],
    ("worker", "sponsors"): [[], "0x", ["0x12"], [SOMEBODY.lower()], [SOMEBODY, SOMEBODY], [1]],
    ("worker", "more"): [1],
}  # fmt: skip


def toml(value: Any) -> str:
    """A document, or a value, as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def written(document: dict[str, Any]) -> str:
    lines = [f"{key} = {toml(value)}" for key, value in document.items() if not isinstance(value, dict)]
    for key, table in document.items():
        if isinstance(table, dict):
            lines += [f"[{key}]", *(f"{name} = {toml(value)}" for name, value in table.items())]
    return "\n".join(lines)


@pytest.mark.parametrize("path", WRONG, ids=".".join)
def test_a_wrong_value_is_refused_by_its_path(read: Read, path: tuple[str, ...]) -> None:
    for value in WRONG[path]:
        document = tomllib.loads(LEAST)
        table = document
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value
        said = refusal(read, written(document))
        assert ".".join(path) in said
        assert "secret" not in said


@pytest.mark.parametrize(
    "path",
    [
        ("role",),
        ("name",),
        ("deployment",),
        ("chain", "rpc"),
        ("keys",),
        ("keys", "folder"),
        ("state",),
        ("state", "folder"),
    ],
    ids=".".join,
)
def test_a_missing_value_is_named(read: Read, path: tuple[str, ...]) -> None:
    document = tomllib.loads(LEAST)
    table = document
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    said = refusal(read, written(document))
    assert ".".join(path) in said
    assert "missing" in said


def test_roles_have_their_own_sections(read: Read, tmp_path: Path) -> None:
    assert "worker" in refusal(read, LEAST.replace('"worker"', '"participant"') + "[worker]\nlead = true")
    participant = read(LEAST.replace('"worker"', '"participant"') + "[participant]\nmin_updates = 5").participant
    assert participant is not None
    assert (participant.min_updates, participant.tasks, participant.access) == (5, None, tmp_path / "access")
    for key, value in (
        ("access", 1),
        ("access", '""'),
        ("min_updates", 1),
        ("min_committee", 2),
        ("max_rounds", 0),
        ("tasks", [0]),
        ("more", 1),
    ):
        text = LEAST.replace('"worker"', '"participant"') + f"[participant]\n{key} = {value}"
        assert f"participant.{key}" in refusal(read, text)
    provider = LEAST.replace('"worker"', '"provider"')
    found = read(provider + '[provider]\ndatasets = ["a", "/b"]').provider
    assert found is not None
    assert [path.name for path in found.datasets] == ["a", "b"]
    assert found.datasets[0].is_absolute()
    for value in ('[""]', '["a", "a"]', "[1]", '"a"'):
        assert "provider.datasets" in refusal(read, provider + f"[provider]\ndatasets = {value}")
    for text in (provider, provider + "[provider]\ndatasets = []"):
        assert "provider.datasets names no dataset" in refusal(read, text)


@pytest.mark.parametrize("url", ["http://user:word@node:1", "http://user@node", "https://node/x?key=word"])
def test_credentials_do_not_belong_into_the_file(read: Read, url: str) -> None:
    said = refusal(read, LEAST.replace("http://node:8545", url))
    assert "chain.rpc holds credentials" in said
    assert nodefile.RPC_VARIABLE in said
    assert "word" not in said
    said = refusal(read, LEAST + '[store]\nurl = "s3://key:word@bucket"')
    assert "store.url holds credentials" in said
    assert "word" not in said


def test_beyond_this_machine_takes_a_word(read: Read) -> None:
    assert read(LEAST + '[http]\nhost = "0.0.0.0"\npublic = true').http.public
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert read(LEAST + f'[http]\nhost = "{host}"').http.host == host


def test_what_is_no_toml_is_refused(read: Read, tmp_path: Path) -> None:
    for text in ("= 1", "[a", "a = 1\na = 2", "x" * 70_000, "\x00", "a = " + "9" * 5_000):
        assert "node.toml" in refusal(read, text)
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        read_config(tmp_path / "node.toml")
    with pytest.raises(InputError, match="fedproof node init"):
        read_config(tmp_path / "nowhere.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path)
