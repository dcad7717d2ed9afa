"""The tier key of a grant, whichever way it comes: delivered by the provider, or in shares from a committee."""

from __future__ import annotations

from fedproof.errors import FedproofError, InputError, SealingError, SharingError, StateError, StorageError
from fedproof.nodes.escrow import Collected, EscrowKit, collect_key
from fedproof.nodes.grantee import Access, check_hpke, delivered_access
from fedproof.sealing import KeyPair


def find_access(kit: EscrowKit, grantee: str, hpke: KeyPair, dataset_id: int, version: int | None = None) -> Collected:
    """The key of the highest tier that a grantee can have of the newest version, or of one.

    What the provider delivered comes first; a committee is asked for what is missing. Where the newest version has no
    key yet, the newest one that has is taken, unless one was named.

    Args:
        kit: with the powers of tau of the dataset's class.

    Raises:
        StateError: no key was delivered, and no committee has released enough shares; or the grant is of another key.
        SharingError, SealingError, StorageError: nothing was delivered, and shares or escrow of a committee are wrong.
    """
    delivered: Access | None = None
    problem: FedproofError
    granted = {grant.tier for grant in kit.market.grants(datasetId=dataset_id, grantee=grantee)}
    for tier in granted:
        check_hpke(kit.market, grantee, hpke, dataset_id, tier)
    try:
        delivered = delivered_access(kit.market, kit.store, grantee, hpke, dataset_id, version)
    except (StateError, SealingError) as error:
        problem = error
    wanted = kit.market.dataset(dataset_id).version if version is None else version
    enough = delivered.tier if delivered is not None and delivered.listing.version == wanted else 0
    if kit.market.escrow.placed(dataset_id, wanted) is not None:
        for tier in sorted((tier for tier in granted if tier > enough), reverse=True):
            try:
                return collect_key(kit, grantee, hpke, dataset_id, tier, wanted)
            except (StateError, InputError, SharingError, SealingError, StorageError) as error:
                problem = error
    if delivered is not None:
        return Collected(delivered, [])
    raise problem
