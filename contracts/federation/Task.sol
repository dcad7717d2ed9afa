// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Member, Part, SealedUpdate, Stage} from "./FederationTypes.sol";
import {Head, Heads} from "./Head.sol";
import {IFederation} from "./IFederation.sol";
import {RoundTranscript} from "./RoundTranscript.sol";

/// @notice What the federation keeps of a task.
struct Task {
    Head head;
    // read by finalizeRound, one word each
    address trainingKey;
    uint32 submitBlocks;
    uint32 freezeBlocks;
    uint8 enrolled;
    uint8 minUpdates;
    uint8 maxParticipants;
    uint8 workers;
    address aggregationKey;
    uint32 settleBlocks;
    uint16 rounds;
    uint16 maskCount;
    uint16 retries;
    bool refunded;
    bytes32 standing; // hash of the present model and of the settled rounds; whoever acts on it opens it
    // the rest
    address sponsor;
    uint32 classId;
    uint32 openedAt;
    uint128 rewardPerRound;
    uint128 enrolBond;
    uint256 escrow;
    bytes32 terms;
    uint128 workerBond;
    mapping(address worker => bytes32) hpkeKeyHash;
    mapping(address participant => bytes32) seats; // complemented while the bond is gone
    mapping(address participant => Member) members;
    mapping(uint256 datasetId => bool) datasets;
    // of tasks with more participants than the head has places
    uint256 others; // the bits beyond the head's; counts while the head says that one of them is set
    Part part;
}

using Tasks for Task global;

/// @title The updates of a task's running round
library Tasks {
    /// @dev Where the task stands.
    function stage(Task storage t) internal view returns (Stage) {
        Head head = t.head;
        uint256 phase = head.phase();
        if (phase == Heads.NONE) return Stage.None;
        if (phase == Heads.ENROLLING) return Stage.Enrolling;
        if (phase == Heads.ENDED) return Stage.Ended;
        if (pending(t, head) != 0 && block.number < head.deadline()) return Stage.Submitting;
        if (Heads.population(accepted(t, head)) < t.minUpdates) return Stage.Failed;
        return block.number < head.freezeAt() ? Stage.Rejecting : Stage.Frozen;
    }

    /// @dev The enrolments whose update is not in.
    function pending(Task storage t, Head head) internal view returns (uint256 missing) {
        missing = head.pending();
        if (missing >= Heads.OTHERS) missing = (missing ^ Heads.OTHERS) | t.others;
    }

    /// @dev The enrolments whose update is in.
    function accepted(Task storage t, Head head) internal view returns (uint256) {
        return Heads.everyone(t.enrolled) & ~pending(t, head);
    }

    /// @dev The head when one more update is in.
    function submitted(Task storage t, Head head, uint256 index) internal returns (Head) {
        uint256 bit;
        if (index < Heads.PLACES) {
            bit = 1 << index;
            if (head.pending() & bit == 0) revert IFederation.NothingDue(index);
        } else {
            uint256 others = head.pending() & Heads.OTHERS == 0 || index >= Heads.MAX_PARTICIPANTS ? 0 : t.others;
            if ((others >> index) & 1 == 0) revert IFederation.NothingDue(index);
            others ^= 1 << index;
            t.others = others;
            if (others == 0) bit = Heads.OTHERS;
        }
        return Head.wrap(Head.unwrap(head) ^ bit);
    }

    /// @dev The head with these updates missing; writes the bits that it has no place for.
    function withPending(Task storage t, Head head, uint256 missing) internal returns (Head) {
        uint256 others = (missing >> Heads.PLACES) << Heads.PLACES;
        if (others == 0) return head.withPending(missing);
        t.others = others;
        return head.withPending((missing ^ others) | Heads.OTHERS);
    }

    /// @dev The digest of an update that opens its participant's seat.
    function requireOpening(
        Task storage t,
        uint256 task,
        uint256 round,
        SealedUpdate calldata update
    ) internal view returns (bytes32 digest) {
        bytes32 seat;
        (digest, seat) = RoundTranscript.open(task, round, update);
        if (t.seats[update.participant] != seat) revert IFederation.WrongOpening(update.participant);
    }

    /// @dev What is known of the updates of a large round that were verified before.
    function verifiedPart(
        Task storage t,
        Head head
    ) internal view returns (uint256 given, uint256 rows, bytes32 digest, BN254.G1 memory sum) {
        if (t.part.round != head.round()) revert IFederation.PartDue();
        return (t.part.accepted, t.part.rows, t.part.digest, t.part.sum);
    }

    /// @dev Opens updates, each of which is in the round and behind those that were verified before, and adds them to these:
    /// their bitmap, their rows, and the digest of all, which is of the one that there was, unless it is zero, and of each.
    function open(
        Task storage t,
        uint256 task,
        uint256 round,
        SealedUpdate[] calldata updates,
        bytes32 digestBefore,
        uint256 rowsBefore,
        uint256 givenBefore
    ) internal view returns (bytes32 digest, uint256 rows, uint256 given) {
        bytes32[] memory digests = new bytes32[](updates.length + 1);
        (rows, given) = (rowsBefore, givenBefore);
        SealedUpdate calldata update;
        assembly ("memory-safe") {
            update := updates.offset
        }
        unchecked {
            for (uint256 k = 2; k < updates.length + 2; ++k) {
                uint256 index = update.index;
                if (index >= Heads.MAX_PARTICIPANTS || given >> index != 0) revert IFederation.WrongOrder(index);
                given |= 1 << index;
                digest = requireOpening(t, task, round, update);
                rows += update.rows; // a seat has less than 2^32
                assembly ("memory-safe") {
                    mstore(add(digests, mul(k, 0x20)), digest)
                    update := add(update, 0x2a0)
                }
            }
        }
        assembly ("memory-safe") {
            mstore(add(digests, 0x20), digestBefore)
            let skipped := mul(iszero(digestBefore), 0x20)
            digest := keccak256(add(add(digests, 0x20), skipped), sub(mul(mload(digests), 0x20), skipped))
        }
    }
}
