"""`fedproof demo`: one whole task on one machine. Every role runs its real node; only the process is shared."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedproof.app.audit import audit_run
from fedproof.app.export import write_public
from fedproof.app.keyring import Keyring, default_cache
from fedproof.app.report import Costs, RoundFigures, build_report
from fedproof.app.startmodel import Start, first_model
from fedproof.app.taskmodel import RoundModel, load_model, model_names
from fedproof.app.telling import Stopwatch, Teller
from fedproof.app.training import TRAINED, Training, foreseen, learnt_little, model_text
from fedproof.app.world import World, build, create_folder, write_json
from fedproof.data import Parts, Schema, Table, capacity_rows, load, split
from fedproof.data.public import encode_table
from fedproof.errors import InputError, LedgerError, ProofError
from fedproof.learning.architecture import Model
from fedproof.learning.baseline import Float
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.local import Trainer
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plans import Plan, statement_text
from fedproof.learning.scoring import float_fedavg, score
from fedproof.ledger import Account, Receipt
from fedproof.ledger.federation import TaskInfo
from fedproof.nodes.holder import Holder
from fedproof.nodes.offering import Offering
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.participant import Participant
from fedproof.nodes.provider import Provider
from fedproof.nodes.worker import Worker
from fedproof.proving.linked import check_linked, check_plain
from fedproof.statements.models.vectors import model_vector
from fedproof.storage.content import content_id

TOKEN = 10**18
#: base units to have locked for tiers 0 to 5
THRESHOLDS = (0, 100 * TOKEN, 500 * TOKEN, 1_000 * TOKEN, 2_500 * TOKEN, 10_000 * TOKEN)
REWARD_PER_ROUND = 300 * TOKEN
BOND = 50 * TOKEN
NOTES = (700 * TOKEN, 450 * TOKEN)  # two notes that reach the Tier-3 threshold together, not alone
LOCK_EPOCHS = 20
GRANT_SECONDS = 90 * 86_400
PLAIN_PROOF_BYTES = 256
LINKED_PROOF_BYTES = 256 + 64 + 64 + 32  # A, B, C; D; Q; y
MODEL = "model.json"
FREEZE_BLOCKS, SUBMIT_BLOCKS, SETTLE_BLOCKS = 10, 200, 100


@dataclass(frozen=True)
class DemoOptions:
    """What the command takes; see its help."""

    folder: Path
    participants: int = 3
    rounds: int = 5
    workers: int = 3
    threshold: int = 1
    seed: int = 1
    model: str = "logistic"
    epochs: int = 1
    statement: str = TRAINED
    norm: float | None = None
    data: str | None = None
    label: str | None = None
    positive: str | None = None
    rpc: str | None = None
    cache: bool = True
    start: Start | None = None

    def check(self) -> None:
        """Refuse what no task can be.

        Raises:
            InputError: one line saying what to change.
        """
        if self.workers < 2 * self.threshold + 1:
            raise InputError(
                f"--threshold {self.threshold} needs at least {2 * self.threshold + 1} workers; "
                f"give --workers {2 * self.threshold + 1} or a lower threshold"
            )
        self.training.check_trainable()

    @property
    def training(self) -> Training:
        """What is trained; InputError where there is no such model."""
        return Training.parse(self.model, self.epochs, self.statement, self.norm)

    def load(self) -> Table:
        """The records, by default a set that fits the model."""
        training = self.training
        return load(self.data or training.data, self.label, self.positive, training.labels)


@dataclass
class Seat:
    """One participant with its provider."""

    provider: Provider
    holder: Holder
    participant: Participant
    rows: int


def run_demo(options: DemoOptions, teller: Teller) -> dict[str, Any]:
    """Play the task and return its report (see `report.py`).

    Raises:
        FedproofError: any step that does not hold; nothing is passed over.
    """
    options.check()
    table = options.load()
    parts = split(table, options.participants, options.seed)
    return play_parts(options, table.name, parts, teller)


def play_parts(options: DemoOptions, name: str, parts: Parts, teller: Teller) -> dict[str, Any]:
    """Play the task on records that are split already, one part for each participant; errors as `run_demo`."""
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    plan = options.training.plan(schema, parts.test, rows, max(9, options.rounds + 5))
    start = first_model(options.start, plan, schema, parts.test, options.seed, teller)
    return play_plan(options, name, parts, schema, plan, start, teller)[0]


def play_plan(
    options: DemoOptions,
    name: str,
    parts: Parts,
    schema: Schema,
    plan: Plan,
    start: GlobalModel,
    teller: Teller,
) -> tuple[dict[str, Any], tuple[GlobalModel, ...]]:
    """Play the task by a plan and from a model; the report, and the model after each round. Errors as `run_demo`."""
    started = time.perf_counter()
    create_folder(options.folder)
    teller.step(
        f"{name}: {parts.test.rows + sum(p.rows for p in parts.parts)} rows, {len(schema.features)} features; "
        f"{parts.test.rows} public for testing, private parts of {', '.join(str(p.rows) for p in parts.parts)} rows"
    )
    for line in foreseen(plan, schema, parts.test, start):
        teller.step(line)
    keyring = Keyring(default_cache() if options.cache else None, teller.doing)
    try:
        world = build(options.folder, plan, keyring, options.rpc, teller)
    except BaseException:
        shutil.rmtree(options.folder, ignore_errors=True)  # nothing has happened yet that it could hold
        raise
    try:
        return _play(options, world, name, parts, schema, start, teller, started)
    finally:
        world.close()


def _play(
    options: DemoOptions,
    world: World,
    name: str,
    parts: Parts,
    schema: Schema,
    start: GlobalModel,
    teller: Teller,
    started: float,
) -> tuple[dict[str, Any], tuple[GlobalModel, ...]]:
    costs = Costs()
    seats = [enter_market(world, number, part, schema, costs, teller) for number, part in enumerate(parts.parts, 1)]
    workers = []
    for number in range(1, options.workers + 1):
        role = f"worker-{number}"
        account = world.chain.new_account(role)
        workers.append(Worker(world.deployment, world.federation, account, world.state("worker", role)))
    task, start = open_task(options, world, parts, schema, workers, teller, start)
    world.task_id = task.task_id
    for seat in seats:
        seat.participant.enrol(task)
    teller.step(f"task {task.task_id}: {len(seats)} datasets enrolled, each behind fresh masks")
    opening = world.federation.open_round(world.operator, task.task_id)

    test = schema.standardise(parts.test.features), schema.standardise_labels(parts.test.labels)
    rounds: list[RoundFigures] = []
    for number in range(1, options.rounds + 1):
        model = rounds[-1].model if rounds else start
        rounds.append(play_round(world, seats, workers, number, model, test, costs, teller))
    plan = world.deployment.plan
    family = plan.model
    assert isinstance(family, Model)  # `check_trainable` refuses others
    for line in learnt_little(family, rounds[-1].scores, test[1]):
        rounds[-1].advice.append(line)
        teller.step(line)
    if opening is not None:
        rounds[0].gas_open, rounds[0].tx_open = opening.gas_used, opening.tx_hash
    paid = [world.federation.claim(seat.participant.account, task.task_id).reward for seat in seats]
    teller.step(f"rewards by listed rows claimed: {', '.join(f'{reward / TOKEN:.2f}' for reward in paid)} tokens")
    world.federation.refund(world.operator, task.task_id)
    _write_public(world)
    write_json(options.folder / MODEL, _last_model(world, task.task_id, schema))
    teller.step(f"the model, which --start takes, is in {options.folder / MODEL}")
    audit = audit_run(options.folder, teller, options.rpc)
    private = [(schema.standardise(part.features), schema.standardise_labels(part.labels)) for part in parts.parts]
    report = build_report(
        seed=options.seed,
        table=name,
        rows=parts.test.rows + sum(part.rows for part in parts.parts),
        features=len(schema.features),
        participants=options.participants,
        workers=options.workers,
        threshold=options.threshold,
        rounds=rounds,
        plan=plan,
        baseline=float_fedavg(family, private, start.real(), options.rounds, plan.epochs),
        test=test,
        figures=world.figures,
        costs=costs,
        audit=audit.to_json(),
        seconds=time.perf_counter() - started,
    )
    write_json(options.folder / "report.json", report)
    return report, tuple(played.model for played in rounds)


def _last_model(world: World, task_id: int, schema: Schema) -> dict[str, Any]:
    """The model of the last round, as `task model` writes it."""
    d, settled = world.deployment, world.federation.task_info(task_id).settled[-1]
    assert settled.new_model is not None
    names = model_names(world.federation, task_id, settled)
    model, name = load_model(d.store, d.srs, d.plan, names, settled.new_model, f"round {settled.round}")
    return RoundModel(task_id, settled.round, model, settled.new_model, name).to_json(
        schema, content_id(schema.encode())
    )


def enter_market(
    world: World,
    number: int,
    part: Table,
    schema: Schema,
    costs: Costs,
    teller: Teller,
    trainer: Trainer | None = None,
) -> Seat:
    """List one hospital's part, prove one participant's eligibility, deliver the key and open the records.

    Args:
        trainer: of the participant, as `Participant` takes it.
    """
    chain, d = world.chain, world.deployment
    teller.doing(f"hospital {number}: listing proof")
    provider = Provider(
        d.listing, chain.new_account(f"hospital-{number}"), world.state("provider", f"hospital-{number}")
    )
    listed = provider.list_dataset(Offering.of_table(part, schema, THRESHOLDS))
    assert listed.proof is not None  # nothing was interrupted
    assert listed.challenges is not None
    dataset = listed.minted.dataset_id
    with costs.verifying("listing"):
        vk = d.keys["listing"].verifying
        check_linked(vk, [listed.minted.rows], listed.challenges, listed.proof, [listed.minted.commitment])
    costs.add("listing", listed.prove_seconds, chain.receipt(listed.minted.tx_hash).gas_used, LINKED_PROOF_BYTES)
    teller.step(
        f"hospital {number}: {part.rows} rows listed as dataset {dataset}, listing proof {listed.prove_seconds:.2f} s"
    )

    teller.doing(f"participant {number}: eligibility proof")
    account = chain.new_account(f"participant-{number}")
    # Deposits come from an account of their own: the chain does not show whose deposit backs the grant.
    depositor = chain.new_account(f"participant-{number}-deposits")
    holder = Holder(d, account, world.state("participant", f"participant-{number}"), depositor)
    _fund(world, account, BOND)
    _fund(world, depositor, sum(NOTES))
    for amount in NOTES:
        holder.lock(amount, d.market.vault.current_epoch() + LOCK_EPOCHS)
    begun = time.perf_counter()
    proof, public = holder.prove_eligibility(dataset, TIER_TRAINING, GRANT_SECONDS)
    prove = time.perf_counter() - begun
    with costs.verifying("eligibility"):
        check_plain(d.keys["eligibility"].verifying, public, proof)
    granted = holder.take_grant(dataset, GRANT_SECONDS, proof, public)
    costs.add("eligibility", prove, chain.receipt(granted.tx_hash).gas_used, PLAIN_PROOF_BYTES)
    if len(provider.answer_grants()) != 1:
        raise LedgerError(f"hospital {number} did not answer the grant of participant {number}")
    opened = holder.open_dataset(dataset)
    teller.step(
        f"participant {number}: Tier {TIER_TRAINING} granted without showing a balance, proof {prove:.2f} s; "
        f"{opened.rows} sealed records opened and checked"
    )
    participant = Participant(d, world.federation, account, holder.state, opened, trainer=trainer)
    return Seat(provider, holder, participant, opened.rows)


def _fund(world: World, account: Account, amount: int) -> None:
    """Give marketplace tokens to an account, as a sale would."""
    world.chain.transact(world.deployment.market.token.functions.transfer(account.address, amount), world.operator)


def open_task(
    options: DemoOptions,
    world: World,
    parts: Parts,
    schema: Schema,
    workers: list[Worker],
    teller: Teller,
    start: GlobalModel | None = None,
) -> tuple[TaskInfo, GlobalModel]:
    """The sponsor describes, funds and opens the task, by default from the start of the seed."""
    d = world.deployment
    model = GlobalModel.start(d.plan, options.seed) if start is None else start
    description = TaskDescription(
        name=parts.test.name,
        schema=d.store.put(schema.encode()),
        test=d.store.put(encode_table(parts.test)),
        start=d.store.put(model.encode()),
        plan=d.plan,
        srs=d.store.put(d.srs.to_bytes()),
    )
    task = world.federation.open_task(
        world.operator,
        training_key=d.update_keys.verifying,
        aggregation_key=d.keys["aggregation"].verifying,
        spec_digest=d.plan.digest(),
        description=bytes.fromhex(d.store.put(description.encode())),
        model=d.srs.commit(model_vector(d.plan, model.layers)),
        class_id=d.class_id,
        rounds=options.rounds,
        mask_count=d.plan.mask_count,
        threshold=options.threshold,
        committee=[(worker.account.address, worker.hpke_public) for worker in workers],
        min_updates=2,
        max_participants=options.participants,
        submit_blocks=SUBMIT_BLOCKS,
        freeze_blocks=FREEZE_BLOCKS,
        settle_blocks=SETTLE_BLOCKS,
        reward_per_round=REWARD_PER_ROUND,
        enrol_bond=BOND,
    )
    teller.step(
        f"task {task.task_id}: {model_text(d.plan)}{_how(d.plan)}, {options.rounds} rounds; "
        f"{options.workers} workers, any {options.threshold} of them learn nothing"
    )
    teller.step(f"task {task.task_id} asks each update for a {statement_text(d.plan)}")
    return task, model


def _how(plan: Plan) -> str:
    """How a task is trained, where that is shown."""
    return "" if isinstance(plan, BoundedPlan) else ", SGD, rate 0.01, batch 32"


def play_round(
    world: World,
    seats: list[Seat],
    workers: list[Worker],
    number: int,
    model: GlobalModel,
    test: tuple[Float, Float],
    costs: Costs,
    teller: Teller,
) -> RoundFigures:
    """One round: train, share, seal, prove, submit; freeze; sum on shares; prove the average; settle."""
    federation = world.federation
    task = federation.task_info(world.task_id)
    watch = Stopwatch()
    out = RoundFigures(number)
    for seat in seats:
        teller.doing(f"round {number}: {seat.participant.account.name} trains and proves")
        sent = seat.participant.train(task, number, model)
        for name, seconds in sent.seconds.items():
            watch.seconds[name] = watch.seconds.get(name, 0.0) + seconds
        out.gas_submit.append(sent.receipt.gas_used)
        out.tx_submit.append(sent.receipt.tx_hash)
        for line in sent.advice:
            out.advice.append(f"{seat.participant.account.name}: {line}")
            teller.step(f"round {number}: {out.advice[-1]}")
        costs.add(world.deployment.plan.key_name, sent.seconds["prove"], sent.receipt.gas_used, LINKED_PROOF_BYTES)
    updates = federation.updates(task.task_id, number)
    for update in updates:
        with costs.verifying(world.deployment.plan.key_name):
            workers[0].check_update(task, number, update)

    with watch.timing("aggregate"):
        for worker in workers:
            rejected = worker.reject_invalid(task, number, updates)
            if rejected:
                raise ProofError(f"round {number}: an honest participant's update was rejected: {', '.join(rejected)}")
        world.chain.wait_until_block(federation.freeze_block(task.task_id))
        leader = workers[(number - 1) % len(workers)]
        outputs = {
            worker.index_in(task): worker.output(task, number, updates, leader.hpke_public) for worker in workers
        }
        result = leader.reconstruct(task, number, updates, model, outputs)
        begun = time.perf_counter()
        aggregate = leader.aggregate(task, number, updates, result)
        prove = time.perf_counter() - begun
    with costs.verifying("aggregation"):
        leader.check_aggregate(task, number, updates, aggregate)
    with watch.timing("settle"):
        part = leader.verify_part(task, updates)
        settled = leader.finalize(task, updates, aggregate)
    costs.add("aggregation", prove, settled.gas_used, LINKED_PROOF_BYTES)

    out.model = result.model
    family = result.model.model
    assert isinstance(family, Model)
    out.scores = score(family, result.model.real(), *test)
    out.updates_accepted = len(updates)
    out.seconds = watch.seconds
    out.gas_part = 0 if part is None else part.gas_used
    out.gas_finalize, out.tx_finalize = settled.gas_used, settled.tx_hash
    teller.step(
        f"round {number}: {len(updates)} updates settled, each with its proof, in {_transactions(part, settled)} gas; "
        f"{out.scores.line()}"
    )
    return out


def _transactions(part: Receipt | None, settled: Receipt) -> str:
    if part is None:
        return f"one transaction of {settled.gas_used:,}"
    return f"two transactions of {part.gas_used:,} and {settled.gas_used:,}"


def _write_public(world: World) -> None:
    """The chain and the pointers that an auditor starts from."""
    write_public(world.folder / "public", world.chain, world.deployments, world.task_id)
