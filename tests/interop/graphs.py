"""Small ONNX graphs, well-formed and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(11)
W1, B1 = RNG.normal(0, 1, (3, 4)).astype(np.float32), RNG.normal(0, 1, 4).astype(np.float32)
W2, B2 = RNG.normal(0, 1, (4, 2)).astype(np.float32), RNG.normal(0, 1, 2).astype(np.float32)
TENSORS = {"w1": W1, "w1t": W1.T.copy(), "b1": B1, "w2": W2, "b2": B2}


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"the {op.lower()}", **attributes)


GEMM1, RELU = node("Gemm", "x w1 b1", "h"), node("Relu", "h", "r")
GEMM2, SOFTMAX = node("Gemm", "r w2 b2", "z"), node("Softmax", "z", "p", axis=1)


def build(nodes: list[onnx.NodeProto], output: str, opset: int = 17, **tensors: np.ndarray) -> onnx.ModelProto:
    held = [numpy_helper.from_array(array, name) for name, array in (TENSORS | tensors).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", None])
    graph = helper.make_graph(nodes, "g", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def blob(*args: Any, **tensors: Any) -> bytes:
    return bytes(build(*args, **tensors).SerializeToString())
