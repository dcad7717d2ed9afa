"""Keys of a dataset on their way to its new owner: for it alone, of one dataset, and nothing else is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedproof.errors import SealingError
from fedproof.sealing import KeyPair, TierKey, open_sealed, seal
from fedproof.sealing.escrow import Member
from fedproof.sealing.handover import HandoverContext, open_handover, seal_handover

CONTEXT = HandoverContext(31337, b"\x11" * 20, 7)
OWNER = KeyPair.generate()
RECEIVER = Member(b"\x22" * 20, OWNER.public)
KEYS = {1: TierKey.generate(), 3: TierKey.generate()}


def test_the_new_owner_gets_the_keys() -> None:
    sealed = seal_handover(RECEIVER, KEYS, CONTEXT)
    assert open_handover(OWNER, RECEIVER.address, sealed, CONTEXT) == KEYS


def test_nobody_else_opens_it_and_for_no_other_dataset() -> None:
    sealed = seal_handover(RECEIVER, KEYS, CONTEXT)
    others = [replace(CONTEXT, chain_id=1), replace(CONTEXT, registry=b"\x12" * 20), replace(CONTEXT, dataset=8)]
    for context in others:
        with pytest.raises(SealingError, match="does not open"):
            open_handover(OWNER, RECEIVER.address, sealed, context)
    with pytest.raises(SealingError, match="does not open"):
        open_handover(OWNER, b"\x23" * 20, sealed, CONTEXT)
    with pytest.raises(SealingError, match="does not open"):
        open_handover(KeyPair.generate(), RECEIVER.address, sealed, CONTEXT)
    for k in range(len(sealed)):
        with pytest.raises(SealingError):
            open_handover(OWNER, RECEIVER.address, sealed[:k] + bytes((sealed[k] ^ 1,)) + sealed[k + 1 :], CONTEXT)


@pytest.mark.parametrize(
    "changes",
    [{"registry": b"\x11" * 19}, {"registry": b""}, {"chain_id": -1}, {"chain_id": 1 << 256}, {"dataset": -1}],
)
def test_a_context_has_one_width(changes: dict[str, Any]) -> None:
    """Else two contexts could be one string: a registry with a byte less, and a dataset with one more."""
    with pytest.raises(SealingError):
        seal_handover(RECEIVER, KEYS, replace(CONTEXT, **changes))
    for receiver in (b"\x22" * 19, b"\x22" * 21):
        with pytest.raises(SealingError, match="receiver's address"):
            CONTEXT.info(receiver)


@pytest.mark.parametrize(
    "keys", [{}, {0: TierKey.generate()}, {1 << 16: TierKey.generate()}, {1: TierKey.generate().down_to(4)}]
)
def test_seals_top_keys_of_versions_alone(keys: dict[int, TierKey]) -> None:
    with pytest.raises(SealingError, match="keys of tier 5"):
        seal_handover(RECEIVER, keys, CONTEXT)


def test_refuses_another_form() -> None:
    entry = b"\x00\x01" + bytes(32)
    later = b"\x00\x02" + bytes(32)
    for body in (b"", b"\x01", b"\x02" + entry, b"\x01" + entry[:-1], b"\x01" + entry + entry, b"\x01" + later + entry):
        sealed = seal(RECEIVER.hpke_key, body, CONTEXT.info(RECEIVER.address))
        assert open_sealed(OWNER, sealed, CONTEXT.info(RECEIVER.address)) == body
        with pytest.raises(SealingError):
            open_handover(OWNER, RECEIVER.address, sealed, CONTEXT)
    zero = seal(RECEIVER.hpke_key, b"\x01" + bytes(34), CONTEXT.info(RECEIVER.address))
    with pytest.raises(SealingError, match="do not rise"):
        open_handover(OWNER, RECEIVER.address, zero, CONTEXT)
