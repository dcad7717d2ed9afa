// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

import {IDatasetRegistry} from "./IDatasetRegistry.sol";

/// @title Sales of dataset tokens at a fixed price
/// @notice Token and price change hands in one transaction; this contract never holds either. Who owns the token is the
/// provider: it gets the price of every later grant. Running grants stay as they are.
///
/// Only an approval of the single token counts, never one of all tokens: it ends with the next transfer, so that an old
/// offer does not come back to life when its seller gets the token back.
contract DatasetSales {
    using SafeERC20 for IERC20;

    struct Offer {
        address seller;
        address buyer; // zero: anybody
        uint256 price;
    }

    /// @notice The registry whose tokens are sold.
    IERC721 public immutable registry;
    /// @notice The token that prices are paid in.
    IERC20 public immutable token;
    /// @notice The offer of a dataset; void as soon as its seller is not the owner, or has not approved this contract.
    mapping(uint256 datasetId => Offer) public offers;

    /// @notice A dataset is for sale.
    event Offered(uint256 indexed datasetId, address indexed seller, address indexed buyer, uint256 price);
    /// @notice An offer was taken back.
    event Withdrawn(uint256 indexed datasetId, address indexed seller);
    /// @notice A dataset was sold.
    event Sold(uint256 indexed datasetId, address indexed seller, address indexed buyer, uint256 price);

    /// @notice Only the owner of the dataset may do this.
    error NotOwner(uint256 datasetId, address caller);
    /// @notice This contract is not approved for the token, or not any more.
    error NotApproved(uint256 datasetId);
    /// @notice The dataset is not for sale to the caller at this price.
    error NoSuchOffer(uint256 datasetId);
    /// @notice The dataset has another version than the caller has seen, or is retired.
    error Changed(uint256 datasetId);
    /// @notice An address holds no contract.
    error NotAContract(address account);

    /// @notice Deploys the counter for the tokens of a registry.
    constructor(IERC721 registry_, IERC20 token_) {
        if (address(registry_).code.length == 0) revert NotAContract(address(registry_));
        if (address(token_).code.length == 0) revert NotAContract(address(token_));
        registry = registry_;
        token = token_;
    }

    /// @notice Offers a dataset of the caller, who has approved this contract for its token. Replaces an earlier offer.
    /// @param datasetId the dataset
    /// @param price base units; zero gives it away
    /// @param buyer who may buy; zero for anybody
    function offer(uint256 datasetId, uint256 price, address buyer) external {
        if (registry.ownerOf(datasetId) != msg.sender) revert NotOwner(datasetId, msg.sender);
        if (registry.getApproved(datasetId) != address(this)) revert NotApproved(datasetId);
        offers[datasetId] = Offer(msg.sender, buyer, price);
        emit Offered(datasetId, msg.sender, buyer, price);
    }

    /// @notice Takes the caller's offer back.
    function withdraw(uint256 datasetId) external {
        if (offers[datasetId].seller != msg.sender) revert NoSuchOffer(datasetId);
        delete offers[datasetId];
        emit Withdrawn(datasetId, msg.sender);
    }

    /// @notice Buys a dataset as the caller has seen it: at this price, from this seller, in this version, not retired.
    function buy(uint256 datasetId, address seller, uint256 price, uint16 version) external {
        Offer memory found = offers[datasetId];
        bool open = found.seller != address(0) && (found.buyer == address(0) || found.buyer == msg.sender);
        if (!open || found.seller != seller || found.price != price || registry.ownerOf(datasetId) != seller) {
            revert NoSuchOffer(datasetId);
        }
        IDatasetRegistry datasets = IDatasetRegistry(address(registry));
        if (registry.getApproved(datasetId) != address(this)) revert NotApproved(datasetId);
        if (datasets.versionOf(datasetId) != version || datasets.isRetired(datasetId)) revert Changed(datasetId);
        delete offers[datasetId];
        emit Sold(datasetId, seller, msg.sender, price);
        token.safeTransferFrom(msg.sender, seller, price);
        registry.transferFrom(seller, msg.sender, datasetId);
    }
}
