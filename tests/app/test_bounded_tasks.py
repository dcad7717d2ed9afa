"""Tasks of bounded updates of a model that this package could not train: from the sponsor's own start to the audit.

The participants' trainer is a small network of numpy arrays, as a user of another framework would bring it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof.app import world as worlds
from fedproof.app.audit import audit_run
from fedproof.app.audit_keys import check_keys
from fedproof.app.connection import Connection
from fedproof.app.deployment import DeploymentFile, statements_of
from fedproof.app.export import export_task
from fedproof.app.joining import join
from fedproof.app.keyring import KeyRequest
from fedproof.app.opening import Opening
from fedproof.app.taskfile import read_schema, read_start, read_test, read_workers
from fedproof.app.taskmodel import write_model
from fedproof.app.taskopen import open_state, open_task
from fedproof.app.tasks import start_task
from fedproof.app.taskstatus import task_status
from fedproof.app.taskwatch import Watch
from fedproof.app.telling import Silent
from fedproof.errors import AuditError, InputError, KeyFileError, ProofError, StateError
from fedproof.learning.arrays import OtherModel
from fedproof.learning.baseline import Float, sigmoid
from fedproof.learning.canonical import canonical
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.local import LocalUpdate, Records
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan
from fedproof.nodes import updating
from fedproof.nodes.params import Deployment
from fedproof.nodes.participant import Participant
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.statements.layout import DatasetLayout
from fedproof.statements.models.statement import ModelStatement
from fedproof.statements.models.vectors import model_vector
from fedproof.storage import content_id
from tests.app.networks import Town, town
from tests.app.runs import shared_folder
from tests.app.tampering import Tamper, params, with_fitting_terms

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bounded tasks")]

MASKS = 6
TOKEN = 10**18
MODEL = OtherModel(((4, 13), (4,), (1, 4), ()))
NORM = 0.25


def plan_of(rows: int, columns: int) -> Plan:
    return BoundedPlan.choose(rows, columns, MODEL, NORM, 20, MASKS, epochs=3)


def trained_plan(plan: Plan) -> TrainingPlan:
    """What a federation of proofs of training over the same class would have."""
    return TrainingPlan.of(TrainingSpec(plan.rows, plan.columns, mask_count=MASKS))


def train(weights: list[Float], records: Records) -> Sequence[Any]:
    """Full-batch gradient descent on a network with a tanh layer, which is no model of the family."""
    first, bias, second, last = weights
    for _ in range(records.epochs):
        hidden = np.tanh(records.features @ first.T + bias)
        error = (sigmoid(hidden @ second[0] + last) - records.labels) / len(records.labels)
        back = np.outer(error, second[0]) * (1 - hidden**2)
        first, bias = first - back.T @ records.features, bias - back.sum(axis=0)
        second, last = second - (error @ hidden)[None], last - error.sum()
    return [each.astype(np.float32) for each in (first, bias, second, np.asarray(last))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The federation. Its dealer made a key of a training circuit, too, which no deployment file names."""
    real = worlds.key_requests

    def requests(plan: Plan) -> dict[str, KeyRequest]:
        trained = KeyRequest(ModelStatement(trained_plan(plan)), DatasetLayout(plan.rows, plan.columns).masks)
        return real(plan) | {"training": trained}

    cache = shared_folder(tmp_path_factory) / "keys"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "key_requests", requests)
        made = town(tmp_path_factory.mktemp("bounded") / "run", cache, None, plan_of, train)
        found = made.__enter__()
    yield found
    made.__exit__(None, None, None)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    with open_state(tmp_path / "sponsor-state") as made:
        yield made


def start_of(seed: int) -> list[Float]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.3, shape) for shape in MODEL.shapes]


def opening(place: Town, name: str, **changes: Any) -> Opening:
    store, plan = place.world.deployment.store, place.document.plan
    schema = read_schema(str(place.schema_file), plan, store)
    chosen = {
        "rounds": 1, "participants": 3, "threshold": 1, "reward": 30 * TOKEN, "bond": 50 * TOKEN, "min_updates": 2,
        "submit_blocks": 30, "freeze_blocks": 10, "settle_blocks": 20,
    } | changes  # fmt: skip
    test = read_test(str(place.test_file), "outcome", schema, store)
    return Opening(name, schema, test, read_workers(place.worker_files), **chosen)


def opened(place: Town, state: StateFile, name: str, enrol: int = 0, **changes: Any) -> int:
    network, account = place.network(), place.sponsor.account
    task = open_task(network, account, state, opening(place, name, **changes), place.cache, Silent())
    assert task.statement == f"bounded update (no proof of training), L2 norm at most {NORM}"
    place.enrol(task.task_id, enrol)
    if enrol:
        start_task(network, account, state, task.task_id, Silent())
    return task.task_id


@pytest.fixture(scope="module")
def played(place: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """A finished task of two rounds from a start of the sponsor's own, and its export."""
    folder = tmp_path_factory.mktemp("played")
    np.savez(folder / "start.npz", *start_of(1))
    start = read_start(folder / "start.npz", place.document.plan)
    with open_state(folder / "sponsor") as state:
        task = opened(place, state, "played", enrol=2, start=start, rounds=2)
    assert np.array_equal(place.model(task).weights, start.weights)
    place.play(task, 2)
    place.play(task, 2)
    export_task(place.network(), task, folder / "export")
    return task, folder / "export"


# -- the whole way --


def test_a_task_is_played_from_the_sponsors_start_and_audited(place: Town, played: tuple[int, Path]) -> None:
    found = audit_run(played[1], Silent())
    assert found.to_json()["statement"] == f"bounded update (no proof of training), L2 norm at most {NORM}"
    assert "round 1: 2 proofs of a bounded update hold, each from challenges computed anew" in found.checks
    assert any("outside the family: only its users can score" in note for note in found.notes)
    assert any("no proof of training: any such vector passes" in note for note in found.notes)
    assert not any("not an honest dataset" in note for note in found.notes)
    for line in (*found.checks, *found.notes):
        assert line.count("proof of training") == line.count("no proof of training"), line
        assert "training proof" not in line


def test_the_model_moves_as_the_trainer_said_clipped(place: Town, played: tuple[int, Path]) -> None:
    task, _ = played
    plan = place.document.plan
    assert isinstance(plan, BoundedPlan)
    before = GlobalModel.of_arrays(plan, start_of(1))
    rows, total = [], np.zeros(MODEL.parameters)
    for seat in place.seats[:2]:
        opened = seat.participant.opened
        records = Records.of(plan, opened.features, opened.mask, opened.labels, targets=False)
        after = [np.asarray(each, dtype=np.float64) for each in train(before.real(), records)]
        step = np.concatenate([(new - old).reshape(-1) for new, old in zip(after, before.real(), strict=True)])
        step *= min(1, NORM / float(np.linalg.norm(step)))
        assert np.linalg.norm(step) == pytest.approx(NORM)  # the bound is felt
        rows.append(opened.rows)
        total += opened.rows * step
    info = place.world.federation.task_info(task)
    first = GlobalModel.decode(place.world.deployment.store.get((info.settled[0].content_id or b"").hex()))
    moved = plan.real(first.weights) - plan.real(before.weights)
    assert np.abs(moved - total / sum(rows)).max() < 1e-5


def test_everybody_is_told_what_is_proven(place: Town, played: tuple[int, Path], tmp_path: Path) -> None:
    task, _ = played
    network = place.network()
    status = task_status(network, task)
    said = f"bounded update (no proof of training), L2 norm at most {NORM}"
    assert status.to_json()["statement"] == said
    assert f"  each update comes with a {said}" in status.lines()
    assert "  averages updates of a model outside the family of 61 parameters, 3 epochs a round" in status.lines()
    assert "model outside the family, which only its users can score" in status.accuracy_problem
    events = Watch(network, task).new()
    assert events[0].text.endswith(f"; each update comes with a {said}")
    assert events[0].values["statement"] == said
    for line in (*status.lines(), *(event.text for event in events)):
        assert line.count("proof of training") == line.count("no proof of training"), line
    document = write_model(network, network.federation.task_info(task), 2, tmp_path / "model.json")
    assert [np.shape(array) for array in document["arrays"]] == list(MODEL.shapes)
    assert document["layers"] == []
    params = network.federation.task_info(task).params
    assert params.spec_digest == place.document.plan.digest()  # what the chain shows
    described = json.loads(place.world.deployment.store.get(params.description.hex()))
    assert (described["statement"], described["plan"]["statement"]) == ("bounded update", "bounded update")


def test_nodes_join_a_deployment_that_names_its_statement(place: Town, tmp_path: Path) -> None:
    document = DeploymentFile.read(place.path)
    assert document.plan == place.document.plan
    assert tuple(sorted(document.keys)) == tuple(sorted(statements_of(document.plan)))
    assert "training" not in document.keys
    deployment, _ = join(document, place.world.chain, tmp_path / "cache")
    assert deployment.update_keys.verifying == place.world.deployment.update_keys.verifying
    told = json.loads(place.path.read_text())
    told["keys"]["training"] = told["keys"].pop("bounded")
    with pytest.raises(InputError, match=r"keys\.bounded is missing"):
        DeploymentFile.decode(json.dumps(told).encode())


# -- what must not pass --


def swapped(place: Town, **changes: Any) -> int:
    """A task that a sponsor with tools of its own opens; by default an honest one."""
    d, federation = place.world.deployment, place.world.federation
    model = GlobalModel.start(d.plan, federation.tasks() + 100)
    plan = changes.pop("described", d.plan)
    description = TaskDescription(
        "swapped", d.store.put(place.schema.encode()), "bb" * 32, d.store.put(model.encode()), plan,
        d.store.put(d.srs.to_bytes()),
    )  # fmt: skip
    values: dict[str, Any] = {
        "training_key": d.update_keys.verifying, "aggregation_key": d.keys["aggregation"].verifying,
        "spec_digest": d.plan.digest(), "description": bytes.fromhex(d.store.put(description.encode())),
        "model": d.srs.commit(model_vector(d.plan, model.layers)), "class_id": d.class_id, "rounds": 1,
        "mask_count": MASKS, "threshold": 1, "min_updates": 2, "max_participants": 3, "submit_blocks": 30,
        "freeze_blocks": 10, "settle_blocks": 20, "reward_per_round": TOKEN, "enrol_bond": TOKEN,
        "committee": [(worker.account.address, worker.hpke_public) for worker in place.workers],
    }  # fmt: skip
    return federation.open_task(place.world.operator, **values | changes).task_id


def check(place: Town, task: int, deployment: Deployment | None = None) -> None:
    seat = place.seats[0].participant
    node = seat
    if deployment is not None:
        node = Participant(deployment, seat.federation, seat.account, seat.state, seat.opened)
    node.check_task(place.world.federation.task_info(task))


def of_training(place: Town) -> Deployment:
    """The same keys and class, for a federation that asks for proofs of training."""
    return replace(place.world.deployment, plan=trained_plan(place.document.plan))


def test_a_training_key_is_refused_for_a_bounded_task_and_the_reverse(place: Town) -> None:
    d = place.world.deployment
    honest, trained = swapped(place), swapped(place, training_key=d.keys["training"].verifying)
    check(place, honest)
    with pytest.raises(StateError, match="its bounded key is not the one of this node's circuit"):
        check(place, trained)
    with pytest.raises(StateError, match="its training key is not the one of this node's circuit"):
        check(place, honest, of_training(place))
    info = place.world.federation.task_info
    place.workers[0].check_class(info(honest))
    with pytest.raises(StateError, match="another circuit than that of the bounded update which tasks"):
        place.workers[0].check_class(info(trained))
    other = Worker(of_training(place), place.world.federation, place.workers[0].account, place.workers[0].state)
    with pytest.raises(StateError, match="another circuit than that of the proof of training which tasks"):
        other.check_class(info(honest))
    other.check_class(info(trained))


def test_a_description_of_another_statement_is_refused(place: Town) -> None:
    task = swapped(place, described=trained_plan(place.document.plan))
    with pytest.raises(StateError, match="asks for a proof of training, and the tasks of this federation ask for a b"):
        check(place, task)
    task = swapped(place, spec_digest=trained_plan(place.document.plan).digest())
    with pytest.raises(StateError, match="the chain binds another plan of bounded updates than its description"):
        check(place, task)


def test_the_checks_of_keys_refuse_one_of_the_other_statement(place: Town) -> None:
    """What `task open`, a joining node and the audit have in common."""
    d, plan = place.world.deployment, place.document.plan
    common = [d.keys[name] for name in ("eligibility", "listing", "aggregation")]
    for right, wrong, of in (
        (d.update_keys, d.keys["training"], plan), (d.keys["training"], d.update_keys, trained_plan(plan)),
    ):  # fmt: skip
        named = dict(zip((of.key_name, "eligibility", "listing", "aggregation"), [right, *common], strict=True))
        keys, circuits = ({n: k.verifying for n, k in named.items()}, {n: k.circuit for n, k in named.items()})
        check_keys(of, d.srs, keys, circuits)
        with pytest.raises(AuditError, match=f"the {of.key_name} key is of another circuit than this package's"):
            check_keys(of, d.srs, keys | {of.key_name: wrong.verifying}, circuits)


def test_a_key_file_of_training_is_refused_by_who_joins(place: Town, tmp_path: Path) -> None:
    document = replace(
        place.document,
        keys=place.document.keys
        | {"bounded": replace(place.document.keys["bounded"], circuit=place.document.keys["listing"].circuit)},
    )
    with pytest.raises(KeyFileError, match="the bounded key is of another circuit"):
        join(document, place.world.chain, tmp_path / "cache")


def test_an_update_over_the_bound_is_refused_before_a_proof_or_mask_is_spent(
    place: Town, state: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = opened(place, state, "over", enrol=2)
    info, model = place.world.federation.task_info(task), place.model(task)
    seat, plan = place.seats[0].participant, place.document.plan
    assert isinstance(plan, BoundedPlan)
    proven: list[object] = []
    monkeypatch.setattr("fedproof.nodes.participant.prove_linked", lambda *given: proven.append(given))
    over = plan.clip_real(np.full(MODEL.parameters, NORM)) * 2
    monkeypatch.setattr(updating, "local_update", lambda *_: LocalUpdate(over, 2 * NORM, False))
    with pytest.raises(InputError, match=f"update: its norm is above {NORM}"):
        seat.train(info, 1, model)
    assert (proven, seat.state.get("enrolments")[str(task)]["spent"]) == ([], 0)
    monkeypatch.undo()
    place.train(task, 2)  # the same round, by the honest node


def test_no_proof_holds_for_an_update_over_the_bound(
    place: Town, state: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A participant with tools of its own: the prover finds no witness."""
    task = opened(place, state, "forged", enrol=2)
    plan = place.document.plan
    assert isinstance(plan, BoundedPlan)
    over = plan.clip_real(np.full(MODEL.parameters, NORM)) * 2
    monkeypatch.setattr(updating, "local_update", lambda *_: LocalUpdate(over, 2 * NORM, False))
    monkeypatch.setattr(BoundedPlan, "check", lambda *_: None)
    with pytest.raises(ProofError):
        place.seats[0].participant.train(place.world.federation.task_info(task), 1, place.model(task))


def test_a_trainer_that_fails_spends_nothing_and_is_asked_again(place: Town, state: StateFile) -> None:
    task = opened(place, state, "failing", enrol=2)
    info, seat = place.world.federation.task_info(task), place.seats[0].participant

    def fail(weights: list[Float], records: Records) -> Sequence[Any]:
        raise ValueError(f"value {records.features[0, 0]}")

    node = Participant(seat.deployment, seat.federation, seat.account, seat.state, seat.opened, trainer=fail)
    with pytest.raises(InputError, match=r"the trainer failed: ValueError at test_bounded_tasks\.py:\d+$"):
        node.train(info, 1, place.model(task))
    assert seat.state.get("enrolments")[str(task)]["spent"] == 0
    place.train(task, 2)
    assert seat.state.get("enrolments")[str(task)]["spent"] == 1


def test_who_has_no_trainer_takes_no_part(place: Town) -> None:
    seat = place.seats[0].participant
    task = place.world.federation.task_info(swapped(place))
    for deployment, trainer, error, match in (
        (seat.deployment, None, InputError, "trained by code of its user's own: name a trainer"),
        (of_training(place), train, StateError, "proof of training, which fixes every step: leave the trainer out"),
    ):
        node = Participant(deployment, seat.federation, seat.account, seat.state, seat.opened, trainer=trainer)
        with pytest.raises(error, match=match):
            node.enrol(task)
        assert str(task.task_id) not in seat.state.get("enrolments")


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        (start_of(1)[:-1], "its arrays are"), ([*start_of(1)[:-1], np.array(np.nan)], "not finite"),
        ([*start_of(1)[:-1], np.array("x")], "no .npz file of arrays of numbers"),
        ([*start_of(1)[:-1], np.array([None])], "no .npz file of arrays of numbers"),
        ([*start_of(1)[:-1], start_of(1)[-1] * 1j], "no .npz file of arrays of numbers"),
    ],
)  # fmt: skip
def test_a_start_that_is_none_is_one_line(place: Town, tmp_path: Path, arrays: list[Any], match: str) -> None:
    np.savez(tmp_path / "start.npz", *arrays)
    with pytest.raises(InputError, match=match) as caught:
        read_start(tmp_path / "start.npz", place.document.plan)
    assert "\n" not in str(caught.value)
    for junk in (b"no archive", b"", b"PK\x05\x06" + bytes(18)):
        (tmp_path / "text.npz").write_bytes(junk)
        with pytest.raises(InputError, match=r"text\.npz: (no \.npz file|.*its arrays are)"):
            read_start(tmp_path / "text.npz", place.document.plan)
    start = GlobalModel.of_arrays(place.document.plan, start_of(1))
    with pytest.raises(InputError, match="--seed draws a start model and --start brings one"):
        opening(place, "both", start=start, seed=3).check(place.document.plan)


def test_a_start_that_inflates_is_refused_before_it_does(
    place: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros(10**7))
    assert (tmp_path / "bomb.npz").stat().st_size < 200_000
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(InputError, match=r"bomb\.npz: no \.npz file"):
        read_start(tmp_path / "bomb.npz", place.document.plan)


@pytest.mark.parametrize("place_", [40, 60, 200])
def test_a_damaged_start_is_one_line(place: Town, tmp_path: Path, place_: int) -> None:
    """Deflate, zip and header each have errors of their own."""
    np.savez_compressed(tmp_path / "start.npz", *start_of(1))
    held = bytearray((tmp_path / "start.npz").read_bytes())
    for shift in range(40):
        bent = bytearray(held)
        bent[place_ + shift] ^= 0x5A
        (tmp_path / "bent.npz").write_bytes(bent)
        with contextlib.suppress(InputError):  # a bit that changes a value alone passes
            read_start(tmp_path / "bent.npz", place.document.plan)


# -- an audit of what a cheater wrote --


def retold(export: Path, folder: Path, tamper: Tamper, change: dict[str, Any]) -> Path:
    """The export with another description, which the chain is made to name."""
    shutil.copytree(export, folder)
    blobs = folder / "public" / "blobs"
    written = [path.read_bytes() for path in blobs.iterdir()]
    found = next(json.loads(blob) for blob in written if blob.startswith(b'{"name":"played"'))
    data = canonical(found | change)
    (blobs / content_id(data)).write_bytes(data)
    with_fitting_terms(params(description=bytes.fromhex(content_id(data))))(tamper)
    return folder


def test_the_audit_fails_when_the_description_says_another_statement_than_the_key(
    place: Town, played: tuple[int, Path], tmp_path: Path, tamper: Tamper
) -> None:
    trained = trained_plan(place.document.plan)
    lie = {"statement": trained.statement}
    with pytest.raises(AuditError, match="it says 'proof of training', and its plan is of a bounded update"):
        audit_run(retold(played[1], tmp_path / "word", tamper, lie), Silent())
    lie |= {"plan": json.loads(trained.encode())}
    with pytest.raises(AuditError, match="the training key is of another circuit than this package's"):
        audit_run(retold(played[1], tmp_path / "plan", tamper, lie), Silent())


def test_the_audit_fails_when_the_chain_fixed_another_plan(
    place: Town, played: tuple[int, Path], tamper: Tamper
) -> None:
    with_fitting_terms(params(spec_digest=trained_plan(place.document.plan).digest()))(tamper)
    with pytest.raises(AuditError, match="the chain fixed another plan of bounded updates than described"):
        audit_run(played[1], Silent())


def test_a_task_of_another_plan_shows_no_statement(place: Town) -> None:
    task = swapped(place, spec_digest=bytes(31) + b"\x01")
    network: Connection = place.network()
    status = task_status(network, task)
    assert (status.statement, status.model) == ("", "model that is not this deployment's")
    assert not any("each update" in line for line in status.lines())
