"""Prepared datasets whose label is one of several classes, or a number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fedproof.data.plan import read_plan
from fedproof.errors import InputError
from tests.app.prepare_support import Told, draft, edit, run, ward

HEADER = "patient_id,age,dose,outcome"


def rows(outcome: str, count: int = 60) -> list[str]:
    values = {
        "classes": [("mild", "severe", "well")[k % 3] for k in range(count)],
        "target": [f"{100 + 7.25 * (k % 11)}" for k in range(count)],
    }[outcome]
    return [f"P-{k:03d},{20 + k * 37 % 61},{k % 7 / 4},{values[k]}" for k in range(count)]


def test_all_classes_stay(tmp_path: Path) -> None:
    source = ward(tmp_path, rows("classes"), header=HEADER)
    schema = draft(source, label="outcome", labels="classes")
    assert read_plan(schema).class_names == ("mild", "severe", "well")
    made = run(source)
    assert (made.schema.classes, made.schema.target) == (("mild", "severe", "well"), None)
    assert str(made.schema.label_kind) == "classes 3"
    labels = np.concatenate([labels for _, labels in made.blocks()])
    assert labels.tolist() == [k % 3 for k in range(60)]
    card = json.loads(made.card())
    assert [each["name"] for each in card["classes"]] == ["mild", "severe", "well"]
    assert [each["percent"] for each in card["classes"]] == [30, 30, 30]
    sample = (made.folder / "tier4" / "records.csv").read_text().splitlines()
    assert sample[0] == '"age","dose","outcome"'
    assert [line.split(",")[-1] for line in sample[1:4]] == ['"mild"', '"severe"', '"well"']


def test_a_target_is_scaled_and_quantised(tmp_path: Path) -> None:
    source = ward(tmp_path, rows("target"), header=HEADER)
    schema = draft(source, label="outcome", labels="target")
    assert read_plan(schema).class_names == ()
    made = run(source)
    values = np.array([100 + 7.25 * (k % 11) for k in range(60)])
    assert made.schema.target is not None
    assert made.schema.target.name == "outcome"
    assert made.schema.target.centre == pytest.approx(values.mean())
    assert made.schema.target.scale == pytest.approx(values.std())
    labels = np.concatenate([labels for _, labels in made.blocks()])
    assert labels.tolist() == np.rint(256 * (values - values.mean()) / values.std()).astype(int).tolist()
    card = json.loads(made.card())
    assert card["classes"] == []
    assert card["columns"][-1]["scale"] == made.schema.target.scale
    lines = (made.folder / "tier4" / "records.csv").read_text().splitlines()
    assert [float(line.split(",")[-1]) for line in lines[1:]] == values.tolist()
    again = run(source, out="again")
    assert again.schema == made.schema
    for one, other in zip(made.blocks(), again.blocks(), strict=True):
        np.testing.assert_array_equal(one[1], other[1])


def test_a_target_takes_its_scale_from_the_public_file_or_from_the_owner(tmp_path: Path) -> None:
    source = ward(tmp_path, rows("target"), header=HEADER)
    public = ward(tmp_path, rows("target", 40), "public.csv", HEADER)
    schema = draft(source, label="outcome", labels="target")
    found = run(source, out="one", public=public, private_scale=False).schema.target
    assert found is not None
    assert found.centre == pytest.approx(np.mean([100 + 7.25 * (k % 11) for k in range(40)]))
    # of the last column, which is the target
    text = schema.read_text()
    head, _, tail = text.rpartition("# centre = 0.0\n# scale = 1.0")
    schema.write_text(f"{head}centre = 90.0\nscale = 30.0{tail}")
    made = run(source, out="two").schema.target
    assert (made.centre, made.scale) == (90.0, 30.0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('labels = "target"', 'labels = "goal"', "unknown labels 'goal'"),
        ('labels = "target"', 'labels = "target"\nclasses = ["a", "b"]', "a target has no classes"),
        ('labels = "target"', 'labels = "classes"', "two or more different classes are needed"),
        ('labels = "target"', 'labels = "classes"\nclasses = ["a", "b"]\npositive = "a"', "positive makes two classes"),
        ('name = "age"', 'name = "age"\nlabels = "binary"', "only the label has labels"),
    ],
)
def test_a_wrong_label_in_the_schema_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    source = ward(tmp_path, rows("target"), header=HEADER)
    edit(draft(source, label="outcome", labels="target"), old, new)
    with pytest.raises(InputError, match=message) as caught:
        run(source)
    assert "\n" not in str(caught.value)


def test_what_is_no_target_or_has_no_classes_is_said(tmp_path: Path) -> None:
    words = ward(tmp_path, rows("classes"), header=HEADER)
    with pytest.raises(InputError, match="a target must be a number"):
        draft(words, label="outcome", labels="target")
    with pytest.raises(InputError, match="--positive makes two classes"):
        draft(words, label="outcome", labels="classes", positive="mild")
    numbers = ward(tmp_path, [f"P,{k},1,{k / 3}" for k in range(60)], "n.csv", HEADER)
    with pytest.raises(InputError, match="a number to predict takes --labels target"):
        draft(numbers, label="outcome")
    gaps = ward(tmp_path, [*rows("target"), "P-9,33,1,"], "g.csv", HEADER)
    draft(gaps, label="outcome", labels="target")
    with pytest.raises(InputError, match="row 62, column 'outcome': the label is missing"):
        run(gaps, Told())
