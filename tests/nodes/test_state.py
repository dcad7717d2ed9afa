"""Saved state: whole or not at all, one process at a time, never guessed when damaged."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fedproof.errors import StateError
from fedproof.nodes.state import StateFile


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1, name="x")
        state.put(count=2)
    with StateFile(tmp_path / "a", "worker") as state:
        assert (state.get("count"), state.get("name"), state.get("none", 7)) == (2, "x", 7)


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(secret="s")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "state.json").stat().st_mode) == 0o600


def test_refuses_a_second_process_on_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from fedproof.nodes.state import StateFile\n"
        "from fedproof.errors import StateError\n"
        "try: StateFile(Path(sys.argv[1]), 'worker')\n"
        "except StateError as e: print(e); sys.exit(9)"
    )
    with StateFile(tmp_path / "a", "worker"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a")], capture_output=True, text=True, check=False
        )
    assert done.returncode == 9
    assert "in use by another process" in done.stdout


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2, "role": "worker", "data": {}}', '{"version": 1, "role": "provider", "data": {}}',
     '{"version": 1, "role": "worker", "data": []}', "\x00" * 100],
)  # fmt: skip
def test_refuses_damaged_state_and_leaves_it_as_it_is(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "state.json").write_text(content)
    with pytest.raises(StateError, match="do not delete it"):
        StateFile(folder, "worker")
    assert (folder / "state.json").read_text() == content


def test_a_torn_write_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="No space left"):
            state.put(count=2)
        assert state.get("count") == 1
    monkeypatch.undo()
    assert json.loads((tmp_path / "a" / "state.json").read_text())["data"] == {"count": 1}
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["lock", "state.json"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="state folder"):
        StateFile(tmp_path / "file" / "a", "worker")
