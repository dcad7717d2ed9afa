// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IDatasetRegistry} from "./IDatasetRegistry.sol";

/// @title Where a provider that may be offline leaves its tier keys, and workers hand them out
/// @notice The provider shares each tier's key among a committee; the shares are blobs, sealed to the workers, and this
/// contract names them. On a running grant each worker publishes its share, sealed to the grantee, who needs t + 1 of
/// them. Anybody can write here; a grantee reads the committee's shares alone and checks each against its commitment.
contract KeyEscrow {
    /// @dev Far above a sealed share of either kind.
    uint256 private constant _MAX_SHARE = 4096;

    /// @notice The registry whose datasets and grants count here.
    IDatasetRegistry public immutable registry;

    /// @notice The keys of a version are with a committee; `escrowId` is the content id of commitments and sealed shares.
    event KeysPlaced(uint256 indexed datasetId, uint16 indexed version, bytes32 escrowId);
    /// @notice Somebody who says it is a worker has sealed its share of a tier's key to the grantee.
    event ShareReleased(
        uint256 indexed datasetId,
        address indexed grantee,
        address indexed worker,
        uint8 tier,
        uint16 version,
        bytes sealedShare
    );

    /// @notice Only the provider of the dataset may do this.
    error NotProvider(uint256 datasetId, address caller);
    /// @notice There is no such version of the dataset.
    error NoSuchVersion(uint256 datasetId, uint16 version);
    /// @notice The grantee holds no running grant of this tier or a higher one.
    error NoGrant(uint256 datasetId, address grantee, uint8 tier);
    /// @notice A sealed share has between 1 and 4,096 bytes.
    error BadShare(uint256 length);
    /// @notice An escrow needs the content id of its blob.
    error MissingEscrow();
    /// @notice The address holds no registry.
    error NotARegistry(address registry);

    /// @notice Deploys the board over a registry.
    constructor(IDatasetRegistry registry_) {
        if (address(registry_).code.length == 0) revert NotARegistry(address(registry_));
        registry = registry_;
    }

    /// @notice Says where the shared keys of a version are; the last word counts.
    function place(uint256 datasetId, uint16 version, bytes32 escrowId) external {
        if (registry.ownerOf(datasetId) != msg.sender) revert NotProvider(datasetId, msg.sender);
        _requireVersion(datasetId, version);
        if (escrowId == 0) revert MissingEscrow();
        emit KeysPlaced(datasetId, version, escrowId);
    }

    /// @notice Publishes the caller's share of a tier's key, sealed to the grantee.
    function release(
        uint256 datasetId,
        uint16 version,
        uint8 tier,
        address grantee,
        bytes calldata sealedShare
    ) external {
        _requireVersion(datasetId, version);
        if (tier == 0 || !registry.hasAccess(datasetId, grantee, tier)) revert NoGrant(datasetId, grantee, tier);
        if (sealedShare.length == 0 || sealedShare.length > _MAX_SHARE) revert BadShare(sealedShare.length);
        emit ShareReleased(datasetId, grantee, msg.sender, tier, version, sealedShare);
    }

    function _requireVersion(uint256 datasetId, uint16 version) private view {
        if (version == 0 || version > registry.versionOf(datasetId)) revert NoSuchVersion(datasetId, version);
    }
}
