"""Options, cards and folders that somebody else made: refused in one line; cells that a spreadsheet would run: told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.prepare import Options, Prepared, prepare
from fedproof.data.cells import runs_in_a_spreadsheet
from fedproof.errors import InputError
from fedproof.storage.folders import new_folder
from tests.app.prepare_support import HEADER, Told, draft, run, tree, ward, ward_rows


def refused(match: str, action: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=match) as caught:
        action()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["name", "domain", "licence", "description", "note"])
@pytest.mark.parametrize("text", ["a\udcff", "a\x1b[2J", "x" * 5000])
def test_an_option_that_is_no_printable_text_is_refused_before_anything_is_written(
    tmp_path: Path, option: str, text: str
) -> None:
    source = ward(tmp_path)
    refused(f"--{option}", lambda: prepare(Options(source, tmp_path / "out", **{option: text}), Told()))
    assert [path.name for path in tmp_path.iterdir()] == ["ward.csv"]


def test_a_long_name_is_refused_and_not_drafted(tmp_path: Path) -> None:
    source = ward(tmp_path)
    refused("up to 128 letters", lambda: draft(source, name="n" * 300))
    assert [path.name for path in tmp_path.iterdir()] == ["ward.csv"]


@pytest.mark.parametrize("letters", [245, 252, 300])
def test_a_folder_whose_name_no_disk_takes_is_one_line(tmp_path: Path, letters: int) -> None:
    source = ward(tmp_path)
    out = tmp_path / ("o" * letters)
    refused("File name too long", lambda: prepare(Options(source, out, private_scale=True, accept_draft=True), Told()))
    schema = draft(source)
    if letters > 248:
        refused("File name too long", lambda: prepare(Options(source, out, schema, private_scale=True), Told()))
    refused("is no prepared dataset", lambda: Prepared.load(tmp_path / ("p" * 300)))


HISTORIES: dict[str, Any] = {
    "none": None,
    "a number": 5,
    "an object": {},
    "a text": "x",
    "of numbers": [1],
    "without rows": [{"version": 1, "note": ""}],
    "a row count of text": [{"version": 1, "rows": "1", "note": ""}],
    "a negative count": [{"version": 1, "rows": -1, "note": ""}],
    "a note of numbers": [{"version": 1, "rows": 1, "note": 5}],
    "half a letter": [{"version": 1, "rows": 1, "note": "\ud800"}],
    "nested": [{"version": 1, "rows": 1, "note": "", "more": [[[[]]]]}],
}


@pytest.mark.parametrize("case", HISTORIES)
def test_a_card_with_a_history_of_another_kind_is_refused(tmp_path: Path, case: str) -> None:
    source = ward(tmp_path)
    draft(source)
    card = run(source).folder / "card.json"
    document = json.loads(card.read_text())
    document["history"] = HISTORIES[case]
    if case == "none":
        del document["history"]
    card.write_text(json.dumps(document))
    refused("card.json holds no history", lambda: run(source, out="out2", previous=tmp_path / "out"))
    assert not (tmp_path / "out2").exists()


def tampered(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


MANIFESTS = {
    "a zero in a name": tampered("blocks", 0, "name", value="a\0b"),
    "a folder above": tampered("blocks", 0, "name", value=".."),
    "half a letter in a name": tampered("blocks", 0, "name", value="\ud800"),
    "a path": tampered("blocks", 0, "name", value="../card.json"),
    "a size beyond memory": tampered("blocks", 0, "size", value=1 << 62),
    "a size beyond a word": tampered("blocks", 0, "size", value=10**30),
    "another size": tampered("blocks", 0, "size", value=7),
    "half a letter": tampered("licence", value="\ud800"),
    "files of numbers": tampered("files", value={"3": 5}),
    "a tier of text": tampered("files", value={"x": []}),
    "no blocks": tampered("blocks", value=[]),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_prepare_cannot_have_written_is_refused(tmp_path: Path, case: str) -> None:
    source = ward(tmp_path)
    draft(source)
    path = run(source).folder / "prepared.json"
    document = json.loads(path.read_text())
    MANIFESTS[case](document)
    path.write_text(json.dumps(document))
    refused("damaged|do not belong together", lambda: Prepared.load(path.parent))


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    card = run(source).folder / "card.json"
    card.unlink()
    os.mkfifo(card)
    refused("card.json cannot be read: Not a plain file", lambda: Prepared.load(card.parent))


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o705, 0o701])
def test_a_folder_that_others_can_enter_is_not_filled(tmp_path: Path, mode: int) -> None:
    source = ward(tmp_path)
    draft(source)
    part = tmp_path / ".out.part"
    part.mkdir()
    part.chmod(mode)
    refused(r"\.out\.part is there already and not private to you", lambda: run(source))
    assert list(part.iterdir()) == []
    part.chmod(0o700)
    (part / "left").write_text("by a run that was killed")
    assert run(source).rows == 200


def test_a_folder_of_another_user_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".out.part").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)

    def fill() -> None:
        with new_folder(tmp_path / "out"):
            raise AssertionError("it was taken")

    refused("not private to you", fill)


@pytest.mark.parametrize(
    ("text", "runs"),
    [("=cmd|' /C calc'!A0", True), ("=1", True), ("@SUM(A1)", True), ("+a", True), ("-2+3+cmd|x", True), ("＝a", True),
     ("-5", False), ("+1.5e3", False), ("-", False), ("+41 79 000", False), ("a=b", False), ("", False)],
)  # fmt: skip
def test_what_a_spreadsheet_would_run(text: str, runs: bool) -> None:
    assert runs_in_a_spreadsheet(text) is runs


def test_cells_that_a_spreadsheet_would_run_are_kept_and_told(tmp_path: Path) -> None:
    rows = ward_rows()
    rows[3] = rows[3].replace("P-0003", "=cmd|' /C calc'!A0")
    rows[4] = rows[4].replace("P-0004", "@SUM(A1)")
    source = ward(tmp_path, [row.replace(",yes", ",=yes") for row in rows])
    draft(source, positive="=yes")
    told = Told()
    made = run(source, told)
    count = sum(row.endswith(",yes") for row in rows)
    warned = [step for step in told.steps if "formula" in step]
    assert [f"column 'diagnosis': {count} cells" in step for step in warned] == [False, True]
    assert "column 'patient_id': 2 cells" in warned[0]
    assert all(step.startswith("WARNING") for step in warned)
    notes = json.loads(made.card())["notes"]
    assert "column 'diagnosis'" in notes[0]
    # the free card does not name columns of identifiers
    assert "a column of identifiers, in tier 5," in notes[1]
    assert "patient_id" not in made.card().decode()
    raw = (made.folder / "tier5" / "raw.csv").read_text()
    assert "=cmd|' /C calc'!A0" in raw
    assert "@SUM(A1)" in raw


def test_a_column_that_is_named_like_a_formula_is_told(tmp_path: Path) -> None:
    source = ward(tmp_path, header=HEADER.replace("dose", "=1+1"))
    draft(source)
    told = Told()
    assert "column '=1+1'" in json.loads(run(source, told).card())["notes"][0]
    assert any("column '=1+1': 1 cells" in step for step in told.steps)


def test_a_card_without_such_cells_has_no_notes(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    told = Told()
    assert "notes" not in json.loads(run(source, told).card())
    assert not any("formula" in step for step in told.steps)
    assert set(tree(tmp_path / "out")) > {"card.json"}
