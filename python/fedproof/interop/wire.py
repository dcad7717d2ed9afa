"""A look at the bytes of an ONNX file before a parser allocates for them.

Protobuf can make much of little: a field of two bytes becomes an object of a hundred. So lengths and numbers of fields
are bounded here on the wire, without copying anything; what passes costs the parser a small multiple of its size.
"""

from __future__ import annotations

from collections.abc import Iterator

from fedproof.errors import InputError

MAX_BYTES = 128 << 20
"""Of the whole file: the largest model of the family in float64 has 100 MiB."""

MAX_NODES, MAX_TENSORS, MAX_NODE_BYTES, MAX_OTHER_BYTES, MAX_FIELDS = 64, 64, 1 << 16, 1 << 19, 4096
MAX_TENSOR_FIELDS, MAX_TENSOR_OTHER = 32, 1 << 12

MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 20, 25
GRAPH_NODE, GRAPH_TENSOR, GRAPH_SPARSE = 1, 5, 15
TENSOR_VALUES = {4: "float_data", 9: "raw_data", 10: "double_data"}
TENSOR_REFUSED = {5: "int32_data", 6: "string_data", 7: "int64_data", 11: "uint64_data", 13: "external_data"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def check_wire(blob: bytes) -> None:
    """Refuse what no small chain of dense layers needs.

    Raises:
        InputError: too large, not protobuf, external data, or more parts than such a model has.
    """
    if len(blob) > MAX_BYTES:
        raise InputError(f"ONNX file: more than {MAX_BYTES >> 20} MiB; no model of the family is so large")
    other, graphs = 0, 0
    for number, kind, value in _fields(memoryview(blob), MAX_FIELDS):
        if number == MODEL_GRAPH and kind == BYTES:
            graphs += 1
            other += _graph(value)
        elif number in (MODEL_TRAINING, MODEL_FUNCTIONS):
            raise InputError("ONNX file: training information and functions of its own are refused")
        else:
            other += len(value)
    if graphs != 1:
        raise InputError("ONNX file: it holds no graph, or it is no ONNX file")
    if other > MAX_OTHER_BYTES:
        raise InputError(f"ONNX file: {other} bytes beside weights; at most {MAX_OTHER_BYTES} are read")


def _graph(data: memoryview) -> int:
    """Check a graph; returns its bytes beside weights."""
    nodes = tensors = other = 0
    for number, kind, value in _fields(data, MAX_FIELDS):
        if number == GRAPH_NODE and kind == BYTES:
            nodes += 1
            if nodes > MAX_NODES or len(value) > MAX_NODE_BYTES:
                raise InputError(f"ONNX file: more than {MAX_NODES} nodes, or one beyond {MAX_NODE_BYTES} bytes")
            other += len(value)
        elif number == GRAPH_TENSOR and kind == BYTES:
            tensors += 1
            if tensors > MAX_TENSORS:
                raise InputError(f"ONNX file: more than {MAX_TENSORS} initialisers")
            _tensor(value)
        elif number == GRAPH_SPARSE:
            raise InputError("ONNX file: sparse weights are refused")
        else:
            other += len(value)
    return other


def _tensor(data: memoryview) -> None:
    other = 0
    for number, kind, value in _fields(data, MAX_TENSOR_FIELDS):
        if number in TENSOR_REFUSED:
            raise InputError(f"ONNX file: weights as {TENSOR_REFUSED[number]} are refused; save them inside, as floats")
        if number in TENSOR_VALUES and kind == BYTES:
            continue
        other += len(value)
    if other > MAX_TENSOR_OTHER:
        raise InputError("ONNX file: an initialiser has a name or description that is too long")


def _fields(data: memoryview, limit: int) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and bytes of each field of a message, at most `limit` of them."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > limit:
            raise InputError(f"ONNX file: a part of it has more than {limit} fields")
        key, at = _varint(data, at)
        start, kind = at, key & 7
        if kind == VARINT:
            at = _varint(data, at)[1]
        elif kind == FIXED64:
            at += 8
        elif kind == FIXED32:
            at += 4
        elif kind == BYTES:
            length, start = _varint(data, at)
            at = start + length
        else:
            raise InputError("ONNX file: not the bytes of an ONNX model")
        if at > len(data):
            raise InputError("ONNX file: it ends too early")
        yield key >> 3, kind, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise InputError("ONNX file: it ends too early")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise InputError("ONNX file: not the bytes of an ONNX model")
