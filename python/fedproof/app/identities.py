"""The identities of a marketplace home that somebody has used before."""

from __future__ import annotations

from fedproof.app.home import Home
from fedproof.errors import InputError
from fedproof.ledger import Account


def identities(home: Home) -> list[str]:
    """Names that have secrets in this home."""
    return sorted(path.name for path in (home.folder / "private").iterdir() if path.is_dir())


def known_account(home: Home, name: str) -> Account:
    """The account of an identity that acted in this home, or that was given money on its chain.

    On a development chain any name has an account, a mistyped one too, and with it a node would wait forever for the
    grants of another.

    Raises:
        InputError: nobody used the name yet; with those that exist.
    """
    known = identities(home)
    chain = home.chain
    if name not in known and chain.is_development and not chain.balance(chain.new_account(name, funded=False).address):
        has = f"it has {', '.join(known)}" if known else "it has none yet"
        raise InputError(
            f"{home.folder} knows no identity {name!r}: {has}; name one of them, or make fresh keys: "
            "fedproof keys new FOLDER"
        )
    return home.account(name)
