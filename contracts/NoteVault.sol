// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {InternalLeanIMT, LeanIMTData} from "@zk-kit/lean-imt.sol/InternalLeanIMT.sol";
import {PoseidonT5} from "poseidon-solidity/PoseidonT5.sol";

import {INoteVault} from "./INoteVault.sol";
import {BN254} from "./proof/BN254.sol";
import {Groth16Verifier} from "./proof/Groth16Verifier.sol";
import {PairingGuard} from "./proof/PairingGuard.sol";
import {Transcript} from "./proof/Transcript.sol";
import {VerifyingKeys} from "./proof/VerifyingKeys.sol";

/// @title Locks tokens in notes that their holders can prove things about without naming them
/// @notice A note is Poseidon(owner, amount, unlockEpoch, nonce) in a LeanIMT over Poseidon(left, right). Leaves hash
/// four values and nodes two, so no node can pass for a leaf.
///
/// A tree has 2^20 leaves. What does not fit into it, one leaf of a deposit or both of a spend, starts another; so the
/// last place of a tree stays empty where a spend comes upon it. Indices count on through all trees without a gap, and
/// the roots of all trees stay known, so a full tree freezes nothing. A proof names one root, and with it the tree of its
/// notes; whoever has notes in several trees moves the older ones by a spend, whose leaves go to the newest.
///
/// A note can be spent from the epoch on in which it unlocks: two notes of one holder become two others and a
/// withdrawal, by a proof that names none of them. Transfer, split, join and withdrawal are one call, so that only the
/// amount that leaves the vault tells them apart. Deposits show their amount; nothing after them does.
///
/// An empty note is not told apart from another either, so a spend of two of them cannot be refused. Whoever sends 2^19
/// of these, at full price for each proof, gets nothing but an early start of the next tree.
contract NoteVault is INoteVault, PairingGuard {
    using SafeERC20 for IERC20;
    using InternalLeanIMT for LeanIMTData;

    /// @notice Depth of a full tree; the statements prove paths up to this depth.
    uint256 public constant MAX_DEPTH = 20;

    /// @notice The farthest unlock epoch, counted from the epoch of the deposit. Epochs have 32 bits, as in the circuit.
    uint32 public constant MAX_LOCK_EPOCHS = 1 << 20;

    uint256 private constant _SPEND_INPUTS = 8;
    /// @dev Calldata of `spend` without its memo, so that nothing can ride along.
    uint256 private constant _SPEND_CALLDATA = 4 + 32 * (1 + 2 + 1 + 1 + 1 + 1 + 8 + 3 + 1);
    /// @dev Far above two sealed memos of either kind.
    uint256 private constant _MAX_MEMO = 4096;

    /// @inheritdoc INoteVault
    IERC20 public immutable token;

    /// @inheritdoc INoteVault
    address public immutable spendKey;

    /// @inheritdoc INoteVault
    uint256 public immutable epochLength;

    /// @inheritdoc INoteVault
    mapping(uint256 root => bool known) public isKnownRoot;

    /// @notice Nullifiers of the notes that have been spent.
    mapping(uint256 nullifier => bool spent) public isSpent;

    /// @dev The newest tree. What an older one left in its side nodes is overwritten before it is read.
    LeanIMTData private _tree;

    /// @notice Index of the first note of the newest tree.
    uint256 public treeStart;

    /// @notice A note was locked. These and the events of `Spent`, in order of their index, rebuild all trees; the
    /// nonce of a deposited note is its index, which counts through all trees. `root` is that of the note's tree.
    event Deposited(
        uint256 indexed leafIndex,
        uint256 indexed owner,
        address indexed depositor,
        uint256 amount,
        uint32 unlockEpoch,
        uint256 leaf,
        uint256 root
    );

    /// @notice Two notes were spent, either of which may have been empty; two were made, at `leafIndex` and behind it.
    /// `memo` holds what their owners need, sealed to them.
    event Spent(
        uint256 indexed leafIndex,
        uint256 indexed nullifier1,
        uint256 indexed nullifier2,
        uint256[] leaves,
        uint256 root,
        uint128 withdrawn,
        address recipient,
        bytes memo
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
    /// @notice No tree ever had this root.
    error UnknownRoot(uint256 root);
    /// @notice The note behind this nullifier has been spent.
    error NoteSpent(uint256 nullifier);
    /// @notice A spend makes exactly two notes.
    error WrongLeafCount(uint256 found);
    /// @notice A withdrawal needs a recipient outside the vault, and only a withdrawal has one.
    error WrongRecipient(address recipient);
    /// @notice A memo has at most 4,096 bytes.
    error MemoTooLong(uint256 length);
    /// @notice The calldata is not exactly as long as its arguments.
    error TrailingBytes(uint256 expected, uint256 found);
    /// @notice The proof does not hold for what this contract computed as its public inputs.
    error InvalidProof();

    /// @notice Deploys an empty vault.
    /// @param token_ the token to lock; one that takes a fee on transfers is refused at deposit.
    /// @param epochLength_ seconds in an epoch.
    /// @param spendKey_ data contract with the verifying key of the spend statement.
    /// @param allowDevelopmentKey accept a key made by a single dealer, who could forge a spend and empty the vault.
    constructor(IERC20 token_, uint256 epochLength_, address spendKey_, bool allowDevelopmentKey) {
        if (address(token_).code.length == 0) revert NotAToken(address(token_));
        if (epochLength_ == 0) revert ZeroEpochLength();
        VerifyingKeys.check(
            spendKey_,
            VerifyingKeys.Expectation({
                publicInputs: _SPEND_INPUTS,
                committed: false,
                linked: false,
                masked: false,
                allowDevelopment: allowDevelopmentKey
            })
        );
        token = token_;
        epochLength = epochLength_;
        spendKey = spendKey_;
    }

    /// @notice Locks tokens in a new note until `unlockEpoch` begins. The vault must have an allowance of `amount`.
    /// @param amount base units, in [1, 2^128).
    /// @param owner Poseidon(secret) of whoever will prove with the note; the depositor need not know the secret.
    /// @param unlockEpoch the first epoch in which the note no longer counts as locked.
    /// @return leafIndex the note's index, which is also its nonce.
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
        leafIndex = _makeRoom(1);

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

    /// @notice Spends one or two unlocked notes of one holder: makes two others and pays `withdrawn` to `recipient`.
    /// Anyone may send it; the proof fixes everything but the sender.
    /// @param root_ a root that a tree has had: both notes are in that tree, or empty.
    /// @param nullifiers of the two notes that are spent; an empty one has a nullifier, too.
    /// @param leaves the two notes that are made, either of which may be empty.
    /// @param withdrawn base units that leave the vault; zero for a transfer, split or join.
    /// @param recipient who gets them; zero when nothing is withdrawn.
    /// @param memo for the owners of the new notes; the vault does not read it.
    /// @param proof A, B, C of the spend statement.
    function spend(
        uint256 root_,
        uint256[2] calldata nullifiers,
        uint256[] calldata leaves,
        uint128 withdrawn,
        address recipient,
        bytes calldata memo,
        uint256[8] calldata proof
    ) external {
        _requireSpendCalldata(leaves.length, memo.length);
        if ((withdrawn == 0) != (recipient == address(0)) || recipient == address(this)) revert WrongRecipient(recipient);
        if (!isKnownRoot[root_]) revert UnknownRoot(root_);
        for (uint256 k = 0; k < 2; ++k) {
            if (isSpent[nullifiers[k]]) revert NoteSpent(nullifiers[k]);
            isSpent[nullifiers[k]] = true; // before the next is looked at: one note cannot stand for both
        }
        _verifySpend(root_, nullifiers, leaves, withdrawn, recipient, keccak256(memo), proof);

        uint256 leafIndex = _makeRoom(2);
        uint256 newRoot = _tree._insertMany(leaves);
        isKnownRoot[newRoot] = true;
        emit Spent(leafIndex, nullifiers[0], nullifiers[1], leaves, newRoot, withdrawn, recipient, memo);
        if (withdrawn != 0) token.safeTransfer(recipient, withdrawn);
    }

    /// @inheritdoc INoteVault
    function currentEpoch() public view returns (uint256) {
        return block.timestamp / epochLength;
    }

    /// @notice The root of the newest tree; 0 while the vault is empty. The root of one leaf is that leaf.
    function root() external view returns (uint256) {
        return _tree._root();
    }

    /// @notice Number of notes in all trees.
    function size() external view returns (uint256) {
        return treeStart + _tree.size;
    }

    /// @notice Present depth of the newest tree.
    function depth() external view returns (uint256) {
        return _tree.depth;
    }

    /// @dev Leaves of a tree. Tests make it smaller.
    function _treeCapacity() internal view virtual returns (uint256) {
        return 1 << MAX_DEPTH;
    }

    /// @dev The index of the next leaf. Where the newest tree has no room for all of `count`, another starts with it.
    function _makeRoom(uint256 count) private returns (uint256 leafIndex) {
        uint256 taken = _tree.size;
        leafIndex = treeStart + taken;
        if (taken + count > _treeCapacity()) {
            treeStart = leafIndex;
            _tree.size = 0;
            _tree.depth = 0;
        }
    }

    function _verifySpend(
        uint256 root_,
        uint256[2] calldata nullifiers,
        uint256[] calldata leaves,
        uint128 withdrawn,
        address recipient,
        bytes32 memoHash,
        uint256[8] calldata proof
    ) private view {
        uint256[] memory inputs = new uint256[](_SPEND_INPUTS);
        inputs[0] = root_;
        inputs[1] = nullifiers[0];
        inputs[2] = nullifiers[1];
        inputs[3] = leaves[0];
        inputs[4] = leaves[1];
        inputs[5] = withdrawn;
        inputs[6] = currentEpoch();
        inputs[7] = Transcript.toScalar(
            keccak256(abi.encode(Transcript.SPEND, block.chainid, address(this), recipient, memoHash))
        );
        if (!Groth16Verifier.verify(VerifyingKeys.load(spendKey), inputs, proof)) revert InvalidProof();
    }

    /// @dev The calldata is what these arguments encode to and not a byte more.
    function _requireSpendCalldata(uint256 leafCount, uint256 memoLength) private pure {
        if (leafCount != 2) revert WrongLeafCount(leafCount);
        if (memoLength > _MAX_MEMO) revert MemoTooLong(memoLength);
        uint256 expected = _SPEND_CALLDATA + ((memoLength + 31) / 32) * 32;
        if (msg.data.length != expected) revert TrailingBytes(expected, msg.data.length);
    }
}
