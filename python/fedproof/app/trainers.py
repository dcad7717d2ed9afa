"""A participant's own training, named in its configuration as `module:function`.

The module is imported from what the operator has installed into the node's environment, and runs inside the node with
all its rights: it sees the records, which is its purpose, and could read the node's keys. It is the operator's own
code on the operator's own machine; nothing that comes over the network names one.
"""

from __future__ import annotations

import importlib
import re
from typing import Final

from fedproof.app.training import model_text
from fedproof.data.naming import quoted
from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.local import Trainer
from fedproof.learning.plans import Plan, statement_text

NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"
FORM: Final = 'module:function, such as "hospital.training:train"'
KEY: Final = "participant.trainer"


def load_trainer(name: str) -> Trainer:
    """The function of a name.

    Raises:
        InputError: there is none, or importing its module fails.
    """
    if not re.fullmatch(NAME, name):
        raise InputError(f"{KEY} {quoted(name)} must be {FORM}")
    module_name, _, function = name.partition(":")
    try:
        found: Trainer | None = getattr(importlib.import_module(module_name), function, None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code, which may raise anything
        raise InputError(
            f"{KEY}: module {quoted(module_name)} cannot be imported ({type(error).__name__}): install it where this "
            "node runs"
        ) from None
    if not callable(found):
        raise InputError(f"{KEY}: module {quoted(module_name)} has no function {quoted(function)}")
    return found


def trainer_of(plan: Plan, name: str | None) -> Trainer | None:
    """The trainer that a configuration names for tasks of a plan; None where the package has its own.

    Raises:
        InputError: one is named where training is proven, none where only its users can train the model, or it cannot
            be loaded.
    """
    if not isinstance(plan, BoundedPlan):
        if name is not None:
            raise InputError(
                f"{KEY}: tasks of this federation ask for a {plan.statement}, which fixes every step: take the line out"
            )
        return None
    if name is None:
        if not isinstance(plan.model, Model):
            raise InputError(f"{KEY} is missing: tasks of this federation are for a {model_text(plan)}: give {FORM}")
        return None
    return load_trainer(name)


def trainer_line(plan: Plan, name: str | None) -> str:
    """What a node would train with, for `fedproof node check`; errors as `trainer_of`."""
    trainer_of(plan, name)
    by = "" if not isinstance(plan, BoundedPlan) else f", trained by {name or 'the SGD of this package'}"
    return f"{statement_text(plan)}, of a {model_text(plan)}{by}"
