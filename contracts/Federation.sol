// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Committee} from "./Committee.sol";
import {IDatasetRegistry} from "./IDatasetRegistry.sol";
import {
    Aggregate,
    Ending,
    Member,
    RoundView,
    SealedUpdate,
    Seat,
    Settled,
    Stage,
    Standing,
    Submission,
    TaskParams,
    TaskView,
    Worker
} from "./federation/FederationTypes.sol";
import {Anchor} from "./federation/Anchor.sol";
import {Head, Heads} from "./federation/Head.sol";
import {IFederation} from "./federation/IFederation.sol";
import {ITasks} from "./federation/ITasks.sol";
import {RoundEquation} from "./federation/RoundEquation.sol";
import {RoundJudge} from "./federation/RoundJudge.sol";
import {RoundParts} from "./federation/RoundParts.sol";
import {RoundTranscript} from "./federation/RoundTranscript.sol";
import {Task} from "./federation/Task.sol";
import {TaskRules} from "./federation/TaskRules.sol";
import {UpdateForm} from "./federation/UpdateForm.sol";
import {BN254} from "./proof/BN254.sol";
import {PairingGuard} from "./proof/PairingGuard.sol";
import {VerifyingKeys} from "./proof/VerifyingKeys.sol";

/// @title Federated training with proofs: tasks, rounds, updates and rewards (protocol, section 7)
/// @notice openTask -> enrol -> openRound -> submitUpdate* -> rejectUpdate* -> finalizeRound -> claim
///
/// A round is closed when all enrolled have submitted or its submit window is over, and frozen `freezeBlocks` later;
/// neither takes a transaction. Before the freeze anyone may prove an update invalid; after it no update is removed, and
/// any worker may finalize with all of them. Nobody has special powers here: there is no owner, no pause, no upgrade.
/// What workers owe, and what they say of updates and of each other, is in the federation's `Committee`.
/// @dev What stays cheap, because it happens for every update: a submission writes two words, both non-zero before. One
/// is the round's head, the other is the participant's seat, a hash that its owner opens in calldata.
contract Federation is IFederation, ITasks, PairingGuard, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    uint8 private constant TRAINING_TIER = 3;
    uint256 private constant SHORT_HPKE_KEY = 32; // X25519
    uint256 private constant LONG_HPKE_KEY = 1216; // ML-KEM-768 and X25519

    /// @notice The registry whose datasets and grants count here.
    IDatasetRegistry public immutable registry;
    /// @notice The token of rewards and bonds.
    IERC20 public immutable token;
    /// @notice Bonds of workers, their outputs, complaints about shares, accusations.
    Committee public immutable committee;
    /// @notice Whether keys made by a single dealer are accepted: for local chains only.
    bool public immutable allowDevelopmentKeys;
    /// @notice Number of tasks; they are numbered from 1.
    uint256 public taskCount;

    mapping(uint256 task => Task) private _tasks;

    /// @notice Deploys the federation; fails on a chain without working BN254 precompiles.
    /// @param registry_ the dataset registry
    /// @param token_ an ERC-20 token without transfer fees
    /// @param allowDevelopmentKeys_ accept keys by a single dealer, who can forge proofs
    constructor(IDatasetRegistry registry_, IERC20 token_, bool allowDevelopmentKeys_) {
        if (address(registry_).code.length == 0 || address(token_).code.length == 0) revert BadParameter("address");
        registry = registry_;
        token = token_;
        committee = new Committee(token_);
        allowDevelopmentKeys = allowDevelopmentKeys_;
    }

    /// @notice Opens a task and escrows the rewards of all its rounds.
    /// @param params what the task is
    /// @param workers the committee: M >= 2t + 1, pairwise different
    /// @return task the number of the new task
    function openTask(
        TaskParams calldata params,
        Worker[] calldata workers
    ) external nonReentrant returns (uint256 task) {
        if (block.number > type(uint32).max) revert Heads.BlockNumberTooLarge(block.number);
        (bytes32 trainingCircuit, bytes32 aggregationCircuit) = RoundJudge.checkTask(
            params,
            workers.length,
            allowDevelopmentKeys
        );

        task = ++taskCount;
        Task storage t = _tasks[task];
        t.head = Heads.enrolling(params.threshold);
        t.trainingKey = params.trainingKey;
        t.submitBlocks = params.submitBlocks;
        t.freezeBlocks = params.freezeBlocks;
        t.minUpdates = params.minUpdates;
        t.maxParticipants = params.maxParticipants;
        t.workers = uint8(workers.length);
        t.aggregationKey = params.aggregationKey;
        t.settleBlocks = params.settleBlocks;
        t.rounds = params.rounds;
        t.maskCount = params.maskCount;
        t.standing = RoundTranscript.standingHash(params.model, 0);
        t.sponsor = msg.sender;
        t.classId = params.classId;
        t.openedAt = uint32(block.number);
        t.rewardPerRound = params.rewardPerRound;
        t.enrolBond = params.enrolBond;
        t.workerBond = params.workerBond;
        t.terms = keccak256(abi.encode(msg.sender, params, workers));
        for (uint256 k = 0; k < workers.length; ++k) {
            Worker calldata worker = workers[k];
            uint256 size = worker.hpkeKey.length;
            if (size != SHORT_HPKE_KEY && size != LONG_HPKE_KEY) revert BadParameter("hpkeKey");
            if (worker.account == address(0) || t.hpkeKeyHash[worker.account] != 0) revert BadParameter("committee");
            t.hpkeKeyHash[worker.account] = keccak256(worker.hpkeKey);
        }
        uint256 escrow = uint256(params.rewardPerRound) * params.rounds;
        t.escrow = escrow;
        emit TaskOpened(task, msg.sender, t.terms, trainingCircuit, aggregationCircuit, params, workers);
        _take(escrow);
    }

    /// @notice Joins a task with a dataset, and places the bond. Who takes the last place opens the first round.
    /// @dev The caller must hold a Tier-3 grant of the dataset. One address enrols once, one dataset is enrolled once.
    /// @param task the task
    /// @param terms the hash of its sponsor, parameters and committee that the caller has agreed to
    /// @param datasetId the dataset
    /// @param maskedDataset C_X' = C_X + Com(m), m at the mask positions
    /// @param mask M with e(C_X' - C_X, [1]_2) = e(M, [tau^d]_2): the difference lies at the mask positions alone
    function enrol(
        uint256 task,
        bytes32 terms,
        uint256 datasetId,
        BN254.G1 calldata maskedDataset,
        BN254.G1 calldata mask
    ) external nonReentrant {
        Task storage t = _tasks[task];
        _requireStage(task, t, Stage.Enrolling);
        if (terms != t.terms) revert OtherTerms(t.terms);
        if (t.workerBond != 0) {
            uint256 bonded = committee.bonded(task);
            if (bonded != t.workers) revert CommitteeNotBonded(bonded);
        }
        uint256 index = t.enrolled;
        if (t.datasets[datasetId] || t.members[msg.sender].enrolled) revert AlreadyEnrolled(datasetId, msg.sender);
        if (!registry.hasAccess(datasetId, msg.sender, TRAINING_TIER)) revert NoGrant(datasetId, msg.sender);
        (uint32 classId, uint32 rows) = registry.shapeOf(datasetId);
        if (classId != t.classId || rows == 0) revert WrongDataset(datasetId);
        (uint256 x, uint256 y) = registry.commitmentOf(datasetId);
        if (!RoundJudge.isMasking(t.trainingKey, BN254.G1(x, y), maskedDataset, mask)) revert NotAMasking();

        t.enrolled = uint8(index + 1);
        t.datasets[datasetId] = true;
        t.members[msg.sender] = Member(rows, 0, uint8(index), true, true);
        t.seats[msg.sender] = RoundTranscript.seatHash(index, msg.sender, rows, maskedDataset, 0);
        emit Enrolled(task, msg.sender, datasetId, index, rows, maskedDataset);
        if (index + 1 == t.maxParticipants) _openRound(task, t, 1, t.head.threshold());
        _take(t.enrolBond);
    }

    /// @notice Closes the enrolment and opens the first round, of a task that is not full. Later rounds open when their
    /// predecessor is finalized.
    /// @param task a task of the caller, with at least its minimum of participants
    function openRound(uint256 task) external {
        Task storage t = _tasks[task];
        _requireStage(task, t, Stage.Enrolling);
        if (msg.sender != t.sponsor) revert NotAllowed(msg.sender);
        if (t.enrolled < t.minUpdates) revert TooFewParticipants(t.enrolled);
        _openRound(task, t, 1, t.head.threshold());
    }

    /// @notice Submits the caller's update for the round that runs.
    /// @dev Whether the proof holds is not checked here, but before the freeze, by whoever wants the bond. The event
    /// carries all that finalizing takes; storage keeps one hash of it.
    /// @param task the task
    /// @param round the round that the update was proven for
    /// @param anchor a block of the branch on which the round has the model that the update was trained on, or zero (see
    /// Anchor): an update of another model would cost its bond
    /// @param seat opens the caller's seat: what it enrolled with, and the digest of its last update, zero before the first
    /// @param submission the update with its proof
    function submitUpdate(
        uint256 task,
        uint256 round,
        uint256 anchor,
        Seat calldata seat,
        Submission calldata submission
    ) external {
        Task storage t = _tasks[task];
        Head head = t.head;
        _requireLayout(0, 25 * 32, 0);
        if (head.phase() != Heads.RUNNING || block.number >= head.deadline()) revert WrongStage(t.stage());
        if (round != head.round()) revert WrongRound(head.round());
        Anchor.requireSeen(anchor);
        head = t.submitted(head, seat.index);
        UpdateForm.requireWellFormed(submission);

        bytes32 digest = RoundTranscript.digest(task, round, seat, submission);
        (bytes32 opened, bytes32 closed) = RoundTranscript.seatHashes(seat, digest);
        if (t.seats[msg.sender] != opened) revert WrongOpening(msg.sender);
        t.seats[msg.sender] = closed;

        _emitUpdate(task, round, submission);
        if (head.pending() == 0) {
            // While an update is missing, the freeze follows the deadline: the word knows the length of the interval.
            head = head.withFreezeAt(block.number + (head.freezeAt() - head.deadline()));
        }
        t.head = head;
    }

    /// @notice Proves that a submitted update is invalid; the caller gets its bond.
    /// @dev A valid update cannot be rejected, whatever gas is sent: a pairing that fails counts only when a known-good
    /// pairing of the same size succeeds with the same gas right after it. If the submit window still runs, the
    /// participant may place a new bond and submit again.
    /// @param task the task, before the freeze of the update's round
    /// @param standing opens the task's standing
    /// @param update the update, as its event tells it
    function rejectUpdate(
        uint256 task,
        Standing calldata standing,
        SealedUpdate calldata update
    ) external nonReentrant {
        Task storage t = _tasks[task];
        Head head = t.head;
        _requireLayout(0, 25 * 32, 0);
        _requireUnfrozen(t, head);
        _requireStanding(t, standing);
        uint256 bit = _requireAccepted(t, head, update.index);
        t.requireOpening(task, head.round(), update);

        if (!RoundJudge.isInvalid(address(this), t.trainingKey, task, head.round(), standing.model, update)) {
            revert UpdateIsValid(update.participant);
        }
        _remove(task, t, head, bit, update.participant);
    }

    /// @notice Removes an update whose sealed shares the committee found wanting: all that `rejectUpdate` does, on the word
    /// of t + 1 workers in the place of a proof. The bond goes to the committee's contract, which alone may call this.
    /// @param task the task, before the freeze of the update's round
    /// @param participant whose update
    /// @param seat its seat, as the committee's contract has seen it opened with that update
    function removeUpdate(uint256 task, address participant, bytes32 seat) external nonReentrant {
        if (msg.sender != address(committee)) revert NotAllowed(msg.sender);
        Task storage t = _tasks[task];
        Head head = t.head;
        _requireUnfrozen(t, head);
        uint256 bit = _requireAccepted(t, head, t.members[participant].index);
        if (seat == 0 || t.seats[participant] != seat) revert WrongOpening(participant);
        _remove(task, t, head, bit, participant);
    }

    /// @notice Places a new bond after a rejection, so that the caller may submit again.
    /// @param task a running task
    function renewBond(uint256 task) external nonReentrant {
        Task storage t = _tasks[task];
        if (t.head.phase() != Heads.RUNNING) revert WrongStage(t.stage());
        Member storage member = t.members[msg.sender];
        if (!member.enrolled) revert NotAllowed(msg.sender);
        if (member.bonded) revert AlreadyBonded();
        member.bonded = true;
        t.seats[msg.sender] = ~t.seats[msg.sender];
        emit BondRenewed(task, msg.sender);
        _take(t.enrolBond);
    }

    /// @notice Ends a frozen round with its new model, and opens the next one.
    /// @dev Every accepted update must be in, in the order of enrolment; the aggregate's proof names the caller.
    /// @param task the task
    /// @param standing opens its standing
    /// @param updates the accepted updates, as their events tell them
    /// @param aggregate the new model with its proof
    function finalizeRound(
        uint256 task,
        Standing calldata standing,
        SealedUpdate[] calldata updates,
        Aggregate calldata aggregate
    ) external {
        Task storage t = _tasks[task];
        Head head = t.head;
        uint256 offset;
        assembly ("memory-safe") {
            offset := updates.offset
        }
        _requireLayout(offset, 22 * 32, updates.length * 21 * 32);
        if (head.phase() != Heads.RUNNING || block.number < head.freezeAt()) revert WrongStage(t.stage());
        if (t.hpkeKeyHash[msg.sender] == 0) revert NotAllowed(msg.sender);
        _requireStanding(t, standing);
        BN254.requireScalar(aggregate.proof.y);

        uint256 accepted = t.accepted(head);
        (uint256 given, uint256 totalRows, bytes32 digest) = (0, 0, 0);
        BN254.G1 memory sum;
        if (accepted >= Heads.OTHERS) {
            uint256 count = Heads.population(accepted);
            if (count < t.minUpdates) revert WrongStage(Stage.Failed);
            if (count > TaskRules.MAX_UPDATES) (given, totalRows, digest, sum) = t.verifiedPart(head);
        }
        (digest, totalRows, given) = t.open(task, head.round(), updates, digest, totalRows, given);
        if (given != accepted) revert WrongSet(accepted, given);
        if (given < Heads.OTHERS && updates.length < t.minUpdates) revert WrongStage(Stage.Failed);
        if (!_holds(task, t, head.round(), standing.model, updates, aggregate, digest, totalRows, sum)) {
            revert RoundDoesNotVerify();
        }

        bytes32 history = RoundTranscript.extend(standing.history, head.round(), accepted, totalRows);
        t.standing = RoundTranscript.standingHash(aggregate.newModel, history);
        emit RoundFinalized(
            task,
            head.round(),
            msg.sender,
            aggregate.newModel,
            aggregate.contentId,
            totalRows,
            accepted
        );
        if (head.round() - t.retries < t.rounds && head.round() + 1 < t.maskCount) {
            _openRound(task, t, head.round() + 1, head.threshold());
        } else {
            _end(task, t, head, Ending.Completed);
        }
    }

    /// @notice Verifies the first `PART` updates of a frozen round that is too large for one transaction. Whoever finalizes it
    /// then brings the others. There is one such part of a round, whoever sends it.
    /// @param task the task
    /// @param standing opens its standing
    /// @param updates the accepted updates of the lowest places, in the order of enrolment
    function verifyPart(uint256 task, Standing calldata standing, SealedUpdate[] calldata updates) external {
        _requireLayout(0, 6 * 32, updates.length * 21 * 32); // where the array lies is no matter: it is encoded anew
        RoundParts.verify(_tasks[task], task, standing, updates);
    }

    /// @notice Opens a round again that closed with too few updates: same model, next round number, one more mask.
    /// @param task the task; the caller is its sponsor or one of its workers
    function retryRound(uint256 task) external {
        Task storage t = _tasks[task];
        _requireStage(task, t, Stage.Failed);
        if (msg.sender != t.sponsor && t.hpkeKeyHash[msg.sender] == 0) revert NotAllowed(msg.sender);
        uint256 next = t.head.round() + 1;
        if (next >= t.maskCount) revert NoMasksLeft();
        ++t.retries;
        _openRound(task, t, next, t.head.threshold());
    }

    /// @notice Ends a task that locks no reward: it enrols, its round failed, or nobody has submitted to its round yet.
    /// @dev The sponsor may do so at once; anyone else once the task has stood still for `settleBlocks`. From the first
    /// submission to the end of its round nobody can, so that no sponsor takes the sum and keeps the reward.
    /// @param task the task
    function closeTask(uint256 task) external {
        Task storage t = _tasks[task];
        Head head = t.head;
        Stage stage = t.stage();
        bool idle = stage == Stage.Submitting && t.accepted(head) == 0;
        if (stage != Stage.Enrolling && stage != Stage.Failed && !idle) revert WrongStage(stage);
        if (msg.sender != t.sponsor) {
            uint256 from = (stage == Stage.Enrolling ? t.openedAt : head.deadline()) + t.settleBlocks;
            if (block.number < from) revert TooEarly(from);
        }
        _end(task, t, head, Ending.Closed);
    }

    /// @notice Ends a task whose frozen round nobody finalized for `settleBlocks`. The round's reward is paid to its
    /// participants all the same: they have delivered, and the committee may have read the sum.
    /// @param task the task
    /// @param standing opens its standing
    /// @param participants who has an accepted update in the round, in the order of enrolment
    function settleStalled(uint256 task, Standing calldata standing, address[] calldata participants) external {
        Task storage t = _tasks[task];
        Head head = t.head;
        _requireStage(task, t, Stage.Frozen);
        uint256 from = head.freezeAt() + t.settleBlocks;
        if (block.number < from) revert TooEarly(from);
        _requireStanding(t, standing);
        uint256 given = 0;
        uint256 totalRows = 0;
        for (uint256 k = 0; k < participants.length; ++k) {
            Member storage member = t.members[participants[k]];
            if (!member.enrolled) revert NotAllowed(participants[k]);
            if (given >> member.index != 0) revert WrongOrder(member.index);
            given |= 1 << member.index;
            totalRows += member.rows;
        }
        uint256 accepted = t.accepted(head);
        if (given != accepted) revert WrongSet(accepted, given);
        bytes32 history = RoundTranscript.extend(standing.history, head.round(), accepted, totalRows);
        t.standing = RoundTranscript.standingHash(standing.model, history);
        emit RoundStalled(task, head.round(), totalRows, accepted);
        _end(task, t, head, Ending.Stalled);
    }

    /// @notice Pays the caller its share of every settled round that it has not been paid for, and its bond once the
    /// task has ended.
    /// @param task the task
    /// @param model its present model
    /// @param settled all its settled rounds, in order; they open the task's standing together with the model
    /// @return reward shares of `rewardPerRound`, by rows, rounded down to whole units per row
    /// @return bond the bond, or zero
    function claim(
        uint256 task,
        BN254.G1 calldata model,
        Settled[] calldata settled
    ) external nonReentrant returns (uint256 reward, uint256 bond) {
        Task storage t = _tasks[task];
        Member memory member = t.members[msg.sender];
        if (!member.enrolled) revert NotAllowed(msg.sender);
        _requireHistory(t, model, settled);
        (reward, bond) = _due(t, member, settled);
        if (reward + bond == 0) revert NothingToClaim();
        member.paid = uint16(settled.length);
        if (bond != 0) member.bonded = false;
        t.members[msg.sender] = member;
        t.escrow -= reward;
        emit Claimed(task, msg.sender, reward, bond);
        _pay(msg.sender, reward + bond);
    }

    /// @notice Pays back to the sponsor what no round earned: rounds that never settled, and what rounding left over.
    /// @param task an ended task; anyone may send this, once
    /// @param model its last model
    /// @param settled all its settled rounds, in order
    /// @return amount what the sponsor gets
    function refund(
        uint256 task,
        BN254.G1 calldata model,
        Settled[] calldata settled
    ) external nonReentrant returns (uint256 amount) {
        Task storage t = _tasks[task];
        _requireStage(task, t, Stage.Ended);
        if (t.refunded) revert NothingToClaim();
        _requireHistory(t, model, settled);
        t.refunded = true;
        amount = uint256(t.rewardPerRound) * t.rounds;
        for (uint256 k = 0; k < settled.length; ++k) {
            amount -= (t.rewardPerRound / settled[k].totalRows) * settled[k].totalRows;
        }
        t.escrow -= amount;
        emit Refunded(task, t.sponsor, amount);
        _pay(t.sponsor, amount);
    }

    /// @notice What a task is and where it stands.
    function taskOf(uint256 task) external view returns (TaskView memory) {
        Task storage t = _tasks[task];
        Head head = t.head;
        return
            TaskView({
                stage: t.stage(),
                sponsor: t.sponsor,
                trainingKey: t.trainingKey,
                aggregationKey: t.aggregationKey,
                terms: t.terms,
                standing: t.standing,
                classId: t.classId,
                rounds: t.rounds,
                maskCount: t.maskCount,
                retries: t.retries,
                threshold: uint8(head.threshold()),
                workers: t.workers,
                minUpdates: t.minUpdates,
                maxParticipants: t.maxParticipants,
                enrolled: t.enrolled,
                submitBlocks: t.submitBlocks,
                freezeBlocks: t.freezeBlocks,
                settleBlocks: t.settleBlocks,
                rewardPerRound: t.rewardPerRound,
                enrolBond: t.enrolBond,
                escrow: t.escrow,
                workerBond: t.workerBond,
                endedAt: head.phase() == Heads.ENDED ? uint64(head.deadline()) : 0
            });
    }

    /// @notice The round that runs, or the last one.
    function roundOf(uint256 task) external view returns (RoundView memory) {
        Task storage t = _tasks[task];
        Head head = t.head;
        uint256 accepted = head.round() == 0 ? 0 : t.accepted(head);
        return RoundView(uint16(head.round()), accepted, uint64(head.deadline()), uint64(head.freezeAt()));
    }

    /// @notice A participant of a task; all zero for anyone else.
    function memberOf(uint256 task, address participant) external view returns (Member memory) {
        return _tasks[task].members[participant];
    }

    /// @notice The hash that `submitUpdate` opens; complemented while the participant has no bond.
    function seatOf(uint256 task, address participant) external view returns (bytes32) {
        return _tasks[task].seats[participant];
    }

    /// @notice The hash of a worker's HPKE public key; zero for whoever is not in the committee.
    function workerOf(uint256 task, address worker) external view returns (bytes32 hpkeKeyHash) {
        return _tasks[task].hpkeKeyHash[worker];
    }

    /// @notice Whether a dataset is enrolled in a task.
    function isEnrolled(uint256 task, uint256 datasetId) external view returns (bool) {
        return _tasks[task].datasets[datasetId];
    }

    /// @notice What `claim` would pay `participant` at this moment.
    function claimable(
        uint256 task,
        address participant,
        BN254.G1 calldata model,
        Settled[] calldata settled
    ) external view returns (uint256 reward, uint256 bond) {
        Task storage t = _tasks[task];
        _requireHistory(t, model, settled);
        return _due(t, t.members[participant], settled);
    }

    function _requireStage(uint256 task, Task storage t, Stage wanted) private view {
        Stage stage = t.stage();
        if (stage == Stage.None) revert UnknownTask(task);
        if (stage != wanted) revert WrongStage(stage);
    }

    /// @dev The calldata is the selector, so many bytes of fixed fields, and the elements of one array, if there is one,
    /// from `offset` on: nothing else, and nothing twice.
    function _requireLayout(uint256 offset, uint256 fixedBytes, uint256 arrayBytes) private pure {
        uint256 expected = 4 + fixedBytes + arrayBytes;
        if (msg.data.length != expected || (offset != 0 && offset != 4 + fixedBytes)) {
            revert WrongLength(expected, msg.data.length);
        }
    }

    function _requireStanding(Task storage t, Standing calldata standing) private view {
        if (t.standing != RoundTranscript.standingHash(standing.model, standing.history)) revert WrongStanding();
    }

    /// @dev Reverts unless these are all settled rounds, in order.
    function _requireHistory(Task storage t, BN254.G1 calldata model, Settled[] calldata settled) private view {
        bytes32 history = 0;
        for (uint256 k = 0; k < settled.length; ++k) {
            history = RoundTranscript.extend(history, settled[k].round, settled[k].accepted, settled[k].totalRows);
        }
        if (t.standing != RoundTranscript.standingHash(model, history)) revert WrongStanding();
    }

    function _requireUnfrozen(Task storage t, Head head) private view {
        if (head.phase() != Heads.RUNNING) revert WrongStage(t.stage());
        if (block.number >= head.freezeAt()) revert AlreadyFrozen(head.freezeAt());
    }

    /// @dev `emit UpdateSubmitted`, without taking the words apart and putting them together again.
    function _emitUpdate(uint256 task, uint256 round, Submission calldata submission) private {
        bytes32 selector = UpdateSubmitted.selector;
        assembly ("memory-safe") {
            let data := mload(0x40)
            calldatacopy(data, submission, 0x220)
            log4(data, 0x220, selector, task, round, caller())
        }
    }

    /// @dev The bit of an enrolment whose update is in.
    function _requireAccepted(Task storage t, Head head, uint256 index) private view returns (uint256 bit) {
        bit = index < t.enrolled ? 1 << index : 0;
        if (bit == 0 || t.pending(head) & bit != 0) revert NotAccepted(index);
    }

    /// @dev Takes an accepted update out of the round that runs; its bond goes to the caller.
    function _remove(uint256 task, Task storage t, Head head, uint256 bit, address participant) private {
        // The round is no longer complete. Who has no bond cannot open its seat.
        if (block.number < head.deadline()) head = head.withFreezeAt(head.deadline() + t.freezeBlocks);
        t.head = t.withPending(head, t.pending(head) | bit);
        t.members[participant].bonded = false;
        t.seats[participant] = ~t.seats[participant];
        emit UpdateRejected(task, head.round(), participant, msg.sender, head.freezeAt());
        _pay(msg.sender, t.enrolBond);
    }

    function _openRound(uint256 task, Task storage t, uint256 round, uint256 threshold) private {
        uint256 deadline = block.number + t.submitBlocks;
        uint256 freezeAt = deadline + t.freezeBlocks;
        t.head = t.withPending(Heads.running(threshold, round, deadline, freezeAt), Heads.everyone(t.enrolled));
        emit RoundOpened(task, round, deadline, freezeAt);
    }

    function _end(uint256 task, Task storage t, Head head, Ending ending) private {
        t.head = head.ended(block.number);
        emit TaskEnded(task, ending);
    }

    function _holds(
        uint256 task,
        Task storage t,
        uint256 round,
        BN254.G1 calldata model,
        SealedUpdate[] calldata updates,
        Aggregate calldata aggregate,
        bytes32 digest,
        uint256 totalRows,
        BN254.G1 memory before
    ) private view returns (bool) {
        RoundEquation.Batch memory batch;
        batch.training = RoundEquation.load(t.trainingKey, TaskRules.TRAINING_INPUTS);
        batch.aggregation = RoundEquation.load(t.aggregationKey, TaskRules.AGGREGATION_INPUTS);
        batch.totalRows = totalRows;
        uint256 circuitId = batch.aggregation[VerifyingKeys.CIRCUIT_ID];
        batch.pre = RoundTranscript.aggregationPre(task, round, circuitId, digest, totalRows, model, aggregate);
        circuitId = batch.training[VerifyingKeys.CIRCUIT_ID];
        batch.image = RoundTranscript.preImage(address(this), task, round, circuitId, model);
        return RoundEquation.holds(batch, model, updates, aggregate, before);
    }

    /// @dev A settled round pays a whole number of units for each row, so what it pays is at most its reward.
    function _due(
        Task storage t,
        Member memory member,
        Settled[] calldata settled
    ) private view returns (uint256 reward, uint256 bond) {
        if (!member.enrolled) return (0, 0);
        uint256 perRound = t.rewardPerRound;
        for (uint256 k = member.paid; k < settled.length; ++k) {
            if ((settled[k].accepted >> member.index) & 1 != 0) {
                reward += (perRound / settled[k].totalRows) * member.rows;
            }
        }
        if (member.bonded && t.head.phase() == Heads.ENDED) bond = t.enrolBond;
    }

    function _take(uint256 amount) private {
        if (amount != 0) token.safeTransferFrom(msg.sender, address(this), amount);
    }

    function _pay(address to, uint256 amount) private {
        if (amount != 0) token.safeTransfer(to, amount);
    }
}
