// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NoteVault} from "../NoteVault.sol";

/// @title A token that does what its tester tells it to
contract OddToken {
    enum Behaviour {
        Honest,
        Fee,
        Nothing,
        False,
        Reenter
    }

    /// @notice What transferFrom does next.
    Behaviour public behaviour;
    /// @notice Balances; everybody has any amount to give.
    mapping(address => uint256) public balanceOf;

    NoteVault private _vault;
    uint32 private _unlockEpoch;

    /// @notice Sets the behaviour of transfers.
    function behave(Behaviour next, NoteVault vault, uint32 unlockEpoch) external {
        behaviour = next;
        _vault = vault;
        _unlockEpoch = unlockEpoch;
    }

    /// @notice Moves tokens, more or less.
    function transferFrom(address, address to, uint256 amount) external returns (bool) {
        if (behaviour == Behaviour.False) return false;
        if (behaviour == Behaviour.Nothing) return true;
        if (behaviour == Behaviour.Fee) --amount;
        balanceOf[to] += amount;
        if (behaviour == Behaviour.Reenter) {
            behaviour = Behaviour.Honest;
            _vault.deposit(amount, 7, _unlockEpoch);
        }
        return true;
    }
}
