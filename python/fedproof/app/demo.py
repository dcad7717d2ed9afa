"""`fedproof demo`: one whole task on one machine. Every role runs its real node; only the process is shared."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedproof.app.keyring import Keyring, default_cache
from fedproof.app.report import RoundFigures, build_report, peak_rss_mb
from fedproof.app.telling import Teller
from fedproof.app.world import MANIFEST_VERSION, World, build, create_folder, write_json
from fedproof.data import Parts, Schema, capacity_rows, load, split
from fedproof.errors import FedproofError, InputError, LedgerError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.metrics import accuracy, log_loss
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger import Account, Receipt
from fedproof.ledger.federation import Member, TaskInfo, TaskTerms
from fedproof.nodes.holder import Holder
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.participant import Participant
from fedproof.nodes.provider import Provider
from fedproof.nodes.worker import Worker
from fedproof.proving.linked import check_linked, check_plain
from fedproof.statements.vectors import weight_vector

TOKEN = 10**18
#: base units to have locked for tiers 0 to 5
THRESHOLDS = (0, 100 * TOKEN, 500 * TOKEN, 1_000 * TOKEN, 2_500 * TOKEN, 10_000 * TOKEN)
REWARD_PER_ROUND = 300 * TOKEN
BOND = 50 * TOKEN
GRANT_SECONDS = 90 * 86_400
FREEZE_BLOCKS, SUBMIT_BLOCKS, SETTLE_BLOCKS = 5, 200, 100


@dataclass(frozen=True)
class DemoOptions:
    """What the command takes; see its help."""

    folder: Path
    participants: int = 3
    rounds: int = 5
    workers: int = 3
    threshold: int = 1
    seed: int = 1
    data: str = "breast-cancer"
    label: str | None = None
    positive: str | None = None
    rpc: str | None = None
    cache: bool = True

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


@dataclass
class Seat:
    """One participant with its provider."""

    provider: Provider
    holder: Holder
    participant: Participant
    rows: int


@dataclass
class Costs:
    """Prove and verify seconds, gas and bytes of one proof of each statement, as they come."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    verify: dict[str, list[float]] = field(default_factory=dict)
    gas: dict[str, list[int]] = field(default_factory=dict)
    size: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, prove: float, verify: float, gas: int, size: int) -> None:
        """Note one proof."""
        self.seconds.setdefault(name, []).append(prove)
        self.verify.setdefault(name, []).append(verify)
        self.gas.setdefault(name, []).append(gas)
        self.size[name] = size


def run_demo(options: DemoOptions, teller: Teller) -> dict[str, Any]:
    """Play the task and return its report (see `report.py`).

    Raises:
        FedproofError: any step that does not hold; nothing is passed over.
    """
    started = time.perf_counter()
    options.check()
    table = load(options.data, options.label, options.positive)
    parts = split(table, options.participants, options.seed)
    rows = capacity_rows(parts.parts)
    schema = Schema.from_public(parts.test, rows)
    spec = TrainingSpec(rows, schema.columns, mask_count=max(9, options.rounds + 5))
    create_folder(options.folder)
    teller.step(
        f"{table.name}: {table.rows} rows, {len(table.feature_names)} features; "
        f"{parts.test.rows} public for testing, private parts of {', '.join(str(p.rows) for p in parts.parts)} rows"
    )
    keyring = Keyring(default_cache() if options.cache else None, teller.doing)
    world = build(options.folder, parts, schema, spec, keyring, options.rpc, teller)
    try:
        return _play(options, world, parts, schema, teller, started)
    except FedproofError as error:
        error.add_note(f"run folder: {options.folder}")
        raise
    finally:
        world.close()


def _play(options: DemoOptions, world: World, parts: Parts, schema: Schema, teller: Teller, started: float) -> dict[str, Any]:
    costs = Costs()
    seats = [_enter_market(world, number, part, schema, costs, teller) for number, part in enumerate(parts.parts, 1)]
    workers = [
        Worker(world.deployment, world.federation, world.chain.new_account(f"worker-{k}"), world.state("worker", f"worker-{k}"))
        for k in range(1, options.workers + 1)
    ]
    task, model = _open_task(options, world, parts, schema, workers, teller)
    for seat in seats:
        seat.participant.enrol(task.task_id)
    teller.step(f"task {task.task_id}: {len(seats)} datasets enrolled, each behind fresh masks")
    opening = world.federation.open_round(world.operator, task.task_id)

    figures: list[RoundFigures] = []
    models = [model]
    for number in range(1, options.rounds + 1):
        played = _round(world, seats, workers, number, models[-1], parts, schema, costs, teller)
        if number == 1:
            played.gas["open"] = opening.gas_used
            played.tx["open"] = opening.tx_hash
        models.append(played.model)
        figures.append(played)
    claims = {seat.participant.account.address: world.federation.claim(seat.participant.account, task.task_id) for seat in seats}
    teller.step(f"rewards claimed: {', '.join(f'{claim.reward / TOKEN:.2f}' for claim in claims.values())} tokens by proven rows")
    world.federation.refund(world.operator, task.task_id)
    _write_public(world, options, task)

    from fedproof.app.audit import audit_run

    audit = audit_run(options.folder, teller)
    report = build_report(
        options=options,
        world=world,
        parts=parts,
        schema=schema,
        rounds=figures,
        costs=costs,
        start=models[0],
        audit=audit.to_json(),
        seconds=time.perf_counter() - started,
        peak_rss_mb=peak_rss_mb(),
    )
    write_json(options.folder / "report.json", report)
    return report


def _enter_market(world: World, number: int, part: Any, schema: Schema, costs: Costs, teller: Teller) -> Seat:
    """List one hospital's part, prove one participant's eligibility, deliver the key and open the records."""
    chain, d = world.chain, world.deployment
    market = d.market
    teller.doing(f"hospital {number}: listing proof")
    provider = Provider(d, chain.new_account(f"hospital-{number}"), world.state("provider", f"hospital-{number}"))
    begun = time.perf_counter()
    minted = provider.list_dataset(part, schema, THRESHOLDS)
    took = time.perf_counter() - begun
    verify = _timed_listing(world, minted, provider)
    costs.add("listing", provider.prove_seconds, verify, world.chain.receipt(minted.tx_hash).gas_used, 256 + 64 + 64 + 32)
    teller.step(f"hospital {number}: {part.rows} rows listed as dataset {minted.dataset_id} with a listing proof ({took:.1f} s)")

    teller.doing(f"participant {number}: eligibility proof")
    account = chain.new_account(f"participant-{number}")
    holder = Holder(d, account, world.state("participant", f"participant-{number}"))
    _fund(world, account, [700 * TOKEN, 450 * TOKEN, BOND])
    for amount in (700 * TOKEN, 450 * TOKEN):
        holder.lock(amount, market.current_epoch() + 20)
    proof, public, prove = holder.timed_eligibility(minted.dataset_id, TIER_TRAINING, GRANT_SECONDS)
    begun = time.perf_counter()
    check_plain(d.keys["eligibility"].verifying, public, proof)
    verify = time.perf_counter() - begun
    granted = holder.take_grant(minted.dataset_id, GRANT_SECONDS, proof, public)
    costs.add("eligibility", prove, verify, world.chain.receipt(granted.tx_hash).gas_used, 256)
    delivered = provider.answer_grants()
    if len(delivered) != 1:
        raise LedgerError(f"hospital {number} answered {len(delivered)} grants where one was due")
    opened = holder.open_dataset(minted.dataset_id)
    teller.step(f"participant {number}: Tier {TIER_TRAINING} granted by a proof of balance ({prove:.2f} s); records opened and checked")
    return Seat(provider, holder, Participant(d, world.federation, account, holder.state, opened), opened.rows)
