"""The one seam between fedproof and a chain: JSON-RPC requests, answered in process or over HTTP."""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from fedproof.errors import LedgerError

_QUANTITY: Final = re.compile("0x[0-9a-fA-F]{1,64}")


class RpcError(LedgerError):
    """The node answered with a JSON-RPC error. `data` is the revert data where the node gave any."""

    def __init__(self, method: str, code: int, message: str, data: bytes | None = None) -> None:
        self.method = method
        self.code = code
        self.detail = message
        self.data = data
        super().__init__(f"the node refused {method}: {message[:300]}")


class Rpc(Protocol):
    """Anything that answers JSON-RPC requests."""

    @property
    def url(self) -> str:
        """Where the node is, without credentials."""

    def request(self, method: str, *params: Any) -> Any:
        """The `result` of one request.

        Raises:
            RpcError: the node understood and refused.
            LedgerError: the node could not be reached or does not speak JSON-RPC.
        """


def hex_data(data: bytes) -> str:
    """Bytes as JSON-RPC writes them."""
    return "0x" + data.hex()


def parse_quantity(value: Any, what: str) -> int:
    """A JSON-RPC quantity such as `0x1f`. A node that sends anything else is not trusted further."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):  # `int` takes a sign, spaces and underscores, too
        return int(value, 16)
    raise LedgerError(f"the node sent no hexadecimal number as {what}: check that the URL is a JSON-RPC endpoint")


def parse_data(value: Any, what: str, length: int | None = None) -> bytes:
    """JSON-RPC data such as `0x00ff`, of `length` bytes where given."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            pass
        else:
            if length is None or len(data) == length:
                return data
    raise LedgerError(f"the node sent no hexadecimal bytes as {what}: check that the URL is a JSON-RPC endpoint")
