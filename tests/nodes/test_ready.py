"""An update that is proven and cannot be sent: one mask for one round and model, however often the line breaks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import StateError
from fedproof.ledger import Receipt, SignedTransaction
from fedproof.ledger.accounts import account_from_key
from fedproof.ledger.federation import SettledRound, TaskInfo, Update
from fedproof.ledger.federation_types import point
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.sending import ReplacedError
from fedproof.ledger.transactions import read_signed
from fedproof.nodes import checkpoints
from fedproof.nodes.participant import Participant, Submitted
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import LinkedProof
from tests.nodes.paper import Desk, task

ACCOUNT = account_from_key(bytes([7]) * 32)
SRS = _core.Srs.generate(8, [1])
MASKS = 5
MODEL, OTHER = (SRS.commit(_core.fr_random(4)) for _ in range(2))


class KilledError(BaseException):
    """The process ends here."""


class Line:
    """A federation behind a line of which each part may be down, and what came through."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.wanted: list[Update] = []
        self.sent: list[bytes] = []
        self.events_: list[Any] = []
        self.accepted: list[Update] = []
        self.tasks: dict[int, TaskInfo] = {}
        self.failed: set[tuple[int, int]] = set()
        self.chain, self.contract, self.address = self, None, "0xfederation"

    def submit_update_call(self, _: TaskInfo, update: Update, __: int) -> Update:
        self.wanted.append(update)
        return update

    def prepare(self, call: Update, _: Any) -> SignedTransaction:
        self._pass("prepare")
        fields = {"chainId": 1, "nonce": len(self.wanted), "gas": 1, "gasPrice": 1, "value": 0, "data": call.update}
        return read_signed(ACCOUNT.sign(fields))

    def broadcast(self, transaction: SignedTransaction) -> None:
        self._pass("broadcast")
        self.sent.append(transaction.raw)

    def wait(self, transaction: SignedTransaction) -> Receipt:
        if "nonce" in self.refuses:
            raise ReplacedError("its nonce is taken")
        self._pass("wait")
        update = next(each for each in self.wanted if each.update == transaction.data)
        args = {"task": 1, "round": 1, "participant": ACCOUNT.address, "submission": (point(update.update),)}
        self.events_.append(SimpleNamespace(args=args))
        self.accepted.append(update)
        return Any  # type: ignore[return-value]

    def _pass(self, part: str) -> None:
        if part in self.refuses:
            raise UnreachableError(f"no usable answer to {part}")

    def events(self, *_: Any, argument_filters: dict[str, Any]) -> list[Any]:
        task_id = argument_filters.get("task")
        return [each for each in self.events_ if task_id in (None, each.args["task"])]

    def opened_block(self, _: int) -> int:
        return 1

    def task_info(self, task_id: int) -> TaskInfo:
        return self.tasks[task_id]

    def round_failed(self, task_id: int, round_number: int) -> bool:
        return (task_id, round_number) in self.failed

    def updates(self, *_: Any) -> list[Update]:
        return list(self.accepted)


class Node(Participant):
    """Makes updates without training; each has a y of its own."""

    made = 0

    def _make(self, task: TaskInfo, round_number: int, model: Any) -> tuple[Update, dict[str, float]]:
        self._reserve(task, round_number)
        self.made += 1
        self.sent.keep(task.task_id, round_number, [bytes(64)], [b"sealed"] * 3, [b"share"] * 3)
        word = _core.fr_random(2)
        proof = LinkedProof(bytes(256), SRS.commit(word), SRS.commit(word), int(_core.fr_to_bytes(word)[:32].hex(), 16))
        masked, share = self._masked(self._masks(task.task_id)), os.urandom(32)
        update = Update(ACCOUNT.address, 20, masked, SRS.commit(_core.fr_random(3)), share, bytes(32), proof)
        return update, {"prove": 0.5}


@pytest.fixture
def line() -> Iterator[Line]:
    yield Line()
    checkpoints.hook = None


def node(state: StateFile, line: Any) -> Node:
    deployment: Any = SimpleNamespace(
        plan=SimpleNamespace(mask_count=MASKS), srs=SRS, layout=SimpleNamespace(masks=2), store=None
    )
    opened: Any = SimpleNamespace(dataset_id=7, rows=20, commitment=SRS.commit(_core.fr_from_ints([3])))
    if "enrolments" not in state:
        masks = _core.fr_to_bytes(_core.fr_random(MASKS)).hex()
        state.put(enrolments={"1": {"masks": masks, "spent": 0, "terms": bytes(32).hex()}})
    return Node(deployment, line, ACCOUNT, state, opened)


def seen(model: bytes = MODEL) -> TaskInfo:
    return replace(task(mask_count=MASKS), model=model, round=1)


def train(node: Node, model: bytes = MODEL) -> Submitted:
    blob: Any = None
    return node.train(seen(model), 1, blob)


def spent(state: StateFile) -> int:
    return int(json.loads(state.path.read_text())["data"]["enrolments"]["1"]["spent"])


def test_a_line_that_refuses_estimates_costs_one_mask(desk: Desk, line: Line) -> None:
    line.refuses = {"prepare"}
    mine = node(desk.state, line)
    for _ in range(3 * MASKS):
        with pytest.raises(UnreachableError):
            train(mine)
    assert (mine.made, spent(desk.state)) == (1, 1)
    line.refuses.clear()
    again = node(desk.state, line)  # restarted
    done = train(again)
    assert (again.made, spent(desk.state)) == (0, 1)
    assert len(set(line.wanted)) == 1  # the very same, to the last byte of its proof
    assert (done.update, done.seconds) == (line.wanted[0], {"prove": 0.5})
    assert desk.state.get("ready") == {}


def test_the_last_mask_serves_until_its_update_is_in(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    known = desk.state.get("enrolments")["1"]
    desk.state.put(enrolments={"1": known | {"spent": MASKS - 2}})
    line.refuses = {"prepare"}
    for _ in range(2):
        with pytest.raises(UnreachableError):
            train(mine)
    line.refuses.clear()
    assert train(mine).update in line.accepted


@pytest.mark.parametrize("at", ["spent", "saved submit/", "sent submit/"])
def test_a_node_that_is_killed_with_a_proof_sends_that_one(desk: Desk, line: Line, at: str) -> None:
    def kill(name: str) -> None:
        if name.startswith(at):
            raise KilledError

    checkpoints.hook = kill
    with pytest.raises(KilledError):
        train(node(desk.state, line))
    checkpoints.hook = None
    again = node(desk.state, line)
    train(again)
    assert (again.made, spent(desk.state), len(line.accepted)) == (0, 1, 1)
    assert desk.state.get("ready") == {}


def test_a_transaction_whose_nonce_was_taken_is_made_again_of_the_same_update(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    line.refuses = {"wait"}
    with pytest.raises(UnreachableError):
        train(mine)
    line.refuses = {"nonce"}
    with pytest.raises(ReplacedError):
        train(mine)
    line.refuses.clear()
    train(mine)
    assert (mine.made, spent(desk.state), len(set(line.wanted))) == (1, 1, 1)


def test_an_update_of_another_model_or_dataset_is_not_sent(desk: Desk, line: Line) -> None:
    """As after a reorganisation: what is on disk for complaints is of the last one that was made, too."""
    line.refuses = {"prepare"}
    mine = node(desk.state, line)
    for count, model in enumerate((MODEL, OTHER, OTHER, MODEL), 1):
        with pytest.raises(UnreachableError):
            train(mine, model)
        assert mine.made == (count if count < 3 else count - 1)
    mine.opened = replace_opened(mine.opened)
    with pytest.raises(UnreachableError):
        train(mine)
    assert mine.made == spent(desk.state) == 4
    assert len(set(line.wanted)) == 4


def replace_opened(opened: Any) -> Any:
    return SimpleNamespace(**vars(opened) | {"commitment": SRS.commit(_core.fr_from_ints([4]))})


def test_an_update_that_was_in_and_was_rejected_is_not_sent_again(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    train(mine)
    kept = line.accepted.pop()  # rejected
    desk.state.put(ready=mine.ready.with_one(seen(), 1, kept, {}), outbox={})  # and nothing but it is remembered
    train(mine)
    assert mine.made == spent(desk.state) == 2
    assert line.accepted[0] != kept


def test_an_update_of_other_terms_or_of_an_old_backup_is_not_sent(desk: Desk, line: Line) -> None:
    line.refuses = {"prepare"}
    mine = node(desk.state, line)
    with pytest.raises(UnreachableError):
        train(mine)
    blob: Any = None
    with pytest.raises(StateError, match="other terms"):
        mine.train(replace(seen(), terms=bytes([1]) * 32), 1, blob)
    args = {"task": 1, "round": 9, "submission": (point(SRS.commit(_core.fr_random(1))),)}
    line.events_ = [SimpleNamespace(args=args)] * 2
    with pytest.raises(StateError, match="old backup"):
        train(mine)


@pytest.mark.parametrize("change", [{"y": "ff" * 32}, {"d": "00"}, {"rows": "1"}, {"share_digest": ""}, None])
def test_an_update_that_is_damaged_on_disk_is_said(desk: Desk, line: Line, tmp_path: Path, change: Any) -> None:
    line.refuses = {"prepare"}
    with pytest.raises(UnreachableError):
        train(node(desk.state, line))
    document = json.loads(desk.state.path.read_text())
    ready = document["data"]["ready"]
    document["data"]["ready"] = {"1/1": ready["1/1"] | change} if change else {"x": ready["1/1"]}
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "state.json").write_text(json.dumps(document))
    with pytest.raises(StateError, match="ready is not what was saved there"):
        StateFile(tmp_path / "copy", desk.state.role)


# -- states that are old backups --


def submitted_to(line: Line, task_id: int, round_number: int, model: bytes) -> None:
    """The chain has an update of this account in another round, which began with a model."""
    line.tasks[task_id] = task(task_id=task_id, model=model)
    args = {"task": task_id, "round": round_number, "submission": (point(SRS.commit(_core.fr_random(1))),)}
    line.events_.append(SimpleNamespace(args=args))


def settled(round_number: int, model: bytes | None) -> SettledRound:
    return SettledRound(round_number, None, model, bytes(32), 20, 7, "", 100)


def test_a_model_that_was_trained_on_in_another_task_which_the_state_does_not_know_of_is_refused(
    desk: Desk, line: Line
) -> None:
    mine = node(desk.state, line)
    submitted_to(line, 2, 1, MODEL)
    with pytest.raises(StateError, match=r"over this model in task 2, round 1.* old backup"):
        train(mine)
    assert (mine.made, spent(desk.state), "trained" in desk.state) == (0, 0, False)
    line.failed = {(2, 1)}  # it can never be finished
    train(mine)
    assert mine.made == 1


def test_a_round_that_failed_hides_no_other_that_the_state_does_not_know_of(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    desk.state.put(trained={MODEL.hex(): [2, 1]})
    submitted_to(line, 2, 1, MODEL)
    submitted_to(line, 3, 1, MODEL)
    line.failed = {(2, 1)}
    with pytest.raises(StateError, match="in task 3, round 1"):
        train(mine)


def test_rounds_over_other_models_are_no_reason_to_refuse(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    submitted_to(line, 2, 1, OTHER)
    submitted_to(line, 3, 1, MODEL)
    line.tasks[3] = replace(line.tasks[3], params=replace(line.tasks[3].params, model=OTHER))
    submitted_to(line, 4, 2, MODEL)
    line.tasks[4] = replace(line.tasks[4], settled=(settled(1, OTHER), settled(2, MODEL)))
    train(mine)
    assert mine.made == 1


def test_a_model_that_an_earlier_round_of_another_task_made_is_found(desk: Desk, line: Line) -> None:
    mine = node(desk.state, line)
    submitted_to(line, 4, 3, OTHER)
    line.tasks[4] = replace(line.tasks[4], settled=(settled(1, MODEL), settled(2, None)))
    with pytest.raises(StateError, match="in task 4, round 3"):
        train(mine)
