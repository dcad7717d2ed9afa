"""The BN254 precompiles of the embedded chain: results and gas as EIP-196, 197 and 1108 say, and as anvil has them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fedproof import _core
from fedproof.errors import LedgerError
from fedproof.ledger import Account, Chain
from tests.ledger.conftest import deploy_probe

P = 21888242871839275222246405745257275088696311157297823662689037894645226208583
G1 = _core.g1_generator()
G2 = _core.g2_generator()
MINUS_G1 = _core.g1_neg(G1)
TWO_G1 = _core.g1_add(G1, G1)
ZERO = bytes(64)
# On the twist at x = 1, with a y found by square root; r times it is not infinity.
OFF_SUBGROUP_G2 = b"".join(
    value.to_bytes(32, "big")
    for value in (
        0,
        1,
        5912654199736721486680175016176231956195085055698687135131307249486702594212,
        18278151005453108793778860132295291098363647455926340152056652516292830556603,
    )
)
ADD, MUL, PAIRING = 6, 7, 8
TRUE, FALSE = (1).to_bytes(32, "big"), bytes(32)
PLENTY = 400_000


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


@dataclass(frozen=True)
class Case:
    """A call to a precompile; `output` None means that it fails, which costs all `gas`."""

    name: str
    number: int
    data: bytes
    output: bytes | None
    price: int
    gas: int = PLENTY


ADD_GAS, MUL_GAS, PAIR_1, PAIR_2 = 150, 6_000, 79_000, 113_000
OFF_CURVE = word(1) + word(3)
CASES = [
    Case("adds", ADD, G1 + G1, TWO_G1, ADD_GAS),
    Case("adds_the_inverse", ADD, G1 + MINUS_G1, ZERO, ADD_GAS),
    Case("pads_the_second_point_with_zeros", ADD, G1, G1, ADD_GAS),
    Case("reads_nothing_as_infinity", ADD, b"", ZERO, ADD_GAS),
    Case("ignores_bytes_after_two_points", ADD, G1 + G1 + b"\xff" * 9, TWO_G1, ADD_GAS),
    Case("add_fails_off_the_curve", ADD, OFF_CURVE + G1, None, ADD_GAS),
    Case("add_fails_on_a_coordinate_of_p", ADD, word(P) + word(0) + G1, None, ADD_GAS),
    Case("add_fails_on_an_aliased_coordinate", ADD, word(1 + P) + word(2) + G1, None, ADD_GAS),
    Case("adds_with_exactly_its_gas", ADD, G1 + G1, TWO_G1, ADD_GAS, gas=ADD_GAS),
    Case("add_fails_with_one_gas_less", ADD, G1 + G1, None, ADD_GAS, gas=ADD_GAS - 1),
    Case("multiplies", MUL, G1 + word(2), TWO_G1, MUL_GAS),
    Case("multiplies_by_zero_where_the_scalar_is_missing", MUL, G1, ZERO, MUL_GAS),
    Case("multiplies_by_the_order", MUL, G1 + word(_core.MODULUS), ZERO, MUL_GAS),
    Case("multiplies_by_more_than_the_order", MUL, G1 + word(_core.MODULUS + 2), TWO_G1, MUL_GAS),
    Case("multiplies_by_the_largest_word", MUL, ZERO + b"\xff" * 32, ZERO, MUL_GAS),
    Case("mul_fails_off_the_curve", MUL, OFF_CURVE + word(0), None, MUL_GAS),
    Case("multiplies_with_exactly_its_gas", MUL, G1 + word(2), TWO_G1, MUL_GAS, gas=MUL_GAS),
    Case("mul_fails_with_one_gas_less", MUL, G1 + word(2), None, MUL_GAS, gas=MUL_GAS - 1),
    Case("pairing_of_nothing_is_true", PAIRING, b"", TRUE, 45_000),
    Case("pairing_of_inverses_is_true", PAIRING, G1 + G2 + MINUS_G1 + G2, TRUE, PAIR_2),
    Case("pairing_of_two_equals_is_false", PAIRING, G1 + G2 + G1 + G2, FALSE, PAIR_2),
    Case("pairing_of_one_is_false", PAIRING, G1 + G2, FALSE, PAIR_1),
    Case("pairing_with_infinity_on_the_left_is_true", PAIRING, ZERO + G2, TRUE, PAIR_1),
    Case("pairing_with_infinity_on_the_right_is_true", PAIRING, G1 + bytes(128), TRUE, PAIR_1),
    Case("pairing_of_eight_is_true", PAIRING, 4 * (G1 + G2 + MINUS_G1 + G2), TRUE, 45_000 + 8 * 34_000),
    Case("pairing_fails_on_a_cut_pair", PAIRING, (G1 + G2)[:-1], None, 45_000),
    Case("pairing_fails_on_a_byte_too_many", PAIRING, G1 + G2 + b"\0", None, PAIR_1),
    Case("pairing_fails_off_the_curve", PAIRING, OFF_CURVE + G2, None, PAIR_1),
    Case("pairing_fails_off_the_twist", PAIRING, G1 + G2[:-1] + b"\0", None, PAIR_1),
    Case("pairing_fails_outside_the_subgroup", PAIRING, G1 + OFF_SUBGROUP_G2, None, PAIR_1),
    Case("pairing_fails_outside_the_subgroup_beside_infinity", PAIRING, ZERO + OFF_SUBGROUP_G2, None, PAIR_1),
    Case("pairing_fails_on_swapped_halves_of_g2", PAIRING, G1 + G2[32:64] + G2[:32] + G2[64:], None, PAIR_1),
    Case("pairing_fails_on_a_coordinate_of_p", PAIRING, G1 + word(P) + G2[32:], None, PAIR_1),
    Case("pairs_with_exactly_its_gas", PAIRING, G1 + G2 + MINUS_G1 + G2, TRUE, PAIR_2, gas=PAIR_2),
    Case("pairing_fails_with_one_gas_less", PAIRING, G1 + G2 + MINUS_G1 + G2, None, PAIR_2, gas=PAIR_2 - 1),
]
# What the probe itself spends around the call; the same for every call of one input length.
AROUND = 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_precompile(chain: Chain, alice: Account, case: Case) -> None:
    probe = deploy_probe(chain, alice)
    target = f"0x{case.number:040x}"
    ok, output, spent = chain.call(probe.functions.callPrecompile(target, case.gas, case.data))
    assert ok == (case.output is not None)
    assert output == (case.output or b"")
    expected = case.gas if case.output is None else case.price
    assert expected <= spent < expected + AROUND


def test_every_call_spends_the_same_gas_as_on_anvil(embedded_chain: Chain, anvil_chain: Chain) -> None:
    spent = []
    for chain in (embedded_chain, anvil_chain):
        alice = chain.new_account("alice")
        probe = deploy_probe(chain, alice)
        results = []
        for case in CASES:
            function = probe.functions.precompileLog(f"0x{case.number:040x}", case.gas, case.data)
            receipt = chain.transact(function, alice, gas=1_000_000)
            results.append((case.name, receipt.gas_used, receipt.event("Stored").args))
        spent.append(results)
    assert spent[0] == spent[1]


def test_a_failed_precompile_at_the_top_fails_the_transaction(chain: Chain, alice: Account) -> None:
    # Nothing above it holds gas back, so that the whole limit is gone.
    with pytest.raises(LedgerError, match="it used all of its 100000 gas"):
        chain.transact_raw(f"0x{PAIRING:040x}", b"\x01", alice, gas=100_000)
