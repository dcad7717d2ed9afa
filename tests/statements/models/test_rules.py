"""Every rule of the training statement, for every kind of model, is one without which a lie would pass."""

from __future__ import annotations

import pytest

from tests.statements.models.forge import Lie, assign
from tests.statements.models.lies import every_lie
from tests.statements.models.scenes import SCENES, scene
from tests.support.occurrences import broken_occurrences


@pytest.mark.parametrize("name", SCENES)
def test_every_rule_alone_notices_a_lie(name: str) -> None:
    """All rows but those of the rule hold: without the rule, the circuit would accept the lie."""
    here = scene(name)
    honest = assign(here, Lie(here.trace))
    assert honest.build().first_unsatisfied(honest.witness()) is None
    lies = every_lie(here)
    assert set(lies) == set(honest.groups), "a rule without a lie, or a lie about no rule"
    noticed = {rule: {name for name, _ in broken_occurrences(assign(here, lie))} for rule, lie in lies.items()}
    assert noticed == {rule: {rule} for rule in lies}
