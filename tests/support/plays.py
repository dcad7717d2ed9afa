"""Plays of a state machine that Hypothesis draws: the same ones each time, unless more are asked for."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

VARIABLE: Final = "FEDPROOF_STATEFUL_EXAMPLES"


def examples(few: int) -> int:
    """How many plays: a few, or as many as the environment says."""
    return int(os.environ.get(VARIABLE, few))


def play(machine: type[RuleBasedStateMachine], plays: int, steps: int, least: int, fixed: int, **kept: Any) -> None:
    """Play a machine, whose class gets the attributes `kept`.

    Args:
        steps, least: of a play; left to itself Hypothesis ends most of them before a round is full.
        fixed: the seed, where the environment asks for no other number of plays.
    """
    made = type("Play", (machine,), kept)
    if VARIABLE not in os.environ:
        made = seed(fixed)(made)
    run_state_machine_as_test(
        made,
        _min_steps=least,
        settings=settings(
            max_examples=plays,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        ),
    )
