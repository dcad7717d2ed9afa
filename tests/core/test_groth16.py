"""Groth16 with a committed segment (protocol, section 3; attacks 8, 9, 11, 13, 15), held against py_ecc's pairing."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedproof import _core

from .support import (
    G1,
    G2,
    INFINITY_G1,
    INFINITY_G2,
    FrArray,
    P,
    R,
    System,
    fr,
    pairing_product,
    random_system,
    word,
)
from .test_points import BAD_G1, outside_the_subgroup

PUBLIC, COMMITTED = 3, 4


@dataclass
class Case:
    system: System
    z: list[int]
    r1cs: _core.R1cs
    key: _core.ProvingKey
    vk: Any
    proof: bytes
    d: bytes | None

    @property
    def public(self) -> FrArray:
        return fr(*self.z[1 : 1 + PUBLIC])

    def verify(self, **changes: Any) -> bool:
        parts: dict[str, Any] = {"vk": self.vk, "public": self.public, "proof": self.proof, "d": self.d}
        parts |= changes
        return _core.groth16_verify(parts["vk"], parts["public"], parts["proof"], parts["d"])


def case(committed: int, seed: int = 0) -> Case:
    system, z = random_system(seed, PUBLIC, committed, rows=20)
    r1cs = system.build()
    key = _core.ProvingKey.setup(r1cs)
    d = key.commit(fr(*z[1 + PUBLIC : 1 + PUBLIC + committed])) if committed else None
    return Case(system, z, r1cs, key, key.verifying_key(), key.prove(r1cs, fr(*z)), d)


LINKED = case(COMMITTED)
PLAIN = case(0)
BOTH = pytest.mark.parametrize("case", [LINKED, PLAIN], ids=["committed segment", "plain"])


def parts(proof: bytes) -> tuple[bytes, bytes, bytes]:
    return proof[:64], proof[64:192], proof[192:]


def equation(vk: Any, z: list[int], proof: bytes, d: bytes | None) -> bool:
    """`e(A,B) = e(alpha,beta) e(IC(x),[1]_2) e(C,delta) e(D,[eta]_2)`, by py_ecc."""
    a, b, c = parts(proof)
    ic = _core.g1_msm(b"".join(vk["ic"]), fr(*z[: len(vk["ic"])]))
    pairs = [(_core.g1_neg(a), b), (vk["alpha_g1"], vk["beta_g2"]), (ic, G2), (c, vk["delta_g2"])]
    if d is not None:
        pairs.append((d, vk["eta_g2"]))
    return pairing_product(*pairs)


@BOTH
def test_a_proof_satisfies_the_equation(case: Case) -> None:
    assert equation(case.vk, case.z, case.proof, case.d)
    assert case.verify()


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("committed", [0, 1, 9])
def test_proofs_of_other_circuits_verify(seed: int, committed: int) -> None:
    assert case(committed, seed).verify()


@BOTH
@pytest.mark.parametrize("i", range(PUBLIC))
def test_rejects_another_public_input(case: Case, i: int) -> None:
    changed = case.z[1 : 1 + PUBLIC]
    changed[i] += 1
    assert not case.verify(public=fr(*changed))


def test_rejects_a_public_input_that_no_row_uses() -> None:
    """Its wire has a point only through its own row `x * 0 = 0`; without that, any value would pass."""
    r1cs = System(2, 1, 5, [({1: 1}, {3: 1}, {4: 1})]).build()
    key = _core.ProvingKey.setup(r1cs)
    assert INFINITY_G1 not in key.verifying_key()["ic"]
    proof, d = key.prove(r1cs, fr(1, 2, 50, 3, 6)), key.commit(fr(3))
    assert _core.groth16_verify(key.verifying_key(), fr(2, 50), proof, d)
    assert not _core.groth16_verify(key.verifying_key(), fr(2, 51), proof, d)


def test_rejects_another_d() -> None:
    values = LINKED.z[1 + PUBLIC : 1 + PUBLIC + COMMITTED]
    for i in range(COMMITTED):
        changed = [*values]
        changed[i] += 1
        assert not LINKED.verify(d=LINKED.key.commit(fr(*changed)))
    for d in (INFINITY_G1, G1, _core.g1_neg(LINKED.d or b"")):
        assert not LINKED.verify(d=d)


def test_rejects_d_shifted_by_the_point_of_a_public_input() -> None:
    """With the points of x published over eta as well, D could take back what a false x adds."""
    for i in range(1 + PUBLIC):
        point = LINKED.vk["ic"][i]
        for shift in (point, _core.g1_neg(point)):
            moved = _core.g1_add(LINKED.d or b"", shift)
            changed = [*LINKED.z[1 : 1 + PUBLIC]]
            if i:
                changed[i - 1] += -1 if shift == point else 1
            assert not LINKED.verify(d=moved, public=fr(*changed))
            assert not LINKED.verify(d=moved)


def unpacked(point: bytes) -> bytes:
    """A point of a key file in its EIP encoding: the file has Montgomery form, little-endian."""
    words = (int.from_bytes(point[at : at + 32], "little") for at in range(0, len(point), 32))
    return b"".join(word(value * pow(2**256, -1, P) % P) for value in words)


def packed(point: bytes) -> bytes:
    words = (int.from_bytes(point[at : at + 32], "big") for at in range(0, len(point), 32))
    return b"".join((value * 2**256 % P).to_bytes(32, "little") for value in words)


def first_version(data: bytes) -> bytes:
    """A key file as version 1 wrote it."""
    out, at = bytearray(b"fedproof/key/v1\0"), 16

    def copied(count: int) -> bytes:
        nonlocal at
        out.extend(data[at : at + count])
        at += count
        return data[at - count : at]

    def points(count: int) -> None:
        nonlocal at
        out.extend(unpacked(data[at : at + count]))
        at += count

    public, committed, wires = (int.from_bytes(copied(4), "little") for _ in range(3))
    copied(32)
    points(3 * 64 + (3 if committed else 2) * 128)
    for _ in range(3):
        points(64 * int.from_bytes(copied(4), "little"))
    for length, size in ((wires, 64), (wires, 64), (wires - 1 - public - committed, 64), (wires, 128)):
        points(size * sum(byte.bit_count() for byte in copied(-(-length // 8))))
    assert at == len(data)
    return bytes(out)


def published(key: _core.ProvingKey) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """The G1 points of a key file: those of `[1 | x]`, those of c, and all others."""
    data, at = first_version(key.to_bytes()), 16
    wires = int.from_bytes(data[at + 8 : at + 12], "little")
    at += 12 + 32
    others = [data[at + 64 * i : at + 64 * (i + 1)] for i in range(3)]
    at += 3 * 64 + 3 * 128
    lists = []
    for _ in range(3):
        count = int.from_bytes(data[at : at + 4], "little")
        lists.append([data[at + 4 + 64 * i : at + 4 + 64 * (i + 1)] for i in range(count)])
        at += 4 + 64 * count
    instance = len(lists[0]) + len(lists[1])
    for length in (wires, wires, wires - instance):
        bitmap = data[at : at + -(-length // 8)]
        at += len(bitmap)
        count = sum(byte.bit_count() for byte in bitmap)
        others += [data[at + 64 * i : at + 64 * (i + 1)] for i in range(count)]
        at += 64 * count
    return lists[0], lists[1], others + lists[2]


def test_publishes_points_of_public_inputs_only_over_one() -> None:
    statement, committed, others = published(LINKED.key)
    assert statement == LINKED.vk["ic"]
    assert len(committed) == COMMITTED
    eta = LINKED.vk["eta_g2"]

    def over_eta(point: bytes, multiple: bytes) -> bool:
        return _core.ec_pairing(point + eta + _core.g1_neg(multiple) + G2)

    for multiple in statement:
        assert not any(over_eta(point, multiple) for point in (*statement, *committed, *others))
    # The other way round, no file holds K_j itself for a committed wire: K_j = eta * (K_j / eta).
    for point in committed:
        assert not any(over_eta(point, multiple) for multiple in (*statement, *committed, *others))


def test_gamma_delta_and_eta_differ_between_each_other_and_between_keys() -> None:
    second = _core.ProvingKey.setup(LINKED.r1cs).verifying_key()
    points = [G2, LINKED.vk["delta_g2"], LINKED.vk["eta_g2"], second["delta_g2"], second["eta_g2"]]
    assert len(set(points)) == 5


def with_key(**changes: object) -> dict[str, object]:
    return {**LINKED.vk, **changes}


DELTA, ETA = LINKED.vk["delta_g2"], LINKED.vk["eta_g2"]


def minus(point: bytes) -> bytes:
    """`-p` in G2: the other point with its x, so that the pairing's value is inverted."""
    return point[:64] + b"".join(word(-int.from_bytes(point[k : k + 32], "big") % P) for k in (64, 96))


@pytest.mark.parametrize(
    ("vk", "message"),
    [
        (with_key(delta_g2=G2), "gamma and delta coincide"),
        (with_key(eta_g2=G2), "gamma and eta coincide"),
        (with_key(eta_g2=DELTA), "delta and eta coincide"),
        (with_key(beta_g2=G2), "gamma and beta coincide"),
        (with_key(beta_g2=DELTA), "beta and delta coincide"),
        (with_key(beta_g2=ETA), "beta and eta coincide"),
        (with_key(delta_g2=minus(G2)), "gamma and delta coincide"),
        (with_key(eta_g2=minus(G2)), "gamma and eta coincide"),
        (with_key(eta_g2=minus(DELTA)), "delta and eta coincide"),
        (with_key(ic=[*LINKED.vk["ic"][:2], INFINITY_G1, *LINKED.vk["ic"][3:]]), "point 2 of IC"),
        (with_key(eta_g2=INFINITY_G2), "eta is the point at infinity"),
        (with_key(delta_g2=INFINITY_G2), "at infinity"),
        (with_key(beta_g2=INFINITY_G2), "at infinity"),
        (with_key(alpha_g1=INFINITY_G1), "at infinity"),
    ],
)
def test_rejects_keys_under_which_anything_could_verify(vk: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LINKED.verify(vk=vk)


def test_rejects_a_proof_without_a_witness_under_gamma_equal_to_delta() -> None:
    """A = alpha, B = beta, C = -IC(x) satisfies the equation when delta is gamma, so such a key is refused."""
    vk = with_key(delta_g2=G2)
    ic = _core.g1_msm(b"".join(LINKED.vk["ic"]), fr(*LINKED.z[: 1 + PUBLIC]))
    forged = LINKED.vk["alpha_g1"] + LINKED.vk["beta_g2"] + _core.g1_neg(ic)
    assert equation(vk, LINKED.z, forged, INFINITY_G1)
    with pytest.raises(ValueError, match="gamma and delta coincide"):
        LINKED.verify(vk=vk, proof=forged, d=INFINITY_G1)
    assert not LINKED.verify(proof=forged, d=INFINITY_G1)


def test_rejects_keys_whose_gamma_and_delta_coincide_when_loaded() -> None:
    data, delta = LINKED.key.to_bytes(), LINKED.vk["delta_g2"]
    for name, value in (("delta", G2), ("eta", G2), ("eta", delta)):
        old, value = packed(LINKED.vk[f"{name}_g2"]), packed(value)
        assert data.count(old) == 1
        with pytest.raises(ValueError, match="coincide"):
            _core.ProvingKey.from_bytes(data.replace(old, value))


@BOTH
def test_rejects_the_all_zero_proof_and_points_at_infinity(case: Case) -> None:
    a, b, c = parts(case.proof)
    for proof in (bytes(256), INFINITY_G1 + b + c, a + INFINITY_G2 + c, a + b + INFINITY_G1):
        assert not case.verify(proof=proof)


def test_rejects_infinity_even_where_the_equation_holds() -> None:
    srs = _core.Srs.generate(2, [])
    minus_tau = _core.g1_neg(srs.commit(fr(1), 1))
    vk = {"alpha_g1": G1, "beta_g2": srs.g2_power(1), "delta_g2": ETA, "eta_g2": None, "ic": [minus_tau]}
    assert equation(vk, [1], INFINITY_G1 + G2 + INFINITY_G1, None)
    for proof in (INFINITY_G1 + G2 + INFINITY_G1, G1 + INFINITY_G2 + INFINITY_G1, bytes(256)):
        assert not _core.groth16_verify(vk, fr(), proof, None)  # type: ignore[arg-type]


@BOTH
def test_two_proofs_of_one_statement_differ_in_every_point(case: Case) -> None:
    second = case.key.prove(case.r1cs, fr(*case.z))
    assert case.verify(proof=second)
    for left, right in zip(parts(case.proof), parts(second), strict=True):
        assert left != right


@BOTH
def test_rejects_a_proof_made_under_another_key(case: Case) -> None:
    other = _core.ProvingKey.setup(case.r1cs)
    proof = other.prove(case.r1cs, fr(*case.z))
    assert not case.verify(proof=proof)
    assert not case.verify(vk=other.verifying_key())
    if case.d is not None:
        assert not case.verify(vk=with_key(eta_g2=other.verifying_key()["eta_g2"]))


@BOTH
def test_rejects_parts_of_two_proofs_put_together(case: Case) -> None:
    a, b, c = parts(case.proof)
    a2, b2, c2 = parts(case.key.prove(case.r1cs, fr(*case.z)))
    for proof in (a2 + b + c, a + b2 + c, a + b + c2, a2 + b2 + c):
        assert not case.verify(proof=proof)


@BOTH
@pytest.mark.parametrize("row", [0, 7, 19])
def test_refuses_to_prove_an_unsatisfied_row_and_names_it(case: Case, row: int) -> None:
    z = [*case.z]
    z[1 + PUBLIC + case.r1cs.num_committed + row] += 1
    assert case.system.first_unsatisfied(z) == row
    with pytest.raises(ValueError, match=f"does not satisfy row {row}$"):
        case.key.prove(case.r1cs, fr(*z))


def test_refuses_to_prove_for_another_circuit() -> None:
    with pytest.raises(ValueError, match="another circuit"):
        LINKED.key.prove(PLAIN.r1cs, fr(*PLAIN.z))
    other, z = random_system(9, PUBLIC, COMMITTED, rows=20)
    with pytest.raises(ValueError, match="another circuit"):
        LINKED.key.prove(other.build(), fr(*z))


def test_refuses_a_witness_of_another_shape() -> None:
    for z in (LINKED.z[:-1], [*LINKED.z, 0], []):
        with pytest.raises(ValueError, match="wires, the assignment"):
            LINKED.key.prove(LINKED.r1cs, fr(*z))
    with pytest.raises(ValueError, match="constant 1"):
        LINKED.key.prove(LINKED.r1cs, fr(2, *LINKED.z[1:]))


def test_refuses_a_committed_wire_that_no_row_binds() -> None:
    """Its point would be infinity, so D would not depend on it (attack 5)."""
    r1cs = System(1, 2, 5, [({1: 1}, {2: 1}, {4: 1})]).build()
    with pytest.raises(ValueError, match="committed wire 1 stands in no constraint"):
        _core.ProvingKey.setup(r1cs)


def test_refuses_a_private_wire_that_no_row_binds() -> None:
    """A value that is assigned but not constrained is a mistake of the statement (attack 5)."""
    r1cs = System(1, 1, 5, [({1: 1}, {2: 1}, {3: 1}), ({1: 1}, {2: 1}, {3: 1})]).build()
    with pytest.raises(ValueError, match="private wire 1 stands in no constraint"):
        _core.ProvingKey.setup(r1cs)


def test_refuses_more_wires_than_entries_before_it_allocates() -> None:
    """Such a file has 200 bytes; its setup would take more memory than any machine has."""
    r1cs = System(0, 0, 2**28, [({0: 1}, {1: 1}, {1: 1})]).build()
    with pytest.raises(ValueError, match="more wires than entries"):
        _core.ProvingKey.setup(_core.R1cs.from_bytes(r1cs.to_bytes()))


def test_commit_is_linear_and_checks_its_length() -> None:
    key = LINKED.key
    a, b = fr(1, 2, 3, 4), fr(5, 0, R - 1, 2**200)
    assert _core.g1_add(key.commit(a), key.commit(b)) == key.commit(_core.fr_add(a, b))
    assert key.commit(fr(0, 0, 0, 0)) == INFINITY_G1
    units = [key.commit(fr(*(int(i == j) for j in range(COMMITTED)))) for i in range(COMMITTED)]
    assert len(set(units)) == COMMITTED
    for values in (fr(1, 2, 3), fr(1, 2, 3, 4, 5), fr()):
        with pytest.raises(ValueError, match="4 committed wires, got"):
            key.commit(values)
    with pytest.raises(ValueError, match="no committed wires"):
        PLAIN.key.commit(fr())


def test_rejects_a_missing_or_superfluous_d() -> None:
    with pytest.raises(ValueError, match="D is missing"):
        LINKED.verify(d=None)
    with pytest.raises(ValueError, match="no committed segment"):
        PLAIN.verify(d=INFINITY_G1)


@BOTH
@pytest.mark.parametrize("length", [0, 1, PUBLIC - 1, PUBLIC + 1])
def test_rejects_another_number_of_public_inputs(case: Case, length: int) -> None:
    with pytest.raises(ValueError, match=f"takes {PUBLIC} public inputs, got {length}"):
        case.verify(public=fr(*range(length)))


@pytest.mark.parametrize("bad", BAD_G1.values(), ids=BAD_G1.keys())
def test_rejects_a_malformed_g1_point_anywhere(bad: bytes) -> None:
    a, b, c = parts(LINKED.proof)
    for proof in (bad + b + c, a + b + bad):
        with pytest.raises(ValueError):
            LINKED.verify(proof=proof)
    with pytest.raises(ValueError):
        LINKED.verify(d=bad)
    for vk in (with_key(alpha_g1=bad), with_key(ic=[bad, *LINKED.vk["ic"][1:]])):
        with pytest.raises(ValueError):
            LINKED.verify(vk=vk)


def test_rejects_a_malformed_g2_point_anywhere() -> None:
    a, b, c = parts(LINKED.proof)
    alias = word(int.from_bytes(b[:32], "big") + P) + b[32:]
    for bad in (outside_the_subgroup(), alias, b[:64] + word(1) + word(1), b[:-1], b + b"\0"):
        with pytest.raises(ValueError):
            LINKED.verify(proof=a + bad + c)
        for name in ("beta_g2", "delta_g2", "eta_g2"):
            with pytest.raises(ValueError):
                LINKED.verify(vk=with_key(**{name: bad}))


def test_rejects_a_proof_of_another_length() -> None:
    for proof in (b"", LINKED.proof[:-1], LINKED.proof + b"\0"):
        with pytest.raises(ValueError, match="256 bytes"):
            LINKED.verify(proof=proof)


@pytest.mark.parametrize("name", ["alpha_g1", "beta_g2", "delta_g2", "eta_g2", "ic"])
def test_rejects_a_key_that_lacks_a_part(name: str) -> None:
    vk = {key: value for key, value in LINKED.vk.items() if key != name}
    with pytest.raises(ValueError, match=f"lacks '{name}'|lacks \"{name}\""):
        LINKED.verify(vk=vk)


def test_rejects_a_key_without_points() -> None:
    with pytest.raises(ValueError, match="public inputs"):
        LINKED.verify(vk=with_key(ic=[]))


@BOTH
@pytest.mark.parametrize("check", [False, True])
def test_a_key_file_goes_there_and_back(case: Case, check: bool) -> None:
    data = case.key.to_bytes()
    again = _core.ProvingKey.from_bytes(data, check=check)
    assert again.to_bytes() == data
    assert again.verifying_key() == case.vk
    assert again.circuit_digest == case.r1cs.digest()
    assert case.verify(proof=again.prove(case.r1cs, fr(*case.z)))


def test_a_key_file_is_read_from_any_buffer(tmp_path: Path) -> None:
    """A mapped file, or one part of it, needs no bytes object of its own."""
    data = LINKED.key.to_bytes()
    path = tmp_path / "keys"
    path.write_bytes(b"head" + data + b"tail")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with memoryview(mapped) as whole, whole[4:-4] as part:
            key = _core.ProvingKey.from_bytes(part)
        with pytest.raises(ValueError, match="not a proving key"):
            _core.ProvingKey.from_bytes(mapped)
    assert key.to_bytes() == data
    assert LINKED.verify(proof=key.prove(LINKED.r1cs, fr(*LINKED.z)))
    twice = b"".join(bytes([byte, 0]) for byte in data)
    assert _core.ProvingKey.from_bytes(memoryview(twice)[::2]).to_bytes() == data
    assert _core.ProvingKey.from_bytes(bytearray(data)).to_bytes() == data
    for wrong in ("text", 7, None, [1, 2]):
        with pytest.raises(TypeError):
            _core.ProvingKey.from_bytes(wrong)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize("check", [False, True])
def test_a_key_file_of_the_first_version_is_read(case: Case, check: bool) -> None:
    data = case.key.to_bytes()
    assert _core.ProvingKey.from_bytes(first_version(data), check=check).to_bytes() == data


@pytest.mark.parametrize("size", [1, 63, 1000, 10**9])
def test_a_key_is_read_from_chunks_of_any_size(size: int) -> None:
    data = LINKED.key.to_bytes()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    key = _core.ProvingKey.from_chunks(iter([b"", *chunks, b""]), len(data), check=True)
    assert key.to_bytes() == data
    for count in (0, len(chunks) // 2, len(chunks) - 1):
        with pytest.raises(ValueError, match=r"ends too early|not a proving key"):
            _core.ProvingKey.from_chunks(chunks[:count], len(data))
    for length in (len(data) - 1, 16, 0):
        with pytest.raises(ValueError, match=r"ends too early|not a proving key"):
            _core.ProvingKey.from_chunks(chunks, length)
    with pytest.raises(ValueError, match="7 bytes follow"):
        _core.ProvingKey.from_chunks(chunks, len(data) + 7)


def test_what_the_chunks_raise_comes_through() -> None:
    def breaks() -> Iterator[bytes]:
        yield LINKED.key.to_bytes()[:500]
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        _core.ProvingKey.from_chunks(breaks(), len(LINKED.key.to_bytes()))
    for wrong in (["text"], [7], [None]):
        with pytest.raises(TypeError):
            _core.ProvingKey.from_chunks(wrong, 1000)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.ProvingKey.from_chunks(7, 1000)  # type: ignore[arg-type]


def test_a_coordinate_is_written_in_one_way() -> None:
    data = bytearray(LINKED.key.to_bytes())
    x = int.from_bytes(data[60:92], "little")
    data[60:92] = (x + P).to_bytes(32, "little")
    with pytest.raises(ValueError, match="not below p"):
        _core.ProvingKey.from_bytes(bytes(data))


def test_a_damaged_key_file_is_one_error_or_another_key() -> None:
    """What no digest has checked may hold any points; reading them and proving with them never fails in another way."""
    data, z = LINKED.key.to_bytes(), fr(*LINKED.z)
    for at in range(0, len(data), 61):
        damaged = bytearray(data)
        damaged[at] ^= 0x81
        try:
            key = _core.ProvingKey.from_bytes(damaged)
            proof = key.prove(LINKED.r1cs, z)
        except ValueError:
            continue
        assert key.to_bytes() == damaged
        assert len(proof) == 256


@pytest.mark.parametrize("version", [b"fedproof/key/v0\0", b"fedproof/key/v4\0", b"fedproof/r1cs/v1"])
def test_rejects_a_key_file_of_another_version(version: bytes) -> None:
    with pytest.raises(ValueError, match="another version"):
        _core.ProvingKey.from_bytes(version + LINKED.key.to_bytes()[16:])


@BOTH
def test_rejects_every_truncation_and_extension_of_a_key_file(case: Case) -> None:
    data = case.key.to_bytes()
    for end in (*range(64), *range(64, len(data), 37), len(data) - 1):
        with pytest.raises(ValueError):
            _core.ProvingKey.from_bytes(data[:end])
    with pytest.raises(ValueError, match="1 bytes follow"):
        _core.ProvingKey.from_bytes(data + b"\0")


def bitmaps(data: bytes) -> int:
    """Where a key file's bitmaps begin."""
    at = 16 + 12 + 32 + 3 * 64 + 3 * 128
    for _ in range(3):
        at += 4 + 64 * int.from_bytes(data[at : at + 4], "little")
    return at


def test_rejects_a_key_file_that_names_more_wires_than_it_has_points() -> None:
    """A bit of a file may not ask for the memory of a point: one megabyte would take a gigabyte."""
    data, wires = LINKED.key.to_bytes(), 2**20
    private = wires - 1 - PUBLIC - COMMITTED
    zeros = [bytes((count + 7) // 8) for count in (wires, wires, private, wires)]
    bomb = data[:24] + wires.to_bytes(4, "little") + data[28 : bitmaps(data)] + b"".join(zeros)
    with pytest.raises(ValueError, match="more wires than it holds points"):
        _core.ProvingKey.from_bytes(bomb)


def test_rejects_a_key_file_that_is_not_canonical() -> None:
    """Two files of one key would have two digests."""
    data = bytearray(LINKED.key.to_bytes())
    wires = LINKED.r1cs.num_wires
    assert wires % 8
    at = bitmaps(data)
    last = at + wires // 8
    data[last] |= 0x80
    with pytest.raises(ValueError, match="beyond its wires"):
        _core.ProvingKey.from_bytes(bytes(data))
    data[last] ^= 0x80
    point = at + (wires + 7) // 8
    data[point : point + 64] = INFINITY_G1
    with pytest.raises(ValueError, match="at infinity as a finite one"):
        _core.ProvingKey.from_bytes(bytes(data))


def test_refuses_to_prove_with_a_key_whose_shape_is_another() -> None:
    """The digest in a damaged file may be the circuit's while the rest belongs to another."""
    other, _ = random_system(5, PUBLIC + 1, COMMITTED - 1, rows=20)
    mine, theirs = LINKED.key.to_bytes(), _core.ProvingKey.setup(other.build()).to_bytes()
    mixed = _core.ProvingKey.from_bytes(theirs[:28] + mine[28:60] + theirs[60:])
    with pytest.raises(ValueError, match="another circuit"):
        mixed.prove(LINKED.r1cs, fr(*LINKED.z))


def test_rejects_a_key_file_with_a_point_off_the_curve_when_checked() -> None:
    data = LINKED.key.to_bytes()
    statement, committed, others = published(LINKED.key)
    for point in (statement[1], committed[2], others[0], others[5], others[-1]):
        x, y = point[:32], int.from_bytes(point[32:], "big")
        damaged = data.replace(packed(point), packed(x + word((y + 1) % P)))
        assert damaged != data
        _core.ProvingKey.from_bytes(damaged)
        with pytest.raises(ValueError, match="not on the curve"):
            _core.ProvingKey.from_bytes(damaged, check=True)
    outside = data.replace(packed(LINKED.vk["delta_g2"]), packed(outside_the_subgroup()))
    with pytest.raises(ValueError, match="not in the subgroup"):
        _core.ProvingKey.from_bytes(outside, check=True)


def test_a_seed_fixes_a_key_and_a_proof() -> None:
    first, second = (_core.ProvingKey.setup(LINKED.r1cs, bytes(32)) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()
    z = fr(*LINKED.z)
    assert first.prove(LINKED.r1cs, z, bytes(32)) == second.prove(LINKED.r1cs, z, bytes(32))
    assert first.prove(LINKED.r1cs, z, bytes(32)) != first.prove(LINKED.r1cs, z, b"\x01" * 32)


def test_keys_of_one_dealer_share_alpha_and_beta_alone() -> None:
    dealer = _core.Dealer()
    keys = [_core.ProvingKey.setup(LINKED.r1cs, dealer=dealer) for _ in range(2)]
    first, second = (key.verifying_key() for key in keys)
    assert (first["alpha_g1"], first["beta_g2"]) == (second["alpha_g1"], second["beta_g2"])
    assert first["ic"] == second["ic"]  # undivided, and of one circuit: they show that tau is shared, too
    assert len({first["delta_g2"], second["delta_g2"], first["eta_g2"], second["eta_g2"], _core.g2_generator()}) == 5
    z = fr(*LINKED.z)
    committed = fr(*LINKED.z[1 + PUBLIC : 1 + PUBLIC + COMMITTED])
    proof, d = keys[0].prove(LINKED.r1cs, z), keys[0].commit(committed)
    assert LINKED.verify(vk=first, proof=proof, d=d)
    assert not LINKED.verify(vk=second, proof=proof, d=d)
    assert not LINKED.verify(vk=second, proof=keys[1].prove(LINKED.r1cs, z), d=d)


def test_dealers_differ_and_a_seed_fixes_one() -> None:
    def alpha(dealer: _core.Dealer) -> bytes:
        return _core.ProvingKey.setup(LINKED.r1cs, dealer=dealer).verifying_key()["alpha_g1"]

    assert alpha(_core.Dealer()) != alpha(_core.Dealer())
    assert alpha(_core.Dealer(bytes(32))) == alpha(_core.Dealer(bytes(32)))
    with pytest.raises(ValueError, match="32 bytes"):
        _core.Dealer(b"short")


def test_one_seed_gives_unrelated_secrets() -> None:
    """With delta = alpha, or one delta for two circuits, a proof needs no witness."""
    seed = b"\x05" * 32
    srs, dealer = _core.Srs.generate(4, [2], seed), _core.Dealer(seed)
    circuits = [LINKED.r1cs, random_system(9, PUBLIC, COMMITTED, rows=20)[0].build()]
    keys = [_core.ProvingKey.setup(r1cs, seed, dealer).verifying_key() for r1cs in circuits]
    secrets = [srs.g2_power(1), keys[0]["beta_g2"]]
    secrets += [vk[name] for vk in keys for name in ("delta_g2", "eta_g2")]  # type: ignore[literal-required]
    assert None not in secrets
    assert len(set(secrets)) == len(secrets)
    for vk in keys:
        for secret in secrets:
            assert not _core.ec_pairing(_core.g1_neg(vk["alpha_g1"]) + G2 + G1 + secret)


def test_the_smallest_circuit_proves() -> None:
    r1cs = System(0, 0, 1).build()
    key = _core.ProvingKey.setup(r1cs)
    assert _core.groth16_verify(key.verifying_key(), fr(), key.prove(r1cs, fr(1)), None)


def test_a_circuit_of_more_than_one_block_of_wires_proves() -> None:
    """Its key has sparse lists of several blocks, and its sums are of batches with shared inversions."""
    system, z = random_system(3, PUBLIC, COMMITTED, rows=9000)
    r1cs = system.build()
    made = _core.ProvingKey.setup(r1cs)
    key = _core.ProvingKey.from_bytes(made.to_bytes())
    assert key.to_bytes() == made.to_bytes()
    d = key.commit(fr(*z[1 + PUBLIC : 1 + PUBLIC + COMMITTED]))
    proof = key.prove(r1cs, fr(*z), bytes(32))
    assert proof == made.prove(r1cs, fr(*z), bytes(32))
    assert _core.groth16_verify(key.verifying_key(), fr(*z[1 : 1 + PUBLIC]), proof, d)
