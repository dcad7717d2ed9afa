"""What a harness is: a reader of bytes, the refusals that it may end in, and the valid inputs that one starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedproof.errors import FedproofError

CORPUS = Path(__file__).parent / "corpus"
MAX_BYTES = 1 << 14
"""No input is longer: what a decoder does with more is the concern of the tests of its limits."""
CORE = (ValueError, TypeError, OverflowError)
"""What the functions of the core may raise for arguments that are none of theirs."""


@dataclass(frozen=True)
class Harness:
    """One reader.

    Args:
        name: also of its folder of seeds.
        read: reads the bytes; whatever it returns is a value.
        refusals: the errors that it may end in. Any other one, a crash, or seconds of work are findings.
    """

    name: str
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = (FedproofError,)

    def __call__(self, data: bytes) -> bool:
        """Whether the bytes were taken; raises what nobody may raise."""
        try:
            self.read(data)
        except self.refusals:
            return False
        return True

    def seeds(self) -> list[bytes]:
        """The valid inputs of the repository."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*")) if path.is_file()]


def one_form(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """A reader that also holds its format to one form: what was read is written as the same bytes."""

    def read(data: bytes) -> object:
        found = decode(data)
        assert found.encode() == data, "two byte forms of one value"  # type: ignore[attr-defined]
        return found

    return read
