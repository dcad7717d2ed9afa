"""Attacks on circuit ids, keys and blinding: lines 7 to 9 of the table in docs/security.md, and an empty dataset."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.app import setups
from fedproof.app.founding import plan_of
from fedproof.app.telling import Silent
from fedproof.errors import AuditError, InputError, KeyFileError
from fedproof.ledger.federation import Federation
from fedproof.proving.circuit import compile_statement
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.r1cs import ConstraintSystem
from fedproof.statements.listing import ListingStatement, ListingWitness
from tests.app.setups_support import finished, small
from tests.attacks.test_circuits import CASES
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import Arena
from tests.contracts.support import int_words, rejects
from tests.contracts.world import X25519_KEY
from tests.core import transcripts
from tests.core.support import random_system
from tests.support.soundness import forged

__all__ = ["small"]

ON_CHAIN = pytest.mark.xdist_group("attacks on contracts")


# 4


@ON_CHAIN
def test_a_dataset_without_rows_is_no_dataset(ours: Arena) -> None:
    world = ours.world
    terms = world.terms()
    for rows, error in ((0, "RowsOutOfRange"), (65, "RowsOutOfRange")):
        commitment, proof = world.prove_listing(world.provider, terms, rows=rows)
        with rejects(error):
            world.chain.call(world.market.mint_dataset_call(terms, commitment, rows, proof), sender=world.provider)


# 7


def test_one_row_more_or_another_version_or_name_is_another_circuit() -> None:
    class More(ListingStatement):
        def synthesize(self, cs: ConstraintSystem, witness: ListingWitness | None) -> None:
            super().synthesize(cs, witness)
            cs.constrain(cs.one, cs.one, cs.one, "says nothing")

    plain = compile_statement(ListingStatement(32, 2))
    version, name = ListingStatement(32, 2), ListingStatement(32, 2)
    version.version = 2
    name.name = "listing of something"
    ids = {compile_statement(each).circuit_id for each in (ListingStatement(32, 2), version, name, More(32, 2))}
    assert len(ids) == 4
    assert plain.circuit_id in ids


@ON_CHAIN
def test_refuses_a_proof_that_was_made_under_another_version(ours: Arena) -> None:
    """Even with the same keys: the transcript names the circuit, and the circuit its version."""
    world, statement = ours.world, toy.ToyListing()
    statement.version = 2
    newer, vector, terms = compile_statement(statement), toy.vector(8), ours.world.terms()
    keys, commitment = toy.listing_keys(), toy.srs().commit(toy.vector(8))
    assert newer.circuit_id != keys.circuit.circuit_id
    for circuit, accepted in ((newer, False), (keys.circuit, True)):
        proof = toy.prove_listing(
            40,
            vector,
            partial(_listing_challenges, world, terms, commitment, circuit.circuit_id),
        )
        call = world.market.mint_dataset_call(terms, commitment, 40, proof)
        if accepted:
            world.chain.call(call, sender=world.provider)
        else:
            with rejects("InvalidProof"):
                world.chain.call(call, sender=world.provider)


def _listing_challenges(world: Any, terms: Any, commitment: bytes, circuit_id: bytes, d: bytes) -> Any:
    return world.market.listing_challenges(world.provider.address, terms, commitment, 40, circuit_id, d)


# 8


def without_witness(vk: VerifyingKey, public: list[int]) -> bytes:
    """Under gamma = delta: `A = alpha, B = beta, C = -IC(x)`."""
    ic = _core.g1_msm(b"".join(vk.ic), _core.fr_from_ints([1, *public]))
    return vk.alpha + vk.beta + _core.g1_neg(ic)


@ON_CHAIN
def test_refuses_a_key_under_which_a_proof_needs_no_witness(ours: Arena) -> None:
    """The forgery passes where a key is loaded and not checked, and so shows that the check is needed."""
    world, public = ours.world, [11, 12, 13, 14, 15, 16]
    vk = toy.eligibility_keys("of another dealer").verifying
    bad = replace(vk, delta=_core.g2_generator())
    address = world.deploy_key(bad)
    forgery = int_words(without_witness(bad, public))
    assert world.chain.call(world.harness.functions.verify(address, public, forgery)) is True
    assert world.chain.call(world.harness.functions.verify(world.deploy_key(vk), public, forgery)) is False
    for other in (bad, replace(vk, delta=vk.beta), replace(vk, tau=vk.delta)):
        with pytest.raises(KeyFileError):
            VerifyingKey.decode(other.encode())
        with pytest.raises(Exception, match="rejected the call"):
            world.market.register_class(world.owner, 64, 3, toy.listing_keys("fresh").verifying, other)


@ON_CHAIN
def test_refuses_the_wrong_key_and_a_dealers_key_where_they_do_not_belong(ours: Arena) -> None:
    for wrong in (ours.aggregation, toy.listing_keys().verifying, toy.eligibility_keys().verifying):
        with pytest.raises(Exception, match="rejected the call"):
            ours.open_task(training_key=wrong)
    market = ours.world.market
    strict = Federation.deploy(ours.chain, ours.sponsor, registry=market.registry.address, token=market.token.address)
    with rejects("DevelopmentKeyRefused"):
        strict.open_task(ours.sponsor, **ours.fields())
    with pytest.raises(InputError, match=r"X25519|32 or 1216"):
        market.access_dataset_call(1, 3, 60, X25519_KEY + b"\0", 1, 1, bytes(256))


def test_refuses_powers_of_tau_with_one_byte_changed() -> None:
    blob = toy.srs().to_bytes()
    _core.Srs.from_bytes(blob)
    for at in range(40, len(blob), 211):
        damaged = bytearray(blob)
        damaged[at] ^= 1
        with pytest.raises(ValueError, match=r"\w"):
            _core.Srs.from_bytes(bytes(damaged))


def test_refuses_a_setup_whose_transcript_was_tampered_with(tmp_path: Path, small: None) -> None:
    """Somebody's part left out, taken over or renamed, and a beacon that was chosen: in both phases, as files."""
    first, second = finished(plan_of(32, 3, model="logistic", epochs=1), tmp_path / "setup")
    honest, _ = transcripts.first(first.encode())
    one, two, beacon = honest.records
    stories = [
        (two, beacon),
        (one, replace(two, updates=one.updates), beacon),
        (one, replace(two, name=b"nobody"), beacon),
        (one, two, replace(beacon, beacon=(bytes(32), 4))),
    ]
    for number, records in enumerate(stories):
        path = tmp_path / str(number)
        path.write_bytes(replace(honest, records=records).encode())
        with pytest.raises(KeyFileError, match=r"the first phase: contribution \d"):
            setups.read_setup(path).verify(Silent())
    for name, part in second.phases.parts.items():
        honest, _ = transcripts.second(part.to_bytes())
        one, two, beacon = honest.records
        changed = replace(honest, records=(two, one, beacon)).encode()
        forged = replace(second.phases, parts={**second.phases.parts, name: _core.PhaseTwo.from_bytes(changed)})
        with pytest.raises(KeyFileError, match=f"the setup of {name}: contribution 1"):
            setups.finish(first, replace(second, phases=forged), tmp_path / "out", Silent())


def test_refuses_powers_of_who_knows_alpha_behind_the_transcript_of_honest_people() -> None:
    """Whoever knows alpha proves anything: `A = [alpha beta]_1 + IC(x), B = [1]_2, C = D = 0`. Here it stands in a
    first phase that honest people seem to have made, and honest people make the second phase over it."""
    system, _ = random_system(5, 2, 3, rows=11)
    r1cs, block = system.build(), (bytes(32), 0)
    data, (_, alpha, beta) = transcripts.known(4, [[91011, 1234, 5678], [3, 5, 7]], block)
    mine, _ = transcripts.first(data)
    people = _core.PhaseOne.start(4).contribute("north").contribute("south").contribute("a block", block)
    honest, _ = transcripts.first(people.to_bytes())

    # what a build would take that compares no powers with the transcript
    own = _core.PhaseOne.from_bytes(data)
    later = _core.PhaseTwo.start(r1cs, own)
    for name, beacon in (("north", None), ("south", None), ("a block", (bytes([1]) * 32, 0))):
        later = later.contribute(name, r1cs, own, beacon)
    vk = later.key(r1cs, own).verifying_key()
    x = [1, 77, 88]
    ic = _core.g1_msm(b"".join(vk["ic"]), _core.fr_from_ints(x))
    a = _core.g1_add(_core.g1_multiples(_core.fr_from_ints([alpha * beta])), ic)
    proof = a + _core.g2_generator() + bytes(64)
    assert _core.groth16_verify(vk, _core.fr_from_ints(x[1:]), proof, bytes(64))

    forged = _core.PhaseOne.from_bytes(replace(honest, body=mine.body).encode())
    for act in (
        forged.verify,
        lambda: forged.contribute("east"),
        lambda: _core.PhaseTwo.start(r1cs, forged),
        lambda: later.key(r1cs, forged),
    ):
        with pytest.raises(ValueError, match="not of the secrets that the contributions lead to"):
            act()


def test_a_dealers_key_that_says_many_made_it_is_not_a_setups(tmp_path: Path, small: None) -> None:
    """Any key can say so; contracts take its word, and an auditor who has the setup does not."""
    finished(plan_of(32, 3, model="logistic", epochs=1), tmp_path / "setup")
    ours = setups.VerifiedSetup.read(tmp_path / "setup", Silent())
    dealt = {name: replace(key, delta=_core.g2_multiples(_core.fr_random(1))) for name, key in ours.keys.items()}
    assert not any(key.development for key in dealt.values())
    ours.check(ours.keys)
    for name, key in dealt.items():
        with pytest.raises(AuditError, match=f"the {name} key is not the one of this setup"):
            ours.check({**ours.keys, name: key})


# 9


@ON_CHAIN
def test_two_proofs_of_one_update_have_nothing_in_common(ours: Arena) -> None:
    task = ours.running(2)
    vector = _core.fr_random(toys.UPDATE)
    first, second = (ours.prove(task, ours.players[0], vector=vector) for _ in range(2))
    assert first.update == second.update
    a, b = first.proof, second.proof
    for k in (0, 64, 128, 192):
        assert a.proof[k : k + 64] != b.proof[k : k + 64]
    assert (a.d, a.q, a.y) != (b.d, b.q, b.y)
    assert not {a.d, a.q} & {b.d, b.q}


@pytest.mark.parametrize("name", ["training", "listing", "aggregation", "bounded"])
def test_what_is_committed_twice_differs_in_its_blinding_and_nowhere_else(name: str) -> None:
    statement, witness = CASES[name]()
    first, second = forged(statement, witness), forged(statement, witness)
    committed = first.segment_wires(2)
    differ = np.flatnonzero((first._z[committed] != second._z[committed]).any(axis=1))
    (blinding,) = differ
    names = {wire: made for made, start, size in first.names for wire in range(start, start + size)}
    assert names[int(committed[blinding])] == "blinding of D"
    assert "commitment blinding" in first.groups  # so that its point is not zero
