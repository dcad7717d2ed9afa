"""The last resort: a mistake of ours, or a document that nobody thought of, ends neither node nor what else is due."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.app.health import Vitals
from fedproof.app.logs import open_log
from fedproof.app.running import NodeDiary, _Watcher
from fedproof.errors import FedproofError, LedgerError, StateError, UnexpectedError
from fedproof.ledger import Chain
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.view import View
from fedproof.nodes.journal import Journal
from fedproof.nodes.loop import Loop
from fedproof.nodes.patience import LONGEST_PAUSE, NotYetError
from fedproof.nodes.roles.acts import Acts, Stopped
from fedproof.nodes.roles.provider import ProviderRole
from tests.nodes.cast import Notes
from tests.nodes.paper import Desk, Paper, task

SECRET = "0123456789abcdef"
ODD: list[BaseException] = [
    KeyError(SECRET),
    ValueError(SECRET),
    TypeError(SECRET),
    AssertionError(SECRET),
    RecursionError(SECRET),
    MemoryError(SECRET),
    OSError(5, SECRET),
    UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "odd"),
]


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
def test_an_unexpected_error_in_one_act_keeps_no_other_from_being_done(error: BaseException) -> None:
    notes, done = Notes(), []
    acts = Acts(notes, threading.Event())
    acts.begin(7)
    assert not acts.do("odd", raising(error))
    assert acts.do("other", lambda: done.append(7))
    assert done == [7]
    ((event, fields),) = notes.lines
    assert (event, fields["act"], fields["again_at"], acts.wake) == ("failed", "odd", 8, 8)
    told = fields["error"]
    assert isinstance(told, UnexpectedError)
    assert told.exit_code == 70
    assert type(error).__name__ in str(told)
    assert "test_acts.py:" in str(told)
    assert SECRET not in str(told)


def test_an_act_that_goes_on_failing_is_tried_ever_less_often_and_once_more_when_it_was_done() -> None:
    notes, tried = Notes(), []
    acts = Acts(notes, threading.Event())

    def fail() -> None:
        tried.append(acts.block)
        raise KeyError

    for block in range(200):
        acts.begin(block)
        acts.do("odd", fail)
    pauses = [later - before for before, later in pairwise(tried)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert set(pauses[6:]) == {LONGEST_PAUSE}
    acts.begin(1000)
    assert acts.do("odd", lambda: None)
    acts.begin(1001)
    acts.do("odd", fail)
    assert notes.lines[-1][1]["again_at"] == 1002


def tries(due: tuple[int, ...], error: Exception, until: int, **options: Any) -> list[int]:
    """The blocks at which an act is tried that goes on failing from block 0 on."""
    tried, acts = [], Acts(Notes(), threading.Event())

    def fail() -> None:
        tried.append(acts.block)
        raise error

    for block in range(until):
        acts.begin(block)
        acts.do("odd", fail, due=due, **options)
        assert acts.wake is not None
    return tried


@pytest.mark.parametrize("error", [KeyError(), NotYetError("blob", 1000)], ids=["failed", "waits"])
def test_no_pause_passes_a_block_at_which_an_act_is_due(error: Exception) -> None:
    """A window may be shorter than a pause; what failed for a moment is done before it ends."""
    for due in (4, 5, 20, 50, 62, 63, 64):
        assert [due - 2, due - 1, due] == [block for block in tries((due,), error, 100) if due - 2 <= block <= due]
    assert tries((20, 40), KeyError(), 50) == [0, 1, 3, 7, 15, 17, 18, 19, 20, 37, 38, 39, 40]


def test_an_act_that_must_not_wait_long_does_not() -> None:
    assert tries((), KeyError(), 12, longest=2) == [0, 1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("error", [UnreachableError("gone"), Stopped(), KeyboardInterrupt()])
def test_what_concerns_the_whole_node_is_no_failure_of_an_act(error: BaseException) -> None:
    notes = Notes()
    with pytest.raises(type(error)):
        Acts(notes, threading.Event()).do("odd", raising(error))
    assert notes.lines == []


class Line:
    """A chain of which some calls time out, or all."""

    def __init__(self, *answered: str) -> None:
        self.answered = set(answered)
        self.asked: list[str] = []

    def call(self, name: str) -> None:
        self.asked.append(name)
        if name not in self.answered:
            raise UnreachableError(f"no usable answer to {name}")


@pytest.mark.parametrize("nested", [False, True])
def test_a_call_of_one_task_that_times_out_keeps_no_other_task_waiting(nested: bool) -> None:
    notes, line = Notes(), Line("ping", "good")
    acts = Acts(notes, threading.Event())

    def attend(name: str) -> None:
        if nested:
            acts.do(f"estimate/{name}", lambda: line.call(name))
        else:
            line.call(name)

    done: list[int] = []
    for block in range(8):
        acts.begin(block, lambda: line.call("ping"))
        for name in ("bad", "worse", "good"):
            acts.do(f"read/{name}", lambda name=name: attend(name))  # type: ignore[misc]
        done.append(line.asked.count("good"))
    assert done == list(range(1, 9))
    assert line.asked.count("bad") == line.asked.count("worse") == 4  # at 0, 1, 3 and 7
    told = [(fields["act"], type(fields["error"])) for _, fields in notes.lines]
    first = "estimate" if nested else "read"
    assert told == 4 * [(f"{first}/bad", UnreachableError), (f"{first}/worse", UnreachableError)]


@pytest.mark.parametrize("nested", [False, True])
def test_a_chain_that_answers_nothing_ends_the_step_at_its_first_act(nested: bool) -> None:
    notes, line = Notes(), Line()
    acts = Acts(notes, threading.Event())

    def attend(name: str) -> None:
        if nested:
            acts.do(f"estimate/{name}", lambda: line.call(name))
        else:
            line.call(name)

    def step(block: int) -> None:
        acts.begin(block, lambda: line.call("ping"))
        for name in ("one", "two"):
            acts.do(f"read/{name}", lambda name=name: attend(name))  # type: ignore[misc]

    with pytest.raises(UnreachableError, match="answer to one"):
        step(0)
    assert (line.asked, notes.lines) == (["one", "ping"], [])
    line.answered = {"one", "two"}
    step(0)  # nobody waits: it was no act that failed
    assert line.asked[2:] == ["one", "two"]


def test_a_dataset_whose_calls_time_out_keeps_no_other_of_its_provider_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    notes, answered = Notes(), []
    kit: Any = SimpleNamespace(market=SimpleNamespace(chain=SimpleNamespace(block_number=lambda: 7)))
    nothing: Any = None
    folders = {name: Path(name) for name in ("bad", "good")}
    role = ProviderRole(kit, nothing, nothing, folders, Acts(notes, threading.Event()))

    def answer(folder: Path) -> None:
        if folder.name == "bad":
            raise UnreachableError("no usable answer to eth_estimateGas")
        answered.append(folder.name)

    monkeypatch.setattr(role, "_answer", answer)
    role.step(7)
    assert (answered, notes.names()) == (["good"], ["failed"])


class Odd:
    """A role whose steps fail, each with another error, until it is stopped."""

    contracts = ()

    def __init__(self, errors: list[BaseException], stop: threading.Event) -> None:
        self.left = errors
        self.stop = stop

    def step(self, block: int) -> int | None:
        if self.left:
            raise self.left.pop(0)
        self.stop.set()
        return None

    def undone(self, blocks: int) -> None:
        raise AssertionError


def run(chain: Chain, folder: Path, errors: list[BaseException], watcher: Any) -> None:
    stop = threading.Event()
    with Journal(folder / "journal.db", chain.chain_id) as journal:
        loop = Loop(chain, View.of(chain), journal, Odd(errors, stop), watcher, stop=stop, pause=lambda _: None)
        loop.run()


def test_an_unexpected_error_in_a_step_does_not_end_the_node(tmp_path: Path) -> None:
    class Told(Notes):
        def failed(self, error: FedproofError, pause: float) -> None:
            self.lines.append((type(error).__name__, {"why": str(error), "exit": error.exit_code}))

    told = Told()
    run(Chain.embedded(), tmp_path, [*ODD, LedgerError("slow")], told)
    assert told.names() == ["UnexpectedError"] * len(ODD) + ["LedgerError"]
    assert all(fields["exit"] == 70 and SECRET not in str(fields["why"]) for _, fields in told.lines[:-1])


def test_saved_state_that_forbids_going_on_does(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="restore"):
        run(Chain.embedded(), tmp_path, [KeyError(SECRET), StateError("restore it"), KeyError(SECRET)], Ignorant())


class Ignorant(Notes):
    """Is told of failures, and forgets them."""

    def failed(self, error: FedproofError, pause: float) -> None:
        pass


def test_log_and_metrics_tell_an_unexpected_error_without_its_values(tmp_path: Path) -> None:
    stream = io.StringIO()
    log, vitals = open_log("w-1", "info", "json", stream), Vitals("worker")
    Acts(NodeDiary(log, vitals), threading.Event()).do("odd", raising(KeyError(SECRET)))
    run(Chain.embedded(), tmp_path, [KeyError(SECRET)], _Watcher(log, vitals))
    said = stream.getvalue()
    assert [name in said for name in ("act.failed", "step.failed", SECRET)] == [True, True, False]
    assert said.count("internal error (KeyError at test_acts.py:") == 2
    assert vitals.registry.get_sample_value("fedproof_errors_total", {"kind": "UnexpectedError"}) == 2


@pytest.mark.parametrize(("serves", "wanted"), [(True, [100, 101, 103, 105, 107, 109]), (False, [100, 101, 103, 107])])
def test_a_worker_looks_again_soon_at_a_task_that_it_serves(desk: Desk, serves: bool, wanted: list[int]) -> None:
    looks: list[int] = []

    class Down(Paper):
        def task_info(self, _: int) -> Any:
            looks.append(role._acts.block)
            raise LedgerError("slow")

    role: Any = desk.worker(Down(task()), federation=SimpleNamespace(chain=SimpleNamespace(block_number=lambda: 1)))
    if serves:
        role._models[1] = bytes(64)
    for block in range(100, 110):
        role.step(block)
    assert looks == wanted
