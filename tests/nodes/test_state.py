"""Saved state: whole or not at all, one process at a time, never guessed when damaged."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fedproof.errors import StateError
from fedproof.nodes.state import StateFile
from fedproof.sealing.hpke import KeyPair


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


def test_a_folder_that_is_only_looked_at_can_be_taken(tmp_path: Path) -> None:
    """Whether a node runs on it is seen by its lock, which the one who looks then holds for a moment."""
    StateFile(tmp_path / "a", "worker").close()
    with (tmp_path / "a" / "lock").open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        end = threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        end.start()
        StateFile(tmp_path / "a", "worker").close()
        end.join()


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


def secrets(**changed: object) -> str:
    """A holder's state, with values changed."""
    data = {"secret": "0x5", "note_key": "01", "outbox": {}} | changed
    return json.dumps({"version": 1, "role": "holder", "data": data})


HPKE = KeyPair.generate().private.hex()
DAMAGED: dict[str, tuple[str, object]] = {
    "no secret": ("secret", None),
    "secret 0": ("secret", "0x0"),
    "secret of a number": ("secret", 5),
    "secret of no digits": ("secret", "zz"),
    "secret above the field": ("secret", hex(2**256 - 1)),
    "no note key": ("note_key", None),
    "note key of no key": ("note_key", "zz"),
    "note key of a number": ("note_key", 7),
    "no HPKE key": ("hpke", None),
    "HPKE key of a list": ("hpke", []),
    "outbox of a list": ("outbox", [1]),
    "outbox of numbers": ("outbox", {"wallet/x": 1}),
    "outbox of no transaction": ("outbox", {"wallet/x": "01"}),
    "datasets of a list": ("datasets", []),
    "datasets by name": ("datasets", {"x": "dataset-1"}),
    "datasets elsewhere": ("datasets", {"1": "../../../evil"}),
    "versions of a list": ("versions", []),
    "a version without a key": ("versions", {"1": {}}),
    "a tier key of no key": ("versions", {"1": {"tier_key": "zz"}}),
    "a version without a commitment": ("versions", {"1": {"tier_key": "0105" + "11" * 32, "commitments": []}}),
    "taken of a text": ("taken", "1"),
    "masks of a list": ("enrolments", []),
    "served of numbers": ("served", {"a": 1}),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_value_of_another_type_names_the_file_and_the_key(tmp_path: Path, case: str) -> None:
    key, value = DAMAGED[case]
    folder = tmp_path / "a"
    folder.mkdir()
    content = secrets(**{"note_key": HPKE, key: value})
    (folder / "state.json").write_text(content)
    with pytest.raises(StateError, match=f"a/state.json: {key} is not what was saved there; restore it") as error:
        StateFile(folder, "holder")
    assert "\n" not in str(error.value)
    assert (folder / "state.json").read_text() == content


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b'{"version":' + b"9" * 5000 + b"}"])
def test_what_no_state_can_be_names_the_file(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "state.json").write_bytes(content)
    with pytest.raises(StateError, match=r"a/state\.json .*do not delete it") as error:
        StateFile(folder, "holder")
    assert len(str(error.value)) < len(str(folder)) + 200


def test_a_folder_or_a_pipe_in_the_place_of_the_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a" / "state.json").mkdir(parents=True)
    with pytest.raises(StateError, match="Is a directory"):
        StateFile(tmp_path / "a", "worker")
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "state.json")
    with pytest.raises(StateError, match="Not a plain file"):
        StateFile(tmp_path / "b", "worker")


def test_a_lost_state_is_noticed_and_not_made_anew(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a", "holder") as state:
        state.put(count=1)
    kept = tmp_path / "kept.json"
    (tmp_path / "a" / "state.json").rename(kept)
    for _ in range(2):
        with pytest.raises(StateError, match=r"state\.json is lost.* restore it from a backup"):
            StateFile(tmp_path / "a", "holder")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["lock"]
    kept.rename(tmp_path / "a" / "state.json")
    with StateFile(tmp_path / "a", "holder") as state:
        assert state.get("count") == 1


def test_a_state_from_before_there_were_marks_is_marked_when_it_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "state.json").write_text('{"version": 1, "role": "holder", "data": {"count": 1}}')
    StateFile(folder, "holder").close()
    (folder / "state.json").unlink()
    with pytest.raises(StateError, match="is lost"):
        StateFile(folder, "holder")


KILLED = """
import os, sys
from pathlib import Path
from fedproof.nodes.state import StateFile
from fedproof.sealing.hpke import KeyPair
at = sys.argv[2]
if at == "before the rename":
    Path.replace = lambda *_: os._exit(9)
if at == "before the mark":
    os.pwrite = lambda *_: os._exit(9)
if at == "before the state":
    StateFile._read = lambda _: os._exit(9)
StateFile(Path(sys.argv[1]), "holder").put(count=1)
"""


@pytest.mark.parametrize("at", ["before the state", "before the rename", "before the mark"])
def test_a_first_start_that_was_killed_can_be_repeated(tmp_path: Path, at: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a"), at], check=False)
    assert done.returncode == 9
    assert (tmp_path / "a" / "state.json").exists() is (at == "before the mark")
    for _ in range(2):
        with StateFile(tmp_path / "a", "holder") as state:
            assert state.get("count") == (1 if at == "before the mark" else None)
    with StateFile(tmp_path / "a", "holder") as state:
        state.put(count=2)
    with StateFile(tmp_path / "a", "holder") as state:
        assert state.get("count") == 2


def test_what_lies_under_the_temporary_name_is_neither_followed_nor_kept(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    with StateFile(tmp_path / "a", "worker") as state:
        left = tmp_path / "a" / "state.tmp"
        left.write_text("of a killed run")
        left.chmod(0o644)
        state.put(secret="s")
        assert stat.S_IMODE(state.path.stat().st_mode) == 0o600
        left.symlink_to(victim)
        state.put(secret="t")
        assert not state.path.is_symlink()
    assert victim.read_text() == "of somebody else"
    assert json.loads((tmp_path / "a" / "state.json").read_text())["data"] == {"secret": "t"}


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602], ids=oct)
def test_refuses_a_state_that_others_can_write(tmp_path: Path, mode: int) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1)
    state.path.chmod(mode)
    with pytest.raises(StateError, match=r"state\.json can be written by other users: .*chmod 600") as error:
        StateFile(tmp_path / "a", "worker")
    assert "\n" not in str(error.value)
    state.path.chmod(0o600)
    StateFile(tmp_path / "a", "worker").close()


def test_what_was_closed_does_not_write_over_the_state_of_the_next_holder(tmp_path: Path) -> None:
    before = StateFile(tmp_path / "a", "worker")
    before.close()
    before.close()  # no descriptor of anybody else is closed
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=2)
        with pytest.raises(StateError, match="is closed"):
            before.put(count=1)
    with StateFile(tmp_path / "a", "worker") as state:
        assert state.get("count") == 2


def test_a_forked_child_does_not_write_under_the_lock_of_its_parent(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1)
        child = os.fork()
        if not child:
            try:
                state.put(count=2)
            except StateError as error:
                os._exit(7 if "another process" in str(error) else 1)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        state.put(other=1)
    with StateFile(tmp_path / "a", "worker") as state:
        assert (state.get("count"), state.get("other")) == (1, 1)


def test_a_program_that_the_holder_started_does_not_hold_the_folder(tmp_path: Path) -> None:
    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    with child:
        StateFile(tmp_path / "a", "worker").close()
        child.communicate(b"\n")


def test_the_state_is_durable_before_its_name_and_both_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        sync(handle)

    def renamed(part: Path, to: Path) -> Path:
        done.append("name")
        return replace(part, to)

    with StateFile(tmp_path / "a", "worker") as state:
        state.put(count=1)
        monkeypatch.setattr(os, "fsync", noted)
        monkeypatch.setattr(Path, "replace", renamed)
        state.put(count=2)
    assert done == ["file", "name", "folder"]
