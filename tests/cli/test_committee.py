"""Keys in other hands, by commands alone: a committee that answers for a provider, and a sale with its hand-over."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedproof.errors import FedproofError, InputError, SealingError, StateError
from tests.cli.test_market import User

pytestmark = pytest.mark.slow

DAY = ("--duration", "1d")
MEMBERS = ("uma", "vera", "wim")


def write_rows(path: Path, count: int) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["age", "dose", "outcome"])
        out.writerows([20 + k, k % 7, k % 2] for k in range(count))
    return path


def prepared(user: User, folder: Path, name: str, count: int) -> str:
    source = write_rows(folder / f"{name}.csv", count)
    words = ("dataset", "prepare", str(source), "--out", str(folder / name), "--private-scale")
    user(*words, "--label", "outcome", "--positive", "1")
    user(*words)
    return str(folder / name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("committee")


@pytest.fixture(scope="module")
def user(folder: Path) -> User:
    """A home with one dataset of alice, whose keys are with a committee, and bob, who holds a grant of Tier 3."""
    user = User(folder / "home")
    user("market", "init")
    listed = user(
        *("dataset", "mint", prepared(user, folder, "first", 40), "--as", "alice"),
        *("--threshold", "3=10", "--threshold", "5=20"),
    )
    assert listed["dataset"] == 1
    user("market", "fund", "bob", "40", "--deposits")
    user("notes", "deposit", "40", "--as", "bob")
    contact = folder / "uma.contact.json"
    user("contact", "--as", "uma", "--out", str(contact))
    words = ("dataset", "place", "1", "--as", "alice", "--member", str(contact), "--member", "vera")
    user.refused(InputError, "takes 3 members", *words)
    user.refused(InputError, "named twice", *words, "--member", "uma")
    user.refused(InputError, "at least 1", *words, "--member", "wim", "--threshold", "0")
    placed = user(*words, "--member", "wim")
    assert (placed["version"], placed["members"], placed["shares_needed"]) == (1, 3, 2)
    assert user(*words, "--member", "wim") == placed
    user("access", "request", "1", "--tier", "3", *DAY, "--as", "bob")
    return user


def test_a_committee_answers_while_the_provider_is_away(user: User, folder: Path) -> None:
    out = str(folder / "opened")
    words = ("access", "open", "1", "--as", "bob", "--out", out)
    done = user("committee", "release", "--as", "uma")
    assert ([each["tier"] for each in done["released"]], done["refused"]) == ([3], [])
    assert user("committee", "release", "--as", "uma")["released"] == []
    user.refused(StateError, "1 of 2 shares", *words)
    status = user("access", "status", "1", "--as", "bob")[0]
    assert (status["key_of_version"], status["shares"], status["shares_needed"]) == (0, 1, 2)
    assert user("committee", "release", "2", "--as", "vera")["released"] == []  # another dataset than the one asked for
    assert [each["dataset"] for each in user("committee", "release", "1", "--as", "vera")["released"]] == [1]
    opened = user(*words)
    assert (opened["tier"], opened["records_checked"], opened["wrong_shares"]) == (3, 40, [])
    assert user("committee", "release", "--as", "alice")["released"] == []  # no member


def test_what_is_no_contact_is_refused(user: User, folder: Path) -> None:
    good = json.loads((folder / "uma.contact.json").read_text())
    broken: list[Any] = [{**good, "version": 2}, {**good, "hpke_key": "00"}, {**good, "address": "0x12"}, [], "x", {}]
    broken += [{**good, "extra": 1}, {**good, "hpke_key": 5}, {**good, "hpke_key": "zz" * 32}]
    for k, document in enumerate(broken):
        path = folder / f"broken-{k}.json"
        path.write_text(json.dumps(document))
        words = ("dataset", "place", "1", "--as", "alice", "--member", str(path), "--member", "vera", "--member", "wim")
        user.refused(InputError, "no contact file", *words)
    user.refused(InputError, "cannot be read", *words[:-5], str(folder / "none.json"), *words[-4:])
    user.refused(InputError, "exists already", "contact", "--as", "vera", "--out", str(folder / "uma.contact.json"))


def test_a_buyer_answers_grants_with_the_keys_that_were_handed_over(user: User, folder: Path) -> None:
    listed = user(
        *("dataset", "mint", prepared(user, folder, "sold", 35), "--as", "carl"),
        *("--threshold", "3=10", "--threshold", "5=20"),
    )
    number = str(listed["dataset"])
    user("access", "request", number, "--tier", "3", *DAY, "--as", "bob")
    file, contact = folder / "keys.bin", folder / "dora.json"
    user("contact", "--as", "dora", "--out", str(contact))
    made = user("dataset", "hand-over", number, str(contact), "--as", "carl", "--out", str(file))
    assert made["versions"] == [1]
    take = ("dataset", "take-over", number, str(file), "--as")
    user.refused(InputError, "buy it first", *take, "dora")
    user("market", "fund", "dora", "10")
    user("dataset", "offer", number, "--price", "7", "--as", "carl")
    user("dataset", "buy", number, "--at-most", "7", "--as", "dora")
    user("dataset", "update", number, prepared(user, folder, "own", 33), "--as", "dora")  # needs none of the old keys
    user.refused(
        SealingError, "does not open", "dataset", "take-over", number, str(folder / "dora.json"), "--as", "dora"
    )
    assert user(*take, "dora") == {"dataset": 2, "versions": [1], "present_version": 2, "complete": False}
    assert user("dataset", "deliver", "--as", "carl")["delivered"] == []  # it is not his any more
    assert [each["version"] for each in user("dataset", "deliver", "--as", "dora")["delivered"]] == [2]
    opened = user("access", "open", number, "--as", "bob", "--out", str(folder / "new"))
    assert (opened["version"], opened["records_checked"]) == (2, 33)
    user.refused(
        InputError, "exists already", "dataset", "hand-over", number, "bob", "--as", "dora", "--out", str(file)
    )
    onward = folder / "onward.bin"
    assert user("dataset", "hand-over", number, "bob", "--as", "dora", "--out", str(onward))["versions"] == [1, 2]
    user("dataset", "transfer", number, "bob", "--as", "dora")
    user.refused(SealingError, "does not open", *take, "bob")  # sealed to dora
    assert user("dataset", "take-over", number, str(onward), "--as", "bob")["complete"] is True
    user.refused(FedproofError, "does not own", "dataset", "hand-over", number, "x", "--as", "erik", "--out", "y")


def test_an_owner_without_keys_is_told_so_and_answers_the_others(user: User, folder: Path) -> None:
    listed = user("dataset", "mint", prepared(user, folder, "given", 34), "--as", "fred", "--threshold", "3=10")
    number = str(listed["dataset"])
    user("dataset", "transfer", number, "greta", "--as", "fred")
    own = user("dataset", "mint", prepared(user, folder, "hers", 36), "--as", "greta", "--threshold", "3=10")["dataset"]
    for each in (number, str(own)):
        user("access", "request", each, "--tier", "3", *DAY, "--as", "bob")
    user.refused(StateError, "has no keys", "dataset", "hand-over", number, "bob", "--as", "greta", "--out", "z")
    done = user("dataset", "deliver", "--as", "greta")
    assert [each["dataset"] for each in done["delivered"]] == [own]
    assert ["take them over" in each for each in done["refused"]] == [True]
    assert (
        user("access", "open", str(own), "--as", "bob", "--out", str(folder / "hers-opened"))["records_checked"] == 36
    )
