"""From a file to the files of a listing: what each tier holds, what it never holds; a run is whole or nothing."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from fedproof.app import tierfiles
from fedproof.app.prepare import Drafted, Options, Prepared, prepare
from fedproof.data import Schema, load
from fedproof.data.plan import read_plan
from fedproof.errors import InputError, StateError
from tests.app.prepare_support import Told, draft, edit, run, tree, ward, ward_rows


def test_datasets_that_share_a_schema_have_names_of_their_own(tmp_path: Path) -> None:
    """The schema is the task's, to the byte; what stands on a card is its owner's."""
    source = ward(tmp_path)
    schema = draft(source, name="wards", domain="oncology")
    texts = {"name": "north ward", "licence": "CC0", "description": "of the north"}
    first, second = run(source, out="first", schema=schema), run(source, out="second", schema=schema, **texts)
    assert (first.name, second.name, second.schema.name) == ("wards", "north ward", "wards")
    assert (tmp_path / "first/schema.json").read_bytes() == (tmp_path / "second/schema.json").read_bytes()
    card = json.loads(second.card())
    assert {name: card[name] for name in texts} == texts
    assert card["domain"] == "oncology"
    with pytest.raises(InputError, match=r"schema\.json is what a dataset was prepared to.*name the \.schema\.toml"):
        run(source, out="third", schema=tmp_path / "first/schema.json")


def test_the_first_run_drafts_a_schema_and_the_second_uses_it(tmp_path: Path) -> None:
    source, told = ward(tmp_path), Told()
    drafted = prepare(Options(source, tmp_path / "out", domain="health"), told)
    assert isinstance(drafted, Drafted)
    assert drafted.open_points == ("3 features have no centre and scale: write them, or name a public file",)
    assert not (tmp_path / "out").exists()
    roles = {column.name: (column.role, column.kind) for column in read_plan(drafted.path).columns}
    assert roles == {
        "patient_id": ("identifier", "text"),
        "age": ("feature", "integer"),
        "dose": ("feature", "number"),
        "city": ("drop", "text"),
        "smoker": ("feature", "boolean"),
        "diagnosis": ("label", "text"),
    }
    made = prepare(Options(source, tmp_path / "out", private_scale=True), told)
    assert isinstance(made, Prepared)
    assert (made.domain, made.rows, made.tiers) == ("health", 200, (1, 2, 3, 4, 5))
    assert tree(Prepared.load(tmp_path / "out").folder) == tree(made.folder)


def test_a_draft_is_never_written_over(tmp_path: Path) -> None:
    source = ward(tmp_path)
    schema = draft(source)
    schema.write_text("# mine\n")
    with pytest.raises(InputError, match="exists already; edit it"):
        prepare(Options(source, tmp_path / "out", schema_only=True), Told())
    assert schema.read_text() == "# mine\n"


def test_the_blocks_are_the_quantised_records_in_order(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    made = run(source, block_rows=64)
    features, labels = zip(*made.blocks(), strict=True)
    assert [len(block) for block in labels] == [64, 64, 64, 8]
    rows = [row.split(",") for row in ward_rows()]
    raw = np.array([[float(r[1]), float(r[2]), float(r[4] == "true")] for r in rows])
    assert (np.concatenate(features) == made.schema.quantise(raw)).all()
    assert np.concatenate(labels).tolist() == [int(r[5] == "yes") for r in rows]
    assert features[0].dtype == labels[0].dtype == np.int64
    assert (made.capacity_rows, made.columns) == (64, 4)
    assert (tmp_path / "out" / "schema.json").read_bytes() == made.schema.encode()


def test_scales_come_from_the_public_file_as_in_the_demo(tmp_path: Path) -> None:
    source = ward(tmp_path)
    public = ward(
        tmp_path, [row.split(",", 1)[1] for row in ward_rows(50, 9)], "public.csv", "age,dose,city,smoker,diagnosis"
    )
    schema = draft(source)
    made = run(source, public=public, private_scale=False)
    numbers = [row.split(",") for row in ward_rows(50, 9)]
    path = tmp_path / "numbers.csv"
    path.write_text(
        "age,dose,smoker,label\n" + "".join(f"{r[1]},{r[2]},{int(r[4] == 'true')},{r[5]}\n" for r in numbers)
    )
    same = Schema.from_public(load(path), 64)
    assert (made.schema.centre, made.schema.scale) == (same.centre, same.scale)
    edit(schema, 'type = "number"\n# centre = 0.0\n# scale = 1.0', 'type = "number"\ncentre = 1.5\nscale = 2')
    assert run(source, out="out2", public=public).schema.centre[1] == 1.5


def test_private_scales_are_taken_only_when_asked_and_with_a_warning(tmp_path: Path) -> None:
    source, told = ward(tmp_path), Told()
    draft(source)
    with pytest.raises(InputError, match="column 'age': no centre and scale"):
        run(source, private_scale=False)
    run(source, told)
    assert [step for step in told.steps if step.startswith("WARNING: centre and scale of 3 features")]


def test_identifiers_are_in_tier_5_and_nowhere_else(tmp_path: Path) -> None:
    source, told = ward(tmp_path), Told()
    draft(source)
    made = run(source, told)
    for name, data in tree(made.folder).items():
        assert (b"P-0" in data) == (name == "tier5/raw.csv"), name
        assert (b"patient_id" in data) == (name == "tier5/raw.csv"), name
        assert b"Basel" not in data, name
    with (made.folder / "tier5" / "raw.csv").open() as file:
        assert [row["patient_id"] for row in csv.DictReader(file)] == [f"P-{i:04d}" for i in range(200)]
    assert "column 'city': dropped, as the schema says" in told.steps
    assert "column 'patient_id': an identifier, in tier 5 only" in told.steps


def test_tier_4_is_read_back_as_the_same_records(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    made = run(source)
    table = load(made.folder / "tier4" / "records.csv")
    assert table.feature_names == ("age", "dose", "smoker")
    assert (made.schema.quantise(table.features) == np.concatenate([f for f, _ in made.blocks()])).all()
    assert (table.labels == np.concatenate([labels for _, labels in made.blocks()])).all()


def test_the_sample_is_at_most_a_tenth_and_from_the_records(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    records = (run(source).folder / "tier4" / "records.csv").read_text().splitlines()
    sample = (tmp_path / "out" / "tier1" / "sample.csv").read_text().splitlines()
    assert sample[0] == records[0]
    assert len(sample) == 1 + 20
    assert set(sample) <= set(records)
    assert len((run(source, out="out2", sample_rows=5).folder / "tier1" / "sample.csv").read_text().splitlines()) == 6


def test_the_free_card_holds_coarse_numbers_only(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source, domain="health", licence="CC-BY-4.0")
    card = json.loads(run(source, note="first").card())
    assert (card["rows"], card["domain"], card["licence"]) == (200, "health", "CC-BY-4.0")
    assert [column["name"] for column in card["columns"]] == ["age", "dose", "smoker", "diagnosis"]
    assert [entry["percent"] % 10 for entry in card["classes"]] == [0, 0]
    assert card["history"] == [{"version": 1, "rows": 200, "note": "first"}]
    assert set(card["tiers"]) == {"0", "1", "2", "3", "4", "5"}


def test_the_next_version_continues_the_history(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    run(source, note="first")
    ward(tmp_path, ward_rows(300))
    second = run(source, out="out2", previous=tmp_path / "out", note="more rows")
    assert [(h["version"], h["rows"]) for h in json.loads(second.card())["history"]] == [(1, 200), (2, 300)]


def test_histograms_and_quality_are_rounded_and_add_up(tmp_path: Path) -> None:
    rows = ward_rows(400)
    rows[10] = rows[10].replace(rows[10].split(",")[2], "9000", 1)
    source = ward(tmp_path, [*rows, *rows[:50]])
    draft(source)
    folder = run(source).folder / "tier2"
    histograms, quality = (json.loads((folder / name).read_bytes()) for name in ("histograms.json", "quality.json"))
    for column in histograms["columns"]:
        assert len(column["edges"]) + 1 == len(column["counts"])
        assert all(count % 10 == 0 for count in column["counts"])
        assert abs(sum(column["counts"]) - 450) < 90
    ages = [float(row.split(",")[1]) for row in (*rows, *rows[:50])]
    edges = histograms["columns"][0]["edges"]
    exact = np.histogram(ages, [-np.inf, *edges, np.inf])[0]
    assert np.abs(exact - histograms["columns"][0]["counts"]).max() <= 6  # rounding, and values on an edge
    assert quality["duplicate_rows"] == 50
    assert [c["beyond_range"] for c in quality["columns"][:3]] == [0, 0, 0]  # one value, rounded to none


def test_missing_values_follow_the_rule_of_their_column(tmp_path: Path) -> None:
    rows = [row.split(",") for row in ward_rows()]
    for i in (3, 50, 51):
        rows[i][1] = ""
    for i in (50, 60):
        rows[i][2] = "n/a"
    rows[7][0] = rows[9][5] = ""
    source, told = ward(tmp_path, [",".join(row) for row in rows]), Told()
    schema = draft(source)
    with pytest.raises(InputError, match=r"row 5, column 'age': the value is missing"):
        run(source)
    text = schema.read_text().replace('missing = "refuse"', 'missing = "drop"', 1)
    text = text.replace('missing = "refuse"', "missing = { fill = 1.5 }", 1)
    schema.write_text(text)
    with pytest.raises(InputError, match=r"row 11, column 'diagnosis': the label is missing"):
        run(source)
    schema.write_text('missing = "drop"'.join(text.rsplit('missing = "refuse"', 1)))
    made = run(source, told)
    assert made.rows == 196
    assert "3 rows dropped: 'age' is missing" in told.steps
    assert "1 rows dropped: 'diagnosis' is missing" in told.steps
    assert "1 cells of 'dose' filled with 1.5" in told.steps  # the other one went with its row
    assert load(made.folder / "tier4" / "records.csv").features[56, 1] == 1.5
    assert "\n".join((made.folder / "tier5" / "raw.csv").read_text().splitlines()[:8]).endswith(',""')


def test_one_class_of_several_against_the_rest(tmp_path: Path) -> None:
    grades = ["low", "mid", "high"]
    source = ward(tmp_path, [f"{i * i % 97},{grades[i % 3]}" for i in range(90)], header="x,grade")
    drafted = prepare(Options(source, tmp_path / "out", schema_only=True, public=source), Told())
    assert isinstance(drafted, Drafted)
    assert drafted.open_points == (
        "column 'grade': name the class that becomes 1 as positive, or write labels = \"classes\"",
    )
    with pytest.raises(InputError, match="column 'grade': it has 3 classes; name the one"):
        run(source)
    edit(drafted.path, '# positive = "..."', 'positive = "high"')
    made = run(source)
    assert made.schema.classes == ("not high", "high")
    assert np.concatenate([labels for _, labels in made.blocks()]).tolist() == [int(i % 3 == 2) for i in range(90)]
    assert (made.folder / "tier4" / "records.csv").read_text().splitlines()[1:4] == ['0,"low"', '1,"mid"', '4,"high"']


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    assert tree(run(source).folder) == tree(run(source, out="again").folder)


def test_csv_and_parquet_give_the_same_files(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    first = tree(run(source).folder)
    pq.write_table(pc.read_csv(source), tmp_path / "ward.parquet", row_group_size=70)
    second = tree(run(tmp_path / "ward.parquet", out="from_parquet").folder)
    assert {n: d for n, d in first.items() if n != "prepared.json"} == {
        n: d for n, d in second.items() if n != "prepared.json"
    }


def test_batches_leave_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ward(tmp_path)
    schema = draft(source)
    schema.write_text(schema.read_text().replace("# centre = 0.0\n# scale = 1.0", "centre = 20.0\nscale = 9.5"))
    whole = tree(run(source, block_rows=32).folder)
    monkeypatch.setattr("fedproof.data.tablefile.MAX_BATCH_ROWS", 7)
    assert tree(run(source, out="pieces", block_rows=32).folder) == whole


def test_tiers_that_are_left_out_have_no_files(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    made = run(source, tiers=(2, 4))
    assert made.tiers == (2, 4)
    assert set(json.loads(made.card())["tiers"]) == {"0", "2", "4"}
    assert sum(len(labels) for _, labels in made.blocks()) == 200


def test_the_owner_may_add_replace_and_delete_files_of_tiers(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    folder = run(source).folder
    (folder / "tier1" / "more.pdf").write_bytes(b"%PDF")
    (folder / "tier1" / "sample.csv").write_bytes(b"age\n1\n")
    for path in (folder / "tier2").iterdir():
        path.unlink()
    made = Prepared.load(folder)
    assert list(made.tier_files(1)) == ["README.md", "more.pdf", "sample.csv"]
    assert made.tiers == (1, 3, 4, 5)


def test_a_run_that_fails_or_is_killed_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ward(tmp_path)
    draft(source)
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(tierfiles.TierWriter, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(source)
    assert sorted(tmp_path.iterdir()) == before
    killed = (
        "import os, sys\nfrom pathlib import Path\nfrom fedproof.app import tierfiles\n"
        "from fedproof.app.prepare import Options, prepare\nfrom fedproof.app.telling import Silent\n"
        "tierfiles.TierWriter.finish = lambda *_: os.kill(os.getpid(), 9)\n"
        "prepare(Options(Path(sys.argv[1]), Path(sys.argv[2]), private_scale=True), Silent())\n"
    )
    done = subprocess.run([sys.executable, "-c", killed, str(source), str(tmp_path / "out")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "out").exists()
    run(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.schema.toml", "ward.csv"]
    assert tree(tmp_path / "out") == tree(run(source, out="again").folder)


def test_two_runs_do_not_write_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ward(tmp_path)
    draft(source)
    finish = tierfiles.TierWriter.finish

    def second(self: tierfiles.TierWriter, cleaner: object) -> None:
        with pytest.raises(StateError, match="being written by another run"):
            run(source)
        finish(self, cleaner)  # type: ignore[arg-type]

    monkeypatch.setattr(tierfiles.TierWriter, "finish", second)
    run(source)


def test_the_folder_is_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    source = ward(tmp_path)
    draft(source)
    folder = run(source).folder
    assert folder.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="exists already"):
        run(source)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedproof.app.prepare.SECONDS_BETWEEN", 0.0)
    source, told = ward(tmp_path), Told()
    draft(source)
    run(source, told)
    assert "200 rows checked" in told.doings
    assert "200 rows written" in told.doings


PEAK = """
import sys
from pathlib import Path
from fedproof.app.prepare import Options, prepare
from fedproof.app.telling import Silent
source = Path(sys.argv[1])
prepare(Options(source, source.parent / "out", accept_draft=True, public=source.with_name("public.csv")), Silent())
# not ru_maxrss, which a child begins with at the size of the process that forked it
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_memory_stays_bounded(tmp_path: Path, kind: str) -> None:
    rows, columns = 40_000, 50
    values = np.random.default_rng(3).normal(size=(columns, rows)).round(3)
    table = pa.table([*values, (values[0] > 0).astype(np.int64)], [*(f"c{i}" for i in range(columns)), "label"])
    pc.write_csv(table.slice(0, 100), tmp_path / "public.csv")
    source = tmp_path / f"big.{kind}"
    if kind == "csv":
        pc.write_csv(table, source)
    else:
        pq.write_table(table, source)
    done = subprocess.run([sys.executable, "-c", PEAK, str(source)], check=True, capture_output=True, text=True)
    # 40,000 x 50 as Python floats alone would take 64 MB and as text 110 MB more; libraries take 170 of these
    assert int(done.stdout) < 330
    assert os.path.exists(tmp_path / "out" / "prepared.json")  # noqa: PTH110
