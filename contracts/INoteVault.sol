// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What other contracts ask of the note vault
interface INoteVault {
    /// @notice Whether the tree has had this root. Old roots stay good: a locked note is unspent, and the nullifier
    /// does not depend on the root.
    function isKnownRoot(uint256 root) external view returns (bool);

    /// @notice The present epoch: block.timestamp / epochLength.
    function currentEpoch() external view returns (uint256);

    /// @notice Seconds in an epoch.
    function epochLength() external view returns (uint256);
}
