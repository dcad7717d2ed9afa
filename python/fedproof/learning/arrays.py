"""A model outside the family: so many parameters in arrays of given shapes, and nothing that this package could run.

Its users alone know what it computes and how it is trained (a PyTorch module, say); here it is one vector. Tasks can
ask for bounded updates of it, which say nothing of training (`clipping.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, Final, final

import numpy as np

from fedproof import _core
from fedproof.errors import InputError
from fedproof.learning.architecture import Model
from fedproof.learning.canonical import VERSION, canonical, parse
from fedproof.learning.fixed import Int

OTHER: Final = "model outside the family"
MAX_PARAMETERS: Final = 2**22
MAX_ARRAYS, MAX_DIMENSIONS = 4096, 8
_LABELS: Final = re.compile(r"binary|target|classes [1-9][0-9]{0,3}")


@final
@dataclass(frozen=True)
class OtherModel:
    """Arrays of a model, in an order that the task's participants share: that of a PyTorch state dict, for example.

    Args:
        shapes: of each array; () is a single number.
        labels: the kind of labels of the datasets, as `statements/labels.py` writes it.

    Raises:
        InputError: no parameter, too many, or labels of no kind.
    """

    shapes: tuple[tuple[int, ...], ...]
    labels: str = "binary"

    def __post_init__(self) -> None:
        # before anything is computed from them: a description may come from a stranger
        if not 1 <= len(self.shapes) <= MAX_ARRAYS or any(len(shape) > MAX_DIMENSIONS for shape in self.shapes):
            raise InputError(f"model: it has 1 to {MAX_ARRAYS} arrays of up to {MAX_DIMENSIONS} dimensions")
        if not all(1 <= size <= MAX_PARAMETERS for shape in self.shapes for size in shape):
            raise InputError(f"model: every dimension of an array is from 1 to {MAX_PARAMETERS}")
        if self.parameters > MAX_PARAMETERS:
            raise InputError(f"model: {self.parameters} parameters; {MAX_PARAMETERS} at most")
        if not _LABELS.fullmatch(self.labels):
            raise InputError(
                f"model: no labels of kind {self.labels[:40]!r}; use binary, target, or classes and how many"
            )

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return OTHER

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(map(prod, self.shapes))

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """The shapes."""
        return self.shapes

    def check(self, weights: Sequence[np.ndarray]) -> None:
        """Refuse arrays of other shapes.

        Raises:
            InputError: the shapes are not those of the model.
        """
        shapes = tuple(array.shape for array in weights)
        if shapes != self.shapes:
            raise InputError(f"model: weights of shapes {shapes}; its arrays are {self.shapes}")

    def flatten(self, weights: Sequence[Int]) -> Int:
        """One vector `(parameters,)`: array after array, each row by row."""
        self.check(weights)
        return np.concatenate([array.reshape(-1) for array in weights])

    def unflatten(self, vector: Int) -> tuple[Int, ...]:
        """The arrays of a vector `(parameters,)`.

        Raises:
            InputError: another length.
        """
        if vector.shape != (self.parameters,):
            raise InputError(f"model: {vector.shape} weights; it has {self.parameters}")
        parts = np.split(vector, np.cumsum([prod(shape) for shape in self.shapes])[:-1])
        return tuple(part.reshape(shape).copy() for part, shape in zip(parts, self.shapes, strict=True))

    def document(self) -> dict[str, object]:
        """The fields of the canonical form."""
        shapes = [list(shape) for shape in self.shapes]
        return {"version": VERSION, "kind": OTHER, "shapes": shapes, "labels": self.labels}

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.document())

    def digest(self) -> bytes:
        """keccak256 of the canonical form."""
        return _core.keccak256(self.encode())

    @classmethod
    def decode(cls, blob: bytes) -> OtherModel:
        """Read a description.

        Raises:
            InputError: not canonical, another version, or no such arrays.
        """
        d = parse(blob, "model description", {"version": int, "kind": str, "shapes": list, "labels": str})
        if d["kind"] != OTHER:
            raise InputError(f"model description: {d['kind'][:40]!r} is no {OTHER}")
        shapes = d["shapes"]
        if len(shapes) > MAX_ARRAYS or not all(
            type(shape) is list and len(shape) <= MAX_DIMENSIONS and all(type(size) is int for size in shape)
            for shape in shapes
        ):
            raise InputError("model description: shapes must be a list of short lists of integers")
        return cls(tuple(map(tuple, shapes)), d["labels"])


Architecture = Model | OtherModel


def read_architecture(document: dict[str, Any]) -> Architecture:
    """The model of a description inside another document; errors as `Model.decode`."""
    kind = OtherModel if document.get("kind") == OTHER else Model
    return kind.decode(canonical(document))


def start_layers(model: Model, scales: Sequence[int], seed: int) -> tuple[Int, ...]:
    """Weights of a model of the family that a task starts from, drawn evenly from a public seed.

    Without hidden layers within 1/1000, as for logistic regression; with them within sqrt(6 / a) of a hidden layer
    and sqrt(3 / a) of the last, so that signals keep their size; in integers alone, the same on every machine.

    Args:
        scales: the integer that a weight of 1.0 is, of each layer.
    """
    generator, depth = np.random.Generator(np.random.PCG64(seed)), len(model.layers)
    out = []
    for layer, ((a, b), scale) in enumerate(zip(model.layers, scales, strict=True)):
        spread = 6 if layer < depth - 1 else 3
        bound = scale // 1000 if depth == 1 else isqrt(spread * scale * scale // a)
        drawn = generator.integers(-bound, bound, (b, a), endpoint=True).astype(np.int64)
        out.append(np.ascontiguousarray(drawn.T))
    return tuple(out)


def start_arrays(model: OtherModel, scale: int, seed: int) -> tuple[Int, ...]:
    """The same for a model outside the family: an array `(out, in, ...)` within 1 / sqrt(in ...), which is how PyTorch
    begins its layers, and one of fewer dimensions within 1/1000. Arrays that begin at one, as those of a
    normalisation do, need a start of the sponsor's own.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    out = []
    for shape in model.shapes:
        bound = isqrt(scale * scale // prod(shape[1:])) if len(shape) > 1 else scale // 1000
        out.append(generator.integers(-bound, bound, shape, endpoint=True).astype(np.int64).reshape(shape))
    return tuple(out)
