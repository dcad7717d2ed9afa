"""A small round to attack: N updates, M = 5 workers, threshold t = 2, over a development SRS."""

from dataclasses import dataclass
from functools import cache

from fedproof import _core
from fedproof.sharing import ReceivedShare, Sharing, share_commitment, split
from fedproof.sharing.vectors import FrArray

LENGTH = 12
MEMBERS = 5
THRESHOLD = 2


@cache
def srs() -> "_core.Srs":
    return _core.Srs.generate(32, [1], b"\x07" * 32)


@dataclass
class Participant:
    name: str
    update: FrArray
    c_u: bytes
    sharing: Sharing

    def received(self, index: int) -> ReceivedShare:
        """What worker `index` gets from this participant when nobody cheats."""
        commitment = share_commitment(self.c_u, self.sharing.commitments_r, index)
        return ReceivedShare(self.name, self.sharing.shares[index - 1], commitment)


def participant(name: str, seed: int) -> Participant:
    update = _core.fr_random(LENGTH, bytes([seed]) * 32)
    return Participant(name, update, srs().commit(update), split(update, THRESHOLD, MEMBERS, srs()))


def participants(count: int) -> list[Participant]:
    return [participant(f"participant-{i}", i + 1) for i in range(count)]


def changed(values: FrArray, place: int, by: int = 1) -> FrArray:
    """A copy with one value moved by `by`."""
    ints = _core.fr_to_ints(values)
    ints[place] += by
    return _core.fr_from_ints(ints)
