// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {VerifyingKeys} from "../proof/VerifyingKeys.sol";
import {Part, SealedUpdate, Stage, Standing} from "./FederationTypes.sol";
import {Head, Heads} from "./Head.sol";
import {IFederation} from "./IFederation.sol";
import {RoundEquation} from "./RoundEquation.sol";
import {RoundTranscript} from "./RoundTranscript.sol";
import {Task} from "./Task.sol";
import {TaskRules} from "./TaskRules.sol";

/// @title The first updates of a round that is too large for one transaction
/// @dev Code of the federation that lies at an address of its own, and is linked: the federation's own has no room for it.
library RoundParts {
    /// @notice Verifies the first `PART` updates of a frozen round, and keeps what finalizing takes of them. Which these are
    /// is fixed, so that nobody can send others to be in the way.
    /// @param t the task
    /// @param task its number
    /// @param standing opens its standing
    /// @param updates the accepted updates of the lowest places, in the order of enrolment
    function verify(
        Task storage t,
        uint256 task,
        Standing calldata standing,
        SealedUpdate[] calldata updates
    ) external {
        Head head = t.head;
        uint256 round = head.round();
        if (t.stage() != Stage.Frozen) revert IFederation.WrongStage(t.stage());
        if (t.hpkeKeyHash[msg.sender] == 0) revert IFederation.NotAllowed(msg.sender);
        if (t.standing != RoundTranscript.standingHash(standing.model, standing.history)) {
            revert IFederation.WrongStanding();
        }
        uint256 accepted = t.accepted(head);
        if (
            Heads.population(accepted) <= TaskRules.MAX_UPDATES ||
            updates.length != TaskRules.PART ||
            t.part.round == round
        ) revert IFederation.NoPartDue();

        Part memory part;
        uint256 rows;
        (part.digest, rows, part.accepted) = t.open(task, round, updates, 0, 0, 0);
        accepted &= (2 << updates[TaskRules.PART - 1].index) - 1;
        if (part.accepted != accepted) revert IFederation.WrongSet(accepted, part.accepted);

        RoundEquation.Batch memory batch;
        batch.training = RoundEquation.load(t.trainingKey, TaskRules.TRAINING_INPUTS);
        batch.pre = part.digest;
        uint256 circuitId = batch.training[VerifyingKeys.CIRCUIT_ID];
        batch.image = RoundTranscript.preImage(address(this), task, round, circuitId, standing.model);
        if (!RoundEquation.partHolds(batch, standing.model, updates, part.sum)) revert IFederation.RoundDoesNotVerify();

        part.round = uint16(round);
        part.rows = uint64(rows);
        t.part = part;
        emit IFederation.RoundPartVerified(task, round, msg.sender, part.rows, accepted);
    }
}
