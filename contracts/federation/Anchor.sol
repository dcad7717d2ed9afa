// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFederation} from "./IFederation.sol";

/// @title A block that the sender has seen
/// @notice A transaction that was signed on one branch of the chain can be mined on another, by anyone who kept it. What
/// costs a bond there names a block that fixes what it was made for: on another branch it reverts and costs its gas alone.
/// @dev bits 0-31 the number of the block, 96-255 the first 20 bytes of its hash, the rest zero: who makes both blocks
/// needs a collision, 2^80 tries. Zero names none. The chain remembers the last 256 blocks, so an older anchor is
/// refused, too, and the sender signs anew.
library Anchor {
    /// @dev Reverts unless the block is one of the last 256 of this branch.
    function requireSeen(uint256 anchor) internal view {
        if (anchor == 0) return;
        uint256 number = uint32(anchor);
        uint256 hash = uint256(blockhash(number));
        if (hash == 0 || anchor != ((hash >> 96) << 96) + number) revert IFederation.WrongAnchor(number);
    }
}
