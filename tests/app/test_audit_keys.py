"""Keys by which proofs could be forged, and powers of tau that are not the task's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedproof import _core
from fedproof.app.audit_keys import check_keys, check_powers
from fedproof.app.audit_run import CONTRACTS
from fedproof.errors import AuditError, FedproofError
from fedproof.learning.model import TaskDescription
from fedproof.ledger.federation import Federation
from fedproof.ledger.market_types import Addresses
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.keys import VerifyingKey
from fedproof.storage import BlobStore
from tests.app.runs import FinishedRun

pytestmark = pytest.mark.slow

Made = tuple[Any, _core.Srs, dict[str, VerifyingKey]]
G2 = _core.g2_generator()
PRIME = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def opposite(point: bytes) -> bytes:
    """Minus a point of G2."""
    y = [int.from_bytes(point[at : at + 32], "big") for at in (64, 96)]
    return point[:64] + b"".join((-value % PRIME).to_bytes(32, "big") for value in y)


@pytest.fixture(scope="module")
def made(run: FinishedRun) -> Made:
    """Plan, powers and keys of the run's task."""
    chain, at = run.chain, {name: address for name, (address, _) in run.manifest.contracts.items()}
    market = Marketplace.at(chain, Addresses(*(at[name] for name in CONTRACTS[:-1])))  # type: ignore[arg-type]
    task = Federation.at(chain, at["Federation"]).task_info(run.manifest.task)
    store = BlobStore.open(str(run.folder / "public" / "blobs"))
    description = TaskDescription.decode(store.get(task.params.description.hex()))
    capacity = market.capacity_class(task.params.class_id)
    keys = {
        "eligibility": market.verifying_key(capacity.eligibility_key),
        "spend": market.verifying_key(chain.call(market.vault.contract.functions.spendKey())),
        "listing": market.verifying_key(capacity.listing_key),
        "training": market.verifying_key(task.params.training_key),
        "aggregation": market.verifying_key(task.params.aggregation_key),
    }
    return description.plan, _core.Srs.from_bytes(store.get(description.srs)), keys


Change = Callable[[dict[str, VerifyingKey]], dict[str, Any]]

FORGERIES: dict[str, tuple[str, Change, str]] = {
    "delta is gamma": ("training", lambda k: {"delta": G2}, "delta of the training key is gamma"),
    "delta is minus gamma": ("listing", lambda k: {"delta": opposite(G2)}, "delta of the listing key is gamma up to"),
    "eta is gamma": ("training", lambda k: {"eta": G2}, "eta of the training key is gamma"),
    "eta is delta": (
        "training",
        lambda k: {"eta": k["training"].delta},
        "eta of the training key is delta of training",
    ),
    "eta is minus delta": (
        "aggregation",
        lambda k: {"eta": opposite(k["aggregation"].delta)},
        "eta of the aggregation key is delta of aggregation up to sign",
    ),
    "delta is beta": (
        "eligibility",
        lambda k: {"delta": k["eligibility"].beta},
        "delta of the eligibility key is beta",
    ),
    "delta is tau": ("training", lambda k: {"delta": k["training"].tau}, "delta of the training key is tau"),
    "eta is tau^d": ("training", lambda k: {"eta": k["training"].tau_d}, "eta of the training key is tau.d"),
    "beta is gamma": ("training", lambda k: {"beta": G2}, "beta of the training key is gamma"),
    "beta is minus tau": ("listing", lambda k: {"beta": opposite(k["listing"].tau)}, "tau of the listing key is beta"),
    "delta of another circuit": (
        "aggregation",
        lambda k: {"delta": k["training"].delta},
        "delta of the aggregation key is delta of training",
    ),
    "eta of another circuit": (
        "aggregation",
        lambda k: {"eta": opposite(k["training"].eta or b"")},
        "eta of the aggregation key is eta of training up to sign",
    ),
    "delta is the eta of another": (
        "aggregation",
        lambda k: {"delta": k["listing"].eta},
        "delta of the aggregation key is eta of listing",
    ),
    "another circuit": ("training", lambda k: {"circuit_id": k["listing"].circuit_id}, "is of another circuit"),
    "other powers": ("training", lambda k: {"tau": k["training"].delta}, "links to other powers"),
    "another mask position": ("training", lambda k: {"tau_d": k["training"].delta}, r"another \[tau\^d\]_2"),
    "no mask position": ("training", lambda k: {"tau_d": None}, r"another \[tau\^d\]_2"),
    "no committed segment": ("training", lambda k: {"eta": None}, "another committed segment"),
    "a committed segment too many": ("eligibility", lambda k: {"eta": k["training"].beta}, "another committed segment"),
    "an input too few": ("training", lambda k: {"ic": k["training"].ic[:-1]}, "takes other public inputs"),
    "a free input": ("training", lambda k: {"ic": (*k["training"].ic[:-1], bytes(64))}, "public input .* is free"),
    "a spend of another circuit": ("spend", lambda k: {"circuit_id": bytes(32)}, "the spend key is of another circuit"),
    "a spend with delta of another": (
        "spend",
        lambda k: {"delta": k["eligibility"].delta},
        "delta of the spend key is delta of eligibility",
    ),
    "no alpha": ("training", lambda k: {"alpha": bytes(64)}, "alpha of the training key is zero"),
}


def test_passes_honest_keys(made: Made) -> None:
    assert "none shares a secret" in check_keys(*made)
    assert "consistent" in check_powers(made[0], made[1])


@pytest.mark.parametrize("what", FORGERIES)
def test_refuses_a_key_when(made: Made, what: str) -> None:
    plan, srs, keys = made
    name, change, match = FORGERIES[what]
    with pytest.raises(AuditError, match=match):
        check_keys(plan, srs, keys | {name: replace(keys[name], **change(keys))})


def test_refuses_too_few_powers(made: Made) -> None:
    plan, srs, _ = made
    with pytest.raises(AuditError, match="too few"):
        check_powers(replace(plan, mask_count=plan.mask_count + 1), srs)


def test_a_blob_of_powers_that_do_not_follow_from_each_other_is_refused(made: Made) -> None:
    blob = made[1].to_bytes()
    middle = len(blob) // 2
    for wrong in (blob[:-1], blob + b"x", blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :], b""):
        with pytest.raises((ValueError, FedproofError)):
            _core.Srs.from_bytes(wrong)


def test_says_whose_keys_they_are(run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("one dealer" in note for note in run.audit().notes)
    real = Marketplace.verifying_key
    monkeypatch.setattr(Marketplace, "verifying_key", lambda *a: replace(real(*a), development=False))
    assert any("verify with --setup" in note for note in run.audit().notes)
    assert not any("made by one dealer" in note for note in run.audit().notes)
