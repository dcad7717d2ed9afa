"""The marketplace as its users meet it: from a file on disk to opened records and money, by commands alone."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_breast_cancer

from fedproof.app import home as homes
from fedproof.app.home import Home
from fedproof.app.telling import Silent
from fedproof.cli.main import cli
from fedproof.errors import FedproofError, InputError, StateError
from fedproof.ledger import Chain
from fedproof.ledger.replay import replay_file

# The tests share one home and run in this order where one process runs them all; none needs what another did.
pytestmark = pytest.mark.slow

ROWS = 60
MISTYPED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAee"
"""EIP-55's first example with its last digit changed."""


class LastChain:
    """Gives a command the chain that the one before it left, where its file says that it is the same.

    A command of its own process runs the chain again, which takes longer than most of what commands do.
    """

    def __init__(self) -> None:
        self.kept: Chain | None = None

    def __call__(self, path: Path) -> Chain:
        if self.kept is None or json.loads(path.read_text()) != json.loads(json.dumps(self.kept.export())):
            self.kept = replay_file(path)
        return self.kept


@pytest.fixture(scope="module", autouse=True)
def last_chain() -> Iterator[LastChain]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "replay_file", last := LastChain())
        yield last


@pytest.fixture(autouse=True)
def _from_the_file(last_chain: LastChain) -> None:
    """The first command of each test runs the chain again."""
    last_chain.kept = None


class User:
    """Runs commands against one home, in this process."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str, json_out: bool = True) -> Any:
        """A command that must succeed; its JSON."""
        place = ["--home", str(self.home)] if words[:2] != ("dataset", "prepare") else []
        done = CliRunner().invoke(
            cli, [*words, *place, "--quiet", *(["--json"] if json_out else [])], standalone_mode=False
        )
        if done.exception is not None:
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.output) if json_out else done.output

    def refused(self, kind: type[FedproofError], match: str, *words: str) -> None:
        """A command that must be refused in one line."""
        with pytest.raises(kind, match=match) as error:
            self(*words)
        assert "\n" not in str(error.value)


def write_table(path: Path, rows: range, identifiers: bool) -> Path:
    table = load_breast_cancer()
    names = [name.replace(" ", "_") for name in table.feature_names[:6]]
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*(["patient"] if identifiers else []), *names, "target"])
        for k in rows:
            cells = [f"{value:.6g}" for value in table.data[k][:6]]
            out.writerow([*([f"P{k:04d}"] if identifiers else []), *cells, table.target_names[table.target[k]]])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("market")


@pytest.fixture(scope="module")
def user(folder: Path) -> User:
    """A home with a listed dataset and a grantee who has opened it."""
    user = User(folder / "home")
    user("market", "init")
    records = write_table(folder / "records.csv", range(ROWS), identifiers=True)
    public = write_table(folder / "public.csv", range(200, 400), identifiers=False)
    prepare(user, folder, records, public, "prepared")
    listed = user(
        *("dataset", "mint", str(folder / "prepared"), "--as", "alice"),
        *("--threshold", "1=10", "--threshold", "3=1000", "--threshold", "5=4000", "--price", "5=20"),
    )
    assert (listed["dataset"], listed["version"]) == (1, 1)
    user("market", "fund", "bob", "6000", "--deposits")
    user("market", "fund", "bob", "100")
    for tokens in ("2500", "2500", "1000"):
        user("notes", "deposit", tokens, "--as", "bob")
    words = ("access", "request", "1", "--tier", "5", "--duration", "30d", "--as", "bob")
    user.refused(InputError, "costs 20 tokens; to pay that, say --at-most 20", *words)
    user(*words, "--at-most", "20")
    return user


def prepare(user: User, folder: Path, records: Path, public: Path, out: str, *more: str) -> Any:
    words = ("dataset", "prepare", str(records), "--out", str(folder / out), "--public", str(public), *more)
    drafted = user(*words, "--name", "clinic", "--identifier", "patient", "--label", "target", "--domain", "oncology")
    assert drafted["open_points"] == []
    return user(*words)


def test_the_catalogue_is_free(user: User) -> None:
    found = user("dataset", "show", "1")
    assert (found["rows"], found["domain"], found["version"]) == (ROWS, "oncology", 1)
    assert [tier["tier"] for tier in found["tiers"]] == [0, 1, 3, 5]
    assert found["tiers"][-1] == {"tier": 5, "threshold": "4000", "price": "20"}
    assert "patient" not in json.dumps(found["card"])
    for words, hits in (
        (("list",), 1),
        (("list", "--domain", "Oncology", "--tier", "5", "--owner", "alice", "--min-rows", "60"), 1),
        (("list", "--tier", "4"), 0),
        (("list", "--min-rows", "61"), 0),
        (("list", "--max-rows", "59"), 0),
        (("list", "--tier", "5", "--max-price", "19.9"), 0),
        (("list", "--tier", "5", "--max-price", "20"), 1),
        (("list", "--owner", "bob"), 0),
        (("search", "mean_radius malignant"), 1),
        (("search", "mean_radius lungs"), 0),
    ):
        assert len(user("dataset", *words)) == hits, words


def test_a_grantee_opens_what_its_tier_opens_and_the_records_are_the_listed_ones(user: User, folder: Path) -> None:
    assert user("access", "status", "--as", "bob")[0]["key_of_version"] == 0
    user.refused(
        StateError, "has not delivered the key", "access", "open", "1", "--as", "bob", "--out", str(folder / "x")
    )
    assert [each["tier"] for each in user("dataset", "deliver", "--as", "alice")["delivered"]] == [5]
    assert user("dataset", "deliver", "--as", "alice") == {"delivered": [], "refused": []}
    opened = user("access", "open", "1", "--as", "bob", "--out", str(folder / "opened"))
    assert (opened["tier"], opened["records_checked"]) == (5, ROWS)
    assert sorted(opened["files"]) == ["1", "3", "5"]
    raw = (folder / "opened" / "tier5" / "raw.csv").read_bytes()
    assert raw == (folder / "prepared" / "tier5" / "raw.csv").read_bytes()
    assert b"P0007" in raw
    for tier in ("tier1", "tier3"):
        for path in (folder / "opened" / tier).iterdir():
            assert b"P0007" not in path.read_bytes(), path.name
    status = user("access", "status", "1", "--as", "bob")
    assert [(each["tier"], each["running"], each["key_of_version"]) for each in status] == [(5, True, 1)]


def test_the_price_went_to_the_owner(user: User) -> None:
    assert user("notes", "balance", "--as", "alice")["tokens"] == "20"
    assert user("notes", "balance", "--as", "bob")["tokens"] == "80"


def test_refuses_in_one_line_what_cannot_be(user: User, folder: Path) -> None:
    prepared = str(folder / "prepared")
    ask = ("access", "request", "1", "--as")
    for kind, match, words in (
        (InputError, "had a grant of tier 5", (*ask, "bob", "--tier", "5", "--duration", "1d", "--at-most", "20")),
        (InputError, "checksum is wrong", ("dataset", "transfer", "1", MISTYPED, "--as", "alice")),
        (InputError, "40 hexadecimal digits", ("dataset", "transfer", "1", MISTYPED[:-1], "--as", "alice")),
        (
            InputError,
            "checksum is wrong",
            ("dataset", "offer", "1", "--price", "1", "--buyer", MISTYPED, "--as", "alice"),
        ),
        (InputError, "no name for", ("dataset", "offer", "1", "--price", "1", "--buyer", "", "--as", "alice")),
        (InputError, "checksum is wrong", ("notes", "withdraw", "1", "--to", MISTYPED, "--as", "bob")),
        (InputError, "no name for", ("notes", "withdraw", "1", "--to", "", "--as", "bob")),
        (InputError, "has no grant", ("access", "open", "1", "--as", "greg", "--out", str(folder / "never"))),
        (InputError, "looks like an address", ("notes", "balance", "--as", "0xbob")),
        (InputError, "does not offer tier 4", (*ask, "bob", "--tier", "4", "--duration", "1d")),
        (InputError, "no duration", (*ask, "bob", "--tier", "3", "--duration", "0d")),
        (InputError, "in this epoch already", (*ask, "bob", "--tier", "3", "--duration", "1d")),
        (InputError, "lasts 31536000 s at most", (*ask, "bob", "--tier", "3", "--duration", "366d")),
        (FedproofError, "do not reach the threshold", (*ask, "carol", "--tier", "3", "--duration", "1d")),
        (InputError, "no grant of tier 3", ("access", "extend", "1", "--as", "bob", "--tier", "3", "--duration", "1d")),
        (InputError, "no tier is offered", ("dataset", "mint", prepared, "--as", "alice")),
        (InputError, "is zero", ("dataset", "mint", prepared, "--as", "alice", "--threshold", "3=0")),
        (InputError, "above the token's", ("dataset", "mint", prepared, "--as", "al", "--threshold", "3=10000000000")),
        (InputError, "not offered", ("dataset", "mint", prepared, "--as", "a", "--threshold", "3=1", "--price", "4=1")),
        (InputError, "no name for an identity", ("notes", "balance", "--as", "../bob")),
        (InputError, "not for sale", ("dataset", "buy", "1", "--at-most", "5", "--as", "bob")),
        (FedproofError, "NotProvider", ("dataset", "retire", "1", "--as", "bob")),
        (InputError, "no prepared dataset", ("dataset", "mint", str(folder), "--as", "a", "--threshold", "3=1")),
    ):
        user.refused(kind, match, *words)
    assert len(user("dataset", "list", "--retired")) == 1


def test_an_update_has_keys_of_its_own_and_a_running_grant_gets_them(user: User, folder: Path) -> None:
    user("dataset", "deliver", "--as", "alice")  # whatever of version 1 is not delivered yet
    records = write_table(folder / "more.csv", range(ROWS + 20), identifiers=True)
    prepare(user, folder, records, folder / "public.csv", "second", "--previous", str(folder / "prepared"))
    made = user("dataset", "update", "1", str(folder / "second"), "--as", "alice")
    assert made["version"] == 2
    assert user("dataset", "show", "1")["rows"] == ROWS + 20
    assert [each["version"] for each in user("dataset", "deliver", "--as", "alice")["delivered"]] == [2]
    opened = user("access", "open", "1", "--as", "bob", "--out", str(folder / "v2"))
    assert (opened["version"], opened["records_checked"]) == (2, ROWS + 20)
    old = user("access", "open", "1", "--as", "bob", "--out", str(folder / "v1"), "--version", "1")
    assert (old["version"], old["records_checked"]) == (1, ROWS)


def test_notes_are_paid_split_joined_and_withdrawn(user: User) -> None:
    user("market", "fund", "dora", "50", "--deposits")
    user("notes", "deposit", "50", "--epochs", "1", "--as", "dora")
    to = user("notes", "balance", "--as", "erik")["note_address"]
    user.refused(FedproofError, "locked", "notes", "pay", to, "20", "--as", "dora")
    user("market", "wait", "8d")
    user("notes", "pay", to, "20", "--as", "dora")
    user("notes", "split", "5", "15", "--as", "erik")
    assert sorted(note["tokens"] for note in user("notes", "balance", "--as", "erik")["notes"]) == ["15", "5"]
    user("notes", "join", "--as", "erik")
    assert user("notes", "withdraw", "12.5", "--as", "erik")["warning"] is None
    found = user("notes", "balance", "--as", "erik")
    # not to the account that takes grants: the chain would show whose deposits back them
    assert (found["tokens"], found["depositor_tokens"]) == ("0", "12.5")
    assert [note["tokens"] for note in found["notes"]] == ["7.5"]
    assert "may back them" in user("notes", "withdraw", "1", "--to", "bob", "--as", "erik")["warning"]


def test_a_dataset_is_sold_and_its_income_with_it(user: User) -> None:
    user("dataset", "offer", "1", "--price", "30", "--buyer", "bob", "--as", "alice")
    user.refused(InputError, "not for sale to dora", "dataset", "buy", "1", "--at-most", "30", "--as", "dora")
    user.refused(InputError, "costs 30 tokens", "dataset", "buy", "1", "--at-most", "29", "--as", "bob")
    user("dataset", "buy", "1", "--at-most", "30", "--as", "bob")
    before = float(user("notes", "balance", "--as", "bob")["tokens"])
    user("access", "extend", "1", "--tier", "5", "--duration", "5d", "--as", "bob", "--at-most", "20")  # pays itself
    assert float(user("notes", "balance", "--as", "bob")["tokens"]) == before
    user("dataset", "retire", "1", "--as", "bob")
    words = ("access", "extend", "1", "--tier", "5", "--duration", "5d", "--as", "bob")
    user.refused(InputError, "is retired", *words)
    assert user("dataset", "list") == []
    assert [each["retired"] for each in user("dataset", "list", "--retired")] == [True]


def test_a_repeated_mint_lists_nothing_twice(user: User, folder: Path) -> None:
    records = write_table(folder / "again.csv", range(ROWS), identifiers=True)
    prepare(user, folder, records, folder / "public.csv", "third")
    words = ("dataset", "mint", str(folder / "third"), "--as", "fritz", "--threshold", "3=7")
    first, second = user(*words), user(*words)
    assert first == second
    assert len(user("dataset", "list", "--owner", "fritz")) == 1


def test_an_update_changes_the_terms_that_it_names_alone(user: User, folder: Path) -> None:
    words = ("dataset", "mint", "--as", "gina", "--threshold", "3=7", "--price", "3=100", "--threshold", "5=9")
    records = write_table(folder / "terms.csv", range(ROWS), identifiers=True)
    for name in ("terms-1", "terms-2"):
        prepare(user, folder, records, folder / "public.csv", name)
    number = str(user(*words[:2], str(folder / "terms-1"), *words[2:])["dataset"])
    update = ("dataset", "update", number, str(folder / "terms-2"), "--as", "gina")
    assert user(*update)["version"] == 1  # the same records and terms: nothing to list
    assert user(*update, "--price", "5=600")["version"] == 2
    assert user(*update, "--price", "5=600")["version"] == 2
    tiers = {each["tier"]: (each["threshold"], each["price"]) for each in user("dataset", "show", number)["tiers"]}
    assert tiers == {0: ("0", "0"), 3: ("7", "100"), 5: ("9", "600")}
    assert user(*update, "--threshold", "5=0")["version"] == 3
    assert [each["tier"] for each in user("dataset", "show", number)["tiers"]] == [0, 3]
    user.refused(InputError, "not offered", *update, "--price", "5=1")
    user.refused(InputError, "no tier would be left", *update, "--threshold", "3=0")


def test_a_folder_that_is_no_home_says_how_to_make_one(tmp_path: Path) -> None:
    User(tmp_path / "none").refused(InputError, "fedproof market init", "dataset", "list")


@pytest.mark.parametrize("url", ["http://user:sec/ret@node", "http://user:[secret@node", "http://user:1/secret@node"])
def test_a_url_with_an_unquoted_secret_is_refused_without_it(tmp_path: Path, url: str) -> None:
    home = User(tmp_path / "home")
    home.refused(InputError, "write them as %", "market", "init", "--rpc", url)
    with pytest.raises(InputError) as caught:
        home("market", "init", "--rpc", url)
    assert "sec" not in str(caught.value)


def test_a_second_command_on_one_home_is_refused(user: User) -> None:
    import fcntl

    with (user.home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        user.refused(StateError, "in use by another command", "dataset", "list")


def test_a_node_signs_as_the_identity_that_took_the_grants(user: User, folder: Path, tmp_path: Path) -> None:
    """Access belongs to an account; a participant's node must have the key of that one."""
    phrase = tmp_path / "passphrase"
    phrase.write_text("open sesame, twice\n")
    phrase.chmod(0o600)
    words = ["keys", "import", str(tmp_path / "keys"), "--as", "bob", "--home", str(user.home)]
    done = CliRunner().invoke(cli, [*words, "--passphrase-file", str(phrase), "--json"], standalone_mode=False)
    assert done.exception is None, done.exception
    with Home.open(user.home, Silent()) as home:
        assert json.loads(done.output)["address"] == home.account("bob").address
    user("market", "fund", "wanda", "7")  # no secrets, but an account that somebody gave money to
    words[2], words[4] = str(tmp_path / "funded"), "wanda"
    done = CliRunner().invoke(cli, [*words, "--passphrase-file", str(phrase), "--json"], standalone_mode=False)
    assert done.exception is None, done.exception
    for mistyped in ("bbo", "../bob", "Bob", ""):
        words[2], words[4] = str(tmp_path / "mistyped"), mistyped
        refused = CliRunner().invoke(cli, [*words, "--passphrase-file", str(phrase)], standalone_mode=False).exception
        assert isinstance(refused, InputError), refused
        assert re.search("knows no identity.* alice, bob.*fedproof keys new|no name for an identity", str(refused))
        assert not (tmp_path / "mistyped").exists()
    both = [*words, "--key-file", str(phrase), "--passphrase-file", str(phrase)]
    assert isinstance(CliRunner().invoke(cli, both, standalone_mode=False).exception, click.UsageError)


def test_an_address_is_given_tokens_and_gas_money(user: User) -> None:
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert user("market", "fund", address, "7")["address"] == address
    with Home.open(user.home, Silent()) as home:
        assert home.chain.call(home.market.token.functions.balanceOf(address)) == 7 * 10**18
        assert home.chain.balance(address) == 10**18
    user.refused(InputError, "mistyped", "market", "fund", MISTYPED, "7")
