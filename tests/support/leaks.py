"""What must not be found anywhere, in every way to write it down; and where a process could show it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORTEST = 8
"""Bytes of a secret below which chance would find it."""


def forms(secret: bytes) -> set[bytes]:
    """Raw, hexadecimal, both alphabets of base64 at each place in what is encoded, and as a number of either order."""
    if len(secret) < SHORTEST:
        raise AssertionError(f"{len(secret)} bytes are too few to search for")
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + secret)
        # the first and last characters may hold bits of what stands around
        inner = whole[(8 * before + 5) // 6 : (8 * (before + len(secret))) // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    if len(secret) == 32:
        for order in ("big", "little"):
            number = int.from_bytes(secret, order)  # type: ignore[arg-type]
            found |= {str(number).encode(), f"{number:x}".encode()}
    return found


def needles(secrets: Iterable[tuple[str, bytes]]) -> dict[bytes, str]:
    """Every form of every secret, and whose it is."""
    return {form: whose for whose, secret in secrets for form in forms(secret)}


def found_in(content: bytes, hidden: dict[bytes, str]) -> set[str]:
    """Whose secrets a content holds."""
    return {whose for needle, whose in hidden.items() if needle in content}


def process_list() -> Iterator[tuple[str, bytes]]:
    """What anybody on this machine sees of the processes of this user: command lines, environments and names."""
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ", "comm"):
            try:
                yield f"{name} of process {folder.name}", (folder / name).read_bytes()
            except OSError:  # it has ended, or is somebody else's
                continue
