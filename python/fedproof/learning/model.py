"""What a task fixes and what a round makes, as public documents with one canonical byte form each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedproof.errors import InputError
from fedproof.learning.fixed import BATCH, INVERSE_LEARNING_RATE, Int, TrainingSpec

VERSION = 1
KIND = "logistic regression"


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _parse(blob: bytes, what: str, fields: Mapping[str, type]) -> dict[str, Any]:
    if len(blob) > 1 << 20:
        raise InputError(f"{what}: {len(blob)} bytes are too many")
    try:
        document = json.loads(blob)
    except (ValueError, RecursionError):
        raise InputError(f"{what}: not JSON") from None
    if not isinstance(document, dict) or set(document) != set(fields):
        raise InputError(f"{what}: the fields must be {', '.join(sorted(fields))}")
    for name, kind in fields.items():
        if type(document[name]) is not kind:
            raise InputError(f"{what}: field {name!r} must be of type {kind.__name__}")
    if document["version"] != VERSION:
        raise InputError(f"{what}: version {document['version']}; this build knows version {VERSION}")
    if _canonical(document) != blob:
        raise InputError(f"{what}: not in its canonical form")
    return document


@dataclass(frozen=True)
class TaskDescription:
    """What is trained and how; its content id is fixed on chain when the task opens.

    Args:
        name: of the data, for people.
        schema: content id of the public schema, 64 hex digits.
        test: content id of the public test part.
        start: content id of the public model that round 1 trains on.
        spec: capacity class, epochs and scales.
        srs: content id of the powers of tau.
    """

    name: str
    schema: str
    test: str
    start: str
    spec: TrainingSpec
    srs: str

    def encode(self) -> bytes:
        """Canonical JSON."""
        return _canonical(
            {
                "version": VERSION,
                "model": KIND,
                "statement": "proof of training",
                "name": self.name,
                "schema": self.schema,
                "test": self.test,
                "start": self.start,
                "srs": self.srs,
                "rows": self.spec.rows,
                "columns": self.spec.columns,
                "epochs": self.spec.epochs,
                "mask_count": self.spec.mask_count,
                "batch": BATCH,
                "inverse_learning_rate": INVERSE_LEARNING_RATE,
                "delta_fraction_bits": self.spec.delta_fraction_bits,
                "logit_fraction_bits": self.spec.logit_fraction_bits,
                "logit_limit": self.spec.logit_limit,
            }
        )

    @classmethod
    def decode(cls, blob: bytes) -> TaskDescription:
        """Read a description.

        Raises:
            InputError: not canonical, another version, or a task that this build cannot train.
        """
        text = ("model", "statement", "name", "schema", "test", "start", "srs")
        numbers = (
            "version", "rows", "columns", "epochs", "mask_count", "batch", "inverse_learning_rate",
            "delta_fraction_bits", "logit_fraction_bits", "logit_limit",
        )  # fmt: skip
        fields = dict.fromkeys(text, str) | dict.fromkeys(numbers, int)
        d = _parse(blob, "task description", fields)
        if (d["model"], d["statement"], d["batch"], d["inverse_learning_rate"]) != (
            KIND, "proof of training", BATCH, INVERSE_LEARNING_RATE,
        ):  # fmt: skip
            raise InputError("task description: this build trains logistic regression, batch 32, learning rate 0.01")
        spec = TrainingSpec(
            d["rows"], d["columns"], d["epochs"], d["mask_count"],
            d["delta_fraction_bits"], d["logit_fraction_bits"], d["logit_limit"],
        )  # fmt: skip
        return cls(d["name"], d["schema"], d["test"], d["start"], spec, d["srs"])


@dataclass(frozen=True, eq=False)
class GlobalModel:
    """A public model: exact integer weights, shape `(columns,)`, the bias last, and their scale."""

    weights: Int
    weight_scale: int

    @classmethod
    def start(cls, spec: TrainingSpec, seed: int) -> GlobalModel:
        """Where a task starts: weights drawn evenly from [-1/1000, 1/1000].

        Not zero: an update is a function of the model and the records, so that two tasks from one start could show it
        (protocol, section 6). Participants refuse to train twice on one model; another seed is another start.
        """
        bound = spec.weight_scale // 1000
        drawn = np.random.Generator(np.random.PCG64(seed)).integers(-bound, bound, spec.columns, endpoint=True)
        return cls(drawn.astype(np.int64), spec.weight_scale)

    def real(self) -> NDArray[np.float64]:
        """The weights as real numbers."""
        return self.weights.astype(np.float64) / self.weight_scale

    def encode(self) -> bytes:
        """Canonical JSON."""
        return _canonical(
            {"version": VERSION, "model": KIND, "weight_scale": self.weight_scale, "weights": self.weights.tolist()}
        )

    @classmethod
    def decode(cls, blob: bytes) -> GlobalModel:
        """Read a model.

        Raises:
            InputError: not canonical, or a weight that is no 64-bit integer.
        """
        d = _parse(blob, "model", {"version": int, "model": str, "weight_scale": int, "weights": list})
        weights = d["weights"]
        if d["model"] != KIND or d["weight_scale"] < 1 or not weights:
            raise InputError("model: not a logistic regression with a positive scale")
        if not all(type(w) is int and abs(w) < 2**62 for w in weights):
            raise InputError("model: every weight must be an integer below 2^62 in magnitude")
        return cls(np.array(weights, dtype=np.int64), d["weight_scale"])
