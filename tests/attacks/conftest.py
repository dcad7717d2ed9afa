"""What the attacks share: a federation of toy keys on an embedded chain, as it is and with a switch in its contracts.

The toy keys prove anything that is satisfiable, so that whatever a contract refuses, it refuses by itself. Rounds with
real keys are those of tests/e2e.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest

from fedproof.ledger import Artifact, Chain
from fedproof.ledger.federation import LIBRARIES, Federation, TaskInfo, Update
from fedproof.ledger.marketplace import Marketplace
from tests.attacks.weak_contracts import compile_weakened, leave_out, without_size_limits
from tests.attacks.weakened import Check
from tests.contracts import toy, world
from tests.contracts.federation import arena as arenas
from tests.contracts.federation.arena import Arena
from tests.contracts.world import World
from tests.e2e.conftest import arena as _arena
from tests.e2e.conftest import key_cache as _key_cache

key_cache, arena = _key_cache, _arena  # a federation with real keys, of the tests of whole rounds


@pytest.fixture(scope="session")
def _shared_ours() -> Arena:
    return arenas.build(world.build(Chain.embedded()))


@pytest.fixture
def ours(_shared_ours: Arena) -> Iterator[Arena]:
    """The federation as it is, put back after the test."""
    snapshot = _shared_ours.chain.dev.snapshot()
    yield _shared_ours
    _shared_ours.chain.dev.revert(snapshot)
    _shared_ours.federation.forget()


@pytest.fixture(scope="session")
def weak_artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Artifacts of the weakened contracts, compiled once."""
    return compile_weakened(tmp_path_factory.mktemp("weakened"))


@dataclass(frozen=True)
class Weak:
    """The weakened contracts on the chain of `ours`, all checks in place until the switch is set."""

    arena: Arena
    """The datasets and grants are those of `ours`; the federation is not."""
    world: World
    """A marketplace of its own."""
    second: Federation
    """Another federation over the same registry."""

    def leave_out(self, check: Check) -> None:
        """Set the switch, once in a test."""
        leave_out(self.arena.chain, check)


def _weak_world(ours: World, artifacts: dict[str, Artifact]) -> World:
    """A marketplace like `Marketplace.deploy` makes, of the weakened contracts."""
    chain, owner, old = ours.chain, ours.owner, ours.market
    poseidon = {name: chain.deploy(name, sender=owner).address for name in ("PoseidonT3", "PoseidonT5")}
    given = (old.token.address, world.EPOCH_LENGTH, chain.call(old.vault.contract.functions.spendKey()), True)
    vault = chain.deploy(artifacts["NoteVault"], *given, sender=owner, libraries=poseidon)
    registry = chain.deploy(artifacts["DatasetRegistry"], vault.address, world.MAX_DURATION, True, sender=owner)
    escrow = chain.deploy("KeyEscrow", registry.address, sender=owner)
    sales = chain.deploy("DatasetSales", registry.address, old.token.address, sender=owner)
    market = Marketplace(chain, old.token, vault, registry, escrow, sales)
    class_id = market.register_class(
        owner, world.ROWS, world.COLUMNS, toy.listing_keys().verifying, toy.eligibility_keys().verifying
    )
    return replace(
        ours, market=market, class_id=class_id, harness=chain.deploy(artifacts["ProofHarness"], sender=owner)
    )


@pytest.fixture(scope="session")
def _shared_weak(_shared_ours: Arena, weak_artifacts: dict[str, Artifact]) -> Weak:
    chain, market, sponsor = _shared_ours.chain, _shared_ours.world.market, _shared_ours.sponsor
    with without_size_limits():
        places = (market.registry.address, market.token.address, True)
        libraries = {name: chain.deploy(weak_artifacts[name], sender=sponsor).address for name in LIBRARIES}
        first, second = (
            Federation(chain, chain.deploy(weak_artifacts["Federation"], *places, sender=sponsor, libraries=libraries))
            for _ in range(2)
        )
        return Weak(replace(_shared_ours, federation=first), _weak_world(_shared_ours.world, weak_artifacts), second)


@pytest.fixture
def weak(_shared_weak: Weak, ours: Arena) -> Iterator[Weak]:
    """The weakened contracts, put back with `ours`."""
    yield _shared_weak
    _shared_weak.arena.federation.forget()
    _shared_weak.second.forget()


Builds = Callable[[Check], Iterator[tuple[str, Arena]]]


@pytest.fixture
def builds(ours: Arena, weak: Weak) -> Builds:
    """The federation as it is, and the weakened one with the switch set: an attack is tried on both."""

    def each(check: Check) -> Iterator[tuple[str, Arena]]:
        yield "ours", ours
        weak.leave_out(check)
        yield "weakened", weak.arena

    return each


class Waiting(NamedTuple):
    """A full round that waits for its leader, on one of the federations."""

    arena: Arena
    task: TaskInfo
    updates: list[Update]


def _waiting(arena: Arena) -> Waiting:
    task = arena.running(3)
    updates = arena.prove_all(task)
    for player, update in zip(arena.players, updates, strict=False):
        arena.submit(task, player, update)
    arena.freeze(task)
    arena.chain.mine()
    return Waiting(arena, arena.now(task), updates)


@pytest.fixture(scope="session")
def _waiting_ours(_shared_ours: Arena) -> Waiting:
    return _waiting(_shared_ours)


@pytest.fixture(scope="session")
def _waiting_weak(_shared_weak: Weak) -> Waiting:
    return _waiting(_shared_weak.arena)


Rounds = Callable[[Check], Iterator[tuple[str, Waiting]]]


@pytest.fixture
def rounds(_waiting_ours: Waiting, _waiting_weak: Waiting, weak: Weak) -> Rounds:
    """Rounds that wait for their leader: as it is, weakened with the switch not set, and with the check left out."""

    def each(check: Check) -> Iterator[tuple[str, Waiting]]:
        yield "ours", _waiting_ours
        yield "all checks", _waiting_weak
        weak.leave_out(check)
        yield "weakened", _waiting_weak

    return each


@pytest.fixture
def waiting(_waiting_ours: Waiting, ours: Arena) -> Waiting:
    """A round of `ours` that waits for its leader, put back after the test."""
    return _waiting_ours
