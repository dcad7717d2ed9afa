"""What is trained, as one public description: the same one drives the integer training and its circuit.

Every kind is a chain of dense layers. A layer has `a` inputs, the last of which is the row mask (the bias input, for
hidden layers too), and `b` outputs; its weights are a matrix `(a, b)`. Hidden layers end in ReLU; what the last layer
gives is judged by the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from fedproof import _core
from fedproof.errors import InputError
from fedproof.learning.canonical import VERSION, canonical, parse
from fedproof.learning.fixed import MAX_COLUMNS, Int

LINEAR, LOGISTIC, SOFTMAX, PERCEPTRON = (
    "linear regression",
    "logistic regression",
    "softmax classification",
    "multi-layer perceptron",
)
SQUARED, LOG, CROSS_ENTROPY = "squared error", "logistic", "cross-entropy"
RELU, IDENTITY = "relu", "none"
MAX_HIDDEN, MAX_WIDTH = 8, 1024
_LOSS_OF = {LINEAR: SQUARED, LOGISTIC: LOG, SOFTMAX: CROSS_ENTROPY}


@final
@dataclass(frozen=True)
class Model:
    """An architecture. Build one with `linear`, `logistic`, `softmax` or `perceptron`.

    Args:
        kind: one of the four names above.
        widths: features, then the width of each hidden layer, then the outputs; the bias is in none of them.
        activation: of the hidden layers; `none` where there are none.
        loss: squared error, logistic (one output) or cross-entropy (two outputs or more).
    """

    kind: str
    widths: tuple[int, ...]
    activation: str
    loss: str

    def __post_init__(self) -> None:
        hidden = len(self.widths) - 2
        if self.kind not in (LINEAR, LOGISTIC, SOFTMAX, PERCEPTRON):
            raise InputError(f"model: this build knows no kind {self.kind!r}")
        if not (1 <= hidden <= MAX_HIDDEN if self.kind == PERCEPTRON else hidden == 0):
            raise InputError(f"model: a {self.kind} cannot have {max(hidden, 0)} hidden layers")
        if not 1 <= self.widths[0] < MAX_COLUMNS or not all(1 <= width <= MAX_WIDTH for width in self.widths[1:]):
            raise InputError(f"model: widths are 1 to {MAX_COLUMNS - 1} features and 1 to {MAX_WIDTH} units a layer")
        if self.activation != (RELU if hidden else IDENTITY):
            raise InputError(f"model: {'hidden layers use' if hidden else 'without hidden layers there is no'} relu")
        if self.loss not in (SQUARED, LOG, CROSS_ENTROPY) or self.loss != _LOSS_OF.get(self.kind, self.loss):
            raise InputError(f"model: a {self.kind} is not trained on the loss {self.loss!r}")
        if (self.outputs > 1) != (self.loss == CROSS_ENTROPY):
            raise InputError("model: cross-entropy has two outputs or more, every other loss has one")

    @classmethod
    def linear(cls, features: int) -> Model:
        """Linear regression on one standardised target."""
        return cls(LINEAR, (features, 1), IDENTITY, SQUARED)

    @classmethod
    def logistic(cls, features: int) -> Model:
        """Logistic regression on classes 0 and 1."""
        return cls(LOGISTIC, (features, 1), IDENTITY, LOG)

    @classmethod
    def softmax(cls, features: int, classes: int) -> Model:
        """Softmax classification of classes 0, 1, ..., classes - 1."""
        return cls(SOFTMAX, (features, classes), IDENTITY, CROSS_ENTROPY)

    @classmethod
    def perceptron(cls, features: int, hidden: Sequence[int], outputs: int, loss: str | None = None) -> Model:
        """A multi-layer perceptron; without a loss, logistic for one output and cross-entropy for more."""
        loss = loss or (LOG if outputs == 1 else CROSS_ENTROPY)
        return cls(PERCEPTRON, (features, *hidden, outputs), RELU, loss)

    @property
    def columns(self) -> int:
        """Columns of the capacity class: the features and the mask."""
        return self.widths[0] + 1

    @property
    def outputs(self) -> int:
        """Outputs of the last layer."""
        return self.widths[-1]

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """`(a, b)` of each layer: inputs with the bias input, and outputs."""
        return tuple((inputs + 1, outputs) for inputs, outputs in pairwise(self.widths))

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(a * b for a, b in self.layers)

    def flatten(self, weights: Sequence[Int]) -> Int:
        """One vector: layer after layer, the weights of an output together, its bias last.

        That is the order of rising positions in the committed vector (protocol, section 5).
        """
        self.check(weights)
        return np.concatenate([matrix.T.reshape(-1) for matrix in weights])

    def unflatten(self, vector: Int) -> tuple[Int, ...]:
        """The matrices `(a, b)` of a vector `(parameters,)`.

        Raises:
            InputError: another length.
        """
        if vector.shape != (self.parameters,):
            raise InputError(f"model: {vector.shape} weights; it has {self.parameters}")
        ends = np.cumsum([a * b for a, b in self.layers])[:-1]
        parts = np.split(vector, ends)
        return tuple(part.reshape(b, a).T.copy() for part, (a, b) in zip(parts, self.layers, strict=True))

    def check(self, weights: Sequence[np.ndarray]) -> None:
        """Refuse weights of other shapes.

        Raises:
            InputError: the shapes are not those of the layers.
        """
        shapes = tuple(matrix.shape for matrix in weights)
        if shapes != self.layers:
            raise InputError(f"model: weights of shapes {shapes}; its layers are {self.layers}")

    def document(self) -> dict[str, object]:
        """The fields of the canonical form."""
        return {
            "version": VERSION,
            "kind": self.kind,
            "widths": list(self.widths),
            "activation": self.activation,
            "loss": self.loss,
        }

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.document())

    def digest(self) -> bytes:
        """keccak256 of the canonical form: what a task binds."""
        return _core.keccak256(self.encode())

    @classmethod
    def decode(cls, blob: bytes) -> Model:
        """Read a description.

        Raises:
            InputError: not canonical, another version, or a model that this build cannot train.
        """
        fields = {"version": int, "kind": str, "widths": list, "activation": str, "loss": str}
        d = parse(blob, "model description", fields)
        if len(d["widths"]) > MAX_HIDDEN + 2 or not all(type(width) is int for width in d["widths"]):
            raise InputError("model description: widths must be a short list of integers")
        return cls(d["kind"], tuple(d["widths"]), d["activation"], d["loss"])
