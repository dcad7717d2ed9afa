"""The auditor's checks of powers of tau and verifying keys (protocol, sections 3 and 9; docs/decisions/0007)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedproof import _core
from fedproof.app.audit_base import require
from fedproof.learning.plans import Plan
from fedproof.nodes.params import powers_size
from fedproof.nodes.updating import update_statement
from fedproof.proving.circuit import Circuit, Statement, compile_statement
from fedproof.proving.keys import VerifyingKey
from fedproof.statements.aggregation import AggregationStatement
from fedproof.statements.eligibility import EligibilityStatement
from fedproof.statements.layout import DatasetLayout
from fedproof.statements.listing import ListingStatement
from fedproof.statements.spend import SpendStatement

_X_BYTES = 64  # of a G2 point: two points with one x are equal or opposite
_INFINITY = bytes(64)
_PLAIN = ("eligibility", "spend")
"""Statements without a committed segment."""


def check_powers(plan: Plan, srs: _core.Srs) -> str:
    """Enough powers for a plan, not those of 1 or -1; the core has checked each one against the next."""
    needed = powers_size(plan)
    require(
        srs.size >= needed, f"{srs.size} powers of tau are too few: the datasets and updates of the plan take {needed}"
    )
    return f"powers of tau: {srs.size} of them, consistent"


def check_keys(
    plan: Plan, srs: _core.Srs, keys: dict[str, VerifyingKey], circuits: Mapping[str, Circuit] | None = None
) -> str:
    """Every key is of the circuit that this package compiles, linked to the published powers, and shares no secret.

    Args:
        circuits: by name, where the caller has compiled them already.
    """
    layout = DatasetLayout(plan.rows, plan.columns)
    statements: dict[str, Statement[Any]] = {
        "eligibility": EligibilityStatement(),
        "spend": SpendStatement(),
        "listing": ListingStatement.of(plan),
        plan.key_name: update_statement(plan),
        "aggregation": AggregationStatement.of(plan),
    }
    circuits = circuits or {name: compile_statement(statements[name]) for name in keys}
    for name, key in keys.items():
        require(
            key.circuit_id == circuits[name].circuit_id, f"the {name} key is of another circuit than this package's"
        )
        require(key.tau == srs.g2_power(1), f"the {name} key links to other powers of tau than the published ones")
        require((key.eta is None) == (name in _PLAIN), f"the {name} key has another committed segment")
        require(key.num_public == circuits[name].r1cs.num_public, f"the {name} key takes other public inputs")
        require(key.alpha != _INFINITY, f"alpha of the {name} key is zero: proofs could be forged")
        require(_INFINITY not in key.ic, f"a public input of the {name} key is free")
    name = plan.key_name
    require(keys[name].tau_d == srs.g2_power(layout.masks), f"the {name} key has another [tau^d]_2")
    _check_distinct(keys)
    return (
        f"{len(keys)} verifying keys are of the circuits that this package compiles; none shares a secret or its sign"
    )


def _check_distinct(keys: dict[str, VerifyingKey]) -> None:
    """Gamma, beta, tau and tau^d may be shared between circuits; delta and eta with nothing at all, also up to sign."""
    shared: dict[bytes, str] = {}
    for name, key in keys.items():
        common = {"gamma": _core.g2_generator(), "beta": key.beta, "tau": key.tau, "tau^d": key.tau_d}
        own: dict[bytes, str] = {}
        for part, point in common.items():
            if point is not None:
                require(point[:_X_BYTES] not in own, f"{part} of the {name} key is {own.get(point[:_X_BYTES])}")
                own[point[:_X_BYTES]] = part
        shared |= own
    secrets: dict[bytes, str] = {}
    for name, key in keys.items():
        for part, point in (("delta", key.delta), ("eta", key.eta)):
            if point is not None:
                x = point[:_X_BYTES]
                other = shared.get(x) or secrets.get(x)
                require(other is None, f"{part} of the {name} key is {other} up to sign: proofs could be forged")
                secrets[x] = f"{part} of {name}"
