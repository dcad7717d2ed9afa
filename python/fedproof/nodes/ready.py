"""Updates that are proven and not on chain yet: made once for each round and model, however often sending them fails.

The y of each proof spends a mask. So a proof is kept from the moment that its mask is spent, and where the transaction
cannot be prepared the next try takes this one, with the same bytes: the same y shows nothing more.
"""

from __future__ import annotations

from typing import Any

from fedproof.ledger.federation import TaskInfo, Update
from fedproof.nodes.shapes import UPDATE_BYTES
from fedproof.nodes.state import StateFile
from fedproof.proving.linked import LinkedProof

Ready = tuple[Update, dict[str, float]]
"""An update, and the seconds that it took."""


class ReadyUpdates:
    """One participant's updates that wait to be sent, at most one for each round of a task."""

    def __init__(self, state: StateFile) -> None:
        self._state = state

    def find(self, task: TaskInfo, round_number: int, participant: str, masked_dataset: bytes) -> Ready | None:
        """The update of a round, if it is over the task's present model and of this dataset behind these masks."""
        entry = self._entries().get(_key(task, round_number))
        if entry is None:
            return None
        if (entry["model"], entry["masked_dataset"]) != (task.model.hex(), masked_dataset.hex()):
            return None
        part = {name: bytes.fromhex(entry[name]) for name in UPDATE_BYTES}
        update = Update(
            participant=participant,
            rows=entry["rows"],
            masked_dataset=part["masked_dataset"],
            update=part["update"],
            share_digest=part["share_digest"],
            sealed_digest=part["sealed_digest"],
            proof=LinkedProof(part["proof"], part["d"], part["q"], int.from_bytes(part["y"], "big")),
        )
        return update, dict(entry["seconds"])

    def with_one(self, task: TaskInfo, round_number: int, update: Update, seconds: dict[str, float]) -> dict[str, Any]:
        """What to save as `ready`, so that one write holds the update and that its mask is spent."""
        proof = update.proof
        entry = {
            "model": task.model.hex(),
            "rows": update.rows,
            "masked_dataset": update.masked_dataset.hex(),
            "update": update.update.hex(),
            "share_digest": update.share_digest.hex(),
            "sealed_digest": update.sealed_digest.hex(),
            "proof": proof.proof.hex(),
            "d": proof.d.hex(),
            "q": proof.q.hex(),
            "y": proof.y.to_bytes(32, "big").hex(),
            "seconds": seconds,
        }
        return {**self._entries(), _key(task, round_number): entry}

    def drop(self, task: TaskInfo, round_number: int) -> None:
        """Forget the updates of a task up to a round: sent, refused, or over another model."""
        kept = {
            key: entry
            for key, entry in self._entries().items()
            if not (key.startswith(f"{task.task_id}/") and int(key.split("/")[1]) <= round_number)
        }
        if kept != self._entries():
            self._state.put(ready=kept)

    def _entries(self) -> dict[str, Any]:
        return dict(self._state.get("ready", {}))


def _key(task: TaskInfo, round_number: int) -> str:
    return f"{task.task_id}/{round_number}"
