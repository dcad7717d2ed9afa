"""Whatever is said in whatever order: the committee's contract holds exactly what it owes, and in the end nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from fedproof.errors import ContractRejected
from fedproof.ledger.committee import Kind, Stake
from fedproof.ledger.federation import Stage
from tests.contracts.conftest import ON_ANVIL
from tests.contracts.federation.arena import BOND, Arena
from tests.contracts.federation.board import held, wrong
from tests.contracts.federation.quarrel import WORKER_BOND, Quarrel, start_with_five

STEPS = 120
LIKELY = {
    Stage.SUBMITTING: ["submit", "submit", "submit", "spoil", "renew", "answer", "wait"],
    Stage.REJECTING: ["complain"] * 5 + ["answer", "attest", "attest", "attest", "attest", "reject", "settle", "jump"],
    Stage.FROZEN: ["settle", "accuse", "accuse", "finalize", "withdraw", "stall"],
    Stage.FAILED: ["settle", "attest", "retry", "close"],
    Stage.ENDED: ["settle", "accuse", "withdraw", "release", "wait"],
}
ACTIONS = sorted({action for actions in LIKELY.values() for action in actions})


@dataclass
class Play:
    """Random words of workers and participants; what the contract refuses is no matter, what it does is checked."""

    quarrel: Quarrel
    random: random.Random
    complaints: set[bytes] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    @property
    def arena(self) -> Arena:
        return self.quarrel.arena

    @property
    def task_id(self) -> int:
        return self.quarrel.task.task_id

    def step(self) -> None:
        stage = self.arena.federation.stage(self.task_id)
        action = self.random.choice(ACTIONS if self.random.random() < 0.15 else LIKELY[stage])
        try:
            getattr(self, action)()
            self.done.add(action)
        except (ContractRejected, IndexError, ValueError):  # refused, or nothing to choose from
            pass

    def worker(self):  # type: ignore[no-untyped-def]  # an account
        return self.random.choice(self.quarrel.workers)

    def complaint(self) -> bytes:
        return self.random.choice(sorted(self.complaints))

    def complain(self) -> None:
        task = self.arena.now(self.quarrel.task)
        update = self.random.choice(self.arena.federation.updates(self.task_id, task.round))
        worker, kind = self.worker(), self.random.choice(list(Kind))
        receipt = self.arena.committee.complain(worker, task, update, kind)
        self.complaints |= {event.args["complaint"] for event in receipt.events if event.name == "Complained"}

    def answer(self) -> None:
        complaint = self.complaint()
        found = self.arena.committee.complaint(complaint)
        assert found is not None
        player = next(each for each in self.arena.players if each.account.address == found.participant)
        self.arena.committee.answer(player.account, complaint, b"\1" * 32)

    def attest(self) -> None:
        self.arena.committee.attest(self.worker(), self.complaint())

    def reject(self) -> None:
        task = self.arena.now(self.quarrel.task)
        update = self.random.choice(self.arena.federation.updates(self.task_id, task.round))
        self.arena.federation.reject_update(self.arena.outsider, task, update)

    def submit(self, bad: bool = False) -> None:
        task = self.arena.now(self.quarrel.task)
        player = self.random.choice([self.arena.players[k] for k in range(3) if not task.accepted >> k & 1])
        update = self.arena.prove(task, player)
        self.arena.submit(task, player, wrong(update) if bad else update)

    def spoil(self) -> None:
        self.submit(bad=True)

    def renew(self) -> None:
        self.arena.federation.renew_bond(self.random.choice(self.arena.players[:3]).account, self.task_id)

    def settle(self) -> None:
        self.quarrel.settle(self.complaint())

    def accuse(self) -> None:
        number = self.random.randint(1, max(1, self.arena.now(self.quarrel.task).round))
        self.arena.committee.accuse(self.worker(), self.task_id, number, self.quarrel.workers[0].address)

    def withdraw(self) -> None:
        self.arena.committee.withdraw(self.random.choice([*self.quarrel.workers, self.arena.sponsor]))

    def release(self) -> None:
        self.arena.committee.release_bond(self.worker(), self.task_id)

    def finalize(self) -> None:
        self.arena.finalize(self.arena.now(self.quarrel.task))

    def stall(self) -> None:
        if self.random.random() > 0.05:
            raise IndexError  # else every play ends so
        self.arena.federation.settle_stalled(self.arena.outsider, self.task_id)

    def retry(self) -> None:
        self.arena.federation.retry_round(self.arena.sponsor, self.task_id)

    def close(self) -> None:
        if self.random.random() > 0.05:
            raise IndexError  # as above
        self.arena.federation.close_task(self.arena.sponsor, self.task_id)

    def wait(self) -> None:
        self.arena.chain.mine(self.random.choice([1, 3, 10]))

    def jump(self) -> None:
        """On to the next window."""
        now, windows = self.arena.chain.block_number(), self.quarrel.windows
        edges = (windows.fetch_complaints, windows.fetch_answers, windows.open_complaints, windows.open_answers)
        self.arena.chain.wait_until_block(min(edge for edge in (*edges, windows.freeze) if edge > now))

    def people(self):  # type: ignore[no-untyped-def]  # accounts
        players = [player.account for player in self.arena.players[:3]]
        return [self.arena.sponsor, self.arena.outsider, *self.quarrel.workers, *players]

    def owed(self) -> int:
        """Bonds of workers, bonds of complaints that are not settled, and credits."""
        committee = self.arena.committee
        stakes = [committee.stake(self.task_id, worker.address) for worker in self.quarrel.workers]
        found = [committee.complaint(each) for each in self.complaints]
        unsettled = sum(not each.settled for each in found if each is not None)
        credit = sum(committee.credit(account.address) for account in self.people())
        return stakes.count(Stake.BONDED) * WORKER_BOND + unsettled * BOND + credit

    def finish(self) -> None:
        """However the task stands, it can be ended, and everybody be paid."""
        federation, committee = self.arena.federation, self.arena.committee
        task = federation.task_info(self.task_id)
        self.arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks + 1)
        stage = federation.stage(self.task_id)
        if stage == Stage.FROZEN:
            federation.settle_stalled(self.arena.outsider, self.task_id)
        elif stage != Stage.ENDED:
            federation.close_task(self.arena.sponsor, self.task_id)
        for complaint in sorted(self.complaints):
            found = committee.complaint(complaint)
            if found is not None and not found.settled:
                self.quarrel.settle(complaint)
        self.arena.chain.wait_until_block(self.arena.now(task).ended_at + 2 * task.params.settle_blocks)
        for worker in self.quarrel.workers:
            if committee.stake(self.task_id, worker.address) == Stake.BONDED:
                committee.release_bond(worker, self.task_id)
        for account in self.people():
            if committee.credit(account.address):
                committee.withdraw(account)


# long, and about the contract alone: on the faster chain
@pytest.mark.parametrize("shared_chain", [ON_ANVIL], indirect=True)
@pytest.mark.parametrize("seed", [0, 3, 6])
def test_the_committee_holds_what_it_owes(arena: Arena, seed: int) -> None:
    before = arena.balance(arena.committee.address)
    quarrel = start_with_five(arena, rounds=3, mask_count=6, submit_blocks=25, freeze_blocks=60)
    arena = quarrel.arena
    for player in arena.players[:3]:
        arena.federation.allow(player.account, 100 * BOND)
    play = Play(quarrel, random.Random(seed))
    places = [arena.committee.address, arena.federation.address, *(each.address for each in play.people())]
    wealth = sum(map(arena.balance, places))
    for _ in range(STEPS):
        play.step()
        assert arena.balance(arena.committee.address) == before + play.owed()
        assert arena.balance(arena.federation.address) == held(arena)
    play.finish()
    assert arena.balance(arena.committee.address) == before
    assert arena.balance(arena.federation.address) == held(arena)
    assert sum(map(arena.balance, places)) == wealth
    print(sorted(play.done))
    assert len(play.done) >= 8, play.done
