// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {NoteVault} from "../NoteVault.sol";

/// @title The vault with trees that a test can fill
contract SmallVault is NoteVault {
    uint256 private immutable _capacity;

    constructor(
        IERC20 token_,
        uint256 epochLength_,
        address spendKey_,
        bool allowDevelopmentKey,
        uint256 capacity
    ) NoteVault(token_, epochLength_, spendKey_, allowDevelopmentKey) {
        _capacity = capacity;
    }

    /// @inheritdoc NoteVault
    function _treeCapacity() internal view override returns (uint256) {
        return _capacity;
    }
}
