// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Anchor} from "./federation/Anchor.sol";
import {RoundView, Seat, Settled, Stage, TaskView} from "./federation/FederationTypes.sol";
import {Heads} from "./federation/Head.sol";
import {ComplaintView, ICommittee, Kind, Stake, Windows} from "./federation/ICommittee.sol";
import {IFederation} from "./federation/IFederation.sol";
import {ITasks} from "./federation/ITasks.sol";
import {RoundTranscript} from "./federation/RoundTranscript.sol";
import {BN254} from "./proof/BN254.sol";

/// @title What the workers of a task answer for, and what they say (protocol, section 6)
/// @notice bond -> (complain -> answer -> attest)* -> postOutput* -> accuse* -> releaseBond
///
/// What is sealed cannot be judged on chain, so workers judge it: t + 1 of them, of which one is honest, remove an update
/// whose shares do not open, or slash a worker whose output is not the sum of its shares. Fewer than that do nothing.
///
/// Nothing locks money. A worker's bond is paid back or, slashed, credited to the sponsor; every task can be ended by
/// anyone in the end (closed, or settled when stalled), and `releaseBond` waits for no one else. The bond of a removed
/// update is credited, all of it, when it comes in. The bond of a complaint is credited by `settleComplaint`, which anyone
/// may send and which has one answer in every state but the one that passes: while its round still takes answers. A
/// round leaves that state by its freeze, by its failure, or with the end of its task. Whoever has credit withdraws it,
/// and no payment of one waits for another's.
///
/// Windows are short and a node sends one transaction after another, so all that it has to say fits in one: `multicall`.
/// @dev It lives as long as the federation that made it and serves that one alone; it has no owner.
/// Each call of a `multicall` has its sender, passes the reentrancy guard by itself, and takes no money: nothing here is
/// payable.
contract Committee is ICommittee, ReentrancyGuardTransient, Multicall {
    using SafeERC20 for IERC20;

    uint256 private constant _WINDOWS = 5;

    /// @dev What complaints say of one update.
    struct Case {
        uint256 task;
        bytes32 seat; // the participant's while the update is in
        address participant;
        uint16 round;
        uint8 index;
        bool removed;
        address[] openers; // who has an open complaint
    }

    struct Complaint {
        bytes32 digest; // of the update
        address worker;
        Kind kind;
        uint8 votes;
        bool answered;
        bool settled;
    }

    /// @notice The federation whose tasks count here.
    ITasks public immutable federation;
    /// @notice The token of all bonds.
    IERC20 public immutable token;
    /// @notice How many workers of a task have placed their bond.
    mapping(uint256 task => uint256) public bonded;
    /// @notice What a worker has at stake in a task.
    mapping(uint256 task => mapping(address worker => Stake)) public stakeOf;
    /// @notice How many workers accuse a worker over its output of a round.
    mapping(uint256 task => mapping(uint256 round => mapping(address worker => uint256))) public accusations;
    /// @notice What an account may withdraw.
    mapping(address account => uint256) public credit;

    mapping(bytes32 digest => Case) private _cases;
    mapping(bytes32 complaint => Complaint) private _complaints;
    mapping(bytes32 statement => mapping(address worker => bool)) private _said;

    /// @notice Made by a federation, for itself.
    /// @param token_ the token of its bonds
    constructor(IERC20 token_) {
        federation = ITasks(msg.sender);
        token = token_;
    }

    // -- bonds --

    /// @notice Places the caller's bond. Nobody enrols before all workers have.
    /// @param task a task that enrols, with the caller in its committee
    /// @param terms its terms, which the caller has agreed to: on another branch of the chain another task may have its
    /// number
    function bond(uint256 task, bytes32 terms) external nonReentrant {
        _requireMember(task);
        TaskView memory t = federation.taskOf(task);
        if (terms != t.terms) revert IFederation.OtherTerms(t.terms);
        if (t.stage != Stage.Enrolling) revert IFederation.WrongStage(t.stage);
        if (t.workerBond == 0) revert NoBond();
        if (stakeOf[task][msg.sender] != Stake.None) revert IFederation.AlreadyBonded();
        stakeOf[task][msg.sender] = Stake.Bonded;
        ++bonded[task];
        emit BondPlaced(task, msg.sender);
        _take(t.workerBond);
    }

    /// @notice Pays the caller's bond back, once no accusation can come any more.
    /// @param task a task that ended twice `settleBlocks` ago or earlier
    function releaseBond(uint256 task) external nonReentrant {
        if (stakeOf[task][msg.sender] != Stake.Bonded) revert NoBond();
        TaskView memory t = federation.taskOf(task);
        if (t.stage != Stage.Ended) revert IFederation.WrongStage(t.stage);
        uint256 from = _accusableUntil(t);
        if (block.number < from) revert IFederation.TooEarly(from);
        stakeOf[task][msg.sender] = Stake.Released;
        emit BondReleased(task, msg.sender);
        token.safeTransfer(msg.sender, t.workerBond);
    }

    // -- outputs --

    /// @notice Names the blob with the caller's sealed outputs of a frozen round. Each one that is named counts.
    /// @dev Of a settled round, too: whoever finalized it may keep its model to itself, and t + 1 outputs make it again. After
    /// the end of the task only for `settleBlocks`, so that there are always as many left to accuse a liar.
    /// @param task the task
    /// @param round a round that has reached its freeze
    /// @param indexId content id of the blob
    /// @param anchor a block of the branch on which the frozen set is the one that was summed, or zero (see Anchor): the sum
    /// of another set would pass for a lie
    function postOutput(uint256 task, uint256 round, bytes32 indexId, uint256 anchor) external {
        _requireMember(task);
        TaskView memory t = federation.taskOf(task);
        _requireReached(task, t, round);
        if (t.stage == Stage.Ended) _requireBefore(uint256(t.endedAt) + t.settleBlocks);
        Anchor.requireSeen(anchor);
        emit OutputPosted(task, round, msg.sender, indexId);
    }

    /// @notice Names the blob with the weights that a round made, should the leader's be lost or wrong.
    /// @param task the task; the caller is one of its workers
    /// @param round a round that is done
    /// @param contentId the blob; whoever loads it compares it with the model's commitment
    function announceModel(uint256 task, uint256 round, bytes32 contentId) external {
        _requireMember(task);
        RoundView memory r = federation.roundOf(task);
        if (round == 0 || round >= r.round) {
            TaskView memory t = federation.taskOf(task);
            if (round == 0 || round > r.round || t.stage != Stage.Ended || !_reachedFreeze(t, r)) {
                revert IFederation.WrongRound(r.round);
            }
        }
        emit ModelAnnounced(task, round, msg.sender, contentId);
    }

    // -- complaints --

    /// @notice Complains of the caller's share of an accepted update, with a bond like the participant's.
    /// @dev When more than t workers say that a share does not open, the update is removed at once: answers to all of
    /// them would publish t + 1 shares, which show the update. Their complaints share its bond.
    /// An update that was removed and comes in again unchanged is removed at once, and costs its new bond.
    /// @param task a task whose round is closed and not frozen; the caller is one of its workers
    /// @param participant whose update
    /// @param seat opens its seat: what it enrolled with, and the digest of the update
    /// @param kind what is wrong
    /// @return complaint its number; zero if the update was removed before
    function complain(
        uint256 task,
        address participant,
        Seat calldata seat,
        Kind kind
    ) external nonReentrant returns (bytes32 complaint) {
        _requireMember(task);
        TaskView memory t = federation.taskOf(task);
        RoundView memory r = federation.roundOf(task);
        if (t.stage != Stage.Rejecting) revert IFederation.WrongStage(t.stage);
        _requireBefore(_window(t, r, kind == Kind.Fetch ? 1 : 3));
        bytes32 digest = seat.lastDigest;
        bytes32 opened = RoundTranscript.seatHash(seat.index, participant, seat.rows, seat.maskedDataset, digest);
        if (federation.seatOf(task, participant) != opened) revert IFederation.WrongOpening(participant);
        if ((r.accepted >> seat.index) & 1 == 0) revert IFederation.NotAccepted(seat.index);

        Case storage c = _cases[digest];
        if (c.removed) {
            credit[msg.sender] += t.enrolBond;
            _remove(c, digest);
            return 0;
        }
        complaint = complaintId(digest, msg.sender, kind);
        Complaint storage made = _complaints[complaint];
        if (made.worker != address(0)) revert AlreadyComplained(complaint);
        if (c.participant == address(0)) {
            c.task = task;
            c.seat = opened;
            c.participant = participant;
            c.round = r.round;
            c.index = uint8(seat.index);
        }
        made.digest = digest;
        made.worker = msg.sender;
        made.kind = kind;
        made.votes = 1;
        _said[complaint][msg.sender] = true;
        emit Complained(complaint, task, participant, r.round, digest, msg.sender, kind);
        if (kind == Kind.Open) {
            c.openers.push(msg.sender);
            if (c.openers.length > t.threshold) _removeAtOnce(c, digest, t.enrolBond);
        }
        _take(t.enrolBond);
    }

    /// @notice Answers a complaint, once.
    /// @param complaint the complaint; the caller is the participant whose update it is about
    /// @param contentId of a fetch complaint: zero if the same ciphertext is there again, or a blob with it; of an open
    /// complaint: the blob with the one share of the worker who complains
    function answer(bytes32 complaint, bytes32 contentId) external {
        (Complaint storage made, Case storage c) = _open(complaint);
        if (msg.sender != c.participant) revert IFederation.NotAllowed(msg.sender);
        (TaskView memory t, RoundView memory r) = _requireLive(c);
        _requireBefore(_window(t, r, made.kind == Kind.Fetch ? 2 : 4));
        if (made.answered) revert AlreadyAnswered(complaint);
        if (made.kind == Kind.Open && contentId == 0) revert MissingShare();
        made.answered = true;
        emit Answered(complaint, c.task, msg.sender, contentId);
    }

    /// @notice Says that the answer to a complaint is bad or missing. When t + 1 workers say so, the one who complains among
    /// them, the update is removed, and its bond is credited to that one.
    /// @param complaint a complaint whose time to answer is over, before the freeze; the caller is a worker of its task
    function attest(bytes32 complaint) external nonReentrant {
        (Complaint storage made, Case storage c) = _open(complaint);
        _requireMember(c.task);
        (TaskView memory t, RoundView memory r) = _requireLive(c);
        uint256 from = _window(t, r, made.kind == Kind.Fetch ? 2 : 4);
        if (block.number < from) revert IFederation.TooEarly(from);
        _requireBefore(r.freezeAt);
        _say(complaint);
        emit Attested(complaint, c.task, msg.sender);
        if (++made.votes > t.threshold) {
            credit[made.worker] += t.enrolBond;
            _remove(c, made.digest);
        }
    }

    /// @notice Credits the bond of a complaint: to who complained if the update was removed, by whomever, or if its round
    /// failed; to the participant if the update stayed. Anyone may send this, once.
    /// @dev An update that was proven invalid and replaced in the same round shows that only until the round is over; who
    /// complained of it sends this before.
    /// @param complaint the complaint, once its round is frozen or has failed, or the update is out of it
    /// @param model the task's present model; it and `settled` are looked at only when a later round runs
    /// @param settled all settled rounds of the task, in order
    function settleComplaint(bytes32 complaint, BN254.G1 calldata model, Settled[] calldata settled) external {
        (Complaint storage made, Case storage c) = _open(complaint);
        if (made.settled) revert IFederation.NothingToClaim();
        TaskView memory t = federation.taskOf(c.task);
        address to = _stayed(c, t, model, settled) ? c.participant : made.worker;
        made.settled = true;
        credit[to] += t.enrolBond;
        emit ComplaintSettled(complaint, c.task, to);
    }

    // -- accusations --

    /// @notice Says that a worker's output of a round does not match its commitments. When t + 1 workers say so of one
    /// round, the worker loses its bond to the sponsor and its standing: it says nothing here any more.
    /// @param task the task; the caller is one of its workers
    /// @param round a round that has reached its freeze. Of a failed one there are no outputs, so no honest worker will say so
    /// @param worker who has lied
    function accuse(uint256 task, uint256 round, address worker) external {
        _requireMember(task);
        TaskView memory t = federation.taskOf(task);
        _requireReached(task, t, round);
        // Up to here and no longer the bond is held.
        if (t.stage == Stage.Ended) _requireBefore(_accusableUntil(t));
        if (worker == msg.sender || !_isMember(task, worker)) revert IFederation.NotAllowed(worker);
        _say(keccak256(abi.encode(task, round, worker)));
        emit Accused(task, round, worker, msg.sender);
        if (++accusations[task][round][worker] > t.threshold) {
            stakeOf[task][worker] = Stake.Slashed;
            credit[t.sponsor] += t.workerBond;
            emit Slashed(task, worker, t.sponsor);
        }
    }

    // -- money --

    /// @notice Pays the caller its credit.
    /// @return amount so much
    function withdraw() external nonReentrant returns (uint256 amount) {
        amount = credit[msg.sender];
        if (amount == 0) revert IFederation.NothingToClaim();
        credit[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    // -- reading --

    /// @notice The number of a complaint. The digest of an update fixes task, round and participant.
    function complaintId(bytes32 digest, address worker, Kind kind) public pure returns (bytes32) {
        return keccak256(abi.encode(digest, worker, kind));
    }

    /// @notice A complaint as it stands.
    function complaintOf(bytes32 complaint) external view returns (ComplaintView memory) {
        Complaint storage made = _complaints[complaint];
        Case storage c = _cases[made.digest];
        return
            ComplaintView({
                task: c.task,
                round: c.round,
                participant: c.participant,
                digest: made.digest,
                worker: made.worker,
                kind: made.kind,
                votes: made.votes,
                answered: made.answered,
                removed: c.removed,
                settled: made.settled
            });
    }

    /// @notice Whether a worker may speak in a task: a member of its committee that was not slashed.
    function hasStanding(uint256 task, address worker) external view returns (bool) {
        return _isMember(task, worker);
    }

    /// @notice The windows of the round that runs, fifths of its time from close to freeze.
    function windowsOf(uint256 task) external view returns (Windows memory) {
        TaskView memory t = federation.taskOf(task);
        RoundView memory r = federation.roundOf(task);
        return
            Windows({
                close: _window(t, r, 0),
                fetchComplaints: _window(t, r, 1),
                fetchAnswers: _window(t, r, 2),
                openComplaints: _window(t, r, 3),
                openAnswers: _window(t, r, 4),
                freeze: r.freezeAt
            });
    }

    // -- inside --

    /// @dev A bond is in place: where the task asks for one, no round opens before all workers have placed theirs, and none
    /// is released while anything here can still be said.
    function _isMember(uint256 task, address worker) private view returns (bool) {
        return federation.workerOf(task, worker) != 0 && stakeOf[task][worker] != Stake.Slashed;
    }

    function _requireMember(uint256 task) private view {
        if (!_isMember(task, msg.sender)) revert IFederation.NotAllowed(msg.sender);
    }

    function _requireBefore(uint256 end) private view {
        if (block.number >= end) revert TooLate(end);
    }

    /// @dev First block after so many fifths of the time from close to freeze.
    function _window(TaskView memory t, RoundView memory r, uint256 fifths) private pure returns (uint256) {
        if (r.freezeAt == 0) return 0; // no round yet
        return uint256(r.freezeAt) - t.freezeBlocks + (uint256(t.freezeBlocks) * fifths) / _WINDOWS;
    }

    function _open(bytes32 complaint) private view returns (Complaint storage made, Case storage c) {
        made = _complaints[complaint];
        if (made.worker == address(0)) revert UnknownComplaint(complaint);
        c = _cases[made.digest];
    }

    /// @dev Reverts unless the update is in the round that runs.
    function _requireLive(Case storage c) private view returns (TaskView memory t, RoundView memory r) {
        t = federation.taskOf(c.task);
        r = federation.roundOf(c.task);
        if (t.stage == Stage.Ended) revert IFederation.WrongStage(t.stage);
        if (r.round != c.round) revert IFederation.WrongRound(r.round);
        if (!_isIn(c, r)) revert IFederation.NotAccepted(c.index);
    }

    /// @dev Whether the update is in its round, `r`. A renewed bond puts the seat of a rejected update back; so the bit counts.
    function _isIn(Case storage c, RoundView memory r) private view returns (bool) {
        return (r.accepted >> c.index) & 1 != 0 && federation.seatOf(c.task, c.participant) == c.seat;
    }

    /// @dev Whether the set of the last round became final. A task that closes has too few updates in its round.
    function _reachedFreeze(TaskView memory t, RoundView memory r) private pure returns (bool) {
        if (t.stage == Stage.Ended) return Heads.population(r.accepted) >= t.minUpdates;
        return t.stage == Stage.Frozen;
    }

    /// @dev Reverts unless there may be outputs of the round. Failed rounds before the last one pass: of them there are none.
    function _requireReached(uint256 task, TaskView memory t, uint256 round) private view {
        RoundView memory r = federation.roundOf(task);
        if (round == 0 || round > r.round || (round == r.round && !_reachedFreeze(t, r))) {
            revert IFederation.WrongRound(r.round);
        }
    }

    /// @dev Of an ended task: `settleBlocks` after the last output that could be posted.
    function _accusableUntil(TaskView memory t) private pure returns (uint256) {
        return uint256(t.endedAt) + 2 * uint256(t.settleBlocks);
    }

    /// @dev Whether a case's update is in the final set of its round. Reverts while that is open.
    function _stayed(
        Case storage c,
        TaskView memory t,
        BN254.G1 calldata model,
        Settled[] calldata settled
    ) private view returns (bool) {
        if (c.removed) return false;
        RoundView memory r = federation.roundOf(c.task);
        if (r.round == c.round) {
            if (!_isIn(c, r)) return false;
            if (t.stage != Stage.Failed && t.stage != Stage.Frozen && t.stage != Stage.Ended) {
                revert IFederation.TooEarly(r.freezeAt);
            }
            return _reachedFreeze(t, r);
        }
        bytes32 history = 0;
        bool stayed = false;
        for (uint256 k = 0; k < settled.length; ++k) {
            Settled calldata s = settled[k];
            history = RoundTranscript.extend(history, s.round, s.accepted, s.totalRows);
            if (s.round == c.round) stayed = (s.accepted >> c.index) & 1 != 0;
        }
        if (t.standing != RoundTranscript.standingHash(model, history)) revert IFederation.WrongStanding();
        return stayed;
    }

    function _say(bytes32 statement) private {
        if (_said[statement][msg.sender]) revert AlreadySaid(msg.sender);
        _said[statement][msg.sender] = true;
    }

    /// @dev The bond that comes in must be credited by the caller.
    function _remove(Case storage c, bytes32 digest) private {
        c.removed = true;
        emit UpdateRemoved(c.task, c.round, c.participant, digest);
        federation.removeUpdate(c.task, c.participant, c.seat);
    }

    /// @dev The last to complain gets what does not divide.
    function _removeAtOnce(Case storage c, bytes32 digest, uint256 amount) private {
        uint256 count = c.openers.length;
        uint256 share = amount / count;
        for (uint256 k = 0; k < count; ++k) credit[c.openers[k]] += share;
        credit[msg.sender] += amount - share * count;
        _remove(c, digest);
    }

    function _take(uint256 amount) private {
        if (amount != 0) token.safeTransferFrom(msg.sender, address(this), amount);
    }
}
