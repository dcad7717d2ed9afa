"""What the committee's contract says, as typed values. Complaints are known by 32 bytes, times are block numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from eth_typing import ChecksumAddress

from fedproof.ledger.events import Event


class Kind(IntEnum):
    """What is wrong with a sealed share."""

    FETCH = 0
    """Its ciphertext cannot be got."""
    OPEN = 1
    """The worker holds the committed ciphertext, and it does not open, or holds another share than was committed to."""


class Stake(IntEnum):
    """What a worker has at stake in a task."""

    NONE = 0
    BONDED = 1
    RELEASED = 2
    SLASHED = 3


@dataclass(frozen=True)
class Windows:
    """The windows of a round, each up to the block before the one named; they move with the freeze.

    From `fetch_answers` to `freeze` workers attest fetch complaints, from `open_answers` to `freeze` open complaints.
    """

    close: int
    fetch_complaints: int
    fetch_answers: int
    open_complaints: int
    open_answers: int
    freeze: int


@dataclass(frozen=True)
class Complaint:
    """A complaint as it stands.

    Attributes:
        complaint: what it is known by. digest: of the update. worker: who complains.
        votes: so many workers say that it is right, the one who complains among them.
        removed: whether the committee has removed the update. settled: whether its bond has found its owner.
    """

    complaint: bytes
    task_id: int
    round: int
    participant: ChecksumAddress
    digest: bytes
    worker: ChecksumAddress
    kind: Kind
    votes: int
    answered: bool
    removed: bool
    settled: bool


@dataclass(frozen=True)
class Posted:
    """A blob that a worker names: `OutputPosted` with its sealed outputs of a round, `ModelAnnounced` with the weights
    that the round made."""

    task_id: int
    round: int
    worker: ChecksumAddress
    content_id: bytes
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Posted:
        """The event, typed."""
        a = event.args
        content_id = a["indexId"] if event.name == "OutputPosted" else a["contentId"]
        return cls(a["task"], a["round"], a["worker"], content_id, event.tx_hash, event.block_number)


@dataclass(frozen=True)
class Complained:
    """A worker has complained of an accepted update."""

    complaint: bytes
    task_id: int
    participant: ChecksumAddress
    round: int
    digest: bytes
    worker: ChecksumAddress
    kind: Kind
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Complained:
        """The event, typed."""
        a = event.args
        return cls(
            complaint=a["complaint"],
            task_id=a["task"],
            participant=a["participant"],
            round=a["round"],
            digest=a["digest"],
            worker=a["worker"],
            kind=Kind(a["kind"]),
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class Answered:
    """The participant's answer. Of a fetch complaint `content_id` is zeros, or names the republished ciphertext; of an
    open complaint it names the blob with the one share."""

    complaint: bytes
    participant: ChecksumAddress
    content_id: bytes
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Answered:
        """The event, typed."""
        a = event.args
        return cls(a["complaint"], a["participant"], a["contentId"], event.tx_hash, event.block_number)


@dataclass(frozen=True)
class Attested:
    """A worker says that the answer to a complaint is bad or missing."""

    complaint: bytes
    worker: ChecksumAddress
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Attested:
        """The event, typed."""
        return cls(event.args["complaint"], event.args["worker"], event.tx_hash, event.block_number)


@dataclass(frozen=True)
class Removed:
    """The committee has removed an update."""

    round: int
    participant: ChecksumAddress
    digest: bytes
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Removed:
        """The event, typed."""
        a = event.args
        return cls(a["round"], a["participant"], a["digest"], event.tx_hash, event.block_number)


@dataclass(frozen=True)
class Accused:
    """`by` says that the worker's output of a round does not match its commitments."""

    round: int
    worker: ChecksumAddress
    by: ChecksumAddress
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> Accused:
        """The event, typed."""
        a = event.args
        return cls(a["round"], a["worker"], a["by"], event.tx_hash, event.block_number)
