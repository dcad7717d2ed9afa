"""The auditor and the run folder: what it needs, and that every public item counts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from fedproof.app import audit_run as entry
from fedproof.app.audit import audit_run
from fedproof.app.telling import Silent
from fedproof.errors import AuditError, FedproofError, InputError
from fedproof.storage import BlobStore
from tests.app.runs import FinishedRun

pytestmark = pytest.mark.slow


def refused(folder: Path, kind: type[Exception] = AuditError, match: str = "", rpc: str | None = None) -> str:
    """The one line by which a run is refused."""
    with pytest.raises(kind, match=match) as error:
        audit_run(folder, Silent(), rpc)
    assert "\n" not in str(error.value)
    return str(error.value)


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file."""
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_the_public_half_alone_is_enough_and_nothing_is_written(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run.copy(tmp_path / "elsewhere")
    monkeypatch.setenv("FEDPROOF_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    opened: list[str] = []
    real = os.open

    def watched(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(str(path))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    assert audit_run(folder / "public", Silent()).checks == run.report["audit"]["checks"]
    found = audit_run(folder, Silent())
    assert len(found.checks) == len(run.report["audit"]["checks"]) > 20
    assert found.checks == run.report["audit"]["checks"]
    assert opened == []
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before
    assert not (tmp_path / "none").exists()


def test_a_folder_of_two_runs_is_refused(run: FinishedRun, tmp_path: Path) -> None:
    """One stands over the other, and who sent both may mean the one that was not checked."""
    folder = run.copy(tmp_path / "sent")
    shutil.copy(folder / "public" / "manifest.json", folder / "manifest.json")
    refused(folder, InputError, "name one of both")


def test_each_blob_counts(run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked for, and one that is not there is fatal wherever it is asked for by name."""
    blobs = run.copy(tmp_path) / "public" / "blobs"
    asked: list[str] = []
    real = BlobStore.get

    def watched(self: BlobStore, blob: str, **more: Any) -> bytes:
        asked.append(blob)
        return real(self, blob, **more)

    monkeypatch.setattr(BlobStore, "get", watched)
    run.audit(blobs)
    monkeypatch.undo()
    kinds = list(dict.fromkeys(asked))
    assert {path.name for path in blobs.iterdir()} == set(kinds)
    assert len(kinds) > 30
    # description, powers, start, schema, test part, the first index of sealed records, an index of shares, a share
    for name in (*kinds[:6], *kinds[8:10]):
        kept = (blobs / name).read_bytes()
        (blobs / name).unlink()
        with pytest.raises(FedproofError, match=name):
            run.audit(blobs)
        (blobs / name).write_bytes(kept)


@pytest.fixture
def no_replay(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain of a run whose export was left alone need not run again for each test."""
    from fedproof.app import audit

    monkeypatch.setattr(audit, "open_chain", lambda *_: nullcontext(run.chain))


@pytest.mark.usefixtures("no_replay")
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "swapped", "link"])
def test_a_blob_that_is_not_its_id_is_found(run: FinishedRun, tmp_path: Path, damage: str) -> None:
    folder = run.copy(tmp_path)
    first, second = sorted((folder / "public" / "blobs").iterdir())[:2]
    blob = first.read_bytes()
    if damage == "link":
        first.unlink()
        first.symlink_to("/dev/zero")
    else:
        first.write_bytes(
            {
                "flipped": bytes([blob[0] ^ 1]) + blob[1:],
                "cut": blob[:-1],
                "empty": b"",
                "swapped": second.read_bytes(),
            }[damage]
        )
    refused(folder, match="Not a plain file" if damage == "link" else first.name)


MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another version": lambda m: m | {"version": 2},
    "no task": lambda m: {k: v for k, v in m.items() if k != "task"},
    "one field more": lambda m: m | {"more": 1},
    "a task that is text": lambda m: m | {"task": "1"},
    "a truth that is a number": lambda m: m | {"embedded": 1},
    "a contract too few": lambda m: m | {"contracts": {k: v for k, v in m["contracts"].items() if k != "Federation"}},
    "contracts in a list": lambda m: m | {"contracts": [1]},
    "no hash": lambda m: m | {"contracts": m["contracts"] | {"NoteVault": [m["contracts"]["NoteVault"][0]]}},
    "a bad address": lambda m: m | {"contracts": m["contracts"] | {"NoteVault": ["0x12", "0x" + 64 * "0"]}},
    "a bad hash": lambda m: m | {"contracts": m["contracts"] | {"NoteVault": ["0x" + 40 * "0", "0xzz"]}},
    "a list": lambda m: [m],
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_malformed_manifest_is_wrong_input(run: FinishedRun, tmp_path: Path, what: str) -> None:
    folder = run.copy(tmp_path)
    rewrite(folder / "public" / "manifest.json", MANIFESTS[what])
    refused(folder, InputError, "manifest.json")


def swapped(m: dict[str, Any]) -> dict[str, Any]:
    c = m["contracts"]
    return m | {"contracts": c | {"NoteVault": c["DatasetRegistry"], "DatasetRegistry": c["NoteVault"]}}


POINTERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another task": (lambda m: m | {"task": 2}, "no task 2"),
    "task zero": (lambda m: m | {"task": 0}, "no task 0"),
    "a task below zero": (lambda m: m | {"task": -1}, "malformed|no task"),
    "a huge task": (lambda m: m | {"task": 1 << 300}, "malformed|no task"),
    "contracts swapped": (swapped, "was not made from the NoteVault"),
    "no such transaction": (
        lambda m: (
            m | {"contracts": m["contracts"] | {"Federation": [m["contracts"]["Federation"][0], "0x" + 64 * "1"]}}
        ),
        "no transaction",
    ),
    "an address without a contract": (
        lambda m: (
            m | {"contracts": m["contracts"] | {"Federation": ["0x" + 40 * "1", m["contracts"]["Federation"][1]]}}
        ),
        "was not made from the Federation",
    ),
}


@pytest.mark.usefixtures("no_replay")
@pytest.mark.parametrize("what", POINTERS)
def test_a_manifest_that_points_elsewhere_is_refused(run: FinishedRun, tmp_path: Path, what: str) -> None:
    folder = run.copy(tmp_path)
    change, match = POINTERS[what]
    rewrite(folder / "public" / "manifest.json", change)
    refused(folder, match=match)


def last(export: dict[str, Any]) -> dict[str, Any]:
    """The last transaction of an export."""
    found: dict[str, Any] = [tx for block in export["blocks"] for tx in block["transactions"]][-1]
    return found


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def apply(export: dict[str, Any]) -> dict[str, Any]:
        change(export)
        return export

    return apply


def test_a_manifest_and_an_export_are_of_one_chain(run: FinishedRun, tmp_path: Path) -> None:
    folder = run.copy(tmp_path)
    rewrite(folder / "public" / "manifest.json", lambda m: m | {"chain_id": 1})
    refused(folder, match="different chains")


EXPORTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a receipt's gas": (changed(lambda e: last(e)["receipt"].update(gasUsed=21_000)), "gas is"),
    "a receipt's status": (changed(lambda e: last(e)["receipt"].update(status=0)), "status is"),
    "a log": (changed(lambda e: last(e)["receipt"]["logs"][0].update(data="0x")), "log 0"),
    "a transaction's bytes": (changed(lambda e: last(e).update(raw=last(e)["raw"][:-2] + "00")), "another hash"),
    "a transaction left out": (changed(lambda e: e["blocks"][-1]["transactions"].clear()), "block"),
    "a block's time": (changed(lambda e: e["blocks"][5].update(timestamp=e["blocks"][5]["timestamp"] + 1)), "block 5"),
    "more gas for a block": (changed(lambda e: e["genesis"].update(gasLimit=1 << 40)), "gas"),
    "rich from the start": (changed(lambda e: e["genesis"].update(allocation={"0x" + 40 * "1": "1"})), "genesis"),
    "no genesis": (lambda e: e | {"genesis": None}, "not of an embedded chain"),
    "a node's chain": (lambda e: e | {"kind": "remote"}, "must have its genesis"),
    "no blocks": (lambda e: e | {"blocks": []}, "genesis block"),
    "blocks that are no list": (lambda e: e | {"blocks": 1}, "list"),
    "another format": (lambda e: e | {"format": "x\x1b[31m"}, "format"),
    "one field more": (lambda e: e | {"more": 1}, "fields"),
    "an unfinished task": (lambda e: e | {"blocks": e["blocks"][:-20]}, "has not ended"),
}


@pytest.mark.parametrize("what", EXPORTS)
def test_a_changed_chain_is_refused(run: FinishedRun, tmp_path: Path, what: str) -> None:
    folder = run.copy(tmp_path)
    change, match = EXPORTS[what]
    rewrite(folder / "public" / "chain.json", change)
    refused(folder, match=match)


@pytest.mark.parametrize("name", ["manifest.json", "chain.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b"[" * 100_000, b'{"version": 1'])
def test_a_file_that_is_not_json_is_wrong_input(run: FinishedRun, tmp_path: Path, name: str, content: bytes) -> None:
    folder = run.copy(tmp_path)
    (folder / "public" / name).write_bytes(content)
    refused(folder, InputError, name)


@pytest.mark.parametrize("name", ["manifest.json", "chain.json", "blobs"])
@pytest.mark.parametrize("instead", ["nothing", "pipe", "endless", "folder or file"])
def test_a_part_that_is_missing_or_no_file_is_wrong_input(
    run: FinishedRun, tmp_path: Path, name: str, instead: str
) -> None:
    folder = run.copy(tmp_path)
    path = folder / "public" / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if instead == "pipe":
        os.mkfifo(path)
    elif instead == "endless":
        path.symlink_to("/dev/zero")
    elif instead == "folder or file":
        path.write_text("") if name == "blobs" else path.mkdir()
    refused(folder, InputError, name)
    assert name != "blobs" or instead != "nothing" or not path.exists()


def test_a_file_beyond_all_measure_is_not_read(
    run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run.copy(tmp_path)
    for name, limit in (("chain.json", entry.CHAIN_BYTES), ("manifest.json", entry.MANIFEST_BYTES)):
        with (folder / "public" / name).open("r+b") as file:
            file.truncate(limit + 1)  # sparse: takes no disk
        refused(folder, InputError, f"{name} is not a file of at most")


def test_a_node_is_asked_for_where_one_is_needed_and_only_there(run: FinishedRun, tmp_path: Path) -> None:
    refused(run.folder, InputError, "leave --rpc out", rpc="http://127.0.0.1:1")
    folder = run.copy(tmp_path)
    rewrite(folder / "public" / "manifest.json", lambda m: m | {"embedded": False})
    refused(folder, InputError, "--rpc URL")
