"""A federation on a network, as its deployment file names it: what commands need that neither prove nor keep a node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fedproof import _core
from fedproof.app.deployment import DeploymentFile
from fedproof.app.joining import check_contracts, load_powers
from fedproof.app.telling import Silent, Teller
from fedproof.errors import InputError, StorageError
from fedproof.ledger import Chain, SendingPolicy
from fedproof.ledger.federation import Federation
from fedproof.ledger.marketplace import Marketplace
from fedproof.storage import BlobStore

DEFAULT_RPC: Final = "http://127.0.0.1:8545"
PUBLIC_CONFIRMATIONS: Final = 2
_PACE_BLOCKS: Final = 100


@dataclass
class Connection:
    """The contracts of a deployment, checked, with its store and the powers of tau, both opened when first needed.

    Attributes:
        store_url: in place of the document's. cache: folder of what was fetched and checked before.
    """

    document: DeploymentFile
    chain: Chain
    market: Marketplace
    federation: Federation
    store_url: str | None = field(default=None, repr=False)
    cache: Path | None = None
    teller: Teller = field(default_factory=Silent)
    _store: BlobStore | None = None
    _powers: _core.Srs | None = None

    @classmethod
    def at(
        cls,
        document: DeploymentFile,
        chain: Chain,
        store_url: str | None = None,
        cache: Path | None = None,
        teller: Teller | None = None,
    ) -> Connection:
        """The network of a document on an open chain.

        Raises:
            LedgerError: the contracts are not those of this package, or the chain is another.
        """
        market, federation = check_contracts(document, chain)
        return cls(document, chain, market, federation, store_url, cache, teller or Silent())

    @property
    def store(self) -> BlobStore:
        """The blobs.

        Raises:
            StorageError: the folder is not there; reading from it would make an empty one.
        """
        if self._store is None:
            address = self.store_url or self.document.store
            if "://" not in address and not Path(address).is_dir():
                raise StorageError(f"the store {address} is not there: name where its blobs are with --store")
            self._store = BlobStore.open(address)
        return self._store

    @property
    def powers(self) -> _core.Srs:
        """The powers of tau, from the cache or else the store; see `load_powers` for the errors."""
        if self._powers is None:
            if self.cache is None:
                raise InputError("no cache folder for the powers of tau was given")
            self._powers = load_powers(self.document, self.cache, self.store, self.teller.doing)
        return self._powers

    def seconds_per_block(self) -> float:
        """Pace of the last blocks; 0 on a chain that has none yet."""
        head = self.chain.block_number()
        count = min(_PACE_BLOCKS, head)
        if count == 0:
            return 0.0
        return (self.chain.timestamp(head) - self.chain.timestamp(head - count)) / count


@contextlib.contextmanager
def open_connection(
    deployment: Path,
    rpc: str,
    *,
    store: str | None = None,
    cache: Path | None = None,
    confirmations: int | None = None,
    teller: Teller | None = None,
) -> Iterator[Connection]:
    """The network of a deployment file, through a node of its chain.

    Args:
        confirmations: blocks that must follow a transaction; by default 2, on a development chain none.

    Raises:
        InputError: the file or the URL is wrong.
        LedgerError: the node cannot be reached, or is of another chain.
    """
    document = DeploymentFile.read(deployment)
    with connect(rpc, document.chain_id, confirmations) as chain:
        yield Connection.at(document, chain, store, cache, teller)


def connect(rpc: str, chain_id: int, confirmations: int | None) -> Chain:
    """A chain whose transactions count when they are so deep; see `open_connection`."""
    chain = Chain.connect(rpc, chain_id=chain_id)
    if confirmations is None:
        confirmations = 0 if chain.is_development else PUBLIC_CONFIRMATIONS
    if not confirmations:
        return chain
    poll = 0.1 if chain.is_development else 1.0
    chain.close()
    policy = SendingPolicy(confirmations=confirmations, poll_seconds=poll, receipt_seconds=600.0)
    return Chain.connect(rpc, chain_id=chain_id, policy=policy)
