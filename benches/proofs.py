"""Proofs of the four statements for the reference class of 256 rows x 31 columns, as a node makes them.

    .venv/bin/python benches/proofs.py

A proof's time counts everything from the witness on: assigning wires, the commitment D, the challenges, Groth16, and
the opening of the link. Constraints and domains are those of the keys that prove.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from _measure import Figure, options, show, timed

from fedproof.app.demo import GRANT_SECONDS, DemoOptions, enter_market, open_task
from fedproof.app.keyring import Keyring, default_cache
from fedproof.app.report import Costs
from fedproof.app.telling import Silent
from fedproof.app.world import build, create_folder
from fedproof.data import Schema, capacity_rows, split
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.nodes.params import TIER_TRAINING
from fedproof.nodes.worker import Worker

LIMITS = {"eligibility": 0.5, "training": 2.5}
MAX_TRAINING_CONSTRAINTS = 32_000


def main() -> None:
    """Measure."""
    chosen = options("proofs of the four statements, 256 rows x 31 columns", repeat=7)
    with tempfile.TemporaryDirectory() as base:
        rounds = chosen.repeat + 1
        demo = DemoOptions(folder=Path(base) / "run", rounds=rounds)
        parts = split(demo.load(), demo.participants, demo.seed)
        rows = capacity_rows(parts.parts)
        schema = Schema.from_public(parts.test, rows)
        plan = TrainingPlan.of(TrainingSpec(rows, schema.columns, mask_count=rounds + 5))
        create_folder(demo.folder)
        world = build(demo.folder, plan, Keyring(default_cache()), None, Silent())
        costs = Costs()
        try:
            seats = [enter_market(world, k, part, schema, costs, Silent()) for k, part in enumerate(parts.parts, 1)]
            holder = seats[0].holder
            figures = [
                timed(
                    "eligibility proof, two notes",
                    lambda: holder.prove_eligibility(1, TIER_TRAINING, GRANT_SECONDS),
                    chosen.repeat,
                    LIMITS["eligibility"],
                ),
                Figure("listing proof", "s", costs.prove["listing"]),
            ]
            workers = [
                Worker(
                    world.deployment, world.federation, world.chain.new_account(f"w{k}"), world.state("worker", f"w{k}")
                )
                for k in range(demo.workers)
            ]
            training = Figure("training proof, one epoch", "s", at_most=LIMITS["training"])
            aggregation = Figure("aggregation proof", "s")
            task, model = open_task(demo, world, parts, schema, workers, Silent())
            for seat in seats:
                seat.participant.enrol(task)
            world.federation.open_round(world.operator, task.task_id)
            for number in range(1, rounds + 1):
                task = world.federation.task_info(task.task_id)
                sent = [seat.participant.train(task, number, model) for seat in seats]
                training.samples += [each.seconds["prove"] for each in sent] if number > 1 else []
                world.chain.wait_until_block(world.federation.freeze_block(task.task_id))
                updates = world.federation.updates(task.task_id, number)
                outputs = {k: w.output(task, number, updates, workers[0].hpke_public) for k, w in enumerate(workers, 1)}
                result = workers[0].reconstruct(task, number, updates, model, outputs)
                proof = timed("", lambda: workers[0].aggregate(task, number, updates, result), 1)  # noqa: B023
                aggregation.samples += proof.samples
                aggregate = workers[0].aggregate(task, number, updates, result)
                workers[0].finalize(task, updates, aggregate)
                model = replace(result.model)
            figures += [training, aggregation]
            for name, made in world.figures.items():
                bound = MAX_TRAINING_CONSTRAINTS if name == "training" else None
                figures.append(Figure(f"{name}: constraints", "", [made.constraints], at_most=bound))
                figures.append(Figure(f"{name}: domain", "", [made.domain]))
        finally:
            world.close()
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
