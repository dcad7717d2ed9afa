"""Changes to valid inputs that know of JSON: a random bit in canonical JSON gets no farther than its parser."""

from __future__ import annotations

import json
import random
from typing import Any

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 0.5, 1e308, 5e-324,
    float("nan"), float("inf"), "", " ", "0", "0x", "0x-1", "0x1_0", "-0x1", "é", "\ud800", "\x00", "\u202e",
    "a" * 5000, "../x", "/", [], {}, [[]], {"": 0}, [0] * 300,
]  # fmt: skip
WORDS = [
    b"",
    b"\0",
    b"\xff",
    b"\0" * 32,
    b"\xff" * 32,
    b"\x80",
    b"\r\n",
    b"\n",
    b'"',
    b",",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
]
DEPTHS = [30, 500, 2500, *range(900, 1000)]
"""Near the limit of recursion a document may be read and not be written."""


def mutate(data: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    """One to three changes of `data`; `others` are inputs to splice with."""
    for _ in range(draw.randint(1, 3)):
        found = _json(data, draw) if draw.random() < 0.6 and data[:1] in (b"{", b"[", b'"') else None
        data = _bytes(data, draw, others) if found is None else found
    return data


def _json(data: bytes, draw: random.Random) -> bytes | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if draw.random() < 0.03:
        return _deep(document, draw)
    document = _change(document, draw)
    ascii_only = draw.random() < 0.8
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)
    except (TypeError, ValueError, RecursionError):
        return None
    return text.encode(errors="surrogatepass")


def _deep(document: Any, draw: random.Random) -> bytes:
    """One value is lists, one in the other; written by hand, for the writer would give up first."""
    mark, depth = "\ue000", draw.choice(DEPTHS)
    opened, closed = draw.choice([("[", "]"), ('{"a":', "}")])
    document = _change(document, draw, mark)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return text.replace(json.dumps(mark), opened * depth + "0" + closed * depth).encode()


def _change(value: Any, draw: random.Random, odd: Any = ...) -> Any:
    if isinstance(value, dict) and value and draw.random() < 0.93:
        name = draw.choice(list(value))
        kind = draw.random()
        if odd is ... and kind < 0.05:
            return {other: each for other, each in value.items() if other != name}
        if odd is ... and kind < 0.08:
            return value | {draw.choice(["", "é", name + "x", "version"]): draw.choice(ODD)}
        return value | {name: _change(value[name], draw, odd)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        kind = draw.random()
        if odd is ... and kind < 0.1:
            return value[:at] + value[at + 1 :]
        if odd is ... and kind < 0.2:
            return value[: at + 1] + value[at:]
        return [*value[:at], _change(value[at], draw, odd), *value[at + 1 :]]
    if odd is not ...:
        return odd
    if type(value) is int and draw.random() < 0.5:
        return value + draw.choice([-1, 1, 2**32, -value * 2])
    if isinstance(value, str) and value and draw.random() < 0.5:
        at = draw.randrange(len(value))
        return value[:at] + draw.choice(["", "0", "g", "é", "\n", "\ud800", value]) + value[at + draw.randint(0, 1) :]
    return draw.choice(ODD)


def _bytes(data: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    start = draw.randint(0, len(data))
    end = min(len(data), start + draw.choice([0, 1, 1, 2, 4, 8, 32]))
    kind = draw.randrange(7)
    if kind == 0 and data:
        at = draw.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:start] + draw.choice(WORDS) + data[end:]
    if kind == 2:
        return data[:start] + draw.randbytes(end - start) + data[end:]
    if kind == 3:
        return data[:start]
    if kind == 4:
        return data[:start] + data[end:]
    if kind == 5 and others:
        other = draw.choice(others)
        return data[:start] + other[draw.randint(0, len(other)) :]
    return data[:end] + data[start:end] * draw.choice([1, 3]) + data[end:]
