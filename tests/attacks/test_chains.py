"""Replay on another chain with all contracts and accounts at the same addresses: only the chain id tells them apart.

That is what a chain is after a split, and what one deployer makes who deploys the same on two chains.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedproof.ledger.federation import Stage
from fedproof.proving.linked import LinkedProof
from fedproof.proving.transcript import Challenges, listing_challenges, spend_signal
from tests.attacks.conftest import Builds, Weak
from tests.attacks.test_forgeries_rounds import LONG, only_if
from tests.attacks.trying import DONE, OTHER_CHAIN, on_another_chain, stands, tried
from tests.attacks.weakened import Check
from tests.contracts import toy
from tests.contracts.federation.arena import Arena
from tests.contracts.spends import spend
from tests.contracts.world import X25519_KEY, World

pytestmark = [pytest.mark.slow, pytest.mark.node, pytest.mark.xdist_group("attacks on contracts")]


def marketplaces(ours: Arena, weak: Weak) -> Iterator[tuple[str, World]]:
    yield "ours", ours.world
    weak.leave_out(Check.CHAIN)
    yield "weakened", weak.world


def listing(build: str, world: World) -> tuple[bytes, LinkedProof]:
    """A listing that is proven for the chain as it is now."""
    terms, vector = world.terms(), toy.vector(31)
    commitment, keys = toy.srs().commit(vector), toy.listing_keys()

    def challenge(d: bytes) -> Challenges:
        return listing_challenges(
            chain_id=0 if build == "weakened" else world.chain.chain_id,
            registry=world.market.registry.address,
            minter=world.provider.address,
            circuit_id=keys.circuit.circuit_id,
            dataset=commitment,
            d=d,
            rows=40,
            metadata=terms.metadata(),
        )

    return commitment, toy.prove_listing(40, vector, challenge)


def test_the_other_chain_is_another_one_with_the_same_contracts(ours: Arena) -> None:
    """What is proven for it holds there, and nothing of it is left here."""
    world, before = ours.world, ours.world.market.datasets()
    here = world.chain.chain_id
    with on_another_chain(world.chain):
        assert world.chain.chain_id == OTHER_CHAIN != here
        world.mint()
        assert world.market.datasets() == before + 1
    assert (world.chain.chain_id, world.market.datasets()) == (here, before)


def test_rejects_the_update_of_another_chain(builds: Builds) -> None:
    seen = {}
    for build, arena in builds(Check.CHAIN):
        task, player = arena.running(2, **LONG), arena.players[0]
        update = arena.prove(task, player, **only_if(build == "weakened", chain_id=0))
        with on_another_chain(arena.chain):
            arena.submit(task, player, update)
            seen[build] = stands(arena, task, update)
        arena.federation.forget()
        arena.submit(task, player, update)
        assert stands(arena, task, update)
    assert seen == {"ours": False, "weakened": True}


def test_rejects_the_aggregate_of_another_chain(builds: Builds) -> None:
    """Over updates that were submitted before the chains split, and on each of them again."""
    seen = {}
    for build, arena in builds(Check.CHAIN):
        task, leader = arena.running(2), arena.workers[0]
        told = only_if(build == "weakened", chain_id=0)
        updates = [arena.prove(task, player, **told) for player in arena.players[:2]]
        for player, update in zip(arena.players, updates, strict=False):
            arena.submit(task, player, update)
        arena.freeze(task)
        arena.chain.mine()
        waiting = arena.now(task)
        assert waiting.stage is Stage.FROZEN
        call = arena.federation.finalize_round_call(waiting, updates, arena.aggregate(waiting, leader, updates, **told))
        with on_another_chain(arena.chain):
            seen[build] = tried(arena.chain, call, leader)
        arena.federation.forget()
        assert tried(arena.chain, call, leader) == DONE
    assert seen == {"ours": "RoundDoesNotVerify", "weakened": DONE}


def test_rejects_the_listing_of_another_chain(ours: Arena, weak: Weak) -> None:
    seen = {}
    for build, world in marketplaces(ours, weak):
        call = world.market.mint_dataset_call(world.terms(), *_with_rows(listing(build, world)))
        with on_another_chain(world.chain):
            seen[build] = tried(world.chain, call, world.provider)
        assert tried(world.chain, call, world.provider) == DONE
    assert seen == {"ours": "InvalidProof", "weakened": DONE}


def _with_rows(made: tuple[bytes, LinkedProof]) -> tuple[bytes, int, LinkedProof]:
    commitment, proof = made
    return commitment, 40, proof


def test_rejects_an_eligibility_proof_of_another_chain(ours: Arena, weak: Weak) -> None:
    """The dataset is listed and the notes are locked before the chains split; each chain has its own scope."""
    seen = {}
    for build, world in marketplaces(ours, weak):
        mint = world.market.mint_dataset_call(world.terms(), *_with_rows(listing(build, world)))
        assert tried(world.chain, mint, world.provider) == DONE
        dataset, root = world.market.datasets(), world.lock()
        public = world.public_inputs(dataset, 3, 3600, root)
        proof = toy.prove_eligibility(public)
        call = world.market.access_dataset_call(dataset, 3, 3600, X25519_KEY, root, public[2], proof)
        with on_another_chain(world.chain):
            seen[build] = tried(world.chain, call, world.grantee)
        assert tried(world.chain, call, world.grantee) == DONE
    assert seen == {"ours": "InvalidProof", "weakened": DONE}


def test_rejects_the_spend_of_another_chain(ours: Arena, weak: Weak) -> None:
    """The notes are locked before the chains split, and withdrawn on one of them alone."""
    seen = {}
    for build, world in marketplaces(ours, weak):
        world.lock()
        vault, memo = world.market.vault, b"memo"
        chain_id = 0 if build == "weakened" else world.chain.chain_id
        signal = spend_signal(chain_id=chain_id, vault=vault.address, recipient=world.grantee.address, memo=memo)

        def signed(public: list[int], signal: int = signal) -> list[int]:
            return [*public[:-1], signal]

        sent = spend(world, 4, withdrawn=10, recipient=world.grantee, memo=memo, change=signed)
        with on_another_chain(world.chain):
            seen[build] = tried(world.chain, sent.call(vault), world.stranger)
        assert tried(world.chain, sent.call(vault), world.stranger) == DONE
    assert seen == {"ours": "InvalidProof", "weakened": DONE}
