"""What a task asks of an update, as one of two plans: proof of training, or the weaker bounded update.

Both have a capacity class, a model, scales, positions and one canonical form with its digest. The statement of a plan
names what its key proves, and its document tells which of the two it is: that of bounded updates says so in a field.
"""

from __future__ import annotations

import json
from typing import Final

from fedproof.errors import InputError
from fedproof.learning.canonical import LIMIT
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.plan import TrainingPlan

Plan = TrainingPlan | BoundedPlan

NO_PROOF_OF_TRAINING: Final = "no proof of training"


def decode_plan(blob: bytes) -> Plan:
    """Read a plan of either statement.

    Raises:
        InputError: it is none.
    """
    try:
        document = json.loads(blob) if len(blob) <= LIMIT else None
    except (ValueError, RecursionError):
        document = None  # the strict reader says what is wrong
    bounded = isinstance(document, dict) and "statement" in document
    return (BoundedPlan if bounded else TrainingPlan).decode(blob)


def _bound(plan: BoundedPlan) -> str:
    """Six digits of the bound, and none that is below it."""
    text = f"{plan.norm:.6g}"
    return text if float(text) >= plan.norm else f"{plan.norm * (1 + 5e-6):.6g}"


def statement_text(plan: Plan) -> str:
    """What the proof of an update shows, in a few words for people."""
    if isinstance(plan, BoundedPlan):
        return f"{plan.statement} ({NO_PROOF_OF_TRAINING}), L2 norm at most {_bound(plan)}"
    return plan.statement


def proves(plan: Plan) -> str:
    """The same as a sentence, with what it does not show."""
    if isinstance(plan, BoundedPlan):
        return (
            f"each committed update has an L2 norm of at most {_bound(plan)} and every entry in range; that is "
            f"{NO_PROOF_OF_TRAINING}: any such vector passes, whatever it was made from"
        )
    return "each committed update is exactly what the task's training gives on the enrolled records"


def check_statement(plan: Plan, statement: str, where: str) -> None:
    """Refuse a document that names another statement than that of its plan.

    Raises:
        InputError: it does.
    """
    if statement != plan.statement:
        raise InputError(f"{where}: it says {statement[:40]!r}, and its plan is of a {plan.statement}")
