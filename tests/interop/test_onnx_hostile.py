"""ONNX files that were made to harm: each ends in one line, and costs next to nothing."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fedproof.errors import InputError
from fedproof.interop import read_onnx
from fedproof.interop.wire import check_wire
from fedproof.learning.architecture import Model
from tests.interop.graphs import B1, GEMM1, GEMM2, RELU, SOFTMAX, W1, blob, build, node


def change_tensor(change: Callable[[Any], None]) -> bytes:
    model = build([GEMM1], "h")
    change(model.graph.initializer[0])
    return bytes(model.SerializeToString())


def external(tensor: Any) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def located(tensor: Any) -> None:
    tensor.data_location = TensorProto.EXTERNAL


def huge(tensor: Any) -> None:
    tensor.dims[:] = [2**40, 2**40]


def negative(tensor: Any) -> None:
    tensor.dims[:] = [-3, -4]


def short(tensor: Any) -> None:
    tensor.raw_data = tensor.raw_data[:-1]


def empty(tensor: Any) -> None:
    tensor.ClearField("raw_data")


def half(tensor: Any) -> None:
    tensor.data_type = TensorProto.FLOAT16


def words(tensor: Any) -> None:
    tensor.string_data.append(b"x")


def infinite(tensor: Any) -> None:
    tensor.raw_data = np.full(12, np.inf, dtype=np.float32).tobytes()


def wordy(tensor: Any) -> None:
    tensor.doc_string = "x" * 5000


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (external, "external_data are refused"),
        (located, "lie outside it"),
        (huge, "sizes from 1 to 4096"),
        (negative, "sizes from 1"),
        (short, "47 bytes of weights do not make the shape"),
        (empty, "0 weights do not make the shape"),
        (half, "float32 or float64"),
        (words, "string_data are refused"),
        (infinite, "NaN or infinite"),
        (wordy, "too long"),
    ],
)
def test_weights_that_are_not_inside_or_not_numbers_are_refused(change: Callable[[Any], None], line: str) -> None:
    with pytest.raises(InputError) as refused:
        read_onnx(change_tensor(change))
    assert line in str(refused.value)


def many_nodes() -> onnx.ModelProto:
    return build([node("Relu", "x", "x")] * 65, "h")


def many_tensors() -> onnx.ModelProto:
    return build([GEMM1], "h", **{f"t{k}": B1 for k in range(70)})


def many_properties() -> onnx.ModelProto:
    model = build([GEMM1], "h")
    helper.set_model_props(model, {f"key {k}": "v" for k in range(5000)})
    return model


def long_text() -> onnx.ModelProto:
    model = build([GEMM1], "h")
    model.doc_string = "x" * (1 << 20)
    return model


def long_nodes() -> onnx.ModelProto:
    nodes = [node("Relu", "x", "x") for _ in range(20)]
    for one in nodes:
        one.doc_string = "x" * 60_000
    return build(nodes, "h")


def functions() -> onnx.ModelProto:
    model = build([GEMM1], "h")
    model.functions.add().name = "f"
    return model


def sparse() -> onnx.ModelProto:
    model = build([GEMM1], "h")
    model.graph.sparse_initializer.add()
    return model


def training() -> onnx.ModelProto:
    model = build([GEMM1], "h")
    model.training_info.add()
    return model


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (many_nodes, "more than 64 nodes"),
        (many_tensors, "more than 64 initialisers"),
        (many_properties, "more than 4096 fields"),
        (long_text, "bytes beside weights"),
        (long_nodes, "bytes beside weights"),
        (functions, "functions of its own are refused"),
        (sparse, "sparse weights are refused"),
        (training, "training information"),
    ],
)
def test_a_file_with_too_much_of_anything_is_refused_on_the_wire(
    make: Callable[[], onnx.ModelProto], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        check_wire(make().SerializeToString())


def test_a_small_file_that_would_become_a_large_object_costs_next_to_nothing() -> None:
    tiny = b"\x3a" + _varint(40_000_000) + b"\x0a\x00" * 20_000_000  # 20 million empty nodes
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(InputError, match="more than 64 nodes"):
        read_onnx(tiny)
    assert time.process_time() - began < 1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@pytest.mark.parametrize(
    "junk", [b"", b"\x00", b"\x80" * 20, b"\x3a\xff\xff\xff\xff\x0f", b"not a model", b"\x3a\x00\x3a\x00", b"\x3b\x3c"]
)
def test_bytes_that_are_no_model_are_refused(junk: bytes) -> None:
    with pytest.raises(InputError, match="ONNX file"):
        read_onnx(junk)


def test_the_declared_input_must_be_that_of_the_first_layer() -> None:
    for dims, kind, line in (
        (["n", 5], TensorProto.FLOAT, "reads 3 features; the file declares 5"),
        (["n", 3, 1], TensorProto.FLOAT, "has 3 dimensions"),
        (["n", 3], TensorProto.INT64, "must be float32 or float64"),
        (["n", "f"], TensorProto.DOUBLE, ""),
        (None, TensorProto.FLOAT, ""),
    ):
        model = build([GEMM1], "h")
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, dims))
        if not line:
            assert read_onnx(model.SerializeToString()).model == Model.softmax(3, 4)
            continue
        with pytest.raises(InputError, match=line):
            read_onnx(model.SerializeToString())


def test_two_weights_of_one_name_are_refused() -> None:
    model = build([GEMM1], "h")
    model.graph.initializer.append(numpy_helper.from_array(W1 * 2, "w1"))
    with pytest.raises(InputError, match="two initialisers have one name"):
        read_onnx(model.SerializeToString())


def test_names_of_strangers_cannot_break_a_line() -> None:
    odd = helper.make_node("Co\nnv\x1b[31m", ["x"], ["h"], name="a\nb" * 100)
    with pytest.raises(InputError) as refused:
        read_onnx(blob([odd], "h"))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_opsets_that_mean_something_else_are_refused() -> None:
    for opset in (6, 99):
        with pytest.raises(InputError, match="opset"):
            read_onnx(blob([GEMM1], "h", opset))


GOOD = blob([GEMM1, RELU, GEMM2, SOFTMAX], "p")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.data())
def test_a_damaged_file_is_a_model_or_one_line(changes: list[tuple[int, int]], data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for place, value in changes:
        damaged[place] = value
    damaged = damaged[: data.draw(st.integers(0, len(GOOD)))] if data.draw(st.booleans()) else damaged
    try:
        read_onnx(bytes(damaged))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_the_largest_honest_file_passes() -> None:
    wide = {"w": np.zeros((4096, 1024), dtype=np.float64), "b": np.zeros(1024)}
    model = build([node("Gemm", "x w b", "h")], "h", **wide)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4096]))
    check_wire(model.SerializeToString())
    assert read_onnx(model.SerializeToString()).model == Model.softmax(4096, 1024)
