"""The provider as a role: answers the grants of its datasets with the tiers' keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from web3.contract import Contract

from fedproof.errors import LedgerError
from fedproof.ledger import Account
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.params import ListingKit
from fedproof.nodes.provider import Provider
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.state import StateFile


class ProviderRole:
    """One provider's account with all its datasets.

    Args:
        seen: the marketplace at a depth, to decide by.
        folders: by name, where the keys of each listed dataset are. One is held only while it is worked in, so that the
            dataset can be updated beside the running node.
    """

    def __init__(
        self, kit: ListingKit, seen: Marketplace, account: Account, folders: Mapping[str, Path], acts: Acts
    ) -> None:
        self._kit = kit
        self._seen = seen
        self._account = account
        self._folders = folders
        self._acts = acts

    @property
    def contracts(self) -> Sequence[Contract]:
        """Whose events wake it."""
        return [self._seen.registry]

    def undone(self, blocks: int) -> None:
        """The chain took blocks back: nothing is remembered that could be wrong now."""

    def step(self, block: int) -> int | None:
        """Do what is due."""
        self._acts.begin(block, lambda: self._kit.market.chain.block_number())
        for name, folder in self._folders.items():
            self._acts.do(f"answer/{name}", lambda f=folder: self._answer(f))  # type: ignore[misc]
        return self._acts.wake

    def _answer(self, folder: Path) -> None:
        with StateFile(folder, "provider") as state:
            answers = Provider(self._kit, self._account, state, self._seen).answer()
        for each in answers.delivered:
            self._acts.diary.info("key.delivered", dataset=each.dataset_id, grantee=each.grantee, tier=each.tier)
        if answers.refused:
            raise LedgerError("; ".join(answers.refused))
