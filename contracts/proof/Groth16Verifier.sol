// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "./BN254.sol";
import {VerifyingKeys} from "./VerifyingKeys.sol";

/// @title Checks one Groth16 proof, plain or with a committed segment and its KZG link
/// @notice Plain:   e(A, B) = e(alpha, beta) e(IC(x), [1]_2) e(C, delta)
/// Linked: e(A, B) = e(alpha, beta) e(IC(x), [1]_2) e(C, delta) e(D, eta), and in the same pairing call
///         e(F - y [1]_1 + sigma Q, [1]_2) = e(Q, tau)
/// @dev Keys come from `VerifyingKeys.load` and were accepted by `VerifyingKeys.check` once. A proof is eight words
/// A.x A.y B.x.imag B.x.real B.y.imag B.y.real C.x C.y. Anything malformed reverts; `false` means that the precompile
/// has evaluated the equation and it does not hold. Proof bytes identify nothing: a proof can be rerandomised.
library Groth16Verifier {
    /// @dev keccak256("fedproof/fold/v1")
    bytes32 private constant FOLD_TAG = keccak256("fedproof/fold/v1");

    /// @dev What links a proof's committed segment to a polynomial commitment F outside it.
    struct Link {
        uint256[2] d; // the proof's commitment to its committed segment
        uint256[2] f; // sum of lambda^k C_k
        uint256[2] q; // KZG opening of F at sigma
        uint256 y; // the claimed value
        uint256 sigma; // the point
    }

    /// @notice The statement has another number of public inputs.
    error WrongInputCount(uint256 expected, uint256 found);
    /// @notice The key has a committed segment and the check has none, or the other way round.
    error WrongKindOfKey();

    /// @dev Checks a proof of a statement without a committed segment.
    function verify(uint256[] memory key, uint256[] memory x, uint256[8] memory proof) internal view returns (bool) {
        if (key[VerifyingKeys.FLAGS] & VerifyingKeys.COMMITTED != 0) revert WrongKindOfKey();
        uint256[] memory input = new uint256[](4 * BN254.WORDS_PER_PAIR);
        _setProof(input, key, proof);
        BN254.G1 memory ic = publicInputPoint(key, x);
        BN254.setPairWithGenerator(input, 3, ic.x, ic.y);
        return BN254.pairing(input);
    }

    /// @dev Checks a proof with a committed segment together with its KZG link.
    function verifyLinked(
        uint256[] memory key,
        uint256[] memory x,
        uint256[8] memory proof,
        Link memory link
    ) internal view returns (bool) {
        return BN254.pairing(linkedInput(key, x, proof, link));
    }

    /// @dev The pairing input of `verifyLinked`, six pairs, for a judge who decides with `BN254.judgePairing`.
    /// Reverts on malformed G1 points, coordinates and scalars.
    function linkedInput(
        uint256[] memory key,
        uint256[] memory x,
        uint256[8] memory proof,
        Link memory link
    ) internal view returns (uint256[] memory input) {
        if (key[VerifyingKeys.FLAGS] & VerifyingKeys.COMMITTED == 0) revert WrongKindOfKey();
        BN254.requirePoint(link.d[0], link.d[1]);
        BN254.requirePointOrInfinity(link.f[0], link.f[1]);
        BN254.requirePointOrInfinity(link.q[0], link.q[1]);
        BN254.requireScalar(link.y);
        BN254.requireScalar(link.sigma);

        input = new uint256[](6 * BN254.WORDS_PER_PAIR);
        _setProof(input, key, proof);
        BN254.G1 memory ic = publicInputPoint(key, x);
        BN254.G1 memory opening = BN254.G1(link.f[0], link.f[1]);
        BN254.addMulTo(opening, BN254.G1_X, BN254.G1_Y, link.y == 0 ? 0 : BN254.R - link.y);
        BN254.addMulTo(opening, link.q[0], link.q[1], link.sigma);

        // Both equations are fixed by what is hashed here, so one random factor joins them.
        uint256 u = uint256(keccak256(abi.encode(FOLD_TAG, proof, link.d, link.q, ic, opening))) % BN254.R;
        BN254.addMulTo(ic, opening.x, opening.y, u);
        BN254.setPairWithGenerator(input, 3, ic.x, ic.y);
        BN254.setPair(input, 4, link.d[0], link.d[1], key, VerifyingKeys.ETA);
        (uint256 qx, uint256 qy) = BN254.mul(link.q[0], link.q[1], u);
        BN254.setPair(input, 5, qx, BN254.negate(qy), key, VerifyingKeys.TAU);
    }

    /// @dev IC(x) = IC_0 + sum x_j IC_(j+1). Refuses scalars that are not canonical: x and x + r would be two names of
    /// one statement.
    function publicInputPoint(
        uint256[] memory key,
        uint256[] memory x
    ) internal view returns (BN254.G1 memory point) {
        uint256 count = key[VerifyingKeys.PUBLIC_INPUTS];
        if (x.length != count) revert WrongInputCount(count, x.length);
        point = BN254.G1(key[VerifyingKeys.IC], key[VerifyingKeys.IC + 1]);
        for (uint256 j = 0; j < count; ++j) {
            BN254.requireScalar(x[j]);
            uint256 start = VerifyingKeys.IC + 2 * (j + 1);
            BN254.addMulTo(point, key[start], key[start + 1], x[j]);
        }
    }

    /// @dev Reverts unless A and C are finite points and B has canonical coordinates. The pairing checks B's subgroup.
    function requireProof(uint256[8] memory proof) internal pure {
        BN254.requirePoint(proof[0], proof[1]);
        for (uint256 k = 2; k < 6; ++k) BN254.requireCoordinate(proof[k]);
        if ((proof[2] | proof[3] | proof[4] | proof[5]) == 0) revert BN254.PointAtInfinity();
        BN254.requirePoint(proof[6], proof[7]);
    }

    /// @dev Pairs 0 to 2: (-A, B), (alpha, beta), (C, delta).
    function _setProof(uint256[] memory input, uint256[] memory key, uint256[8] memory proof) private pure {
        requireProof(proof);
        input[0] = proof[0];
        input[1] = BN254.negate(proof[1]);
        for (uint256 k = 2; k < 6; ++k) input[k] = proof[k];
        BN254.setPair(input, 1, key[VerifyingKeys.ALPHA], key[VerifyingKeys.ALPHA + 1], key, VerifyingKeys.BETA);
        BN254.setPair(input, 2, proof[6], proof[7], key, VerifyingKeys.DELTA);
    }
}
