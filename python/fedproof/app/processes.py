"""Processes that outlive the command that starts them, and are known again by the next one.

A process is remembered with the time of its start and of the machine's: a number alone is given to others later, and
those are never touched. A small shell stays beside each, for only a parent learns how a process ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedproof.errors import InputError, StateError

_POLL: Final = 0.05
_TAIL: Final = 1 << 16  # bytes of a log
_LOG, _EXIT = "FEDPROOF_PROCESS_LOG", "FEDPROOF_PROCESS_EXIT"
# The process is a child of the inner shell, which nobody waits for. Its number is all that is written to the pipe.
_SCRIPT: Final = (
    f'log="${_LOG}" end="${_EXIT}"; unset {_LOG} {_EXIT}; '
    '{ "$@" >>"$log" 2>&1 </dev/null & node=$!; echo $node; exec >&- 2>&-; wait $node; '
    'echo $? >"$end.part" && mv "$end.part" "$end"; } &'
)


@dataclass(frozen=True)
class Process:
    """A process that was started here once. `started` names the moment, and the machine's own start."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it runs still, and is no other that got its number."""
        return _started(self.pid) == self.started

    @property
    def memory(self) -> int | None:
        """Resident bytes; None when it is gone."""
        if not self.alive:
            return None
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
            found = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), "")
        except OSError:
            found = _ps(self.pid, "rss")
        return int(found) * 1024 if found.isdigit() else None

    def signal(self, number: int) -> None:
        """Send it a signal; one that is gone gets none."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class Slot:
    """The place of one process in a folder: `run/NAME.pid`, `run/NAME.exit` and `logs/NAME.log`."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """What the process writes."""
        return self.folder / "logs" / f"{self.name}.log"

    @property
    def _pid(self) -> Path:
        return self.folder / "run" / f"{self.name}.pid"

    @property
    def _exit(self) -> Path:
        return self.folder / "run" / f"{self.name}.exit"

    def process(self) -> Process | None:
        """What was started last and not stopped, alive or not.

        Raises:
            StateError: its file is damaged.
        """
        try:
            found = json.loads(self._pid.read_bytes())
            return Process(int(found["pid"]), str(found["started"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise StateError(f"{self._pid} is damaged: end that process yourself, and remove the file") from None

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        found = self.process()
        return found is not None and found.alive

    def exit_code(self) -> int | None:
        """With what the last one ended (128 and the signal's number if by a signal); None if nobody saw it."""
        try:
            return int(self._exit.read_text())
        except (OSError, ValueError):
            return None

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a process in a session of its own; its output is added to the log.

        Args:
            environment: all of it; by default that of this process.

        Raises:
            StateError: it runs already, or did not start.
            InputError: the disk refuses.
        """
        if self.running:
            raise StateError(f"{self.name} runs already")
        try:
            for path in (self._pid, self.log):
                path.parent.mkdir(mode=0o700, exist_ok=True)
            self._exit.unlink(missing_ok=True)
            done = subprocess.run(  # noqa: S603 - the command is the caller's
                ["/bin/sh", "-c", _SCRIPT, "sh", *command],
                stdout=subprocess.PIPE,
                env={
                    **(os.environ if environment is None else environment),
                    _LOG: str(self.log),
                    _EXIT: str(self._exit),
                },
                start_new_session=True,
                check=True,
            )
            made = Process(int(done.stdout), _started(int(done.stdout)) or "gone")
            try:
                self._remember(made)
            except OSError:
                made.signal(signal.SIGKILL)  # nobody would find it again
                raise
        except (subprocess.SubprocessError, ValueError):
            raise StateError(f"{self.name} did not start") from None
        except OSError as error:
            raise InputError(f"{self.name} cannot be started: {error.strerror}") from None
        return made

    def _remember(self, made: Process) -> None:
        part = self._pid.with_suffix(".part")
        part.write_text(json.dumps({"pid": made.pid, "started": made.started}))
        part.replace(self._pid)

    def forget(self) -> None:
        """It was stopped on purpose."""
        with contextlib.suppress(OSError):
            self._pid.unlink(missing_ok=True)

    def last_line(self) -> str:
        """The end of its log, "" when there is none."""
        return last_line(self.log)

    def last_lines(self) -> list[str]:
        """The end of its log, which may be of several processes, one after the other."""
        return last_lines(self.log)


def last_lines(log: Path) -> list[str]:
    """The end of a file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            return file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return []


def last_line(log: Path) -> str:
    """The last line of a file, "" when there is none."""
    lines = last_lines(log)
    return lines[-1] if lines else ""


def stop(slots: Iterable[Slot], seconds: float) -> list[str]:
    """Ask processes to end, and end those that do not within so many seconds; returns the names of those."""
    waiting = {slot: found for slot in slots if (found := slot.process()) is not None}
    for process in waiting.values():
        process.signal(signal.SIGTERM)
    late = _wait(waiting, seconds)
    for slot in late:
        waiting[slot].signal(signal.SIGKILL)
    for slot in _wait({slot: waiting[slot] for slot in late}, 10.0):
        raise StateError(f"{slot.name} (process {waiting[slot].pid}) does not end; end it yourself")
    for slot in waiting:
        slot.forget()
    return [slot.name for slot in late]


def _wait(processes: Mapping[Slot, Process], seconds: float) -> list[Slot]:
    """Those that are alive after so many seconds."""
    deadline = time.monotonic() + seconds
    left = [slot for slot, process in processes.items() if process.alive]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL)
        left = [slot for slot in left if processes[slot].alive]
    return left


def _started(pid: int) -> str | None:
    """When a process started, in whatever way this system says it; None for one that has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _ps(pid, "lstart") or None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in ("Z", "X") else f"{boot}/{fields[19]}"


def _ps(pid: int, field: str) -> str:
    command = ["ps", "-o", f"{field}=", "-p", str(pid)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    except OSError:
        return ""
