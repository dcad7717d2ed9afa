"""How people write amounts and durations: whole tokens with a decimal point, and 30d, 12h, 90m, 45s."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from fedproof.errors import InputError
from fedproof.ledger.market_types import TIERS, UNIT

DECIMALS: Final = 18
TOKEN: Final = 10**DECIMALS
AMOUNT_BITS: Final = 128
"""Amounts in the contracts and in notes have so many bits."""

_AMOUNT: Final = re.compile(r"[+-]?([0-9]{1,80}\.?[0-9]{0,80}|\.[0-9]{1,80})(e[+-]?[0-9]{1,2})?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def parse_tokens(text: str, smallest: int = 1) -> int:
    """Base units of an amount in tokens, such as `2.5`. Nothing is rounded.

    Raises:
        InputError: not a number, negative, finer than `smallest` base units, or 2^128 base units or more.
    """
    if _AMOUNT.fullmatch(text.strip()) is None:
        raise InputError(f"{_cut(text)} is no amount: write tokens, such as 2.5")
    amount = Fraction(text.strip()) * TOKEN
    if amount < 0 or amount.denominator != 1 or amount.numerator % smallest:
        raise InputError(f"{_cut(text)} is no amount of tokens: not negative, in steps of {show_tokens(smallest)}")
    if amount >= 1 << AMOUNT_BITS:
        raise InputError(f"{_cut(text)} tokens are too many: at most {show_tokens((1 << AMOUNT_BITS) - 1)}")
    return amount.numerator


def show_tokens(amount: int) -> str:
    """An amount of base units in tokens, in full and without needless zeros."""
    whole, rest = divmod(amount, TOKEN)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").rstrip(".")


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def parse_by_tier(entries: Sequence[str], what: str) -> tuple[int, ...]:
    """Amounts for tiers 0 to 5 from entries such as `3=1000`; 0 where a tier is not named.

    Raises:
        InputError: an entry is malformed or zero, or names a tier twice or one that has no amount.
    """
    found = parse_changes(entries, what)
    for tier, value in found.items():
        if value == 0:
            raise InputError(f"{what} {tier}=0 is zero: leave the tier out instead")
    return tuple(found.get(tier, 0) for tier in range(TIERS))


def parse_changes(entries: Sequence[str], what: str) -> dict[int, int]:
    """Amounts by tier, those that are named; zero is allowed.

    Raises:
        InputError: an entry is malformed, or names a tier twice or one that has no amount.
    """
    out: dict[int, int] = {}
    for entry in entries:
        tier, found, amount = entry.partition("=")
        good = found and tier.isascii() and tier.isdecimal() and len(tier) == 1 and 1 <= int(tier) < TIERS
        if not good or int(tier) in out:
            example = f"write a tier from 1 to {TIERS - 1} once, and tokens, such as 3=1000"
            raise InputError(f"{what} {_cut(entry)}: {example}")
        out[int(tier)] = parse_tokens(amount, UNIT)
    return out


def parse_duration(text: str) -> int:
    """Seconds of a duration such as `30d`.

    Raises:
        InputError: no such duration, or zero.
    """
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip())
    if match is None or int(match[1]) == 0:
        raise InputError(f"{_cut(text)} is no duration: write 45s, 90m, 12h, 30d or 2w, not zero")
    return int(match[1]) * _SECONDS[match[2]]
