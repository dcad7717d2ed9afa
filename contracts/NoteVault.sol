// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {InternalLeanIMT, LeanIMTData} from "@zk-kit/lean-imt.sol/InternalLeanIMT.sol";
import {PoseidonT5} from "poseidon-solidity/PoseidonT5.sol";

import {INoteVault} from "./INoteVault.sol";
import {BN254} from "./proof/BN254.sol";

/// @title Locks tokens in notes that their holders can prove things about without naming them
/// @notice A note is Poseidon(owner, amount, unlockEpoch, nonce) in a LeanIMT over Poseidon(left, right). Leaves hash
/// four values and nodes two, so no node can pass for a leaf.
///
/// Notes cannot be withdrawn in this version: a withdrawal needs a private spend proof, which comes with the
/// marketplace's next stage, and any shorter way would reveal which note is spent or let one be spent twice. **Tokens
/// deposited here stay here.** No account has power over them.
contract NoteVault is INoteVault {
    using SafeERC20 for IERC20;
    using InternalLeanIMT for LeanIMTData;

    /// @notice Depth of the tree at which the vault is full; the eligibility statement proves paths up to this depth.
    uint256 public constant MAX_DEPTH = 20;

    /// @notice The farthest unlock epoch, counted from the epoch of the deposit. Epochs have 32 bits, as in the circuit.
    uint32 public constant MAX_LOCK_EPOCHS = 1 << 20;

    /// @notice The token that notes hold.
    IERC20 public immutable token;

    /// @inheritdoc INoteVault
    uint256 public immutable epochLength;

    /// @inheritdoc INoteVault
    mapping(uint256 root => bool known) public isKnownRoot;

    LeanIMTData private _tree;

    /// @notice A note was locked. All events in order of `leafIndex` rebuild the tree; nonce and index are equal.
    event Deposited(
        uint256 indexed leafIndex,
        uint256 indexed owner,
        address indexed depositor,
        uint256 amount,
        uint32 unlockEpoch,
        uint256 leaf,
        uint256 root
    );

    /// @notice An epoch must last at least a second.
    error ZeroEpochLength();
    /// @notice A token contract is needed at the address.
    error NotAToken(address token);
    /// @notice An amount must lie in [1, 2^128).
    error AmountOutOfRange(uint256 amount);
    /// @notice An owner is a non-zero field element below r: Poseidon(secret).
    error OwnerOutOfRange(uint256 owner);
    /// @notice The unlock epoch must lie after the current one and within `MAX_LOCK_EPOCHS` of it.
    error UnlockEpochOutOfRange(uint32 unlockEpoch, uint256 currentEpoch);
    /// @notice The token moved another amount than asked for.
    error WrongAmountReceived(uint256 expected, uint256 received);
    /// @notice All 2^20 leaves are taken.
    error VaultFull();

    /// @notice Deploys an empty vault.
    /// @param token_ the token to lock; one that takes a fee on transfers is refused at deposit.
    /// @param epochLength_ seconds in an epoch.
    constructor(IERC20 token_, uint256 epochLength_) {
        if (address(token_).code.length == 0) revert NotAToken(address(token_));
        if (epochLength_ == 0) revert ZeroEpochLength();
        token = token_;
        epochLength = epochLength_;
    }

    /// @notice Locks tokens in a new note until `unlockEpoch` begins. The vault must have an allowance of `amount`.
    /// @param amount base units, in [1, 2^128).
    /// @param owner Poseidon(secret) of whoever will prove with the note; the depositor need not know the secret.
    /// @param unlockEpoch the first epoch in which the note no longer counts as locked.
    /// @return leafIndex the note's place in the tree, which is also its nonce.
    function deposit(
        uint256 amount,
        uint256 owner,
        uint32 unlockEpoch
    ) external returns (uint256 leafIndex) {
        if (amount == 0 || amount >> 128 != 0) revert AmountOutOfRange(amount);
        if (owner == 0 || owner >= BN254.R) revert OwnerOutOfRange(owner);
        uint256 epoch = currentEpoch();
        if (unlockEpoch <= epoch || unlockEpoch > epoch + MAX_LOCK_EPOCHS) {
            revert UnlockEpochOutOfRange(unlockEpoch, epoch);
        }
        leafIndex = _tree.size;
        if (leafIndex >> MAX_DEPTH != 0) revert VaultFull();

        // The vault, not the depositor, chooses the nonce: two equal deposits are two different notes.
        uint256 leaf = PoseidonT5.hash([owner, amount, uint256(unlockEpoch), leafIndex]);
        uint256 newRoot = _tree._insert(leaf);
        isKnownRoot[newRoot] = true;
        emit Deposited(leafIndex, owner, msg.sender, amount, unlockEpoch, leaf, newRoot);

        // Last, so that a token that calls back finds the vault in order. What it deposits meanwhile counts as
        // received here too, and the whole transaction fails.
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert WrongAmountReceived(amount, received);
    }

    /// @inheritdoc INoteVault
    function currentEpoch() public view returns (uint256) {
        return block.timestamp / epochLength;
    }

    /// @notice The newest root; 0 while the vault is empty. The root of one leaf is that leaf.
    function root() external view returns (uint256) {
        return _tree._root();
    }

    /// @notice Number of notes.
    function size() external view returns (uint256) {
        return _tree.size;
    }

    /// @notice Present depth of the tree.
    function depth() external view returns (uint256) {
        return _tree.depth;
    }
}
