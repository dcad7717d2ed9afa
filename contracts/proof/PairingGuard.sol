// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "./BN254.sol";

/// @title Base of every contract that verifies proofs
/// @notice It cannot be deployed on a chain whose curve precompiles are missing or wrong. On such a chain the common
/// exported verifiers take the empty answer of an absent precompile for a valid proof.
abstract contract PairingGuard {
    constructor() {
        BN254.selfTest();
    }
}
