"""Transfer and sale of dataset tokens from a marketplace home."""

from __future__ import annotations

from typing import Any

from eth_utils.address import is_checksum_address, is_hex_address, to_checksum_address

from fedproof.app.amounts import show_tokens
from fedproof.app.home import Home
from fedproof.errors import InputError
from fedproof.ledger.market_types import Offer


def address_of(home: Home, who: str) -> str:
    """An address, or that of an identity of this home.

    Raises:
        InputError: neither; or an address in mixed case whose checksum (EIP-55) is wrong, so that a digit is.
    """
    if not who.lower().startswith("0x"):
        return home.account(who).address
    return parse_address(who)


def parse_address(text: str) -> str:
    """An address with its checksum.

    Raises:
        InputError: it is none, or its checksum is wrong.
    """
    if not isinstance(text, str) or not text.startswith("0x") or not is_hex_address(text):
        raise InputError(f"{text!r} is no address: 0x and 40 hexadecimal digits")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(text):
        raise InputError(f"{text!r} is mistyped: its checksum is wrong; copy it again")
    return str(to_checksum_address(text))


def transfer(home: Home, name: str, dataset_id: int, to: str) -> str:
    """Give a dataset token away; income of later grants goes to its new owner. Returns the transaction's hash."""
    functions, sender = home.market.registry.functions, home.account(name)
    call = functions.transferFrom(sender.address, address_of(home, to), dataset_id)
    return home.chain.transact(call, sender).tx_hash


def offer(home: Home, name: str, dataset_id: int, price: int, buyer: str | None = None) -> Offer:
    """Offer a dataset token for sale, to anybody or to one buyer."""
    home.market.sales.offer(home.account(name), dataset_id, price, None if buyer is None else address_of(home, buyer))
    found = home.market.sales.offer_of(dataset_id)
    assert found is not None
    return found


def buy(home: Home, name: str, dataset_id: int, most: int) -> Offer:
    """Buy a dataset token at its price, if that is at most `most`.

    Raises:
        InputError: it is not for sale to this identity, or dearer.
    """
    found, account = home.market.sales.offer_of(dataset_id), home.account(name)
    if found is None or found.buyer not in (None, account.address):
        raise InputError(f"dataset {dataset_id} is not for sale to {name}")
    if found.price > most:
        raise InputError(f"dataset {dataset_id} costs {show_tokens(found.price)} tokens, more than {show_tokens(most)}")
    home.market.sales.buy(account, found, home.market.dataset(dataset_id).version)
    return found


def offer_json(found: Offer) -> dict[str, Any]:
    """For scripts."""
    return {
        "dataset": found.dataset_id,
        "seller": found.seller,
        "buyer": found.buyer,
        "price": show_tokens(found.price),
    }
