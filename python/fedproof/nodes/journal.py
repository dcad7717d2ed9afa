"""A node's journal of the chain: how far it has read, and which events it has not handled yet. SQLite, one file.

Reading goes on where it stopped, in another process, too. Every block that had an event, the last one read, and one so
deep that it stays are kept with their hashes: when the chain has other blocks in their place, the journal goes back to
where both agree, and what it had read beyond is read anew. A node that does not have the last block is behind, and is
waited for: chains grow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from web3.contract import Contract

from fedproof.errors import LedgerError, StateError
from fedproof.ledger import Chain
from fedproof.ledger.logs import get_logs
from fedproof.ledger.rpc import parse_data

VERSION: Final = 1
UNDO_DEPTH: Final = 256
"""A chain that exchanges more blocks than this is not followed any further."""
CHUNK: Final = 2000
"""So many blocks are read and saved at a time: who is far behind does not begin again when the node fails."""
_MOST: Final = (1 << 63) - 1  # SQLite's
_Row = tuple[int, int, str, bytes, str]
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS events (
    block INTEGER NOT NULL, place INTEGER NOT NULL, address TEXT NOT NULL, topic BLOB NOT NULL, tx TEXT NOT NULL,
    handled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (block, place)) STRICT;
"""


@dataclass(frozen=True)
class Entry:
    """An event that was read: its block, place in the block, contract, first topic and transaction."""

    block: int
    place: int
    address: str
    topic: bytes
    tx_hash: str


class Journal:
    """A journal file of one node on one chain.

    Raises:
        StateError: the file is damaged, of another version, or of another chain.
    """

    def __init__(self, path: Path, chain_id: int, start: int = 0) -> None:
        self._path = path
        self._untold = 0
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            path.chmod(0o600)
            self._check("version", str(VERSION))
            self._check("chain", str(chain_id))
            self._check("start", str(start), keep=True)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _check(self, key: str, value: str, *, keep: bool = False) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        found = self._value("SELECT value FROM meta WHERE key = ?", key)
        if found != value and not keep:
            raise StateError(f"{self._path} is of {key} {found}, not {value}; move it away")

    @property
    def cursor(self) -> int:
        """The last block that has been read; one before the first when none has."""
        found = self._value("SELECT max(number) FROM blocks")
        return self._start - 1 if found is None else int(found)

    def hash_of(self, number: int) -> bytes | None:
        """The hash of a block that was read, None where it is not kept."""
        found = self._value("SELECT hash FROM blocks WHERE number = ?", number)
        return None if found is None else bytes(found)

    @property
    def _start(self) -> int:
        return int(self._value("SELECT value FROM meta WHERE key = 'start'"))

    def _query(self, sql: str, *values: object) -> list[Any]:
        """The rows that a question finds.

        Raises:
            StateError: the file is damaged or cannot be read.
        """
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _value(self, sql: str, *values: object) -> Any:
        """The first column of the first row, None where there is no row."""
        rows = self._query(sql, *values)
        return rows[0][0] if rows else None

    def _failure(self, error: sqlite3.Error) -> StateError:
        if isinstance(error, sqlite3.OperationalError):  # the disk, the rights, another process
            return StateError(f"{self._path} cannot be used: {error}; free space and start again")
        return StateError(f"{self._path} is damaged: {error}; move it away, it is made again from the chain")

    def advance(self, chain: Chain, contracts: Sequence[Contract], to_block: int) -> int:
        """Read the events of these contracts up to a block; returns how many blocks were taken back first.

        Raises:
            LedgerError: the node fails, or has exchanged more than `UNDO_DEPTH` blocks. What was read before that stays
                read, and what was taken back is told by the next call that succeeds.
        """
        while True:
            self._untold += self._undo(chain)
            first = self.cursor + 1
            if first > to_block:
                break
            self._read(chain, contracts, first, min(to_block, first + CHUNK - 1), max(0, to_block - UNDO_DEPTH))
        undone, self._untold = self._untold, 0
        return undone

    def _read(self, chain: Chain, contracts: Sequence[Contract], first: int, last: int, deep: int) -> None:
        """Read and save the blocks `first` to `last`. What lies below `deep` will not be exchanged: of those blocks no
        hashes are needed, but for the one to go back to."""
        head, before = _block_hash(chain, last), self.hash_of(first - 1)
        logs = _rows(chain, contracts, first, last)
        anchor = max(self._start - 1, last - UNDO_DEPTH, 0)
        hashes = {number: _block_hash(chain, number) for number in sorted({row[0] for row in logs}) if number >= deep}
        if not self._knows(anchor - UNDO_DEPTH, anchor):
            hashes[anchor] = _block_hash(chain, anchor)
        if _block_hash(chain, last) != head or (before is not None and _block_hash(chain, first - 1) != before):
            raise LedgerError("the chain changed while it was read; it is read again")
        with self._writing():
            self._db.executemany("INSERT INTO events (block, place, address, topic, tx) VALUES (?, ?, ?, ?, ?)", logs)
            self._db.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?)", [*hashes.items(), (last, head)])
            # the newest block that is deep enough stays: where all others are exchanged, reading starts there
            newest = "SELECT max(number) FROM blocks WHERE number <= ?"
            self._db.execute(f"DELETE FROM blocks WHERE number < ({newest})", (anchor,))  # noqa: S608
            self._db.execute("DELETE FROM events WHERE handled = 1 AND block < (SELECT min(number) FROM blocks)")

    def _undo(self, chain: Chain) -> int:
        """Go back to the last block that the chain still has; returns how many blocks that was."""
        known = self._query("SELECT number, hash FROM blocks ORDER BY number DESC")
        if not known:
            return 0
        for number, block_hash in known:
            if _block_hash(chain, number) == block_hash:
                break
        else:
            raise LedgerError(
                f"the chain has exchanged every block since {known[-1][0]} that {self._path} knows: this is another "
                "chain, or its node was reset; if that is meant, move the file away"
            )
        undone = int(known[0][0]) - int(number)
        if undone:
            with self._writing():
                self._db.execute("DELETE FROM blocks WHERE number > ?", (number,))
                self._db.execute("DELETE FROM events WHERE block > ?", (number,))
        return undone

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, whole or not at all."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failure(error) from None
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _knows(self, first: int, last: int) -> bool:
        """Whether one of these blocks is kept."""
        return bool(self._query("SELECT 1 FROM blocks WHERE number BETWEEN ? AND ? LIMIT 1", first, last))

    def pending(self) -> list[Entry]:
        """Events that are not handled yet, oldest first."""
        rows = self._query(
            "SELECT block, place, address, topic, tx FROM events WHERE handled = 0 ORDER BY block, place"
        )
        return [Entry(*row) for row in rows]

    def handled(self, entries: Sequence[Entry]) -> None:
        """Remember that these are handled."""
        with self._writing():
            self._db.executemany(
                "UPDATE events SET handled = 1 WHERE block = ? AND place = ?",
                [(entry.block, entry.place) for entry in entries],
            )


def _rows(chain: Chain, contracts: Sequence[Contract], first: int, last: int) -> list[_Row]:
    """The logs of these contracts, each once: some nodes send one twice.

    Raises:
        LedgerError: the node sent two different ones of one place.
    """
    rows: dict[tuple[int, int], _Row] = {}
    for contract in contracts:
        for log in get_logs(chain.rpc, contract.address, [], first, last):
            topic = log.topics[0] if log.topics else b""
            row = (log.block_number, log.log_index, contract.address, topic, log.tx_hash)
            if log.log_index > _MOST or rows.setdefault(row[:2], row) != row:
                raise LedgerError(f"the node contradicts itself about the logs of block {log.block_number}")
    return list(rows.values())


def _block_hash(chain: Chain, number: int) -> bytes:
    found = chain.rpc.request("eth_getBlockByNumber", hex(number), False)
    if not isinstance(found, dict):
        raise LedgerError(f"the node has no block {number} yet: it is behind, or stale")
    return parse_data(found.get("hash"), "a block's hash", 32)
