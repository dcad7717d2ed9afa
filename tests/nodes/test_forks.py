"""What a role remembers of blocks that the chain takes back: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedproof import _core
from fedproof.errors import LedgerError, StateError
from fedproof.ledger import SignedTransaction
from fedproof.ledger.accounts import account_from_key
from fedproof.ledger.committee import Kind, Stake
from fedproof.ledger.federation import Enrolment, Stage
from fedproof.ledger.transactions import read_signed
from fedproof.nodes.participant import Participant
from fedproof.nodes.roles.leading import Outputs
from tests.e2e.conftest import Arena
from tests.nodes.cast import ENROL_BOND, WORKER_BOND, Cast
from tests.nodes.paper import ANCHOR, PARTICIPANT_ADDRESS, Desk, Paper, task


class Remembering(Paper):
    """A federation that knows where tasks begin until it is told to forget."""

    knows = True

    def forget(self) -> None:
        self.knows = False


@pytest.mark.parametrize("who", ["participant", "worker"])
def test_what_was_read_of_a_fork_is_forgotten(desk: Desk, who: str) -> None:
    declined = task(stage=Stage.ENROLLING, enrol_bond=51)
    seen, sent = Remembering(declined), Remembering()
    role: Any = getattr(desk, who)(seen, federation=sent)
    role.step(100)
    assert desk.notes.names() == ["task.declined"]
    assert list(role._tasks.open()) == []
    role.undone(1)
    assert list(role._tasks.open()) == [1]
    assert (seen.knows, sent.knows) == (False, False)


def test_what_a_worker_found_out_in_a_fork_is_looked_at_anew(desk: Desk) -> None:
    """An output may have been the sum of another set, and a share that was missing may be there."""
    seen, sent, running = Remembering(stake=Stake.BONDED), Remembering(), task(round=1)
    role = desk.worker(seen, federation=sent)
    found = role._inspection.findings(running)
    found.valid[b"digest"], found.wrong[b"digest"] = False, Kind.OPEN
    role._leading._outputs[running.task_id, 1] = Outputs(bad={2})
    role._leading._guarded.add((running.task_id, 1))
    assert role._inspection.findings(running) is found
    role.undone(1)
    fresh = role._inspection.findings(running)
    assert (fresh.valid, fresh.wrong) == ({}, {})
    assert role._leading._outputs == {}
    assert role._leading._guarded == set()


# -- what was saved in a fork --

KEY = account_from_key(bytes([7]) * 32)


class Sending:
    """A chain that takes transactions, or does not."""

    def __init__(self) -> None:
        self.down = False
        self.sent: list[bytes] = []
        self.nonce = 0

    def prepare(self, data: bytes, _: Any) -> SignedTransaction:
        self.nonce += 1
        return read_signed(
            KEY.sign({"chainId": 1, "nonce": self.nonce, "gas": 1, "gasPrice": 1, "value": 0, "data": data})
        )

    def broadcast(self, transaction: SignedTransaction) -> None:
        if self.down:
            raise LedgerError("the chain takes nothing")
        self.sent.append(transaction.data)

    def wait(self, _: SignedTransaction) -> None:
        """It is mined at once."""

    def outbid(self, _: SignedTransaction) -> None:
        """Fees are as they were."""


def update(number: int) -> Any:
    return SimpleNamespace(participant=f"0x{number}", update=bytes([number]) * 64)


def test_an_output_of_a_set_that_another_fork_had_is_not_sent(desk: Desk) -> None:
    """Its worker would pass for a liar. Of the same set it is sent, byte for byte."""
    chain, seen = Sending(), Paper(stake=Stake.BONDED)
    seen.committee.outputs = lambda *_, **__: []
    sets = [[update(k) for k in members] for members in ((1, 2, 3), (1, 2))]

    def output(_: int, __: int, index_id: bytes, anchor: int) -> bytes:
        assert anchor == ANCHOR  # and whoever else sends it, on another branch it is refused
        return index_id

    committee = SimpleNamespace(outputs=lambda *_, **__: [], post_output_call=output)
    role: Any = desk.worker(seen, federation=SimpleNamespace(chain=chain, committee=committee, forget=lambda: None))
    role._seen.forget = lambda: None
    role._worker.publish_output = lambda _, __, updates, ___: bytes([len(updates)]) * 32
    running = task(stage=Stage.FROZEN, round=1)

    def release(updates: list[Any], block: int) -> None:
        role._acts.begin(block)
        role._leading._release(running, updates, {each.participant: each for each in updates})

    chain.down = True
    release(sets[0], 100)
    chain.down = False
    role.undone(3)
    release(sets[1], 110)
    assert chain.sent == [bytes([2]) * 32]
    role.undone(3)
    release(sets[0], 120)  # back in the first fork
    assert chain.sent[1:] == [bytes([3]) * 32]
    assert chain.nonce == 2  # with the bytes that were saved there


def test_an_update_names_the_branch_of_its_model(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    role: Any = desk.participant(Paper())
    given: list[Any] = []
    node = SimpleNamespace(train=lambda *arguments: given.append(arguments) or SimpleNamespace(seconds={}, advice=()))
    monkeypatch.setattr(role, "_enrolled_node", lambda *_: node)
    monkeypatch.setattr("fedproof.nodes.roles.participant.current_model", lambda *_, **__: "its model")
    running = task(round=2)
    role._train(running, None)
    assert given == [(running, 2, "its model", ANCHOR)]


def test_an_enrolment_of_another_dataset_or_version_is_not_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be enrolled in a fork may be taken, or replaced. The same is sent byte for byte."""
    chain, srs = Sending(), _core.Srs.generate(8, [1])
    deployment = SimpleNamespace(plan=SimpleNamespace(mask_count=3), srs=srs, layout=SimpleNamespace(masks=2))
    federation = SimpleNamespace(
        chain=chain, allow=lambda *_: None, enrol_call=lambda _, dataset, masked, *__: bytes([dataset]) + masked
    )
    monkeypatch.setattr(Participant, "check_task", lambda *_: None)

    def enrol(dataset: int, version: int) -> bytes:
        opened: Any = SimpleNamespace(dataset_id=dataset, commitment=srs.commit(_core.fr_from_ints([version])))
        node = Participant(deployment, federation, KEY, desk.state, opened)  # type: ignore[arg-type]
        with suppress(LedgerError):
            node.enrol(task(task_id=1))
        return bytes([dataset]) + node._masked(node._masks(1))

    chain.down = True
    first = enrol(7, 1)
    chain.down = False
    others = [enrol(8, 1), enrol(7, 2)]
    assert chain.sent == others
    assert (enrol(7, 1), chain.sent[2:], chain.nonce) == (first, [first], 3)


def test_an_update_is_of_the_dataset_that_got_in(desk: Desk) -> None:
    """Two were tried: of the first no receipt came in time, and the second was refused, since the first was in."""
    srs, masks = _core.Srs.generate(8, [1]), _core.fr_random(3)
    sets = {
        (dataset, version): SimpleNamespace(
            dataset_id=dataset, commitment=srs.commit(_core.fr_from_ints([dataset, version]))
        )
        for dataset in (7, 8)
        for version in (1, 2)
    }
    deployment = SimpleNamespace(srs=srs, layout=SimpleNamespace(masks=2))
    market = SimpleNamespace(dataset=lambda _: SimpleNamespace(version=2))
    role: Any = desk.participant(Paper(task()), deployment=deployment, market=market)
    role._records = SimpleNamespace(open=lambda dataset, version: sets[dataset, version])
    desk.state.put(enrolments={"1": {"masks": _core.fr_to_bytes(masks).hex(), "spent": 0}})
    for tried in sets.values():
        for got_in in sets.values():
            role._nodes.clear()
            node = role._node(1, tried)
            masked = _core.g1_add(got_in.commitment, srs.commit(masks, 2))
            mine = Enrolment(0, PARTICIPANT_ADDRESS, got_in.dataset_id, 20, masked, "", 1, 0)
            found = role._enrolled_node(task(), mine)
            assert found.opened is got_in
            assert role._enrolled_node(task(), mine).opened is got_in
            assert tried is not got_in or found.opened is node.opened
    stranger = replace(mine, masked_dataset=sets[7, 1].commitment)
    with pytest.raises(StateError, match="no version of dataset 8"):
        role._enrolled_node(task(), stranger)


def test_enrolments_of_all_datasets_are_forgotten_when_one_is_in(desk: Desk) -> None:
    desk.state.put(outbox={f"enrol/{name}": "00" for name in ("1/7/aa", "1/8/bb", "11/7/aa")})
    seen: Any = Paper(task(enrolled=1))
    seen.enrolments = lambda _: [Enrolment(0, PARTICIPANT_ADDRESS, 8, 20, bytes(64), "", 1, 0)]
    desk.participant(seen).step(100)
    assert list(desk.state.get("outbox")) == ["enrol/11/7/aa"]


@pytest.fixture
def cast(stage: Arena, tmp_path: Path) -> Iterator[Cast]:
    made = Cast(stage, tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_a_task_that_took_the_number_of_another_is_looked_at(cast: Cast) -> None:
    cast.chain.mine()
    snapshot = cast.chain.dev.snapshot()
    cast.chain.mine(5)
    first = cast.open(enrol_bond=2 * ENROL_BOND, worker_bond=2 * WORKER_BOND)
    for each in cast.players:
        cast.step(each)
    for each in cast.players:  # there may be older tasks, of tests before
        assert [name for name, fields in each.notes.lines if fields.get("task") == first] == ["task.declined"]
    cast.chain.dev.revert(snapshot)
    cast.federation.forget()
    cast.chain.dev.set_next_timestamp(cast.chain.timestamp() + 100)  # other blocks
    assert cast.open() == first  # in an earlier block
    cast.chain.mine(10)
    cast.run(lambda: cast.task(first).enrolled == 3)
    assert all("undone" in each.notes.names() for each in cast.players)
