"""Every item of every transcript moves its hash, and the bytes are those of Solidity's abi.encode."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from fedproof._core import MODULUS
from fedproof.errors import InputError
from fedproof.proving import transcript

A1, A2, A3 = ("0x" + f"{n:02x}" * 20 for n in (1, 2, 3))
P1, P2, P3, P4 = (bytes([n]) * 64 for n in (1, 2, 3, 4))
H1, H2, H3, H4 = (bytes([n]) * 32 for n in (5, 6, 7, 8))

LISTING: dict[str, Any] = {
    "chain_id": 1,
    "registry": A1,
    "minter": A2,
    "circuit_id": H1,
    "dataset": P1,
    "d": P2,
    "rows": 96,
    "metadata": b"name",
}
TRAINING: dict[str, Any] = {
    "chain_id": 1,
    "federation": A1,
    "task": 7,
    "round_number": 2,
    "participant": A2,
    "circuit_id": H1,
    "masked_dataset": P1,
    "model": P2,
    "update": P3,
    "d": P4,
}
DIGEST: dict[str, Any] = {
    "task": 7,
    "round_number": 2,
    "participant": A2,
    "rows": 9,
    "masked_dataset": P1,
    "update": P2,
    "d": P3,
    "attachments": H2,
    "proof": b"\x05" * 256,
    "q": P1,
    "y": 11,
}
AGGREGATION: dict[str, Any] = {
    "chain_id": 1,
    "federation": A1,
    "task": 7,
    "round_number": 2,
    "sender": A2,
    "circuit_id": H1,
    "digests": [H2, H3],
    "total_rows": 12,
    "model": P1,
    "new_model": P2,
    "d": P3,
}
SCOPE: dict[str, Any] = {"chain_id": 1, "registry": A1, "dataset": 3, "epoch": 4, "purpose": 1}
SIGNAL: dict[str, Any] = {"tier": 3, "duration": 100, "grantee": A1, "hpke_key_hash": H1}

USES: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (transcript.listing_pre, LISTING),
    (transcript.listing_challenges, LISTING),
    (transcript.training_pre, TRAINING),
    (transcript.sealing_context, {"pre": H1, "share_digest": H2}),
    (transcript.share_commitments_digest, {"share_commitments": [P1, P2]}),
    (transcript.attachments_word, {"share_digest": H1, "sealed_digest": H2}),
    (transcript.training_challenges, {"pre": H1, "attachments": H2}),
    (transcript.training_digest, DIGEST),
    (transcript.aggregation_pre, AGGREGATION),
    (transcript.aggregation_challenges, {"pre": H1}),
    (transcript.eligibility_scope, SCOPE),
    (transcript.eligibility_signal, SIGNAL),
]
ITEMS = [pytest.param(use, fields, name, id=f"{use.__name__}-{name}") for use, fields in USES for name in fields]


def _changed(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, str):
        return value[:-1] + ("f" if value[-1] != "f" else "e")
    return [*value[:-1], _changed(value[-1])]


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.mark.parametrize(("use", "fields", "name"), ITEMS)
def test_changes_with_each_item(use: Callable[..., Any], fields: dict[str, Any], name: str) -> None:
    before, after = use(**fields), use(**{**fields, name: _changed(fields[name])})
    assert before != after
    if isinstance(before, transcript.Challenges):
        assert before.sigma != after.sigma
        assert before.lam != after.lam


@pytest.mark.parametrize("place", [0, 64, 192, 255])
def test_digest_changes_with_each_point_of_the_proof(place: int) -> None:
    proof = bytearray(DIGEST["proof"])
    proof[place] ^= 1
    assert transcript.training_digest(**{**DIGEST, "proof": bytes(proof)}) != transcript.training_digest(**DIGEST)


@pytest.mark.parametrize(
    ("use", "fields", "one", "other"),
    [
        (transcript.share_commitments_digest, {}, {"share_commitments": [P1, P2]}, {"share_commitments": [P2, P1]}),
        (transcript.share_commitments_digest, {}, {"share_commitments": [P1]}, {"share_commitments": [P1, P1]}),
        (
            transcript.attachments_word,
            {},
            {"share_digest": H1, "sealed_digest": H2},
            {"share_digest": H2, "sealed_digest": H1},
        ),
        (transcript.aggregation_pre, AGGREGATION, {"digests": [H2, H3]}, {"digests": [H3, H2]}),
        (transcript.training_pre, TRAINING, {"model": P2, "update": P3}, {"model": P3, "update": P2}),
        (transcript.aggregation_pre, AGGREGATION, {"model": P2, "new_model": P3}, {"model": P3, "new_model": P2}),
    ],
)
def test_order_and_count_matter(
    use: Callable[..., bytes], fields: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert use(**{**fields, **one}) != use(**{**fields, **other})


def test_sigma_and_lambda_differ() -> None:
    sigma, lam = transcript.training_challenges(H1, H2)
    assert sigma != lam
    assert max(sigma, lam) < MODULUS


def test_equal_fields_under_another_tag_hash_to_something_else() -> None:
    assert len({transcript.tag(use) for use in ("listing/pre", "training/pre", "sigma", "lambda", "scope")}) == 5
    assert transcript.tag("sigma") == keccak(text="fedproof/sigma/v1")


def test_training_transcript_is_what_abi_encode_gives() -> None:
    points = [int.from_bytes(P[half : half + 32], "big") for P in (P1, P2, P3, P4) for half in (0, 32)]
    types = [
        "bytes32",
        *["uint256"] * 2,
        "address",
        *["uint256"] * 2,
        "address",
        "bytes32",
        *["uint256"] * 8,
    ]
    values = [keccak(text="fedproof/training/pre/v1"), 2, 1, A1, 7, 2, A2, H1, *points]
    pre = keccak(encode(types, values))
    assert transcript.training_pre(**TRAINING) == pre
    sigma, lam = transcript.training_challenges(pre, H2)
    assert sigma == int.from_bytes(keccak(keccak(text="fedproof/sigma/v1") + pre + H2), "big") % MODULUS
    assert lam == int.from_bytes(keccak(keccak(text="fedproof/lambda/v1") + pre + H2), "big") % MODULUS


def test_what_is_attached_to_an_update_is_what_abi_encode_gives() -> None:
    shares = transcript.share_commitments_digest([P1, P2])
    assert shares == keccak(P1 + P2)
    assert transcript.attachments_word(shares, H2) == keccak(transcript.tag("training/attachments") + shares + H2)
    assert transcript.sealing_context(H1, shares) == keccak(transcript.tag("training/sealing") + H1 + shares)


def test_the_lambda_of_an_aggregate_is_a_power_of_its_sigma() -> None:
    sigma, lam = transcript.aggregation_challenges(H1)
    assert sigma == int.from_bytes(keccak(keccak(text="fedproof/sigma/v1") + H1), "big") % MODULUS
    assert lam == pow(sigma, 2**30, MODULUS)


def test_digest_is_what_abi_encode_gives() -> None:
    head = encode(
        ["bytes32", "uint256", "uint256", "address", "uint256"], [transcript.tag("training/digest"), 7, 2, A2, 9]
    )
    expected = keccak(head + P1 + P2 + P3 + H2 + DIGEST["proof"] + P1 + _word(11))
    assert transcript.training_digest(**DIGEST) == expected


def test_listing_transcript_is_what_abi_encode_gives() -> None:
    points = [int.from_bytes(P[half : half + 32], "big") for P in (P1, P2) for half in (0, 32)]
    types = ["bytes32", "uint256", "uint256", "address", "address", "bytes32", *["uint256"] * 5, "bytes32"]
    values = [keccak(text="fedproof/listing/pre/v1"), 2, 1, A1, A2, H1, *points, 96, keccak(b"name")]
    assert transcript.listing_pre(**LISTING) == keccak(encode(types, values))


def test_eligibility_words_are_what_abi_encode_gives() -> None:
    scope = keccak(
        encode(["bytes32", "uint256", "address", *["uint256"] * 3], [keccak(text="fedproof/scope/v1"), 1, A1, 3, 4, 1])
    )
    assert transcript.eligibility_scope(**SCOPE) == int.from_bytes(scope, "big") % MODULUS
    signal = keccak(
        encode(
            ["bytes32", "uint256", "uint256", "address", "bytes32"], [keccak(text="fedproof/signal/v1"), 3, 100, A1, H1]
        )
    )
    assert transcript.eligibility_signal(**SIGNAL) == int.from_bytes(signal, "big") % MODULUS


def test_aggregation_transcript_is_what_abi_encode_gives() -> None:
    points = [int.from_bytes(P[half : half + 32], "big") for P in (P1, P2, P3) for half in (0, 32)]
    types = [
        "bytes32",
        *["uint256"] * 2,
        "address",
        *["uint256"] * 2,
        "address",
        "bytes32",
        "bytes32",
        *["uint256"] * 7,
    ]
    values = [keccak(text="fedproof/aggregation/pre/v1"), 2, 1, A1, 7, 2, A2, H1, keccak(H2 + H3), 12, *points]
    assert transcript.aggregation_pre(**AGGREGATION) == keccak(encode(types, values))


@pytest.mark.parametrize(
    ("use", "fields", "wrong"),
    [
        (transcript.training_pre, TRAINING, {"d": P1[:-1]}),
        (transcript.training_pre, TRAINING, {"d": P1 + b"\0"}),
        (transcript.training_pre, TRAINING, {"participant": "0x12"}),
        (transcript.training_pre, TRAINING, {"participant": "not hex"}),
        (transcript.training_pre, TRAINING, {"circuit_id": H1 + b"\0"}),
        (transcript.training_pre, TRAINING, {"task": -1}),
        (transcript.training_pre, TRAINING, {"task": 1 << 256}),
        (transcript.share_commitments_digest, {}, {"share_commitments": [P1 + P2]}),
        (transcript.attachments_word, {"share_digest": H1}, {"sealed_digest": H1 + H1}),
        (transcript.training_digest, DIGEST, {"proof": b"\0" * 255}),
        (transcript.training_digest, DIGEST, {"y": MODULUS}),
        (transcript.eligibility_scope, SCOPE, {"purpose": 3}),
        (transcript.aggregation_pre, AGGREGATION, {"digests": [H1 + H2]}),
    ],
)
def test_rejects_an_item_of_the_wrong_shape(
    use: Callable[..., bytes], fields: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        use(**{**fields, **wrong})


def test_hpke_key_word_is_the_hash_of_the_key_bytes() -> None:
    assert transcript.hpke_key_word(b"\x09" * 32) == keccak(b"\x09" * 32)


def test_a_large_round_has_the_word_of_its_first_updates_in_their_place() -> None:
    digests = [keccak(bytes([k])) for k in range(255)]
    for count in (2, 160):
        assert transcript.updates_digest(digests[:count]) == keccak(b"".join(digests[:count]))
        assert transcript.part_size(count) == 0
    for count in (161, 255):
        first = keccak(b"".join(digests[:128]))
        assert transcript.updates_digest(digests[:count]) == keccak(first + b"".join(digests[128:count]))
        assert transcript.part_size(count) == 128


def test_the_contracts_have_the_same_numbers_of_a_large_round() -> None:
    source = (Path(__file__).parents[2] / "contracts" / "federation" / "TaskRules.sol").read_text()
    for name, value in (("MAX_UPDATES", transcript.MAX_UPDATES), ("PART", transcript.PART_UPDATES)):
        assert f"uint256 internal constant {name} = {value};" in source
