// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {VerifyingKeys} from "../proof/VerifyingKeys.sol";
import {TaskParams} from "./FederationTypes.sol";
import {IFederation} from "./IFederation.sol";

/// @title What a task's parameters and its two verifying keys must be
library TaskRules {
    uint256 internal constant MAX_WORKERS = 64;
    uint256 internal constant MAX_ROUNDS = 1024; // bounds the loops of claim and refund
    uint256 internal constant MAX_BLOCKS = 2 ** 20; // half a year of 15 seconds: nobody's bond is held for longer by a window
    uint256 internal constant MIN_FREEZE_BLOCKS = 5; // a block for each window of a complaint
    /// @dev So many updates fit in one finalizing transaction under the cap of 2^24 gas (EIP-7825). A round of more is
    /// settled in two: the first `PART` of them, then the others with the aggregate.
    uint256 internal constant MAX_UPDATES = 160;
    uint256 internal constant PART = 128;

    uint256 internal constant TRAINING_INPUTS = 3; // sigma, lambda, y
    uint256 internal constant AGGREGATION_INPUTS = 2; // sigma, y

    /// @dev Reverts unless every parameter is within its bounds.
    function checkParameters(TaskParams calldata params, uint256 workers) internal pure {
        BN254.requirePointOrInfinity(params.model.x, params.model.y);
        if (params.rounds == 0 || params.rounds > MAX_ROUNDS) revert IFederation.BadParameter("rounds");
        if (params.maskCount <= params.rounds || params.maskCount > MAX_ROUNDS + 1) {
            revert IFederation.BadParameter("maskCount");
        }
        if (params.threshold == 0) revert IFederation.BadParameter("threshold");
        if (workers < 2 * uint256(params.threshold) + 1 || workers > MAX_WORKERS) {
            revert IFederation.BadParameter("committee");
        }
        if (params.minUpdates < 2) revert IFederation.BadParameter("minUpdates");
        // at most 255, which is `Heads.MAX_PARTICIPANTS`
        if (params.maxParticipants < params.minUpdates) revert IFederation.BadParameter("maxParticipants");
        _checkBlocks(params.submitBlocks, "submitBlocks");
        _checkBlocks(params.freezeBlocks, "freezeBlocks");
        if (params.freezeBlocks < MIN_FREEZE_BLOCKS) revert IFederation.BadParameter("freezeBlocks");
        _checkBlocks(params.settleBlocks, "settleBlocks");
    }

    /// @dev Reverts unless both keys are the code that the parameters name, sound, for the two statements, and fit
    /// together: one [tau]_2, for their links share a pairing; delta and eta of their own, for with a shared one a D or C
    /// of one statement would count in the other.
    function checkKeys(
        TaskParams calldata params,
        bool allowDevelopment
    ) internal view returns (bytes32 trainingCircuit, bytes32 aggregationCircuit) {
        uint256[] memory training = _load(
            params.trainingKey,
            params.trainingKeyHash,
            VerifyingKeys.Expectation(TRAINING_INPUTS, true, true, true, allowDevelopment)
        );
        uint256[] memory aggregation = _load(
            params.aggregationKey,
            params.aggregationKeyHash,
            VerifyingKeys.Expectation(AGGREGATION_INPUTS, true, true, false, allowDevelopment)
        );
        for (uint256 k = VerifyingKeys.TAU; k < VerifyingKeys.TAU + 4; ++k) {
            if (training[k] != aggregation[k]) revert IFederation.DifferentTau();
        }
        uint256[2] memory secrets = [VerifyingKeys.DELTA, VerifyingKeys.ETA];
        for (uint256 i = 0; i < 2; ++i) {
            for (uint256 j = 0; j < 2; ++j) {
                if (_sameUpToSign(training, secrets[i], aggregation, secrets[j])) revert IFederation.SharedKeySecret();
            }
        }
        return (bytes32(training[VerifyingKeys.CIRCUIT_ID]), bytes32(aggregation[VerifyingKeys.CIRCUIT_ID]));
    }

    function _checkBlocks(uint32 blocks, string memory name) private pure {
        if (blocks == 0 || blocks > MAX_BLOCKS) revert IFederation.BadParameter(name);
    }

    function _load(
        address key,
        bytes32 codehash,
        VerifyingKeys.Expectation memory expected
    ) private view returns (uint256[] memory) {
        if (key.codehash != codehash) revert IFederation.WrongKeyHash(key, key.codehash);
        return VerifyingKeys.check(key, expected);
    }

    function _sameUpToSign(
        uint256[] memory a,
        uint256 i,
        uint256[] memory b,
        uint256 j
    ) private pure returns (bool) {
        return a[i] == b[j] && a[i + 1] == b[j + 1];
    }
}
