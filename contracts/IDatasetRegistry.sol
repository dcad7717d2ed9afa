// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What other contracts ask of the dataset registry
interface IDatasetRegistry {
    /// @notice The KZG commitment C_X that a dataset was listed with; reverts for a dataset that does not exist.
    function commitmentOf(uint256 datasetId) external view returns (uint256 x, uint256 y);

    /// @notice The capacity class of a dataset and its number of real rows; reverts for a dataset that does not exist.
    function shapeOf(uint256 datasetId) external view returns (uint32 classId, uint32 rows);

    /// @notice The version of a dataset, from 1; reverts for a dataset that does not exist.
    function versionOf(uint256 datasetId) external view returns (uint16);

    /// @notice Whether a dataset takes no new grants; reverts for a dataset that does not exist.
    function isRetired(uint256 datasetId) external view returns (bool);

    /// @notice Whether `grantee` holds an unexpired grant of this tier or a higher one. Tier 0 is free.
    function hasAccess(uint256 datasetId, address grantee, uint8 tier) external view returns (bool);

    /// @notice The provider: the present holder of the dataset's token.
    function ownerOf(uint256 datasetId) external view returns (address);
}
