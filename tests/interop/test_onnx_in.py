"""ONNX files of others: which become models, and that everything else ends in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from fedproof.errors import InputError
from fedproof.interop import read_onnx
from fedproof.interop.wire import MAX_BYTES
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED, Model
from fedproof.learning.reference import predict
from tests.interop.graphs import B1, B2, GEMM1, GEMM2, RELU, RNG, SOFTMAX, W1, W2, blob, build, node


@pytest.mark.parametrize(
    ("nodes", "output", "opset"),
    [
        ([GEMM1, RELU, GEMM2, SOFTMAX], "p", 17),
        ([SOFTMAX, GEMM2, RELU, GEMM1], "p", 17),
        ([node("Gemm", "x w1t b1", "h", transB=1, alpha=1.0, beta=1.0), RELU, GEMM2, SOFTMAX], "p", 9),
        ([node("MatMul", "x w1", "m"), node("Add", "m b1", "h"), RELU, GEMM2, SOFTMAX], "p", 13),
        ([node("MatMul", "x w1", "m"), node("Add", "b1 m", "h"), RELU, GEMM2, node("Softmax", "z", "p")], "p", 13),
    ],
)
def test_the_same_network_in_many_spellings(nodes: list[onnx.NodeProto], output: str, opset: int) -> None:
    found = read_onnx(blob(nodes, output, opset))
    assert found.model == Model.perceptron(3, [4], 2)
    assert found.weights is not None
    x = RNG.normal(0, 1, (10, 3))
    z = np.maximum(x @ W1.astype(float) + B1, 0) @ W2.astype(float) + B2
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert np.allclose(predict(found.model, found.weights, x), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("nodes", "output", "loss", "expected"),
    [
        ([GEMM1], "h", None, CROSS_ENTROPY),
        ([node("Gemm", "x one b", "h")], "h", None, SQUARED),
        ([node("Gemm", "x one b", "h")], "h", LOG, LOG),
        ([node("MatMul", "x one", "h"), node("Sigmoid", "h", "p")], "p", None, LOG),
        ([node("Gemm", "x one ", "h")], "h", None, SQUARED),
    ],
)
def test_the_end_of_the_chain_tells_the_loss(
    nodes: list[onnx.NodeProto], output: str, loss: str | None, expected: str
) -> None:
    one = {"one": np.ones((3, 1), dtype=np.float64), "b": np.zeros(1)}
    assert read_onnx(blob(nodes, output, **one), loss).model.loss == expected


def test_typed_fields_are_read_as_raw_bytes_are() -> None:
    model = build([GEMM1], "h")
    for tensor in model.graph.initializer:
        if tensor.name == "b1":
            tensor.ClearField("raw_data")
            tensor.float_data.extend(B1.tolist())
    found = read_onnx(model.SerializeToString())
    assert found.weights is not None
    assert np.array_equal(found.weights[0][-1], B1.astype(float))


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(blob([GEMM1], "h"))
    assert read_onnx(tmp_path / "m.onnx").model == read_onnx(str(tmp_path / "m.onnx")).model == Model.softmax(3, 4)
    with pytest.raises(InputError, match="No such file"):
        read_onnx(tmp_path / "n.onnx")
    with (tmp_path / "big.onnx").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="more than 128 MiB"):
        read_onnx(tmp_path / "big.onnx")


@pytest.mark.parametrize(
    ("nodes", "output", "line"),
    [
        ([node("Conv", "x w1", "h")], "h", "node 'the conv' ('Conv') is outside the family of proven training"),
        ([GEMM1, node("Tanh", "h", "t")], "t", "node 'the tanh' ('Tanh') is outside the family"),
        ([GEMM1, node("Dropout", "h", "t")], "t", "bounded update statement"),
        ([node("Gemm", "x w1 b1", "h", alpha=2.0)], "h", "attribute 'alpha' with a value outside"),
        ([node("Gemm", "x w1 b1", "h", transA=1)], "h", "attribute 'transA'"),
        ([node("Relu", "x", "h", odd=1)], "h", "attribute 'odd'"),
        ([GEMM1, node("Softmax", "h", "p", axis=0)], "p", "attribute 'axis'"),
        ([node("Gemm", "x w9 b1", "h")], "h", "reads 'w9', which is no initialiser"),
        ([node("Gemm", "w1 x b1", "h")], "h", "must read the layer before it"),
        ([node("MatMul", "w1 x", "h")], "h", "must read the layer before it"),
        ([node("Gemm", "x w1 b2", "h")], "h", "a bias of shape (2,); (4,) is needed"),
        ([node("Gemm", "x b1 b1", "h")], "h", "2 sizes from 1"),
        ([GEMM1, node("Add", "h h", "t")], "t", "is outside the family"),
        ([node("MatMul", "x w1", "m"), node("Add", "m m", "t")], "t", "must add a bias"),
        ([GEMM1, node("Relu", "h", "r"), node("Sigmoid", "h", "s")], "r", "a chain has one reader"),
        ([GEMM1, RELU, GEMM2, node("Gemm", "x w1 b1", "other")], "z", "a chain has one reader"),
        ([GEMM1, node("Relu", "q", "s")], "h", "do not lie between"),
        ([GEMM1], "nowhere", "is read by no node"),
        ([node("Gemm", "x w1 b1", "x")], "y", "does not lie in a chain"),
        ([GEMM1, GEMM2, RELU], "r", "do not lie between"),
        ([GEMM1, node("Gemm", "h w2 b2", "z")], "z", "where a relu layer is needed"),
        ([RELU], "r", "is read by no node"),
        ([], "x", "no layers"),
        ([helper.make_node("Gemm", ["x", "w1"], ["h"], domain="evil")], "h", "of the domain 'evil'"),
        ([helper.make_node("Gemm", ["x", "w1"], ["h", "i"])], "h", "one output each"),
        ([helper.make_node("Relu", ["x", "x"], ["h"])], "h", "has 2 inputs"),
    ],
)
def test_what_is_no_such_chain_is_refused_in_one_line(nodes: list[onnx.NodeProto], output: str, line: str) -> None:
    with pytest.raises(InputError) as refused:
        read_onnx(blob(nodes, output))
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)
