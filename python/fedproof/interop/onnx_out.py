"""A global model as an ONNX file that any runtime can serve, and the check of that file against our predictions.

    features (n, f) -> Sub centre -> Div scale -> Clip -> Gemm -> Relu -> ... -> Gemm -> decision
    decision -> Sigmoid -> Concat (1 - p, p), or Softmax -> probability (n, classes)
    decision -> Greater 0, or ArgMax                     -> class (n,), a number from 0
    decision -> Mul, Add (target's scale and centre)     -> value (n, 1), of a regression

The first three nodes are the schema's standardisation, so the file reads raw features. Weights are the model's integers
divided by their scales; the roundings and tables of training are not in the file, and `output_bound` of
`learning/predicting.py` says how far that can be from the integers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from fedproof.errors import InputError
from fedproof.interop.extras import need
from fedproof.interop.inputs import Standardisation
from fedproof.learning.architecture import CROSS_ENTROPY, LOG, SQUARED
from fedproof.learning.baseline import Float
from fedproof.learning.fixed import FEATURE_FRACTION_BITS, FEATURE_LIMIT, Int
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.predicting import Predictor, output_bound

OPSET, IR_VERSION = 17, 8
FORMAT = "fedproof/onnx/v1"
PROVEN, SIMULATED, UNKNOWN = "proven", "simulated", "unknown"
FAR = 2**15  # scales between a centre and zero, from where float32 loses half a unit of a feature
FLOAT32_SLACK, FLOAT64_SLACK = 1e-4, 1e-9
UNIT = 1 << FEATURE_FRACTION_BITS


@final
@dataclass(frozen=True)
class Origin:
    """Where a model comes from, as the one who exports it says; it becomes metadata of the file.

    Args:
        training: `"proven"` only for a model of a task whose rounds were settled with proofs, `"simulated"` for one of
            a simulated run, otherwise `"unknown"`.
        task: identifier of the task.
        commitment: bytes of the model's commitment on chain.
    """

    training: str = UNKNOWN
    task: str = ""
    commitment: bytes = b""

    def __post_init__(self) -> None:
        if self.training not in (PROVEN, SIMULATED, UNKNOWN):
            raise InputError(f"origin: training is {PROVEN!r}, {SIMULATED!r} or {UNKNOWN!r}")
        if self.training == PROVEN and not (self.task and self.commitment):
            raise InputError("origin: a proven model has a task and a commitment, by which anybody can check it")


@final
@dataclass(frozen=True, eq=False)
class ServedModel:
    """What an exported file says.

    Args:
        plan: of the training.
        weights: integers at `plan.weight_scales()`.
        inputs: centre and scale of each feature; without them the file reads standardised features and is a plain
            chain, with the output `probability` (of class 1, or of each class) or `value` alone, which `read_onnx`
            reads back.
        classes: their names, from class 0; none for a regression.
        target: centre and scale of a regression's target.
        origin: metadata.

    Raises:
        InputError: parts that do not belong together.
    """

    plan: TrainingPlan
    weights: tuple[Int, ...]
    inputs: Standardisation | None = None
    classes: tuple[str, ...] = ()
    target: tuple[float, float] = (0.0, 1.0)
    origin: Origin = Origin()

    def __post_init__(self) -> None:
        if not isinstance(self.plan, TrainingPlan):  # its file could say that training was proven
            raise InputError("export: only a plan of training is exported; that of bounded updates proves no training")
        model = self.plan.model
        model.check(self.weights)
        if self.inputs is not None and len(self.inputs.names) != model.widths[0]:
            raise InputError(f"export: {len(self.inputs.names)} features, but the model reads {model.widths[0]}")
        count = 0 if model.loss == SQUARED else max(model.outputs, 2)
        if self.classes and len(self.classes) != count:
            raise InputError(f"export: {len(self.classes)} class names for {count} classes")
        if not np.isfinite(self.target).all() or self.target[1] <= 0:
            raise InputError("export: the target's centre and scale must be finite, the scale above 0")

    @property
    def predictor(self) -> Predictor:
        """Predicts in the integers of training."""
        return Predictor.exact(self.plan, self.weights)

    def metadata(self) -> dict[str, str]:
        """The file's metadata."""
        out = {
            "fedproof.format": FORMAT,
            "fedproof.training": self.origin.training,
            "fedproof.model": self.plan.model.kind,
            "fedproof.plan": self.plan.encode().decode(),
            "fedproof.plan_digest": self.plan.digest().hex(),
            "fedproof.classes": json.dumps(self.classes),
        }
        if self.inputs is not None:
            out["fedproof.features"] = json.dumps(self.inputs.names)
        if self.origin.task:
            out["fedproof.task"] = self.origin.task
        if self.origin.commitment:
            out["fedproof.model_commitment"] = self.origin.commitment.hex()
        return out


def write_onnx(served: ServedModel, double: bool = False) -> bytes:
    """The bytes of the ONNX file, opset 17.

    Args:
        double: compute in float64; float32 otherwise, which every runtime has.

    Raises:
        InputError: standardisation that float32 cannot do; also where the package `onnx` is missing.
    """
    _check_range(served, double)
    return _Graph(served, double).build()


def _check_range(served: ServedModel, double: bool) -> None:
    if double or served.inputs is None:
        return
    inputs = served.inputs
    for name, centre, scale in zip(inputs.names, inputs.centre, inputs.scale, strict=True):
        if abs(centre) >= FAR * scale or not 1e-30 < scale < 1e30:
            raise InputError(
                f"feature {name!r}: float32 is too coarse for centre {centre:g}, scale {scale:g}; use float64"
            )


class _Graph:
    """Nodes and initialisers, one after the other."""

    def __init__(self, served: ServedModel, double: bool) -> None:
        self.served, self.onnx = served, need("onnx")
        self.kind = self.onnx.TensorProto.DOUBLE if double else self.onnx.TensorProto.FLOAT
        self.dtype = np.float64 if double else np.float32
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.outputs: list[Any] = []

    def build(self) -> bytes:
        served, helper, model = self.served, self.onnx.helper, self.served.plan.model
        at = "features"
        if served.inputs is not None:
            low, high = -FEATURE_LIMIT / UNIT, (FEATURE_LIMIT - 1) / UNIT
            at = self._node("Sub", at, self._constant("centre", served.inputs.centre))
            at = self._node("Div", at, self._constant("scale", served.inputs.scale))
            at = self._node("Clip", at, self._constant("low", low), self._constant("high", high))
        real = served.plan.real(served.weights)
        for layer, matrix in enumerate(real, 1):
            last = layer == len(real)
            weight, bias = self._constant(f"weight{layer}", matrix[:-1]), self._constant(f"bias{layer}", matrix[-1])
            at = self._node("Gemm", at, weight, bias, into="decision" if last else None)
            at = at if last else self._node("Relu", at)
        self._head(at)
        graph = helper.make_graph(
            self.nodes, "fedproof", [helper.make_tensor_value_info("features", self.kind, ["rows", model.widths[0]])],
            self.outputs, self.constants,
        )  # fmt: skip
        opset = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="fedproof")
        helper.set_model_props(made, served.metadata())
        self.onnx.checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))

    def _head(self, at: str) -> None:
        loss, outputs, plain = self.served.plan.model.loss, self.served.plan.model.outputs, self.served.inputs is None
        if loss == SQUARED:
            self._value(at, plain)
            return
        if loss == CROSS_ENTROPY:
            at = self._node("Softmax", at, into="probability", axis=1)
        else:
            at = self._node("Sigmoid", at, into="probability" if plain else None)
        if plain:
            self._output("probability", self.kind, ["rows", outputs])
            return
        if loss == LOG:
            other = self._node("Sub", self._constant("one", 1.0), at)
            self._node("Concat", other, at, into="probability", axis=1)
            above = self._node("Greater", "decision", self._constant("zero", 0.0))
            number = self._node("Cast", above, to=self.onnx.TensorProto.INT64)
            self._node("Reshape", number, self._integers("flat", [-1]), into="class")
        else:
            self._node("ArgMax", "decision", into="class", axis=1, keepdims=0)
        self._output("class", self.onnx.TensorProto.INT64, ["rows"])
        self._output("probability", self.kind, ["rows", max(outputs, 2)])
        self._output("decision", self.kind, ["rows", outputs])

    def _value(self, at: str, plain: bool) -> None:
        if plain:
            self._output("decision", self.kind, ["rows", 1])
            return
        centre, scale = self.served.target
        at = self._node("Mul", at, self._constant("target_scale", scale))
        self._node("Add", at, self._constant("target_centre", centre), into="value")
        self._output("value", self.kind, ["rows", 1])

    def _node(self, op: str, *inputs: str, into: str | None = None, **attributes: Any) -> str:
        name = into or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def _constant(self, name: str, values: Any) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(values, dtype=self.dtype), name))
        return name

    def _integers(self, name: str, values: list[int]) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(values, dtype=np.int64), name))
        return name

    def _output(self, name: str, kind: int, shape: list[str | int]) -> None:
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))


@final
@dataclass(frozen=True)
class OnnxError:
    """An exported file against our predictions, in probabilities or standardised values.

    Attributes:
        real: largest distance from float64 predictions of the same weights.
        exact: largest distance from the integer predictions.
        bound: what `exact` may be at most: `output_bound`, and 1e-4 for float32 or 1e-9 for float64 times the largest
            logit or value where that is above 1.
    """

    real: float
    exact: float
    bound: float


def check_onnx(blob: bytes, served: ServedModel, features: Float) -> OnnxError:
    """Run a file that `write_onnx` made in onnxruntime, on `(n, f)` rows as it reads them.

    Raises:
        InputError: the package `onnxruntime` is missing, the rows have another shape, or the file predicts what no
            rounding explains.
    """
    session = need("onnxruntime").InferenceSession(blob, providers=["CPUExecutionProvider"])
    regression, predictor = served.plan.model.loss == SQUARED, served.predictor
    output = ("decision" if served.inputs is None else "value") if regression else "probability"
    if [value.name for value in session.get_inputs()] != ["features"] or output not in {
        value.name for value in session.get_outputs()
    }:
        raise InputError(f"ONNX file: it does not give {output!r} from 'features'")
    double = session.get_inputs()[0].type == "tensor(double)"
    with np.errstate(over="ignore"):
        raw = features.astype(np.float64 if double else np.float32)
    got = session.run([output], {"features": raw})[0].astype(np.float64)
    ready = features if served.inputs is None else served.inputs.standardise(features)
    plain = predictor.floating()
    if regression:
        got = got if served.inputs is None else (got - served.target[0]) / served.target[1]
        real, exact = plain.decision(ready), predictor.decision(ready)
    else:
        got = np.hstack([1 - got, got]) if got.shape[1] == 1 else got
        real, exact = plain.predict_proba(ready), predictor.predict_proba(ready)
    largest = max(float(np.abs(plain.decision(ready)).max(initial=0)), 1.0)
    bound = output_bound(served.plan, predictor.weights) + (FLOAT64_SLACK if double else FLOAT32_SLACK) * largest
    out = OnnxError(float(np.abs(got - real).max(initial=0)), float(np.abs(got - exact).max(initial=0)), bound)
    if not out.exact <= bound:
        raise InputError(f"ONNX file: it predicts up to {out.exact:.3g} away, and rounding explains {bound:.3g}")
    return out
