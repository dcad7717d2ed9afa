"""What a task fixes and what a round makes, as public documents with one canonical byte form each.

Version 2. Version 1 knew logistic regression alone, and its circuits are none of this build's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self, final

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning.arrays import Architecture, read_architecture
from fedproof.learning.canonical import canonical, parse
from fedproof.learning.fixed import Int
from fedproof.learning.plan import WEIGHT_LIMIT
from fedproof.learning.plans import Plan, check_statement, decode_plan

VERSION: Final = 2
MAX_BYTES: Final = 64 << 20
"""Of any model's document; one of a known plan has at most `model_bytes`."""
_HEAD_BYTES: Final = 4096
_WEIGHT_BYTES: Final = 21  # 2^62 has 19 digits; with its sign and a comma
_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}")


@final
@dataclass(frozen=True)
class TaskDescription:
    """What is trained and how; its content id is fixed on chain when the task opens, and so is the plan's digest.

    Args:
        name: of the data, for people.
        schema: content id of the public schema, 64 hex digits.
        test: content id of the public test part.
        start: content id of the public model that round 1 trains on.
        plan: model, capacity class, epochs and scales; or what bounds an update. It names the statement.
        srs: content id of the powers of tau.
    """

    name: str
    schema: str
    test: str
    start: str
    plan: Plan
    srs: str

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(
            {
                "version": VERSION,
                "statement": self.plan.statement,
                "name": self.name,
                "schema": self.schema,
                "test": self.test,
                "start": self.start,
                "srs": self.srs,
                "plan": json.loads(self.plan.encode()),
            }
        )

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """Read a description.

        Raises:
            InputError: not canonical, another version, a plan that this build does not know, or a plan of another
                statement than the description names.
        """
        text = ("statement", "name", "schema", "test", "start", "srs")
        fields = dict.fromkeys(text, str) | {"version": int, "plan": dict}
        d = parse(blob, "task description", fields, version=VERSION)
        for name in ("schema", "test", "start", "srs"):
            if not _CONTENT_ID.fullmatch(d[name]):
                raise InputError(f"task description: field {name!r} is no content id")
        plan = decode_plan(canonical(d["plan"]))
        check_statement(plan, d["statement"], "task description")
        return cls(d["name"], d["schema"], d["test"], d["start"], plan, d["srs"])


def model_bytes(plan: Plan) -> int:
    """The most that the document of a plan's model can have."""
    scales = _WEIGHT_BYTES * len(plan.model.layers)
    return _HEAD_BYTES + len(plan.model.encode()) + scales + _WEIGHT_BYTES * plan.model.parameters


@final
@dataclass(frozen=True, eq=False)
class GlobalModel:
    """A public model.

    Attributes:
        model: its architecture, or the arrays of one outside the family.
        scales: the integer that a weight of 1.0 is, of each layer or array.
        weights: exact integers, `(parameters,)` in the order of the model's `flatten`: that of rising positions.
    """

    model: Architecture
    scales: tuple[int, ...]
    weights: Int

    @classmethod
    def start(cls, plan: Plan, seed: int) -> Self:
        """Where a task starts: `plan.start` of a public seed.

        Not zero: an update is a function of the model and the records, so that two tasks from one start could show it
        (protocol, section 6). Participants refuse to train twice on one model; another seed is another start.
        """
        return cls(plan.model, plan.weight_scales(), plan.model.flatten(plan.start(seed)))

    def moved(self, step: NDArray[np.int64] | NDArray[np.object_]) -> Self:
        """The model after a step `(parameters,)`.

        Raises:
            InputError: a weight would leave the range of a public model.
        """
        after = self.weights.astype(object) + step.astype(object)
        if any(abs(weight) >= WEIGHT_LIMIT for weight in after):
            raise InputError("model: a weight would leave the range of 62 bits; start smaller, or rescale the data")
        return type(self)(self.model, self.scales, after.astype(np.int64))

    def fits(self, plan: Plan) -> bool:
        """Whether it is a model of this plan."""
        return (self.model, self.scales) == (plan.model, plan.weight_scales())

    @classmethod
    def of_arrays(cls, plan: Plan, arrays: Sequence[NDArray[np.float64]]) -> Self:
        """The model nearest to real weights.

        Args:
            arrays: a matrix `(a, b)` for each layer, or the arrays of a model outside the family.

        Raises:
            InputError: other shapes, or a value that is not finite or out of the range of a public model.
        """
        plan.model.check(arrays)
        with np.errstate(over="ignore"):
            scaled = [np.rint(array * float(scale)) for array, scale in zip(arrays, plan.weight_scales(), strict=True)]
        if not all((np.abs(each) < WEIGHT_LIMIT).all() for each in scaled):  # not a number fails, too
            raise InputError("model: a weight is not finite, or leaves the range of 62 bits")
        return cls(plan.model, plan.weight_scales(), plan.model.flatten([each.astype(np.int64) for each in scaled]))

    @property
    def layers(self) -> tuple[Int, ...]:
        """A matrix `(a, b)` for each layer, or the arrays of a model outside the family."""
        return self.model.unflatten(self.weights)

    def real(self) -> list[NDArray[np.float64]]:
        """The matrices as real numbers."""
        return [layer.astype(np.float64) / scale for layer, scale in zip(self.layers, self.scales, strict=True)]

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical(
            {
                "version": VERSION,
                "model": self.model.document(),
                "weight_scales": list(self.scales),
                "weights": self.weights.tolist(),
            }
        )

    @classmethod
    def decode(cls, blob: bytes) -> Self:
        """Read a model.

        Raises:
            InputError: not canonical, another version, or a weight or scale that is no integer in range.
        """
        fields = {"version": int, "model": dict, "weight_scales": list, "weights": list}
        d = parse(blob, "model", fields, version=VERSION, limit=MAX_BYTES)
        model = read_architecture(d["model"])
        weights, scales = d["weights"], d["weight_scales"]
        if len(weights) != model.parameters or len(scales) != len(model.layers):
            raise InputError(f"model: {len(weights)} weights and {len(scales)} scales are not those of its layers")
        if not all(type(scale) is int and 0 < scale < WEIGHT_LIMIT for scale in scales):
            raise InputError("model: every scale must be a positive integer below 2^62")
        if not all(type(weight) is int and abs(weight) < WEIGHT_LIMIT for weight in weights):
            raise InputError("model: every weight must be an integer below 2^62 in magnitude")
        return cls(model, tuple(scales), np.array(weights, dtype=np.int64))
