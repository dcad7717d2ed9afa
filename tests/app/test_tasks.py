"""Tasks of a federation on a network: opened once, read by anybody, closed when they may be, audited from an export."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof.app import audit
from fedproof.app.audit import audit_run
from fedproof.app.audit_run import read_manifest
from fedproof.app.connection import Connection
from fedproof.app.demo import BOND, TOKEN
from fedproof.app.export import export_task
from fedproof.app.opening import Opening
from fedproof.app.startmodel import Start
from fedproof.app.taskfile import read_schema, read_test, read_workers
from fedproof.app.taskmodel import round_model, write_model
from fedproof.app.taskopen import open_state, open_task
from fedproof.app.tasks import close_task, start_task
from fedproof.app.taskstatus import all_tasks, task_status
from fedproof.app.taskwatch import Watch
from fedproof.app.telling import Silent
from fedproof.errors import AuditError, FedproofError, InputError, LedgerError, ProofError, StorageError
from fedproof.interop import ServedModel, write_onnx
from fedproof.ledger import Account, Chain
from fedproof.ledger.committee import Committee, Kind
from fedproof.nodes.state import StateFile
from fedproof.storage import BlobStore
from fedproof.storage.content import content_id
from tests.app.networks import Town, town
from tests.app.runs import shared_folder
from tests.learning.scenes import KINDS, make_plan

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The federation, on the embedded chain."""
    with town(tmp_path_factory.mktemp("tasks") / "run", shared_folder(tmp_path_factory) / "keys", None) as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    with open_state(tmp_path / "sponsor-state") as made:
        yield made


def opening(place: Town, name: str, **changes: Any) -> Opening:
    store, plan = place.world.deployment.store, place.document.plan
    schema = read_schema(str(place.schema_file), plan, store)
    chosen = {
        "rounds": 1, "participants": 3, "threshold": 1, "reward": 30 * TOKEN, "bond": BOND, "min_updates": 2,
        "submit_blocks": 30, "freeze_blocks": 10, "settle_blocks": 20,
    } | changes  # fmt: skip
    test = read_test(str(place.test_file), "outcome", schema, store)
    return Opening(name, schema, test, read_workers(place.worker_files), **chosen)


def opened(place: Town, state: StateFile, name: str, enrol: int = 0, start: bool = True, **changes: Any) -> int:
    """A new task, with so many participants and its first round open where there are any."""
    task = open_task(
        place.network(), place.sponsor.account, state, opening(place, name, **changes), place.cache, Silent()
    ).task_id
    place.enrol(task, enrol)
    if enrol and start:
        start_task(place.network(), place.sponsor.account, state, task, Silent())
    return task


def close(place: Town, state: StateFile, task: int, account: Account | None = None) -> Any:
    return close_task(place.network(), account or place.sponsor.account, state, task, Silent())


# -- opening --


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["prepare", "prepare_data", "broadcast", "wait"])
def test_an_opening_that_was_interrupted_anywhere_is_finished_once(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    chain, before = place.world.chain, place.world.federation.tasks()
    snapshot = chain.dev.snapshot()
    whole, made = getattr(Chain, where), 0
    wanted = opening(place, f"crash at {where}")
    for last in range(1, 10):
        seen = 0

        def stop(self: Chain, *args: Any, crash: int = last, **more: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen != crash:
                return whole(self, *args, **more)
            if where == "wait":  # it is mined, and nobody learns of it
                whole(self, *args, **more)
            raise Crash

        with open_state(tmp_path / "state") as state, monkeypatch.context() as patch:
            patch.setattr(Chain, where, stop)
            try:
                made = open_task(place.network(), place.sponsor.account, state, wanted, place.cache, Silent()).task_id
                break
            except Crash:
                continue
    assert made == before + 1
    assert place.world.federation.tasks() == before + 1
    with open_state(tmp_path / "state") as state:
        again = open_task(place.network(), place.sponsor.account, state, wanted, place.cache, Silent())
        assert (again.task_id, again.fresh) == (made, False)
        other = open_task(place.network(), place.sponsor.account, state, replace(wanted, seed=5), place.cache, Silent())
        assert other.task_id == made + 1
        assert {record["seed"] for record in state.get("openings").values()} >= {5}
    chain.dev.revert(snapshot)
    place.world.federation.forget()


def test_a_task_starts_near_the_model_of_another(place: Town, state: StateFile, tmp_path: Path) -> None:
    """By what `task model` wrote and by an ONNX file; the opening is known by the file's bytes."""
    plan = place.document.plan
    first = opened(place, state, "before")
    write_model(place.network(), place.world.federation.task_info(first), 0, tmp_path / "model.json")
    model = place.model(first)
    (tmp_path / "model.onnx").write_bytes(write_onnx(ServedModel(plan, model.layers)))
    numbers = set()
    for name in ("model.json", "model.onnx", "model.onnx"):
        wanted = opening(place, "after", seed=8, start=Start.read(tmp_path / name))
        task = open_task(place.network(), place.sponsor.account, state, wanted, place.cache, Silent()).task_id
        begun, (scale,) = place.model(task), model.scales
        assert 0 < np.abs(begun.weights - model.weights).max() <= scale // 1000 + 1
        numbers.add(task)
    assert len(numbers) == 2
    wrong = Start("wrong", write_onnx(ServedModel(wide := make_plan(KINDS["perceptron of classes"]), wide.start(1))))
    with pytest.raises(InputError, match=r"--start wrong: it is a multi-layer perceptron .* trains a logistic"):
        opening(place, "wrong", start=wrong).check(plan)


def test_the_keys_of_an_earlier_task_are_used_again(place: Town, state: StateFile) -> None:
    one, two = (place.world.federation.task_info(opened(place, state, name)).params for name in ("one", "two"))
    assert (one.training_key, one.aggregation_key) == (two.training_key, two.aggregation_key)
    assert one.model != two.model  # participants train on one start once


def test_what_the_account_cannot_pay_is_refused_with_the_figures(place: Town, state: StateFile) -> None:
    chain = place.world.chain
    poor = chain.new_account("poor sponsor")
    before = place.world.federation.tasks()
    with pytest.raises(InputError, match=r"has 0 tokens, and 1 rounds of 30 take 30: get more"):
        open_task(place.network(), poor, state, opening(place, "poor"), place.cache, Silent())
    place.fund(poor.address, 30 * TOKEN)
    chain.transfer(poor, place.world.operator.address, chain.balance(poor.address) - 10**15)
    with pytest.raises(InputError, match=r"of the chain's money, and opening a task takes about"):
        open_task(place.network(), poor, state, opening(place, "poor"), place.cache, Silent())
    assert place.world.federation.tasks() == before
    assert state.get("outbox", {}) == {}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": " "}, "--name"),
    "no rounds": ({"rounds": 0}, "--rounds 0 must be from 1 to 5"),
    "more rounds than masks": ({"rounds": 6}, "--rounds 6 must be from 1 to 5, as its masks reach"),
    "one participant": ({"participants": 1}, "--participants 1"),
    "many participants": ({"participants": 256}, "--participants 256"),
    "a sum of one": ({"min_updates": 1}, "--min-updates 1 must be from 2"),
    "a minimum that nobody reaches": ({"min_updates": 4}, "--min-updates 4 must be from 2 to 3"),
    "no threshold": ({"threshold": 0}, "--threshold 0 must be from 1 to 1"),
    "a high threshold": ({"threshold": 2}, "--threshold 2"),
    "no committee": ({"workers": ()}, "--worker: 0 given"),
    "a reward without end": ({"reward": 1 << 128}, "--reward"),
    "a bond without end": ({"bond": 1 << 128}, "--bond"),
    "a worker's bond without end": ({"worker_bond": 1 << 128}, "--worker-bond"),
    "no time to submit": ({"submit_blocks": 0}, "--submit-blocks 0"),
    "no time to complain": ({"freeze_blocks": 9}, "--freeze-blocks 9 must be from 10"),
    "no time to settle": ({"settle_blocks": (1 << 20) + 1}, "--settle-blocks"),
    "a negative seed": ({"seed": -1}, "--seed -1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_parameter_is_refused_by_its_option(place: Town, name: str) -> None:
    changes, said = WRONG[name]
    with pytest.raises(InputError) as caught:
        replace(opening(place, "wrong"), **changes).check(place.document.plan)
    assert said in str(caught.value)


# -- starting and closing --


def test_only_the_sponsor_starts_and_not_before_there_are_enough(place: Town, state: StateFile) -> None:
    task = opened(place, state, "few", enrol=1, start=False)
    network = place.network()
    with pytest.raises(InputError, match="has 1 of the 2 participants"):
        start_task(network, place.sponsor.account, state, task, Silent())
    with pytest.raises(InputError, match="only its sponsor"):
        start_task(network, place.world.operator, state, task, Silent())
    for at in (1, 4):
        with pytest.raises(InputError, match=f"--at {at}: task {task} takes 2 to 3"):
            start_task(network, place.sponsor.account, state, task, Silent(), at=at)
    with pytest.raises(LedgerError, match="1 of 2 participants enrolled within"):
        start_task(network, place.sponsor.account, state, task, Silent(), at=2, timeout=0.01, pause=lambda _: None)
    with pytest.raises(InputError, match="no task 999"):
        start_task(network, place.sponsor.account, state, 999, Silent())
    assert close(place, state, task).ending == "closed"


def test_a_start_that_cannot_be_paid_is_refused_before_it_is_sent(
    place: Town, state: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = opened(place, state, "no gas", enrol=2, start=False)
    monkeypatch.setattr(Chain, "balance", lambda *_: 5)
    with pytest.raises(
        LedgerError, match=rf"{place.sponsor.account.address} has 0.000000 ether for gas, and 0\.0.*fund"
    ):
        start_task(place.network(), place.sponsor.account, state, task, Silent())
    monkeypatch.undo()
    assert not [name for name in state.get("outbox", {}) if name.startswith("start/")]
    assert start_task(place.network(), place.sponsor.account, state, task, Silent()).fresh


def test_a_start_waits_for_its_participants(place: Town, state: StateFile) -> None:
    task = opened(place, state, "waiting")

    def pause(_: float) -> None:
        place.enrol(task, 3)

    made = start_task(place.network(), place.sponsor.account, state, task, Silent(), at=3, pause=pause)
    assert (made.enrolled, made.round, made.fresh) == (3, 1, False)  # it was full, and started by itself
    assert replace(made, fresh=True).line() == (
        f"task {task}: round 1 takes updates of 3 participants until block {made.deadline}"
    )
    again = start_task(place.network(), place.sponsor.account, state, task, Silent())
    assert again == made
    assert again.line() == (
        f"task {task} is started already, and nothing was sent: round 1 takes updates of 3 participants until block "
        f"{made.deadline}"
    )
    assert replace(again, stage="frozen").line().endswith("round 1 is closed, and its updates are checked or summed")


def test_an_idle_task_is_closed_by_its_sponsor_at_once_and_by_others_later(place: Town, state: StateFile) -> None:
    task = opened(place, state, "idle", enrol=2)
    chain, other = place.world.chain, place.world.operator
    deadline = place.world.federation.task_info(task).deadline
    with pytest.raises(LedgerError, match=rf"only its sponsor can close it before.* from block {deadline + 20} on"):
        close(place, state, task, other)
    chain.wait_until_block(deadline + 19)
    closed = close(place, state, task, other)
    assert (closed.ending, closed.refunded, closed.left) == ("closed", 30 * TOKEN, 0)
    assert close(place, state, task).done == []
    again = opened(place, state, "idle again")
    assert close(place, state, again).ending == "closed"


def test_a_stalled_round_is_settled_when_it_is_due(place: Town, state: StateFile) -> None:
    task = opened(place, state, "stalled", enrol=2)
    place.train(task, 2)
    info = place.world.federation.task_info(task)
    with pytest.raises(LedgerError, match=f"round 1 has 2 updates.*from about block {info.freeze_at + 20} on"):
        close(place, state, task)
    place.world.chain.wait_until_block(info.freeze_at)
    assert task_status(place.network(), task).stage == "frozen, summing"
    with pytest.raises(LedgerError, match=f"stalls from block {info.freeze_at + 20} on"):
        close(place, state, task)
    place.world.chain.wait_until_block(info.freeze_at + 20)
    closed = close(place, state, task)
    assert closed.ending == "stalled"
    assert closed.refunded < TOKEN
    assert closed.left == 30 * TOKEN - closed.refunded
    assert "stalled: paid, and the model stayed" in "\n".join(task_status(place.network(), task).lines())
    with pytest.raises(InputError, match="round 1 was never summed"):
        round_model(place.network(), place.world.federation.task_info(task), 1)
    assert round_model(place.network(), place.world.federation.task_info(task)).round == 0


# -- reading --


def test_status_in_every_stage(place: Town, state: StateFile) -> None:
    network = place.network()
    task = opened(place, state, "stages", enrol=2)
    status = task_status(network, task)
    assert (status.stage, status.round_place, status.task.accepted) == ("collecting updates", 1, 0)
    assert any("updates are taken until block" in line and "about" in line for line in status.lines())
    place.train(task, 2)
    assert task_status(network, task).stage == "closed, checking updates"
    place.settle(task)
    done = task_status(network, task)
    assert (done.stage, done.ending, done.refunded) == ("ended", "completed", None)
    assert done.accuracy is not None
    assert "2 updates over" in "\n".join(done.lines())
    assert json.loads(json.dumps(done.to_json()))["accuracy"] == done.accuracy
    failed = opened(place, state, "failed", enrol=2)
    place.world.chain.wait_until_block(place.world.federation.task_info(failed).deadline)
    assert "too few updates" in task_status(network, failed).line()
    lines = [each.line() for each in all_tasks(network)]
    assert len(lines) == place.world.federation.tasks()


def test_status_without_the_store(place: Town, state: StateFile, tmp_path: Path) -> None:
    task = opened(place, state, "dark", enrol=2)
    place.play(task, 2)
    network = Connection.at(place.document, place.world.chain, str(tmp_path / "nowhere"), place.cache)
    status = task_status(network, task)
    assert (status.name, status.accuracy) == ("", None)
    assert "--store" in status.accuracy_problem
    assert not (tmp_path / "nowhere").exists()


class Flaky:
    """A network whose chain fails when it is told to."""

    def __init__(self, network: Connection, patch: pytest.MonkeyPatch) -> None:
        self.failing = False
        whole = network.chain.block_number

        def height() -> int:
            if self.failing:
                raise LedgerError("no answer")
            return whole()

        patch.setattr(network.chain, "block_number", height)


def test_watch_says_what_happens_once(place: Town, state: StateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    network = place.network()
    task = opened(place, state, "watched", rounds=2)
    watch = Watch(network, task)
    assert [each.kind for each in watch.new()] == ["opened"]
    assert watch.new() == []
    place.enrol(task, 2)
    assert [each.kind for each in watch.new()] == ["enrolled", "enrolled"]
    start_task(network, place.sponsor.account, state, task, Silent())
    place.world.chain.wait_until_block(place.world.federation.task_info(task).deadline)
    assert [each.kind for each in watch.new()] == ["round opened", "failed"]
    place.world.federation.retry_round(place.sponsor.account, task)
    assert [each.kind for each in watch.new()] == ["retried"]
    place.train(task, 2)
    assert [each.kind for each in watch.new()] == ["submitted", "submitted", "closed"]
    place.world.chain.wait_until_block(place.world.federation.freeze_block(task))
    assert [each.kind for each in watch.new()] == ["frozen"]
    place.settle(task)
    said = watch.new()
    assert [each.kind for each in said] == ["finalized", "round opened"]
    assert "accuracy " in said[0].text
    flaky = Flaky(network, monkeypatch)
    flaky.failing = True
    heard = watch.run(pause=lambda _: None)
    assert next(heard).text == "the chain cannot be read, trying on: no answer"
    pauses = 0

    def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        flaky.failing = pauses < 3
        if pauses == 4:
            close(place, state, task)

    kinds = [each.kind for each in watch.run(pause=pause)]
    assert kinds == ["chain", "chain", "ended"]


def test_watch_notices_what_the_chain_takes_back(place: Town, state: StateFile) -> None:
    chain = place.world.chain
    task = opened(place, state, "taken back")
    watch = Watch(place.network(), task)
    watch.new()
    snapshot = chain.dev.snapshot()
    place.enrol(task, 1)
    assert [each.kind for each in watch.new()] == ["enrolled"]
    height = chain.block_number()
    chain.dev.revert(snapshot)
    assert watch.new() == []  # one node may be behind another
    chain.mine(height - chain.block_number())
    assert watch.new() == []
    back = watch.new()
    assert [(each.kind, "enrolled dataset" in each.text) for each in back] == [("taken back", True)]
    assert watch.new() == []
    close(place, state, task)
    assert [each.kind for each in watch.new()] == ["ended"]


def test_a_model_is_found_under_what_workers_announced_and_audited_so(
    place: Town, state: StateFile, tmp_path: Path
) -> None:
    task = opened(place, state, "lost model", enrol=2)
    place.play(task, 2)
    network, federation = place.network(), place.world.federation
    info = federation.task_info(task)
    good = round_model(network, info, 1)
    blob = Path(place.world.deployment.store.name) / good.content_id
    bent = json.loads(blob.read_bytes())
    bent["weights"][0] += 1
    wrong = place.world.deployment.store.put(json.dumps(bent, sort_keys=True, separators=(",", ":")).encode())
    lying = replace(info.settled[0], content_id=bytes.fromhex(wrong))
    with pytest.raises(ProofError, match="not the one that the chain committed to"):
        round_model(network, replace(info, settled=(lying,)), 1)
    whole = blob.read_bytes()
    blob.unlink()
    with pytest.raises(StorageError, match="its model cannot be read"):
        write_model(network, info, 1, tmp_path / "model.json")
    assert not (tmp_path / "model.json").exists()
    blob.write_bytes(whole)
    federation.committee.announce_model(place.workers[1].account, task, 1, bytes.fromhex(good.content_id))
    assert round_model(network, replace(info, settled=(lying,)), 1).content_id == good.content_id
    with pytest.raises(InputError, match="rounds with one: 1, and 0"):
        round_model(network, info, 2)


def test_an_update_that_the_committee_removed_is_audited(
    place: Town, state: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = opened(place, state, "removed", enrol=3, freeze_blocks=40)
    federation = place.world.federation
    place.train(task, 3)
    info = federation.task_info(task)
    victim = federation.updates(task, 1)[2]
    place.world.chain.wait_until_block(federation.committee.windows(task).close)
    for worker in place.workers[:2]:
        place.fund(worker.account.address, BOND)
        federation.committee.complain(worker.account, info, victim, Kind.OPEN)
    assert len(federation.updates(task, 1)) == 2
    kinds = [each.kind for each in Watch(place.network(), task).new()]
    assert (kinds.count("complaint"), kinds.count("removed"), kinds.count("removal")) == (2, 1, 1)
    place.settle(task)
    close(place, state, task)
    made = export_task(place.network(), task, tmp_path / "export")
    assert made.blobs > 10
    found = audit_run(tmp_path / "export", Silent())
    assert any("1 updates removed, each on the word of 2 workers" in line for line in found.checks)
    manifest = read_manifest(tmp_path / "export/public/manifest.json")
    store = BlobStore.open(str(tmp_path / "export/public/blobs"))
    lies: list[tuple[str, Callable[[list[Any]], list[Any]], str]] = [
        ("complaints", lambda told: told[:1], "on the word of fewer than 2 workers"),
        ("complaints", lambda told: [told[0], replace(told[1], worker="0x" + 40 * "1")], "fewer than 2 workers"),
        ("complaints", lambda told: [told[0], replace(told[1], worker=told[0].worker)], "fewer than 2 workers"),
        ("complaints", lambda told: [told[0], replace(told[1], digest=bytes(32))], "fewer than 2 workers"),
        ("complaints", lambda told: [told[0], replace(told[1], block_number=10**6)], "fewer than 2 workers"),
        ("removals", lambda told: [replace(each, digest=bytes(32)) for each in told], "that it removed another"),
        ("removals", lambda _: [], "that it removed another"),
    ]
    for name, change, match in lies:
        real = getattr(Committee, name)
        with monkeypatch.context() as patch:
            patch.setattr(Committee, name, lambda *a, told=real, change=change, **k: change(told(*a, **k)))
            with pytest.raises(AuditError, match=match):
                audit._audit(place.world.chain, manifest, store, audit.Audit(Silent()))
    status = task_status(place.network(), task)
    assert (status.quarrels.complaints, status.quarrels.removed) == (2, 1)


def test_what_is_claimed_while_an_audit_runs_does_not_mix_with_it(
    place: Town, state: StateFile, tmp_path: Path
) -> None:
    task = opened(place, state, "meanwhile", enrol=2)
    place.play(task, 2)
    close(place, state, task)
    export_task(place.network(), task, tmp_path / "export")
    claimed: list[int] = []

    class Claiming(Silent):
        """A participant claims once the audit has begun."""

        def doing(self, text: str) -> None:
            """As the audit checks the round."""
            if "round 1" in text and not claimed:
                claimed.append(place.world.federation.claim(place.seats[0].participant.account, task).reward)

    found = audit.Audit(Claiming())
    manifest = read_manifest(tmp_path / "export/public/manifest.json")
    audit._audit(place.world.chain, manifest, BlobStore.open(str(tmp_path / "export/public/blobs")), found)
    assert sum(claimed) > 0
    assert any("0 base units claimed" in line for line in found.checks)


def test_an_export_that_lacks_a_blob_leaves_nothing(place: Town, state: StateFile, tmp_path: Path) -> None:
    task = opened(place, state, "hole", enrol=2)
    place.play(task, 2)
    close(place, state, task)
    update = place.world.federation.updates(task, 1)[0]
    blob = Path(place.world.deployment.store.name) / update.sealed_digest.hex()
    whole = blob.read_bytes()
    blob.unlink()
    with pytest.raises(StorageError, match=f"round 1, update of {update.participant}: its sealed shares"):
        export_task(place.network(), task, tmp_path / "export")
    assert list(tmp_path.glob("*export*")) == []
    blob.write_bytes(whole)
    export_task(place.network(), task, tmp_path / "export")
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["public"]


# -- what a sponsor brings --


def test_wrong_workers_are_refused_by_file(place: Town, tmp_path: Path) -> None:
    good = json.loads(place.worker_files[0].read_text())
    changes: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda d: "[]", "not a JSON object"),
        (lambda d: "{", "not JSON"),
        (lambda d: {k: v for k, v in d.items() if k != "address"}, "address is missing"),
        (lambda d: d | {"address": d["address"].lower()}, "no valid checksum"),
        (lambda d: d | {"hpke_suite": "rsa"}, "hpke_suite must be one of"),
        (lambda d: d | {"hpke_public_key": "00" * 31}, "hpke_public_key must be"),
        (lambda d: d | {"hpke_public_key": "00" * 32}, "hpke_public_key"),
        (lambda d: d | {"hpke_suite": "mlkem768x25519"}, "has 32 bytes, a key of mlkem768x25519 has 1216"),
        (lambda d: d | {"secret": "x"}, "secret is unknown"),
        (lambda d: d | {"folder": 1}, "folder must be"),
    ]
    file = tmp_path / "worker.json"
    for change, said in changes:
        made = change(good)
        file.write_text(made if isinstance(made, str) else json.dumps(made))
        with pytest.raises(InputError) as caught:
            read_workers([*place.worker_files[1:], file])
        assert said in str(caught.value)
        assert str(file) in str(caught.value)
    with pytest.raises(InputError, match=r"worker-1\.json is given twice: name each worker once"):
        read_workers([place.worker_files[0]] * 2)
    file.write_text(json.dumps(good))
    words = rf"worker\.json and .*worker-1\.json have the same address {good['address']}: .* keys of its own"
    with pytest.raises(InputError, match=words):
        read_workers([place.worker_files[0], file])
    with pytest.raises(InputError, match="cannot be read"):
        read_workers([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="cannot be read"):
        read_workers([tmp_path])


def test_a_wrong_schema_is_refused(place: Town, tmp_path: Path) -> None:
    store, plan = place.world.deployment.store, place.document.plan
    blob = store.put(place.schema.encode())
    assert read_schema(blob, plan, store) == place.schema
    with pytest.raises(InputError, match="this deployment trains on datasets of"):
        read_schema(str(place.schema_file), replace(plan, rows=2 * plan.rows), store)
    bad = tmp_path / "schema.json"
    bad.write_text("{}")
    for given, error in ((str(bad), InputError), (str(tmp_path), InputError), ("0" * 64, StorageError)):
        with pytest.raises(error):
            read_schema(given, plan, store)


def test_wrong_test_rows_are_refused_with_row_and_column(place: Town, tmp_path: Path) -> None:
    store, schema = place.world.deployment.store, place.schema
    lines = place.test_file.read_text().splitlines()
    cells = lines[1].split(",")
    file = tmp_path / "test.csv"

    def refused(text: list[str], label: str | None = "outcome") -> str:
        file.write_text("\n".join(text) + "\n")
        with pytest.raises(FedproofError) as caught:
            read_test(str(file), label, schema, store)
        return str(caught.value)

    good = read_test(str(place.test_file), "outcome", schema, store)
    assert good.labels.tolist() == place.parts.test.labels.tolist()
    assert (good.features == place.parts.test.features).all()
    assert "--label is missing" in refused(lines, None)
    assert "is a feature of the schema" in refused(lines, schema.features[0])
    assert "has no column 'class', the label" in refused(lines, "class")
    assert "a feature of the schema" in refused([line.split(",", 2)[2] for line in lines])
    assert "no records" in refused(lines[:1])
    assert "row 2, column" in refused([lines[0], ",".join([cells[0], "", *cells[2:]])])
    assert "row 2, column" in refused([lines[0], ",".join([cells[0], "x", *cells[2:]])])
    assert "row 2, column 'outcome': the label is missing" in refused([lines[0], ",".join([*cells[:-1], ""])])
    with pytest.raises(InputError, match="cannot be read"):
        read_test(str(tmp_path / "nowhere"), "outcome", schema, store)
    two = replace(schema, classes=("class_0", "class_1"))
    file.write_text("\n".join([lines[0], ",".join([*cells[:-1], "class_2"])]) + "\n")
    with pytest.raises(InputError, match="no class of the schema, which has 'class_0' or 'class_1'"):
        read_test(str(file), "outcome", two, store)


def test_test_rows_by_content_id(place: Town) -> None:
    from fedproof.data.public import encode_table

    store = place.world.deployment.store
    table = read_test(str(place.test_file), "outcome", place.schema, store)
    blob = store.put(encode_table(table))
    assert encode_table(read_test(blob, None, place.schema, store)) == encode_table(table)
    with pytest.raises(InputError, match="leave it out"):
        read_test(blob, "outcome", place.schema, store)
    with pytest.raises(InputError, match="not those of the schema"):
        read_test(blob, None, replace(place.schema, classes=("a", "b")), store)
    with pytest.raises(StorageError):
        read_test(content_id(b"nothing"), None, place.schema, store)
