// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What other contracts ask of the note vault
interface INoteVault {
    /// @notice Whether one of the vault's trees has had this root. Old roots stay good: a locked note is unspent, and the nullifier
    /// does not depend on the root.
    function isKnownRoot(uint256 root) external view returns (bool);

    /// @notice The present epoch: block.timestamp / epochLength.
    function currentEpoch() external view returns (uint256);

    /// @notice The token that notes hold, in which prices are paid too.
    function token() external view returns (IERC20);

    /// @notice The data contract with the verifying key of the spend statement.
    function spendKey() external view returns (address);

    /// @notice Seconds in an epoch.
    function epochLength() external view returns (uint256);
}
