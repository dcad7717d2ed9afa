"""What saved state must look like: a value of another type is a damaged file, and is never replaced by a fresh one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fedproof import _core
from fedproof.errors import FedproofError
from fedproof.ledger.transactions import read_signed
from fedproof.sealing.hpke import KeyPair
from fedproof.sealing.tiers import TierKey
from fedproof.storage.folders import is_file_name

_HEX: Final = re.compile("(?:[0-9a-f]{2})*")
_DATASET: Final = re.compile("[0-9]{1,78}")
_ROUND: Final = re.compile("[0-9]{1,78}/[0-9]{1,78}")
_SECRET: Final = re.compile("0x[0-9a-f]{1,64}")

UPDATE_BYTES: Final = {
    "model": 64, "masked_dataset": 64, "update": 64, "share_digest": 32, "sealed_digest": 32, "proof": 256, "d": 64,
    "q": 64, "y": 32,
}  # fmt: skip
"""Lengths of what is saved of an update that waits to be sent."""


def first_damaged(data: dict[str, Any]) -> str | None:
    """The first key whose value cannot be what a node saved under it."""
    return next((key for key, fits in _SHAPES.items() if key in data and not fits(data[key])), None)


def _secret(value: Any) -> bool:
    return isinstance(value, str) and bool(_SECRET.fullmatch(value)) and 0 < int(value, 16) < _core.MODULUS


def _key_pair(value: Any) -> bool:
    try:
        KeyPair.from_private_bytes(bytes.fromhex(value))
    except (FedproofError, TypeError, ValueError):
        return False
    return True


def _outbox(value: Any) -> bool:
    return _mapping(value, _transaction)


def _outbid(value: Any) -> bool:
    return _mapping(value, lambda each: isinstance(each, list) and all(map(_transaction, each)))


def _transaction(value: Any) -> bool:
    try:
        read_signed(bytes.fromhex(value))
    except (FedproofError, TypeError, ValueError):
        return False
    return True


def _datasets(value: Any) -> bool:
    # a folder beside this one: a path could lead to the state of somebody else
    folders = _mapping(value, lambda folder: isinstance(folder, str) and is_file_name(folder))
    return folders and all(map(_DATASET.fullmatch, value))


def _versions(value: Any) -> bool:
    return _mapping(value, _version) and all(map(_DATASET.fullmatch, value))


def _version(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    single = (value[key] for key in ("digest", "card", "schema") if key in value)
    lists = (value[key] for key in ("commitments", "blindings", "sealed") if key in value)
    return _tier_key(value.get("tier_key")) and all(map(_hex, single)) and all(map(_hex_list, lists))


def _tier_key(value: Any) -> bool:
    try:
        TierKey.decode(bytes.fromhex(value))
    except (FedproofError, TypeError, ValueError):
        return False
    return True


def _hex_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_hex, value))


def _hex(value: Any) -> bool:
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def _objects(value: Any) -> bool:
    return _mapping(value, lambda each: isinstance(each, dict))


def _lists(value: Any) -> bool:
    return _mapping(value, lambda each: isinstance(each, list))


def _mapping(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(fits, value.values()))


def _ready(value: Any) -> bool:
    return _mapping(value, _update) and all(map(_ROUND.fullmatch, value))


def _update(value: Any) -> bool:
    if not isinstance(value, dict) or type(value.get("rows")) is not int:
        return False
    if not _mapping(value.get("seconds"), lambda each: isinstance(each, int | float)):
        return False
    whole = all(_is_sized(value.get(name), length) for name, length in UPDATE_BYTES.items())
    return whole and int(value["y"], 16) < _core.MODULUS


def _is_sized(value: Any, length: int) -> bool:
    return _hex(value) and len(value) == 2 * length


def _number(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 256


_SHAPES: Final[dict[str, Callable[[Any], bool]]] = {
    "secret": _secret,
    "note_key": _key_pair,
    "hpke": _key_pair,
    "outbox": _outbox,
    "outbid": _outbid,
    "datasets": _datasets,
    "versions": _versions,
    "taken": _number,
    "escrows": _objects,
    "enrolments": _objects,
    "openings": _objects,
    "trained": _lists,
    "revealed": _lists,
    "ready": _ready,
    "served": _lists,
}
