"""Compiled contracts as package data: one JSON file each, written by contracts/compile.mjs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from eth_utils.address import is_address

from fedproof.errors import InputError, LedgerError


@dataclass(frozen=True)
class Artifact:
    """One compiled contract. `bytecode` is hexadecimal without prefix and may hold placeholders of libraries."""

    name: str
    abi: Sequence[Mapping[str, Any]] = field(repr=False)
    bytecode: str = field(repr=False)
    deployed_bytecode: str = field(repr=False)
    link_references: Mapping[str, Mapping[str, Sequence[Mapping[str, int]]]] = field(repr=False)
    source_hash: str
    own_address: Sequence[int] = field(default=(), repr=False)
    """Where the deployed code of a library has its own address."""

    def deployed_at(self, address: str) -> bytes:
        """The code of a library as it is at its address."""
        code = bytearray.fromhex(self.deployed_bytecode)
        for start in self.own_address:
            code[start : start + 20] = bytes.fromhex(address.removeprefix("0x"))
        return bytes(code)

    def linked(self, libraries: Mapping[str, str]) -> bytes:
        """Creation code with the libraries' addresses in place.

        Args:
            libraries: library name to address; exactly those that the contract uses.

        Raises:
            InputError: a library is missing, unknown, or its address malformed.
        """
        wanted = {library for libraries_of_file in self.link_references.values() for library in libraries_of_file}
        if wanted != set(libraries):
            raise InputError(
                f"contract {self.name} links {sorted(wanted) or 'no library'}: given were {sorted(libraries) or 'none'}"
            )
        code = self.bytecode
        for libraries_of_file in self.link_references.values():
            for library, places in libraries_of_file.items():
                address = libraries[library]
                if not is_address(address):
                    raise InputError(f"library {library} of contract {self.name} has no address: got {address!r}")
                for place in places:
                    start = 2 * place["start"]
                    code = code[:start] + address.removeprefix("0x").lower() + code[start + 2 * place["length"] :]
        try:
            return bytes.fromhex(code)
        except ValueError as error:
            raise LedgerError(f"artifact {self.name} holds no bytecode: run `make contracts`") from error

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> Artifact:
        """Reads an artifact file.

        Raises:
            LedgerError: the file is not an artifact, or is another contract's.
        """
        try:
            raw = json.loads(text)
            artifact = cls(
                name=raw["contractName"],
                abi=tuple(raw["abi"]),
                bytecode=raw["bytecode"].removeprefix("0x"),
                deployed_bytecode=raw["deployedBytecode"].removeprefix("0x"),
                link_references=raw["linkReferences"],
                source_hash=raw["sourceHash"],
                own_address=tuple(raw.get("ownAddress", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LedgerError(f"contract artifact {name} is damaged: run `make contracts`") from error
        if artifact.name != name:
            raise LedgerError(f"contract artifact {name} is of contract {artifact.name}: run `make contracts`")
        return artifact


@cache
def artifact_names() -> tuple[str, ...]:
    """The shipped contracts, sorted."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json")))


@cache
def load_artifact(name: str) -> Artifact:
    """A shipped contract by name.

    Raises:
        InputError: there is none of this name.
        LedgerError: its file is damaged.
    """
    if name not in artifact_names():
        raise InputError(f"no contract named {name!r} is shipped: there are {', '.join(artifact_names()) or 'none'}")
    return Artifact.from_json((resources.files(__name__) / f"{name}.json").read_bytes(), name)
