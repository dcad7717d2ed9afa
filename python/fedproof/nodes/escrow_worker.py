"""A member of key committees: answers grants of datasets whose provider may be offline (protocol, section 6).

It acts for grants that the chain shows and for nobody else, and once for each. What it passes on it has checked against
the commitments of the escrow, so that a grantee may take a wrong share for a worker's doing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from fedproof.errors import LedgerError, SealingError, SharingError, StorageError
from fedproof.ledger import Account, SignedTransaction
from fedproof.ledger.http import UnreachableError
from fedproof.ledger.market_types import AccessGranted, KeysPlaced, ShareReleased
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.escrow import EscrowKit, belongs, eras_of, escrow_context, raw_address
from fedproof.nodes.outbox import forget, send_once
from fedproof.nodes.state import StateFile
from fedproof.proving.transcript import hpke_key_word
from fedproof.sealing import KeyPair, open_sealed, seal
from fedproof.sealing.escrow import MAX_ESCROW_BYTES, Escrow, Member
from fedproof.sharing import KEY_SHARE_LENGTH, Share, check_key_share

MAX_SEALED_SHARE = 4096
"""No sealed share is longer."""
MAX_RELEASES = 3
"""Of one tier of one version to one grantee: a provider that places its keys again makes its workers pay again."""


@dataclass(frozen=True)
class Releases:
    """What a worker released, and in words what it could not, with the dataset that it is about."""

    released: list[ShareReleased]
    refused: list[str]


class EscrowWorker:
    """A member of committees. Holds one HPKE key, and what it has sent.

    Args:
        hpke: default is a key that lives with the state.
        seen: the marketplace at a depth. A grant is answered once it is there: a share cannot be taken back.
    """

    def __init__(
        self,
        kit: EscrowKit,
        account: Account,
        state: StateFile,
        hpke: KeyPair | None = None,
        seen: Marketplace | None = None,
    ) -> None:
        self.kit = kit
        self.account = account
        self.state = state
        self._seen = seen or kit.market
        if hpke is None:
            if state.get("hpke") is None:
                state.put(hpke=KeyPair.generate().private.hex())
            hpke = KeyPair.from_private_bytes(bytes.fromhex(state.get("hpke")))
        self._hpke = hpke

    @property
    def member(self) -> Member:
        """What a provider puts into its committee."""
        return Member(raw_address(self.account.address), self._hpke.public)

    def release_shares(self, datasets: Collection[int] | None = None) -> Releases:
        """Answer every running grant that this worker holds a share for and has not answered; safe to repeat.

        Only the present version of a dataset counts, as it does for its provider. One bad escrow does not keep the
        others from being served.

        Args:
            datasets: serve these alone. Each release costs gas, and anybody can name anybody in an escrow; None
                serves all.
        """
        market, out = self.kit.market, Releases([], [])
        by_dataset: dict[int, list[KeysPlaced]] = defaultdict(list)
        for each in market.escrow.placements():
            if datasets is None or each.dataset_id in datasets:
                by_dataset[each.dataset_id].append(each)
        for dataset, placements in sorted(by_dataset.items()):
            version = market.dataset(dataset).version
            present = [each for each in placements if each.version == version]
            if present:
                self._serve(present, out)
        return out

    def _serve(self, placements: list[KeysPlaced], out: Releases) -> None:
        """Answer the grants of one version, by the last of its placements."""
        market, placed = self.kit.market, placements[-1]
        where = f"dataset {placed.dataset_id}, version {placed.version}"
        try:
            escrow = Escrow.decode(self.kit.store.get(placed.escrow_id.hex(), limit=MAX_ESCROW_BYTES))
        except (SealingError, StorageError) as error:
            out.refused.append(f"{where}: {error}")
            return
        index = escrow.place_of(self.member.address)
        if index is None:
            return
        if escrow.members[index - 1] != self.member:
            out.refused.append(f"{where}: the escrow names another HPKE key for {self.account.name}")
            return
        now = market.chain.timestamp()
        grants = {(each.grantee, each.tier): each for each in self._seen.grants(datasetId=placed.dataset_id)}
        mine = [
            each
            for each in market.escrow.released(datasetId=placed.dataset_id, worker=self.account.address)
            if each.version == placed.version
        ]
        eras = eras_of(placements, placed.escrow_id)
        done = {(each.grantee, each.tier) for each in mine if belongs(each, eras)}
        spent = Counter((each.grantee, each.tier) for each in mine)
        for pair, grant in grants.items():
            if pair in done or grant.expiry <= now:
                continue
            try:
                if spent[pair] >= MAX_RELEASES:
                    raise SealingError(f"released {MAX_RELEASES} times for this version; its keys are placed too often")
                out.released.append(self._release(placed, escrow, index, grant))
            except (SealingError, SharingError, StorageError, LedgerError) as error:
                if isinstance(error, UnreachableError):
                    market.chain.block_number()  # raises where nothing answers: no other grant would fare better
                out.refused.append(f"{where}, tier {grant.tier}, grantee {grant.grantee}: {error}")

    def _release(self, placed: KeysPlaced, escrow: Escrow, index: int, grant: AccessGranted) -> ShareReleased:
        market = self.kit.market
        shared = escrow.tier(grant.tier)
        if shared is None:
            raise SealingError("the escrow does not hold this tier")
        kept = market.grant(placed.dataset_id, grant.grantee, grant.tier)
        if kept.hpke_key_hash != hpke_key_word(grant.hpke_key)[: len(kept.hpke_key_hash)]:
            raise SealingError("the grant's event names another HPKE key than the registry keeps")

        def prepare() -> SignedTransaction:
            context = escrow_context(market, placed.dataset_id, placed.version)
            member = escrow.members[index - 1]
            sealed = self.kit.store.get(shared.shares[index - 1].hex(), limit=MAX_SEALED_SHARE)
            plain = open_sealed(self._hpke, sealed, context.share_info(shared, index, member))
            share = Share.decode(plain, index=index, length=KEY_SHARE_LENGTH)
            check_key_share(share, shared.commitment, shared.commitments_r, self.kit.srs)
            info = context.release_info(shared, index, member, raw_address(grant.grantee))
            again = seal(grant.hpke_key, share.encode(), info)
            call = market.escrow.release_call(placed.dataset_id, placed.version, grant.tier, grant.grantee, again)
            return market.chain.prepare(call, self.account)

        name = f"release/{placed.escrow_id.hex()}/{placed.block_number}/{grant.tier}/{grant.grantee}"
        receipt = send_once(market.chain, self.state, name, prepare)
        forget(self.state, name)  # the chain remembers
        return ShareReleased.of(receipt.event("ShareReleased"))
