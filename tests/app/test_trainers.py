"""A node's own trainer: named in its configuration, loaded from what is installed, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedproof.app.nodecheck import check_node
from fedproof.app.nodefile import read_config
from fedproof.app.nodetemplate import template
from fedproof.app.trainers import load_trainer, trainer_line, trainer_of
from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import Plan
from tests.app.test_nodeconfig import LEAST

TRAINED = TrainingPlan.of(TrainingSpec(64, 5))
FAMILY = BoundedPlan.choose(64, 5, Model.logistic(4), 1.0)
OTHER = BoundedPlan.choose(64, 5, 9, 1.0)
CODE = """
rate = 0.5

def train(weights, records):
    return weights
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that an operator has installed, and two that do not work."""
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic" / "__init__.py").touch()
    (tmp_path / "clinic" / "training.py").write_text(CODE)
    (tmp_path / "clinic" / "broken.py").write_text("raise RuntimeError('31.4159')")
    (tmp_path / "clinic" / "bent.py").write_text("def train(:")
    (tmp_path / "clinic" / "lazy.py").write_text("def __getattr__(name):\n    raise RuntimeError('31.4159')")
    monkeypatch.syspath_prepend(tmp_path)
    return "clinic.training:train"


def test_a_trainer_is_loaded_by_its_name(module: str) -> None:
    assert load_trainer(module)([], None) == []  # type: ignore[arg-type]
    assert trainer_of(FAMILY, module) is load_trainer(module) is trainer_of(OTHER, module)
    assert trainer_of(FAMILY, None) is None  # that of the package
    assert trainer_of(TRAINED, None) is None


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("clinic.training", "must be module:function"), ("clinic.training:train()", "must be module:function"),
        ("../clinic:train", "must be module:function"), ("clinic.training:", "must be module:function"),
        (":train", "must be module:function"), ("clinic.training:train\n", "must be module:function"),
        ("clinic.nowhere:train", r"cannot be imported \(ModuleNotFoundError\): install it"),
        ("clinic.broken:train", r"cannot be imported \(RuntimeError\)"),
        ("clinic.lazy:train", r"cannot be imported \(RuntimeError\)"),
        ("clinic.bent:train", r"cannot be imported \(SyntaxError\)"),
        ("clinic.training:test", "has no function 'test'"), ("clinic.training:rate", "has no function 'rate'"),
    ],
)  # fmt: skip
def test_a_name_that_names_none_is_one_line(module: str, name: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_trainer(name)
    assert "\n" not in str(caught.value)
    assert "31.4159" not in str(caught.value)


@pytest.mark.parametrize(
    ("plan", "name", "match"),
    [
        (TRAINED, "clinic.training:train", "proof of training, which fixes every step: take the line out"),
        (OTHER, None, "participant.trainer is missing: .* for a model outside the family of 9 parameters"),
    ],
)
def test_a_trainer_is_named_where_one_is_needed_and_nowhere_else(
    module: str, plan: Plan, name: str | None, match: str
) -> None:
    for refuse in (trainer_of, trainer_line):
        with pytest.raises(InputError, match=match):
            refuse(plan, name)


def test_node_check_says_what_is_proven_and_who_trains(module: str) -> None:
    said = "bounded update (no proof of training), L2 norm at most 1"
    assert trainer_line(FAMILY, None) == f"{said}, of a logistic regression 4-1, trained by the SGD of this package"
    assert trainer_line(OTHER, module).endswith("of 9 parameters, trained by clinic.training:train")
    assert trainer_line(TRAINED, None) == "proof of training, of a logistic regression 4-1"


def test_the_configuration_names_it(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    text = LEAST.replace('"worker"', '"participant"') + "[participant]\n"
    for line, expected in (("", None), ('trainer = "clinic.training:train"', "clinic.training:train")):
        path.write_text(text + line)
        found = read_config(path).participant
        assert found is not None
        assert found.trainer == expected
    for line in ('trainer = "clinic"', "trainer = 3", 'trainer = ""', 'trainer = "folder/x.py:f"'):
        path.write_text(text + line)
        with pytest.raises(InputError, match=r"participant\.trainer"):
            read_config(path)
    path.write_text(LEAST + '[worker]\ntrainer = "clinic.training:train"')
    with pytest.raises(InputError, match="trainer"):
        read_config(path)
    assert '# trainer = "package.module:function"' in template("participant")
    assert "trainer" not in template("worker") + template("provider")


def test_node_check_fails_where_a_trainer_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a deployment whose tasks nobody but their users can train."""
    path = tmp_path / "node.toml"
    path.write_text(LEAST.replace('"worker"', '"participant"'))

    class Document:
        plan, chain_id, store = OTHER, 1, str(tmp_path / "nowhere")

    monkeypatch.setattr("fedproof.app.nodecheck.DeploymentFile.read", lambda _: Document)
    monkeypatch.setattr("fedproof.app.nodecheck.check_journal", lambda *_: "none")
    monkeypatch.setattr("fedproof.app.nodecheck_chain.check_chain", lambda *_, **__: None)
    found = {check.name: check for check in check_node(path).checks}
    assert "each update for a bounded update (no proof of training)" in found["deployment"].text
    assert (found["trainer"].status, found["trainer"].exit_code) == ("FAIL", InputError.exit_code)
