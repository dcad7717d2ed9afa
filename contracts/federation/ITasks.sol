// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundView, TaskView} from "./FederationTypes.sol";

/// @title What the committee's contract asks of the federation that made it
interface ITasks {
    /// @notice What a task is and where it stands.
    function taskOf(uint256 task) external view returns (TaskView memory);

    /// @notice The round that runs, or the last one.
    function roundOf(uint256 task) external view returns (RoundView memory);

    /// @notice The hash of a participant's enrolment and last update; complemented while it has no bond.
    function seatOf(uint256 task, address participant) external view returns (bytes32);

    /// @notice The hash of a worker's HPKE public key; zero for whoever is not in the committee.
    function workerOf(uint256 task, address worker) external view returns (bytes32 hpkeKeyHash);

    /// @notice Takes an accepted update out of the round that runs, before its freeze; pays its bond to the caller.
    function removeUpdate(uint256 task, address participant, bytes32 seat) external;
}
