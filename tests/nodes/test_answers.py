"""A share in the clear leaves a participant for an answer that the chain takes, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof.errors import ContractRejected, FedproofError, StateError, StorageError
from fedproof.ledger import SignedTransaction
from fedproof.ledger.accounts import account_from_key
from fedproof.ledger.committee import Kind, Windows
from fedproof.ledger.federation import Enrolment, Stage
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.transactions import read_signed
from fedproof.nodes import checkpoints
from fedproof.nodes.participant import Participant
from fedproof.nodes.sealed import ShareIndex
from fedproof.storage.content import content_id
from tests.nodes.paper import PARTICIPANT_ADDRESS, WORKERS, Desk, Paper, task

ACCOUNT = account_from_key(bytes([7]) * 32)
TASK = task(round=1)


class KilledError(BaseException):
    """The process ends here."""


class Answering:
    """A participant's answers to complaints, and in which order what left it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.left = desk, list[tuple[str, Any]]()
        self.refusal: FedproofError | None = None
        store = SimpleNamespace(put=self._put)
        committee = SimpleNamespace(answer_call=lambda _, blob: blob)
        federation: Any = SimpleNamespace(chain=self, committee=committee)
        self.node = Participant(
            SimpleNamespace(store=store),
            federation,
            ACCOUNT,
            desk.state,
            SimpleNamespace(),  # type: ignore[arg-type]
        )
        desk.state.put(enrolments={"1": {"masks": "", "spent": 1, "terms": TASK.terms.hex()}})
        self.node.sent.keep(1, 1, [bytes(64)], [b"sealed 1", b"sealed 2", b"sealed 3"], [b"one", b"two", b"three"])
        self.role: Any = desk.participant(Paper(), federation=federation)
        self.role._enrolled_node = lambda *_: self.node
        self.role._account = ACCOUNT

    def _put(self, blob: bytes) -> str:
        self.left.append(("put", blob))
        return content_id(blob)

    def prepare(self, blob: bytes, _: Any) -> SignedTransaction:
        self.left.append(("estimate", blob.hex()))
        if self.refusal is not None:
            raise self.refusal
        return read_signed(ACCOUNT.sign({"chainId": 1, "nonce": 1, "gas": 1, "gasPrice": 1, "value": 0, "data": blob}))

    def broadcast(self, transaction: SignedTransaction) -> None:
        self.left.append(("send", transaction.data.hex()))

    def wait(self, _: SignedTransaction) -> None:
        """It is mined at once."""

    def answer(self, kind: Kind, worker: int = 2) -> None:
        complaint: Any = SimpleNamespace(complaint=bytes([worker]) * 32, worker=WORKERS[worker - 1].address, kind=kind)
        self.role._answer(TASK, None, complaint)


@pytest.fixture
def answering(desk: Desk) -> Iterator[Answering]:
    yield Answering(desk)
    checkpoints.hook = None


@pytest.mark.parametrize(
    "refusal", [ContractRejected("NoSuchComplaint"), UnreachableError("no answer to eth_estimateGas")]
)
def test_a_share_stays_here_while_the_chain_takes_no_answer(answering: Answering, refusal: FedproofError) -> None:
    answering.refusal = refusal
    for worker in (1, 2, 3):  # and none of those counts for the t that may be published
        with pytest.raises(type(refusal)):
            answering.answer(Kind.OPEN, worker)
    assert [what for what, _ in answering.left] == ["estimate"] * 3
    assert "revealed" not in answering.desk.state
    answering.refusal = None
    answering.answer(Kind.OPEN)
    assert answering.desk.state.get("revealed") == {"1/1": [2]}


def test_a_share_is_published_when_its_answer_would_pass_and_before_it_is_sent(answering: Answering) -> None:
    answering.answer(Kind.OPEN)
    blob = content_id(b"two")
    ids = tuple(bytes.fromhex(content_id(b"sealed " + number)) for number in (b"1", b"2", b"3"))
    index = ShareIndex((bytes(64),), ids).encode()  # by which the share is judged
    assert answering.left == [("estimate", blob), ("put", index), ("put", b"two"), ("send", blob)]


def test_more_than_t_shares_are_not_even_estimated(answering: Answering) -> None:
    answering.answer(Kind.OPEN)
    answering.left.clear()
    with pytest.raises(StateError, match="would show the update"):
        answering.answer(Kind.OPEN, 3)
    assert answering.left == []


def test_what_is_sealed_is_there_before_its_answer_is(answering: Answering) -> None:
    """It shows nothing, and the worker may need it whatever becomes of the answer."""
    answering.answer(Kind.FETCH)
    assert answering.left[0] == ("put", b"sealed 2")
    assert answering.left[-2:] == [("estimate", "00" * 32), ("send", "00" * 32)]
    assert not any(blob in (b"one", b"two", b"three") for _, blob in answering.left)


@pytest.mark.parametrize("at", ["saved answer/", "sent answer/"])
def test_an_answer_of_a_node_that_was_killed_is_sent_with_its_share_there(answering: Answering, at: str) -> None:
    def kill(name: str) -> None:
        if name.startswith(at):
            raise KilledError

    checkpoints.hook = kill
    with pytest.raises(KilledError):
        answering.answer(Kind.OPEN)
    checkpoints.hook = None
    assert ("put", b"two") in answering.left
    answering.answer(Kind.OPEN)
    assert answering.left[-1] == ("send", content_id(b"two"))
    assert [what for what, _ in answering.left].count("estimate") == 1


# -- in time --

COMPLAINED = task(stage=Stage.REJECTING, round=1, deadline=95, freeze_at=135, enrolled=3, accepted=7)
MINE = Enrolment(0, PARTICIPANT_ADDRESS, 7, 20, bytes(64), "", 1, 0)
DEPTH = 2


@pytest.mark.parametrize(("kind", "end"), [(Kind.FETCH, 116), (Kind.OPEN, 132)])
def test_a_store_that_was_down_for_a_moment_costs_no_bond(desk: Desk, kind: Kind, end: int) -> None:
    """The answer is tried up to the last block from which it can still be in time, which a pause would have passed."""
    seen: Any = Paper(COMPLAINED)
    complaint = SimpleNamespace(complaint=b"c" * 32, round=1, digest=b"d", worker=WORKERS[0].address, kind=kind)
    seen.committee.complaints = lambda *_, **__: [complaint]
    seen.committee.answers = lambda *_, **__: []
    seen.committee.windows = lambda _: Windows(95, 103, 116, 119, 132, 135)
    seen.enrolments = lambda _: [MINE]
    seen.updates = lambda *_: [SimpleNamespace(participant=PARTICIPANT_ADDRESS)]
    seen.update_digest = lambda *_: b"d"
    head, tried = [0], list[int]()
    chain = SimpleNamespace(block_number=lambda: head[0])
    role: Any = desk.participant(seen, federation=SimpleNamespace(chain=chain))

    def answer(*_: Any) -> None:
        tried.append(role._acts.block)
        raise StorageError("down for a moment")

    role._answer = answer
    for block in range(end - 15, end):
        head[0] = block + DEPTH
        role.step(block)
    last = end - 1 - DEPTH - 1  # mined in the block after the head, before the end
    assert tried[:3] == [end - 15, end - 14, end - 12]
    assert [block for block in tried if last - 3 <= block <= last] == [last - 3, last - 2, last - 1, last]


@pytest.mark.parametrize("enrolled", [True, False])
def test_a_task_that_this_node_is_bound_to_is_looked_at_again_soon(desk: Desk, enrolled: bool) -> None:
    seen: Any = Paper(COMPLAINED)
    looked = list[int]()
    desk.state.put(enrolments={"1": {}} if enrolled else {"2": {}})
    role: Any = desk.participant(seen, federation=SimpleNamespace(chain=SimpleNamespace(block_number=lambda: 1)))

    def look(_: int) -> Any:
        looked.append(role._acts.block)
        raise UnreachableError("no usable answer to eth_getLogs")

    seen.task_info = look
    for block in range(100, 120):
        role.step(block)
    assert looked == ([100, *range(101, 120, 2)] if enrolled else [100, 101, 103, 107, 115])
