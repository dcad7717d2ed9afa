"""Which custom errors and events exist: those of every shipped contract, and of each that the caller names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from eth_abi.exceptions import DecodingError
from eth_typing import ABIError, ABIEvent
from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak

from fedproof.errors import ContractRejected
from fedproof.ledger.abi import CODEC, component_types, tidy_all
from fedproof.ledger.artifacts import Artifact, artifact_names, load_artifact
from fedproof.ledger.events import Event, Log, decode_event, event_topic, indexed_count

NO_REASON = "no reason given"
# What Solidity itself reverts with.
_BUILT_IN = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


class AbiIndex:
    """Errors by selector, events by first topic and number of indexed arguments."""

    def __init__(self) -> None:
        self._errors: dict[bytes, ABIError] = {}
        self._events: dict[tuple[bytes, int], ABIEvent] = {}
        self._add(_BUILT_IN)
        for artifact in _shipped():
            self.add(artifact)

    def add(self, artifact: Artifact) -> None:
        """Makes the errors and events of a contract known."""
        self._add(artifact.abi)

    def _add(self, abi: Sequence[Mapping[str, Any]]) -> None:
        for entry in abi:
            if entry["type"] == "error":
                error = cast(ABIError, entry)
                self._errors[keccak(text=abi_to_signature(error))[:4]] = error
            elif entry["type"] == "event" and not entry.get("anonymous", False):
                event = cast(ABIEvent, entry)
                self._events[event_topic(event), indexed_count(event)] = event

    def rejection(self, data: bytes, where: str = "") -> ContractRejected:
        """The exception that revert data stands for."""
        if not data:
            return ContractRejected(NO_REASON, (), where)
        selector, body = data[:4], data[4:]
        error = self._errors.get(selector)
        if error is None:
            return ContractRejected(f"unknown error 0x{selector.hex()}", (_shown(body),), where)
        inputs = error.get("inputs", ())
        try:
            values: tuple[object, ...] = tidy_all(inputs, CODEC.decode(component_types(inputs), body))
        except DecodingError:
            values = (_shown(body),)
        return ContractRejected(error["name"], values, where)

    def event(self, log: Log) -> Event | None:
        """The log decoded, or None where no known contract has such an event."""
        if not log.topics:
            return None
        event = self._events.get((log.topics[0], len(log.topics) - 1))
        return None if event is None else decode_event(event, log)


@cache
def _shipped() -> tuple[Artifact, ...]:
    return tuple(load_artifact(name) for name in artifact_names())


def _shown(body: bytes) -> str:
    return "0x" + body.hex()[:256]
