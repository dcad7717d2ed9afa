// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";

/// @dev The structs that travel with every update are static: their words lie in calldata one after another, in the order
/// written here. RoundTranscript copies them as they lie, so their order is that of the transcripts.

/// @notice What a sponsor fixes when it opens a task. Nothing here ever changes.
struct TaskParams {
    address trainingKey; // data contract of the training statement's verifying key
    bytes32 trainingKeyHash; // its codehash
    address aggregationKey; // data contract of the aggregation statement's verifying key
    bytes32 aggregationKeyHash; // its codehash
    bytes32 specDigest; // digest of the model's specification: layers, ranges, row order, epochs
    bytes32 descriptionId; // content id of the blob that describes the task
    BN254.G1 model; // commitment of the first model; infinity for the zero model
    uint32 classId; // capacity class that every dataset must have
    uint16 rounds; // rounds to finish
    uint16 maskCount; // masks of each enrolment: one more than the rounds, retried ones included, that may run
    uint8 threshold; // t: so many workers together learn nothing
    uint8 minUpdates; // a sum of fewer updates is refused
    uint8 maxParticipants;
    uint32 submitBlocks; // length of a round's submit window
    uint32 freezeBlocks; // from close to freeze: the time to reject
    uint32 settleBlocks; // so long after it stood still anyone may end a task
    uint128 rewardPerRound; // shared by rows; escrowed for all rounds at opening
    uint128 enrolBond; // of each participant, and of each complaint
    uint128 workerBond; // of each worker, placed before anyone enrols; 0 for none
}

/// @notice A member of the committee.
struct Worker {
    address account;
    bytes hpkeKey; // its HPKE public key, 32 or 1216 bytes
}

/// @notice A Groth16 proof with the opening of its link.
struct Proof {
    BN254.G1 a;
    uint256[4] b; // x imaginary, x real, y imaginary, y real
    BN254.G1 c;
    BN254.G1 q; // quotient of the opening at sigma
    uint256 y; // the opened value
}

/// @notice Opens a participant's seat: what it enrolled with, and the digest of its last update (zero before the first).
struct Seat {
    uint256 index; // order of enrolment, from 0
    uint256 rows; // n, its weight
    BN254.G1 maskedDataset; // C_X'
    bytes32 lastDigest;
}

/// @notice What a participant submits.
struct Submission {
    BN254.G1 update; // C_U
    BN254.G1 d;
    bytes32 shareDigest; // keccak256 of the words of Com(R_1) .. Com(R_t), which the index blob of the sealed shares holds
    bytes32 sealedDigest; // content id of that index blob
    Proof proof;
}

/// @notice An update as `rejectUpdate` and `finalizeRound` open it.
struct SealedUpdate {
    uint256 index;
    address participant;
    uint256 rows;
    BN254.G1 maskedDataset;
    BN254.G1 update;
    BN254.G1 d;
    bytes32 attachments; // the one word for shareDigest and sealedDigest, see RoundTranscript
    Proof proof;
}

/// @notice The new model with the one proof that it is the rounded average of the accepted updates.
struct Aggregate {
    BN254.G1 newModel; // C_W'
    BN254.G1 d;
    bytes32 contentId; // of the blob with the new weights; whoever loads it compares it with C_W'
    Proof proof;
}

/// @notice The first updates of a round that is too large for one transaction: their proofs hold.
struct Part {
    uint16 round; // of which it is; a part of another round is none
    uint64 rows; // of these updates
    uint256 accepted; // bit i: the update of enrolment i is in
    bytes32 digest; // keccak256 of the updates' digests
    BN254.G1 sum; // sum n_i C_U,i
}

/// @notice A settled round, as its event tells it.
struct Settled {
    uint256 round;
    uint256 accepted; // bit i: the update of enrolment i is in
    uint256 totalRows; // of these updates
}

/// @notice Opens a task's standing.
struct Standing {
    BN254.G1 model; // C_W, the present model
    bytes32 history; // chained hash of all settled rounds; zero before the first
}

/// @notice A participant of a task.
struct Member {
    uint32 rows;
    uint16 paid; // so many settled rounds are paid
    uint8 index;
    bool enrolled;
    bool bonded; // whether its bond is held
}

/// @notice Where a task stands.
enum Stage {
    None, // no such task
    Enrolling,
    Submitting, // the submit window runs
    Rejecting, // closed: anyone may still prove that an update is invalid
    Frozen, // no update is removed any more; workers finalize
    Failed, // closed with too few updates: retry or close
    Ended
}

/// @notice Why a task ended.
enum Ending {
    Completed, // its rounds are done, or its masks are used up
    Closed, // before the reward of another round was locked
    Stalled // a frozen round was never finalized; its participants are paid all the same
}

/// @notice What a task is, for whoever looks at it.
struct TaskView {
    Stage stage;
    address sponsor;
    address trainingKey;
    address aggregationKey;
    bytes32 terms; // keccak256(abi.encode(sponsor, TaskParams, Worker[]))
    bytes32 standing; // the hash that `Standing` opens
    uint32 classId;
    uint16 rounds;
    uint16 maskCount;
    uint16 retries; // rounds that closed with too few updates and were opened again
    uint8 threshold;
    uint8 workers;
    uint8 minUpdates;
    uint8 maxParticipants;
    uint8 enrolled;
    uint32 submitBlocks;
    uint32 freezeBlocks;
    uint32 settleBlocks;
    uint128 rewardPerRound;
    uint128 enrolBond;
    uint256 escrow; // rewards not paid out yet
    uint128 workerBond;
    uint64 endedAt; // block of its end, 0 before
}

/// @notice Where a round stands.
struct RoundView {
    uint16 round; // counts retried rounds too
    uint256 accepted; // bit i: the update of enrolment i is in
    uint64 deadline; // first block in which nothing can be submitted; of an ended task the block of its end
    uint64 freezeAt; // first block in which nothing can be rejected
}
