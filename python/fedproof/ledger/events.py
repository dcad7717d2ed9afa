"""Logs of contracts, decoded to events, and events turned to topics for a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from eth_abi.exceptions import DecodingError, EncodingError
from eth_typing import ABIEvent, ChecksumAddress
from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak

from fedproof.errors import InputError, LedgerError
from fedproof.ledger.abi import CODEC, component_types, one_line, tidy, tidy_all


@dataclass(frozen=True)
class Log:
    """A log as the chain holds it."""

    address: ChecksumAddress
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    tx_hash: str
    log_index: int


@dataclass(frozen=True)
class Event:
    """A decoded log. An indexed argument of dynamic type (string, bytes, array) comes as its 32-byte hash."""

    name: str
    args: Mapping[str, Any]
    address: ChecksumAddress
    block_number: int
    tx_hash: str
    log_index: int


def find_event(abi: Iterable[Mapping[str, Any]], name: str) -> ABIEvent:
    """The event of this name.

    Raises:
        InputError: the contract has none.
    """
    for entry in abi:
        if entry["type"] == "event" and entry["name"] == name:
            return cast(ABIEvent, entry)
    raise InputError(f"the contract has no event {name}")


def event_topic(event: ABIEvent) -> bytes:
    """First topic of the event's logs."""
    return bytes(keccak(text=abi_to_signature(event)))


def indexed_count(event: ABIEvent) -> int:
    """Number of indexed arguments: topics after the first."""
    return sum(1 for component in event["inputs"] if component.get("indexed"))


def filter_topics(event: ABIEvent, filters: Mapping[str, Any]) -> list[bytes | None]:
    """Topics that a log must have for its indexed arguments to equal `filters`; None matches any.

    Raises:
        InputError: an argument is not there, not indexed, or the value does not fit its type.
    """
    indexed = [component for component in event["inputs"] if component.get("indexed")]
    unknown = set(filters) - {component["name"] for component in indexed if not _is_hashed(component)}
    if unknown:
        raise InputError(f"event {event['name']} cannot be searched by {', '.join(sorted(unknown))}")
    topics: list[bytes | None] = [event_topic(event)]
    for component in indexed:
        if component["name"] not in filters:
            topics.append(None)
            continue
        try:
            topics.append(CODEC.encode([component["type"]], [filters[component["name"]]]))
        except (TypeError, ValueError, OverflowError, EncodingError) as error:
            raise InputError(f"event {event['name']}, filter {component['name']}: {one_line(error)}") from error
    return topics


def decode_event(event: ABIEvent, log: Log) -> Event:
    """A log as its event, arguments in the order of the declaration.

    Raises:
        LedgerError: the log does not fit the ABI.
    """
    indexed = [component for component in event["inputs"] if component.get("indexed")]
    plain = [component for component in event["inputs"] if not component.get("indexed")]
    args: dict[str, Any] = {}
    try:
        for component, topic in zip(indexed, log.topics[1:], strict=True):
            value = topic if _is_hashed(component) else tidy(component, CODEC.decode([component["type"]], topic)[0])
            args[component["name"]] = value
        values = tidy_all(plain, CODEC.decode(component_types(plain), log.data))
    except (DecodingError, ValueError) as error:
        raise LedgerError(f"a log of {log.address} does not fit the event {event['name']}") from error
    args.update(zip((component["name"] for component in plain), values, strict=True))
    ordered = {component["name"]: args[component["name"]] for component in event["inputs"]}
    return Event(event["name"], ordered, log.address, log.block_number, log.tx_hash, log.log_index)


def _is_hashed(component: Mapping[str, Any]) -> bool:
    kind: str = component["type"]
    return kind in ("string", "bytes", "tuple") or kind.endswith("]")
