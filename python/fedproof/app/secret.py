"""Values that must never be shown, and the last line of defence against showing them.

A secret travels as a `Secret`, which neither prints nor pickles. Every secret is also known here, in each way in which
it might be written down, so that `redact` can take it out of a text that it should never have got into.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from typing import Final

HIDDEN: Final = "<hidden>"
_SHORTEST: Final = 8  # what is shorter would be found by chance in ordinary text


class Secret:
    """Bytes that only `reveal` gives out; making one makes them known to `redact`."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = bytes(value)
        remember(self._value)

    def reveal(self) -> bytes:
        """The value, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled or copied")


class _Known:
    """All forms of all secrets of this process, as one pattern."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exact: set[str] = set()
        self._hex: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, value: bytes) -> None:
        """Know a secret from now on."""
        with self._lock:
            before = len(self._exact) + len(self._hex)
            self._hex.add(value.hex())
            self._exact |= _forms(value)
            if len(self._exact) + len(self._hex) == before:
                return
            # the longest first: a secret that begins another one would leave the rest of it
            exact = "|".join(map(re.escape, sorted(self._exact, key=len, reverse=True)))
            digits = "|".join(sorted(self._hex, key=len, reverse=True))
            self.pattern = re.compile(f"{exact}|(?i:{digits})")


_known = _Known()


def remember(value: bytes) -> None:
    """Take this value out of every text that `redact` sees from now on. Values under 8 bytes are too common for it."""
    if len(value) >= _SHORTEST:
        _known.add(value)


def redact(text: str) -> str:
    """The text with every known secret, however written, replaced."""
    pattern = _known.pattern
    return text if pattern is None else pattern.sub(HIDDEN, text)


def _forms(value: bytes) -> set[str]:
    """How a value may be written: as text, a Python or JSON literal, base64 or a number."""
    literal = repr(value)[2:-1]
    found = {literal, json.dumps(literal)[1:-1], str(int.from_bytes(value, "big"))}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(value).decode().rstrip("="))
    try:
        text = value.decode()
    except UnicodeDecodeError:
        pass
    else:
        found |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return {form for form in found if len(form) >= _SHORTEST}
