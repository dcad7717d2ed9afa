"""The part of `fedproof node check` that each role has of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from fedproof.app.amounts import show_tokens
from fedproof.app.keystore import PublicKeys
from fedproof.app.nodecheck import Caution, Checkup
from fedproof.app.nodeconfig import NodeConfig, Role
from fedproof.errors import KeyFileError, LedgerError, PendingError, StateError
from fedproof.ledger import Chain
from fedproof.ledger.accounts import Account
from fedproof.ledger.federation import Federation, Stage, TaskInfo
from fedproof.ledger.marketplace import Marketplace
from fedproof.nodes.access import find_access
from fedproof.nodes.grantee import delivered_access
from fedproof.nodes.params import TIER_TRAINING, Deployment, ListingKit
from fedproof.nodes.provider import Provider
from fedproof.nodes.records import access_state
from fedproof.nodes.state import StateFile
from fedproof.sealing import KeyPair
from fedproof.storage import BlobStore


@dataclass(frozen=True)
class Scene:
    """What the checks of a role look at. `deployment` is None while proving keys are missing."""

    up: Checkup
    config: NodeConfig
    chain: Chain
    market: Marketplace
    federation: Federation
    store: BlobStore
    keys: PublicKeys
    deployment: Deployment | None
    class_id: int
    running: bool

    def tasks(self) -> Iterator[TaskInfo]:
        """The tasks that have not ended."""
        for task_id in range(1, self.federation.tasks() + 1):
            if self.federation.stage(task_id) != Stage.ENDED:
                yield self.federation.task_info(task_id)


# -- providers --


def check_provider(scene: Scene) -> None:
    """Each folder holds the keys of a dataset that this account owns now."""
    assert scene.config.provider is not None
    for folder in scene.config.provider.datasets:
        scene.up.say(f"dataset {folder.name}", lambda folder=folder: _dataset(scene, folder))  # type: ignore[misc]


def _dataset(scene: Scene, folder: Path) -> str | Caution:
    state = _open(scene, folder, _provider_state, "name a folder that a listing has left")
    if state is None:
        return Caution(f"{folder} is in use by this node, which is running")
    with state:
        # its keys and powers take part in listing alone, which nobody does here
        nothing = cast(Any, None)
        kit = ListingKit(scene.market, scene.store, nothing, nothing, scene.class_id, 0, 0)
        provider = Provider(kit, cast(Account, nothing), state)
        dataset = provider.dataset
        if dataset is None:
            raise StateError(f"{folder} holds no dataset that is listed on this chain: list it first")
        present = scene.market.dataset(dataset)
        if present.provider != scene.keys.address:
            raise StateError(f"dataset {dataset} is of {present.provider}, not of this node's {scene.keys.address}")
        if present.version not in provider.tier_keys():
            raise StateError(
                f"the keys of version {present.version} of dataset {dataset} are not in {folder}: take them over from "
                "its last owner, or update the dataset"
            )
    if present.class_id != scene.class_id:
        return Caution(
            f"dataset {dataset} is of class {present.class_id}; the deployment's tasks take {scene.class_id}"
        )
    return f"dataset {dataset}, version {present.version}; the keys are here"


# -- participants --


def check_participant(scene: Scene) -> None:
    """The state that took the grants, every dataset that was granted, and tokens for the bond."""
    up, config = scene.up, scene.config.participant
    assert config is not None
    hpke = up.look("access", lambda: _access(scene, config.access), _say_access)
    if isinstance(hpke, KeyPair):
        granted = up.look("grants", lambda: _granted(scene), _say_granted)
        for dataset in granted or ():
            up.say(f"dataset {dataset}", lambda dataset=dataset: _deliverable(scene, hpke, dataset))  # type: ignore[misc]
    up.say("bond", lambda: _bond(scene, config.max_bond, [task.params.enrol_bond for task in _enrolling(scene)]))


def _access(scene: Scene, folder: Path) -> KeyPair | Caution:
    state = _open(scene, folder, access_state, "name the folder that took the grants in participant.access")
    if state is None:
        return Caution(f"{folder} is in use by this node, which is running")
    with state:
        private = state.get("hpke")
    if private is None:
        raise StateError(f"{folder} has taken no grant: name the folder that did in participant.access")
    return KeyPair.from_private_bytes(bytes.fromhex(private))


def _say_access(found: KeyPair | Caution) -> str | Caution:
    return found if isinstance(found, Caution) else "it holds the key that grants are sealed to"


def _granted(scene: Scene) -> dict[int, int]:
    """Datasets with a running grant that the configuration takes, and its end in Unix seconds."""
    config = scene.config.participant
    assert config is not None
    now = scene.chain.timestamp()
    found: dict[int, int] = {}
    for grant in scene.market.grants(grantee=scene.keys.address):
        if grant.tier >= TIER_TRAINING and grant.expiry > now:
            found[grant.dataset_id] = max(grant.expiry, found.get(grant.dataset_id, 0))
    wanted = config.datasets
    if wanted is not None:
        for dataset in wanted:
            if dataset not in found:
                raise StateError(
                    f"{scene.keys.address} has no running grant of Tier {TIER_TRAINING} of dataset {dataset}, which "
                    "participant.datasets names: ask for one"
                )
        found = {dataset: found[dataset] for dataset in wanted}
    if not found:
        raise StateError(f"{scene.keys.address} has no running grant of Tier {TIER_TRAINING}: ask for one")
    return found


def _say_granted(found: dict[int, int]) -> str:
    ends = (f"{dataset} until {time.strftime('%Y-%m-%d', time.gmtime(end))}" for dataset, end in found.items())
    return f"Tier {TIER_TRAINING} of dataset " + ", ".join(ends)


def _deliverable(scene: Scene, hpke: KeyPair, dataset: int) -> str | Caution:
    address = scene.keys.address
    try:
        if scene.deployment is not None:
            access = find_access(scene.deployment, address, hpke, dataset).access
        else:  # the powers are still missing, which a committee's shares are checked with
            access = delivered_access(scene.market, scene.store, address, hpke, dataset)
    except PendingError as error:
        return Caution(f"granted, and not usable yet; the node takes it when it comes: {error}")
    if access.tier < TIER_TRAINING:
        raise StateError(f"the key of dataset {dataset} that has come is of tier {access.tier}: wait for the other")
    return f"the key of version {access.listing.version} is here, and opens"


# -- workers --


def check_worker(scene: Scene) -> None:
    """The tasks that name this worker know its HPKE key."""
    config = scene.config.worker
    assert config is not None
    scene.up.say("committees", lambda: _committees(scene))
    bonds = [task.params.worker_bond for task in _enrolling(scene) if _member_key(scene, task) is not None]
    scene.up.say("bond", lambda: _bond(scene, config.max_bond, bonds))


def _committees(scene: Scene) -> str:
    found = []
    for task in scene.tasks():
        key = _member_key(scene, task)
        if key is None:
            continue
        if key != scene.keys.hpke_public:
            raise KeyFileError(
                f"task {task.task_id} knows another HPKE key of {scene.keys.address} than the keystore's: use the "
                "keystore that it was opened with, for nothing that is sealed to this worker would open"
            )
        found.append(str(task.task_id))
    return f"in the committee of task {', '.join(found)}" if found else f"no task that runs names {scene.keys.address}"


def _member_key(scene: Scene, task: TaskInfo) -> bytes | None:
    return next((each.hpke_key for each in task.workers if each.address == scene.keys.address), None)


# -- all of them --


def _enrolling(scene: Scene) -> list[TaskInfo]:
    return [task for task in scene.tasks() if task.stage == Stage.ENROLLING]


def _bond(scene: Scene, most: int, asked: list[int]) -> str | Caution:
    """Tokens for the bonds of tasks that enrol now, as far as the configuration allows them."""
    held = int(scene.chain.call(scene.market.token.functions.balanceOf(scene.keys.address)))
    needed = max((bond for bond in asked if bond <= most), default=0)
    if held < needed:
        raise LedgerError(
            f"{scene.keys.address} has {show_tokens(held)} tokens, and a task asks for a bond of {show_tokens(needed)}"
        )
    if any(bond > most for bond in asked):
        return Caution(f"a task asks for more than max_bond = {show_tokens(most)} tokens; the node keeps out of it")
    if held < most:
        return Caution(f"it has {show_tokens(held)} tokens, fewer than max_bond = {show_tokens(most)}")
    return f"{show_tokens(held)} tokens; it stakes {show_tokens(most)} in a task at most"


def _provider_state(folder: Path) -> StateFile:
    return StateFile(folder, "provider")


def _open(scene: Scene, folder: Path, open_state: Callable[[Path], StateFile], advice: str) -> StateFile | None:
    """The saved state in a folder that exists; None while the running node holds it."""
    if not (folder / "state.json").exists():
        raise StateError(f"{folder} holds no saved state: {advice}")
    try:
        return open_state(folder)
    except StateError as error:
        if scene.running and "in use" in str(error):
            return None
        raise


CHECKS: Final[dict[Role, Callable[[Scene], None]]] = {
    "provider": check_provider,
    "participant": check_participant,
    "worker": check_worker,
}
