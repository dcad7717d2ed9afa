"""Datasets of several classes and of targets in a home: listed, granted and opened, each kind in its own class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedproof.app.buying import deposit, open_granted, request
from fedproof.app.home import OPERATOR, Home
from fedproof.app.prepare import Prepared
from fedproof.app.selling import answer_grants, fund, mint
from fedproof.app.telling import Silent
from fedproof.errors import InputError, KeyFileError
from fedproof.statements.labels import BINARY, TARGET, LabelKind
from tests.app.prepare_support import draft, run, ward

pytestmark = pytest.mark.slow

TOKEN = 10**18
HEADER = "age,dose,outcome"
THRESHOLDS = (0, 0, 0, 100 * TOKEN, 0, 0)
VALUES = {"binary": ("no", "yes"), "classes": ("mild", "severe", "well"), "target": ("1.5", "2.25", "9.0", "-3")}


def prepared(folder: Path, labels: str) -> Prepared:
    folder.mkdir()
    values = VALUES[labels]
    source = ward(folder, [f"{k * 37 % 61},{k % 7 / 4},{values[k % len(values)]}" for k in range(40)], header=HEADER)
    draft(source, label="outcome", labels=labels)
    return run(source, tiers=(3,), block_rows=64)


def test_each_kind_of_label_has_a_class_and_keys_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    Home.create(folder, Silent())
    with Home.open(folder, Silent()) as home:
        for number, labels in enumerate(VALUES, 1):
            made = prepared(tmp_path / labels, labels)
            minted = mint(home, "alice", made, THRESHOLDS, (0,) * 6, Silent())
            assert (minted.dataset_id, minted.terms.class_id) == (number, number)
        for kind, number in ((BINARY, 1), (LabelKind.of_classes(3), 2), (TARGET, 3)):
            assert home.class_of(64, 3, kind) == number
            for other in {1, 2, 3} - {number}:
                with pytest.raises(KeyFileError, match="not those of capacity class"):
                    home.class_keys(other, kind)
        fund(home, "bob", 100 * TOKEN, deposits=True)
        deposit(home, "bob", 100 * TOKEN, 30)
        for number in (2, 3):
            request(home, "bob", number, 3, 86_400, Silent())
        assert len(answer_grants(home, "alice", Silent())["delivered"]) == 2
        for number in (2, 3):
            opened = open_granted(home, "bob", number, tmp_path / f"opened-{number}", Silent())
            assert opened["records_checked"] == 40
        home.market.close_class(home.account(OPERATOR), 2)
        with pytest.raises(InputError, match="class 2 of 64 x 3 with labels of kind classes 3 is closed"):
            home.class_of(64, 3, LabelKind.of_classes(3))
        joined = replace(home, keyring=replace(home.keyring, source="nowhere"))
        with pytest.raises(InputError, match='add-class 64 3 --labels "classes 5"'):
            joined.class_of(64, 3, LabelKind.of_classes(5))
