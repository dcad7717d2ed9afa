"""What the federation contract says, as typed values. Amounts are base units, times are block numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

from eth_typing import ChecksumAddress

from fedproof.errors import InputError
from fedproof.ledger.events import Event
from fedproof.ledger.market_types import point_bytes, words
from fedproof.ledger.receipts import Receipt
from fedproof.proving.linked import LinkedProof
from fedproof.proving.transcript import attachments_word, extend_history


class Stage(IntEnum):
    """Where a task stands."""

    NONE = 0
    ENROLLING = 1
    SUBMITTING = 2
    REJECTING = 3
    """Closed: anyone may still prove that an update is invalid."""
    FROZEN = 4
    """No update is removed any more; workers finalize."""
    FAILED = 5
    """Closed with too few updates: retry or close."""
    ENDED = 6


class Ending(IntEnum):
    """Why a task ended."""

    COMPLETED = 0
    CLOSED = 1
    STALLED = 2


@dataclass(frozen=True)
class Member:
    """A worker of a committee and the HPKE key that shares are sealed to."""

    address: ChecksumAddress
    hpke_key: bytes = field(repr=False)


@dataclass(frozen=True)
class TaskParams:
    """What a sponsor fixes when it opens a task, as in the contract's struct of this name.

    Attributes:
        training_key, aggregation_key: data contracts with the verifying keys, with their code hashes.
        spec_digest: digest of the model's specification. description: content id of the task's description.
        model: commitment of the first model, 64 bytes.
        mask_count: masks of each enrolment: one more than the rounds that may run, retried ones included.
        enrol_bond: of each participant, and of each complaint.
        worker_bond: of each worker, placed before anyone enrols; 0 for none.
    """

    training_key: str
    training_key_hash: bytes
    aggregation_key: str
    aggregation_key_hash: bytes
    spec_digest: bytes
    description: bytes
    model: bytes
    class_id: int
    rounds: int
    mask_count: int
    threshold: int
    min_updates: int
    max_participants: int
    submit_blocks: int
    freeze_blocks: int
    settle_blocks: int
    reward_per_round: int
    enrol_bond: int
    worker_bond: int = 0

    def abi(self) -> tuple[Any, ...]:
        """The values in the order of the contract's struct."""
        head = (
            self.training_key,
            self.training_key_hash,
            self.aggregation_key,
            self.aggregation_key_hash,
            self.spec_digest,
            self.description,
            words(self.model, 2, "a model commitment"),
        )
        tail = (
            *(self.class_id, self.rounds, self.mask_count, self.threshold, self.min_updates, self.max_participants),
            *(self.submit_blocks, self.freeze_blocks, self.settle_blocks),
            *(self.reward_per_round, self.enrol_bond, self.worker_bond),
        )
        return head + tail

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> TaskParams:
        """The contract's struct, typed."""
        names = [each.name for each in fields(cls)]
        return cls(**dict(zip(names, (*values[:6], point_bytes(values[6]), *values[7:]), strict=True)))


@dataclass(frozen=True)
class SettledRound:
    """A round that is done, and the updates in it as a bitmap by order of enrolment.

    Attributes:
        leader, new_model, content_id: who finalized it, and the model it made, with the blob of its weights; None for
            a frozen round that nobody finalized in time: its participants are paid, and the model stays.
        total_rows: N, the sum of the updates' rows.
    """

    round: int
    leader: ChecksumAddress | None
    new_model: bytes | None
    content_id: bytes | None
    total_rows: int
    accepted: int
    tx_hash: str
    block_number: int

    @classmethod
    def of(cls, event: Event) -> SettledRound:
        """The event, typed: `RoundFinalized` or `RoundStalled`."""
        a = event.args
        model = a.get("newModel")
        return cls(
            round=a["round"],
            leader=a.get("leader"),
            new_model=None if model is None else point_bytes(model),
            content_id=a.get("contentId"),
            total_rows=a["totalRows"],
            accepted=a["accepted"],
            tx_hash=event.tx_hash,
            block_number=event.block_number,
        )


@dataclass(frozen=True)
class TaskInfo:
    """A task at one block.

    Attributes:
        task_id: its number. sponsor: who opened it.
        terms: the hash that enrolments and bonds name: the sponsor, all parameters and the committee.
        params: what the sponsor fixed.
        workers: the committee, in order; worker j of the protocol is `workers[j - 1]`.
        training_circuit, aggregation_circuit: ids of the circuits that its keys are for.
        model: commitment of the present model, 64 bytes. settled: all rounds that are done.
        round: the round that runs, or the last one; 0 before the first. It counts retried rounds too.
        stage: where it stands. accepted: bitmap of the updates that are in, by order of enrolment.
        deadline: first block that takes no update; of an ended task the block of its end.
        freeze_at: first block that takes no rejection.
        enrolled, retries: counts. escrow: rewards not paid out yet. ended_at: block of its end, 0 before.
        opened_block: where its events start.
    """

    task_id: int
    sponsor: ChecksumAddress
    terms: bytes
    params: TaskParams
    workers: tuple[Member, ...]
    training_circuit: bytes
    aggregation_circuit: bytes
    model: bytes
    settled: tuple[SettledRound, ...]
    round: int
    stage: Stage
    accepted: int
    deadline: int
    freeze_at: int
    enrolled: int
    retries: int
    escrow: int
    opened_block: int
    ended_at: int = 0

    @property
    def threshold(self) -> int:
        """t: so many workers together learn nothing."""
        return self.params.threshold

    @property
    def outputs_until(self) -> int:
        """First block, of an ended task, that takes no output any more."""
        return self.ended_at + self.params.settle_blocks

    @property
    def accusable_until(self) -> int:
        """First block, of an ended task, in which nobody can be accused any more and bonds of workers are released."""
        return self.ended_at + 2 * self.params.settle_blocks

    @property
    def min_updates(self) -> int:
        """A sum of fewer updates is refused."""
        return self.params.min_updates

    @property
    def history(self) -> bytes:
        """The chained hash of the settled rounds, which the contract keeps with the model."""
        history = bytes(32)
        for each in self.settled:
            history = extend_history(
                history, round_number=each.round, accepted=each.accepted, total_rows=each.total_rows
            )
        return history

    def standing(self) -> tuple[Any, ...]:
        """The contract's `Standing`."""
        return (point(self.model), self.history)

    def settled_abi(self) -> list[tuple[int, int, int]]:
        """The contract's `Settled[]`."""
        return [(each.round, each.accepted, each.total_rows) for each in self.settled]


@dataclass(frozen=True)
class Enrolment:
    """A participant of a task. `index` is its place in every bitmap and every list; `masked_dataset` is C_X'."""

    index: int
    participant: ChecksumAddress
    dataset_id: int
    rows: int
    masked_dataset: bytes
    tx_hash: str
    block_number: int
    log_index: int

    @classmethod
    def of(cls, event: Event) -> Enrolment:
        """The event, typed."""
        a = event.args
        return cls(
            index=a["index"],
            participant=a["participant"],
            dataset_id=a["datasetId"],
            rows=a["rows"],
            masked_dataset=point_bytes(a["maskedDataset"]),
            tx_hash=event.tx_hash,
            block_number=event.block_number,
            log_index=event.log_index,
        )


@dataclass(frozen=True)
class Update:
    """An update: what it is about, and its proof.

    Attributes:
        participant: who submits it. rows: its weight n. masked_dataset: C_X'.
        update: C_U, 64 bytes.
        share_digest: of Com(R_1) .. Com(R_t), 32 bytes; the index blob holds them.
        sealed_digest: content id of the index blob of the sealed shares, 32 bytes.
    """

    participant: str
    rows: int
    masked_dataset: bytes
    update: bytes
    share_digest: bytes
    sealed_digest: bytes
    proof: LinkedProof

    @property
    def attachments(self) -> bytes:
        """The one word for the two digests."""
        return attachments_word(self.share_digest, self.sealed_digest)

    def seat(self, index: int, last_digest: bytes) -> tuple[Any, ...]:
        """The contract's `Seat`, for the participant with this place."""
        return (index, self.rows, point(self.masked_dataset), last_digest)

    def submission(self) -> tuple[Any, ...]:
        """The contract's `Submission`."""
        head = (point(self.update), point(self.proof.d), self.share_digest, self.sealed_digest)
        return (*head, proof_words(self.proof))

    def sealed(self, index: int) -> tuple[Any, ...]:
        """The contract's `SealedUpdate`, for the participant with this place."""
        return (
            index,
            self.participant,
            self.rows,
            point(self.masked_dataset),
            point(self.update),
            point(self.proof.d),
            self.attachments,
            proof_words(self.proof),
        )

    @classmethod
    def of(cls, event: Event, enrolment: Enrolment) -> Update:
        """The event of a submission, typed."""
        update, d, share_digest, sealed_digest, proof = event.args["submission"]
        return cls(
            participant=enrolment.participant,
            rows=enrolment.rows,
            masked_dataset=enrolment.masked_dataset,
            update=point_bytes(update),
            share_digest=share_digest,
            sealed_digest=sealed_digest,
            proof=linked_proof(point_bytes(d), proof),
        )


@dataclass(frozen=True)
class Aggregate:
    """A new model with the proof that it is the rounded average. `content_id` names the blob with its weights."""

    new_model: bytes
    content_id: bytes
    proof: LinkedProof

    def abi(self) -> tuple[Any, ...]:
        """The contract's `Aggregate`."""
        return (point(self.new_model), point(self.proof.d), self.content_id, proof_words(self.proof))


@dataclass(frozen=True)
class Claimed:
    """What a participant was paid."""

    reward: int
    bond: int
    receipt: Receipt


def point(data: bytes) -> tuple[int, ...]:
    """A G1 point as two integers."""
    return words(data, 2, "a G1 point")


def proof_words(proof: LinkedProof) -> tuple[Any, ...]:
    """The contract's `Proof`.

    Raises:
        InputError: a part has another length.
    """
    flat = words(proof.proof, 8, "a proof")
    return (flat[:2], flat[2:6], flat[6:], point(proof.q), proof.y)


def linked_proof(d: bytes, values: tuple[Any, ...]) -> LinkedProof:
    """The contract's `Proof` and D, typed."""
    a, b, c, q, y = values
    flat = b"".join(value.to_bytes(32, "big") for value in (*a, *b, *c))
    return LinkedProof(flat, d, point_bytes(q), y)


def set_bits(bitmap: int) -> list[int]:
    """Places of the bits that are set, ascending.

    Raises:
        InputError: the bitmap is negative.
    """
    if bitmap < 0:
        raise InputError("a bitmap is not negative")
    return [place for place in range(bitmap.bit_length()) if bitmap >> place & 1]
