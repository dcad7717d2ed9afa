"""What a task fixes, and who joined: one lie each, and the line that it is caught with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.app import audit_task
from fedproof.app.audit_market import GrantAuditor
from fedproof.data import Schema, Table
from fedproof.data.schema import Target
from fedproof.learning.architecture import Model
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.ledger.marketplace import Marketplace
from tests.app.runs import FinishedRun
from tests.app.tampering import OTHER, Lie, Tamper, add, params, refused, with_fitting_terms

pytestmark = pytest.mark.slow

ONE = (1, 2)  # the generator of G1


def committee(change: Callable[[list[Any]], list[Any]]) -> Callable[[TaskInfo], TaskInfo]:
    return lambda task: replace(task, workers=tuple(change(list(task.workers))))


def last_worker(**values: Any) -> Callable[[TaskInfo], TaskInfo]:
    """The third worker is another, made of parts of the first."""

    def change(workers: list[Any]) -> list[Any]:
        new = {name: getattr(workers[0], name) if value is None else value for name, value in values.items()}
        return [*workers[:2], replace(workers[2], **new)]

    return committee(change)


def described(**values: Any) -> Lie:
    return lambda t: t.answer(TaskDescription, "decode", lambda d: replace(d, plan=replace(d.plan, **values)))


def model(change: Callable[[GlobalModel], GlobalModel]) -> Lie:
    return lambda t: t.answer(GlobalModel, "decode", change)


def longer(found: GlobalModel) -> GlobalModel:
    """A zero behind the weights: the same commitment."""
    return replace(
        found,
        model=Model.logistic(found.model.widths[0] + 1),
        weights=np.concatenate([found.weights, np.zeros(1, dtype=np.int64)]),
    )


def another_test_part(change: Callable[[Table], Table]) -> Lie:
    real = audit_task.decode_table
    return lambda t: t.patch.setattr(audit_task, "decode_table", lambda blob: change(real(blob)))


TASK: dict[str, tuple[Lie, str]] = {
    "not ended": (lambda t: t.task(lambda task: replace(task, stage=Stage.FROZEN)), "has not ended"),
    "another shape": (described(rows=128), "another shape than its capacity class"),
    "another plan": (described(epochs=2), "training key is of another circuit"),
    "a plan that is not the chain's": (
        with_fitting_terms(params(spec_digest=bytes(32))),
        "the chain fixed another training plan",
    ),
    "a schema of a target": (
        lambda t: t.answer(Schema, "decode", lambda s: replace(s, classes=(), target=Target("cost", 0.0, 1.0))),
        "schema has labels of kind target",
    ),
    "more masks than powers": (described(mask_count=4000), "powers of tau are too few"),
    "other masks": (with_fitting_terms(params(mask_count=add(1))), "another number of masks"),
    "other parameters": (lambda t: t.task(params(submit_blocks=add(1))), "not the hash of what it fixed"),
    "another committee": (lambda t: t.task(last_worker(address=OTHER)), "not the hash of what it fixed"),
    "a key's hash": (with_fitting_terms(params(training_key_hash=bytes(32))), "another training key"),
    "the other key's hash": (with_fitting_terms(params(aggregation_key_hash=bytes(32))), "another aggregation key"),
    "another circuit": (lambda t: t.task(lambda x: replace(x, training_circuit=bytes(32))), "another training circuit"),
    "a minimum of one": (with_fitting_terms(params(min_updates=1)), "a sum of one update"),
    "another start model": (with_fitting_terms(params(model=_core.g1_generator())), "start model is not the one"),
    "another scale": (
        model(lambda m: replace(m, scales=tuple(2 * s for s in m.scales))),
        "start model has another shape or scale",
    ),
    "a weight more": (model(longer), "start model has another shape or scale"),
    "a schema of another class": (
        lambda t: t.answer(Schema, "decode", lambda s: replace(s, rows=s.rows * 2)),
        "schema has another shape",
    ),
    "a test part of other features": (
        another_test_part(lambda p: replace(p, feature_names=p.feature_names[::-1])),
        "test part has other features",
    ),
    "a test part with swapped classes": (
        another_test_part(lambda p: replace(p, class_names=p.class_names[::-1])),
        "test part has other features or classes",
    ),
    "too few workers": (with_fitting_terms(committee(lambda w: w[:2])), "committee is too small"),
    "one worker twice": (with_fitting_terms(last_worker(address=None)), "two workers have one address"),
    "one HPKE key for two": (with_fitting_terms(last_worker(hpke_key=None)), "two workers have one HPKE key"),
    "a key of low order": (with_fitting_terms(last_worker(hpke_key=bytes(32))), "worker 3: cannot seal"),
    "a key of another length": (with_fitting_terms(last_worker(hpke_key=bytes(31))), "worker 3: a public key has"),
}


@pytest.mark.parametrize("what", TASK)
def test_refuses_a_task_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *TASK[what])


def held(**values: Any) -> Lie:
    """Grants are told otherwise after each was checked, so that only the enrolment can notice."""

    def lie(tamper: Tamper) -> None:
        tamper.patch.setattr(GrantAuditor, "check", lambda *_: "checked")
        tamper.answer(Marketplace, "grants", lambda found: [replace(each, **values) for each in found])

    return lie


def unmasked(tamper: Tamper) -> None:
    """An enrolment of C_X itself: the mask is the point at infinity, and the pairing holds."""
    real = GrantAuditor.check_dataset
    commitments: list[Any] = []

    def remember(auditor: GrantAuditor, dataset: int) -> list[str]:
        commitments.append(auditor.market.dataset(dataset).commitment)
        return real(auditor, dataset)

    tamper.patch.setattr(GrantAuditor, "check_dataset", remember)
    enrol = audit_task.TaskAuditor.check_enrolment
    tamper.patch.setattr(
        audit_task.TaskAuditor,
        "check_enrolment",
        lambda self, each, grants: enrol(self, replace(each, masked_dataset=commitments[0]), grants),
    )
    tamper.call("enrol", lambda c: c.update(mask=(0, 0)))


ENROLMENT: dict[str, tuple[Lie, str]] = {
    "other rows": (lambda t: t.event("Enrolled", rows=add(1)), "counts other rows than the listing"),
    "other terms": (lambda t: t.call("enrol", lambda c: c.update(terms=bytes(32))), "for other terms"),
    "another dataset behind the masks": (lambda t: t.event("Enrolled", maskedDataset=ONE), "plus masks"),
    "another mask": (lambda t: t.call("enrol", lambda c: c.update(mask=ONE)), "plus masks"),
    "no masks": (unmasked, "has no masks"),
    "another participant": (lambda t: t.event("Enrolled", participant=OTHER), "did not go from"),
    "no grant": (lambda t: t.events("AccessGranted", lambda _: []), "held no Tier-3 grant"),
    "a grant of afterwards": (held(block_number=10**6), "held no Tier-3 grant"),
    "a grant of a lower tier": (held(tier=2), "held no Tier-3 grant"),
    "a grant that is over": (held(expiry=1), "held no Tier-3 grant"),
    "a grant of somebody else": (held(grantee=OTHER), "held no Tier-3 grant"),
}


@pytest.mark.parametrize("what", ENROLMENT)
def test_refuses_an_enrolment_with(run: FinishedRun, tamper: Tamper, what: str) -> None:
    refused(run, tamper, *ENROLMENT[what])


def test_a_grant_of_a_higher_tier_is_enough(run: FinishedRun, tamper: Tamper) -> None:
    held(tier=5)(tamper)
    assert len(run.audit().checks) == len(run.report["audit"]["checks"]) - 1


def updated(same_block: bool) -> Lie:
    """Each dataset got a second version of other rows, after its enrolment: as contracts let it."""

    def lie(tamper: Tamper) -> None:
        other = {"rows": 7, "commitment": _core.g1_generator(), "version": 2}
        when: dict[int, tuple[int, int]] = {}
        real = Federation.enrolments

        def enrolments(federation: Federation, number: int) -> list[Any]:
            found = real(federation, number)
            when.update({each.dataset_id: (each.block_number, each.log_index) for each in found})
            return found

        def listings(found: list[Any]) -> list[Any]:
            (first,) = found
            block, index = when[first.dataset_id]
            later = replace(first, **other, block_number=block + (not same_block), log_index=index + 1)
            return [first, later]

        tamper.patch.setattr(Federation, "enrolments", enrolments)
        tamper.answer(Marketplace, "listings", listings)
        tamper.answer(Marketplace, "dataset", lambda found: replace(found, **other))

    return lie


@pytest.mark.parametrize("same_block", [False, True])
def test_a_dataset_that_was_updated_after_its_enrolment_changes_nothing(
    run: FinishedRun, tamper: Tamper, same_block: bool
) -> None:
    updated(same_block)(tamper)
    assert run.audit().checks == run.report["audit"]["checks"][1:]  # the first is the replay


def test_a_dataset_that_was_listed_after_its_enrolment_is_refused(run: FinishedRun, tamper: Tamper) -> None:
    def lie(tamper: Tamper) -> None:
        later = {"block_number": 10**6}
        tamper.answer(Marketplace, "listings", lambda found: [replace(each, **later) for each in found])

    refused(run, tamper, lie, "it was not listed yet")


@pytest.mark.parametrize(
    ("name", "count", "what"),
    [
        ("mintDataset", 3, "its listing of"),
        ("accessDataset", 3, "grant of dataset"),
        ("enrol", 3, "enrolment of dataset"),
        ("finalizeRound", 1, "its settlement"),
    ],
)
def test_what_came_through_another_contract_is_a_note(
    run: FinishedRun, tamper: Tamper, name: str, count: int, what: str
) -> None:
    """Smart wallets are honest, and nobody may end an audit by sending what can only be noted."""
    tamper.relay(name)
    found, before = run.audit(), run.report["audit"]
    notes = [note for note in found.notes if note not in before["notes"]]
    assert len(notes) == (count if count > 1 else len(run.report["rounds"]))
    assert all(what in note and "is checked by the chain alone" in note for note in notes)
    said = [check for check in found.checks if check not in before["checks"]]
    assert len(found.checks) == len(before["checks"]) - 1  # the replay
    assert len(said) == len(notes)
    assert not any("proof" in check or "average" in check for check in said)
