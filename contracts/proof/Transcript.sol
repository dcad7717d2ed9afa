// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "./BN254.sol";

/// @title Transcript hashes, word for word those of the Python package
/// @notice Every hash is `keccak256(abi.encode(bytes32 tag, word, word, ...))`; an item of variable length is hashed on
/// its own first. A tag is `keccak256("fedproof/<use>/v1")`.
library Transcript {
    /// @dev The version word of every `pre`.
    uint256 internal constant VERSION = 2;

    bytes32 internal constant LISTING = keccak256("fedproof/listing/pre/v1");
    bytes32 internal constant TRAINING = keccak256("fedproof/training/pre/v1");
    bytes32 internal constant TRAINING_DIGEST = keccak256("fedproof/training/digest/v1");
    bytes32 internal constant ATTACHMENTS = keccak256("fedproof/training/attachments/v1");
    bytes32 internal constant AGGREGATION = keccak256("fedproof/aggregation/pre/v1");
    bytes32 internal constant SIGMA = keccak256("fedproof/sigma/v1");
    bytes32 internal constant LAMBDA = keccak256("fedproof/lambda/v1");
    bytes32 internal constant SCOPE = keccak256("fedproof/scope/v1");
    bytes32 internal constant SIGNAL = keccak256("fedproof/signal/v1");
    bytes32 internal constant BLOCK = keccak256("fedproof/listing/block/v1");
    bytes32 internal constant SPEND = keccak256("fedproof/spend/v1");

    /// @dev The challenges of a listing.
    function challenges(bytes32 pre) internal pure returns (uint256 sigma, uint256 lambda) {
        sigma = toScalar(keccak256(abi.encode(SIGMA, pre)));
        lambda = toScalar(keccak256(abi.encode(LAMBDA, pre)));
    }

    /// @dev A hash as an element of the scalar field.
    function toScalar(bytes32 digest) internal pure returns (uint256) {
        return uint256(digest) % BN254.R;
    }
}
