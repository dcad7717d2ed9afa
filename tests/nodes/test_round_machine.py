"""A task as a state machine of real nodes, whose bad luck Hypothesis draws, with what must hold after each piece of it.

`tests/contracts/federation/test_machine.py` plays with the contracts; here participants and workers play by themselves,
and what is drawn is who looks when, who dies at which checkpoint, who is away, which blob is gone, which blocks are
taken back, and who lies. Then all faults end, and the task must come to its end, with everybody paid and the auditor
content. For a long run set FEDPROOF_STATEFUL_EXAMPLES, of which each takes some fifteen seconds.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from fedproof import _core
from fedproof.app import audit
from fedproof.app.audit_run import Manifest
from fedproof.app.telling import Silent
from fedproof.errors import ContractRejected, LedgerError, StorageError, UnexpectedError
from fedproof.learning import exact
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger import SignedTransaction
from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Stage, TaskInfo, Update
from fedproof.ledger.market_types import point_bytes
from fedproof.ledger.rpc import RpcError
from fedproof.nodes import checkpoints
from fedproof.nodes import participant as participant_node
from fedproof.nodes.journal import Journal
from fedproof.nodes.participant import Participant
from fedproof.nodes.worker import Worker
from fedproof.sealing import seal
from fedproof.sharing import Output, Sharing
from fedproof.statements.aggregation import divide
from fedproof.statements.models.vectors import model_vector
from tests.e2e.conftest import Arena
from tests.nodes.cast import ENROL_BOND, REWARD, WORKER_BOND, Cast, Player
from tests.support import plays

EXAMPLES = plays.examples(2)
STEPS = 20
SEED = 1
"""Of the short run."""
DEPTH = 2
"""Blocks below the head at which the nodes look. Forks that are no deeper must harm nobody."""
LATE = 3
"""A node that is up looks at least every so many blocks, as its loop would."""
DULL = ("read", "stepped", "before read", "after read")
"""Checkpoints of every look: to die there is to come late by a look, and would leave no deaths for the others."""
NODES = st.integers(0, 5)
ANY = st.integers(0, 1000)
KINDS = ("die", "die", "fork", "fork", "lose_blob", "stay_away", "cut_off", "mend", "lie", "exchange_set", "sponsor")
SETTINGS: dict[str, Any] = {
    "submit_blocks": 30,
    "freeze_blocks": 45,
    "settle_blocks": 36,
}
"""Each fifth of the checks leaves a node time to see, to come late, and to see again after a fork."""


class Killed(BaseException):
    """The process ends here."""


class Machine(RuleBasedStateMachine):
    """One task of two rounds, three participants and three workers, of whom one each may lie."""

    arena: Arena
    folder: Path
    done: Counter[str]
    """How often what happened, in all plays."""
    live: ClassVar[Machine]

    def __init__(self) -> None:
        super().__init__()
        type(self).done["plays"] += 1
        Machine.live = self
        self.snapshot = self.arena.world.chain.dev.snapshot()
        self.cast = Cast(self.arena, self.folder / str(self.done["plays"]), depth=DEPTH)
        self.chain, self.federation, self.committee = self.cast.chain, self.cast.federation, self.cast.committee
        self.federation.forget()
        self.current = ""
        self.deaths: dict[str, list[int]] = {}
        """Of a node that shall die: how many checkpoints it passes before, for each of its lives."""
        self.blobs: dict[str, str] = {}
        """What was stored in this task, with who did; "" is the sponsor."""
        self.lost = ""
        self.lost_once = False
        """Whether that was what a participant had stored."""
        self.doomed = ""
        """Whose next blob is lost."""
        self.cut = ""
        self.unsaved: list[str] = []
        """What left a node before it had saved that it would."""
        self.wrong: set[bytes] = set()
        """Updates whose proofs do not hold."""
        self.spoilt: set[tuple[str, int]] = set()
        """Participants and rounds in which they sealed junk to the second worker."""
        self.judged = (0, b"")
        """The block up to which the chain was looked at."""
        self.published: dict[str, set[int]] = defaultdict(set)
        """By participant, each y of a proof that has left it."""
        self.released: dict[tuple[str, bytes], set[bytes]] = defaultdict(set)
        """By worker and model, the sets that it has summed."""
        self.bad_proofs, self.junk, self.liar = "", "", ""
        """Addresses of those who lie, "" where nobody does."""
        self.excused: set[str] = set()
        """Names of those who could not answer a complaint, or make one, or should not be believed."""
        self.seen_notes: dict[str, int] = {}
        self.made_models: dict[tuple[bytes, str], np.ndarray] = {}

    @initialize(
        rounds=st.sampled_from([1, 1, 2]),
        begun=st.sampled_from([True, True, False]),
        first=st.sampled_from(["", "lost", "share", "proof"]),
        order=ANY,
    )
    def begin(self, rounds: int, begun: bool, first: str, order: int) -> None:
        """A task that is open, or has its first round open; a participant may lie, or lose a share, from the first."""
        self.kept = {each: self.balance(each) for each in (self.federation.address, self.committee.address)}
        self.credit = self.all_credit()
        self.task_id = self.cast.open(rounds=rounds, **SETTINGS)
        self.floor = self.chain.block_number()
        self.task = self.cast.task(self.task_id)
        self.start = self.start_model()
        self.before = {each.name: self.balance(each.address) for each in self.cast.players}
        self.looked = {each.name: self.floor for each in self.cast.players}
        description = self.task.params.description.hex()
        self.blobs |= {description: "", self.description().start: ""}
        checkpoints.hook = self.pass_checkpoint
        if first == "lost":
            self.lose_blob(order % 3, 1)
        elif first:
            self.lie(order % 3, int(first == "proof"))
        if begun:
            self.open_round(order, 3)

    def teardown(self) -> None:
        failed = sys.exc_info()[0] is not None
        try:
            if not failed:
                self.end_well()
        finally:
            checkpoints.hook = None
            self.cast.close()
            self.lost = self.cut = ""
            self.chain.dev.revert(self.snapshot)
            self.federation.forget()

    # -- what is there --

    def balance(self, who: str) -> int:
        return int(self.chain.call(self.federation.token.functions.balanceOf(who)))

    def all_credit(self) -> int:
        people = [self.arena.world.operator.address, *(each.address for each in self.cast.players)]
        return sum(self.committee.credit(each) for each in people)

    def description(self) -> TaskDescription:
        store = self.cast.deployment.store
        return TaskDescription.decode(store.get(self.task.params.description.hex()))

    def start_model(self) -> GlobalModel:
        return GlobalModel.decode(self.cast.deployment.store.get(self.description().start))

    def named(self, name: str) -> Player:
        return next(each for each in self.cast.players if each.name == name)

    def is_liar(self, player: Player) -> bool:
        return player.address in (self.bad_proofs, self.junk, self.liar)

    # -- nodes --

    def pass_checkpoint(self, name: str) -> None:
        """A node comes by a place where it may die."""
        left = self.deaths.get(self.current)
        if not left or name.split("/")[0] in DULL:
            return
        if left[0]:
            left[0] -= 1
            return
        left.pop(0)
        self.done["died"] += 1
        self.done[f"died {name.split('/')[0]}"] += 1
        raise Killed(name)

    def look(self, player: Player) -> None:
        """One look of a node at the chain. Its loop lives through what the chain and the store do, and nothing else."""
        self.current = player.name
        self.looked[player.name] = self.chain.block_number()
        try:
            self.cast.step(player)
        except Killed:
            self.cast.restart(player)
        except (LedgerError, StorageError):
            self.done["failed looks"] += 1
        finally:
            self.current = ""

    def keep_up(self) -> None:
        """Whoever is up and has not looked for long looks now."""
        for _ in range(60):
            head = self.chain.block_number()
            late = [each for each in self.cast.players if each.awake and head - self.looked[each.name] > LATE]
            if not late:
                return
            self.look(min(late, key=lambda each: self.looked[each.name]))

    def pass_blocks(self, blocks: int, order: int) -> None:
        """Blocks, at each of which everybody who is up looks, in some order."""
        drawn = random.Random(order)
        for _ in range(blocks):
            players = [each.name for each in self.cast.players if each.awake]
            drawn.shuffle(players)
            for name in players:
                self.look(self.named(name))
            self.chain.dev.mine(1)

    def stage(self) -> Stage:
        return self.federation.stage(self.task_id)

    # two rules, for Hypothesis leaves rules out of a play, and few plays should see many things
    @rule(how=st.sampled_from(["go_on", "go_on", "all_look", "all_look", "one_looks", "mine"]), who=NODES, number=ANY)
    def time_passes(self, how: str, who: int, number: int) -> None:
        getattr(self, how)(who, number)

    def go_on(self, who: int, number: int) -> None:
        """On to the next stage."""
        stage = self.stage()
        if stage is Stage.ENROLLING:
            return self.open_round(number, 3 if number % 4 else 2)
        for _ in range(50):
            self.pass_blocks(2, number)
            if self.stage() is not stage:
                break
        return None

    def all_look(self, who: int, number: int) -> None:
        self.pass_blocks(1 + number % 10, number)

    def one_looks(self, who: int, number: int) -> None:
        """Once, or some times at once."""
        for _ in range(1 + number % 3):
            player = self.cast.players[who]
            if player.awake:
                self.look(player)
                self.keep_up()

    def mine(self, who: int, number: int) -> None:
        """Blocks at which only those look who must."""
        for _ in range(1 + number % 6):
            self.chain.dev.mine(1)
            self.keep_up()

    @rule(kind=st.sampled_from(KINDS), who=NODES, number=ANY)
    def trouble(self, kind: str, who: int, number: int) -> None:
        getattr(self, kind)(who, number)
        self.keep_up()

    def die(self, who: int, number: int) -> None:
        """At a checkpoint to come, and maybe once more soon after that."""
        lives = [number % 7, number // 7 % 4][: 1 + number % 2]
        player = self.cast.players[who]
        self.deaths[player.name] = lives

    def stay_away(self, who: int, number: int) -> None:
        """For some blocks, while the others go on."""
        player = self.cast.players[who]
        player.awake = False
        self.excused.add(player.name)
        self.pass_blocks(4 + number % 20, number)
        self.named(player.name).awake = True
        self.done["away"] += 1

    # -- the store --

    def may_get(self, blob: str) -> None:
        if self.current and self.current == self.cut:
            raise StorageError("no route")
        if blob == self.lost:
            raise StorageError(f"blob {blob} is not there")

    def stored(self, blob: str) -> None:
        fresh = blob not in self.blobs
        self.blobs.setdefault(blob, self.current)
        if fresh and self.current == self.doomed and not self.lost:
            self.doomed, self.lost, self.lost_once = "", blob, True
            self.done["lost at once"] += 1
        elif blob == self.lost:
            self.lost = ""
            self.done["stored again"] += 1

    def lose_blob(self, who: int, number: int) -> None:
        """One blob, until it is stored again or found: any, or one of the last few, or the next of a participant."""
        if number % 2 and who < len(self.cast.participants):
            self.doomed = self.cast.participants[who].name
            return
        known = list(self.blobs)[-12:] if who % 2 else list(self.blobs)
        blob = known[number % len(known)]
        owner = self.blobs[blob]
        if owner.startswith("p"):  # once it has answered, nobody would ask it again: its bond would be lost
            about = {each.participant for each in self.committee.complaints(self.task_id)}
            if self.named(owner).address in about:
                return
        self.lost, self.lost_once = blob, self.lost_once or owner.startswith("p")
        self.done[f"lost of {owner[:1] or 'sponsor'}"] += 1

    def mend(self, who: int, number: int) -> None:
        """The store, for all."""
        self.lost = self.cut = ""

    def cut_off(self, who: int, number: int) -> None:
        """A node from the store."""
        self.cut = self.cast.players[who].name
        self.excused.add(self.cut)
        self.done["cut off"] += 1

    # -- the chain --

    def fork(self, who: int, number: int) -> None:
        """The last blocks become others, without the transactions of some nodes."""
        losers = {self.cast.players[who].address} if number % 3 else {each.address for each in self.cast.players}
        self.take_back(max(self.floor, self.chain.block_number() - 1 - number % DEPTH), losers)
        self.done["forked"] += 1

    def exchange_set(self, who: int, number: int) -> None:
        """A fork that is much deeper than the nodes look takes an update out of a set that was served already. Its
        maker stays away, so that another set comes to its freeze."""
        for _ in range(60):
            task = self.cast.task(self.task_id)
            if task.stage not in (Stage.SUBMITTING, Stage.REJECTING, Stage.FROZEN):
                return
            if self.committee.outputs(self.task_id, round=task.round):
                break
            self.pass_blocks(2, number)
        maker = self.cast.participants[who % 3]
        mine = [
            each.block_number for each in self.events("UpdateSubmitted", task.round) if self.by(each) == maker.address
        ]
        if not mine or task.accepted.bit_count() < 3 or not self.committee.outputs(self.task_id, round=task.round):
            return
        assert task.stage is Stage.FROZEN
        self.take_back(mine[0] - 1, {maker.address})
        maker.awake = False
        self.excused |= {each.name for each in self.cast.players}
        self.done["exchanged"] += 1
        for _ in range(60):
            if self.stage() in (Stage.FAILED, Stage.ENDED):
                break
            self.pass_blocks(3, number)
        self.named(maker.name).awake = True

    def take_back(self, height: int, losers: set[str]) -> None:
        """Blocks above a height become others; transactions of all but the losers are mined again, block by block."""
        ledger = self.chain.rpc.ledger  # type: ignore[attr-defined]
        old = [ledger.block(number) for number in range(height + 1, ledger.head.number + 1)]
        ledger._snapshots.append(height)
        assert ledger.revert(len(ledger._snapshots) - 1)
        self.chain.dev.set_next_timestamp(self.chain.timestamp() + 100)
        lost = {bytes.fromhex(each[2:]) for each in losers}
        for block in old:
            number = self.chain.block_number()
            for each in block.transactions:
                if each.sender not in lost:
                    with suppress(RpcError):  # its nonce may be too high now, or its sender have nothing
                        self.chain.rpc.request("eth_sendRawTransaction", "0x" + each.raw.hex())
            if self.chain.block_number() == number:
                self.chain.dev.mine(1)
        self.chain.dev.mine(1)
        self.federation.forget()

    # -- liars --

    def lie(self, who: int, number: int) -> None:
        """From now on: a participant's proofs do not hold, or what it seals to the second worker does not open; a
        worker's outputs are not the sum of its shares. One of each kind at most: t is 1."""
        liar = self.cast.players[who]
        if liar in self.cast.workers:
            self.liar = self.liar or liar.address
        elif not self.bad_proofs and not self.junk:
            self.bad_proofs, self.junk = (liar.address, "") if number % 2 else ("", liar.address)
            self.excused.add(liar.name)

    # -- the sponsor, and anybody --

    def say(self, call: Any, *arguments: Any) -> None:
        """What the contract may refuse."""
        with suppress(ContractRejected):
            call(*arguments)
            self.done[call.__name__] += 1

    def open_round(self, order: int, wanted: int) -> None:
        """When enough have enrolled, or as far as it comes."""
        for _ in range(30):
            if self.cast.task(self.task_id).enrolled >= wanted:
                break
            self.pass_blocks(2, order)
        self.say(self.federation.open_round, self.arena.world.operator, self.task_id)

    def sponsor(self, who: int, number: int) -> None:
        """It says what it may say at this stage, of a failed round the one or the other."""
        acts: dict[Stage, list[Any]] = {
            Stage.ENROLLING: [self.federation.open_round],
            Stage.FAILED: [self.federation.retry_round, self.federation.close_task],
            Stage.FROZEN: [self.federation.settle_stalled],
            Stage.ENDED: [self.federation.refund],
        }
        known = acts.get(self.stage(), [])
        if known:
            self.say(known[number % len(known)], self.arena.world.operator, self.task_id)

    # -- what holds after each rule --

    def events(self, name: str, round_number: int) -> list[Any]:
        contract = self.committee.contract if name == "UpdateRemoved" else self.federation.contract
        where = {"task": self.task_id, "round": round_number}
        return self.chain.events(contract, name, self.task.opened_block, argument_filters=where)

    @staticmethod
    def by(event: Any) -> str:
        return str(event.args["participant"])

    @invariant()
    def all_promises_hold(self) -> None:
        assert not self.unsaved
        assert all(len(sets) == 1 for sets in self.released.values()), "a worker summed two sets over one model"
        self.no_act_failed_unexpectedly()
        self.masks_are_counted_before_they_are_spent()
        if self.has_news():
            self.task = self.cast.task(self.task_id)
            self.updates_are_those_of_the_events()
            self.models_are_averages()
            self.money_is_where_it_belongs()
            self.nobody_honest_loses_a_bond()

    def has_news(self) -> bool:
        """Whether the chain says anything that it did not say at the last look: without a transaction nothing moves."""
        ledger = self.chain.rpc.ledger  # type: ignore[attr-defined]
        number, known = self.judged
        self.judged = (ledger.head.number, ledger.head.hash)
        then = ledger.block(number)
        if then is None or then.hash != known:
            return True
        return any(ledger.block(each).transactions for each in range(number + 1, ledger.head.number + 1))

    def updates_are_those_of_the_events(self) -> None:
        """Nobody has two in a round, and the bitmaps of the running and the settled rounds say who has one."""
        places = {each.participant: each.index for each in self.federation.enrolments(self.task_id)}
        settled = {each.round: each.accepted for each in self.task.settled}
        for number in range(1, self.task.round + 1):
            said = [each for name in ("UpdateSubmitted", "UpdateRejected") for each in self.events(name, number)]
            bitmap = 0
            for each in sorted(said, key=lambda each: (each.block_number, each.log_index)):
                bit = 1 << places[self.by(each)]
                assert bool(bitmap & bit) is (each.name != "UpdateSubmitted"), f"{each.name}, with {bitmap:b} before"
                bitmap ^= bit
            if number in settled:
                assert settled[number] == bitmap
                for each in said:
                    if each.name == "UpdateSubmitted" and bitmap >> places[self.by(each)] & 1:
                        update = point_bytes(each.args["submission"][0])
                        assert update not in self.wrong, "a round was settled with a proof that does not hold"
            elif number == self.task.round:
                assert self.task.accepted == bitmap

    def models_are_averages(self) -> None:
        """Each settled model is what FedAvg in plain integers makes of exactly the accepted updates."""
        deployment, model = self.cast.deployment, self.start
        participants = [each.participant for each in self.federation.enrolments(self.task_id)]
        for made in self.task.settled:
            if made.new_model is None:
                continue
            members = [who for k, who in enumerate(participants) if made.accepted >> k & 1]
            model = self.average(model, members)
            assert deployment.srs.commit(model_vector(deployment.plan, model.layers)) == made.new_model

    def average(self, model: GlobalModel, members: Sequence[str]) -> GlobalModel:
        plan = self.cast.deployment.plan
        total, count = np.zeros(plan.model.parameters, dtype=np.int64), 0
        for seat in self.arena.seats:
            opened = seat.participant.opened
            if seat.participant.account.address in members:
                key = (model.weights.tobytes(), seat.participant.account.address)
                if key not in self.made_models:
                    trace = exact.train(plan, opened.features, opened.mask, opened.labels, model.layers)  # type: ignore[arg-type]
                    self.made_models[key] = plan.model.flatten(trace.update)
                total += opened.rows * self.made_models[key]
                count += opened.rows
        return model.moved(divide(total, count)[0])

    def masks_are_counted_before_they_are_spent(self) -> None:
        """What has left a participant opens its masked dataset no more often than it has saved, and than masks hide."""
        for each in self.cast.participants:
            mine = each.state.get("enrolments", {}).get(str(self.task_id), {"spent": 0})
            assert len(self.published[each.address]) <= mine["spent"] < self.task.params.mask_count

    def money_is_where_it_belongs(self) -> None:
        task = self.task
        bonded = sum(self.federation.is_bonded(self.task_id, each.address) for each in self.cast.participants)
        held = self.balance(self.federation.address) - self.kept[self.federation.address]
        assert held == task.escrow + bonded * ENROL_BOND
        stakes = [self.committee.stake(self.task_id, each.address) for each in self.cast.workers]
        found = [self.committee.complaint(each.complaint) for each in self.committee.complaints(self.task_id)]
        unsettled = sum(each is not None and not each.settled for each in found)
        due = stakes.count(Stake.BONDED) * WORKER_BOND + unsettled * ENROL_BOND + self.all_credit() - self.credit
        assert self.balance(self.committee.address) - self.kept[self.committee.address] == due

    def nobody_honest_loses_a_bond(self) -> None:
        """A worker never; a participant as long as its bond is in the task, unless it could not answer."""
        for each in self.cast.workers:
            if not self.is_liar(each):
                assert self.committee.stake(self.task_id, each.address) is not Stake.SLASHED, f"{each.name} is slashed"
        if self.task.stage is not Stage.ENDED:
            enrolled = {each.participant for each in self.federation.enrolments(self.task_id)}
            for each in self.cast.participants:
                if each.address in enrolled and each.name not in self.excused:
                    assert self.federation.is_bonded(self.task_id, each.address), f"{each.name} lost its bond"

    def no_act_failed_unexpectedly(self) -> None:
        for each in self.cast.players:
            for event, fields in each.notes.lines[self.seen_notes.get(each.name, 0) :]:
                self.done[event] += 1
                assert not isinstance(fields.get("error"), UnexpectedError), f"{each.name}: {fields}"
            self.seen_notes[each.name] = len(each.notes.lines)

    # -- the end --

    def end_well(self) -> None:
        """Without further faults everything comes to its end."""
        self.deaths, self.lost, self.cut, self.doomed = {}, "", "", ""
        for each in self.cast.players:
            each.awake = True
        for number in range(900):
            self.pass_blocks(1, number)
            stage = self.stage()
            if stage is Stage.ENROLLING and self.cast.task(self.task_id).enrolled == 3:
                self.federation.open_round(self.arena.world.operator, self.task_id)
            if stage is Stage.ENDED and self.cast.is_done(self.task_id) and self.is_paid():
                break
        else:
            raise AssertionError(f"no end: {[(each.name, each.notes.lines[-4:]) for each in self.cast.players]}")
        self.all_promises_hold()
        self.done["settled"] += len(self.task.settled)
        self.done["stalled"] += sum(each.leader is None for each in self.task.settled)
        for each in self.cast.participants:
            if not self.is_liar(each):
                won = self.balance(each.address) - self.before[each.name]
                bond_back = each.name not in self.excused
                assert won >= self.rewards(each) - (0 if bond_back else ENROL_BOND * self.removed(each))
        for each in self.cast.workers:
            if not self.is_liar(each):
                assert self.committee.stake(self.task_id, each.address) in (Stake.RELEASED, Stake.NONE)
        self.junk_was_complained_of()
        manifest = Manifest(True, self.chain.chain_id, self.arena.world.deployments, self.task_id)
        found = audit.Audit(Silent())
        audit._audit(self.chain, manifest, self.cast.deployment.store, found)
        assert found.checks

    def junk_was_complained_of(self) -> None:
        """By the worker that it was for, in each round that came to its freeze, as long as that one had its store."""
        worker = self.cast.workers[1]
        if worker.name in self.excused or self.is_liar(worker) or self.lost_once:
            return
        said = {(each.participant, each.round) for each in self.committee.complaints(self.task_id)}
        settled = {each.round for each in self.task.settled}
        due = {each for each in self.spoilt if each[1] in settled}
        due = {
            each for each in due if any(self.by(event) == each[0] for event in self.events("UpdateSubmitted", each[1]))
        }
        self.done["junk"] += len(due)
        assert due <= said, "a share that does not open was not complained of"

    def is_paid(self) -> bool:
        return not any(any(self.federation.claimable(self.task_id, each.address)) for each in self.cast.participants)

    def rewards(self, player: Player) -> int:
        mine = [each for each in self.federation.enrolments(self.task_id) if each.participant == player.address]
        return sum(
            REWARD // made.total_rows * seat.rows
            for made in self.task.settled
            for seat in mine
            if made.accepted >> seat.index & 1
        )

    def removed(self, player: Player) -> int:
        rounds = range(1, self.task.round + 1)
        return sum(self.by(each) == player.address for k in rounds for each in self.events("UpdateRemoved", k))


def deceive(monkeypatch: pytest.MonkeyPatch, arena: Arena) -> None:
    """Put the store's faults, the liars and the watchers between the nodes and what they use."""
    store, chain = arena.world.deployment.store, arena.world.chain
    get, put, broadcast = store.get, store.put, chain.broadcast
    make, shares, summed = Participant._make, participant_node.seal_shares, Worker.share_sum

    def getting(blob: str, **options: Any) -> bytes:
        Machine.live.may_get(blob)
        return get(blob, **options)

    def putting(data: bytes) -> Any:
        live = Machine.live
        if live.current and live.current == live.cut:
            raise StorageError("no route")
        blob = put(data)
        if live.current:
            live.stored(str(blob))
        return blob

    def sending(transaction: SignedTransaction) -> None:
        """What is sent once: by nodes alone."""
        live = Machine.live
        state = live.named(live.current).state
        saved = [*state.get("outbox", {}).values(), *(raw for raws in state.get("outbid", {}).values() for raw in raws)]
        if transaction.raw.hex() not in saved:
            live.unsaved.append(f"{live.current}: a transaction")
        federation = arena.world.federation
        if transaction.to == federation.address:
            call, arguments = federation.contract.decode_function_input(transaction.data)
            if call.fn_name == "submitUpdate":
                live.published[transaction.sender].add(arguments["submission"]["proof"]["y"])
                if len(live.published[transaction.sender]) > state.get("enrolments")[str(live.task_id)]["spent"]:
                    live.unsaved.append(f"{live.current}: a mask")
        broadcast(transaction)

    def making(self: Participant, *arguments: Any) -> Any:
        update, seconds = make(self, *arguments)
        if self.account.address == Machine.live.bad_proofs:
            update = replace(update, proof=replace(update.proof, y=(update.proof.y + 1) % _core.MODULUS))
            Machine.live.wrong.add(update.update)
        if self.account.address == Machine.live.junk:
            Machine.live.spoilt.add((self.account.address, arguments[1]))
        return update, seconds

    def sealing(sharing: Sharing, keys: list[bytes], context: bytes) -> list[bytes]:
        live = Machine.live
        out = shares(sharing, keys, context)
        if live.junk and live.junk == live.named(live.current).address:
            # of the right length, for the auditor sees that much
            out[1] = seal(keys[1], sharing.shares[1].encode(), b"another context")
        return out

    def summing(self: Worker, task: TaskInfo, number: int, updates: Sequence[Update], *rest: Any) -> Output:
        output = summed(self, task, number, updates, *rest)
        members = _core.keccak256(b"".join(each.update for each in updates))
        Machine.live.released[self.account.address, task.model].add(members)
        if self.account.address == Machine.live.liar:
            values = output.values.copy()
            values[0] = _core.fr_random(1)[0]
            return replace(output, values=values)
        return output

    monkeypatch.setattr(store, "get", getting)
    monkeypatch.setattr(store, "put", putting)
    monkeypatch.setattr(chain, "broadcast", sending)
    monkeypatch.setattr(Participant, "_make", making)
    monkeypatch.setattr(participant_node, "seal_shares", sealing)
    monkeypatch.setattr(Worker, "share_sum", summing)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody cuts the power here
    opened = Journal.__init__

    def opening(self: Journal, *arguments: Any) -> None:
        opened(self, *arguments)
        self._db.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(Journal, "__init__", opening)


def play(arena: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All plays of a run."""
    done: Counter[str] = Counter()
    deceive(monkeypatch, arena)
    try:
        plays.play(Machine, EXAMPLES, STEPS, STEPS - 6, SEED, arena=arena, folder=tmp_path, done=done)
    finally:
        print(sorted(done.items()))


@pytest.mark.slow
def test_no_bad_luck_breaks_a_promise(stage: Arena, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(stage, tmp_path, monkeypatch)
