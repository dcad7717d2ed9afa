"""The records of a participant's node, opened from its grants by the keys that took them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from fedproof.errors import StateError
from fedproof.nodes.holder import OpenedDataset, open_records, remove_opened
from fedproof.nodes.params import Deployment
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair
from fedproof.storage.folders import open_plain

HOME_ROLE = "holder"
"""Of the state that `fedproof access` keeps in a home."""
KEPT = 4
"""Opened versions that stay in memory."""


@dataclass
class GrantedRecords:
    """Opens datasets that were granted to an account.

    Attributes:
        access: the state folder that took the grants; it is held only while a dataset is opened.
    """

    deployment: Deployment
    grantee: str
    access: Path
    _opened: dict[tuple[int, int], OpenedDataset] = field(default_factory=dict)

    def clean(self) -> None:
        """Remove records in the clear that a process which was killed has left behind.

        Raises:
            StateError: the folder is in use, and its user may need them.
        """
        with access_state(self.access):
            remove_opened(self.access)

    def open(self, dataset_id: int, version: int) -> OpenedDataset:
        """The records of a version; errors as `open_records`."""
        key = (dataset_id, version)
        if key not in self._opened:
            with access_state(self.access) as state:
                remove_opened(self.access)
                private = state.get("hpke")
                if private is None:
                    raise StateError(f"{self.access} has taken no grant: give the folder that did")
                hpke = KeyPair.from_private_bytes(bytes.fromhex(private))
                opened = open_records(self.deployment, self.grantee, hpke, dataset_id, self.access, version=version)
            while len(self._opened) >= KEPT:
                self._opened.pop(next(iter(self._opened)))
            self._opened[key] = opened
        return self._opened[key]


def access_state(folder: Path) -> StateFile:
    """The saved state that took grants: a node's own, or that of an identity in a marketplace home.

    Raises:
        StateError: as `StateFile`.
    """
    try:
        with open_plain(folder / "state.json") as file:
            document = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        document = None  # whoever opens it says what is wrong
    role = document.get("role") if isinstance(document, dict) else None
    return StateFile(folder, HOME_ROLE if role == HOME_ROLE else "participant")
