// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";

/// @dev Running sums of points, in one piece of memory: four are named by the G2 point that each is paired with, the fifth
/// is the sum of updates times rows, for a round that is settled in two transactions. Of each, two words of the sum and
/// two for the next term right behind it, as precompile 6 wants its input; then the three words of precompile 7's input.
type Sums is uint256;

using SumsLibrary for Sums global;

/// @dev Every function reverts when a precompile fails, which it does for a malformed point.
library SumsLibrary {
    uint256 internal constant DELTA = 0x00;
    uint256 internal constant ETA = 0x80;
    uint256 internal constant TAU = 0x100;
    uint256 internal constant ONE = 0x180;
    uint256 internal constant TOTAL = 0x200;
    uint256 private constant INPUT = 0x280;
    uint256 private constant INPUT_Y = 0x2a0;
    uint256 private constant INPUT_SCALAR = 0x2c0;
    uint256 private constant SIZE = 0x2e0;

    /// @dev All sums at infinity.
    function create() internal pure returns (Sums sums) {
        assembly ("memory-safe") {
            sums := mload(0x40)
            mstore(0x40, add(sums, SIZE))
            calldatacopy(sums, calldatasize(), SIZE) // zeros
        }
    }

    /// @dev sum += scalar * point
    function addMul(Sums sums, uint256 sum, BN254.G1 calldata point, uint256 scalar) internal view {
        assembly ("memory-safe") {
            calldatacopy(add(sums, INPUT), point, 0x40)
            mstore(add(sums, INPUT_SCALAR), scalar)
        }
        _addTerm(sums, sum);
    }

    /// @dev sum += scalar * (x, y)
    function addMul(Sums sums, uint256 sum, uint256 x, uint256 y, uint256 scalar) internal view {
        assembly ("memory-safe") {
            mstore(add(sums, INPUT), x)
            mstore(add(sums, INPUT_Y), y)
            mstore(add(sums, INPUT_SCALAR), scalar)
        }
        _addTerm(sums, sum);
    }

    /// @dev sum += scalar * the point whose words lie at `point` in memory
    function addMulMemory(Sums sums, uint256 sum, uint256 point, uint256 scalar) internal view {
        assembly ("memory-safe") {
            mcopy(add(sums, INPUT), point, 0x40)
            mstore(add(sums, INPUT_SCALAR), scalar)
        }
        _addTerm(sums, sum);
    }

    /// @dev sum += (x, y)
    function add(Sums sums, uint256 sum, uint256 x, uint256 y) internal view {
        bool ok;
        assembly ("memory-safe") {
            sum := add(sums, sum)
            mstore(add(sum, 0x40), x)
            mstore(add(sum, 0x60), y)
            ok := staticcall(gas(), 6, sum, 0x80, sum, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
        }
        if (!ok) revert BN254.PrecompileFailed(6);
    }

    /// @dev Writes scalar * point at `place`.
    function mulTo(Sums sums, uint256 place, BN254.G1 calldata point, uint256 scalar) internal view {
        assembly ("memory-safe") {
            calldatacopy(add(sums, INPUT), point, 0x40)
            mstore(add(sums, INPUT_SCALAR), scalar)
        }
        _mulTo(sums, place);
    }

    /// @dev Writes scalar * (x, y) at `place`.
    function mulTo(Sums sums, uint256 place, uint256 x, uint256 y, uint256 scalar) internal view {
        assembly ("memory-safe") {
            mstore(add(sums, INPUT), x)
            mstore(add(sums, INPUT_Y), y)
            mstore(add(sums, INPUT_SCALAR), scalar)
        }
        _mulTo(sums, place);
    }

    /// @dev Copies a sum to a point in memory.
    function copyTo(Sums sums, BN254.G1 memory point, uint256 sum) internal pure {
        assembly ("memory-safe") {
            mcopy(point, add(sums, sum), 0x40)
        }
    }

    /// @dev Where the two words of a sum lie.
    function locate(Sums sums, uint256 sum) internal pure returns (uint256) {
        return Sums.unwrap(sums) + sum;
    }

    function _mulTo(Sums sums, uint256 place) private view {
        bool ok;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 7, add(sums, INPUT), 0x60, place, 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
        }
        if (!ok) revert BN254.PrecompileFailed(7);
    }

    function _addTerm(Sums sums, uint256 sum) private view {
        bool ok;
        assembly ("memory-safe") {
            sum := add(sums, sum)
            ok := staticcall(gas(), 7, add(sums, INPUT), 0x60, add(sum, 0x40), 0x40)
            ok := and(ok, eq(returndatasize(), 0x40))
            let added := staticcall(gas(), 6, sum, 0x80, sum, 0x40)
            ok := and(ok, and(added, eq(returndatasize(), 0x40)))
        }
        if (!ok) revert BN254.PrecompileFailed(7);
    }
}
