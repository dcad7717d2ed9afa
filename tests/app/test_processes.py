"""Processes that outlive a command: found again, never mixed up with others, and ended for sure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedproof.app.processes import Process, Slot, stop
from fedproof.errors import InputError, StateError

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_is_found_again_and_stopped(tmp_path: Path) -> None:
    made = Slot(tmp_path, "a").start(["sleep", "60"])
    again = Slot(tmp_path, "a")
    assert again.running
    assert again.process() == made
    assert (made.memory or 0) > 0
    assert os.getsid(made.pid) != os.getsid(0)
    with pytest.raises(StateError, match="runs already"):
        again.start(["sleep", "60"])
    assert stop([again], 10) == []
    assert (made.alive, made.memory, again.process(), again.running) == (False, None, None, False)
    until(lambda: again.exit_code() == 143)


def test_how_it_ended_is_known(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a")
    assert (slot.exit_code(), slot.last_line()) == (None, "")
    slot.start(["sh", "-c", "echo first; echo last >&2; exit 7"])
    until(lambda: slot.exit_code() == 7)
    assert (slot.running, slot.last_line()) == (False, "last")
    assert slot.process() is not None  # nobody stopped it
    slot.start(["sleep", "60"])
    assert slot.exit_code() is None
    stop([slot], 10)
    assert slot.log.read_text() == "first\nlast\n"


def test_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    slot, other = Slot(tmp_path, "deaf"), Slot(tmp_path, "b")
    slot.start([sys.executable, "-c", DEAF])
    other.start(["sleep", "60"])
    until(lambda: slot.last_line() == "ready")
    assert stop([slot, other, Slot(tmp_path, "never")], 0.3) == ["deaf"]
    assert not slot.running


def test_a_number_that_another_process_got_is_not_touched(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a")
    slot.start(["sleep", "60"])
    mine = slot.process()
    assert mine is not None
    stop([slot], 10)
    time.sleep(0.05)  # the kernel counts starts in hundredths of a second; a number is never given again within one
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "run/a.pid").write_text(json.dumps({"pid": stranger.pid, "started": mine.started}))
        assert not slot.running
        assert stop([slot], 1) == []
        Process(stranger.pid, "another moment").signal(9)
        assert stranger.poll() is None
        stranger.kill()


def test_the_environment_is_whole(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a")
    slot.start(["/usr/bin/env"], {"ONLY": "this"})
    until(lambda: slot.exit_code() == 0)
    names = {line.split("=")[0] for line in slot.log.read_text().splitlines()}
    assert "ONLY" in names
    assert not {name for name in names if "FEDPROOF" in name or name == "HOME"}


def test_what_cannot_start_says_so(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a")
    slot.start([str(tmp_path / "nothing")])
    until(lambda: slot.exit_code() == 127)
    assert "not found" in slot.last_line()
    (tmp_path / "run/a.pid").write_text("{")
    with pytest.raises(StateError, match=r"a.pid is damaged"):
        _ = slot.running
    with pytest.raises(InputError, match="cannot be started"):
        Slot(tmp_path / "missing", "a").start(["true"])


def test_what_cannot_be_remembered_does_not_run(tmp_path: Path) -> None:
    slot = Slot(tmp_path, "a")
    (tmp_path / "run/a.part").mkdir(parents=True)  # as when the disk is full
    with pytest.raises(InputError, match="cannot be started"):
        slot.start(["sleep", "60"])
    until(lambda: slot.exit_code() == 137)
    assert slot.process() is None
