"""An identity's contact: its address and HPKE key, as a small public file that others name it by.

    {"version": 1, "address": "0x...", "hpke_key": hex}

A provider puts contacts into its key committee; a seller seals a dataset's keys to the buyer's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from fedproof.app.home import Home
from fedproof.app.sales import parse_address
from fedproof.errors import FedproofError, InputError
from fedproof.nodes.escrow import raw_address
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair
from fedproof.sealing.escrow import Member

VERSION = 1
_MAX_BYTES = 8192
_FIELDS = {"version", "address", "hpke_key"}


def contact_state(home: Home, name: str) -> StateFile:
    """The state folder with the HPKE key that others seal to; made at the first use."""
    state = home.state(name, "contact", "worker")
    if state.get("hpke") is None:
        state.put(hpke=KeyPair.generate().private.hex())
    return state


def contact_keys(home: Home, name: str) -> KeyPair:
    """The HPKE key pair that others seal to."""
    return KeyPair.from_private_bytes(bytes.fromhex(contact_state(home, name).get("hpke")))


def contact_of(home: Home, name: str) -> Member:
    """What an identity of this home gives to others."""
    return Member(raw_address(home.account(name).address), contact_keys(home, name).public)


def contact_json(member: Member) -> dict[str, Any]:
    """The public file."""
    address = to_checksum_address("0x" + member.address.hex())
    return {"version": VERSION, "address": address, "hpke_key": member.hpke_key.hex()}


def write_contact(path: Path, document: dict[str, Any]) -> None:
    """Write a contact file; one with the same content may be there already.

    Raises:
        InputError: another file is there, or it cannot be written.
    """
    data = json.dumps(document, indent=2) + "\n"
    try:
        if path.exists() and path.read_text() == data:
            return
        with path.open("x") as file:
            file.write(data)
    except FileExistsError:
        raise InputError(f"{path} exists already; name another file") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be written") from None


def read_contact(path: Path) -> Member:
    """Read a contact file.

    Raises:
        InputError: it is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        document = json.loads(data)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; it should be a contact file") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no contact file: make one with fedproof contact --as NAME --out FILE") from None
    try:
        if len(data) > _MAX_BYTES or set(document) != _FIELDS or document["version"] != VERSION:
            raise ValueError
        return Member(raw_address(parse_address(document["address"])), bytes.fromhex(document["hpke_key"]))
    except (ValueError, TypeError, AttributeError, FedproofError):
        raise InputError(f"{path} is no contact file of version {VERSION}") from None


def member_named(home: Home, who: str) -> Member:
    """A contact by its file, or that of an identity of this home.

    Raises:
        InputError: neither.
    """
    path = Path(who)
    return read_contact(path) if path.suffix or path.parent != Path() else contact_of(home, who)
