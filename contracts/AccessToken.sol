// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title The token that opens datasets and pays for updates
/// @notice ERC-20 with permits (ERC-2612). The whole supply exists from the start; nobody can mint, burn or freeze.
contract AccessToken is ERC20, ERC20Permit {
    /// @notice Gives the whole supply to the deployer.
    /// @param supply in base units, 10^18 to a token.
    constructor(uint256 supply) ERC20("Fedproof Access", "FPA") ERC20Permit("Fedproof Access") {
        _mint(msg.sender, supply);
    }
}
