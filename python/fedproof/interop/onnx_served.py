"""An ONNX file that `write_onnx` wrote with its standardisation, read back as what it was written from.

Such a file is no plain chain, so `read_onnx` refuses it. Here its plan and its integers are read, written again, and
the graph compared: so nothing is taken from names and metadata that the graph does not compute.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fedproof.errors import InputError
from fedproof.interop.extras import need
from fedproof.interop.inputs import Standardisation
from fedproof.interop.onnx_in import parse_onnx
from fedproof.interop.onnx_out import FORMAT, ServedModel, write_onnx
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan


def read_served(blob: bytes) -> ServedModel | None:
    """The model of a file with standardisation that `write_onnx` wrote; its origin is not told, for anybody can write
    one. None for any other file.

    Raises:
        InputError: no ONNX file, or one that says to be of this kind and is not; also where `onnx` is missing.
    """
    model = parse_onnx(blob)
    said = {entry.key: entry.value for entry in model.metadata_props}
    if said.get("fedproof.format") != FORMAT or "fedproof.features" not in said:
        return None
    wrong = InputError("ONNX file: it says that fedproof wrote it, and it is not what fedproof writes")
    try:
        served, double = _served(model, said)
        again = parse_onnx(write_onnx(served, double))
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, InputError):
        raise wrong from None
    if again.graph.SerializeToString(deterministic=True) != model.graph.SerializeToString(deterministic=True):
        raise wrong
    return served


def _served(model: Any, said: dict[str, str]) -> tuple[ServedModel, bool]:
    onnx = need("onnx")
    kinds = {tensor.data_type for tensor in model.graph.initializer} - {onnx.TensorProto.INT64}
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    plan = TrainingPlan.decode(said["fedproof.plan"].encode())
    weights = []
    for layer, scale in enumerate(plan.weight_scales(), 1):
        real = np.vstack([tensors[f"weight{layer}"], tensors[f"bias{layer}"]]).astype(np.float64)
        if not (np.abs(real) < WEIGHT_LIMIT / scale).all():  # NaN, too
            raise ValueError
        weights.append(np.rint(real * scale).astype(np.int64))
    names, classes = tuple(json.loads(said["fedproof.features"])), tuple(json.loads(said["fedproof.classes"]))
    inputs = Standardisation(names, tuple(tensors["centre"].tolist()), tuple(tensors["scale"].tolist()))
    target = (0.0, 1.0)
    if "target_scale" in tensors:
        target = (float(tensors["target_centre"]), float(tensors["target_scale"]))
    return ServedModel(plan, tuple(weights), inputs, classes, target), kinds == {onnx.TensorProto.DOUBLE}
