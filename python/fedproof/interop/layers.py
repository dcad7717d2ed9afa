"""A list of layers, or a PyTorch `nn.Sequential`, as a `Model`. PyTorch is never imported: its layers are known by the
name of their class and read through `in_features`, `out_features`, `weight` and `bias`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from fedproof.errors import InputError
from fedproof.interop.chain import BOUNDED, DENSE, MAX_STEPS, RELU, SIGMOID, SOFTMAX_HEAD, Imported, Step, assemble
from fedproof.learning.architecture import MAX_WIDTH
from fedproof.learning.baseline import Float
from fedproof.learning.fixed import MAX_COLUMNS

_KINDS = {"ReLU": RELU, "Sigmoid": SIGMOID, "Softmax": SOFTMAX_HEAD}
_WIDEST = max(MAX_WIDTH, MAX_COLUMNS - 1)


def from_layers(layers: Iterable[Any], loss: str | None = None) -> Imported:
    """The model of a layer list such as `[("Linear", 31, 16), "ReLU", ("Linear", 16, 1)]`.

    Args:
        layers: each one `("Linear", inputs, outputs)`, with `weight (outputs, inputs)` and `bias (outputs,)` behind it
            or not, a name `"ReLU"`, `"Sigmoid"` or `"Softmax"`, or an object whose class has such a name. A
            `nn.Sequential` is such a list, and its weights are taken.
        loss: `"squared error"`, `"logistic"` or `"cross-entropy"`, where the last layer does not tell: without it
            several outputs are logits of classes, and one output is a value.

    Raises:
        InputError: a layer outside the family, or layers that do not fit each other; the message names the layer.
    """
    if isinstance(layers, str) or not isinstance(layers, Iterable):
        raise InputError(f"layers: a {type(layers).__name__} is no list of layers and no nn.Sequential")
    steps = []
    for place, layer in enumerate(layers, 1):
        if place > MAX_STEPS:
            raise InputError(f"layers: more than {MAX_STEPS}, which is beyond the deepest model")
        steps.append(_step(layer, place))
    return assemble(steps, loss)


def _step(layer: Any, place: int) -> Step:
    listed = isinstance(layer, tuple | list)
    if listed and layer and isinstance(layer[0], str):
        kind = layer[0]
    else:
        kind = layer if isinstance(layer, str) else type(layer).__name__
    name = f"layer {place} ({kind[:40]!r})"
    if kind == "Linear":
        return _listed(layer, name) if listed else _linear(layer, name)
    if kind in _KINDS and not (listed and len(layer) > 1):
        if kind == "Softmax" and getattr(layer, "dim", None) not in (None, 1, -1):
            raise InputError(f"{name}: a softmax over another dimension than the classes")
        return Step(_KINDS[kind], name)
    if kind in _KINDS:
        raise InputError(f"{name} takes no arguments")
    raise InputError(f"{name} is {BOUNDED}")


def _listed(layer: Any, name: str) -> Step:
    if not 3 <= len(layer) <= 5:
        raise InputError(f'{name}: write ("Linear", inputs, outputs), with weight and bias behind it or not')
    weight, bias = (*layer[3:], None, None)[:2]
    return _dense(name, layer[1], layer[2], weight, bias)


def _linear(layer: Any, name: str) -> Step:
    for attribute in ("in_features", "out_features", "weight", "bias"):
        if not hasattr(layer, attribute):
            raise InputError(f"{name} has no attribute {attribute!r}; a torch Linear has")
    if layer.weight is None:
        raise InputError(f"{name} has no weights yet")
    return _dense(name, layer.in_features, layer.out_features, layer.weight, layer.bias)


def _dense(name: str, inputs: Any, outputs: Any, weight: Any, bias: Any) -> Step:
    if not all(type(width) is int and 1 <= width <= _WIDEST for width in (inputs, outputs)):
        raise InputError(f"{name}: inputs and outputs must be whole numbers from 1 to {_WIDEST}")
    matrix = None if weight is None else _array(weight, name, (outputs, inputs)).T
    vector = None if bias is None else _array(bias, name, (outputs,))
    return Step(DENSE, name, (inputs, outputs), matrix, vector)


def _array(values: Any, name: str, shape: tuple[int, ...]) -> Float:
    """A tensor or nested list as float64; a tensor leaves its graph and its device."""
    for method in ("detach", "cpu", "numpy"):
        if callable(getattr(values, method, None)):
            values = getattr(values, method)()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name}: its weights are not numbers") from None
    if array.shape != shape:
        raise InputError(f"{name}: a weight or bias of shape {array.shape}; {shape} is needed")
    return array
