"""A federation founded over a new home: one set of keys serves the home's commands and the nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedproof.app.deployment import DeploymentFile
from fedproof.app.founding import DEPLOYMENT_FILE, MASKS, plan_of
from fedproof.app.home import Home
from fedproof.app.joining import join
from fedproof.app.telling import Silent
from fedproof.app.training import Training
from fedproof.data import Schema, capacity_rows, load, split
from fedproof.data.load import CLASSES
from fedproof.errors import InputError, LedgerError
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger import Chain
from fedproof.statements.labels import LabelKind
from tests.support.anvil import AnvilProcess

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.xdist_group("anvil")]


def usual(model: str, rows: int, columns: int, labels: str | None = None) -> TrainingPlan:
    plan = plan_of(rows, columns, model=model, epochs=1, labels=labels)
    assert isinstance(plan, TrainingPlan)
    return plan


@pytest.mark.parametrize("labels", ["binary", "classes 3", "target"])
def test_a_federation_of_another_model_has_a_class_of_its_labels(tmp_path: Path, labels: str) -> None:
    plan, kind = usual("mlp:2", 32, 3, labels), LabelKind.parse(labels)
    with AnvilProcess() as anvil:
        folder = tmp_path / "home"
        Home.create(folder, Silent(), anvil.url, tasks=plan)
        document = DeploymentFile.read(folder / DEPLOYMENT_FILE)
        assert document.plan == plan
        with Home.open(folder, Silent()) as home:
            assert home.class_of(32, 3, kind) == document.class_id
            assert (home.class_of(32, 3) == document.class_id) == (labels == "binary")
        with Chain.connect(anvil.url) as chain:
            deployment, _ = join(document, chain, tmp_path / "cache")
            assert deployment.listing.kind == kind
            assert deployment.srs.size >= plan.offset(plan.depth) + 3


def test_a_federation_of_bounded_updates_is_founded_for_a_model_outside_the_family(tmp_path: Path) -> None:
    plan = plan_of(32, 3, model="arrays:2x2,2", epochs=2, statement="bounded", norm=0.5, labels="target")
    with AnvilProcess() as anvil:
        folder = tmp_path / "home"
        Home.create(folder, Silent(), anvil.url, tasks=plan)
        document = DeploymentFile.read(folder / DEPLOYMENT_FILE)
        assert document.plan == plan
        assert set(document.keys) == {"spend", "eligibility", "listing", "bounded", "aggregation"}
        with Home.open(folder, Silent()) as home:
            assert home.class_of(32, 3, LabelKind.parse("target")) == document.class_id
        with Chain.connect(anvil.url) as chain:
            deployment, _ = join(document, chain, tmp_path / "cache")
            assert deployment.update_keys.circuit.name == "bounded update"


def test_the_scales_of_a_federation_fit_the_public_rows(tmp_path: Path) -> None:
    parts = split(load("wine", labels=CLASSES), 2, 1)
    schema = Schema.from_public(parts.test, capacity_rows(parts.parts))
    (tmp_path / "schema.json").write_bytes(schema.encode())
    test = parts.test
    lines = [",".join([*test.feature_names, "kind"])]
    lines += [
        ",".join([*map(repr, row), test.class_names[label]])
        for row, label in zip(test.features.tolist(), test.labels.tolist(), strict=True)
    ]
    (tmp_path / "public.csv").write_text("\n".join(lines) + "\n")
    given = {"schema": tmp_path / "schema.json", "public": tmp_path / "public.csv", "label": "kind"}
    plan = plan_of(schema.rows, schema.columns, model="softmax", epochs=2, **given)  # type: ignore[arg-type]
    assert plan == Training.parse("softmax", 2).plan(schema, parts.test, schema.rows, MASKS)
    with pytest.raises(InputError, match="the schema has labels of kind classes 3"):
        plan_of(schema.rows, schema.columns, model="softmax", epochs=2, labels="classes 4", **given)  # type: ignore[arg-type]


def test_a_home_lists_under_the_keys_that_nodes_join_with(tmp_path: Path) -> None:
    with AnvilProcess() as anvil:
        folder = tmp_path / "home"
        Home.create(folder, Silent(), anvil.url, str(tmp_path / "blobs"), usual("logistic", 64, 14))
        document = DeploymentFile.read(folder / DEPLOYMENT_FILE)
        assert (document.plan.rows, document.plan.columns, document.plan.mask_count) == (64, 14, MASKS)
        assert document.store == str(tmp_path / "blobs")
        with Home.open(folder, Silent()) as home:
            assert home.class_of(64, 14) == document.class_id  # compares its listing key with the chain's
            home.note_keys()  # and those of notes
            assert home.class_of(32, 3) == document.class_id + 1  # another class has keys of its own
            home.class_keys(document.class_id + 1)
        with Chain.connect(anvil.url) as chain:
            deployment, federation = join(document, chain, tmp_path / "cache")
            assert deployment.keys["training"].circuit.circuit_id.hex() == document.keys["training"].circuit
            assert federation.tasks() == 0


def test_blobs_are_in_the_home_if_no_other_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with AnvilProcess() as anvil:
        Home.create(Path("home"), Silent(), anvil.url, tasks=usual("logistic", 32, 3))
        document = DeploymentFile.read(tmp_path / "home" / DEPLOYMENT_FILE)
        assert document.store == str(tmp_path / "home" / "blobs")
        with Chain.connect(anvil.url) as chain:
            join(document, chain, tmp_path / "cache")
        anvil.stop()
        anvil.start()
        with (
            pytest.raises(LedgerError, match=rf"of home is not on the chain at {anvil.url}: .*started anew"),
            Home.open(Path("home"), Silent()),
        ):
            pass


def test_a_federation_needs_a_chain_that_nodes_can_reach(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from fedproof.cli.main import cli

    done = CliRunner().invoke(cli, ["market", "init", "--home", str(tmp_path / "home"), "--tasks", "64", "14"])
    assert isinstance(done.exception, InputError)
    assert "--rpc" in str(done.exception)
    assert not (tmp_path / "home").exists()
