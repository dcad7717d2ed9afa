// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev The one word of a task that changes with every update, so that a submission reads and writes it once:
/// bits 0-158 the enrolments whose update is not in, 159 whether that of a later one is missing, for which a task has a second
/// word, 160-175 the round, 176-207 the block of the deadline (once ended, of the end), 208-239 the block of the freeze,
/// 240-247 the threshold t, 248-255 the phase.
type Head is uint256;

using Heads for Head global;

library Heads {
    uint256 internal constant NONE = 0;
    uint256 internal constant ENROLLING = 1;
    uint256 internal constant RUNNING = 2;
    uint256 internal constant ENDED = 3;

    uint256 internal constant PLACES = 159;
    uint256 internal constant MAX_PARTICIPANTS = 255;
    /// @dev The bit that stands for all enrolments beyond `PLACES`.
    uint256 internal constant OTHERS = 1 << PLACES;

    /// @notice A block number beyond 2^32 does not fit in a round's word.
    error BlockNumberTooLarge(uint256 number);

    function enrolling(uint256 threshold_) internal pure returns (Head) {
        return Head.wrap((ENROLLING << 248) | (threshold_ << 240));
    }

    function running(
        uint256 threshold_,
        uint256 round_,
        uint256 deadline_,
        uint256 freezeAt_
    ) internal pure returns (Head) {
        if (freezeAt_ > type(uint32).max) revert BlockNumberTooLarge(freezeAt_); // the deadline is never later
        uint256 times = (freezeAt_ << 208) | (deadline_ << 176);
        return Head.wrap((RUNNING << 248) | (threshold_ << 240) | times | (round_ << 160));
    }

    /// @dev Zero when all updates are in. `Tasks.pending` puts the other enrolments in the place of the bit for them.
    function pending(Head head) internal pure returns (uint256) {
        return uint160(Head.unwrap(head));
    }

    function round(Head head) internal pure returns (uint256) {
        return uint16(Head.unwrap(head) >> 160);
    }

    function deadline(Head head) internal pure returns (uint256) {
        return uint32(Head.unwrap(head) >> 176);
    }

    function freezeAt(Head head) internal pure returns (uint256) {
        return uint32(Head.unwrap(head) >> 208);
    }

    function threshold(Head head) internal pure returns (uint256) {
        return uint8(Head.unwrap(head) >> 240);
    }

    function phase(Head head) internal pure returns (uint256) {
        return Head.unwrap(head) >> 248;
    }

    function withPending(Head head, uint256 pending_) internal pure returns (Head) {
        return Head.wrap(((Head.unwrap(head) >> 160) << 160) | pending_);
    }

    function withFreezeAt(Head head, uint256 freezeAt_) internal pure returns (Head) {
        if (freezeAt_ > type(uint32).max) revert BlockNumberTooLarge(freezeAt_);
        return Head.wrap((Head.unwrap(head) & ~(uint256(type(uint32).max) << 208)) | (freezeAt_ << 208));
    }

    /// @dev The block of the end takes the deadline's place, so that ending writes one word. A block number that does
    /// not fit is cut down and not refused: a task must be able to end, and no wait is longer for it.
    function ended(Head head, uint256 block_) internal pure returns (Head) {
        if (block_ > type(uint32).max) block_ = type(uint32).max;
        uint256 rest = Head.unwrap(head) & ~((uint256(type(uint8).max) << 248) | (uint256(type(uint32).max) << 176));
        return Head.wrap(rest | (ENDED << 248) | (block_ << 176));
    }

    /// @dev A bitmap with the bits of all enrolments set.
    function everyone(uint256 enrolled) internal pure returns (uint256) {
        return (1 << enrolled) - 1;
    }

    /// @dev Number of bits set.
    function population(uint256 bitmap) internal pure returns (uint256 count) {
        unchecked {
            for (; bitmap != 0; ++count) bitmap &= bitmap - 1;
        }
    }
}
