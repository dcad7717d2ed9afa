// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {VerifyingKeys} from "../proof/VerifyingKeys.sol";
import {Aggregate, SealedUpdate} from "./FederationTypes.sol";
import {RoundTranscript} from "./RoundTranscript.sol";
import {Sums, SumsLibrary} from "./Sums.sol";

/// @title All proofs of a round in one pairing equation
/// @notice With challenges (sigma_i, lambda_i) of update i and (sigma', lambda') of the aggregate, a round is valid when
///
///     E_i: e(A_i, B_i) = e(alpha, beta) e(IC(x_i), [1]) e(C_i, delta) e(D_i, eta)
///     L_i: e(F_i - y_i G + sigma_i Q_i, [1]) = e(Q_i, tau),   F_i = C_X'_i + lambda_i C_W + lambda_i^2 C_U,i
///     E':  e(A', B') = e(alpha', beta') e(IC'(x'), [1]) e(C', delta') e(D', eta')
///     L':  e(F' - y' G + sigma' Q', [1]) = e(Q', tau),
///          F' = (C_W' - C_W) + lambda' (C_S - N (C_W' - C_W)) + lambda'^2 N G,   C_S = sum n_i C_U,i
///
/// with x_i = (sigma_i, lambda_i, y_i) and x' = (sigma', y'): lambda' = sigma'^(2^30), and N is in the link. A public input
/// costs a multiplication; what is in a link costs none.
///
/// and `holds` checks `E' L'^u prod (E_i L_i^u)^(r_i)`.
/// @dev Why that is enough: u and every r_i are keccak256 of a seed that covers the whole calldata and all digests, so
/// they are drawn after everything they multiply is fixed. Write e', l', e_i, l_i for the discrete logarithms of the
/// equations' quotients; all are zero in a valid round. If some pair (e, l) is not (0, 0), then e + u l is not zero but
/// for one value of u in r. If then some e_i + u l_i is not zero, `e' + u l' + sum r_i (e_i + u l_i)` vanishes for at
/// most one value of r_i in r, whatever the rest is. If all of those are zero, the sum is e' + u l' itself, and not zero.
/// So one coefficient may be 1; it is that of E', which saves the multiplications of A', C', D' and IC'_0.
/// A round that is too large for one transaction has two equations: `prod (E_i L_i^u)^(r_i)` of its first updates, each with
/// a random coefficient, and that of the others with the aggregate, to which the first bring their part of C_S.
/// Scalars on fixed bases (IC, alpha, G, C_W), and both of each C_U,i, are added up first: one multiplication each.
library RoundEquation {
    bytes32 private constant BATCH = keccak256("fedproof/federation/batch/v1");
    uint256 private constant R = BN254.R;
    uint256 private constant PAIR = 0xc0; // bytes of one pair in a pairing input

    /// @dev What the equation is about, beside the calldata, and what is added up on the way.
    struct Batch {
        uint256[] training; // words of the training key
        uint256[] aggregation; // words of the aggregation key, with the same [tau]_2
        uint256[16] image; // from `RoundTranscript.preImage`
        bytes32 pre; // from `RoundTranscript.aggregationPre`, or of a part its digest; it covers the digests of all updates
        uint256 totalRows; // N, the sum of the updates' rows
        // `holds` fills in the rest
        uint256 u;
        uint256 sigma; // of the aggregate, as lambda
        uint256 lambda;
        uint256 sumR;
        uint256 sumRSigma;
        uint256 sumRLambda;
        uint256 sumRY;
        bool shared; // one e(alpha, beta) serves both keys
    }

    /// @dev The words of a key that the task was opened with: it was checked then and cannot change, so that its length
    /// follows from the number of its public inputs.
    function load(address key, uint256 publicInputs) internal view returns (uint256[] memory words) {
        uint256 length = VerifyingKeys.IC + 2 * (publicInputs + 1);
        assembly ("memory-safe") {
            words := mload(0x40)
            mstore(words, length)
            mstore(0x40, add(words, mul(add(length, 1), 0x20)))
            extcodecopy(key, add(words, 0x20), 1, mul(length, 0x20))
        }
    }

    /// @dev Whether the round's equation holds. Reverts when a precompile fails, which includes every malformed point.
    /// `before` is sum n_i C_U,i of the updates that were verified before.
    function holds(
        Batch memory batch,
        BN254.G1 calldata model,
        SealedUpdate[] calldata updates,
        Aggregate calldata aggregate,
        BN254.G1 memory before
    ) internal view returns (bool) {
        Sums sums = SumsLibrary.create();
        bytes32 seed = _seed(batch.pre);
        batch.u = _coefficient(seed, 0);
        (batch.sigma, batch.lambda) = RoundTranscript.challenges(batch.pre);
        batch.shared = _sameAlphaBeta(batch.training, batch.aggregation);

        unchecked {
            uint256 size = (updates.length + (batch.shared ? 8 : 9)) * PAIR;
            uint256 input = _allocate(size);
            uint256 place = _pairAggregate(batch, aggregate, input);
            sums.mulTo(sums.locate(SumsLibrary.TAU), aggregate.proof.q, batch.u); // the first term of its sum
            SealedUpdate calldata update;
            assembly ("memory-safe") {
                update := updates.offset
            }
            for (uint256 i = 1; i <= updates.length; ++i) {
                _addUpdate(batch, sums, update, _coefficient(seed, i), place);
                place += PAIR;
                assembly ("memory-safe") {
                    update := add(update, 0x2a0)
                }
            }
            _addBefore(batch, sums, before);
            _addAggregate(batch, sums, model, aggregate);
            _addPublicInputs(batch, sums, aggregate.proof.y);
            _pairTraining(batch, sums, place);
            return _pairing(input, size);
        }
    }

    /// @dev Whether the equation of the first updates of a large round holds, and writes sum n_i C_U,i to `sum`.
    function partHolds(
        Batch memory batch,
        BN254.G1 calldata model,
        SealedUpdate[] calldata updates,
        BN254.G1 memory sum
    ) internal view returns (bool) {
        Sums sums = SumsLibrary.create();
        bytes32 seed = _seed(batch.pre);
        batch.u = _coefficient(seed, 0);
        uint256 size = (updates.length + 5) * PAIR;
        uint256 input = _allocate(size);
        for (uint256 i = 0; i < updates.length; ++i) {
            _addUpdate(batch, sums, updates[i], _coefficient(seed, i + 1), input + i * PAIR);
            sums.addMul(SumsLibrary.TOTAL, updates[i].update, updates[i].rows);
        }
        sums.addMul(SumsLibrary.ONE, model, mulmod(batch.u, batch.sumRLambda, R));
        sums.addMul(SumsLibrary.ONE, BN254.G1_X, BN254.G1_Y, R - mulmod(batch.u, batch.sumRY, R));
        _addTrainingInputs(batch, sums);
        _pairTraining(batch, sums, input + updates.length * PAIR);
        sums.copyTo(sum, SumsLibrary.TOTAL);
        return _pairing(input, size);
    }

    function _addUpdate(
        Batch memory batch,
        Sums sums,
        SealedUpdate calldata update,
        uint256 r,
        uint256 place
    ) private view {
        sums.mulTo(place, update.proof.a, r);
        uint256[4] calldata b = update.proof.b;
        assembly ("memory-safe") {
            calldatacopy(add(place, 0x40), b, 0x80)
        }
        sums.addMul(SumsLibrary.DELTA, update.proof.c, r);
        sums.addMul(SumsLibrary.ETA, update.d, r);

        (uint256 sigma, uint256 lambda) = RoundTranscript.challenges(batch.image, update);
        batch.sumR = addmod(batch.sumR, r, R);
        batch.sumRSigma = addmod(batch.sumRSigma, mulmod(r, sigma, R), R);
        batch.sumRY = addmod(batch.sumRY, mulmod(r, update.proof.y, R), R);
        uint256 ur = mulmod(batch.u, r, R);
        sums.addMul(SumsLibrary.TAU, update.proof.q, ur);
        sums.addMul(SumsLibrary.ONE, update.proof.q, mulmod(ur, sigma, R));
        sums.addMul(SumsLibrary.ONE, update.maskedDataset, ur);

        r = mulmod(r, lambda, R);
        batch.sumRLambda = addmod(batch.sumRLambda, r, R);
        // u (r lambda^2 + lambda' n): the update's place in F_i, and in C_S
        r = addmod(mulmod(r, lambda, R), mulmod(batch.lambda, update.rows, R), R);
        sums.addMul(SumsLibrary.ONE, update.update, mulmod(batch.u, r, R));
    }

    /// @dev The aggregate's own pairs; its coefficient is 1.
    function _pairAggregate(
        Batch memory batch,
        Aggregate calldata aggregate,
        uint256 place
    ) private pure returns (uint256) {
        uint256[] memory key = batch.aggregation;
        BN254.G1 calldata a = aggregate.proof.a;
        uint256[4] calldata b = aggregate.proof.b;
        assembly ("memory-safe") {
            calldatacopy(place, a, 0x40)
            calldatacopy(add(place, 0x40), b, 0x80)
        }
        unchecked {
            place += PAIR;
        }
        // The precompile checks all other coordinates, but not these: (0, p) negated is (0, 0), infinity by its one name.
        BN254.requireCoordinate(aggregate.proof.c.y);
        BN254.requireCoordinate(aggregate.d.y);
        place = _setNegated(place, aggregate.proof.c.x, aggregate.proof.c.y, key, VerifyingKeys.DELTA);
        place = _setNegated(place, aggregate.d.x, aggregate.d.y, key, VerifyingKeys.ETA);
        if (batch.shared) return place;
        uint256 alpha = VerifyingKeys.ALPHA;
        return _setNegated(place, key[alpha], key[alpha + 1], key, VerifyingKeys.BETA);
    }

    /// @dev The place in C_S of the updates that were verified before.
    function _addBefore(Batch memory batch, Sums sums, BN254.G1 memory before) private view {
        if (before.y != 0) sums.addMul(SumsLibrary.ONE, before.x, before.y, mulmod(batch.u, batch.lambda, R));
    }

    /// @dev The aggregate's link, and what all links have on C_W and G.
    function _addAggregate(
        Batch memory batch,
        Sums sums,
        BN254.G1 calldata model,
        Aggregate calldata aggregate
    ) private view {
        unchecked {
            uint256 u = batch.u;
            sums.addMul(SumsLibrary.ONE, aggregate.proof.q, mulmod(u, batch.sigma, R));
            // F' = (1 - lambda' N) (C_W' - C_W) + lambda' C_S
            uint256 step = mulmod(u, R + 1 - mulmod(batch.lambda, batch.totalRows, R), R);
            sums.addMul(SumsLibrary.ONE, aggregate.newModel, step);
            sums.addMul(SumsLibrary.ONE, model, mulmod(u, batch.sumRLambda, R) + R - step);
            uint256 count = mulmod(mulmod(batch.lambda, batch.lambda, R), batch.totalRows, R);
            uint256 y = mulmod(u, batch.sumRY + aggregate.proof.y + R - count, R);
            sums.addMul(SumsLibrary.ONE, BN254.G1_X, BN254.G1_Y, R - y);
        }
    }

    /// @dev -IC'(x') - sum r_i IC(x_i)
    function _addPublicInputs(Batch memory batch, Sums sums, uint256 y) private view {
        uint256[] memory key = batch.aggregation;
        (uint256 x, uint256 negated) = (key[VerifyingKeys.IC], BN254.negate(key[VerifyingKeys.IC + 1]));
        sums.add(SumsLibrary.ONE, x, negated);
        _subtract(sums, key, 1, batch.sigma);
        _subtract(sums, key, 2, y);
        _addTrainingInputs(batch, sums);
    }

    function _addTrainingInputs(Batch memory batch, Sums sums) private view {
        uint256[] memory key = batch.training;
        _subtract(sums, key, 0, batch.sumR);
        _subtract(sums, key, 1, batch.sumRSigma);
        _subtract(sums, key, 2, batch.sumRLambda);
        _subtract(sums, key, 3, batch.sumRY);
    }

    function _pairTraining(Batch memory batch, Sums sums, uint256 place) private view {
        uint256[] memory key = batch.training;
        uint256 alpha = VerifyingKeys.ALPHA;
        unchecked {
            uint256 alphas = batch.sumR + (batch.shared ? 1 : 0);
            sums.mulTo(place, key[alpha], key[alpha + 1], R - alphas % R);
        }
        assembly ("memory-safe") {
            mcopy(add(place, 0x40), add(key, 0xc0), 0x80)
        }
        unchecked {
            place += PAIR;
        }
        place = _setNegatedSum(place, sums.locate(SumsLibrary.DELTA), key, VerifyingKeys.DELTA);
        place = _setNegatedSum(place, sums.locate(SumsLibrary.ETA), key, VerifyingKeys.ETA);
        place = _setNegatedSum(place, sums.locate(SumsLibrary.TAU), key, VerifyingKeys.TAU);
        uint256 one = sums.locate(SumsLibrary.ONE);
        (uint256 g0, uint256 g1) = (BN254.G2_X_IMAG, BN254.G2_X_REAL);
        (uint256 g2, uint256 g3) = (BN254.G2_Y_IMAG, BN254.G2_Y_REAL);
        assembly ("memory-safe") {
            mcopy(place, one, 0x40)
            mstore(add(place, 0x40), g0)
            mstore(add(place, 0x60), g1)
            mstore(add(place, 0x80), g2)
            mstore(add(place, 0xa0), g3)
        }
    }

    /// @dev The sum that pairs with the generator -= scalar * IC_k
    function _subtract(Sums sums, uint256[] memory key, uint256 k, uint256 scalar) private view {
        uint256 point;
        unchecked {
            uint256 word = VerifyingKeys.IC + 2 * k;
            assembly ("memory-safe") {
                point := add(key, add(0x20, mul(word, 0x20)))
            }
            sums.addMulMemory(SumsLibrary.ONE, point, R - scalar);
        }
    }

    /// @dev Both keys come from one phase 1 when their alpha and beta agree; then one pairing serves both.
    function _sameAlphaBeta(uint256[] memory training, uint256[] memory aggregation) private pure returns (bool same) {
        uint256 start = 0x20 + VerifyingKeys.ALPHA * 0x20;
        uint256 size = (VerifyingKeys.DELTA - VerifyingKeys.ALPHA) * 0x20;
        assembly ("memory-safe") {
            same := eq(keccak256(add(training, start), size), keccak256(add(aggregation, start), size))
        }
    }

    /// @dev Everything that the coefficients multiply: the calldata, and what the contract adds to it.
    function _seed(bytes32 pre) private pure returns (bytes32 seed) {
        bytes32 batchTag = BATCH;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, batchTag)
            mstore(add(image, 0x20), pre)
            calldatacopy(add(image, 0x40), 0, calldatasize())
            seed := keccak256(image, add(0x40, calldatasize()))
        }
    }

    function _coefficient(bytes32 seed, uint256 k) private pure returns (uint256) {
        bytes32 digest;
        assembly ("memory-safe") {
            mstore(0, seed)
            mstore(0x20, k)
            digest := keccak256(0, 0x40)
        }
        return uint256(digest) % R;
    }

    function _allocate(uint256 size) private pure returns (uint256 start) {
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(0x40, add(start, size))
        }
    }

    /// @dev Writes the pair (-(x, y), G2 point at word `g2` of `key`) and returns the place of the next pair.
    function _setNegated(
        uint256 place,
        uint256 x,
        uint256 y,
        uint256[] memory key,
        uint256 g2
    ) private pure returns (uint256) {
        y = BN254.negate(y);
        assembly ("memory-safe") {
            mstore(place, x)
            mstore(add(place, 0x20), y)
            mcopy(add(place, 0x40), add(key, add(0x20, mul(g2, 0x20))), 0x80)
        }
        unchecked {
            return place + PAIR;
        }
    }

    /// @dev The same for the point whose words lie at `point` in memory.
    function _setNegatedSum(
        uint256 place,
        uint256 point,
        uint256[] memory key,
        uint256 g2
    ) private pure returns (uint256) {
        uint256 x;
        uint256 y;
        assembly ("memory-safe") {
            x := mload(point)
            y := mload(add(point, 0x20))
        }
        return _setNegated(place, x, y, key, g2);
    }

    function _pairing(uint256 input, uint256 size) private view returns (bool) {
        bool ok;
        uint256 result;
        assembly ("memory-safe") {
            ok := staticcall(gas(), 8, input, size, 0, 0x20)
            ok := and(ok, eq(returndatasize(), 0x20))
            result := mload(0)
        }
        if (!ok || result > 1) revert BN254.PrecompileFailed(8);
        return result == 1;
    }
}
