"""Poseidon and keccak against published vectors, and the Poseidon parameters against a plain permutation."""

import pytest

from fedproof import _core

from .support import R, fr, one


# Arity 2 and 4: iden3/circomlibjs, test/poseidon.js. Arity 1, 5, 6: iden3/go-iden3-crypto, poseidon/poseidon_test.go.
@pytest.mark.parametrize(
    ("inputs", "digest"),
    [
        ([1], 18586133768512220936620570745912940619677854269274689475585506675881198879027),
        ([1, 2], 0x115CC0F5E7D690413DF64C6B9662E9CF2A3617F2743245519E19607A4417189A),
        ([1, 2, 3, 4], 0x299C867DB6C1FDD79DCEFA40E4510B9837E60EBB1CE0663DBAA525DF65250465),
        ([1, 2, 0, 0, 0], 1018317224307729531995786483840663576608797660851238720571059489595066344487),
        ([3, 4, 0, 0, 0], 5811595552068139067952687508729883632420015185677766880877743348592482390548),
        ([1, 2, 3, 4, 5, 6], 20400040500897583745843009878988256314335038853985262692600694741116813247201),
    ],
)
def test_poseidon_matches_circomlib(inputs: list[int], digest: int) -> None:
    assert one(_core.poseidon(fr(*inputs), len(inputs))) == digest


@pytest.mark.parametrize("k", range(1, 13))
def test_the_published_parameters_are_those_that_hash(k: int) -> None:
    """A circuit is built from `poseidon_parameters`, so they must describe the permutation that `poseidon` runs."""
    constants, mds, full, partial = _core.poseidon_parameters(k)
    width, inputs = k + 1, [R - 1 - i for i in range(k)]
    assert (full, len(constants), len(mds)) == (8, (full + partial) * width, width)
    state = [0, *inputs]
    for r in range(full + partial):
        state = [(s + constants[r * width + i]) % R for i, s in enumerate(state)]
        whole = r < full // 2 or r >= full // 2 + partial
        state = [pow(s, 5, R) if whole or i == 0 else s for i, s in enumerate(state)]
        state = [sum(m * s for m, s in zip(row, state, strict=True)) % R for row in mds]
    assert one(_core.poseidon(fr(*inputs), k)) == state[0]


def test_poseidon_hashes_each_group_by_itself() -> None:
    values = _core.fr_random(2 * 333, bytes(32))
    together = _core.fr_to_ints(_core.poseidon(values, 2))
    assert together == [one(_core.poseidon(values[i : i + 2], 2)) for i in range(0, 666, 2)]


def test_poseidon_depends_on_order_and_arity() -> None:
    digests = [one(_core.poseidon(fr(*v), len(v))) for v in ([1, 2], [2, 1], [1, 2, 0], [0, 1, 2], [1], [1, 0])]
    assert len(set(digests)) == 6


def test_poseidon_of_nothing_is_empty() -> None:
    assert _core.poseidon(fr(), 2).shape == (0, 4)


@pytest.mark.parametrize("k", [0, 13, 255, 256, 2**63])
def test_rejects_an_arity_without_parameters(k: int) -> None:
    with pytest.raises(ValueError, match="1 to 12 inputs"):
        _core.poseidon(fr(1, 2), k)
    with pytest.raises(ValueError, match="1 to 12 inputs"):
        _core.poseidon_parameters(k)


def test_rejects_elements_that_are_not_whole_groups() -> None:
    with pytest.raises(ValueError, match="3 elements are not groups of 2"):
        _core.poseidon(fr(1, 2, 3), 2)


# The empty string: Ethereum's yellow paper, KEC(()). "abc": the Keccak team's vectors for the original padding.
@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak256(data: bytes, digest: str) -> None:
    assert _core.keccak256(data).hex() == digest
