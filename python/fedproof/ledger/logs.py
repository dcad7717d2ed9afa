"""Searches logs, in parts where the node limits how many blocks or results one search may have."""

from __future__ import annotations

from collections.abc import Sequence

from fedproof.errors import LedgerError
from fedproof.ledger.events import Log
from fedproof.ledger.http import TooLargeError
from fedproof.ledger.receipts import parse_log
from fedproof.ledger.rpc import Rpc, RpcError, hex_data

# Words of the nodes and providers that limit a search: "block range", "more than 10000 results", "response size".
_TOO_MUCH = ("range", "results", "limit", "size", "too many", "exceed")


def get_logs(rpc: Rpc, address: str, topics: Sequence[bytes | None], first: int, last: int) -> list[Log]:
    """The logs of a contract in blocks `first` to `last`, oldest first.

    Raises:
        RpcError: the node refuses.
        LedgerError: the node sent something else than logs.
    """
    found: list[Log] = []
    todo = [(first, last)]
    while todo:
        low, high = todo.pop()
        if low > high:
            continue
        query = {
            "address": address,
            "topics": [None if topic is None else hex_data(topic) for topic in topics],
            "fromBlock": hex(low),
            "toBlock": hex(high),
        }
        try:
            answer = rpc.request("eth_getLogs", query)
        except (RpcError, TooLargeError) as error:
            much = isinstance(error, TooLargeError) or any(word in error.detail.lower() for word in _TOO_MUCH)
            if low == high or not much:
                raise
            middle = (low + high) // 2
            todo += [(middle + 1, high), (low, middle)]
            continue
        if not isinstance(answer, list):
            raise LedgerError("the node sent no list of logs")
        logs = [parse_log(raw) for raw in answer]
        if any(log.address != address or not low <= log.block_number <= high for log in logs):
            raise LedgerError("the node sent logs that were not asked for")
        found += logs
    return sorted(found, key=lambda log: (log.block_number, log.log_index))
