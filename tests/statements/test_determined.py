"""Once D and the challenges are fixed, a prover has no choice left: every later wire, y included, is determined.

So whatever a check reads was fixed before sigma and lambda (protocol, sections 3 to 5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.learning.fixed import TrainingSpec
from fedproof.proving.lin import concatenate
from fedproof.proving.r1cs import field
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.listing import ListingStatement, ListingWitness
from fedproof.statements.training import TrainingStatement
from tests.statements.conftest import make_witness
from tests.statements.test_aggregation import BOUND
from tests.statements.test_aggregation import witness as average
from tests.support.determined import free_after_the_challenges
from tests.support.soundness import Forger, forged


def case(name: str) -> tuple[Any, Any]:
    if name == "aggregation":
        return AggregationStatement(4, BOUND), average(np.array([10**12, -(10**12), 7, -8], dtype=np.int64), 455)
    if name == "listing":
        w = make_witness(TrainingSpec(32, 3, mask_count=2))
        return ListingStatement(32, 3), ListingWitness(w.features, w.mask, w.labels, _core.fr_random(2))
    spec = TrainingSpec(rows=64, columns=3, epochs=2, mask_count=4 if name == "training" else 70)
    return TrainingStatement(spec), make_witness(spec)


@pytest.mark.parametrize("name", ["listing", "training", "training with many masks", "aggregation"])
def test_nothing_is_left_to_choose_after_the_challenges(name: str) -> None:
    assert free_after_the_challenges(forged(*case(name))) == set()


@pytest.mark.parametrize("name", ["listing", "training", "aggregation"])
@pytest.mark.parametrize("wires", ["blinding of", "multiplicity of"])
def test_it_would_be_seen_if_a_value_lay_outside_the_committed_segment(name: str, wires: str) -> None:
    """One blinding coefficient outside absorbs any mismatch of the link, one multiplicity outside any false lookup."""

    class Careless(Forger):
        def committed(self, shape: tuple[int, ...], values: Any, name: str) -> Any:
            if name.startswith(wires) and name != "blinding of D":
                values = field(values, shape[0])
                rest = super().committed((shape[0] - 1,), np.ascontiguousarray(values[1:]), name)
                return concatenate([self.private((1,), np.ascontiguousarray(values[:1]), name), rest])
            return super().committed(shape, values, name)

    statement, witness = case(name)
    cs = Careless()
    statement.synthesize(cs, witness)
    assert cs.build().first_unsatisfied(cs.witness()) is None
    free = free_after_the_challenges(cs)
    assert any(free_name.startswith(wires) for free_name in free)
