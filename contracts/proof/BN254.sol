// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The curve BN254 through the precompiled contracts 0x06, 0x07 and 0x08 (EIP-196, EIP-197, EIP-1108)
/// @notice A precompile that fails reverts the call. Only a returned 0 means that a pairing equation does not hold, so
/// a caller who sends too little gas, or a chain without the precompile, can never make a valid proof look invalid.
/// @dev G1 points are (x, y), infinity is (0, 0). G2 points are four words: x imaginary, x real, y imaginary, y real.
library BN254 {
    /// @dev Order of the base field: every coordinate is below it.
    uint256 internal constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @dev Order of the group: every scalar is below it.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    uint256 internal constant G1_X = 1;
    uint256 internal constant G1_Y = 2;
    uint256 internal constant G2_X_IMAG = 0x198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2;
    uint256 internal constant G2_X_REAL = 0x1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed;
    uint256 internal constant G2_Y_IMAG = 0x090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b;
    uint256 internal constant G2_Y_REAL = 0x12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa;

    uint256 internal constant WORDS_PER_PAIR = 6;

    /// @dev A point that is added to in place.
    struct G1 {
        uint256 x;
        uint256 y;
    }

    /// @dev What a pairing with an explicit budget says.
    enum Answer {
        Holds,
        DoesNotHold,
        MalformedPoint
    }

    /// @notice The precompile at this address failed or is absent: too little gas, or a malformed point.
    error PrecompileFailed(uint256 precompile);
    /// @notice The chain's pairing precompile gives a wrong answer: no proof can be checked here.
    error PairingIsWrong();
    /// @notice A coordinate is not below the order of the base field.
    error CoordinateTooLarge(uint256 value);
    /// @notice A scalar is not below the order of the group.
    error ScalarTooLarge(uint256 value);
    /// @notice The point does not satisfy y^2 = x^3 + 3.
    error NotOnCurve(uint256 x, uint256 y);
    /// @notice The point at infinity is not allowed here.
    error PointAtInfinity();
    /// @notice A pair or a point lies outside its array: the calling contract is wrong.
    error OutOfBounds();
    /// @notice A judged pairing needs this much gas at this place.
    error NotEnoughGas(uint256 needed);

    /// @dev Reverts unless `value` is a canonical scalar.
    function requireScalar(uint256 value) internal pure {
        if (value >= R) revert ScalarTooLarge(value);
    }

    /// @dev Reverts unless (x, y) is a finite point of G1. BN254's G1 has cofactor 1, so there is no subgroup to check.
    function requirePoint(uint256 x, uint256 y) internal pure {
        if (x == 0 && y == 0) revert PointAtInfinity();
        if (x >= P) revert CoordinateTooLarge(x);
        if (y >= P) revert CoordinateTooLarge(y);
        if (!satisfiesCurve(x, y)) revert NotOnCurve(x, y);
    }

    /// @dev Reverts unless (x, y) is a point of G1; infinity is allowed.
    function requirePointOrInfinity(uint256 x, uint256 y) internal pure {
        if (x != 0 || y != 0) requirePoint(x, y);
    }

    /// @dev Whether canonical coordinates satisfy the curve equation; false for infinity.
    function satisfiesCurve(uint256 x, uint256 y) internal pure returns (bool) {
        return mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }

    /// @dev Reverts unless a coordinate is canonical. The pairing precompile itself checks curve and subgroup of G2.
    function requireCoordinate(uint256 value) internal pure {
        if (value >= P) revert CoordinateTooLarge(value);
    }

    /// @dev The y coordinate of the negated point.
    function negate(uint256 y) internal pure returns (uint256) {
        return y == 0 ? 0 : P - y;
    }

    /// @dev acc += (x, y)
    function addTo(G1 memory acc, uint256 x, uint256 y) internal view {
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, mload(acc))
            mstore(add(input, 0x20), mload(add(acc, 0x20)))
            mstore(add(input, 0x40), x)
            mstore(add(input, 0x60), y)
            ok := staticcall(gas(), 6, input, 0x80, acc, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
        }
        if (!ok) revert PrecompileFailed(6);
    }

    /// @dev acc += scalar * (x, y)
    function addMulTo(G1 memory acc, uint256 x, uint256 y, uint256 scalar) internal view {
        (uint256 mx, uint256 my) = mul(x, y, scalar);
        addTo(acc, mx, my);
    }

    /// @dev scalar * (x, y)
    function mul(uint256 x, uint256 y, uint256 scalar) internal view returns (uint256 mx, uint256 my) {
        bool ok;
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, x)
            mstore(add(input, 0x20), y)
            mstore(add(input, 0x40), scalar)
            ok := staticcall(gas(), 7, input, 0x60, input, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
            mx := mload(input)
            my := mload(add(input, 0x20))
        }
        if (!ok) revert PrecompileFailed(7);
    }

    /// @dev Writes the pair (G1 point, G2 point at word `g2` of `source`) as pair number `index` of a pairing input.
    function setPair(
        uint256[] memory input,
        uint256 index,
        uint256 x,
        uint256 y,
        uint256[] memory source,
        uint256 g2
    ) internal pure {
        if (g2 + 4 > source.length) revert OutOfBounds();
        uint256 target = _setG1(input, index, x, y);
        assembly ("memory-safe") {
            mcopy(target, add(add(source, 0x20), mul(g2, 0x20)), 0x80)
        }
    }

    /// @dev Writes the pair (G1 point, generator of G2) as pair number `index` of a pairing input.
    function setPairWithGenerator(uint256[] memory input, uint256 index, uint256 x, uint256 y) internal pure {
        uint256 target = _setG1(input, index, x, y);
        assembly ("memory-safe") {
            mstore(target, G2_X_IMAG)
            mstore(add(target, 0x20), G2_X_REAL)
            mstore(add(target, 0x40), G2_Y_IMAG)
            mstore(add(target, 0x60), G2_Y_REAL)
        }
    }

    /// @dev Whether the product of the pairings is one. Reverts when the precompile does not answer.
    function pairing(uint256[] memory input) internal view returns (bool) {
        (bool answered, bool holds) = _pairing(input, gasleft());
        if (!answered) revert PrecompileFailed(8);
        return holds;
    }

    /// @dev The price of a pairing call (EIP-1108).
    function pairingGas(uint256 pairs) internal pure returns (uint256) {
        return 45_000 + 34_000 * pairs;
    }

    /// @dev For a judge who must also decide about points that the precompile refuses. Gives the pairing exactly
    /// `budget` gas. A refusal counts as `MalformedPoint` only when a known-good pairing of the same size succeeds with
    /// the same budget right after it; otherwise the call reverts and nothing has been decided.
    function judgePairing(uint256[] memory input, uint256 budget) internal view returns (Answer) {
        _requireGas(budget);
        (bool answered, bool holds) = _pairing(input, budget);
        if (answered) return holds ? Answer.Holds : Answer.DoesNotHold;

        uint256[] memory control = _knownGood(input.length / WORDS_PER_PAIR);
        _requireGas(budget);
        (answered, holds) = _pairing(control, budget);
        if (!answered || !holds) revert PrecompileFailed(8);
        return Answer.MalformedPoint;
    }

    /// @dev Checks each precompile once: a known multiple and sum, one true pairing and one false one. Every contract
    /// that verifies proofs calls it in its constructor, so none can be deployed where the precompiles are missing.
    function selfTest() internal view {
        (uint256 x, uint256 y) = mul(G1_X, G1_Y, 2);
        G1 memory sum = G1(G1_X, G1_Y);
        addTo(sum, G1_X, G1_Y);
        if (x != sum.x || y != sum.y || !satisfiesCurve(x, y) || x == G1_X) revert PairingIsWrong();

        uint256[] memory input = _knownGood(2);
        if (!pairing(input)) revert PairingIsWrong();
        setPairWithGenerator(input, 1, G1_X, G1_Y);
        if (pairing(input)) revert PairingIsWrong();
    }

    /// @dev A pairing product of that many pairs which is one: (pairs - 1) times G, and -(pairs - 1) G.
    function _knownGood(uint256 pairs) private view returns (uint256[] memory input) {
        input = new uint256[](pairs * WORDS_PER_PAIR);
        for (uint256 k = 0; k + 1 < pairs; ++k) setPairWithGenerator(input, k, G1_X, G1_Y);
        (uint256 x, uint256 y) = mul(G1_X, G1_Y, pairs - 1);
        setPairWithGenerator(input, pairs - 1, x, negate(y));
    }

    /// @return target where the pair's G2 point goes, in memory.
    function _setG1(uint256[] memory input, uint256 index, uint256 x, uint256 y) private pure returns (uint256 target) {
        uint256 start = index * WORDS_PER_PAIR;
        if (start + WORDS_PER_PAIR > input.length) revert OutOfBounds();
        assembly ("memory-safe") {
            let g1 := add(add(input, 0x20), mul(start, 0x20))
            mstore(g1, x)
            mstore(add(g1, 0x20), y)
            target := add(g1, 0x40)
        }
    }

    /// @dev An inner call gets at most 63/64 of what is left (EIP-150), silently.
    function _requireGas(uint256 budget) private view {
        uint256 needed = budget + budget / 63 + 5_000;
        if (gasleft() < needed) revert NotEnoughGas(needed);
    }

    function _pairing(uint256[] memory input, uint256 budget) private view returns (bool answered, bool holds) {
        assembly ("memory-safe") {
            let size := mul(mload(input), 0x20)
            mstore(0, 2)
            let ok := staticcall(budget, 8, add(input, 0x20), size, 0, 0x20)
            let result := mload(0)
            // A chain without the precompile succeeds with no data: that is no answer either.
            answered := and(and(ok, eq(returndatasize(), 0x20)), lt(result, 2))
            holds := and(answered, result)
        }
    }
}
