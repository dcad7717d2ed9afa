"""What a sponsor fixes when it opens a task, and what of it would be refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from fedproof.app.amounts import AMOUNT_BITS
from fedproof.app.connection import Connection
from fedproof.app.keystore import PublicKeys
from fedproof.app.startmodel import Start
from fedproof.data import Schema, Table
from fedproof.data.naming import clean_name, quoted
from fedproof.data.public import encode_table
from fedproof.errors import InputError
from fedproof.learning.model import GlobalModel
from fedproof.learning.plans import Plan
from fedproof.storage.content import content_id

LEAST_UPDATES: Final = 2
MOST_PARTICIPANTS: Final = 255
MOST_WORKERS: Final = 64
MOST_ROUNDS: Final = 1024
MOST_BLOCKS: Final = 1 << 20
LEAST_FREEZE: Final = 10  # two blocks for each of the five windows of complaints


@dataclass(frozen=True)
class Opening:
    """A task as its sponsor wants it. Amounts are base units, windows are blocks.

    Attributes:
        workers: the committee, in order. threshold: so many of them together learn nothing.
        reward: of each round. bond: of each participant and each complaint. worker_bond: of each worker.
        seed: of the start model; None draws one, which is remembered until the task is open.
        start: the start model itself, in place of a seed; or a file that the task starts near; None for a draw.
    """

    name: str
    schema: Schema
    test: Table
    workers: tuple[PublicKeys, ...]
    rounds: int
    participants: int
    threshold: int
    reward: int
    bond: int
    worker_bond: int = 0
    min_updates: int = 3
    submit_blocks: int = 300
    freeze_blocks: int = 50
    settle_blocks: int = 300
    seed: int | None = None
    start: Start | GlobalModel | None = None

    @property
    def escrow(self) -> int:
        """What the sponsor pays in."""
        return self.rounds * self.reward

    def check(self, plan: Plan) -> None:
        """Refuse what the contract would refuse, or what would hide no update.

        Raises:
            InputError: one line that names the option.
        """
        if not clean_name(self.name):
            raise InputError(f"--name {quoted(self.name)} is no short printable text")
        _check_range("--rounds", self.rounds, 1, min(MOST_ROUNDS, plan.mask_count - 1), "as its masks reach")
        _check_range("--participants", self.participants, LEAST_UPDATES, MOST_PARTICIPANTS)
        _check_range("--min-updates", self.min_updates, LEAST_UPDATES, self.participants, "as --participants says")
        _check_committee(len(self.workers), self.threshold)
        for name in ("reward", "bond", "worker_bond"):
            if not 0 <= getattr(self, name) < 1 << AMOUNT_BITS:
                raise InputError(f"--{name.replace('_', '-')}: too many tokens")
        _check_range("--submit-blocks", self.submit_blocks, 1, MOST_BLOCKS)
        _check_range("--freeze-blocks", self.freeze_blocks, LEAST_FREEZE, MOST_BLOCKS)
        _check_range("--settle-blocks", self.settle_blocks, 1, MOST_BLOCKS)
        if self.seed is not None:
            _check_range("--seed", self.seed, 0, (1 << 64) - 1)
            if isinstance(self.start, GlobalModel):
                raise InputError("--seed draws a start model and --start brings one: give one of them")
        if isinstance(self.start, Start):
            self.start.first(plan, self.schema, 0)  # it and not `check`, for the schema may change the weights

    def digest(self, network: Connection, sponsor: str) -> str:
        """What the task is known by in the sponsor's state: all of its parameters, on this chain."""
        document = {
            "chain": network.chain.chain_id,
            "federation": network.federation.address,
            "sponsor": sponsor,
            "class": network.document.class_id,
            "schema": content_id(self.schema.encode()),
            "test": content_id(encode_table(self.test)),
            "workers": [[worker.address, worker.hpke_public.hex()] for worker in self.workers],
            **{name: getattr(self, name) for name in _PLAIN},
            **({} if self.start is None else {"start": _start_digest(self.start)}),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


_PLAIN: Final = (
    "name", "rounds", "participants", "threshold", "reward", "bond", "worker_bond", "min_updates",
    "submit_blocks", "freeze_blocks", "settle_blocks", "seed",
)  # fmt: skip


def default_threshold(workers: int) -> int:
    """The most that a committee of so many allows; 0 for one that is too small."""
    return max(0, (workers - 1) // 2)


def _check_range(option: str, value: int, least: int, most: int, why: str = "") -> None:
    if not least <= value <= most:
        raise InputError(f"{option} {value} must be from {least} to {most}{', ' + why if why else ''}")


def _check_committee(workers: int, threshold: int) -> None:
    if not 3 <= workers <= MOST_WORKERS:
        raise InputError(f"--worker: {workers} given, a committee has 3 to {MOST_WORKERS}")
    if not 1 <= threshold <= default_threshold(workers):
        raise InputError(
            f"--threshold {threshold} must be from 1 to {default_threshold(workers)} with {workers} workers: more than "
            "half of them must be needed"
        )


def _start_digest(start: Start | GlobalModel) -> str:
    return content_id(start.encode()) if isinstance(start, GlobalModel) else start.digest
