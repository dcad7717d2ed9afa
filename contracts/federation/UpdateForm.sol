// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Submission} from "./FederationTypes.sol";

/// @title What an update must be to be submitted
/// @dev It refuses whatever would make the judge or the round's equation revert, so that every submitted update can be
/// rejected or finalized: only B may still lie outside curve or subgroup, and the judge can tell that from a lack of gas.
library UpdateForm {
    /// @dev Reverts unless every G1 point is finite and on the curve, every coordinate below p, y below r.
    function requireWellFormed(Submission calldata submission) internal pure {
        uint256 p = BN254.P;
        uint256 r = BN254.R;
        bool sound;
        assembly ("memory-safe") {
            // Infinity, (0, 0), does not satisfy the equation.
            function isPoint(place, prime) -> good {
                let x := calldataload(place)
                let y := calldataload(add(place, 0x20))
                good := eq(mulmod(y, y, prime), addmod(mulmod(mulmod(x, x, prime), x, prime), 3, prime))
                good := and(good, and(lt(x, prime), lt(y, prime)))
            }
            sound := and(isPoint(submission, p), isPoint(add(submission, 0x40), p)) // C_U, D
            sound := and(sound, and(isPoint(add(submission, 0xc0), p), isPoint(add(submission, 0x180), p))) // A, C
            sound := and(sound, isPoint(add(submission, 0x1c0), p)) // Q
            let b0 := calldataload(add(submission, 0x100))
            let b1 := calldataload(add(submission, 0x120))
            let b2 := calldataload(add(submission, 0x140))
            let b3 := calldataload(add(submission, 0x160))
            sound := and(sound, and(and(lt(b0, p), lt(b1, p)), and(lt(b2, p), lt(b3, p))))
            sound := and(sound, gt(or(or(b0, b1), or(b2, b3)), 0))
            sound := and(sound, lt(calldataload(add(submission, 0x200)), r)) // y
        }
        if (!sound) _refuse(submission);
    }

    /// @dev Says what is wrong.
    function _refuse(Submission calldata submission) private pure {
        BN254.requirePoint(submission.update.x, submission.update.y);
        BN254.requirePoint(submission.d.x, submission.d.y);
        BN254.requirePoint(submission.proof.a.x, submission.proof.a.y);
        BN254.requirePoint(submission.proof.c.x, submission.proof.c.y);
        BN254.requirePoint(submission.proof.q.x, submission.proof.q.y);
        uint256[4] calldata b = submission.proof.b;
        for (uint256 k = 0; k < 4; ++k) BN254.requireCoordinate(b[k]);
        BN254.requireScalar(submission.proof.y);
        revert BN254.PointAtInfinity();
    }
}
