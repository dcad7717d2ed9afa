"""A network of node processes that a test may kill, deceive and cut off; and what must hold at each end."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fedproof.app.audit import audit_run
from fedproof.app.connection import Connection
from fedproof.app.deployment import DeploymentFile
from fedproof.app.export import export_task
from fedproof.app.joining import join
from fedproof.app.keystore import show, unlock
from fedproof.app.network import DEPLOYMENT, Network, node_folder
from fedproof.app.passphrase import read_passphrase
from fedproof.app.telling import Silent
from fedproof.errors import LedgerError
from fedproof.learning import exact
from fedproof.ledger import Chain
from fedproof.ledger.federation import Stage, TaskInfo
from fedproof.nodes.models import check_model, described, settled_model
from fedproof.nodes.params import Deployment
from fedproof.nodes.records import GrantedRecords
from fedproof.statements.aggregation import divide
from tests.cli.test_secrets import secret_values, words
from tests.network.launcher import VARIABLE
from tests.support.anvil import AnvilProcess
from tests.support.leaks import found_in, needles, process_list
from tests.support.proxy import FaultProxy

TOKEN = 10**18
BOND = 50 * TOKEN
PARTICIPANTS = ("participant-1", "participant-2", "participant-3")
WORKERS = ("worker-1", "worker-2", "worker-3")
NODES = ("provider", *PARTICIPANTS, *WORKERS)
LAUNCHER = Path(__file__).with_name("launcher.py")


class Running(Protocol):
    """A process, by whomever it was started."""

    def poll(self) -> int | None:
        """None while it runs."""

    def kill(self) -> None:
        """At once."""

    def send_signal(self, sig: int) -> None:
        """Any other signal."""

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended."""


class Born:
    """A process of the nursery: not a child of this one, so that its exit code is not known (it is -1 here)."""

    def __init__(self, pid: int) -> None:
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def poll(self) -> int | None:
        if self._handle is not None and select.select([self._handle], [], [], 0)[0]:
            os.close(self._handle)
            self._handle = None
        return -1 if self._handle is None else None

    def send_signal(self, sig: int) -> None:
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        if self._handle is not None and not select.select([self._handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a process of the nursery", timeout or 0)
        self.poll()
        return -1


class Nursery:
    """Starts processes that have their libraries already."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), "nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: Sequence[str], environment: dict[str, str], log: Path) -> Born:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"arguments": list(arguments), "environment": environment, "log": str(log)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Born(int(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Crew:
    """The processes of a prepared network. All speak to the chain through one proxy."""

    network: Network
    anvil: AnvilProcess
    proxy: FaultProxy
    scratch: Path
    running: dict[str, Running] = field(default_factory=dict)
    odd: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.nursery = Nursery()
        self.chain = Chain.connect(self.anvil.url)
        document = DeploymentFile.read(self.network.folder / DEPLOYMENT)
        self.deployment: Deployment
        self.deployment, self.federation = join(document, self.chain, self.network.folder / "cache")
        self.document = document
        self.addresses = {name: show(node_folder(self.network.folder, name) / "keys").address for name in NODES}

    # -- processes --

    def launch(
        self, name: str, *, own: bool = False, prefix: Sequence[str] = (), rpc: str | None = None, **faults: Any
    ) -> None:
        """Start a node, with faults of its own if any are named.

        Args:
            own: as its user would, so that its command line, its environment and how it ends are its own.
            prefix: of such a command.
        """
        assert name not in self.running
        role = name.split("-")[0]
        config = node_folder(self.network.folder, name) / "node.toml"
        environment = {**os.environ, "FEDPROOF_RPC": rpc or self.proxy.url, VARIABLE: json.dumps(faults)}
        arguments = ["node", role, "--config", str(config)]
        if not own and not prefix:
            self.running[name] = self.nursery.start(arguments, environment, self.log(name))
        else:
            command = [*prefix, sys.executable, str(LAUNCHER), *arguments]
            with self.log(name).open("ab") as log:
                self.running[name] = subprocess.Popen(command, env=environment, stderr=log, start_new_session=True)
        if faults or prefix or rpc:
            self.odd.add(name)

    def log(self, name: str) -> Path:
        return self.scratch / f"{name}.log"

    def kill(self, *names: str) -> None:
        for name in names:
            process = self.running.pop(name, None)
            if process is not None:
                process.kill()
                process.wait()
            self.odd.discard(name)

    def only(self, *names: str) -> None:
        """Exactly these run, none with a fault of its own."""
        self.proxy.clear()
        dead = [name for name, process in self.running.items() if process.poll() is not None]
        self.kill(*{*self.odd, *dead, *(set(self.running) - set(names))})
        for name in names:
            if name not in self.running:
                self.launch(name)

    def close(self) -> None:
        self.kill(*list(self.running))
        self.nursery.close()
        self.chain.close()

    # -- tasks --

    def open(self, **changes: Any) -> int:
        """Open the next task of the network; returns its number."""
        plan, count = self.network.task, self.federation.tasks()
        description, model = list(plan.starts.items())[count]
        keys = [show(node_folder(self.network.folder, name) / "keys") for name in WORKERS]
        numbers = {
            "class_id": plan.class_id,
            "rounds": 1,
            "mask_count": plan.mask_count,
            "threshold": 1,
            "min_updates": 2,
            "max_participants": 3,
            "submit_blocks": 40,
            "freeze_blocks": 15,
            "settle_blocks": 40,
            "reward_per_round": 30 * TOKEN,
            "enrol_bond": BOND,
            "worker_bond": BOND,
        }
        task = self.federation.open_task(
            self.network.sponsor().account,
            training_key=plan.training_key,
            aggregation_key=plan.aggregation_key,
            spec_digest=self.deployment.plan.digest(),
            description=bytes.fromhex(description),
            model=bytes.fromhex(model),
            committee=[(each.address, each.hpke_public) for each in keys],
            **numbers | changes,
        )
        return task.task_id

    def start(self, task_id: int, wanted: int = 3) -> None:
        """Open round 1 when so many are enrolled."""
        self.wait(lambda: self.task(task_id).enrolled == wanted, 60)
        self.federation.open_round(self.network.sponsor().account, task_id)

    def task(self, task_id: int) -> TaskInfo:
        """As it is at the head; asked again where the node answers of a new block before it has its logs."""
        for _ in range(20):
            try:
                return self.federation.task_info(task_id)
            except LedgerError as error:
                if "it is behind" not in str(error):
                    raise
                time.sleep(0.1)
        return self.federation.task_info(task_id)

    def wait(self, true: Callable[[], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError("not in time: " + self.last_words())
            time.sleep(0.25)  # half a block: each look is a dozen questions to the chain

    def wait_for(self, task_id: int, *stages: Stage) -> None:
        self.wait(lambda: self.task(task_id).stage in stages)

    def last_words(self) -> str:
        return "\n".join(f"{name}: {self.said(name)[-3:]}" for name in self.running)

    def said(self, name: str) -> list[str]:
        path = self.log(name)
        return path.read_text().splitlines() if path.exists() else []

    # -- what must hold at the end --

    def check(self, task_id: int, accepted: int, seconds: float = 90, retries: int = 0) -> TaskInfo:
        """The task has ended with one settled round of these updates, and everything about it is right."""
        self.wait(lambda: self.task(task_id).stage == Stage.ENDED, seconds)
        task = self.task(task_id)
        assert [each.accepted for each in task.settled] == [accepted], self.last_words()
        assert task.retries == retries
        settled = task.settled[0]
        if settled.new_model is not None:
            made = settled_model(self.deployment, self.federation, task, settled)
            assert made.weights.tolist() == self.expected(task, accepted)
        submitted = self.chain.events(
            self.federation.contract, "UpdateSubmitted", task.opened_block, argument_filters={"task": task_id}
        )
        kept = [each for each in submitted if each.args["round"] == settled.round]
        assert len({each.args["participant"] for each in kept}) == len(kept)  # none twice
        self.check_no_secrets()
        # the audit compares payments with what is held: not while some are on their way
        up = [name for name in PARTICIPANTS if name in self.running and self.running[name].poll() is None]
        self.wait(lambda: not any(any(self.federation.claimable(task_id, self.addresses[name])) for name in up), 60)
        out = self.scratch / f"audit-{task_id}"
        export_task(Connection.at(self.document, self.chain, cache=self.network.folder / "cache"), task_id, out)
        audit_run(out, Silent(), self.anvil.url)
        return task

    def expected(self, task: TaskInfo, accepted: int) -> list[int]:
        """What FedAvg in plain integers makes of exactly these updates, and of no other set of them."""
        d = self.deployment
        start = check_model(d, described(d, task).start, task.params.model)
        names = {address: name for name, address in self.addresses.items()}
        parts = []
        for each in self.federation.enrolments(task.task_id):
            access = node_folder(self.network.folder, names[each.participant]) / "access"
            o = GrantedRecords(d, each.participant, access).open(each.dataset_id, 1)
            trained = exact.train(d.plan, o.features, o.mask, o.labels, start.layers)
            parts.append((o.rows, o.rows * d.plan.model.flatten(trained.update).astype(object)))

        def average(places: Sequence[int]) -> list[int]:
            total = np.array(sum(parts[k][1] for k in places), dtype=np.int64)
            step, _ = divide(total, sum(parts[k][0] for k in places))
            return start.moved(step).weights.tolist()  # type: ignore[no-any-return]

        sets = [s for size in (1, 2, 3, 4) for s in itertools.combinations_with_replacement(range(len(parts)), size)]
        models = {s: tuple(average(s)) for s in sets if len(set(s)) > 1 or len(s) == 1}
        wanted = tuple(k for k in range(len(parts)) if accepted >> k & 1)
        twice = tuple(sorted(2 * wanted))  # the same average, whatever the updates
        assert sum(model == models[wanted] for s, model in models.items() if s != twice) == 1  # a replay would show
        return list(models[wanted])

    def own_folders(self) -> list[Path]:
        """What nobody but a node, or the sponsor, may read."""
        return [*(node_folder(self.network.folder, name) for name in NODES), self.network.folder / "sponsor"]

    def secrets(self) -> Iterator[tuple[str, bytes]]:
        """Everything that a node keeps for itself, and whose it is."""
        for folder in self.own_folders():
            name = folder.name
            passphrase = read_passphrase(folder / "passphrase")
            keys = unlock(folder / "keys", passphrase)
            yield f"{name}: passphrase", passphrase.reveal()
            yield f"{name}: account key", keys.account.private_key()
            yield f"{name}: HPKE key", keys.hpke.private[2:]
            for path in folder.glob("**/state.json"):
                for kind, value in secret_values(json.loads(path.read_text())["data"]):
                    for word in words(value):
                        yield f"{name}: {kind}", word

    def check_no_secrets(self) -> None:
        """Nothing that a node keeps for itself is in any log or process list."""
        hidden = needles(self.secrets())
        said = [(path.name, path.read_bytes()) for path in self.scratch.glob("*.log")]
        assert said
        for name, content in (*said, *process_list()):
            assert not (hits := found_in(content, hidden)), f"{name} holds {sorted(hits)}"

    def published(self) -> Iterator[tuple[str, bytes]]:
        """All files that are nobody's own: exports, reports, stores, the chain's and what is kept of keys."""
        own = set(self.own_folders())
        for root in (self.scratch, self.network.folder):
            for path in root.rglob("*"):
                if path.is_file() and not own & set(path.parents):
                    yield str(path.relative_to(root)), path.read_bytes()

    def stop_gently(self, name: str) -> int:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)
