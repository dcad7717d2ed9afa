"""Where a node's passphrase comes from: a file, a credential of the service manager, the environment, or somebody at a
terminal. Never an argument: that would be in the list of processes, and in the shell's history.

A credential is the file `fedproof-passphrase` in $CREDENTIALS_DIRECTORY, as systemd's LoadCredential puts it there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fedproof.app.secret import Secret
from fedproof.errors import KeyFileError

VARIABLE: Final = "FEDPROOF_PASSPHRASE"
CREDENTIAL: Final = "fedproof-passphrase"
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
LEAST: Final = 8
_MOST: Final = 1024


def read_passphrase(file: Path | None = None, ask: Callable[[], str] | None = None) -> Secret:
    """The passphrase from `file` when one is named, else the credential, else $FEDPROOF_PASSPHRASE, else from `ask`.

    Args:
        ask: prompts for it; None where nobody sits at a terminal.

    Raises:
        KeyFileError: there is none, its file is open to others, or it is too long to be one.
    """
    if file is not None:
        return _checked(read_private(file, _MOST + 2), str(file))
    folder = os.environ.get(CREDENTIALS_VARIABLE)
    if folder and (credential := Path(folder) / CREDENTIAL).exists():
        # the service manager lets this user in by an access list, which shows as a group that may read
        return _checked(read_private(credential, _MOST + 2, group=True), str(credential))
    given = os.environ.get(VARIABLE)
    if given is not None:
        return _checked(os.fsencode(given), f"${VARIABLE}")
    if ask is None:
        raise KeyFileError(
            f"no passphrase: set ${VARIABLE}, or name a file of mode 0600 with --passphrase-file, for nodes with "
            "passphrase_file in node.toml"
        )
    return _checked(ask().encode(errors="surrogateescape"), "the passphrase that was typed")


def check_new(passphrase: Secret) -> None:
    """Refuse what is too short to protect a new key.

    Raises:
        KeyFileError: it has fewer than 8 bytes.
    """
    if len(passphrase.reveal()) < LEAST:
        raise KeyFileError(f"the passphrase is too short: take {LEAST} characters or more, better several words")


def read_private(path: Path, limit: int, *, group: bool = False) -> bytes:
    """A small file that nobody but its owner may read, or with `group` its group, too.

    Raises:
        KeyFileError: it is missing, too large, no regular file, or open to others.
    """
    try:
        # O_NONBLOCK: a pipe in its place would keep the node waiting
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(f"{path} is missing") from None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        # of the open file, so that nobody can exchange it between the look and the reading
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise KeyFileError(f"{path} is not a regular file")
        if found.st_mode & (0o037 if group else 0o077):
            raise KeyFileError(
                f"{path} is open to other users: chmod 600 it, and change what is in it if they may know"
            )
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise KeyFileError(f"{path} has more than {limit} bytes: it is not the right file")
    return data


def _checked(data: bytes, where: str) -> Secret:
    """Without the end of its line, as an editor leaves one."""
    phrase = data.removesuffix(b"\n").removesuffix(b"\r")
    if not phrase or len(phrase) > _MOST or b"\n" in phrase or b"\x00" in phrase:
        raise KeyFileError(f"{where} must hold a passphrase: one line of 1 to {_MOST} bytes")
    return Secret(phrase)
