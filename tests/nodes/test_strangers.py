"""Documents by strangers, of any odd shape: one error that is expected, in the task that they belong to alone."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import InputError, StorageError
from fedproof.learning.canonical import canonical
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.nodes.models import MAX_DESCRIPTION_BYTES, check_model, described
from fedproof.nodes.params import Deployment
from fedproof.statements.models.vectors import model_vector
from fedproof.storage import BlobStore
from tests.nodes.paper import Desk, Paper, task

PLAN = TrainingPlan.of(TrainingSpec(32, 2, mask_count=3))
SCHEMA = "5c" * 32
DESCRIPTION = TaskDescription("tiny", SCHEMA, "7e" * 32, "57" * 32, PLAN, "55" * 32)
START = GlobalModel.start(PLAN, 1)

JUNK = [
    b"", b"\xff\xfe", b"\0" * 100, b"null", b"[]", b"{}", b"7", b'"x"', b"NaN", b"{" * 5000, b"[" * 200_000,
    b"9" * 10_000, b'{"a":' * 5000,
]  # fmt: skip
ODD: list[Any] = [
    None, True, -1, 0, 1 << 70, 10**4000, 1.5, float("inf"), "", "x", "Z" * 64, "5C" * 32, "é" * 64, "5c" * 31,
    "../" + "5c" * 32, "\ud800", [], {}, [[[]]], [None], [1.5], [True], [1 << 63], [-(1 << 63)], [1, "2"],
]  # fmt: skip


def variants(document: bytes) -> Iterator[tuple[str, bytes]]:
    """A document with each of its fields missing, odd or twice; and in another form."""
    whole = json.loads(document)
    for name in whole:
        yield name, canonical({key: value for key, value in whole.items() if key != name})
        for value in ODD:
            if value != whole[name] or type(value) is not type(whole[name]):
                yield name, canonical(whole | {name: value})
        yield name, document[:-1] + b"," + json.dumps({name: whole[name]}).encode()[1:]
    yield "form", json.dumps(whole, indent=1).encode()
    yield "more", canonical(whole | {"more": 1})
    yield "half", document[:-1]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    """What reading documents takes of one."""
    found: Any = SimpleNamespace(
        store=BlobStore.open(f"memory://{tmp_path.name}"), plan=PLAN, srs=_core.Srs.generate(PLAN.columns, [1])
    )
    return found  # type: ignore[no-any-return]


def about(deployment: Deployment, blob: bytes, **changes: Any) -> Any:
    return task(description=bytes.fromhex(deployment.store.put(blob)), **changes)


def test_a_description_of_an_odd_shape_is_a_blob_that_is_of_no_use(deployment: Deployment) -> None:
    assert described(deployment, about(deployment, DESCRIPTION.encode())) == DESCRIPTION
    passed = set()
    for name, blob in [("junk", each) for each in JUNK] + list(variants(DESCRIPTION.encode())):
        try:
            found = described(deployment, about(deployment, blob))
        except StorageError:
            continue
        passed.add(name)
        for each in (found.schema, found.test, found.start, found.srs):
            assert len(bytes.fromhex(each)) == 32
    assert passed == {"name"}  # any text


def test_a_description_that_is_not_there_or_too_large_is_said(deployment: Deployment) -> None:
    for seen in (task(description=bytes(32)), about(deployment, b" " * (MAX_DESCRIPTION_BYTES + 1))):
        with pytest.raises(StorageError):
            described(deployment, seen)


def test_a_model_of_an_odd_shape_is_a_blob_that_is_of_no_use(deployment: Deployment) -> None:
    commitment = deployment.srs.commit(model_vector(PLAN, START.layers))
    whole = START.encode()
    assert check_model(deployment, deployment.store.put(whole), commitment).encode() == whole
    document = json.loads(whole)
    others = [
        canonical(document | {"weights": weights})
        for weights in (
            [1],
            [1, 2, 3],
            [1, 2],
            [1 << 62, 0],
            [1.0, 2],
            [[1], [2]],
            [True, False],
            ["1", "2"],
            [None] * 2,
        )
    ]
    for blob in [*JUNK, *others, *(blob for _, blob in variants(whole))]:
        with pytest.raises(StorageError):
            check_model(deployment, deployment.store.put(blob), commitment)
    for name in ("5C" * 32, "", "../../etc/passwd", "5c" * 32):
        with pytest.raises(StorageError):
            check_model(deployment, name, commitment)


@pytest.fixture
def _shallow() -> Iterator[None]:
    """So few frames to go that a test can try every depth."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("_shallow")
def test_a_model_of_any_depth_is_refused() -> None:
    """Also where it is not too deep to be read, and too deep to be compared with its canonical form."""
    document = json.loads(START.encode()) | {"weights": "w"}
    head, tail = canonical(document).split(b'"w"')
    for depth in range(1, 400):
        with pytest.raises(InputError):
            GlobalModel.decode(head + b"[" * depth + b"]" * depth + tail)


@pytest.mark.parametrize("odd", [b"[]", canonical(json.loads(DESCRIPTION.encode()) | {"schema": "Z" * 64}), None])
def test_a_task_with_an_odd_description_keeps_a_participant_from_no_other(
    desk: Desk, deployment: Deployment, monkeypatch: pytest.MonkeyPatch, odd: bytes | None
) -> None:
    nuisance = task(description=bytes(32)) if odd is None else about(deployment, odd)
    seen = Paper(nuisance, about(deployment, DESCRIPTION.encode(), task_id=2))
    monkeypatch.setattr(seen, "is_dataset_enrolled", lambda *_: False, raising=False)
    market = SimpleNamespace(
        grants=lambda **_: [SimpleNamespace(dataset_id=7)],
        has_access=lambda *_: True,
        dataset=lambda _: SimpleNamespace(class_id=1, schema=bytes.fromhex(SCHEMA)),
    )
    role = desk.participant(seen, deployment=deployment, market=market)
    enrolled: list[int] = []
    monkeypatch.setattr(role, "_enrol", lambda each, _: enrolled.append(each.task_id))
    role.step(100)
    assert enrolled == [2]
    assert [fields["act"] for _, fields in desk.notes.lines] == ["read/1"]
    assert isinstance(desk.notes.lines[0][1]["error"], StorageError)
