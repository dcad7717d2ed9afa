"""The federation with smaller numbers, so that a few updates make a large round."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fedproof.ledger import Artifact
from fedproof.ledger.federation import LIBRARIES
from tests.attacks.weak_contracts import compile_changed

PLACES: Final = 2
MAX_UPDATES: Final = 3
PART: Final = 2
NUMBERS = (
    ("Head.sol", "PLACES = 159;", "PLACES = {};"),
    ("TaskRules.sol", "MAX_UPDATES = 160;", "MAX_UPDATES = {};"),
    ("TaskRules.sol", "PART = 128;", "PART = {};"),
)


def compile_lessened(
    folder: Path, places: int = PLACES, max_updates: int = MAX_UPDATES, part: int = PART
) -> dict[str, Artifact]:
    """The federation's contracts and their libraries, compiled in a folder."""

    def lessen(contracts: Path) -> None:
        for (name, old, new), number in zip(NUMBERS, (places, max_updates, part), strict=True):
            path = contracts / "federation" / name
            text = path.read_text()
            assert text.count(old) == 1, old
            path.write_text(text.replace(old, new.format(number)))

    return compile_changed(folder, lessen, ("Federation", "Committee", *LIBRARIES))
