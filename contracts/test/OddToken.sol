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

    /// @notice What the next transfer does.
    Behaviour public behaviour;
    /// @notice Balances; everybody but the vault has any amount to give.
    mapping(address => uint256) public balanceOf;
    /// @notice What the vault answered to the call that a transfer made.
    bytes public answer;
    /// @notice Whether it took that call.
    bool public wasTaken;

    NoteVault private _vault;
    bytes private _call;

    /// @notice Sets the behaviour of transfers.
    function behave(Behaviour next, NoteVault vault, bytes calldata call) external {
        behaviour = next;
        _vault = vault;
        _call = call;
    }

    /// @notice Moves tokens into the vault, more or less.
    function transferFrom(address, address to, uint256 amount) external returns (bool) {
        return _move(to, amount);
    }

    /// @notice Moves tokens out of the vault, more or less.
    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        return _move(to, amount);
    }

    function _move(address to, uint256 amount) private returns (bool) {
        if (behaviour == Behaviour.False) return false;
        if (behaviour == Behaviour.Nothing) return true;
        if (behaviour == Behaviour.Fee) --amount;
        balanceOf[to] += amount;
        if (behaviour == Behaviour.Reenter) {
            behaviour = Behaviour.Honest;
            (wasTaken, answer) = address(_vault).call(_call);
        }
        return true;
    }
}
