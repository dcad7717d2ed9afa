"""Files of a setup of many, read and made again in plain Python: a second implementation, and a forger's tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from fedproof import _core

from .support import G1, G2, P, R, fr, word

MAGIC_BYTES: Final = 19
UPDATE_BYTES: Final = 64 + 64 + 128 + 64


@dataclass(frozen=True)
class Update:
    head: bytes
    in_g1: bytes
    in_g2: bytes
    proof: bytes

    def encode(self) -> bytes:
        return self.head + self.in_g1 + self.in_g2 + self.proof


@dataclass(frozen=True)
class Record:
    name: bytes
    beacon: tuple[bytes, int] | None
    updates: tuple[Update, ...]

    def encode(self) -> bytes:
        kind = b"\0" if self.beacon is None else bytes([1, self.beacon[1]]) + self.beacon[0]
        return _count(len(self.name)) + self.name + kind + b"".join(update.encode() for update in self.updates)

    def description(self) -> bytes:
        value, log = self.beacon or (bytes(32), 0)
        return bytes([self.beacon is not None, log]) + value + self.name


@dataclass(frozen=True)
class Transcript:
    """`body` is all of the file before the transcript; `origin` the digest of no contribution."""

    body: bytes
    origin: bytes
    records: tuple[Record, ...]

    def encode(self) -> bytes:
        return self.body + _count(len(self.records)) + b"".join(record.encode() for record in self.records)

    def digests(self) -> list[bytes]:
        found = [self.origin]
        for record in self.records:
            updates = b"".join(update.encode() for update in record.updates)
            found.append(digest(b"fedproof/ceremony/record/v1", found[-1], record.description(), updates))
        return found

    def replaced(self, number: int, record: Record) -> Transcript:
        return replace(self, records=(*self.records[:number], record, *self.records[number + 1 :]))

    def heads(self, number: int) -> list[bytes]:
        """Where the secrets are after so many contributions."""
        secrets = len(self.records[0].updates)
        return [G1] * secrets if number == 0 else [update.head for update in self.records[number - 1].updates]

    def challenge(self, number: int, place: int, update: Update) -> bytes:
        """The point that the proof of an update of a record multiplies."""
        context = self.digests()[number] + self.records[number].description() + bytes([place])
        points = update.head + update.in_g1 + update.in_g2
        attempt = 0
        while True:
            high, low = (
                digest(b"fedproof/ceremony/challenge/v1", context, points, bytes([attempt, half])) for half in (0, 1)
            )
            x = int.from_bytes(high + low, "big") % P
            square = (x**3 + 3) % P
            y = pow(square, (P + 1) // 4, P)
            if y * y % P == square:
                ys = sorted((y, P - y))
                return word(x) + word(ys[low[31] & 1])
            attempt += 1

    def signed(self, number: int, place: int, update: Update, x: int) -> Update:
        """The update with a proof that x is known."""
        return replace(update, proof=_core.g1_mul(self.challenge(number, place, update), fr(x)))

    def rewritten(self, number: int, factors: list[int]) -> Transcript:
        """The transcript up to a record, whose factors are these."""
        cut = replace(self, records=self.records[: number + 1])
        updates = []
        for place, (x, head) in enumerate(zip(factors, self.heads(number), strict=True)):
            bare = Update(_core.g1_mul(head, fr(x)), _core.g1_mul(G1, fr(x)), _core.g2_multiples(fr(x)), G1)
            updates.append(cut.signed(number, place, bare, x))
        return cut.replaced(number, replace(self.records[number], updates=tuple(updates)))


def beacon_factors(before: bytes, value: bytes, log: int, count: int) -> list[int]:
    """What a beacon stands for after these contributions: draws of ChaCha20, as arkworks takes field elements of it."""
    seed = digest(b"fedproof/ceremony/beacon/v1", before, value)
    for _ in range(1 << log):
        seed = _core.keccak256(seed)
    key = _core.keccak256(b"beacon" + seed)
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor().update(bytes(32 * 50 * count))
    found: list[int] = []
    inverse = pow(1 << 256, -1, R)  # arkworks draws the Montgomery form
    for at in range(0, len(stream), 32):
        drawn = int.from_bytes(stream[at : at + 32], "little") & ((1 << 254) - 1)
        if 0 < drawn < R and len(found) < count:
            found.append(drawn * inverse % R)
    return found


def known(log: int, factors: list[list[int]], beacon: tuple[bytes, int]) -> tuple[bytes, list[int]]:
    """A first phase that holds, all of whose secrets its maker knows; and tau, alpha and beta."""
    made = _core.PhaseOne.start(log)
    for number in range(len(factors)):
        made = made.contribute(f"person {number}")
    transcript, places = first(made.contribute("beacon", beacon).to_bytes())
    records, secrets = transcript.records, [1, 1, 1]
    for number in range(len(records)):
        whole = replace(transcript, records=(*transcript.records[:number], *records[number:]))
        last = number == len(factors)
        drawn = beacon_factors(whole.digests()[number], *beacon, 3) if last else factors[number]
        transcript = whole.rewritten(number, drawn)
        secrets = [one * x % R for one, x in zip(secrets, drawn, strict=True)]
    tau, alpha, beta = secrets
    body = bytearray(transcript.body)
    for name, base, multiples in (
        ("tau", 1, _core.g1_multiples),
        ("alpha", alpha, _core.g1_multiples),
        ("beta", beta, _core.g1_multiples),
        ("tau in G2", 1, _core.g2_multiples),
        ("beta in G2", beta, _core.g2_multiples),
    ):
        start, size, count = places.lists[name]
        points = multiples(_core.fr_mul(_core.fr_powers(tau, count), _core.fr_from_ints([base])))
        body[start : start + size * count] = points
    return replace(transcript, body=bytes(body)).encode(), secrets


def digest(purpose: bytes, *parts: bytes) -> bytes:
    return _core.keccak256(b"".join(len(part).to_bytes(8, "big") + part for part in (purpose, *parts)))


def _count(number: int) -> bytes:
    return number.to_bytes(4, "little")


@dataclass
class Cursor:
    data: bytes
    at: int = MAGIC_BYTES

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def count(self) -> int:
        return int.from_bytes(self.take(4), "little")


def _records(cursor: Cursor, secrets: int) -> tuple[Record, ...]:
    records = []
    for _ in range(cursor.count()):
        name = cursor.take(cursor.count())
        beacon = None
        if cursor.take(1) == b"\1":
            log = cursor.take(1)[0]
            beacon = (cursor.take(32), log)
        updates = (cursor.take(UPDATE_BYTES) for _ in range(secrets))
        records.append(Record(name, beacon, tuple(Update(u[:64], u[64:128], u[128:256], u[256:]) for u in updates)))
    assert cursor.at == len(cursor.data)
    return tuple(records)


@dataclass(frozen=True)
class Places:
    """Where points of a file are: for each list the offset of its first, their size, and their number."""

    lists: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    bitmaps: dict[str, int] = field(default_factory=dict)
    """Where the bitmap of a list is that leaves out points at infinity."""

    def at_infinity(self, data: bytes, name: str, wire: int) -> bytes:
        """The file with the point of a wire left out of such a list."""
        start, size, _ = self.lists[name]
        bitmap = self.bitmaps[name]
        before = sum(data[bitmap + i // 8] >> i % 8 & 1 for i in range(wire))
        changed = bytearray(data)
        changed[bitmap + wire // 8] &= ~(1 << wire % 8) & 0xFF
        del changed[start + size * before : start + size * (before + 1)]
        return bytes(changed)

    def changed(self, data: bytes, name: str, index: int, change: Callable[[bytes], bytes]) -> bytes:
        start, size, count = self.lists[name]
        at = start + size * (index % count)
        return data[:at] + change(data[at : at + size]) + data[at + size :]


def first(data: bytes) -> tuple[Transcript, Places]:
    """A first phase, taken apart."""
    cursor, lists = Cursor(data), {}
    log = cursor.count()
    for name, size in (("tau", 64), ("alpha", 64), ("beta", 64), ("tau in G2", 128)):
        count = cursor.count()
        lists[name] = (cursor.at, size, count)
        cursor.take(size * count)
    lists["beta in G2"] = (cursor.at, 128, 1)
    cursor.take(128)
    body = data[: cursor.at]
    origin = digest(b"fedproof/ceremony/origin/v1", b"powers of tau", bytes([log]))
    return Transcript(body, origin, _records(cursor, 3)), Places(lists)


def second(data: bytes) -> tuple[Transcript, Places]:
    """A second phase, taken apart. Its points are packed: see `g1_pack` of the core."""
    cursor, lists, bitmaps = Cursor(data), {}, {}
    over = cursor.take(32)
    public, committed, wires = cursor.count(), cursor.count(), cursor.count()
    circuit = cursor.take(32)

    def points(name: str, size: int, count: int) -> None:
        lists[name] = (cursor.at, size, count)
        cursor.take(size * count)

    for name in ("alpha", "beta", "delta"):
        points(name, 64, 1)
    for name in ("beta in G2", "delta in G2", *(["eta in G2"] if committed else [])):
        points(name, 128, 1)
    for name in ("public wires", "committed wires", "h"):
        points(name, 64, cursor.count())
    for name, size, count in (
        ("A", 64, wires),
        ("B", 64, wires),
        ("private wires", 64, wires - 1 - public - committed),
        ("B in G2", 128, wires),
    ):
        bitmaps[name] = cursor.at
        bitmap = cursor.take(-(-count // 8))
        points(name, size, sum(byte.bit_count() for byte in bitmap))
    body = data[: cursor.at]
    origin = digest(b"fedproof/ceremony/origin/v1", b"delta and eta", over, circuit)
    return Transcript(body, origin, _records(cursor, 2)), Places(lists, bitmaps)


__all__ = ["G2", "Places", "Record", "Transcript", "Update", "first", "second"]
