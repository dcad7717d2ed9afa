"""Owner and user on machines of their own: two homes, one node, one store, keys of who made the marketplace."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.errors import InputError, KeyFileError, LedgerError, StorageError
from tests.cli.test_committee import DAY, prepared
from tests.cli.test_market import User
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.slow, pytest.mark.anvil]


def test_an_owner_and_a_user_meet_over_a_node(tmp_path: Path) -> None:
    """One test, for the marketplace takes longer to make than all that is asked of it."""
    owner, user = User(tmp_path / "owner"), User(tmp_path / "user")
    with AnvilProcess() as anvil, served(owner.home) as url:  # a plain web server, which knows no ranges
        owner("market", "init", "--rpc", anvil.url)
        joined = user("market", "join", url)
        assert joined["chain_id"] == 31_337
        user.refused(InputError, "exists already", "market", "join", str(owner.home))
        check_what_cannot_be_joined(tmp_path, owner)

        # a shape that the marketplace does not have: not for the joined home to make
        folder = prepared(user, tmp_path, "records", 40)
        mint = ("dataset", "mint", folder, "--threshold", "3=10", "--as")
        user.refused(InputError, "fedproof market add-class", *mint, "carol")
        owner.refused(InputError, "no capacity class", "market", "add-class", "33", "3")
        assert owner("market", "add-class", "64", "2")["class"] == 1
        assert owner("market", "add-class", "64", "2")["class"] == 1

        number = str(owner(*mint, "alice")["dataset"])
        assert user("dataset", "show", number)["rows"] == 40
        user("market", "fund", "bob", "10", "--deposits")
        user("notes", "deposit", "10", "--as", "bob")
        user("access", "request", number, "--tier", "3", *DAY, "--as", "bob")
        contact = tmp_path / "bob.json"
        user("contact", "--as", "bob", "--out", str(contact))
        assert len(owner("dataset", "deliver", "--as", "alice")["delivered"]) == 1
        words = ("access", "open", number, "--as", "bob", "--out")
        assert user(*words, str(tmp_path / "opened"))["records_checked"] == 40

        # the buyer goes on from its own home
        sealed = tmp_path / "keys.bin"
        owner("dataset", "hand-over", number, str(contact), "--as", "alice", "--out", str(sealed))
        owner("dataset", "transfer", number, json.loads(contact.read_text())["address"], "--as", "alice")
        assert user("dataset", "take-over", number, str(sealed), "--as", "bob")["complete"] is True
        assert user("dataset", "update", number, folder, "--as", "bob")["version"] == 2

        check_keys_of_another_marketplace(tmp_path, user, number)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing: the command's output is read."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder on a web server of this process."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def check_what_cannot_be_joined(base: Path, owner: User) -> None:
    other = User(base / "other")
    other.refused(InputError, "holds no market.json", "market", "join", str(base / "nothing"))
    public = base / "public"
    public.mkdir()
    document = json.loads((owner.home / "market.json").read_text())
    for changes, kind, match in (
        ({"rpc": None}, InputError, "made with --rpc"),
        ({"chain_id": 5}, LedgerError, "not 5"),
        ({"contracts": {**document["contracts"], "vault": "0x" + "11" * 20}}, LedgerError, "no contract at .*vault"),
        ({"contracts": {**document["contracts"], "vault": "0x11"}}, InputError, "address is none"),
        ({"contracts": []}, InputError, "damaged"),
        ({"store": 5}, InputError, "damaged"),
        ({"version": 2}, InputError, "version 1"),
        ({"more": 1}, InputError, "version 1"),
    ):
        (public / "market.json").write_text(json.dumps({**document, **changes}))
        other.refused(kind, match, "market", "join", str(public))
    (public / "market.json").write_bytes(b" " * (1 << 17))
    other.refused(StorageError, "more than 65536 bytes", "market", "join", str(public))
    other.refused(InputError, "no driver for gopher", "market", "join", "gopher://somewhere/market")
    assert not other.home.exists()


def check_keys_of_another_marketplace(base: Path, user: User, number: str) -> None:
    """Keys that fit no class on chain are refused, and damaged ones are not made anew."""
    foreign = User(base / "foreign")
    foreign("market", "init")
    foreign("market", "add-class", "64", "2")
    words = ("access", "open", number, "--as", "bob", "--out", str(base / "again"))
    keys, kept = user.home / "keys", base / "kept"
    shutil.copytree(keys, kept)
    for name in (path.name for path in (foreign.home / "keys").iterdir()):
        shutil.copy(foreign.home / "keys" / name, keys / name)
    user.refused(KeyFileError, "not those of capacity class 1", *words)
    for path in keys.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    user.refused(KeyFileError, "is damaged", *words)
    shutil.rmtree(keys)
    shutil.copytree(kept, keys)
    assert user(*words)["version"] == 1
