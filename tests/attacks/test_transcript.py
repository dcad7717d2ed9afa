"""Attacks on transcripts and proofs: lines 10 to 15 of the table in docs/security.md.

Replays and copies that take a build with a check left out to show are in the files of forgeries.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import InputError, ProofError, StateError
from fedproof.ledger.market_types import UNIT
from fedproof.nodes.state import StateFile
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import setup
from fedproof.proving.linked import LinkedProof, check_linked, prove_linked
from fedproof.proving.transcript import (
    Challenges,
    aggregation_pre,
    attachments_word,
    listing_pre,
    sealing_context,
    share_commitments_digest,
    tag,
    training_challenges,
    training_pre,
)
from fedproof.statements.bounded import BoundedStatement
from tests.attacks.trying import DONE, disguised, is_invalid, stands, tried, tried_raw
from tests.contracts import toy
from tests.contracts.federation.arena import Arena
from tests.contracts.federation.board import calldata
from tests.contracts.support import P, R, int_words, rejects, to_bytes
from tests.contracts.test_bn254 import point_outside_the_subgroup
from tests.contracts.world import X25519_KEY
from tests.e2e.conftest import Arena as Hospitals
from tests.learning.bounded import PLAN, at_norm
from tests.statements.test_bounded import vectors, witness

ON_CHAIN = pytest.mark.xdist_group("attacks on contracts")
OTHER_POINT = _core.g1_mul(_core.g1_generator(), _core.fr_from_ints([777]))
ZEROS = LinkedProof(bytes(256), bytes(64), bytes(64), 0)
LONG = {"submit_blocks": 400, "freeze_blocks": 400}


# 10


@ON_CHAIN
def test_each_item_of_an_updates_transcript_is_part_of_its_challenge(ours: Arena) -> None:
    """Each lie is the nearest there is: the next task, the round before, the neighbour, two shares swapped."""
    task, player = ours.running(2, **LONG), ours.players[0]
    shares = [toy.srs().commit(_core.fr_random(4)) for _ in range(2)]
    honest = {"share_digest": share_commitments_digest(shares), "sealed_digest": bytes(32)}
    lies: dict[str, Any] = {
        "chain_id": ours.chain.chain_id + 1,
        "federation": ours.committee.address,
        "task": task.task_id + 1,
        "round_number": task.round - 1,
        "participant": ours.players[1].account.address,
        "circuit_id": ours.aggregation.circuit_id,
        "masked_dataset": toy.srs().commit(ours.players[1].masked(task.task_id)),
        "model": _core.g1_neg(task.model),
        "update": OTHER_POINT,
        "d": OTHER_POINT,
        "share_digest": share_commitments_digest(shares[::-1]),
        "sealed_digest": bytes(31) + b"\x01",
    }

    def lied(**changes: Any) -> bool:
        update = replace(ours.prove(task, player, **(honest | changes)), **honest)
        return is_invalid(ours, task, update)

    assert not lied()
    assert {name: lied(**{name: lie}) for name, lie in lies.items()} == dict.fromkeys(lies, True)


@ON_CHAIN
def test_each_term_of_a_listing_is_part_of_its_challenge(ours: Arena) -> None:
    world, terms = ours.world, ours.world.terms()
    commitment, proof = world.prove_listing(world.provider, terms)
    world.chain.call(world.market.mint_dataset_call(terms, commitment, 40, proof), sender=world.provider)
    up = tuple(threshold + UNIT * (k == 3) for k, threshold in enumerate(terms.thresholds))
    lies = {
        "another schema": (replace(terms, schema=b"\x06" * 32), commitment, 40),
        "another card": (replace(terms, card=b"\x01" * 32), commitment, 40),
        "a lower threshold": (replace(terms, thresholds=up), commitment, 40),
        "a price": (replace(terms, prices=(0, UNIT, 0, 0, 0, 0)), commitment, 40),
        "another sealed file": (replace(terms, sealed_files=(*terms.sealed_files[:5], b"\x09" * 32)), commitment, 40),
        "one row more": (terms, commitment, 41),
        "another dataset": (terms, toy.srs().commit(toy.vector(99)), 40),
    }
    for lie in lies.values():
        with rejects("InvalidProof"):
            world.chain.call(world.market.mint_dataset_call(*lie, proof), sender=world.provider)


# 11


def test_no_two_lists_of_fields_hash_to_one_word() -> None:
    a, b = (_core.g1_mul(_core.g1_generator(), _core.fr_from_ints([k])) for k in (2, 3))
    training: dict[str, Any] = {
        "chain_id": 1, "federation": "0x" + "11" * 20, "task": 2, "round_number": 3, "participant": "0x" + "22" * 20,
        "circuit_id": bytes(32), "masked_dataset": a, "model": b, "update": a, "d": b,
    }  # fmt: skip
    assert len({share_commitments_digest(shares) for shares in ((), (a,), (a, b), (b, a), (a, a))}) == 5
    for shares in ((a + b,), (a[:32], a[32:]), (a[:63], a[63:] + b)):
        with pytest.raises(InputError, match="64 bytes"):
            share_commitments_digest(shares)
    # a number moves into its neighbour
    assert training_pre(**{**training, "task": 3, "round_number": 2}) != training_pre(**training)
    with pytest.raises(InputError, match="256 bits"):
        training_pre(**{**training, "task": 1 << 256})
    digests = (bytes(31) + b"\x01", bytes(31) + b"\x02")
    assert attachments_word(*digests) != attachments_word(*digests[::-1])
    assert sealing_context(*digests) != sealing_context(*digests[::-1])
    aggregation: dict[str, Any] = {
        "chain_id": 1, "federation": "0x" + "11" * 20, "task": 2, "round_number": 3, "sender": "0x" + "22" * 20,
        "circuit_id": bytes(32), "total_rows": 9, "model": b, "new_model": a, "d": b,
    }  # fmt: skip
    one, two = bytes(31) + b"\x01", bytes(31) + b"\x02"
    assert len({aggregation_pre(**aggregation, digests=d) for d in ([], [one], [one, two], [two, one])}) == 4
    with pytest.raises(InputError, match="32 bytes"):
        aggregation_pre(**aggregation, digests=[one + two])


def test_one_list_of_fields_under_two_tags_gives_two_words() -> None:
    uses = (
        "listing/pre", "training/pre", "training/attachments", "training/sealing", "training/digest", "aggregation/pre",
        "sigma", "lambda", "scope", "signal",
    )  # fmt: skip
    assert len({tag(use) for use in uses}) == len(uses)
    pre = listing_pre(
        chain_id=1, registry="0x" + "11" * 20, minter="0x" + "22" * 20, circuit_id=bytes(32), dataset=OTHER_POINT,
        d=OTHER_POINT, rows=1, metadata=b"",
    )  # fmt: skip
    sigma, lam = training_challenges(pre, bytes(32))
    assert sigma != lam
    digest = (int.from_bytes(_core.keccak256(tag(use) + pre + bytes(32)), "big") % R for use in ("sigma", "lambda"))
    assert (sigma, lam) == tuple(digest)


@ON_CHAIN
def test_a_proof_of_zeros_and_points_at_infinity_are_refused_at_every_door(ours: Arena) -> None:
    world, terms = ours.world, ours.world.terms()
    commitment, listing = world.prove_listing(world.provider, terms)
    for bad in (ZEROS, replace(listing, d=bytes(64)), replace(listing, proof=bytes(64) + listing.proof[64:])):
        call = world.market.mint_dataset_call(terms, commitment, 40, bad)
        assert tried(world.chain, call, world.provider) == "PointAtInfinity"
    call = world.market.mint_dataset_call(terms, bytes(64), 40, listing)
    assert tried(world.chain, call, world.provider) == "PointAtInfinity"
    root = world.lock()
    call = world.market.access_dataset_call(1, 3, 3600, X25519_KEY, root, 5, bytes(256))
    assert tried(world.chain, call, world.grantee) == "PointAtInfinity"
    nothing = world.market.vault.contract.functions.spend(root, [1, 2], [3, 4], 5, world.grantee.address, b"", [0] * 8)
    assert tried(world.chain, nothing, world.stranger) == "PointAtInfinity"
    task, player = ours.running(2), ours.players[0]
    update = ours.prove(task, player)
    for changed in (
        replace(update, proof=ZEROS),
        replace(update, update=bytes(64)),
        replace(update, proof=replace(update.proof, q=bytes(64))),
    ):
        assert tried(ours.chain, ours.federation.submit_update_call(task, changed), player.account) == "PointAtInfinity"


# 12, 13


@ON_CHAIN
def test_malformed_numbers_and_points_of_an_update_are_refused(ours: Arena) -> None:
    task, player = ours.running(2, **LONG), ours.players[0]
    update = ours.prove(task, player)
    call = ours.federation.submit_update_call(task, update)
    honest, p = calldata(call), update.proof
    ax, ay = (int.from_bytes(p.proof[k : k + 32], "big") for k in (0, 32))
    bad = {
        "y and r": (replace(update, proof=replace(p, y=p.y + R)), "ScalarTooLarge"),
        "A by another name": (with_a(update, to_bytes([ax + P, ay])), "CoordinateTooLarge"),
        "A off the curve": (with_a(update, to_bytes([ax, (ay + 1) % P])), "NotOnCurve"),
        "C_U off the curve": (replace(update, update=to_bytes([4, 4])), "NotOnCurve"),
    }
    for changed, error in bad.values():
        assert tried(ours.chain, ours.federation.submit_update_call(task, changed), player.account) == error
    for extra in (b"\0", bytes(32), bytes(64)):
        assert tried_raw(ours.chain, ours.federation.address, honest + extra, player.account) == "WrongLength"
    outside = replace(p, proof=p.proof[:64] + to_bytes(point_outside_the_subgroup()) + p.proof[192:])
    submitted = replace(update, proof=outside)
    ours.submit(task, player, submitted)  # a curve equation in G2 is for the pairing to check
    assert not stands(ours, task, submitted)


def with_a(update: Any, point: bytes) -> Any:
    return replace(update, proof=replace(update.proof, proof=point + update.proof.proof[64:]))


# 14


@ON_CHAIN
def test_a_copy_of_anothers_update_in_ones_own_slot_does_not_stand(ours: Arena) -> None:
    """Copied out of the pool and sent first; the victim's own comes in all the same."""
    task = ours.running(2, **LONG)
    victim, copier = ours.players[:2]
    update = ours.prove(task, victim)
    own = replace(
        update,
        participant=copier.account.address,
        rows=copier.rows,
        masked_dataset=toy.srs().commit(copier.masked(task.task_id)),
        proof=disguised(update.proof),
    )
    ours.submit(task, copier, own)
    assert not stands(ours, task, own)
    call = ours.federation.submit_update_call(task, update)
    for account in (copier.account, ours.outsider, ours.workers[0]):
        assert tried(ours.chain, call, account) in ("WrongOpening", "NothingDue")
    assert tried(ours.chain, call, victim.account) == DONE
    assert stands(ours, task, update)


# 15


@ON_CHAIN
def test_parts_of_two_updates_do_not_make_a_third(ours: Arena) -> None:
    task = ours.running(2, **LONG)
    mine, other = ours.prove(task, ours.players[0]), ours.prove(task, ours.players[0])
    client, p = ours.prove(task, ours.players[1]), mine.proof
    mixed = {
        "C_U of another": replace(mine, update=other.update),
        "D of another": replace(mine, proof=replace(p, d=other.proof.d)),
        "C of another": replace(mine, proof=replace(p, proof=p.proof[:192] + other.proof.proof[192:])),
        "Q and y of another": replace(mine, proof=replace(p, q=other.proof.q, y=other.proof.y)),
        "a whole proof of another client": replace(mine, proof=client.proof),
        "none": mine,
    }
    verdicts = {what: is_invalid(ours, task, update) for what, update in mixed.items()}
    assert verdicts == dict.fromkeys(mixed, True) | {"none": False}


@ON_CHAIN
@pytest.mark.parametrize("sign", [1, -1])
def test_two_circuits_with_one_eta_or_delta_are_refused(ours: Arena, sign: int) -> None:
    """What the forgery with a point of another circuit needs (`test_forgeries.py`); `-eta` would do, too."""
    world, training = ours.world, ours.training

    def taken(point: bytes) -> bytes:
        xi, xr, yi, yr = int_words(point)
        return to_bytes([xi, xr, sign * yi % P, sign * yr % P])

    for point in ("eta", "delta"):
        shared = replace(ours.aggregation, **{point: taken(getattr(training, point))})
        with rejects("SharedKeySecret"):
            ours.open_task(aggregation_key=shared)
        known = replace(
            toy.listing_keys("of a second class").verifying,
            **{point: taken(getattr(toy.listing_keys().verifying, point))},
        )
        with rejects("SharedTrapdoor"):
            world.market.register_class(world.owner, 64, 3, known, toy.eligibility_keys("second").verifying)


def test_a_proof_about_a_bound_of_the_provers_choice_is_of_another_circuit() -> None:
    """Ten times the norm: proven under the keys of that bound, refused under those of the task."""
    wide = replace(PLAN, norm_squared=10 * PLAN.norm_squared, entry_limbs=PLAN.entry_limbs + 1)
    statement, srs = BoundedStatement(wide), _core.Srs.generate(256, [1])
    ours, theirs = (setup(compile_statement(BoundedStatement(plan)), srs) for plan in (PLAN, wide))
    assert ours.circuit.circuit_id != theirs.circuit.circuit_id
    w = witness([10 * value for value in at_norm(PLAN.norm_squared // 10)], wide)
    assert int(np.square(w.update.astype(object)).sum()) > PLAN.norm_squared
    committed = vectors(w)
    at = Challenges(3**150, 5**90)
    proof = prove_linked(theirs, statement, w, srs, committed, lambda _: at)
    points = [srs.commit(vector) for vector in committed]
    check_linked(theirs.verifying, [], at, proof, points)
    with pytest.raises(ProofError):
        check_linked(ours.verifying, [], at, proof, points)
    with pytest.raises((ProofError, InputError)):
        prove_linked(ours, BoundedStatement(PLAN), w, srs, committed, lambda _: at)


@pytest.mark.slow
def test_a_participant_whose_whole_state_was_put_back_spends_no_mask_again(arena: Hospitals) -> None:
    """The file itself is restored and read anew: the chain shows the update that the file does not know."""
    game = arena.open(enrol=2)
    participant = game.participants[0]
    path = participant.state.path
    backup = path.read_bytes()
    game.train()
    game.settle()
    folder, role = participant.state.folder, participant.state.role
    participant.state.close()
    now = path.read_bytes()
    path.write_bytes(backup)
    participant.state = StateFile(folder, role)
    try:
        with pytest.raises(StateError, match="old backup"):
            game.train(0)
    finally:
        participant.state.close()
        path.write_bytes(now)
        participant.state = StateFile(folder, role)
