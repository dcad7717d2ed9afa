"""Numbers that no contract takes are refused where they are typed, in one line and before a home is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedproof.app.amounts import AMOUNT_BITS, TOKEN, parse_by_tier, parse_tokens, show_tokens
from fedproof.cli import main as command
from fedproof.cli.common import show
from fedproof.errors import InputError
from fedproof.ledger.market_types import Addresses
from tests.cli.conftest import Here
from tests.cli.test_command import only_line

AS = ("--as", "alice")
OF_A_DATASET: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "show": (("dataset", "show"), ()),
    "retire": (("dataset", "retire", *AS), ()),
    "update": (("dataset", "update", *AS), ("folder",)),
    "transfer": (("dataset", "transfer", *AS), ("bob",)),
    "offer": (("dataset", "offer", *AS, "--price", "1"), ()),
    "buy": (("dataset", "buy", *AS, "--at-most", "1"), ()),
    "place": (("dataset", "place", *AS, "--member", "w1"), ()),
    "hand-over": (("dataset", "hand-over", *AS, "--out", "x"), ("bob",)),
    "take-over": (("dataset", "take-over", *AS), ("file",)),
    "request": (("access", "request", *AS, "--tier", "3", "--duration", "1d"), ()),
    "extend": (("access", "extend", *AS, "--tier", "3", "--duration", "1d"), ()),
    "status": (("access", "status", *AS), ()),
    "open": (("access", "open", *AS, "--out", "x"), ()),
    "release": (("committee", "release", *AS), ()),
}
NO_IDS = ["-1", "0", str(1 << 256), "9" * 5000, "1e3", "1.0", "１", "1_0", ""]


@pytest.mark.parametrize("name", OF_A_DATASET)
def test_a_number_that_is_no_dataset_id_is_refused(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before, after = OF_A_DATASET[name]
    for wrong in NO_IDS:
        done = here(*before, "--quiet", "--", wrong, *after)
        assert done.returncode == 2, wrong
        assert "is no dataset id" in only_line(done)
        assert len(done.stderr) < 250
    # the greatest id gets as far as the home
    assert "is no marketplace home" in here(*before, "--quiet", "--", str((1 << 256) - 1), *after).stderr or after
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("epochs", [-1, (1 << 20) + 1, 1 << 32, 10**30])
@pytest.mark.parametrize("words", [("deposit", "1"), ("pay", "fpnote1", "1")])
def test_a_lock_that_no_vault_takes_is_refused(here: Here, words: tuple[str, ...], epochs: int) -> None:
    done = here("notes", *words, *AS, f"--epochs={epochs}")
    assert done.returncode == 2
    assert "--epochs" in only_line(done)


NO_AMOUNTS = [
    "", ".", "nan", "snan", "inf", "-1", "-0.5", "1e400", "1e999999", "1e999999999999999999999",
    "1e-999999999", "1e-400",
    "0.0000000000000000001", "1e-19", "１", "1_000", "0x10", "9" * 80, "9" * 9000, "5\n6", "1/2", "1 2",
    str(1 << AMOUNT_BITS), show_tokens(1 << AMOUNT_BITS),
]  # fmt: skip


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_what_is_no_amount_is_refused_in_one_short_line(text: str) -> None:
    for parse in (lambda: parse_tokens(text), lambda: parse_by_tier([f"3={text}"], "--price")):
        with pytest.raises(InputError) as error:
            parse()
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 250


@pytest.mark.parametrize("tier", ["0", "6", "-1", "３", "", "9" * 5000, "03", "1.5"])
def test_what_is_no_tier_is_refused(tier: str) -> None:
    with pytest.raises(InputError, match="write a tier from 1 to 5 once"):
        parse_by_tier([f"{tier}=1"], "--threshold")


@pytest.mark.parametrize(
    ("text", "units"),
    [("0", 0), ("2.5", 25 * TOKEN // 10), (" 5 ", 5 * TOKEN), ("1e3", 1000 * TOKEN), (".5", TOKEN // 2), ("1e-18", 1),
     (show_tokens((1 << AMOUNT_BITS) - 1), (1 << AMOUNT_BITS) - 1)],
)  # fmt: skip
def test_an_amount_is_read_and_shown_without_rounding(text: str, units: int) -> None:
    assert parse_tokens(text) == units
    assert parse_tokens(show_tokens(units)) == units


def test_a_great_price_ends_the_command_in_one_line(here: Here) -> None:
    for price in ("1e400", "1e999999", "9" * 80):
        done = here("dataset", "offer", "1", *AS, f"--price={price}")
        assert done.returncode == 2
        only_line(done)


@pytest.mark.parametrize(("failure", "said"), [(MemoryError, "too large"), (RecursionError, "nested too deeply")])
def test_what_a_machine_cannot_hold_is_one_line(
    monkeypatch: pytest.MonkeyPatch, here: Here, failure: type[Exception], said: str
) -> None:
    def fail(**_: object) -> None:
        raise failure

    monkeypatch.setattr(command.cli, "main", fail)
    done = here("market", "classes")
    assert done.returncode == 2
    assert said in only_line(done)


def test_a_path_that_is_no_text_can_be_printed(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show(False, {}, ["made a\udcff and \ud800"])
    assert capsysbinary.readouterr().out.startswith(b"made a")


def test_a_home_whose_lock_is_a_folder_is_one_line(tmp_path: Path, here: Here) -> None:
    (tmp_path / "lock").mkdir()
    addresses = dict.fromkeys(Addresses.__dataclass_fields__, "0x" + "1" * 40)
    document = {"version": 1, "chain_id": 1, "rpc": None, "store": "x", "contracts": addresses, "keys": None}
    (tmp_path / "market.json").write_text(json.dumps(document))
    done = here("market", "classes", "--home", str(tmp_path))
    assert done.returncode == 9
    assert "lock cannot be opened: Is a directory" in only_line(done)
    (tmp_path / "lock").rmdir()
    (tmp_path / "chain.json").write_text("{}")
    done = here("market", "classes", "--quiet", "--home", str(tmp_path))
    assert done.returncode == 2
    assert "chain.json is damaged; restore it" in only_line(done)


def test_what_strangers_wrote_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a task is its sponsor's, who may be anybody."""
    show(False, {}, ["task 1 \x1b[2J\x1b]0;title\x07 \u202ename\n: ended", "  two  spaces, é"])
    assert capsys.readouterr().out == "task 1 ?[2J?]0;title? ?name?: ended\n  two  spaces, é\n"
