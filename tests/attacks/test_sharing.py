"""Attacks on shares and sums, lines 22 to 26 of the table in docs/security.md: of seven workers three may lie."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from fedproof import _core
from fedproof.errors import SharingError, StateError
from fedproof.ledger.committee import Kind
from fedproof.nodes.state import StateFile
from fedproof.nodes.worker import Worker
from fedproof.proving.r1cs import FrArray
from fedproof.sharing import (
    Output,
    ReceivedShare,
    Share,
    Sharing,
    WrongOutputError,
    WrongSharesError,
    check_output,
    check_shares,
    reconstruct,
    share_commitment,
    split,
    weighted_sum,
    worker_index,
)
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.quarrel import start
from tests.contracts.support import rejects
from tests.e2e.conftest import Arena as Hospitals
from tests.sharing.rounds import changed

R = _core.MODULUS
T, M, LENGTH = 3, 7, 9
ROWS = [40, 1, 95, 17]
ON_CHAIN = pytest.mark.xdist_group("attacks on contracts")


@cache
def srs() -> _core.Srs:
    return _core.Srs.generate(512, [1])


@dataclass(frozen=True)
class Sharer:
    """A participant with its update, proven and shared."""

    name: str
    update: FrArray
    c_u: bytes
    sharing: Sharing

    def received(self, index: int, values: FrArray | None = None) -> ReceivedShare:
        share = self.sharing.shares[index - 1]
        share = share if values is None else Share(share.index, values)
        return ReceivedShare(self.name, share, share_commitment(self.c_u, self.sharing.commitments_r, index))


@cache
def sharers() -> tuple[Sharer, ...]:
    made = []
    for number in range(len(ROWS)):
        update = _core.fr_random(LENGTH)
        made.append(Sharer(f"participant {number}", update, srs().commit(update), split(update, T, M, srs())))
    return tuple(made)


def output(index: int) -> Output:
    return weighted_sum([each.sharing.shares[index - 1] for each in sharers()], ROWS)


def check(given: Output) -> None:
    everyone = sharers()
    check_output(given, [s.c_u for s in everyone], [s.sharing.commitments_r for s in everyone], ROWS, srs())


@cache
def total() -> list[int]:
    updates = [_core.fr_to_ints(each.update) for each in sharers()]
    return [sum(n * u[k] for n, u in zip(ROWS, updates, strict=True)) % R for k in range(LENGTH)]


# 22


def test_no_share_is_at_zero_and_no_worker_counts_twice() -> None:
    for index in (0, -1, R, R + 1):
        with pytest.raises(SharingError, match="index"):
            worker_index(index)
    four = [output(k) for k in (1, 2, 3, 4)]
    for repeated in ([*four[:3], four[0]], [*four, four[2]], four[:1] * 4):
        with pytest.raises(SharingError, match=r"twice|repeat|than once"):
            reconstruct(repeated, T)


@pytest.mark.parametrize("index", range(1, M + 1))
def test_a_share_of_too_high_a_degree_shows_at_every_worker(index: int) -> None:
    """One coefficient more than was committed to: `a j^4` on one place."""
    victim = sharers()[2]
    moved = changed(victim.sharing.shares[index - 1].values, 5, by=31337 * index ** (T + 1))
    entries = [each.received(index) for each in sharers()]
    check_shares(entries, srs())
    entries[2] = victim.received(index, moved)
    with pytest.raises(WrongSharesError) as caught:
        check_shares(entries, srs())
    assert caught.value.participants == (victim.name,)


def test_a_sharing_of_another_update_than_the_proven_one_names_its_maker() -> None:
    """Consistent between all workers, and of an update that is ten times the proven one."""
    honest = sharers()[0]
    ten = _core.fr_mul(honest.update, _core.fr_from_ints([10]))
    lying = replace(honest, sharing=split(ten, T, M, srs()))
    for index in (1, 4, M):
        with pytest.raises(WrongSharesError) as caught:
            check_shares([lying.received(index), *(each.received(index) for each in sharers()[1:])], srs())
        assert caught.value.participants == (honest.name,)


# 23


def test_liars_are_named_and_any_t_plus_one_others_give_the_sum() -> None:
    """Three of seven lie, each in its own way, and two of them so that they would cancel."""
    outputs = {index: output(index) for index in range(1, M + 1)}
    outputs[2] = Output(outputs[2].index, changed(outputs[2].values, 3, 1))
    outputs[5] = Output(outputs[5].index, changed(outputs[5].values, 3, -1))
    outputs[7] = weighted_sum([each.sharing.shares[6] for each in sharers()], [*ROWS[:-1], ROWS[-1] + 1])
    named, good = [], []
    for index, given in outputs.items():
        try:
            check(given)
            good.append(given)
        except WrongOutputError as error:
            named.append((index, error.worker))
    assert named == [(2, 2), (5, 5), (7, 7)]
    assert _core.fr_to_ints(reconstruct(good, T)) == total()
    with pytest.raises(SharingError):
        reconstruct(list(outputs.values()), T)


@ON_CHAIN
def test_a_false_complaint_costs_its_bond_and_its_maker_has_one_word(ours: Arena) -> None:
    """A fetch complaint of a share that was there: answered, said again by the one who made it up, and lost."""
    quarrel = start(ours, 2)
    complaint = quarrel.complain(1, 0, Kind.FETCH)
    quarrel.answer(0, complaint, bytes(32))
    quarrel.wait(quarrel.windows.freeze - 3)
    with rejects("AlreadySaid"):  # the complaint was its word: it takes t more
        quarrel.attest(1, complaint)
    assert quarrel.is_in(0)
    quarrel.wait(quarrel.windows.freeze)
    assert quarrel.settle(complaint) == quarrel.participant(0).address
    assert quarrel.is_in(0)
    assert quarrel.committee.withdraw(quarrel.participant(0)) == BOND


# 24


def test_t_shares_look_the_same_whatever_was_shared_and_one_more_tells() -> None:
    """The low byte of each of three shares, and of their sum, over two updates as unlike as can be."""
    big = 512
    for values in ([0] * big, [R - 1, 1] * (big // 2)):
        counts = np.zeros(16, dtype=np.int64)
        for _ in range(4):
            shares = split(_core.fr_from_ints(values), T, M, srs()).shares[:T]
            numbers = [_core.fr_to_ints(share.values) for share in shares]
            numbers.append([sum(each) % R for each in zip(*numbers, strict=True)])
            for each in numbers:
                counts += np.bincount([value % 16 for value in each], minlength=16)
        expected = counts.sum() / 16
        assert ((counts - expected) ** 2 / expected).sum() < 60  # 15 degrees of freedom: one run in ten million
    update = sharers()[0]
    outputs = [Output(share.index, share.values) for share in update.sharing.shares]
    for chosen in itertools.islice(itertools.combinations(outputs, T + 1), 0, None, 7):
        assert np.array_equal(reconstruct(list(chosen), T), update.update)


# 25


@ON_CHAIN
@pytest.mark.parametrize("minimum", [0, 1])
def test_a_task_that_would_sum_fewer_than_two_updates_is_not_opened(ours: Arena, minimum: int) -> None:
    with rejects("BadParameter"):
        ours.open_task(min_updates=minimum)


@pytest.mark.slow
def test_a_worker_serves_one_set_over_a_model_also_to_itself_and_after_a_restart(arena: Hospitals) -> None:
    """The second set is a subset, a repetition or another order of the first one; each would tell a difference."""
    game = arena.open(enrol=3)
    game.train()
    game.freeze()
    worker, task, updates = arena.workers[2], game.task, game.updates
    first = worker.output(task, task.round, updates, worker.hpke_public)
    assert len(first) > 0
    with pytest.raises(StateError, match="second"):
        worker.output(task, task.round, updates[1:], worker.hpke_public)
    folder, role = worker.state.folder, worker.state.role
    worker.state.close()
    worker.state = StateFile(folder, role)
    again = Worker(worker.deployment, worker.federation, worker.account, worker.state)
    for other in (updates[:2], updates[1:], [updates[0], updates[2]]):
        with pytest.raises(StateError, match="second"):
            again.output(task, task.round, other, worker.hpke_public)
    again.output(task, task.round, updates, worker.hpke_public)


# 26


def test_exactly_t_plus_one_workers_suffice_and_t_do_not() -> None:
    outputs = [output(index) for index in (3, 4, 6, 7)]
    assert _core.fr_to_ints(reconstruct(outputs, T)) == total()
    for lost in range(len(outputs)):
        left = outputs[:lost] + outputs[lost + 1 :]
        with pytest.raises(SharingError, match="4"):
            reconstruct(left, T)
