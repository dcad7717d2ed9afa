"""Who may join a task, with which dataset, and what its seat is then."""

from __future__ import annotations

import numpy as np
import pytest
from web3.contract.contract import ContractFunction

from fedproof import _core
from fedproof.ledger import Account
from fedproof.ledger.federation import Stage, TaskInfo
from fedproof.proving.transcript import seat_hash
from tests.contracts import toy
from tests.contracts.federation import toys
from tests.contracts.federation.arena import BOND, Arena, Player
from tests.contracts.federation.board import Board, calldata, refuses, refuses_raw
from tests.contracts.support import P, int_words, to_bytes
from tests.contracts.world import X25519_KEY

MASKED, MASK = 3, 5
"""Words of C_X' and M among the arguments."""


@pytest.fixture
def task(board: Board) -> TaskInfo:
    """It enrols, and holds the first three players."""
    return board.enrolling


@pytest.fixture
def joining(arena: Arena, task: TaskInfo) -> Player:
    """The fourth player, who has allowed its bond."""
    player = arena.players[3]
    arena.federation.allow(player.account, BOND)
    return player


def enrolling(arena: Arena, task: TaskInfo, player: Player, **changes: object) -> ContractFunction:
    masked, mask = arena.masking(task, player)
    honest = {"dataset_id": player.dataset_id, "masked_dataset": masked, "mask": mask, "terms": task.terms}
    return arena.federation.enrol_call(task.task_id, **(honest | changes))  # type: ignore[arg-type]


def grant(arena: Arena, dataset_id: int, account: Account, tier: int = 3) -> None:
    """The toy prover's word is enough for the marketplace."""
    world = arena.world
    root = world.market.vault.deposits()[-1].root
    public = world.public_inputs(dataset_id, tier, 7200, root, account)
    public[2] = 4242 + dataset_id
    proof = toy.prove_eligibility(public)
    world.market.access_dataset(
        account, dataset_id, tier, 7200, X25519_KEY, root=root, nullifier=public[2], proof=proof
    )


def test_an_enrolment_is_a_seat_a_member_and_a_bond(arena: Arena, task: TaskInfo, joining: Player) -> None:
    federation, functions = arena.federation, arena.federation.contract.functions
    before, held = arena.balance(joining.account), arena.balance(federation.address)
    masked, mask = arena.masking(task, joining)
    receipt = federation.enrol(joining.account, task.task_id, joining.dataset_id, masked, mask, task.terms)
    assert arena.balance(joining.account) == before - BOND
    assert arena.balance(federation.address) == held + BOND
    seat = seat_hash(index=3, participant=joining.account.address, rows=joining.rows, masked_dataset=masked)
    assert arena.chain.call(functions.seatOf(task.task_id, joining.account.address)) == seat
    member = arena.chain.call(functions.memberOf(task.task_id, joining.account.address))
    assert member == (joining.rows, 0, 3, True, True)
    assert arena.chain.call(functions.isEnrolled(task.task_id, joining.dataset_id)) is True
    assert arena.chain.call(functions.isEnrolled(task.task_id, arena.players[4].dataset_id)) is False
    assert arena.chain.call(functions.memberOf(task.task_id, arena.outsider.address)) == (0, 0, 0, False, False)
    enrolment = federation.enrolments(task.task_id)[3]
    assert (enrolment.participant, enrolment.dataset_id) == (joining.account.address, joining.dataset_id)
    assert (enrolment.rows, enrolment.masked_dataset, enrolment.tx_hash) == (joining.rows, masked, receipt.tx_hash)
    assert arena.now(task).enrolled == 4


def test_rejects_other_terms_than_the_tasks(arena: Arena, board: Board, task: TaskInfo, joining: Player) -> None:
    for terms in (bytes(32), board.submitting.terms, b"\xff" + task.terms[1:]):
        refuses(arena, enrolling(arena, task, joining, terms=terms), joining.account, "OtherTerms", task.terms)


def test_the_terms_are_the_parameters_and_the_committee(arena: Arena, task: TaskInfo) -> None:
    fields = arena.fields(training_key=task.params.training_key, aggregation_key=task.params.aggregation_key)
    (first, _), *others = fields["committee"]
    seen = set()
    for changes in (
        {},
        {"settle_blocks": 19},
        {"description": bytes(32)},
        {"committee": [(first, bytes(32)), *others]},
    ):
        terms = {arena.federation.open_task(arena.sponsor, **(fields | changes)).terms for _ in range(2)}
        assert len(terms) == 1
        seen |= terms
    assert len(seen) == 4


def test_rejects_a_participant_without_a_grant(arena: Arena, task: TaskInfo, joining: Player) -> None:
    call = enrolling(arena, task, joining)
    refuses(arena, call, arena.outsider, "NoGrant", joining.dataset_id, arena.outsider.address)
    # a grant of another dataset is none, nor is one of a dataset that does not exist
    other = enrolling(arena, task, joining, dataset_id=arena.players[4].dataset_id)
    refuses(arena, other, joining.account, "NoGrant", arena.players[4].dataset_id, joining.account.address)
    refuses(arena, enrolling(arena, task, joining, dataset_id=10**9), joining.account, "NoGrant", 10**9)


def test_rejects_a_grant_of_a_lower_tier(arena: Arena, task: TaskInfo, joining: Player) -> None:
    grant(arena, joining.dataset_id, arena.outsider, tier=2)
    refuses(arena, enrolling(arena, task, joining), arena.outsider, "NoGrant")


def test_rejects_an_expired_grant(arena: Arena, task: TaskInfo, joining: Player) -> None:
    expiry = arena.world.market.grant(joining.dataset_id, joining.account.address, 3).expiry
    call = enrolling(arena, task, joining)
    arena.chain.call(call, sender=joining.account)
    arena.chain.dev.set_next_timestamp(expiry)
    arena.chain.mine()
    refuses(arena, call, joining.account, "NoGrant", joining.dataset_id, joining.account.address)


def test_rejects_a_dataset_of_another_class(arena: Arena, joining: Player) -> None:
    other = arena.open_task(class_id=arena.world.class_id + 1)
    call = enrolling(arena, other, joining)
    refuses(arena, call, joining.account, "WrongDataset", joining.dataset_id)


def test_rejects_one_dataset_twice(arena: Arena, task: TaskInfo) -> None:
    first = arena.players[0]
    grant(arena, first.dataset_id, arena.outsider)
    call = enrolling(arena, task, first)
    refuses(arena, call, arena.outsider, "AlreadyEnrolled", first.dataset_id, arena.outsider.address)


def test_rejects_one_address_twice(arena: Arena, task: TaskInfo, joining: Player) -> None:
    first = arena.players[0]
    call = enrolling(arena, task, first)
    refuses(arena, call, first.account, "AlreadyEnrolled", first.dataset_id, first.account.address)
    grant(arena, joining.dataset_id, first.account)
    call = enrolling(arena, task, joining)
    refuses(arena, call, first.account, "AlreadyEnrolled", joining.dataset_id, first.account.address)


def test_rejects_one_more_than_the_task_has_places_for(arena: Arena, joining: Player) -> None:
    small = arena.open_task(max_participants=2)
    arena.enrol(small, arena.players[0])
    arena.enrol(small, arena.players[1])
    refuses(arena, enrolling(arena, small, joining), joining.account, "WrongStage", Stage.SUBMITTING)
    assert arena.now(small).round == 1  # the last place opened it


@pytest.mark.parametrize("position", range(toy.MASK_POSITION))
def test_rejects_a_masking_that_changes_the_dataset(
    arena: Arena, task: TaskInfo, joining: Player, position: int
) -> None:
    """Whatever M is: an M that would do takes the difference over tau^d, and nobody has that."""
    masked, mask = arena.masking(task, joining)
    difference = np.zeros((position + 1, 4), dtype=np.uint64)
    difference[position] = _core.fr_from_ints([1])[0]
    changed = _core.g1_add(masked, toy.srs().commit(difference))
    for m in (mask, _core.g1_add(mask, toy.srs().commit(difference))):
        call = enrolling(arena, task, joining, masked_dataset=changed, mask=m)
        refuses(arena, call, joining.account, "NotAMasking")


def test_rejects_a_mask_that_is_not_the_difference(arena: Arena, task: TaskInfo, joining: Player) -> None:
    masked, mask = arena.masking(task, joining)
    other = toy.srs().commit(_core.fr_random(3))
    listed = toy.srs().commit(toys.padded(joining.vector, toys.DATASET))
    for c, m in ((masked, other), (masked, bytes(64)), (masked, _core.g1_neg(mask)), (listed, mask)):
        call = enrolling(arena, task, joining, masked_dataset=c, mask=m)
        refuses(arena, call, joining.account, "NotAMasking")
    masked_other, _ = arena.masking(task, arena.players[4])
    call = enrolling(arena, task, joining, masked_dataset=masked_other, mask=mask)
    refuses(arena, call, joining.account, "NotAMasking")


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [(1, 3, "NotOnCurve"), (P + 1, 2, "CoordinateTooLarge"), (1, P + 2, "CoordinateTooLarge")],
)
def test_rejects_a_malformed_commitment(
    arena: Arena, task: TaskInfo, joining: Player, x: int, y: int, error: str
) -> None:
    for place in (MASKED, MASK):
        data = calldata(enrolling(arena, task, joining), {place: x, place + 1: y})
        refuses_raw(arena, data, joining.account, error)
    data = calldata(enrolling(arena, task, joining), {MASKED: 0, MASKED + 1: 0})
    refuses_raw(arena, data, joining.account, "PointAtInfinity")


def test_rejects_an_aliased_commitment(arena: Arena, task: TaskInfo, joining: Player) -> None:
    masked, mask = arena.masking(task, joining)
    for name, honest in (("masked_dataset", masked), ("mask", mask)):
        x, y = int_words(honest)
        changes = {"masked_dataset": masked, "mask": mask} | {name: to_bytes([x, y + P])}
        refuses(arena, enrolling(arena, task, joining, **changes), joining.account, "CoordinateTooLarge", y + P)


def test_rejects_an_enrolment_without_its_bond(arena: Arena, task: TaskInfo) -> None:
    player, token = arena.players[4], arena.federation.token
    call = enrolling(arena, task, player)
    refuses(arena, call, player.account, "ERC20InsufficientAllowance", arena.federation.address, 0, BOND)
    arena.chain.transact(token.functions.approve(arena.federation.address, BOND - 1), player.account)
    refuses(arena, call, player.account, "ERC20InsufficientAllowance", arena.federation.address, BOND - 1, BOND)


def test_rejects_an_enrolment_after_the_first_round_has_opened(arena: Arena, task: TaskInfo, joining: Player) -> None:
    call = enrolling(arena, task, joining)
    arena.federation.open_round(arena.sponsor, task.task_id)
    refuses(arena, call, joining.account, "WrongStage", Stage.SUBMITTING)


def test_a_player_may_join_several_tasks(arena: Arena) -> None:
    for _ in range(2):
        arena.enrol(arena.open_task(), arena.players[5])
