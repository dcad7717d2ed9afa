"""The Fiat-Shamir transcripts that Python and the contracts share (protocol, section 8).

Every transcript hash is `keccak256(abi.encode(bytes32 tag, word, word, ...))`. Each field is one 32-byte word; an item
of variable length is hashed on its own first. So no two different field lists give one byte string, and the tag keeps
the uses apart. Nothing here knows the chain: callers pass the addresses and numbers that the contract reads for itself.

Shapes: a G1 point is 64 bytes, a proof 256 bytes (A, B, C), a digest 32 bytes, an address the usual hex text of 20
bytes. A wrong shape raises `InputError`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from fedproof._core import MODULUS, keccak256
from fedproof.errors import InputError

VERSION = 2
FIRST_GRANT, EXTENSION = 1, 2
"""The purposes an eligibility scope knows."""


class Challenges(NamedTuple):
    """The evaluation point `sigma` and the folding challenge `lam`, both in `[0, r)`."""

    sigma: int
    lam: int


LAMBDA_SQUARINGS = 30
"""A statement that computes its lambda squares sigma so many times: far beyond the powers of tau that there are."""
MAX_UPDATES, PART_UPDATES = 160, 128
"""So many updates of a round fit in one transaction (EIP-7825); of more, so many are verified in one of their own."""


def tag(use: str) -> bytes:
    """The domain tag of a use: `keccak256("fedproof/<use>/v1")`, 32 bytes."""
    return keccak256(f"fedproof/{use}/v1".encode())


def hpke_key_word(hpke_public_key: bytes) -> bytes:
    """The 32 bytes that stand for an HPKE public key on chain: its keccak256."""
    return keccak256(hpke_public_key)


def listing_pre(
    *,
    chain_id: int,
    registry: str,
    minter: str,
    circuit_id: bytes,
    dataset: bytes,
    d: bytes,
    rows: int,
    metadata: bytes,
) -> bytes:
    """What a listing proof is about: `dataset` is C_X, `d` the proof's D, `rows` the public n, `metadata` raw bytes."""
    return _hash(
        "listing/pre",
        _number(VERSION, "version"),
        _number(chain_id, "chain id"),
        _address(registry, "registry"),
        _address(minter, "minter"),
        _digest(circuit_id, "circuit id"),
        _point(dataset, "dataset commitment"),
        _point(d, "D"),
        _number(rows, "rows"),
        keccak256(metadata),
    )


def listing_challenges(
    *,
    chain_id: int,
    registry: str,
    minter: str,
    circuit_id: bytes,
    dataset: bytes,
    d: bytes,
    rows: int,
    metadata: bytes,
) -> Challenges:
    """The challenges of a listing proof, from the fields of `listing_pre`."""
    pre = listing_pre(
        chain_id=chain_id,
        registry=registry,
        minter=minter,
        circuit_id=circuit_id,
        dataset=dataset,
        d=d,
        rows=rows,
        metadata=metadata,
    )
    return _challenges(pre)


def training_pre(
    *,
    chain_id: int,
    federation: str,
    task: int,
    round_number: int,
    participant: str,
    circuit_id: bytes,
    masked_dataset: bytes,
    model: bytes,
    update: bytes,
    d: bytes,
) -> bytes:
    """What an update is about, before it is shared: `masked_dataset` is C_X', `model` C_W, `update` C_U."""
    return _hash(
        "training/pre",
        _number(VERSION, "version"),
        _number(chain_id, "chain id"),
        _address(federation, "federation"),
        _number(task, "task"),
        _number(round_number, "round"),
        _address(participant, "participant"),
        _digest(circuit_id, "circuit id"),
        _point(masked_dataset, "masked dataset commitment"),
        _point(model, "model commitment"),
        _point(update, "update commitment"),
        _point(d, "D"),
    )


def sealing_context(pre: bytes, share_digest: bytes) -> bytes:
    """What stands in the `info` of every sealed share of an update: its `pre`, and the sharing polynomials."""
    return _hash("training/sealing", _digest(pre, "pre"), _digest(share_digest, "share digest"))


def attachments_word(share_digest: bytes, sealed_digest: bytes) -> bytes:
    """The one word for what an update has beside its commitments and proof.

    Args:
        share_digest: of Com(R_1) .. Com(R_t). sealed_digest: content id of the index of the sealed shares.
    """
    fields = (_digest(share_digest, "share digest"), _digest(sealed_digest, "sealed digest"))
    return _hash("training/attachments", *fields)


def share_commitments_digest(share_commitments: Sequence[bytes]) -> bytes:
    """The hash of the words of Com(R_1) .. Com(R_t)."""
    return keccak256(b"".join(_point(point, "share commitment") for point in share_commitments))


def training_challenges(pre: bytes, attachments: bytes) -> Challenges:
    """The challenges of a training proof; `attachments` covers the sealed shares, so they exist before sigma does."""
    return _challenges(_digest(pre, "pre"), _digest(attachments, "attachments"))


def training_digest(
    *,
    task: int,
    round_number: int,
    participant: str,
    rows: int,
    masked_dataset: bytes,
    update: bytes,
    d: bytes,
    attachments: bytes,
    proof: bytes,
    q: bytes,
    y: int,
) -> bytes:
    """The one word that stands for a submitted update on chain: all that was submitted, proof included.

    It names no contract, model or circuit: the contract fixes those when it opens the digest, and `aggregation_pre`,
    which covers the digests of a round, names them.
    """
    if len(proof) != 256:
        raise InputError(f"a proof has 256 bytes, not {len(proof)}")
    return _hash(
        "training/digest",
        _number(task, "task"),
        _number(round_number, "round"),
        _address(participant, "participant"),
        _number(rows, "rows"),
        _point(masked_dataset, "masked dataset commitment"),
        _point(update, "update commitment"),
        _point(d, "D"),
        _digest(attachments, "attachments"),
        proof,
        _point(q, "Q"),
        _scalar(y, "y"),
    )


def aggregation_pre(
    *,
    chain_id: int,
    federation: str,
    task: int,
    round_number: int,
    sender: str,
    circuit_id: bytes,
    digests: Sequence[bytes],
    total_rows: int,
    model: bytes,
    new_model: bytes,
    d: bytes,
) -> bytes:
    """What an aggregate is about: `digests` of the updates in enrolment order, `total_rows` N, C_W and C_W', its D.

    It names the sender, so nobody can send another worker's aggregate as its own.
    """
    return _hash(
        "aggregation/pre",
        _number(VERSION, "version"),
        _number(chain_id, "chain id"),
        _address(federation, "federation"),
        _number(task, "task"),
        _number(round_number, "round"),
        _address(sender, "sender"),
        _digest(circuit_id, "circuit id"),
        updates_digest(digests),
        _number(total_rows, "total rows"),
        _point(model, "model commitment"),
        _point(new_model, "new model commitment"),
        _point(d, "D"),
    )


def updates_digest(digests: Sequence[bytes]) -> bytes:
    """The one word for the updates of a round, from their digests in the order of enrolment.

    In a round of more than `MAX_UPDATES` the first `PART_UPDATES` are verified in a transaction of their own, and their
    word stands in their place.
    """
    words = [_digest(digest, "update digest") for digest in digests]
    first = part_size(len(words))
    part = [keccak256(b"".join(words[:first]))] if first else []
    return keccak256(b"".join([*part, *words[first:]]))


def part_size(updates: int) -> int:
    """How many updates, the first ones, are verified before a round is finalized with the others: 0 for most rounds."""
    return PART_UPDATES if updates > MAX_UPDATES else 0


def block_metadata(dataset: int, version: int, number: int) -> bytes:
    """What stands in the place of the terms in the listing transcript of block `number` (from 2) of a dataset."""
    return tag("listing/block") + b"".join(
        _number(value, what) for value, what in ((dataset, "dataset"), (version, "version"), (number, "block number"))
    )


def spend_signal(*, chain_id: int, vault: str, recipient: str, memo: bytes) -> int:
    """What a spend proof says beside its notes: recipient of a withdrawal (the zero address for none), and memo."""
    fields = (_number(chain_id, "chain id"), _address(vault, "vault"), _address(recipient, "recipient"))
    return _field(_hash("spend", *fields, keccak256(memo)))


def seat_hash(
    *, index: int, participant: str, rows: int, masked_dataset: bytes, last_digest: bytes = bytes(32)
) -> bytes:
    """What the federation keeps of a participant: its enrolment, and the digest of its last update (none: zeros)."""
    return _hash(
        "federation/seat",
        _number(index, "index"),
        _address(participant, "participant"),
        _number(rows, "rows"),
        _point(masked_dataset, "masked dataset commitment"),
        _digest(last_digest, "last digest"),
    )


def extend_history(history: bytes, *, round_number: int, accepted: int, total_rows: int) -> bytes:
    """The chained hash of a task's settled rounds after one more; it starts as zeros. `accepted` is a bitmap."""
    return _hash(
        "federation/history",
        _digest(history, "history"),
        _number(round_number, "round"),
        _number(accepted, "accepted updates"),
        _number(total_rows, "total rows"),
    )


def standing_hash(model: bytes, history: bytes) -> bytes:
    """What the federation keeps of a task's progress: its present model C_W and its settled rounds."""
    return _hash("federation/standing", _point(model, "model commitment"), _digest(history, "history"))


def aggregation_challenges(pre: bytes) -> Challenges:
    """The challenges of an aggregation proof: its circuit computes lambda from sigma."""
    sigma = _field(_hash("sigma", _digest(pre, "pre")))
    return Challenges(sigma, derived_lambda(sigma))


def derived_lambda(sigma: int) -> int:
    """`sigma^(2^30)`, the lambda of a statement that computes it."""
    return pow(sigma, 1 << LAMBDA_SQUARINGS, MODULUS)


def eligibility_scope(*, chain_id: int, registry: str, dataset: int, epoch: int, purpose: int) -> int:
    """The scope of a nullifier, in `[0, r)`: one grant of a dataset per balance and epoch, extensions apart."""
    if purpose not in (FIRST_GRANT, EXTENSION):
        raise InputError(f"purpose must be {FIRST_GRANT} (first grant) or {EXTENSION} (extension), not {purpose}")
    return _field(
        _hash(
            "scope",
            _number(chain_id, "chain id"),
            _address(registry, "registry"),
            _number(dataset, "dataset"),
            _number(epoch, "epoch"),
            _number(purpose, "purpose"),
        )
    )


def eligibility_signal(*, tier: int, duration: int, grantee: str, hpke_key_hash: bytes) -> int:
    """What an eligibility proof asks for, in `[0, r)`; `hpke_key_hash` is `hpke_key_word` of the grantee's key."""
    return _field(
        _hash(
            "signal",
            _number(tier, "tier"),
            _number(duration, "duration"),
            _address(grantee, "grantee"),
            _digest(hpke_key_hash, "HPKE key hash"),
        )
    )


def _challenges(*fields: bytes) -> Challenges:
    return Challenges(_field(_hash("sigma", *fields)), _field(_hash("lambda", *fields)))


def _hash(use: str, *fields: bytes) -> bytes:
    return keccak256(tag(use) + b"".join(fields))


def _field(digest: bytes) -> int:
    return int.from_bytes(digest, "big") % MODULUS


def _number(value: int, what: str) -> bytes:
    if not 0 <= value < 1 << 256:
        raise InputError(f"{what} must fit in 256 bits and not be negative")
    return value.to_bytes(32, "big")


def _scalar(value: int, what: str) -> bytes:
    if not 0 <= value < MODULUS:
        raise InputError(f"{what} must lie in [0, r)")
    return value.to_bytes(32, "big")


def _address(text: str, what: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise InputError(f"{what} must be an address of 20 bytes in hex")
    return raw.rjust(32, b"\0")


def _digest(value: bytes, what: str) -> bytes:
    if len(value) != 32:
        raise InputError(f"{what} must have 32 bytes, not {len(value)}")
    return value


def _point(value: bytes, what: str) -> bytes:
    if len(value) != 64:
        raise InputError(f"{what} must be a G1 point of 64 bytes, not {len(value)}")
    return value
