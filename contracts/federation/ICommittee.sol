// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What is wrong with a sealed share.
enum Kind {
    Fetch, // its ciphertext cannot be got
    Open // the worker holds the committed ciphertext, and it does not open, or holds another share than was committed to
}

/// @notice What a worker has at stake in a task.
enum Stake {
    None, // no bond placed
    Bonded,
    Released, // paid back after the end
    Slashed // lost, and its standing with it; so too where the task asks for no bond
}

/// @notice A complaint, for whoever looks at it; all zero where there is none.
struct ComplaintView {
    uint256 task;
    uint256 round;
    address participant;
    bytes32 digest; // of the update
    address worker; // who complains
    Kind kind;
    uint256 votes; // so many workers say that it is right, the one who complains among them
    bool answered;
    bool removed; // the committee has removed the update
    bool settled; // its bond has found its owner
}

/// @notice The windows of a round, each up to the block before the one named. They move with the freeze.
struct Windows {
    uint256 close; // first block of all
    uint256 fetchComplaints;
    uint256 fetchAnswers; // from here to the freeze workers attest fetch complaints
    uint256 openComplaints;
    uint256 openAnswers; // from here to the freeze workers attest open complaints
    uint256 freeze;
}

/// @title What the committee's contract tells the world: its events and the names of its refusals
interface ICommittee {
    /// @notice A worker has placed its bond.
    event BondPlaced(uint256 indexed task, address indexed worker);

    /// @notice A worker got its bond back.
    event BondReleased(uint256 indexed task, address indexed worker);

    /// @notice A worker names the blob with its sealed outputs of a round that is frozen or settled. Each one that it names counts.
    event OutputPosted(uint256 indexed task, uint256 indexed round, address indexed worker, bytes32 indexId);

    /// @notice A worker says which blob holds the weights of the model that a round made, should the leader's be lost.
    event ModelAnnounced(uint256 indexed task, uint256 indexed round, address indexed worker, bytes32 contentId);

    /// @notice A worker complains about its share of an accepted update.
    event Complained(
        bytes32 indexed complaint,
        uint256 indexed task,
        address indexed participant,
        uint256 round,
        bytes32 digest,
        address worker,
        Kind kind
    );

    /// @notice The participant has answered. Of a fetch complaint `contentId` is zero, or names the republished
    /// ciphertext; of an open complaint it names the blob with the one share.
    event Answered(
        bytes32 indexed complaint,
        uint256 indexed task,
        address indexed participant,
        bytes32 contentId
    );

    /// @notice A worker says that the answer to a complaint is bad or missing.
    event Attested(bytes32 indexed complaint, uint256 indexed task, address indexed worker);

    /// @notice The committee has removed an update. The federation says so too, and when the round freezes now.
    event UpdateRemoved(uint256 indexed task, uint256 indexed round, address indexed participant, bytes32 digest);

    /// @notice The bond of a complaint is credited: to who complained, or to the participant if it was in vain.
    event ComplaintSettled(bytes32 indexed complaint, uint256 indexed task, address indexed to);

    /// @notice A worker says that another's output does not match its commitments.
    event Accused(uint256 indexed task, uint256 indexed round, address indexed worker, address by);

    /// @notice A worker has lost its standing in a task, and its bond to the sponsor.
    event Slashed(uint256 indexed task, address indexed worker, address indexed sponsor);

    /// @notice Somebody took its credit out.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice The task asks for no bond.
    error NoBond();
    /// @notice The window was over at this block.
    error TooLate(uint256 block_);
    /// @notice There is no such complaint.
    error UnknownComplaint(bytes32 complaint);
    /// @notice This worker has complained of this update in this way already.
    error AlreadyComplained(bytes32 complaint);
    /// @notice The complaint has its answer.
    error AlreadyAnswered(bytes32 complaint);
    /// @notice An open complaint is answered with the share.
    error MissingShare();
    /// @notice This worker has said so already.
    error AlreadySaid(address worker);
}
