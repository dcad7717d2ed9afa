"""`node.toml`: how one node runs. It holds no secret: the passphrase has a file of its own, and so has each key.

Paths are relative to the file. `$FEDPROOF_RPC` takes the place of the chain's URL, which often has a key in it.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from eth_utils.address import is_checksum_address

from fedproof.app.amounts import parse_tokens
from fedproof.app.logs import LEVELS
from fedproof.app.nodeconfig import (
    ROLES,
    ChainConfig,
    HttpConfig,
    LogConfig,
    NodeConfig,
    ParticipantConfig,
    ProviderConfig,
    WorkerConfig,
    is_loopback,
)
from fedproof.app.strict import Field
from fedproof.app.taskfile import read_workers
from fedproof.app.trainers import FORM, NAME
from fedproof.errors import InputError

RPC_VARIABLE: Final = "FEDPROOF_RPC"
_LIMIT: Final = 1 << 16
_NAME: Final = r"[A-Za-z0-9_-]{1,64}"
_PATH: Final = r"[^\x00-\x1f]{1,4096}"
_MOST: Final = (1 << 63) - 1


def read_config(path: Path) -> NodeConfig:
    """The configuration in a file.

    Raises:
        InputError: one line that names the key which is missing, unknown, of another type or out of range.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; write one with: fedproof node init ROLE --out {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _LIMIT:
        raise InputError(f"{path}: more than {_LIMIT} bytes")
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is not TOML: too deep") from None
    except ValueError:  # the parser leaves what Python reads no number from, such as one of 5,000 digits
        raise InputError(f"{path} holds a number that is too long") from None
    return _parse(document, path)


def _parse(document: dict[str, Any], path: Path) -> NodeConfig:
    top = Field.of(document, str(path))
    role: Any = top.choice("role", ROLES)
    for other in ROLES:
        if other != role and other in document:
            raise InputError(f"{top.at(other)} is for another role than {role}: take the section out")
    here = _Paths(path.absolute().parent)
    keys, state = top.table("keys"), top.table("state")
    state_folder = here.read(state, "folder")
    found = NodeConfig(
        path=path,
        role=role,
        name=top.text("name", _NAME, wanted="1 to 64 letters, digits, - and _"),
        deployment=here.read(top, "deployment"),
        chain=_chain(top.table("chain", {})),
        store=_store(top.table("store", {}), here),
        keystore=here.read(keys, "folder"),
        passphrase_file=here.read(keys, "passphrase_file") if keys.has("passphrase_file") else None,
        state=state_folder,
        cache=here.read(state, "cache") if state.has("cache") else state_folder / "cache",
        min_free=state.integer("min_free_mib", 0, 1 << 40, 1024) << 20,
        http=_http(top.table("http", {})),
        log=_log(top.table("log", {})),
        **{role: _SECTIONS[role](top.table(role, {}), here)},
    )
    keys.done()
    state.done()
    top.done()
    return found


class _Paths:
    """Paths relative to the folder of the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, text: str, table: Field, name: str) -> Path:
        """A path as it is meant, of a field.

        Raises:
            InputError: it begins with the name of a user who has no home here.
        """
        try:
            return self._folder / Path(text).expanduser()
        except RuntimeError:
            raise table.refuse(name, "a path; there is no home of whom its ~ names") from None

    def read(self, table: Field, name: str) -> Path:
        """A field that is a path."""
        return self.of(table.text(name, _PATH, wanted="a path"), table, name)


def _chain(table: Field) -> ChainConfig:
    given = os.environ.get(RPC_VARIABLE)
    rpc = table.text("rpc", _PATH, wanted="the URL of a node") if table.has("rpc") else ""
    if rpc:
        _check_url(table, "rpc", rpc, ("http", "https"))
    elif not given:
        raise InputError(f"{table.at('rpc')} is missing: give the URL of a node, or set ${RPC_VARIABLE}")
    if given and (urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).hostname):
        raise InputError(f"${RPC_VARIABLE} must be an http:// or https:// URL with a host")
    found = ChainConfig(
        rpc=given or rpc,
        confirmations=table.integer("confirmations", 0, 10_000) if table.has("confirmations") else None,
        poll_seconds=table.number("poll_seconds", 0.05, 3600, 2.0),
        timeout=table.number("timeout", 0.1, 600, 20.0),
        retries=table.integer("retries", 0, 100, 5),
        min_balance=int(Decimal(str(table.number("min_balance", 0, 1e6, 0.05))) * 10**18),
        clock_tolerance=table.integer("clock_tolerance", 1, 86_400, 300),
        slot_blocks=table.integer("slot_blocks", 1, 100_000) if table.has("slot_blocks") else None,
    )
    table.done()
    return found


def _store(table: Field, here: _Paths) -> str | None:
    url = table.text("url", _PATH, wanted="a folder or URL") if table.has("url") else None
    table.done()
    if url is None or "://" not in url:
        return None if url is None else str(here.of(url, table, "url"))
    _check_url(table, "url", url, ())
    return url


def _check_url(table: Field, name: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise table.refuse(name, "a URL") from None
    if schemes and (parts.scheme not in schemes or not parts.hostname):
        raise table.refuse(name, f"a URL that begins with {' or '.join(each + '://' for each in schemes)}")
    if "@" in parts.netloc or parts.query:
        raise InputError(
            f"{table.at(name)} holds credentials, which do not belong into this file: "
            + (f"give the URL in ${RPC_VARIABLE}" if name == "rpc" else "give them to the driver's own settings")
        )


def _http(table: Field) -> HttpConfig:
    host = table.text("host", r"[0-9A-Za-z.:-]{1,253}", "127.0.0.1", "an address or a host's name")
    found = HttpConfig(host, table.integer("port", 0, 65_535, 0), table.flag("public", False))
    table.done()
    if not found.public and not is_loopback(host):
        raise InputError(
            f"{table.at('host')} is not of this machine alone: set http.public = true if it should be seen"
        )
    return found


def _log(table: Field) -> LogConfig:
    form: Any = table.choice("format", ("json", "text"), "json")
    found = LogConfig(table.choice("level", LEVELS, "info"), form)
    table.done()
    return found


def _ids(table: Field, name: str) -> tuple[int, ...] | None:
    if not table.has(name):
        return None
    found = table.items(name, int, "ids, which start at 1")
    if not all(1 <= each <= _MOST for each in found):
        raise table.refuse(name, "a list of ids, which start at 1")
    return found


def _bond(table: Field) -> int:
    text = table.text("max_bond", r"[0-9.]{1,40}", "0", 'tokens in quotes, such as "50"')
    try:
        return parse_tokens(text)
    except InputError:
        raise table.refuse("max_bond", 'tokens in quotes, such as "50"') from None


def _addresses(table: Field, name: str) -> frozenset[str] | None:
    if not table.has(name):
        return None
    found = table.items(name, str, "addresses")
    if not found or not all(is_checksum_address(each) for each in found):
        raise table.refuse(name, "a list of one or more addresses with their checksums")
    return frozenset(found)


def _workers(table: Field, here: _Paths) -> frozenset[tuple[str, bytes]] | None:
    if not table.has("workers"):
        return None
    names = table.items("workers", str, "files, each the output of: fedproof keys show KEYS --json")
    found = read_workers([here.of(name, table, "workers") for name in names])
    if not found:
        raise table.refuse("workers", "a list of one or more files")
    return frozenset((each.address, each.hpke_public) for each in found)


def _participant(table: Field, here: _Paths) -> ParticipantConfig:
    found = ParticipantConfig(
        datasets=_ids(table, "datasets"),
        tasks=_ids(table, "tasks"),
        max_rounds=table.integer("max_rounds", 1, 1 << 16, 100),
        min_committee=table.integer("min_committee", 3, 64, 3),
        min_updates=table.integer("min_updates", 2, 1 << 16, 3),
        access=here.of(table.text("access", _PATH, "access", "a path"), table, "access"),
        max_bond=_bond(table),
        workers=_workers(table, here),
        sponsors=_addresses(table, "sponsors"),
        min_threshold=table.integer("min_threshold", 1, 31, 1),
        trainer=table.text("trainer", NAME, wanted=FORM) if table.has("trainer") else None,
    )
    table.done()
    return found


def _provider(table: Field, here: _Paths) -> ProviderConfig:
    names = table.items("datasets", str, "folders", ())
    if not all(names):
        raise table.refuse("datasets", "a list of folders")
    if not names:
        raise InputError(
            f"{table.at('datasets')} names no dataset: list the state folders of those whose grants this node answers"
        )
    table.done()
    return ProviderConfig(tuple(here.of(name, table, "datasets") for name in names))


def _worker(table: Field, _: _Paths) -> WorkerConfig:
    found = WorkerConfig(
        lead=table.flag("lead", True),
        escrow_datasets=_ids(table, "escrow_datasets") or (),
        max_bond=_bond(table),
        sponsors=_addresses(table, "sponsors"),
    )
    table.done()
    return found


_SECTIONS: Final[dict[str, Any]] = {"participant": _participant, "provider": _provider, "worker": _worker}
