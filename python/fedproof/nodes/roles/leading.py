"""What a worker does from the freeze on: its output, the sum, the proof, the settlement, and who has lied (protocol,
section 6).

Every worker seals its output to every member, so that any of them may lead. They take turns: the first is another one
in every round, and when it has not settled the round after its slot, the next one does; two at once do no harm, for the
chain takes one. Who finds an output that is not the sum of its worker's shares says so, and t + 1 of them slash it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from fedproof import _core
from fedproof.errors import SealingError, SharingError, StateError, StorageError
from fedproof.ledger import SignedTransaction
from fedproof.ledger.committee import Posted
from fedproof.ledger.federation import Federation, SettledRound, TaskInfo, Update
from fedproof.nodes.checkpoints import checkpoint
from fedproof.nodes.models import current_model, made_by, settled_model
from fedproof.nodes.outbox import forget, forget_under, send_once
from fedproof.nodes.roles.acts import Acts
from fedproof.nodes.worker import Sum, Worker
from fedproof.sharing import Output, ReceivedShare

ROUNDS_KEPT: Final = 4
"""Rounds whose outputs stay in memory."""
MOST_OUTPUTS: Final = 16
"""Of one worker in a round that anybody looks at: the first one that is right is enough."""
MOST_AT_ONCE: Final = 2
"""Of one worker that are opened in a step, before leading and other tasks."""


@dataclass
class Outputs:
    """What this worker knows of the outputs of one round, by worker index."""

    good: dict[int, Output] = field(default_factory=dict)
    bad: set[int] = field(default_factory=set)
    blobs: set[tuple[int, bytes]] = field(default_factory=set)


class Leading:
    """One worker's part after the freeze. `seen` is the federation at a depth, to decide by.

    Args:
        slot: blocks that a leader has before the next one begins.
        may_lead: whether this worker adds up, proves and settles at all.
    """

    def __init__(self, worker: Worker, seen: Federation, acts: Acts, slot: int, may_lead: bool) -> None:
        self._worker = worker
        self._seen = seen
        self._acts = acts
        self._slot = slot
        self._may_lead = may_lead
        self._outputs: dict[tuple[int, int], Outputs] = {}
        self._guarded: set[tuple[int, int]] = set()
        self._shares: dict[int, tuple[int, dict[str, ReceivedShare]]] = {}

    def undone(self) -> None:
        """The chain took blocks back: an output may have been of another set."""
        self._outputs.clear()
        self._guarded.clear()
        self._shares.clear()

    def turn(self, task: TaskInfo, round_number: int) -> int:
        """This worker's place in the order of leaders of a round, from 0."""
        return (self._worker.index_in(task) - round_number) % len(task.workers)

    def _lead_at(self, task: TaskInfo, round_number: int) -> int:
        """When it is this worker's turn to lead the running round."""
        return task.freeze_at + self.turn(task, round_number) * self._slot

    def frozen(
        self, task: TaskInfo, updates: list[Update], shares: dict[str, ReceivedShare], *, release: bool = True
    ) -> None:
        """The set is final at depth: release the output, look at those of others, and lead when it is time."""
        self._shares[task.task_id] = (task.round, shares)
        if release:
            self._release(task, updates, shares)
        known = self._outputs.setdefault((task.task_id, task.round), Outputs())
        led = self._lead_if_due(task, updates, known)  # whatever else was posted
        self._collect(task, task.round, updates)
        self._accuse(task, task.round, known)
        if not led:
            self._lead_if_due(task, updates, known)

    def _lead_if_due(self, task: TaskInfo, updates: list[Update], known: Outputs) -> bool:
        """Lead when it is time and enough outputs are good; returns whether it was."""
        due = self._lead_at(task, task.round)
        if not self._may_lead:
            return True
        if self._acts.block < due:
            self._acts.wake_at(due)
            return False
        if len(known.good) <= task.threshold:
            return False
        self._acts.do(f"lead/{task.task_id}/{task.round}", lambda: self._lead(task, updates, known))
        return True

    def settled(self, task: TaskInfo) -> None:
        """Look at the outputs and models of rounds that are done, the last few of them."""
        for made in task.settled[-ROUNDS_KEPT:]:
            key = (task.task_id, made.round)
            if key not in self._outputs and task.stage.name != "ENDED":
                continue  # another process looked at them
            known = self._collect(task, made.round, None)
            self._accuse(task, made.round, known)
        for stale in [key for key in self._outputs if key[0] == task.task_id and key[1] < task.round - ROUNDS_KEPT]:
            del self._outputs[stale]

    def guard_model(self, task: TaskInfo) -> None:
        """When the model of the last settled round cannot be had from where its leader put it, put it there again."""
        made = [each for each in task.settled if each.new_model is not None]
        if not made:
            return
        last = made[-1]
        if (task.task_id, last.round) in self._guarded:
            return
        due = last.block_number + (1 + self.turn(task, last.round)) * self._slot
        fetch = partial(self._acts.fetch, due=(due, self._lead_at(task, task.round)))
        try:
            settled_model(self._worker.deployment, self._seen, task, last, fetch)
        except StorageError:
            self._release_again(task, last)
            if self._acts.block < due:
                return self._acts.wake_at(due)
            self._acts.do(f"announce/{task.task_id}/{last.round}", lambda: self._announce(task, last))
        else:
            self._guarded.add((task.task_id, last.round))
            self._shares.pop(task.task_id, None)
            forget(self._worker.state, f"announce/{task.task_id}/{last.round}")
        return None

    # -- outputs --

    def _release(self, task: TaskInfo, updates: list[Update], shares: dict[str, ReceivedShare]) -> None:
        me = self._worker.account.address
        # of this set: in another fork it may have been another, and an output of that would pass for a lie
        members = _core.keccak256(b"".join(each.update for each in updates)).hex()[:16]
        name = f"output/{task.task_id}/{task.round}/{members}"
        if self._seen.committee.outputs(task.task_id, round=task.round, worker=me):
            return
        if self._worker.federation.committee.outputs(task.task_id, round=task.round, worker=me):
            return self._acts.wake_at(self._acts.block + 1)  # posted, nearer to the head
        missing = [each.participant for each in updates if each.participant not in shares]
        if missing:
            return self._acts.tell_once(
                "output.impossible", task=task.task_id, round=task.round, participant=missing[0]
            )
        due = task.freeze_at + task.params.settle_blocks // 2  # with time left for a leader
        self._acts.do(name, lambda: self._post(task, updates, shares, name), due=(self._lead_at(task, task.round), due))
        return None

    def _release_again(self, task: TaskInfo, made: SettledRound) -> None:
        """Post the output of a round that was settled before this worker's came, for its model is withheld.

        Who finalizes a round with the first outputs may name any blob in the place of the model's: t + 1 outputs make
        the model again, and t of them may be silent.
        """
        at, me, committee = made.block_number + self._slot, self._worker.account.address, self._seen.committee
        if self._acts.block < at:
            return self._acts.wake_at(at)
        if task.ended_at and self._acts.block >= task.outputs_until:
            return None
        for each in (committee, self._worker.federation.committee):
            if each.outputs(task.task_id, round=made.round, worker=me):
                return None
        before = made_by(task, made.round)
        model = task.params.model if before is None or before.new_model is None else before.new_model
        past = replace(task, round=made.round, model=model)  # as the round began: its sum is bound to that model
        updates = self._seen.updates(task.task_id, made.round)
        number, shares = self._shares.get(task.task_id, (0, {}))
        known = shares if number == made.round else {}
        members = _core.keccak256(b"".join(each.update for each in updates)).hex()[:16]
        name = f"output/{task.task_id}/{made.round}/{members}"
        last = task.outputs_until - 2 if task.ended_at else 0
        self._acts.do(name, lambda: self._post(past, updates, known, name), due=(last,))
        return None

    def _post(self, task: TaskInfo, updates: list[Update], shares: dict[str, ReceivedShare], name: str) -> None:
        worker, chain = self._worker, self._worker.federation.chain

        def prepare() -> SignedTransaction:
            index_id = worker.publish_output(task, task.round, updates, shares)
            checkpoint("published")
            call = worker.federation.committee.post_output_call(
                task.task_id, task.round, index_id, self._seen.chain.anchor
            )
            return chain.prepare(call, worker.account)

        send_once(chain, worker.state, name, prepare)
        forget_under(worker.state, f"output/{task.task_id}/{task.round - 1}/")
        self._acts.diary.info("output.posted", task=task.task_id, round=task.round, updates=len(updates))

    def _collect(self, task: TaskInfo, round_number: int, updates: Sequence[Update] | None) -> Outputs:
        """Open posted outputs that were not opened yet: of each worker a few in a step and not many in all, for a post
        costs its worker a little gas, and everybody who looks at it a download. Each has a bounded size."""
        known = self._outputs.setdefault((task.task_id, round_number), Outputs())
        places = {each.address: place for place, each in enumerate(task.workers, 1)}
        newest = self._seen.committee.outputs(task.task_id, round=round_number)[::-1]
        opened = Counter(place for place, _ in known.blobs)
        now: Counter[int] = Counter()
        # of many by one worker the one that was asked for least, and of those the newest: it may be a correction
        for posted in sorted(newest, key=lambda each: self._acts.tries(_blob(task, round_number, each))):
            place = places[posted.worker]
            key = (place, posted.content_id)
            if key in known.blobs or place in known.bad or opened[place] + now[place] >= MOST_OUTPUTS:
                continue
            if now[place] >= MOST_AT_ONCE:
                self._acts.wake_at(self._acts.block + 1)
                continue
            if updates is None:
                updates = self._seen.updates(task.task_id, round_number)
            if self._open(task, round_number, updates, posted, place, known):
                known.blobs.add(key)
                now[place] += 1
        return known

    def _open(
        self, task: TaskInfo, round_number: int, updates: Sequence[Update], posted: Posted, place: int, known: Outputs
    ) -> bool:
        """Open one output; False when it should be tried again."""
        over = task.accusable_until
        try:
            sealed = self._acts.fetch(
                _blob(task, round_number, posted),
                lambda: self._worker.sealed_output(task, posted.content_id),
                by=f"output/{task.task_id}/{round_number}/{place}",
                due=(self._lead_at(task, round_number), over - self._slot, over - 1),
            )
            known.good[place] = self._worker.open_output(task, round_number, updates, place, sealed)
        except StorageError:
            return False  # a blob that does not come is silence, and silence is no lie
        except (SealingError, SharingError):
            known.bad.add(place)
            self._acts.diary.warning("output.wrong", task=task.task_id, round=round_number, worker=place)
        return True

    def _accuse(self, task: TaskInfo, round_number: int, known: Outputs) -> None:
        committee, me = self._seen.committee, self._worker.account.address
        for place in sorted(known.bad):
            liar = task.workers[place - 1].address
            name = f"accuse/{task.task_id}/{round_number}/{place}"
            said = any(each.by == me for each in committee.accused(task.task_id, round=round_number, worker=liar))
            if said:
                forget(self._worker.state, name)
                continue
            if task.ended_at and self._acts.block >= task.accusable_until:
                continue
            last = task.accusable_until if task.ended_at else 0
            self._acts.do(
                name,
                lambda liar=liar, n=name: self._send_accusation(task, round_number, liar, n),  # type: ignore[misc]
                due=(last - self._slot, last - 2),
            )

    def _send_accusation(self, task: TaskInfo, round_number: int, liar: str, name: str) -> None:
        federation, account = self._worker.federation, self._worker.account
        call = federation.committee.accuse_call(task.task_id, round_number, liar)
        send_once(federation.chain, self._worker.state, name, lambda: federation.committee.prepare([call], account))
        self._acts.diary.warning("worker.accused", task=task.task_id, round=round_number, worker=liar)

    # -- the leader --

    def _sum(self, task: TaskInfo, round_number: int, updates: Sequence[Update], known: Outputs) -> Sum:
        model = current_model(self._worker.deployment, self._seen, task, round_number, self._acts.fetch)
        return self._worker.combine(task, updates, model, [known.good[place] for place in sorted(known.good)])

    def _lead(self, task: TaskInfo, updates: list[Update], known: Outputs) -> None:
        worker, chain = self._worker, self._worker.federation.chain
        name = f"finalize/{task.task_id}/{task.round}"

        def prepare() -> SignedTransaction:
            if worker.federation.task_info(task.task_id).round != task.round:
                raise StateError(f"round {task.round} of task {task.task_id} is settled already")
            result = self._sum(task, task.round, updates, known)
            checkpoint("summed")
            aggregate = worker.aggregate(task, task.round, updates, result)
            worker.check_aggregate(task, task.round, updates, aggregate)
            checkpoint("aggregated")
            return chain.prepare(worker.federation.finalize_round_call(task, updates, aggregate), worker.account)

        self._verify_part(task, updates)
        send_once(chain, worker.state, name, prepare)
        forget(worker.state, f"finalize/{task.task_id}/{task.round - 1}")
        self._acts.diary.info("round.finalized", task=task.task_id, round=task.round, updates=len(updates))

    def _verify_part(self, task: TaskInfo, updates: list[Update]) -> None:
        """The first updates of a large round. Whoever sends it, there is one: another leader may have been faster."""
        federation, account, state = self._worker.federation, self._worker.account, self._worker.state
        name = f"part/{task.task_id}/{task.round}"
        if federation.needs_part(task, updates):
            chain = federation.chain
            send_once(chain, state, name, lambda: chain.prepare(federation.verify_part_call(task, updates), account))
            self._acts.diary.info("round.part", task=task.task_id, round=task.round)
        forget(state, name)

    def _announce(self, task: TaskInfo, made: SettledRound) -> None:
        worker, chain = self._worker, self._worker.federation.chain
        updates = self._seen.updates(task.task_id, made.round)
        known = self._collect(task, made.round, updates)
        if len(known.good) <= task.threshold:
            raise SharingError(f"only {len(known.good)} good outputs of round {made.round} are at hand")
        result = self._sum(task, made.round, updates, known)
        if worker.model_commitment(result.model) != made.new_model:
            raise SharingError(f"the outputs of round {made.round} give another model than the chain has")
        content_id = bytes.fromhex(worker.deployment.store.put(result.model.encode()))
        if content_id == made.content_id:
            return  # it is where the leader said
        call = worker.federation.committee.announce_model_call(task.task_id, made.round, content_id)
        name = f"announce/{task.task_id}/{made.round}"
        send_once(chain, worker.state, name, lambda: chain.prepare(call, worker.account))
        self._acts.diary.warning("model.announced", task=task.task_id, round=made.round)


def _blob(task: TaskInfo, round_number: int, posted: Posted) -> str:
    return f"output {posted.content_id.hex()} of {posted.worker} in round {round_number} of task {task.task_id}"
