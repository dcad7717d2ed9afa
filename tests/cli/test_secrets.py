"""No secret of any role is in anything that is public, printed or reported."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.runs import FinishedRun, command

pytestmark = pytest.mark.slow

#: what states hold that the whole world may know, beside the secrets
PUBLIC = {
    "commitments",
    "sealed",
    "card",
    "schema",
    "finished",
    "outbox",
    "outbid",
    "ready",  # an update that waits to be sent: all of it is sent
    "spent",
    "served",
    "trained",
    "terms",
    "owner",
}
SECRETS = {"secret", "hpke", "note_key", "masks", "tier_key", "blindings", "digest"}
WORD = 32


def secret_values(value: Any, key: str = "") -> Iterator[tuple[str, bytes]]:
    """All values of a state that are not known to be public, as bytes."""
    if key in PUBLIC:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secret_values(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from secret_values(inner, key)
    else:
        digits = str(value).removeprefix("0x")
        yield key, bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))


def test_takes_what_a_state_keeps_secret_and_not_the_update_that_waits_to_be_sent() -> None:
    update = {"masked_dataset": "0a", "rows": 7, "seconds": {"prove": 0.55}}
    state = {"ready": {"0x01/2": update}, "notes": [{"note_key": "0xabc"}]}
    assert list(secret_values(state)) == [("note_key", b"\x0a\xbc")]


def words(value: bytes) -> list[bytes]:
    """The words of a value that chance would not find: small numbers of a record are left out."""
    if WORD - 4 < len(value) < WORD:  # of a number that begins with zeros, which is written without them
        value = value.rjust(WORD, b"\0")
    all_words = [value[at : at + WORD] for at in range(len(value) % WORD, len(value), WORD)]
    return [word for word in all_words if len(set(word)) >= 12]


def needles(run: FinishedRun) -> dict[bytes, str]:
    """Everything that must not be found, and whose it is: each secret's words, in every way to write them down."""
    found: dict[bytes, str] = {}
    kinds: set[str] = set()
    for path in sorted((run.folder / "private").glob("*/state.json")):
        for key, value in secret_values(json.loads(path.read_text())["data"]):
            kinds.add(key)
            for word in words(value):
                number = int.from_bytes(word, "big")
                shapes = (word, f"{number:x}".encode(), f"{number:X}".encode(), str(number).encode())
                encoded = base64.b64encode(word).rstrip(b"=")[:-1]
                for shape in (*shapes, encoded, str(int.from_bytes(word, "little")).encode()):
                    found[shape] = f"{path.parent.name}: {key}"
    assert kinds == SECRETS
    return found


def outputs(run: FinishedRun) -> Iterator[tuple[str, bytes]]:
    """Everything that leaves a role."""
    for path in sorted(path for path in (run.folder / "public").rglob("*") if path.is_file()):
        yield path.name, path.read_bytes()
    yield "report.json", (run.folder / "report.json").read_bytes()
    yield "standard output", run.stdout.encode()
    yield "standard error", run.stderr.encode()
    done = command("verify", str(run.folder))
    yield "verify", done.stdout.encode() + done.stderr.encode()


def test_no_secret_appears_anywhere(run: FinishedRun) -> None:
    hidden = needles(run)
    assert len(hidden) > 250
    for name, content in outputs(run):
        hits = {whose for needle, whose in hidden.items() if needle in content}
        assert not hits, f"{name} holds {', '.join(sorted(hits))}"


def test_the_search_finds_what_it_looks_for(run: FinishedRun, tmp_path: Path) -> None:
    """The same search in the private half finds every role."""
    hidden = needles(run)
    private = b"".join(path.read_bytes() for path in (run.folder / "private").glob("*/state.json"))
    found = {whose.split(":")[0] for needle, whose in hidden.items() if needle in private}
    assert len(found) == 9
