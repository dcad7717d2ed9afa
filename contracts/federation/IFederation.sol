// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BN254} from "../proof/BN254.sol";
import {Ending, Stage, Submission, TaskParams, Worker} from "./FederationTypes.sol";

/// @title What the federation tells the world: its events and the names of its refusals
interface IFederation {
    /// @notice A sponsor has opened a task. Whoever enrols or places a bond names `terms`, the hash of
    /// the sponsor, the parameters and the committee.
    event TaskOpened(
        uint256 indexed task,
        address indexed sponsor,
        bytes32 terms,
        bytes32 trainingCircuit,
        bytes32 aggregationCircuit,
        TaskParams params,
        Worker[] committee
    );

    /// @notice A participant has joined with a masked dataset. `index` is its place in every bitmap and every list.
    event Enrolled(
        uint256 indexed task,
        address indexed participant,
        uint256 indexed datasetId,
        uint256 index,
        uint256 rows,
        BN254.G1 maskedDataset
    );

    /// @notice A round takes updates until the block before `deadline`; unless all are in sooner, it freezes at `freezeAt`.
    event RoundOpened(uint256 indexed task, uint256 indexed round, uint256 deadline, uint256 freezeAt);

    /// @notice An update is in, with all that is needed to check, open and finalize it.
    event UpdateSubmitted(
        uint256 indexed task,
        uint256 indexed round,
        address indexed participant,
        Submission submission
    );

    /// @notice An update was proven invalid, or removed by the committee. Its bond went to `by`, who proved it or is the
    /// contract of the committee; the round now freezes at `freezeAt`.
    event UpdateRejected(
        uint256 indexed task,
        uint256 indexed round,
        address indexed participant,
        address by,
        uint256 freezeAt
    );

    /// @notice A participant whose update was rejected has placed a new bond and may submit again.
    event BondRenewed(uint256 indexed task, address indexed participant);

    /// @notice The first updates of a large round are verified; the others come with the aggregate.
    event RoundPartVerified(
        uint256 indexed task,
        uint256 indexed round,
        address indexed by,
        uint256 rows,
        uint256 accepted
    );

    /// @notice A round is done: every accepted update is in the new model. `contentId` names the blob with its weights.
    event RoundFinalized(
        uint256 indexed task,
        uint256 indexed round,
        address indexed leader,
        BN254.G1 newModel,
        bytes32 contentId,
        uint256 totalRows,
        uint256 accepted
    );

    /// @notice A frozen round that nobody finalized is settled all the same: its participants are paid.
    event RoundStalled(uint256 indexed task, uint256 indexed round, uint256 totalRows, uint256 accepted);

    /// @notice A task has ended, and why.
    event TaskEnded(uint256 indexed task, Ending ending);

    /// @notice A participant was paid: rewards, and its bond once the task has ended.
    event Claimed(uint256 indexed task, address indexed participant, uint256 reward, uint256 bond);

    /// @notice The sponsor got back what no round of the ended task earned.
    event Refunded(uint256 indexed task, address indexed sponsor, uint256 amount);

    /// @notice There is no such task.
    error UnknownTask(uint256 task);
    /// @notice This is not possible at this stage of the task.
    error WrongStage(Stage stage);
    /// @notice The caller is not who may do this.
    error NotAllowed(address caller);
    /// @notice A parameter of the task is out of its bounds; the name says which.
    error BadParameter(string name);
    /// @notice The key's code is not the code that the parameters name.
    error WrongKeyHash(address key, bytes32 found);
    /// @notice The two keys have different powers of tau, so their links cannot share a pairing.
    error DifferentTau();
    /// @notice The two keys share delta or eta; each statement needs its own.
    error SharedKeySecret();
    /// @notice The caller expects other terms than the task has.
    error OtherTerms(bytes32 found);
    /// @notice The participant holds no unexpired Tier-3 grant of the dataset.
    error NoGrant(uint256 datasetId, address participant);
    /// @notice The dataset is of another capacity class than the task asks for, or has no rows.
    error WrongDataset(uint256 datasetId);
    /// @notice The dataset or the participant is enrolled in this task already.
    error AlreadyEnrolled(uint256 datasetId, address participant);
    /// @notice A worker has not placed its bond yet: nobody joins a committee that cannot be slashed.
    error CommitteeNotBonded(uint256 bonded);
    /// @notice The masked dataset is not the listed one plus masks alone.
    error NotAMasking();
    /// @notice Fewer participants than the task's minimum have enrolled.
    error TooFewParticipants(uint256 enrolled);
    /// @notice The call is about another round than the one that runs.
    error WrongRound(uint256 running);
    /// @notice The sender has seen another block of this number, or it is too long ago: look again, and sign anew.
    error WrongAnchor(uint256 number);
    /// @notice This participant's update of the round is in already, or the participant is not enrolled.
    error NothingDue(uint256 index);
    /// @notice The calldata is longer or shorter than its contents, or not in the standard layout.
    error WrongLength(uint256 expected, uint256 found);
    /// @notice This does not open the participant's seat: other rows, dataset, update, proof or last digest.
    error WrongOpening(address participant);
    /// @notice The update is valid: nobody can reject it.
    error UpdateIsValid(address participant);
    /// @notice This update is not in the round.
    error NotAccepted(uint256 index);
    /// @notice The round is frozen: no update is removed any more.
    error AlreadyFrozen(uint256 freezeAt);
    /// @notice The updates must come in the order of enrolment, each once.
    error WrongOrder(uint256 index);
    /// @notice Every accepted update must be in the aggregate, and no other.
    error WrongSet(uint256 accepted, uint256 given);
    /// @notice These are not the task's present model and its settled rounds.
    error WrongStanding();
    /// @notice The round is not so large that it has parts, its first part is verified already, or these are not it.
    error NoPartDue();
    /// @notice The first updates of this round are to be verified before it can be finalized with the others.
    error PartDue();
    /// @notice The proofs of the round do not hold.
    error RoundDoesNotVerify();
    /// @notice All masks of the enrolments are used up.
    error NoMasksLeft();
    /// @notice Nobody else may act before this block.
    error TooEarly(uint256 block_);
    /// @notice The bond is in place.
    error AlreadyBonded();
    /// @notice There is nothing to pay out.
    error NothingToClaim();
}
