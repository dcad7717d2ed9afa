"""A setup of many: what it gives, and every way to tamper with its transcript or its points (attack 8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from fedproof import _core

from . import transcripts
from .support import G1, G2, INFINITY_G1, INFINITY_G2, R, System, fr, pairing_product, random_system
from .test_points import outside_the_subgroup
from .transcripts import Transcript, Update

PUBLIC, COMMITTED = 2, 3
SYSTEM, Z = random_system(5, PUBLIC, COMMITTED, rows=11)
BEACON = (bytes(range(32)), 3)
LATER = (bytes(range(1, 33)), 3)
FIELDS = ["head", "in_g1", "in_g2", "proof"]


@cache
def r1cs() -> _core.R1cs:
    return SYSTEM.build()


@cache
def first() -> _core.PhaseOne:
    assert r1cs().domain_size == 16
    return _core.PhaseOne.start(5).contribute("first").contribute("second").contribute("beacon", BEACON)


@cache
def second() -> _core.PhaseTwo:
    begun = _core.PhaseTwo.start(r1cs(), first())
    for name, beacon in (("third", None), ("fourth", None), ("beacon", LATER)):
        begun = begun.contribute(name, r1cs(), first(), beacon)
    return begun


def extended(begun: _core.PhaseTwo) -> _core.PhaseTwo:
    """A second phase of the usual circuit with a contribution of somebody else."""
    return begun.contribute("mine", r1cs(), first())


def holds_first(data: bytes) -> None:
    _core.PhaseOne.from_bytes(data).verify()


def holds_second(data: bytes) -> None:
    _core.PhaseTwo.from_bytes(data).verify(r1cs(), first())


FIRST = pytest.param(lambda: transcripts.first(first().to_bytes())[0], holds_first, id="first phase")
SECOND = pytest.param(lambda: transcripts.second(second().to_bytes())[0], holds_second, id="second phase")
BOTH = pytest.mark.parametrize(("given", "holds"), [FIRST, SECOND])


def drop(_: object) -> None:
    """For the side of making it alone."""


def refused(holds: Callable[[bytes], None], data: bytes | Transcript, message: str | None = None) -> None:
    with pytest.raises(ValueError, match=message):
        holds(data if isinstance(data, bytes) else data.encode())


def other(point: bytes) -> bytes:
    """Another good point."""
    if len(point) == 64:
        return _core.g1_add(point, G1)
    return _core.g2_multiples(fr(77)) if point != _core.g2_multiples(fr(77)) else G2


# What it gives


def test_a_key_of_many_proves_and_says_so() -> None:
    key = second().key(r1cs(), first())
    proof, d = key.prove(r1cs(), fr(*Z)), key.commit(fr(*Z[1 + PUBLIC : 1 + PUBLIC + COMMITTED]))
    public = fr(*Z[1 : 1 + PUBLIC])
    assert _core.groth16_verify(key.verifying_key(), public, proof, d)
    assert not _core.groth16_verify(key.verifying_key(), fr(1, 2), proof, d)
    assert key.by_many
    assert not _core.ProvingKey.setup(r1cs()).by_many


def test_a_key_file_keeps_who_made_it() -> None:
    key = second().key(r1cs(), first())
    read = _core.ProvingKey.from_bytes(key.to_bytes(), check=True)
    assert read.by_many
    assert read.to_bytes() == key.to_bytes()
    assert read.verifying_key() == key.verifying_key()
    dealt = _core.ProvingKey.setup(r1cs())
    assert not _core.ProvingKey.from_bytes(dealt.to_bytes()).by_many


def test_its_powers_are_good_for_kzg() -> None:
    """Read again with all checks, and an opening that py_ecc takes."""
    srs = _core.Srs.from_bytes(first().srs(60, [1, 7, 31]).to_bytes(), check=True)
    coeffs, x = fr(*range(1, 61)), 12345
    value, quotient = srs.open(coeffs, x)
    y = sum(c * pow(x, i, R) for i, c in enumerate(range(1, 61))) % R
    assert _core.fr_to_ints(value) == [y]
    left = _core.g1_add(srs.commit(coeffs), _core.g1_add(_core.g1_mul(G1, -y % R), _core.g1_mul(quotient, x)))
    assert pairing_product((left, G2), (_core.g1_neg(quotient), srs.g2_power(1)))
    assert pairing_product((srs.commit(fr(1), 7), G2), (_core.g1_neg(G1), srs.g2_power(7)))


@BOTH
def test_py_ecc_and_plain_python_agree_with_the_last_contributions(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    transcript = given()
    holds(transcript.encode())
    number = 1
    for place, (update, before) in enumerate(
        zip(transcript.records[number].updates, transcript.heads(number), strict=True)
    ):
        for times_x, base in (
            (update.in_g1, G1),
            (update.proof, transcript.challenge(number, place, update)),
            (update.head, before),
        ):
            assert pairing_product((times_x, G2), (_core.g1_neg(base), update.in_g2))


def test_the_digests_are_those_of_plain_python() -> None:
    for phase, transcript in (
        (first(), transcripts.first(first().to_bytes())[0]),
        (second(), transcripts.second(second().to_bytes())[0]),
    ):
        assert [digest for _, _, digest in phase.contributions()] == transcript.digests()[1:]
        assert phase.digest() == transcript.digests()[-1]
    assert [(name, beacon) for name, beacon, _ in first().contributions()] == [
        ("first", None),
        ("second", None),
        ("beacon", BEACON),
    ]


def test_a_beacons_factors_are_those_of_plain_python() -> None:
    """And the powers that follow: the file is made in plain Python, with secrets that it knows."""
    data, _ = transcripts.known(3, [[3, 5, 7], [11, 13, 17]], BEACON)
    holds_first(data)
    transcript, _ = transcripts.first(data)
    moved = transcript.replaced(2, replace(transcript.records[2], beacon=LATER))
    refused(holds_first, moved)


def test_the_same_contributions_give_the_same_file_and_others_another() -> None:
    def made(seed: int) -> bytes:
        return _core.PhaseOne.start(2).contribute("a", seed=bytes([seed]) * 32).to_bytes()

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert _core.PhaseOne.start(2).contribute("a").to_bytes() != _core.PhaseOne.start(2).contribute("a").to_bytes()


def test_one_seed_gives_unrelated_factors_in_another_circuit_and_phase() -> None:
    system, _ = random_system(6, PUBLIC, COMMITTED, rows=11)
    another, seed = system.build(), bytes(32)
    one = _core.PhaseTwo.start(r1cs(), first()).contribute("a", r1cs(), first(), seed=seed)
    two = _core.PhaseTwo.start(another, first()).contribute("a", another, first(), seed=seed)
    factors = [transcripts.second(phase.to_bytes())[0].records[0].updates for phase in (one, two)]
    phase_one = transcripts.first(_core.PhaseOne.start(2).contribute("a", seed=seed).to_bytes())[0]
    points = [update.in_g1 for updates in (*factors, phase_one.records[0].updates) for update in updates]
    assert len(set(points)) == len(points) == 7


# What it refuses to do


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "contributions under 0 names"),
        (["a"], "contributions under 1 names"),
        (["a", "a", BEACON], "contributions under 1 names"),
        (["a", BEACON], "contributions under 1 names"),
        (["a", "b"], "does not end with a beacon"),
    ],
)
def test_a_setup_of_one_or_without_a_beacon_gives_no_key(records: list[str | tuple[bytes, int]], message: str) -> None:
    one, two = _core.PhaseOne.start(5), _core.PhaseTwo.start(r1cs(), first())
    for each in records:
        name, beacons = (each, (None, None)) if isinstance(each, str) else ("beacon", (each, LATER))
        one, two = one.contribute(name, beacons[0]), two.contribute(name, r1cs(), first(), beacons[1])
    with pytest.raises(ValueError, match=f"first phase .*{message}"):
        _core.PhaseTwo.start(r1cs(), one)
    with pytest.raises(ValueError, match=f"second phase .*{message}"):
        two.key(r1cs(), first())


def test_a_finished_second_phase_gives_no_key_over_an_unfinished_first() -> None:
    with pytest.raises(ValueError, match="the first phase has contributions under 1 names"):
        second().key(r1cs(), _core.PhaseOne.start(5).contribute("a"))


def test_nobody_contributes_after_the_beacon() -> None:
    for beacon in (None, (bytes(32), 0)):
        with pytest.raises(ValueError, match="nobody can add another"):
            first().contribute("late", beacon)
        with pytest.raises(ValueError, match="nobody can add another"):
            second().contribute("late", r1cs(), first(), beacon)


def test_refuses_the_beacon_of_the_first_phase_in_the_second() -> None:
    """It was known before the second began."""
    begun = _core.PhaseTwo.start(r1cs(), first())
    with pytest.raises(ValueError, match="this beacon is that of the first phase"):
        begun.contribute("beacon", r1cs(), first(), (BEACON[0], 0))


def test_rejects_a_second_phase_that_ended_with_the_beacon_of_the_first() -> None:
    begun = _core.PhaseTwo.start(r1cs(), first()).contribute("beacon", r1cs(), first(), LATER)
    transcript, _ = transcripts.second(begun.to_bytes())
    known = transcript.replaced(0, replace(transcript.records[0], beacon=BEACON))
    forged = known.rewritten(0, transcripts.beacon_factors(known.digests()[0], *BEACON, 2))
    refused(holds_second, forged, "this beacon is that of the first phase")


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 101, "bell\a"])
def test_refuses_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="a contributor's name has 1 to 100 bytes"):
        _core.PhaseOne.start(2).contribute(name)


@pytest.mark.parametrize("beacon", [(bytes(31), 3), (bytes(33), 3), (bytes(32), 25)])
def test_refuses_what_is_no_beacon(beacon: tuple[bytes, int]) -> None:
    with pytest.raises(ValueError, match="a beacon "):
        _core.PhaseOne.start(2).contribute("b", beacon)


@pytest.mark.parametrize("log", [0, 25, 1 << 40])
def test_refuses_sizes_that_no_setup_has(log: int) -> None:
    with pytest.raises(ValueError, match="2\\^1 to 2\\^24"):
        _core.PhaseOne.start(log)


def test_refuses_a_circuit_that_is_larger_than_the_first_phase() -> None:
    small = _core.PhaseOne.start(3).contribute("a").contribute("b").contribute("c", BEACON)
    with pytest.raises(ValueError, match="a domain of 16, and the first phase is for 8 rows"):
        _core.PhaseTwo.start(r1cs(), small)


# Transcripts that were tampered with


@BOTH
@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("field", FIELDS)
def test_rejects_another_point_anywhere_in_the_transcript(
    given: Callable[[], Transcript], holds: Callable[[bytes], None], number: int, field: str
) -> None:
    transcript = given()
    record = transcript.records[number]
    for place, update in enumerate(record.updates):
        changed = list(record.updates)
        for point in (other(getattr(update, field)), *_hostile(getattr(update, field))):
            changed[place] = replace(update, **{field: point})
            refused(holds, transcript.replaced(number, replace(record, updates=tuple(changed))))


def _hostile(point: bytes) -> list[bytes]:
    if len(point) == 64:
        return [_core.g1_neg(point), INFINITY_G1, bytes(63) + b"\1"]
    return [INFINITY_G2, outside_the_subgroup()]


@BOTH
def test_rejects_a_changed_story(given: Callable[[], Transcript], holds: Callable[[bytes], None]) -> None:
    """Names, order, beacons: the proofs of knowledge are about all that comes before them."""
    transcript = given()
    one, two, beacon = transcript.records
    for records in (
        (replace(one, name=b"somebody else"), two, beacon),
        (one, replace(two, name=b"somebody else"), beacon),
        (one, two, replace(beacon, name=b"somebody else")),
        (two, one, beacon),
        (one, beacon),
        (two, beacon),
        (one, two),
        (one,),
        (),
        (one, two, beacon, beacon),
        (one, one, two, beacon),
        (one, beacon, two),
        (one, two, replace(beacon, beacon=None)),
        (one, two, replace(beacon, beacon=(BEACON[0][:-1] + b"\0", BEACON[1]))),
        (one, two, replace(beacon, beacon=(BEACON[0], BEACON[1] + 1))),
        (one, replace(two, beacon=BEACON), beacon),
    ):
        refused(holds, replace(transcript, records=records))


@BOTH
def test_rejects_a_good_contribution_after_the_beacon(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    transcript = given()
    late = replace(transcript, records=(*transcript.records, replace(transcript.records[0], name=b"late")))
    refused(holds, late.rewritten(3, [3] * len(late.records[0].updates)), "contributions follow the beacon")


@BOTH
def test_rejects_a_beacon_whose_factors_somebody_chose(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    """With proofs that are good: the last contributor would have chosen the keys after all others."""
    transcript = given()
    chosen = transcript.rewritten(2, list(range(5, 5 + len(transcript.records[2].updates))))
    refused(holds, chosen, "its factors are not those of its beacon")
    people = chosen.replaced(2, replace(chosen.records[2], beacon=None))
    people = people.rewritten(2, list(range(5, 5 + len(transcript.records[2].updates))))
    refused(holds, people, "the contributions lead to")  # the same as a person's: the transcript itself is good


@BOTH
def test_rejects_a_contribution_that_makes_a_secret_zero(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    """All of it is at infinity, and each pairing of its update holds."""
    transcript = given()
    factors = [0] + [1] * (len(transcript.records[1].updates) - 1)
    refused(holds, transcript.rewritten(1, factors), "its update does not follow")


@BOTH
def test_rejects_a_factor_that_is_another_one_in_g1(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    """With a proof of the one in G2, which the head follows: a beacon's factors are looked at in G1."""
    transcript = given().rewritten(1, [3] * len(given().records[1].updates))
    one, *others = transcript.records[1].updates
    forged = transcript.signed(1, 0, replace(one, in_g1=_core.g1_mul(G1, 5)), 3)
    record = replace(transcript.records[1], updates=(forged, *others))
    refused(holds, transcript.replaced(1, record), "its update does not follow")


@BOTH
def test_rejects_who_takes_over_anothers_contribution(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    """The factor and proof of one place or record stand for nobody in another."""
    transcript = given()
    one, two, _ = transcript.records
    updates = tuple(
        replace(mine, in_g1=theirs.in_g1, in_g2=theirs.in_g2, proof=theirs.proof)
        for mine, theirs in zip(two.updates, one.updates, strict=True)
    )
    refused(holds, transcript.replaced(1, replace(two, updates=updates)), "its update does not follow")
    rotated = one.updates[1:] + one.updates[:1]
    refused(holds, transcript.replaced(0, replace(one, updates=rotated)), "its update does not follow")


@BOTH
def test_rejects_who_forgets_the_others_and_starts_over(
    given: Callable[[], Transcript], holds: Callable[[bytes], None]
) -> None:
    """A secret of one's own in place of the product: its factor, [s / before]_2, is nothing that one can compute."""
    transcript = given()
    place, own = 0, 4242
    update = transcript.records[1].updates[place]
    for in_g1, in_g2 in (
        (_core.g1_mul(G1, own), _core.g2_multiples(fr(own))),
        (update.in_g1, update.in_g2),
    ):
        bare = Update(_core.g1_mul(G1, own), in_g1, in_g2, G1)
        alone = transcript.signed(1, place, bare, own)
        updates = (alone, *transcript.records[1].updates[1:])
        cut = replace(transcript, records=transcript.records[:2])
        refused(holds, cut.replaced(1, replace(cut.records[1], updates=updates)), "its update does not follow")


# Points that were tampered with

FIRST_LISTS = ["tau", "alpha", "beta", "tau in G2", "beta in G2"]
SECOND_LISTS = [
    "alpha", "beta", "delta", "beta in G2", "delta in G2", "eta in G2",
    "public wires", "committed wires", "private wires", "h", "A", "B", "B in G2",
]  # fmt: skip


@pytest.mark.parametrize("index", [0, 1, 5, -1])
@pytest.mark.parametrize("name", FIRST_LISTS)
def test_rejects_another_power(name: str, index: int) -> None:
    data = first().to_bytes()
    _, places = transcripts.first(data)
    refused(holds_first, places.changed(data, name, index, other))


@pytest.mark.parametrize("index", [0, 1, -1])
@pytest.mark.parametrize("name", SECOND_LISTS)
def test_rejects_another_point_of_the_key(name: str, index: int) -> None:
    """A good one, packed as the file has it: the same list's next, or delta's in place of a single one."""
    data = second().to_bytes()
    _, places = transcripts.second(data)
    start, size, count = places.lists[name]
    source = start + size * ((index + 1) % count) if count > 1 else places.lists["A" if size == 64 else "B in G2"][0]
    point = data[source : source + size]
    changed = places.changed(data, name, index, lambda _: point)
    refused(holds_second, changed)
    begun = extended(_core.PhaseTwo.start(r1cs(), first())).to_bytes()
    again = transcripts.second(begun)[1].changed(begun, name, index, lambda _: point)
    refused(lambda data: drop(extended(_core.PhaseTwo.from_bytes(data))), again)


@pytest.mark.parametrize("name", ["h", "committed wires"])
def test_nobody_contributes_to_points_that_somebody_added(name: str) -> None:
    """They would come back divided: see `PhaseTwo::contribute`, and what its test does with them."""
    begun = _core.PhaseTwo.start(r1cs(), first()).to_bytes()
    _, places = transcripts.second(begun)
    start, size, count = places.lists[name]
    public, _, _ = places.lists["public wires"]
    more = (count + 1) if name == "h" else 1
    end = start + size * count
    padded = begun[: start - 4] + (count + more).to_bytes(4, "little") + begun[start:end]
    padded += begun[public : public + size] * more + begun[end:]
    refused(lambda data: drop(extended(_core.PhaseTwo.from_bytes(data))), padded)


def test_nobody_contributes_to_a_first_phase_that_does_not_hold() -> None:
    data = _core.PhaseOne.start(3).contribute("a").to_bytes()
    for name in FIRST_LISTS:
        changed = transcripts.first(data)[1].changed(data, name, -1, other)
        refused(lambda data: drop(_core.PhaseOne.from_bytes(data).contribute("b")), changed)


def test_rejects_powers_that_begin_with_another_number_than_one() -> None:
    """All lists have one ratio in each group, and all secrets are where the transcript leads to."""
    transcript, places = transcripts.first(_core.PhaseOne.start(4).contribute("a").to_bytes())
    tau, alpha, beta = 1234, 56, 78
    known = transcript.rewritten(0, [tau, alpha, beta])

    def with_first(first: int) -> bytes:
        body, inverse = bytearray(known.body), pow(first, -1, R)
        for name, base, ratio, multiples in (
            ("tau", first, tau * inverse, _core.g1_multiples),
            ("alpha", alpha, tau * inverse, _core.g1_multiples),
            ("beta", beta, tau * inverse, _core.g1_multiples),
            ("tau in G2", inverse, tau, _core.g2_multiples),
            ("beta in G2", beta, 1, _core.g2_multiples),
        ):
            start, size, count = places.lists[name]
            body[start : start + size * count] = multiples(fr(*(base * pow(ratio % R, i, R) % R for i in range(count))))
        return replace(known, body=bytes(body)).encode()

    holds_first(with_first(1))
    refused(holds_first, with_first(2), "consecutive powers of one tau")


def test_rejects_powers_of_other_secrets_than_the_contributions_lead_to() -> None:
    """Consistent ones, of a setup of one's own behind the honest transcript."""
    honest, _ = transcripts.first(first().to_bytes())
    own, _ = transcripts.first(_core.PhaseOne.start(5).contribute("mine").to_bytes())
    refused(holds_first, replace(honest, body=own.body), "not of the secrets that the contributions lead to")


@pytest.mark.parametrize(
    ("divisor", "lists"),
    [
        ("delta", ["delta", "delta in G2", "h", "private wires"]),
        ("delta", ["delta in G2", "h", "private wires"]),
        ("eta", ["eta in G2", "committed wires"]),
    ],
)
def test_rejects_a_key_of_another_divisor_than_the_contributions_lead_to(divisor: str, lists: list[str]) -> None:
    """All that lies over it does: it is the divisor of a setup of one's own behind the honest transcript."""
    honest, places = transcripts.second(second().to_bytes())
    own, _ = transcripts.second(extended(_core.PhaseTwo.start(r1cs(), first())).to_bytes())
    body = bytearray(honest.body)
    for name in lists:
        start, size, count = places.lists[name]
        body[start : start + size * count] = own.body[start : start + size * count]
    changed = replace(honest, body=bytes(body))
    refused(holds_second, changed, f"{divisor} is not the one that the contributions lead to")


def test_rejects_a_key_of_another_first_phase_or_circuit() -> None:
    again = _core.PhaseOne.start(5).contribute("first").contribute("second").contribute("beacon", BEACON)
    with pytest.raises(ValueError, match="over another first phase"):
        second().verify(r1cs(), again)
    system, _ = random_system(6, PUBLIC, COMMITTED, rows=11)
    with pytest.raises(ValueError, match="for another circuit"):
        second().verify(system.build(), first())


def test_rejects_a_key_with_a_wire_that_nothing_binds() -> None:
    """No honest setup begins for such a circuit; of a bound one everything but the wire's own points is the same."""
    rows = [({1: 1}, {2: 1}, {3: 1}), ({3: 1, 4: 1}, {2: 1}, {5: 1})]
    bound, loose = System(1, 1, 6, rows).build(), System(1, 1, 6, [rows[0], ({3: 1}, {2: 1}, {5: 1})]).build()
    with pytest.raises(ValueError, match="private wire 1 stands in no constraint"):
        _core.PhaseTwo.start(loose, first())

    begun = _core.PhaseTwo.start(bound, first())
    made, places = transcripts.second(begun.contribute("a", bound, first()).to_bytes())
    data = transcripts.second(begun.to_bytes())[0].body
    for name, wire in (("private wires", 1), ("A", 4)):  # the later list first, or the earlier one would move it
        data = places.at_infinity(data, name, wire)
    data = data.replace(bound.digest(), loose.digest())
    origin = transcripts.digest(b"fedproof/ceremony/origin/v1", b"delta and eta", first().digest(), loose.digest())
    forged = replace(made, body=data, origin=origin).rewritten(0, [1, 1])
    with pytest.raises(ValueError, match="private wire 1 stands in no constraint"):
        _core.PhaseTwo.from_bytes(forged.encode()).verify(loose, first())


def test_rejects_the_key_of_another_circuit_under_this_ones_name() -> None:
    """All points are honest, and of a circuit of the same shape with one coefficient changed."""
    system, _ = random_system(5, PUBLIC, COMMITTED, rows=11)
    a, b, c = system.rows[3]
    system.rows[3] = ({wire: value + 1 for wire, value in a.items()}, b, c)
    weaker = system.build()
    begun = _core.PhaseTwo.start(weaker, first())
    for name, beacon in (("a", None), ("b", None), ("c", LATER)):
        begun = begun.contribute(name, weaker, first(), beacon)
    data = begun.to_bytes()
    at = data.index(weaker.digest())
    renamed, _ = transcripts.second(data[:at] + r1cs().digest() + data[at + 32 :])
    # the transcript names the circuit, so that its proofs are made anew, with factors that the forger knows
    forged = renamed.rewritten(0, [1, 1])
    plain, _ = transcripts.second(
        _core.PhaseTwo.start(weaker, first()).to_bytes().replace(weaker.digest(), r1cs().digest())
    )
    refused(holds_second, replace(forged, body=plain.body), "are not those of its circuit")


@pytest.mark.parametrize("cut", [0, 1, 18, 19, 23, 200, -1, -320])
def test_refuses_a_file_that_ends_too_early_or_too_late(cut: int) -> None:
    for data, read in (
        (first().to_bytes(), _core.PhaseOne.from_bytes),
        (second().to_bytes(), _core.PhaseTwo.from_bytes),
    ):
        for changed in (data[:cut], data + b"\0"):
            with pytest.raises(ValueError, match=r"."):
                read(changed)


def test_a_file_has_one_form() -> None:
    assert _core.PhaseOne.from_bytes(first().to_bytes()).to_bytes() == first().to_bytes()
    assert _core.PhaseTwo.from_bytes(second().to_bytes()).to_bytes() == second().to_bytes()
