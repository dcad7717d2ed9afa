"""Whatever is done in whatever order: the federation holds exactly what it owes, and in the end nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from fedproof.errors import ContractRejected
from fedproof.ledger.federation import Stage, TaskInfo, Update
from tests.contracts.conftest import ON_ANVIL
from tests.contracts.federation.arena import BOND, REWARD, Arena, Player
from tests.contracts.federation.board import held, wrong

STEPS = 60
LIKELY = {
    Stage.ENROLLING: ["enrol", "enrol", "enrol", "open_round"],
    Stage.SUBMITTING: ["submit", "submit", "submit", "spoil", "reject", "renew", "wait"],
    Stage.REJECTING: ["reject", "finalize", "claim"],
    Stage.FROZEN: ["finalize", "finalize", "settle"],
    Stage.FAILED: ["retry", "retry", "close"],
    Stage.ENDED: ["claim", "refund", "open"],
}
ACTIONS = sorted({action for actions in LIKELY.values() for action in actions})


@dataclass
class Play:
    """Random actions on up to three tasks; what the contract refuses is no matter, what it does is checked."""

    arena: Arena
    random: random.Random
    tasks: list[int] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    chosen: int = 0

    def step(self) -> None:
        self.chosen = self.random.choice(self.tasks)
        stage = self.arena.federation.stage(self.chosen)
        action = self.random.choice(ACTIONS if self.random.random() < 0.2 else LIKELY[stage])
        try:
            getattr(self, action)()
            self.done.add(action)
        except (ContractRejected, IndexError):  # refused, or nothing to choose from
            pass

    def task(self) -> TaskInfo:
        return self.arena.federation.task_info(self.chosen)

    def player(self) -> Player:
        return self.random.choice(self.arena.players[:3])

    def open(self) -> None:
        if len(self.tasks) == 3:
            raise IndexError
        reward, bond = self.random.choice([0, 7, REWARD]), self.random.choice([0, 3, BOND])
        changes = {"rounds": self.random.randint(1, 2), "mask_count": self.random.randint(3, 4)}
        task = self.arena.open_task(
            **changes, reward_per_round=reward, enrol_bond=bond, submit_blocks=25, settle_blocks=10
        )
        self.tasks.append(task.task_id)

    def enrol(self) -> None:
        task, player = self.task(), self.player()
        if task.task_id in player.masks:
            raise IndexError  # its masks are in use
        self.arena.enrol(task, player)

    def open_round(self) -> None:
        self.arena.federation.open_round(self.arena.sponsor, self.task().task_id)

    def submit(self, bad: bool = False) -> None:
        task = self.task()
        members = self.arena.federation.enrolments(task.task_id)
        due = {each.participant for each in members if not task.accepted >> each.index & 1}
        player = self.random.choice([each for each in self.arena.players if each.account.address in due])
        update = self.arena.prove(task, player)
        self.arena.submit(task, player, wrong(update) if bad else update)

    def spoil(self) -> None:
        self.submit(bad=True)

    def updates(self, task: TaskInfo) -> list[Update]:
        return self.arena.federation.updates(task.task_id, task.round)

    def reject(self) -> None:
        task = self.task()
        self.arena.federation.reject_update(self.arena.outsider, task, self.random.choice(self.updates(task)))

    def renew(self) -> None:
        self.arena.federation.renew_bond(self.player().account, self.task().task_id)

    def wait(self) -> None:
        self.arena.chain.mine(self.random.choice([1, 5, 30]))

    def finalize(self) -> None:
        task = self.task()
        if task.stage == Stage.REJECTING:
            self.arena.freeze(task)
            self.arena.chain.mine()
        self.arena.finalize(self.arena.now(task))

    def retry(self) -> None:
        self.arena.federation.retry_round(self.arena.sponsor, self.task().task_id)

    def close(self) -> None:
        self.arena.federation.close_task(self.arena.sponsor, self.task().task_id)

    def settle(self) -> None:
        task = self.task()
        if task.stage == Stage.FROZEN:
            self.arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks)
        self.arena.federation.settle_stalled(self.arena.outsider, task.task_id)

    def claim(self) -> None:
        self.arena.federation.claim(self.player().account, self.task().task_id)

    def refund(self) -> None:
        self.arena.federation.refund(self.arena.outsider, self.task().task_id)

    def finish(self) -> None:
        """Every task can be brought to its end, and everybody be paid."""
        federation = self.arena.federation
        for task_id in self.tasks:
            task = federation.task_info(task_id)
            self.arena.chain.wait_until_block(task.freeze_at + task.params.settle_blocks + 1)
            stage = federation.stage(task_id)
            if stage == Stage.FROZEN:
                federation.settle_stalled(self.arena.outsider, task_id)
            elif stage != Stage.ENDED:
                federation.close_task(self.arena.sponsor, task_id)
            for player in self.arena.players[:3]:
                if any(federation.claimable(task_id, player.account.address)):
                    federation.claim(player.account, task_id)
            if self.arena.chain.call(federation.contract.functions.taskOf(task_id))[20]:
                federation.refund(self.arena.outsider, task_id)


# long, and about the contract alone: on the faster chain
@pytest.mark.parametrize("shared_chain", [ON_ANVIL], indirect=True)
@pytest.mark.parametrize("seed", range(2))
def test_the_federation_holds_what_it_owes(arena: Arena, seed: int) -> None:
    play = Play(arena, random.Random(seed))
    people = [arena.sponsor, arena.outsider, *(player.account for player in arena.players[:3])]
    owed = arena.balance(arena.federation.address) - held(arena)
    assert owed == 0
    before = arena.balance(arena.federation.address)
    wealth = before + sum(map(arena.balance, people))
    for player in arena.players:
        player.masks = {k: v for k, v in player.masks.items() if k <= arena.federation.tasks()}
    play.open()
    for _ in range(STEPS):
        play.step()
        assert arena.balance(arena.federation.address) == held(arena)
    play.finish()
    assert arena.balance(arena.federation.address) == held(arena) == before
    assert arena.balance(arena.federation.address) + sum(map(arena.balance, people)) == wealth
    assert len(play.done) >= 8, play.done
