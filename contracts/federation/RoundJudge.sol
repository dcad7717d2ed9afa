// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Groth16Verifier} from "../proof/Groth16Verifier.sol";
import {VerifyingKeys} from "../proof/VerifyingKeys.sol";
import {Proof, SealedUpdate, TaskParams} from "./FederationTypes.sol";
import {RoundTranscript} from "./RoundTranscript.sol";
import {TaskRules} from "./TaskRules.sol";

/// @title The checks that a task needs now and then: its keys, a masking, the verdict on one update
/// @notice Code of the federation that lies at an address of its own, and is linked: the federation's own has no room for
/// it. What every round needs is in the federation itself, where it is cheaper.
library RoundJudge {
    /// @notice Reverts unless the parameters of a task are within their bounds and its two keys are what they must be.
    /// @param params the task's parameters
    /// @param workers size of the committee
    /// @param allowDevelopment accept keys by a single dealer
    /// @return trainingCircuit id of the training circuit
    /// @return aggregationCircuit id of the aggregation circuit
    function checkTask(
        TaskParams calldata params,
        uint256 workers,
        bool allowDevelopment
    ) external view returns (bytes32 trainingCircuit, bytes32 aggregationCircuit) {
        TaskRules.checkParameters(params, workers);
        return TaskRules.checkKeys(params, allowDevelopment);
    }

    /// @notice Whether e(C_X' - C_X, [1]_2) = e(M, [tau^d]_2): the two commitments differ at the mask positions alone.
    /// Reverts on a malformed point.
    /// @param trainingKey data contract with [tau^d]_2
    /// @param dataset C_X
    /// @param maskedDataset C_X'
    /// @param mask M
    function isMasking(
        address trainingKey,
        BN254.G1 calldata dataset,
        BN254.G1 calldata maskedDataset,
        BN254.G1 calldata mask
    ) external view returns (bool) {
        BN254.requirePoint(maskedDataset.x, maskedDataset.y);
        BN254.requirePointOrInfinity(mask.x, mask.y);
        uint256[] memory key = VerifyingKeys.load(trainingKey);
        BN254.G1 memory difference = BN254.G1(maskedDataset.x, maskedDataset.y);
        BN254.addTo(difference, dataset.x, BN254.negate(dataset.y));
        uint256[] memory input = new uint256[](2 * BN254.WORDS_PER_PAIR);
        BN254.setPairWithGenerator(input, 0, difference.x, difference.y);
        BN254.setPair(input, 1, mask.x, BN254.negate(mask.y), key, VerifyingKeys.TAU_MASK);
        return BN254.pairing(input);
    }

    /// @notice Whether the proof of a well-formed update or its link does not hold. Reverts when a precompile fails,
    /// unless it is the pairing, and a known-good pairing of the same size succeeds with the same gas right after it.
    /// @param federation the contract that the proof is for
    /// @param trainingKey data contract of the verifying key
    /// @param task the task
    /// @param round the round
    /// @param model the task's model in this round
    /// @param update the update
    function isInvalid(
        address federation,
        address trainingKey,
        uint256 task,
        uint256 round,
        BN254.G1 calldata model,
        SealedUpdate calldata update
    ) external view returns (bool) {
        uint256[] memory key = VerifyingKeys.load(trainingKey);
        uint256 circuitId = key[VerifyingKeys.CIRCUIT_ID];
        uint256[16] memory image = RoundTranscript.preImage(federation, task, round, circuitId, model);
        uint256[] memory x = new uint256[](3);
        (x[0], x[1]) = RoundTranscript.challenges(image, update);
        x[2] = update.proof.y;
        uint256[] memory input = Groth16Verifier.linkedInput(key, x, _words(update.proof), _link(model, update, x));
        // A third: two pairings at this price, and what surrounds them. It follows no price list, so that the judge
        // works on chains that charge other prices; too little gas makes the control pairing fail and the call revert.
        return BN254.judgePairing(input, gasleft() / 3) != BN254.Answer.Holds;
    }

    /// @dev F = C_X' + lambda C_W + lambda^2 C_U, opened at sigma.
    function _link(
        BN254.G1 calldata model,
        SealedUpdate calldata update,
        uint256[] memory x
    ) private view returns (Groth16Verifier.Link memory link) {
        BN254.G1 memory f = BN254.G1(update.maskedDataset.x, update.maskedDataset.y);
        BN254.addMulTo(f, model.x, model.y, x[1]);
        BN254.addMulTo(f, update.update.x, update.update.y, mulmod(x[1], x[1], BN254.R));
        link.d = [update.d.x, update.d.y];
        link.f = [f.x, f.y];
        link.q = [update.proof.q.x, update.proof.q.y];
        link.y = x[2];
        link.sigma = x[0];
    }

    function _words(Proof calldata proof) private pure returns (uint256[8] memory) {
        uint256[4] calldata b = proof.b;
        return [proof.a.x, proof.a.y, b[0], b[1], b[2], b[3], proof.c.x, proof.c.y];
    }
}
