"""A node's process with faults of its own, named by `$FEDPROOF_TEST_FAULTS` (JSON); the arguments are the command's.

crash: a file; the process kills itself at every checkpoint whose name is not in it yet, and adds the name before.
crash_at: the beginning of a checkpoint's name; the process kills itself there, every time.
clock: seconds by which its wall clock is wrong.
lie: the worker's outputs are off by one.
point: hex of 128 bytes, which the participant's proofs have in the place of B.
spoil: [worker, how]: the first time that shares are stored, the blob of this worker is missing, cut off or swapped.

With the one argument `nursery` it forks a process for each order on its standard input, and says its number: nodes that
are started some hundred times need not import their libraries as often, which is most of a start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from fedproof import _core
from fedproof.cli.main import main
from fedproof.ledger.federation import Federation, Update
from fedproof.nodes import checkpoints, participant
from fedproof.nodes.worker import Worker
from fedproof.storage import BlobStore, content_id

VARIABLE = "FEDPROOF_TEST_FAULTS"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_once_at_each(path: Path) -> None:
    def hook(name: str) -> None:
        known = path.read_text().splitlines() if path.exists() else []
        if name not in known:
            with path.open("a") as file:
                file.write(name + "\n")
                file.flush()
                os.fsync(file.fileno())
            die()

    checkpoints.hook = hook


def crash_at(prefix: str) -> None:
    checkpoints.hook = lambda name: die() if name.startswith(prefix) else None


def shift_clock(seconds: float) -> None:
    real = time.time
    time.time = lambda: real() + seconds


def lie() -> None:
    real = Worker.share_sum

    def wrong(self: Worker, *args: Any) -> Any:
        output = real(self, *args)
        values = output.values.copy()
        values[:1] = _core.fr_add(values[:1].copy(), _core.fr_from_ints([1]))
        return replace(output, values=values)

    Worker.share_sum = wrong  # type: ignore[method-assign, assignment]


def put_point(point: bytes) -> None:
    real = Federation.submit_update_call

    def bad(self: Federation, task: Any, update: Update, *rest: Any) -> Any:
        proof = update.proof.proof[:64] + point + update.proof.proof[192:]
        return real(self, task, replace(update, proof=replace(update.proof, proof=proof)), *rest)

    Federation.submit_update_call = bad  # type: ignore[method-assign]


def spoil(worker: int, how: str) -> None:
    real = participant.put_shares
    spoilt: list[bytes] = []

    def put(store: BlobStore, commitments: list[bytes], sealed: list[bytes]) -> bytes:
        digest = real(store, commitments, sealed)
        if not spoilt:
            spoilt.append(digest)
            path = Path(store.name) / content_id(sealed[worker - 1])
            damaged = {"missing": None, "cut off": sealed[worker - 1][:-5], "swapped": sealed[worker - 1][::-1]}[how]
            path.unlink() if damaged is None else path.write_bytes(damaged)
        return digest

    participant.put_shares = put


def play() -> None:
    """Be the node of `sys.argv` and the environment."""
    faults = json.loads(os.environ.get(VARIABLE, "{}"))
    if "crash" in faults:
        crash_once_at_each(Path(faults["crash"]))
    if "crash_at" in faults:
        crash_at(faults["crash_at"])
    if "clock" in faults:
        shift_clock(faults["clock"])
    if faults.get("lie"):
        lie()
    if "point" in faults:
        put_point(bytes.fromhex(faults["point"]))
    if "spoil" in faults:
        spoil(*faults["spoil"])
    sys.argv[0] = "fedproof"
    main()


def nursery() -> None:
    """An order is a line of JSON with `arguments`, `environment` and `log`."""
    import fedproof.app.running  # noqa: F401 - what a node imports when it runs

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            be_born(order)
        print(child, flush=True)


def be_born(order: dict[str, Any]) -> NoReturn:
    """As a process that was started for this."""
    code = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDWR)
        for source, target in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv[1:] = order["arguments"]
        play()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a child must never come back to read orders
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    nursery() if sys.argv[1:] == ["nursery"] else play()
