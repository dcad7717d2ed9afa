"""The wire form of shares and outputs, and the contexts they are sealed in (attacks 13, 28 and 34)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedproof import _core
from fedproof.errors import SealingError, SharingError
from fedproof.sealing import KeyPair, open_sealed, seal
from fedproof.sharing import Output, Share, info_for_output, info_for_share, worker_index

R = _core.MODULUS
SHARE = Share(worker_index(3), _core.fr_from_ints([0, 1, R - 1, 12345]))
WIRE = SHARE.encode()
PRE = bytes(range(32))


def rejected(data: bytes, index: int = 3, length: int = 4) -> None:
    with pytest.raises(SharingError):
        Share.decode(data, index=index, length=length)


def test_the_wire_form_is_the_documented_one() -> None:
    values = b"".join(value.to_bytes(32, "big") for value in (0, 1, R - 1, 12345))
    head = b"\x01\x01" + (3).to_bytes(4, "big") + (4).to_bytes(4, "big")
    assert head + values == WIRE


@settings(max_examples=60, deadline=None)
@given(index=st.integers(1, 1 << 16), values=st.lists(st.integers(0, R - 1), min_size=1, max_size=8))
def test_a_share_survives_its_encoding(index: int, values: list[int]) -> None:
    for kind in (Share, Output):
        evaluation = kind(worker_index(index), _core.fr_from_ints(values))
        decoded = kind.decode(evaluation.encode(), index=index, length=len(values))
        assert (decoded.index, type(decoded)) == (index, kind)
        assert np.array_equal(decoded.values, evaluation.values)


def test_rejects_truncation_and_trailing_bytes() -> None:
    for length in range(len(WIRE)):
        rejected(WIRE[:length])
    rejected(WIRE + b"\x00")
    rejected(WIRE + bytes(32))


def test_rejects_another_version_kind_worker_or_count() -> None:
    rejected(b"\x02" + WIRE[1:])
    rejected(b"\x00" + WIRE[1:])
    rejected(WIRE[:1] + b"\x02" + WIRE[2:])
    rejected(WIRE[:5] + b"\x04" + WIRE[6:])
    rejected(WIRE[:9] + b"\x05" + WIRE[10:])
    rejected(WIRE, index=2)
    rejected(WIRE, length=3)
    rejected(WIRE, length=5)


def test_rejects_a_share_as_an_output_and_the_reverse() -> None:
    with pytest.raises(SharingError, match="not an output"):
        Output.decode(WIRE, index=3, length=4)
    with pytest.raises(SharingError, match="not a share"):
        Share.decode(Output(SHARE.index, SHARE.values).encode(), index=3, length=4)


def test_rejects_values_that_are_not_below_the_fields_order() -> None:
    for value in (R, R + 1, 2**256 - 1):
        for place in range(4):
            start = 10 + 32 * place
            rejected(WIRE[:start] + value.to_bytes(32, "big") + WIRE[start + 32 :])


def test_rejects_the_index_zero_on_the_wire() -> None:
    rejected(WIRE[:2] + bytes(4) + WIRE[6:], index=0)


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=200), length=st.integers(0, 5), prefix=st.integers(0, 138))
def test_junk_gives_a_sharing_error_and_nothing_else(junk: bytes, length: int, prefix: int) -> None:
    data = WIRE[:prefix] + junk
    if data != WIRE:
        try:
            decoded = Share.decode(data, index=3, length=length)
        except SharingError:
            return
        # a change of a value's bits alone may decode; then it is canonical
        assert decoded.encode() == data


def test_the_context_of_a_share_is_the_documented_one() -> None:
    assert info_for_share(PRE, 7) == b"fedproof/share/v1" + PRE + b"\x00\x00\x00\x07"
    assert info_for_output(PRE, 7) == b"fedproof/output/v1" + PRE + b"\x00\x00\x00\x07"
    for index in (0, -1, 1 << 17):
        with pytest.raises(SharingError, match="worker index"):
            info_for_share(PRE, index)
    for pre in (b"", PRE[:-1], PRE + b"\x00"):
        with pytest.raises(SharingError, match="32 bytes"):
            info_for_share(pre, 1)


def test_rejects_a_sealed_share_of_another_round_sender_or_worker() -> None:
    """`pre` differs with chain, contract, task, round and participant; the index with the worker."""
    worker, other_worker = KeyPair.generate(), KeyPair.generate()
    sealed = seal(worker.public, WIRE, info_for_share(PRE, 3))
    assert open_sealed(worker, sealed, info_for_share(PRE, 3)) == WIRE
    other_pre = PRE[:-1] + b"\x00"
    for info in (info_for_share(other_pre, 3), info_for_share(PRE, 4), info_for_output(PRE, 3)):
        with pytest.raises(SealingError):
            open_sealed(worker, sealed, info)
    with pytest.raises(SealingError):
        open_sealed(other_worker, sealed, info_for_share(PRE, 3))
