"""An ONNX file as a `Model` with the weights that it holds.

Taken are chains of Gemm, or MatMul with Add or without, with Relu between them, and Sigmoid, Softmax or nothing at the
end. Everything else is refused in one line that names the node and its operator. The file may be anybody's: it is
bounded on the wire before it is parsed (`wire.py`), nothing outside it is read, and no code of it is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fedproof.data.naming import quoted
from fedproof.errors import InputError
from fedproof.interop.chain import BOUNDED, DENSE, RELU, SIGMOID, SOFTMAX_HEAD, Imported, Step, assemble
from fedproof.interop.extras import need
from fedproof.interop.wire import MAX_BYTES, check_wire
from fedproof.learning.architecture import MAX_WIDTH
from fedproof.learning.baseline import Float
from fedproof.learning.fixed import MAX_COLUMNS

MIN_OPSET, MAX_OPSET = 7, 28
FLOAT, DOUBLE, EXTERNAL = 1, 11, 1  # TensorProto.DataType and DataLocation
_PLAIN = {"Relu": RELU, "Sigmoid": SIGMOID, "Softmax": SOFTMAX_HEAD}
_ATTRIBUTES: dict[str, dict[str, tuple[float, ...]]] = {
    "Gemm": {"alpha": (1.0,), "beta": (1.0,), "transA": (0,), "transB": (0, 1)},
    "Softmax": {"axis": (1, -1)},
}
_WIDEST = max(MAX_WIDTH, MAX_COLUMNS - 1)


def read_onnx(source: bytes | str | PathLike[str], loss: str | None = None) -> Imported:
    """The model of an ONNX file.

    Args:
        source: the bytes of a file, or its path.
        loss: `"squared error"`, `"logistic"` or `"cross-entropy"`, where the graph ends in neither sigmoid nor softmax.

    Raises:
        InputError: not a file of this kind, or a model outside the family; also where the package `onnx` is missing.
    """
    model = parse_onnx(source if isinstance(source, bytes) else _read(Path(source)))
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(opsets) != 1 or not MIN_OPSET <= opsets[0] <= MAX_OPSET:
        raise InputError(f"ONNX file: one standard opset from {MIN_OPSET} to {MAX_OPSET} is needed")
    return assemble(_Walk(model.graph).steps(), loss)


def parse_onnx(blob: bytes) -> Any:
    """The `ModelProto` of a file that is small enough and holds nothing outside of it.

    Raises:
        InputError: it does not; also where the package `onnx` is missing.
    """
    check_wire(blob)
    model = need("onnx").ModelProto()
    try:
        model.ParseFromString(blob)
    except Exception:  # noqa: BLE001  # protobuf's DecodeError; the kind depends on its implementation
        raise InputError("ONNX file: not the bytes of an ONNX model") from None
    return model


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"ONNX file {quoted(str(path))}: {error.strerror or 'it cannot be read'}") from None


class _Walk:
    """Follow the one tensor from the graph's input to its output."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        if len(self.tensors) != len(graph.initializer):
            raise InputError("ONNX file: two initialisers have one name")
        inputs = [value for value in graph.input if value.name not in self.tensors]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise InputError(f"ONNX file: one input and one output are needed, not {len(inputs)}, {len(graph.output)}")
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.readers.setdefault(name, []).append(node)
        self.features = _features(inputs[0])
        self.at = inputs[0].name
        self.left = len(graph.node)

    def steps(self) -> list[Step]:
        """The layers in order."""
        out = []
        node = self._next()
        while node is not None:
            kind = node.op_type
            if kind in _PLAIN:
                _attributes(node)
                if len(node.input) != 1:
                    raise InputError(f"{_name(node)} has {len(node.input)} inputs; one is needed")
                out.append(Step(_PLAIN[kind], _name(node)))
            elif kind == "Gemm":
                out.append(self._gemm(node))
            elif kind == "MatMul":
                step, node = self._matmul(node)
                out.append(step)
            else:
                raise InputError(f"{_name(node)} is {BOUNDED}")
            self._advance(node)
            node = self._next()
        if self.at != self.graph.output[0].name or self.left:
            raise InputError("ONNX file: some nodes do not lie between its input and its output")
        if out and self.features not in (0, out[0].shape[0]):
            raise InputError(f"{out[0].name} reads {out[0].shape[0]} features; the file declares {self.features}")
        return out

    def _next(self) -> Any:
        if self.at == self.graph.output[0].name:
            return None
        readers = self.readers.get(self.at, [])
        if len(readers) != 1:
            names = ", ".join(_name(node) for node in readers[:3]) or "no node"
            raise InputError(f"ONNX file: {quoted(self.at)} is read by {names}; a chain has one reader")
        if readers[0].domain not in ("", "ai.onnx"):
            raise InputError(f"{_name(readers[0])} is of the domain {quoted(readers[0].domain)}, and {BOUNDED}")
        return readers[0]

    def _advance(self, node: Any) -> None:
        self.left -= 1
        if len(node.output) != 1 or not node.output[0] or self.left < 0:
            raise InputError(f"{_name(node)} does not lie in a chain with one output each")
        self.at = node.output[0]

    def _gemm(self, node: Any) -> Step:
        attributes = _attributes(node)
        if not 2 <= len(node.input) <= 3 or node.input[0] != self.at:
            raise InputError(f"{_name(node)} must read the layer before it, weights and a bias")
        weight = self._tensor(node, node.input[1], 2)
        if attributes.get("transB"):
            weight = weight.T
        bias = self._bias(node, node.input[2], weight.shape[1]) if len(node.input) == 3 and node.input[2] else None
        return Step(DENSE, _name(node), (weight.shape[0], weight.shape[1]), weight, bias)

    def _matmul(self, node: Any) -> tuple[Step, Any]:
        """The layer of a MatMul and the Add behind it; returns the last of the two nodes."""
        _attributes(node)
        if len(node.input) != 2 or node.input[0] != self.at:
            raise InputError(f"{_name(node)} must read the layer before it, and weights on the right")
        weight = self._tensor(node, node.input[1], 2)
        shape = (weight.shape[0], weight.shape[1])
        following = self.readers.get(node.output[0], []) if len(node.output) == 1 else []
        if len(following) != 1 or following[0].op_type != "Add" or following[0].domain not in ("", "ai.onnx"):
            return Step(DENSE, _name(node), shape, weight), node
        self._advance(node)
        add = following[0]
        _attributes(add)
        others = [name for name in add.input if name != self.at]
        if len(add.input) != 2 or len(others) != 1:
            raise InputError(f"{_name(add)} must add a bias to {_name(node)}")
        return Step(DENSE, _name(node), shape, weight, self._bias(add, others[0], shape[1])), add

    def _bias(self, node: Any, name: str, outputs: int) -> Float:
        bias = self._tensor(node, name, 1)
        if bias.shape != (outputs,):
            raise InputError(f"{_name(node)}: a bias of shape {bias.shape}; ({outputs},) is needed")
        return bias

    def _tensor(self, node: Any, name: str, rank: int) -> Float:
        """An initialiser as float64; its sizes are compared before anything is made of it."""
        tensor = self.tensors.get(name)
        if tensor is None:
            raise InputError(f"{_name(node)} reads {quoted(name)}, which is no initialiser; save the weights as such")
        if tensor.data_location == EXTERNAL or tensor.HasField("segment"):
            raise InputError(f"ONNX file: the weights {quoted(name)} lie outside it; save them inside")
        shape = tuple(tensor.dims)
        if len(shape) != rank or not all(1 <= size <= _WIDEST for size in shape):
            raise InputError(f"{_name(node)}: weights of shape {shape}; {rank} sizes from 1 to {_WIDEST} are needed")
        if tensor.data_type not in (FLOAT, DOUBLE):
            raise InputError(f"{_name(node)}: weights must be float32 or float64")
        kind, typed = ("<f4", tensor.float_data) if tensor.data_type == FLOAT else ("<f8", tensor.double_data)
        values = np.frombuffer(tensor.raw_data, dtype=np.uint8)
        if len(values):
            if len(typed) or len(values) != int(np.prod(shape)) * int(kind[-1]):
                raise InputError(f"{_name(node)}: {len(values)} bytes of weights do not make the shape {shape}")
            with np.errstate(invalid="ignore"):  # a NaN that signals; what is no number is refused later
                return values.view(kind).reshape(shape).astype(np.float64)
        if len(typed) != int(np.prod(shape)):
            raise InputError(f"{_name(node)}: {len(typed)} weights do not make the shape {shape}")
        return np.array(typed, dtype=np.float64).reshape(shape)


def _features(value: Any) -> int:
    """The number of features that the graph's input declares, or 0."""
    kind = value.type.tensor_type
    if kind.elem_type not in (FLOAT, DOUBLE):
        raise InputError(f"ONNX file: its input {quoted(value.name)} must be float32 or float64")
    if not kind.HasField("shape"):
        return 0
    if len(kind.shape.dim) != 2:
        raise InputError(f"ONNX file: its input has {len(kind.shape.dim)} dimensions; rows and features are needed")
    return int(kind.shape.dim[1].dim_value)


def _attributes(node: Any) -> Mapping[str, float]:
    """The attributes of a node, each with a value that the family has."""
    allowed = _ATTRIBUTES.get(node.op_type, {})
    out = {}
    for attribute in node.attribute:
        value = attribute.f if attribute.type == 1 else attribute.i
        if attribute.type not in (1, 2) or attribute.ref_attr_name or value not in allowed.get(attribute.name, ()):
            raise InputError(
                f"{_name(node)} has the attribute {quoted(attribute.name)} with a value outside the family"
            )
        out[attribute.name] = value
    return out


def _name(node: Any) -> str:
    label = node.name or (node.output[0] if node.output else "")
    return f"node {quoted(label)} ({quoted(node.op_type)})"
