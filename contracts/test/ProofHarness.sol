// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundTranscript} from "../federation/RoundTranscript.sol";
import {BN254} from "../proof/BN254.sol";
import {Groth16Verifier} from "../proof/Groth16Verifier.sol";
import {PairingGuard} from "../proof/PairingGuard.sol";
import {Transcript} from "../proof/Transcript.sol";
import {VerifyingKeys} from "../proof/VerifyingKeys.sol";

/// @title Opens the internal functions of the proof library to the tests
contract ProofHarness is PairingGuard {
    /// @notice Checks a key as a registering contract does.
    function checkKey(address key, VerifyingKeys.Expectation calldata expected) external view returns (uint256[] memory) {
        return VerifyingKeys.check(key, expected);
    }

    /// @notice Loads a key without checking it.
    function loadKey(address key) external view returns (uint256[] memory) {
        return VerifyingKeys.load(key);
    }

    /// @notice Checks a plain proof.
    function verify(address key, uint256[] calldata x, uint256[8] calldata proof) external view returns (bool) {
        return Groth16Verifier.verify(VerifyingKeys.load(key), x, proof);
    }

    /// @notice Checks a proof with a committed segment and its link.
    function verifyLinked(
        address key,
        uint256[] calldata x,
        uint256[8] calldata proof,
        Groth16Verifier.Link calldata link
    ) external view returns (bool) {
        return Groth16Verifier.verifyLinked(VerifyingKeys.load(key), x, proof, link);
    }

    /// @notice Judges a linked proof with an explicit budget.
    function judgeLinked(
        address key,
        uint256[] calldata x,
        uint256[8] calldata proof,
        Groth16Verifier.Link calldata link,
        uint256 budget
    ) external view returns (BN254.Answer) {
        return BN254.judgePairing(Groth16Verifier.linkedInput(VerifyingKeys.load(key), x, proof, link), budget);
    }

    /// @notice A raw pairing.
    function pairing(uint256[] calldata input) external view returns (bool) {
        return BN254.pairing(input);
    }

    /// @notice A raw judged pairing.
    function judge(uint256[] calldata input, uint256 budget) external view returns (BN254.Answer) {
        return BN254.judgePairing(input, budget);
    }

    /// @notice Writes a pair into an input of `pairs` pairs, its G2 point from word `g2` of `source`.
    function setPair(
        uint256 pairs,
        uint256 index,
        uint256[] calldata source,
        uint256 g2
    ) external pure returns (uint256[] memory input) {
        input = new uint256[](pairs * BN254.WORDS_PER_PAIR);
        BN254.setPair(input, index, 7, 8, source, g2);
    }

    /// @notice a + b
    function add(BN254.G1 calldata a, BN254.G1 calldata b) external view returns (BN254.G1 memory sum) {
        sum = BN254.G1(a.x, a.y);
        BN254.addTo(sum, b.x, b.y);
    }

    /// @notice scalar * a
    function mul(BN254.G1 calldata a, uint256 scalar) external view returns (uint256 x, uint256 y) {
        return BN254.mul(a.x, a.y, scalar);
    }

    /// @notice Reverts unless the point is finite and on the curve.
    function requirePoint(uint256 x, uint256 y) external pure {
        BN254.requirePoint(x, y);
    }

    /// @notice The challenges of a listing, and those of an aggregate.
    function challenges(bytes32 pre) external pure returns (uint256[4] memory all) {
        (all[0], all[1]) = Transcript.challenges(pre);
        (all[2], all[3]) = RoundTranscript.challenges(pre);
    }
}
