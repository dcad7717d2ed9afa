"""A task of the federation as a state machine that Hypothesis plays and shrinks, with what must hold after each act.

`test_balance` and `test_committee_balance` hold the sums over long plays. Here an act is judged, too: who loses a bond
gave a cause for it, a settled round stays as it is, and what is due is covered. For a long run set
FEDPROOF_STATEFUL_EXAMPLES, of which each takes some five seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fedproof.errors import ContractRejected
from fedproof.ledger import Account
from fedproof.ledger.committee import Kind, Stake
from fedproof.ledger.federation import SettledRound, Stage, TaskInfo, Update
from tests.contracts.conftest import ON_ANVIL
from tests.contracts.federation.arena import BOND, Arena, Player
from tests.contracts.federation.board import held, wrong
from tests.contracts.federation.quarrel import WORKER_BOND
from tests.support import plays

EXAMPLES = plays.examples(3)
STEPS = 30
SEED = 5
"""Of the short run: its plays reject, complain, renew, close, refund, claim and release."""
PLAYERS = st.integers(0, 2)
WORKERS = st.integers(0, 2)
ANY = st.integers(0, 50)
"""Which of those that are there, modulo their number."""
QUORUM = 2
"""t + 1."""


def at(*stages: Stage) -> Any:
    """The act makes sense at these stages; elsewhere the contract refuses it, which other tests hold it to."""
    return precondition(lambda machine: machine.task.stage in stages)


class Machine(RuleBasedStateMachine):
    """One task of two rounds, three participants and three workers, from its first round on."""

    arena: Arena
    done: Counter[str]
    """How often which act was taken, in all plays."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshot = self.arena.chain.dev.snapshot()
        self.federation, self.committee = self.arena.federation, self.arena.committee
        self.players, self.workers = self.arena.players[:3], self.arena.workers
        for account in (*self.workers, *(player.account for player in self.players)):
            self.committee.allow(account, 100 * BOND)
            self.federation.allow(account, 10 * BOND)
        self.kept = self.arena.balance(self.committee.address)
        self.wealth = self.sum()
        self.task: TaskInfo = self.arena.running(
            rounds=2, worker_bond=WORKER_BOND, submit_blocks=25, freeze_blocks=60, settle_blocks=15
        )
        self.enrolled = {player.account.address for player in self.players}
        self.bad: set[bytes] = set()
        """Updates with a proof that does not hold."""
        self.complaints: dict[bytes, tuple[str, set[str]]] = {}
        """Of whom, and who stands behind each."""
        self.accusers: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.settled: tuple[SettledRound, ...] = ()
        self.bonded = self.bonds()
        self.stakes = self.all_stakes()
        self.may_lose: set[str] = set()
        """Who gave a cause to lose its bond by the last act."""

    def teardown(self) -> None:
        self.arena.chain.dev.revert(self.snapshot)
        self.federation.forget()

    # -- what is there --

    def people(self) -> list[Account]:
        players = [player.account for player in self.players]
        return [self.arena.sponsor, self.arena.outsider, *self.workers, *players]

    def sum(self) -> int:
        places = [self.federation.address, self.committee.address, *(each.address for each in self.people())]
        return sum(map(self.arena.balance, places))

    def bonds(self) -> dict[str, bool]:
        names = [player.account.address for player in self.players]
        return {name: self.federation.is_bonded(self.task.task_id, name) for name in names}

    def all_stakes(self) -> dict[str, Stake]:
        return {each.address: self.committee.stake(self.task.task_id, each.address) for each in self.workers}

    def act(self, call: Any, *arguments: Any) -> Any:
        """What the contract answers; None where it refuses."""
        try:
            answer = call(*arguments)
        except ContractRejected:
            return None
        self.done[call.__name__] += 1
        return answer

    def updates(self) -> list[Update]:
        return self.federation.updates(self.task.task_id, self.task.round) if self.task.round else []

    # -- participants --

    @at(Stage.SUBMITTING)
    @rule(bad=st.sampled_from([0, 0, 0, 1, 2, 4, 3]))
    def submit_all(self, bad: int) -> None:
        """Everybody who is missing, some of them with a proof that does not hold."""
        for who in range(3):
            if not self.task.accepted >> who & 1:
                self.submit(who, not bad >> who & 1)

    @at(Stage.SUBMITTING)
    @rule(who=PLAYERS, holds=st.booleans())
    def submit_one(self, who: int, holds: bool) -> None:
        self.submit(who, holds)

    def submit(self, who: int, holds: bool) -> None:
        player: Player = self.players[who]
        update = self.arena.prove(self.task, player)
        if not holds:
            update = wrong(update)
            self.bad.add(update.update)
        self.act(self.arena.submit, self.task, player, update)

    @at(Stage.SUBMITTING, Stage.REJECTING, Stage.FAILED)
    @rule(who=PLAYERS)
    def renew(self, who: int) -> None:
        self.act(self.federation.renew_bond, self.players[who].account, self.task.task_id)

    @at(Stage.FROZEN, Stage.ENDED)
    @rule(who=PLAYERS)
    def claim(self, who: int) -> None:
        account = self.players[who].account
        due = self.federation.claimable(self.task.task_id, account.address)
        before = self.arena.balance(account)
        if self.act(self.federation.claim, account, self.task.task_id) is None:
            return
        assert self.arena.balance(account) == before + sum(due)
        assert self.act(self.federation.claim, account, self.task.task_id) is None  # once
        if due[1]:
            self.may_lose.add(account.address)  # it has it back

    # -- anybody --

    @at(Stage.REJECTING, Stage.SUBMITTING)
    @rule(which=ANY)
    def reject(self, which: int) -> None:
        updates = self.updates()
        if not updates:
            return
        update = updates[which % len(updates)]
        if self.act(self.federation.reject_update, self.arena.outsider, self.task, update) is not None:
            assert update.update in self.bad, "a valid update was rejected"
            self.may_lose.add(update.participant)

    @at(Stage.REJECTING, Stage.FROZEN)
    @rule()
    def finalize(self) -> None:
        if self.task.stage is Stage.REJECTING:
            self.arena.freeze(self.task)
            self.arena.chain.mine()
            self.task = self.arena.now(self.task)
        self.act(self.arena.finalize, self.task)

    @at(Stage.FAILED)
    @rule()
    def retry(self) -> None:
        self.act(self.federation.retry_round, self.arena.sponsor, self.task.task_id)

    @at(Stage.FAILED)
    @rule(really=st.booleans())
    def close(self, really: bool) -> None:
        if really:  # else most plays end so
            self.act(self.federation.close_task, self.arena.sponsor, self.task.task_id)

    @at(Stage.FROZEN)
    @rule(late=st.booleans())
    def stalled(self, late: bool) -> None:
        if late:
            self.arena.chain.wait_until_block(self.task.freeze_at + self.task.params.settle_blocks)
        self.act(self.federation.settle_stalled, self.arena.outsider, self.task.task_id)

    @at(Stage.ENDED)
    @rule()
    def refund(self) -> None:
        self.act(self.federation.refund, self.arena.outsider, self.task.task_id)

    @rule(blocks=st.sampled_from([1, 2, 7, 20]))
    def wait(self, blocks: int) -> None:
        self.arena.chain.mine(blocks)

    @at(Stage.REJECTING)
    @rule()
    def jump(self) -> None:
        """On to the next window of the committee."""
        now, windows = self.arena.chain.block_number(), self.committee.windows(self.task.task_id)
        edges = (windows.fetch_complaints, windows.fetch_answers, windows.open_complaints, windows.open_answers)
        self.arena.chain.wait_until_block(min(edge for edge in (*edges, windows.freeze) if edge > now))

    # -- workers --

    @at(Stage.REJECTING)
    @rule(who=WORKERS, others=st.sets(WORKERS), which=ANY, kind=st.sampled_from(list(Kind)))
    def complain(self, who: int, others: set[int], which: int, kind: Kind) -> None:
        """One worker or several of one update."""
        updates = self.updates()
        if updates:
            for each in sorted({who} | others):
                self.say(self.workers[each], updates[which % len(updates)], kind)

    def say(self, worker: Account, update: Update, kind: Kind) -> None:
        receipt = self.act(self.committee.complain, worker, self.task, update, kind)
        if receipt is not None:
            (complaint,) = (each.args["complaint"] for each in receipt.events if each.name == "Complained")
            self.complaints[complaint] = (update.participant, {worker.address})
            self.judged(complaint)

    @precondition(lambda self: self.complaints)
    @rule(which=ANY)
    def answer(self, which: int) -> None:
        complaint = self.complaint(which)
        account = next(each.account for each in self.players if each.account.address == self.complaints[complaint][0])
        self.act(self.committee.answer, account, complaint, b"\1" * 32)

    @precondition(lambda self: self.complaints)
    @rule(which=ANY, who=WORKERS)
    def attest(self, which: int, who: int) -> None:
        complaint = self.complaint(which)
        if self.act(self.committee.attest, self.workers[who], complaint) is not None:
            self.complaints[complaint][1].add(self.workers[who].address)
            self.judged(complaint)

    @precondition(lambda self: self.complaints)
    @rule(which=ANY)
    def settle(self, which: int) -> None:
        complaint = self.complaint(which)
        if self.act(self.committee.settle_complaint, self.arena.outsider, complaint) is not None:
            self.judged(complaint)

    def complaint(self, which: int) -> bytes:
        return sorted(self.complaints)[which % len(self.complaints)]

    def judged(self, complaint: bytes) -> None:
        """A participant may lose its bond by the word of a quorum, all complaints of its update taken together."""
        participant, _ = self.complaints[complaint]
        behind = set().union(*(words for whom, words in self.complaints.values() if whom == participant))
        if len(behind) >= QUORUM:
            self.may_lose.add(participant)

    @at(Stage.FROZEN, Stage.ENDED)
    @rule(who=st.sets(WORKERS, min_size=1), whom=WORKERS, number=st.integers(1, 3))
    def accuse(self, who: set[int], whom: int, number: int) -> None:
        accused = self.workers[whom].address
        for each in sorted(who):
            worker = self.workers[each]
            if self.act(self.committee.accuse, worker, self.task.task_id, number, accused) is not None:
                self.accusers[accused, number].add(worker.address)
                if len(self.accusers[accused, number]) >= QUORUM:
                    self.may_lose.add(accused)

    @at(Stage.ENDED)
    @rule(who=WORKERS, late=st.booleans())
    def release(self, who: int, late: bool) -> None:
        worker = self.workers[who]
        if late:
            self.arena.chain.wait_until_block(self.task.ended_at + 2 * self.task.params.settle_blocks)
        before = self.committee.credit(worker.address) + self.arena.balance(worker)
        if self.act(self.committee.release_bond, worker, self.task.task_id) is not None:
            assert self.committee.credit(worker.address) + self.arena.balance(worker) == before + WORKER_BOND
            self.may_lose.add(worker.address)

    @rule(who=ANY)
    def withdraw(self, who: int) -> None:
        people = self.people()
        self.act(self.committee.withdraw, people[who % len(people)])

    # -- what holds after each act --

    @invariant()
    def all_promises_hold(self) -> None:
        self.nobody_loses_a_bond_without_a_cause()
        self.a_settled_round_stays()
        self.money_is_conserved_and_covers_what_is_due()

    def nobody_loses_a_bond_without_a_cause(self) -> None:
        bonded, stakes = self.bonds(), self.all_stakes()
        lost = {name for name, was in self.bonded.items() if was and not bonded[name]}
        lost |= {name for name, was in self.stakes.items() if was is Stake.BONDED and stakes[name] is not Stake.BONDED}
        assert lost <= self.may_lose
        self.done["lost"] += len(lost)
        self.bonded, self.stakes, self.may_lose = bonded, stakes, set()

    def a_settled_round_stays(self) -> None:
        self.task = self.arena.now(self.task)
        assert self.task.settled[: len(self.settled)] == self.settled
        self.done["settled"] += len(self.task.settled) > len(self.settled)
        self.settled = self.task.settled

    def money_is_conserved_and_covers_what_is_due(self) -> None:
        assert self.arena.balance(self.federation.address) == held(self.arena)
        found = [self.committee.complaint(each) for each in self.complaints]
        unsettled = sum(not each.settled for each in found if each is not None)
        credit = sum(self.committee.credit(account.address) for account in self.people())
        staked = list(self.stakes.values()).count(Stake.BONDED) * WORKER_BOND
        assert self.arena.balance(self.committee.address) == self.kept + staked + unsettled * BOND + credit
        assert self.sum() == self.wealth
        rewards = sum(self.federation.claimable(self.task.task_id, name)[0] for name in self.enrolled)
        assert rewards <= self.task.escrow


# about the contracts alone: on the faster chain
@pytest.mark.slow
@pytest.mark.parametrize("shared_chain", [ON_ANVIL], indirect=True)
def test_no_play_breaks_a_promise(arena: Arena) -> None:
    for player in arena.players:
        player.masks = {k: v for k, v in player.masks.items() if k <= arena.federation.tasks()}
    done: Counter[str] = Counter()
    plays.play(Machine, EXAMPLES, STEPS, STEPS - 5, SEED, arena=arena, done=done)
    print(sorted(done.items()))
