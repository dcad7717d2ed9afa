"""A model from elsewhere that a task starts near: `--start FILE` of `demo`, `market init --tasks` and `task open`.

A file is an ONNX graph, a layer list in JSON, or what `fedproof task model` wrote. What it holds must be the model that
the federation trains. Its weights are rounded to the plan's scales and moved by a draw of the task's seed, each by
1/1000 at most: participants and workers refuse a second sum over one model, so a start that somebody knew before could
be taken by a task of theirs (docs/security.md), and no task starts at zero (docs/decisions/0002).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from fedproof.app.telling import Teller
from fedproof.app.training import LINEAR, LOGISTIC, MLP, SOFTMAX
from fedproof.data import Schema, Table
from fedproof.data.naming import quoted, shown
from fedproof.errors import InputError
from fedproof.interop.chain import Imported
from fedproof.interop.inputs import Standardisation, unnamed
from fedproof.interop.layers import from_layers
from fedproof.interop.onnx_in import read_onnx
from fedproof.interop.onnx_served import read_served
from fedproof.interop.wire import MAX_BYTES
from fedproof.learning import architecture
from fedproof.learning.architecture import Model
from fedproof.learning.canonical import canonical
from fedproof.learning.exact import train
from fedproof.learning.fixed import Int
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import WEIGHT_LIMIT, TrainingPlan
from fedproof.learning.plans import Plan
from fedproof.learning.sgd import pad_to
from fedproof.storage.folders import open_plain

_ASKED: Final = {architecture.LINEAR: LINEAR, architecture.LOGISTIC: LOGISTIC, architecture.SOFTMAX: SOFTMAX}
MOVED_BY: Final = 1000
"""A weight is moved by at most 1 / MOVED_BY."""
_TAKEN: Final = "no ONNX file, layer list in JSON or model that fedproof task model wrote"


@dataclass(frozen=True, eq=False)
class Start:
    """What a file holds.

    Attributes:
        name: of the file, for messages.
        blob: its bytes, by which an opening knows it.
        raw: its first layer reads features in their units; otherwise standardised ones, as a task has them.
    """

    name: str
    blob: bytes
    raw: bool = False

    @classmethod
    def read(cls, path: Path, raw: bool = False) -> Self:
        """Read a file, and refuse one that holds no model.

        Raises:
            InputError: it cannot be read, or holds no model of the family, in one line that names what is wrong.
        """
        try:
            with open_plain(path) as file:
                parts, size = [], 0
                while size <= MAX_BYTES and (piece := file.read(MAX_BYTES + 1)):
                    parts.append(piece)
                    size += len(piece)
        except OSError as error:
            raise InputError(f"--start {shown(path)} cannot be read: {error.strerror}") from None
        start = cls(shown(path), b"".join(parts), raw)
        start.imported()
        return start

    @property
    def digest(self) -> str:
        """SHA-256 of the file, and how it is read."""
        return hashlib.sha256(bytes([self.raw]) + self.blob).hexdigest()

    def imported(self, loss: str | None = None) -> Imported:
        """The model with its weights, which read what the file says.

        Args:
            loss: where the file does not tell it; see `interop.read_onnx`.

        Raises:
            InputError: as `read`.
        """
        try:
            found = _decode(self.blob, loss)
        except InputError as error:
            raise self._wrong(str(error)) from None
        if found.model.weights is None:
            raise self._wrong("it has layers without weights; a task can start from weights alone")
        if self.raw and found.inputs is not None:
            raise self._wrong("it says itself how it standardises; leave --raw-start out")
        return found.model

    def asked(self) -> str:
        """`--model` that gives this architecture."""
        model = self.imported().model
        hidden = ",".join(map(str, model.widths[1:-1]))
        return f"{MLP}:{hidden}" if hidden else _ASKED[model.kind]

    def check(self, plan: Plan) -> None:
        """Refuse another architecture, and weights beyond the plan's range where no schema changes them; InputError."""
        plan = self._family(plan)
        found = self._of(plan)
        if not self.raw and _decode(self.blob, found.model.loss).inputs is None:
            self.first(plan, None, 0)

    def first(self, plan: Plan, schema: Schema | None, seed: int) -> GlobalModel:
        """The model that round 1 starts from.

        Args:
            schema: of the task. Weights of a file that says how it standardises, or that read raw features, are
                rewritten for the schema's standardisation; without it they are taken as they are.

        Raises:
            InputError: another architecture, a weight beyond the plan's range, or features of other names than the
                schema's.
        """
        plan = self._family(plan)
        found = self._of(plan)
        if schema is not None:
            found = self._standardised(found, schema)
        try:
            weights = found.start(plan)
        except InputError as error:
            raise self._wrong(str(error)) from None
        draw = np.random.Generator(np.random.PCG64(seed))
        moved = []
        for layer, (matrix, scale) in enumerate(zip(weights, plan.weight_scales(), strict=True), 1):
            bound = scale // MOVED_BY
            drawn = matrix + draw.integers(-bound, bound, matrix.shape, endpoint=True).astype(np.int64)
            if np.abs(drawn).max() >= WEIGHT_LIMIT:
                raise self._wrong(f"layer {layer}: a weight at the end of the plan's range, {WEIGHT_LIMIT / scale:.3g}")
            moved.append(drawn)
        return GlobalModel(plan.model, plan.weight_scales(), plan.model.flatten(moved))

    def trained_on(self, plan: Plan, schema: Schema, test: Table, first: GlobalModel) -> str:
        """Refuse a start from which public rows cannot be trained on; else the line that a sponsor should read.

        Raises:
            InputError: integers leave the plan's ranges.
        """
        rows = min(plan.rows, test.rows)
        features, labels = schema.quantise(test.features[:rows]), schema.quantise_labels(test.labels[:rows])
        try:
            train(self._family(plan), *pad_to(plan.rows, plan.columns, features, labels), first.layers)
        except InputError as error:
            raise self._wrong(f"the public rows cannot be trained on from it: {error}") from None
        return (
            f"starts from {self.name}, each weight moved by a draw within 1/{MOVED_BY}: whoever has the file nearly "
            "knows the start, so let nobody take part in two tasks that start near it (docs/security.md)"
        )

    def _family(self, plan: Plan) -> TrainingPlan:
        if not isinstance(plan, TrainingPlan):
            raise self._wrong("a task of bounded updates starts from a seed, or with task open from a .npz of arrays")
        return plan

    def _of(self, plan: TrainingPlan) -> Imported:
        try:
            found = self.imported(plan.model.loss)
        except InputError:  # where it tells another loss, the two models are what to name
            found = self.imported()
        if found.model != plan.model:
            remedy = "name the --model and the --data that it is for"
            raise self._wrong(f"it is {_text(found.model)}, and this federation trains {_text(plan.model)}; {remedy}")
        return found

    def _standardised(self, found: Imported, schema: Schema) -> Imported:
        own = _decode(self.blob, found.model.loss)
        inputs = Standardisation.of(schema)
        if own.inputs is None:
            return found.from_raw(inputs) if self.raw else found
        if own.inputs.names not in (inputs.names, unnamed(len(inputs.names))):
            pairs = zip(own.inputs.names, inputs.names, strict=True)
            mine, theirs = next((a, b) for a, b in pairs if a != b)
            raise self._wrong(f"it reads the feature {quoted(mine)} where the schema has {quoted(theirs)}")
        found = _to_raw(found, own.inputs).from_raw(inputs)
        if own.target is None or schema.target is None or found.weights is None:
            return found
        (centre, scale), last = own.target, found.weights[-1].copy()
        with np.errstate(over="ignore", invalid="ignore"):
            last *= scale / schema.target.scale
            last[-1] += (centre - schema.target.centre) / schema.target.scale
        return Imported(found.model, (*found.weights[:-1], last))

    def _wrong(self, why: str) -> InputError:
        return InputError(f"--start {self.name}: {why}")


def first_model(start: Start | None, plan: Plan, schema: Schema, test: Table, seed: int, teller: Teller) -> GlobalModel:
    """Where a task starts: near a file, which the teller is told, or at the plan's own draw. Errors as of `Start`."""
    if start is None:
        return GlobalModel.start(plan, seed)
    first = start.first(plan, schema, seed)
    teller.step(start.trained_on(plan, schema, test, first))
    return first


@dataclass(frozen=True, eq=False)
class _Found:
    """A file's model, and how it standardises features and a target where it says so."""

    model: Imported
    inputs: Standardisation | None = None
    target: tuple[float, float] | None = None


def _decode(blob: bytes, loss: str | None) -> _Found:
    if blob[:1].strip() in (b"{", b"["):
        return _decode_json(blob, loss)
    if blob[:4] == b"PK\3\4":
        raise InputError(f"a zip archive, as .npz and PyTorch files are, and {_TAKEN}")
    try:
        served = read_served(blob)
        if served is None:
            return _Found(read_onnx(blob, loss))
    except InputError as error:
        if blob[:1] == b"\x08":  # every writer of ONNX begins with the version of its format
            raise
        raise InputError(f"{_TAKEN} ({error})") from None
    return _Found(Imported(served.plan.model, tuple(served.plan.real(served.weights))), served.inputs, served.target)


def _decode_json(blob: bytes, loss: str | None) -> _Found:
    try:
        document: Any = json.loads(blob)
    except (ValueError, RecursionError):
        raise InputError("not JSON in UTF-8, and no ONNX file") from None
    if isinstance(document, list):
        return _Found(from_layers(document, loss))
    try:  # what `task model` wrote
        model = Model.decode(canonical(document["model"]))
        whole: Sequence[Any] = document["weights"]
        scales: Sequence[Any] = document["weight_scales"]
        if not all(type(value) is int and abs(value) < WEIGHT_LIMIT for value in (*whole, *scales)) or min(scales) < 1:
            raise InputError("a weight or scale is no integer in range")
        vector: Int = np.array(whole, dtype=np.int64)
        layers = zip(model.unflatten(vector), scales, strict=True)
        weights = tuple(layer.astype(np.float64) / scale for layer, scale in layers)
        lists = (document["features"], document["centre"], document["scale"])
        target = document["target"] or {"centre": 0.0, "scale": 1.0}
        if not all(len(each) == model.widths[0] for each in lists):
            raise InputError(f"it names {len(lists[0])} features, and its model reads {model.widths[0]}")
        inputs = Standardisation(*(tuple(each) for each in lists))
        return _Found(Imported(model, weights), inputs, (float(target["centre"]), float(target["scale"])))
    except (KeyError, ValueError, TypeError, OverflowError):
        raise InputError("neither a layer list nor a model that fedproof task model wrote") from None


def _to_raw(found: Imported, inputs: Standardisation) -> Imported:
    """The same function of raw features, for weights that read standardised ones: the inverse of `from_raw`."""
    assert found.weights is not None
    first = found.weights[0].copy()
    with np.errstate(over="ignore", invalid="ignore"):  # `Imported.start` refuses what comes of it
        first[:-1] /= np.array(inputs.scale)[:, None]
        first[-1] -= np.array(inputs.centre) @ first[:-1]
    return Imported(found.model, (first, *found.weights[1:]))


def _text(model: Model) -> str:
    return f"a {model.kind} {'-'.join(map(str, model.widths))} on the loss {model.loss!r}"
