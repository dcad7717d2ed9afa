"""What every role of a deployment shares: chain, contracts, store, powers of tau and keys. All of it is public."""

from __future__ import annotations

from dataclasses import dataclass

from fedproof import _core
from fedproof.learning.fixed import TrainingSpec
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.keys import Keys
from fedproof.statements.layout import DatasetLayout
from fedproof.storage import BlobStore

TIER_TRAINING = 3


@dataclass(frozen=True)
class ListingKit:
    """What listing a dataset of one capacity class takes.

    Attributes:
        class_id: of the class in the registry; rows, columns: its shape.
        keys: of the listing statement of this shape.
    """

    market: Marketplace
    store: BlobStore
    srs: _core.Srs
    keys: Keys
    class_id: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Deployment:
    """A marketplace with one capacity class, and where its blobs are.

    Attributes:
        spec: the class and how its tasks train.
        class_id: of the capacity class in the registry.
        keys: by statement: `eligibility`, `listing`, `training`, `aggregation`, `spend`.
    """

    market: Marketplace
    store: BlobStore
    srs: _core.Srs
    spec: TrainingSpec
    class_id: int
    keys: dict[str, Keys]

    @property
    def layout(self) -> DatasetLayout:
        """Layout of the class's datasets."""
        return DatasetLayout(self.spec.rows, self.spec.columns)

    @property
    def listing(self) -> ListingKit:
        """What a provider needs of it."""
        spec = self.spec
        return ListingKit(
            self.market, self.store, self.srs, self.keys["listing"], self.class_id, spec.rows, spec.columns
        )
