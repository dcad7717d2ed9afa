// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Transcript} from "../proof/Transcript.sol";
import {Aggregate, SealedUpdate, Seat, Submission} from "./FederationTypes.sol";

/// @title The hashes of a round, word for word those of `fedproof.proving.transcript`
/// @dev Words are copied from calldata as they lie, which is why the order of the fields in FederationTypes matters.
library RoundTranscript {
    bytes32 private constant SEAT = keccak256("fedproof/federation/seat/v1");
    bytes32 private constant STANDING = keccak256("fedproof/federation/standing/v1");
    bytes32 private constant HISTORY = keccak256("fedproof/federation/history/v1");

    /// @dev The one word that stands for a task's progress in storage.
    function standingHash(BN254.G1 calldata model, bytes32 history) internal pure returns (bytes32 result) {
        bytes32 standingTag = STANDING;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, standingTag)
            calldatacopy(add(image, 0x20), model, 0x40)
            mstore(add(image, 0x60), history)
            result := keccak256(image, 0x80)
        }
    }

    /// @dev The history after one more settled round.
    function extend(
        bytes32 history,
        uint256 round,
        uint256 accepted,
        uint256 totalRows
    ) internal pure returns (bytes32 result) {
        bytes32 historyTag = HISTORY;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, historyTag)
            mstore(add(image, 0x20), history)
            mstore(add(image, 0x40), round)
            mstore(add(image, 0x60), accepted)
            mstore(add(image, 0x80), totalRows)
            result := keccak256(image, 0xa0)
        }
    }

    /// @dev The one word that stands for a participant in storage: its enrolment and its last update.
    function seatHash(
        uint256 index,
        address participant,
        uint256 rows,
        BN254.G1 calldata maskedDataset,
        bytes32 lastDigest
    ) internal pure returns (bytes32 result) {
        bytes32 seatTag = SEAT;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, seatTag)
            mstore(add(image, 0x20), index)
            mstore(add(image, 0x40), participant)
            mstore(add(image, 0x60), rows)
            calldatacopy(add(image, 0x80), maskedDataset, 0x40)
            mstore(add(image, 0xc0), lastDigest)
            result := keccak256(image, 0xe0)
        }
    }

    /// @dev The caller's seat as it was opened, and as it is with a new digest.
    function seatHashes(
        Seat calldata seat,
        bytes32 newDigest
    ) internal view returns (bytes32 before, bytes32 afterwards) {
        bytes32 seatTag = SEAT;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, seatTag)
            mstore(add(image, 0x20), calldataload(seat)) // index
            mstore(add(image, 0x40), caller())
            calldatacopy(add(image, 0x60), add(seat, 0x20), 0x80) // rows, C_X', last digest
            before := keccak256(image, 0xe0)
            mstore(add(image, 0xc0), newDigest)
            afterwards := keccak256(image, 0xe0)
        }
    }

    /// @dev The digest of an update while it is submitted.
    function digest(
        uint256 task,
        uint256 round,
        Seat calldata seat,
        Submission calldata submission
    ) internal view returns (bytes32 result) {
        bytes32 digestTag = Transcript.TRAINING_DIGEST;
        bytes32 attachmentsTag = Transcript.ATTACHMENTS;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, attachmentsTag)
            calldatacopy(add(image, 0x20), add(submission, 0x80), 0x40) // share digest, sealed digest
            let attachments := keccak256(image, 0x60)
            mstore(image, digestTag)
            mstore(add(image, 0x20), task)
            mstore(add(image, 0x40), round)
            mstore(add(image, 0x60), caller())
            calldatacopy(add(image, 0x80), add(seat, 0x20), 0x60) // rows, C_X'
            calldatacopy(add(image, 0xe0), submission, 0x80) // C_U, D
            mstore(add(image, 0x160), attachments)
            calldatacopy(add(image, 0x180), add(submission, 0xc0), 0x160) // proof
            result := keccak256(image, 0x2e0)
        }
    }

    /// @dev Digest and seat of an update that is opened again.
    function open(
        uint256 task,
        uint256 round,
        SealedUpdate calldata update
    ) internal pure returns (bytes32 result, bytes32 seat) {
        bytes32 digestTag = Transcript.TRAINING_DIGEST;
        bytes32 seatTag = SEAT;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, digestTag)
            mstore(add(image, 0x20), task)
            mstore(add(image, 0x40), round)
            calldatacopy(add(image, 0x60), add(update, 0x20), 0x280) // all but the index
            result := keccak256(image, 0x2e0)
            mstore(image, seatTag)
            calldatacopy(add(image, 0x20), update, 0xa0) // index, participant, rows, C_X'
            mstore(add(image, 0xc0), result)
            seat := keccak256(image, 0xe0)
        }
    }

    /// @dev The words that the `pre` of every update of a round share; `challenges` fills in the rest.
    function preImage(
        address federation,
        uint256 task,
        uint256 round,
        uint256 circuitId,
        BN254.G1 calldata model
    ) internal view returns (uint256[16] memory image) {
        image[0] = uint256(Transcript.TRAINING);
        image[1] = Transcript.VERSION;
        image[2] = block.chainid;
        image[3] = uint256(uint160(federation));
        image[4] = task;
        image[5] = round;
        image[7] = circuitId;
        image[10] = model.x;
        image[11] = model.y;
    }

    /// @dev The challenges of an update, mod r. Overwrites the update's words of `image`.
    function challenges(
        uint256[16] memory image,
        SealedUpdate calldata update
    ) internal pure returns (uint256 sigma, uint256 lambda) {
        bytes32 sigmaTag = Transcript.SIGMA;
        bytes32 lambdaTag = Transcript.LAMBDA;
        uint256 order = BN254.R;
        assembly ("memory-safe") {
            calldatacopy(add(image, 0xc0), add(update, 0x20), 0x20) // participant
            calldatacopy(add(image, 0x100), add(update, 0x60), 0x40) // C_X'
            calldatacopy(add(image, 0x180), add(update, 0xa0), 0x80) // C_U, D
            let input := mload(0x40)
            mstore(input, sigmaTag)
            mstore(add(input, 0x20), keccak256(image, 0x200))
            calldatacopy(add(input, 0x40), add(update, 0x120), 0x20) // attachments
            sigma := mod(keccak256(input, 0x60), order)
            mstore(input, lambdaTag)
            lambda := mod(keccak256(input, 0x60), order)
        }
    }

    /// @dev The challenges of an aggregate, mod r. lambda is sigma^(2^30), which its circuit computes for itself: no public
    /// input, so no multiplication. Why that is enough is with the statement (`fedproof.proving.linked`).
    function challenges(bytes32 pre) internal pure returns (uint256 sigma, uint256 lambda) {
        bytes32 sigmaTag = Transcript.SIGMA;
        uint256 order = BN254.R;
        assembly ("memory-safe") {
            mstore(0, sigmaTag)
            mstore(0x20, pre)
            sigma := mod(keccak256(0, 0x40), order)
            lambda := sigma
            for { let k := 30 } k { k := sub(k, 1) } { lambda := mulmod(lambda, lambda, order) }
        }
    }

    /// @dev What an aggregate is about. It names the sender: nobody can send another worker's aggregate as its own.
    function aggregationPre(
        uint256 task,
        uint256 round,
        uint256 circuitId,
        bytes32 digests,
        uint256 totalRows,
        BN254.G1 calldata model,
        Aggregate calldata aggregate
    ) internal view returns (bytes32 result) {
        bytes32 aggregationTag = Transcript.AGGREGATION;
        uint256 version = Transcript.VERSION;
        assembly ("memory-safe") {
            let image := mload(0x40)
            mstore(image, aggregationTag)
            mstore(add(image, 0x20), version)
            mstore(add(image, 0x40), chainid())
            mstore(add(image, 0x60), address())
            mstore(add(image, 0x80), task)
            mstore(add(image, 0xa0), round)
            mstore(add(image, 0xc0), caller())
            mstore(add(image, 0xe0), circuitId)
            mstore(add(image, 0x100), digests)
            mstore(add(image, 0x120), totalRows)
            calldatacopy(add(image, 0x140), model, 0x40)
            calldatacopy(add(image, 0x180), aggregate, 0x80) // C_W', D
            result := keccak256(image, 0x200)
        }
    }
}
