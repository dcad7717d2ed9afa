"""What every role of a deployment shares: chain, contracts, store, powers of tau and keys. All of it is public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedproof import _core
from fedproof.learning.cost import UPDATE_BLINDING
from fedproof.learning.plans import Plan
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.keys import Keys
from fedproof.statements.labels import BINARY, LabelKind
from fedproof.statements.layout import DatasetLayout, srs_size
from fedproof.storage import BlobStore

TIER_TRAINING = 3


@dataclass(frozen=True)
class ListingKit:
    """What listing a dataset of one capacity class takes.

    Attributes:
        class_id: of the class in the registry; rows, columns: its shape.
        keys: of the listing statement of this shape and label kind.
        kind: what the labels of the class's datasets are.
    """

    market: Marketplace
    store: BlobStore
    srs: _core.Srs
    keys: Keys
    class_id: int
    rows: int
    columns: int
    kind: LabelKind = BINARY


@dataclass(frozen=True)
class Deployment:
    """A marketplace with one capacity class, and where its blobs are.

    Attributes:
        plan: the class, the model of its tasks, and the statement that they ask for.
        class_id: of the capacity class in the registry.
        keys: by statement: `eligibility`, `listing`, `training` or `bounded`, `aggregation`, `spend`.
    """

    market: Marketplace
    store: BlobStore
    srs: _core.Srs
    plan: Plan
    class_id: int
    keys: Mapping[str, Keys]

    @property
    def layout(self) -> DatasetLayout:
        """Layout of the class's datasets."""
        return DatasetLayout(self.plan.rows, self.plan.columns)

    @property
    def update_keys(self) -> Keys:
        """Of the statement that updates are proven with."""
        return self.keys[self.plan.key_name]

    @property
    def listing(self) -> ListingKit:
        """What a provider needs of it."""
        plan, kind = self.plan, LabelKind.of(self.plan.model)
        return ListingKit(
            self.market, self.store, self.srs, self.keys["listing"], self.class_id, plan.rows, plan.columns, kind
        )

    @property
    def update_size(self) -> int:
        """Length of an update's vector."""
        return update_size(self.plan)


def update_size(plan: Plan) -> int:
    """Length of an update's vector: all positions of the weights, the gaps between them, and the blinding."""
    return plan.blinding_at + UPDATE_BLINDING


def powers_size(plan: Plan) -> int:
    """Powers of tau that tasks of a plan need: for a masked dataset, and for an update."""
    return max(srs_size(plan.rows, plan.columns, plan.mask_count), update_size(plan))
