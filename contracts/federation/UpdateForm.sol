// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Proof, Submission} from "./FederationTypes.sol";

/// @title What an update must be to be submitted
/// @dev It refuses whatever would make the judge or the round's equation revert, so that every submitted update can be
/// rejected or finalized: only B may still lie outside curve or subgroup, and the judge can tell that from a lack of gas.
library UpdateForm {
    /// @dev Reverts unless every G1 point is finite and on the curve, every coordinate below p, y below r.
    function requireWellFormed(Submission calldata submission, BN254.G1[] calldata shares) internal pure {
        Proof calldata proof = submission.proof;
        _requirePoint(submission.update);
        _requirePoint(submission.d);
        _requirePoint(proof.a);
        _requirePoint(proof.c);
        _requirePoint(proof.q);
        unchecked {
            for (uint256 k = 0; k < shares.length; ++k) _requirePoint(shares[k]);
        }
        uint256[4] calldata b = proof.b;
        uint256 p = BN254.P;
        bool sound;
        assembly ("memory-safe") {
            let b0 := calldataload(b)
            let b1 := calldataload(add(b, 0x20))
            let b2 := calldataload(add(b, 0x40))
            let b3 := calldataload(add(b, 0x60))
            sound := and(and(lt(b0, p), lt(b1, p)), and(lt(b2, p), lt(b3, p)))
            sound := and(sound, iszero(iszero(or(or(b0, b1), or(b2, b3)))))
        }
        if (!sound) _refuse(b);
        BN254.requireScalar(proof.y);
    }

    /// @dev What `BN254.requirePoint` does, at a third of its price: it is called six times for every update.
    function _requirePoint(BN254.G1 calldata point) private pure {
        uint256 p = BN254.P;
        bool sound;
        assembly ("memory-safe") {
            let x := calldataload(point)
            let y := calldataload(add(point, 0x20))
            // Infinity, (0, 0), does not satisfy the equation.
            sound := eq(mulmod(y, y, p), addmod(mulmod(mulmod(x, x, p), x, p), 3, p))
            sound := and(sound, and(lt(x, p), lt(y, p)))
        }
        if (!sound) BN254.requirePoint(point.x, point.y);
    }

    /// @dev Says what is wrong with B.
    function _refuse(uint256[4] calldata b) private pure {
        for (uint256 k = 0; k < 4; ++k) BN254.requireCoordinate(b[k]);
        revert BN254.PointAtInfinity();
    }
}
