"""A share, a worker's output, their wire form, and the contexts they are sealed in (protocol, sections 6 and 8).

    version (1) || kind (1) || worker index (4) || n (4) || n values (32 each)

Numbers are big-endian, values below r. The kind (1 a share, 2 an output) keeps one from being passed off as the other.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from fedproof import _core
from fedproof.errors import SharingError
from fedproof.sharing.vectors import FrArray, WorkerIndex, check_vector, worker_index

VERSION: Final = 1
HEAD_BYTES: Final = 10
VALUE_BYTES: Final = 32


@dataclass(frozen=True, eq=False, repr=False)
class _Evaluation:
    """The value at x = `index` of a vector of polynomials: `values` has shape (n, 4)."""

    index: WorkerIndex
    values: FrArray

    kind: ClassVar[int]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        worker_index(self.index)
        check_vector(self.values, self.name)

    def encode(self) -> bytes:
        """The wire form on top of this module, `10 + 32 n` bytes."""
        head = bytes((VERSION, self.kind)) + self.index.to_bytes(4, "big") + len(self.values).to_bytes(4, "big")
        return head + _core.fr_to_bytes(self.values)

    @classmethod
    def decode(cls, data: bytes, *, index: int, length: int) -> Self:
        """Read the wire form of the evaluation at `index` with `length` values; SharingError for anything else.

        Both are known to who decodes, so they are not taken from the message: a share for another worker, a short one
        or one byte too many is refused before a value is read.
        """
        expected = HEAD_BYTES + VALUE_BYTES * length
        if len(data) != expected:
            raise SharingError(f"{cls.name} of {length} values has {expected} bytes, this one has {len(data)}")
        if data[0] != VERSION:
            raise SharingError(f"{cls.name} has format version {VERSION}, this one has {data[0]}")
        if data[1] != cls.kind:
            raise SharingError(f"this is not {cls.name}: its kind is {data[1]}, not {cls.kind}")
        named, count = int.from_bytes(data[2:6], "big"), int.from_bytes(data[6:HEAD_BYTES], "big")
        if named != index:
            raise SharingError(f"{cls.name} for worker {index} is expected, this one is for worker {named}")
        if count != length:
            raise SharingError(f"{cls.name} of {length} values is expected, this one names {count}")
        try:
            values = _core.fr_from_bytes(data[HEAD_BYTES:])
        except ValueError:
            raise SharingError(f"{cls.name} has a value that is not below the field's order") from None
        return cls(worker_index(index), values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(index={self.index}, values=<{len(self.values)} hidden>)"


class Share(_Evaluation):
    """`s_ij`: one participant's update, blinding included, as worker `index` sees it."""

    kind = 1
    name = "a share"


class Output(_Evaluation):
    """`sum_i n_i s_ij` over a round's updates: what worker `index` contributes to the sum."""

    kind = 2
    name = "an output"


def info_for_share(pre: bytes, index: int) -> bytes:
    """The HPKE context of a sealed share; `pre` (32 bytes) binds chain, contract, task, round, participant, D."""
    return _info(b"fedproof/share/v1", pre, index)


def info_for_output(pre: bytes, index: int) -> bytes:
    """The HPKE context of an output that worker `index` seals to the leader; `pre` (32 bytes) names the round."""
    return _info(b"fedproof/output/v1", pre, index)


def _info(label: bytes, pre: bytes, index: int) -> bytes:
    if len(pre) != 32:
        raise SharingError(f"pre must have 32 bytes, not {len(pre)}")
    return label + pre + worker_index(index).to_bytes(4, "big")
