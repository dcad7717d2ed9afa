"""For every rule of the training statement a lie that no other rule notices."""

from __future__ import annotations

from tests.statements.models.forge import Lie
from tests.statements.models.lies_layers import layer_lies, product_lies, unit_lies, way_back_lies
from tests.statements.models.lies_loss import lookup_lies, loss_lies
from tests.statements.models.scenes import Scene


def every_lie(scene: Scene) -> dict[str, Lie]:
    """A lie for each rule, by the rule's name."""
    out = dict(product_lies(scene))
    for layer in range(scene.plan.depth):
        out |= dict(layer_lies(scene, layer))
    for layer in range(1, scene.plan.depth):
        out |= dict(way_back_lies(scene, layer))
    for layer in range(scene.plan.depth - 1):
        out |= dict(unit_lies(scene, layer))
    out |= dict(loss_lies(scene))
    out |= dict(lookup_lies(scene))
    return out
