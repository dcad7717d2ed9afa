"""The models that a task's rounds made: found in the store, and compared with what the chain committed to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fedproof import _core
from fedproof.app.connection import Connection
from fedproof.data import Schema
from fedproof.data.naming import shown
from fedproof.data.public import MAX_BYTES, decode_table
from fedproof.data.schema import MAX_SCHEMA_BYTES
from fedproof.errors import FedproofError, InputError, KeyFileError, ProofError, StorageError
from fedproof.learning.architecture import Model
from fedproof.learning.model import GlobalModel, TaskDescription, model_bytes
from fedproof.learning.plans import Plan
from fedproof.learning.scoring import Scores, score
from fedproof.ledger.federation import Federation, SettledRound, TaskInfo
from fedproof.statements.models.vectors import model_vector
from fedproof.storage import BlobStore
from fedproof.storage.folders import write_file

DESCRIPTION_BYTES: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class RoundModel:
    """A model of the commitment on chain. Round 0 is the start; `content_id` is the blob that holds it."""

    task_id: int
    round: int
    model: GlobalModel
    commitment: bytes
    content_id: str

    def to_json(self, schema: Schema, schema_id: str) -> dict[str, Any]:
        """Exact weights and their scales, and the same as real numbers for each layer.

        A row v of real values enters as `(v_j - centre_j) / scale_j`. Each output k of a layer is `bias_k + sum_j
        coefficients_kj input_j`; layers but the last end in `max(0, .)`. The last gives a target in its own units
        before `centre + scale .`, one logit of class 1, or a logit of each class, the largest of which wins. Of a model
        outside the family `arrays` are all that there is to say.
        """
        family = isinstance(self.model.model, Model)
        layers: list[list[dict[str, Any]]] = []
        for number, matrix in enumerate(self.model.real() if family else ()):
            names = schema.features if number == 0 else [f"unit {k}" for k in range(1, len(matrix))]
            outputs = [
                {"bias": column[-1], "coefficients": dict(zip(names, column, strict=False))}
                for column in matrix.T.tolist()
            ]
            layers.append(outputs)
        only = layers[0][0] if family and self.model.model.layers == ((len(schema.features) + 1, 1),) else {}
        return {
            "model": self.model.model.document(),
            "task": self.task_id,
            "round": self.round,
            "classes": list(schema.classes),
            "target": None if schema.target is None else vars(schema.target),
            "features": list(schema.features),
            "centre": list(schema.centre),
            "scale": list(schema.scale),
            "layers": layers,
            **({} if family else {"arrays": [array.tolist() for array in self.model.real()]}),
            **only,  # where there is one output of the features, as `coefficients` and `bias`, too
            "weights": self.model.weights.tolist(),
            "weight_scales": list(self.model.scales),
            "commitment": self.commitment.hex(),
            "content_id": self.content_id,
            "schema": schema_id,
        }


def read_description(network: Connection, task: TaskInfo) -> TaskDescription:
    """What a task fixed; StorageError or InputError when it cannot be read."""
    return TaskDescription.decode(network.store.get(task.params.description.hex(), limit=DESCRIPTION_BYTES))


def read_task_schema(network: Connection, description: TaskDescription) -> Schema:
    """The schema of a task's datasets."""
    return Schema.decode(network.store.get(description.schema, limit=MAX_SCHEMA_BYTES))


def round_model(network: Connection, task: TaskInfo, number: int | None = None) -> RoundModel:
    """The model that a round made, by default the newest; 0 is the model that the task began with.

    Raises:
        InputError: there is no such round, or it made no model.
        ProofError: what is published is not what the chain committed to.
        StorageError: no blob of it can be read.
    """
    check_powers_of(network, task)
    if number == 0 or (number is None and not any(each.new_model for each in task.settled)):
        description = read_description(network, task)
        model, blob = load_model(
            network.store, network.powers, description.plan, [description.start], task.params.model, "the start model"
        )
        return RoundModel(task.task_id, 0, model, task.params.model, blob)
    settled = _settled(task, number)
    assert settled.new_model is not None
    what = f"task {task.task_id}, round {settled.round}"
    names = model_names(network.federation, task.task_id, settled)
    plan = network.document.plan
    model, blob = load_model(network.store, network.powers, plan, names, settled.new_model, what)
    return RoundModel(task.task_id, settled.round, model, settled.new_model, blob)


def _settled(task: TaskInfo, number: int | None) -> SettledRound:
    with_model = [each for each in task.settled if each.new_model is not None]
    if number is None:
        return with_model[-1]
    for each in task.settled:
        if each.round == number:
            if each.new_model is None:
                raise InputError(f"round {number} was never summed: nobody settled it in time, and the model stayed")
            return each
    done = ", ".join(str(each.round) for each in with_model) or "none yet"
    raise InputError(f"--round {number}: task {task.task_id} has no model of it; rounds with one: {done}, and 0")


def model_names(federation: Federation, task_id: int, settled: SettledRound) -> list[str]:
    """Content ids under which the model of a round may be: that of the leader, then those that workers announced."""
    announced = federation.committee.announced(task_id, round=settled.round)
    names = [settled.content_id or b"", *(each.content_id for each in announced)]
    return list(dict.fromkeys(name.hex() for name in names if any(name)))


def load_model(
    store: BlobStore, powers: _core.Srs, plan: Plan, names: Sequence[str], commitment: bytes, what: str
) -> tuple[GlobalModel, str]:
    """The first of these blobs that holds the model of a commitment, and its name.

    Raises:
        ProofError: a blob was read, and none holds it.
        StorageError: none can be read.
    """
    missing: StorageError | None = None
    for name in names:
        try:
            model = GlobalModel.decode(store.get(name, limit=model_bytes(plan)))
        except StorageError as error:
            missing = missing or error
            continue
        except InputError:
            continue
        if model.fits(plan) and powers.commit(model_vector(plan, model.layers)) == commitment:
            return model, name
    if missing is not None:
        raise StorageError(f"{what}: its model cannot be read: {missing}")
    raise ProofError(f"{what}: the published model is not the one that the chain committed to; do not use it")


def check_powers_of(network: Connection, task: TaskInfo) -> None:
    """The powers of tau are those of the task's keys: with others a commitment says nothing.

    Raises:
        KeyFileError: they are not.
    """
    key = network.market.verifying_key(task.params.training_key)
    if key.tau != network.powers.g2_power(1):
        raise KeyFileError(f"task {task.task_id} was opened with other powers of tau than the deployment file names")


class Scorer:
    """Scores of a task's models on its public test rows; of models alone that the chain committed to."""

    def __init__(self, network: Connection, task: TaskInfo) -> None:
        self._network = network
        self._task = task
        self._parts: tuple[Schema, Any] | None = None
        self.problem = ""

    def score(self, settled: SettledRound) -> Scores | None:
        """Of the model of a round; None where it cannot be told, and `problem` says why."""
        if settled.new_model is None:
            return None
        try:
            found = round_model(self._network, _with(self._task, settled), settled.round)
            schema, test = self._test()
            labels = schema.standardise_labels(test.labels)
            model = found.model.model
            if not isinstance(model, Model):
                raise InputError("a model outside the family, which only its users can score")
            return score(model, found.model.real(), schema.standardise(test.features), labels)
        except FedproofError as error:
            self.problem = str(error)
            return None

    def _test(self) -> tuple[Schema, Any]:
        if self._parts is None:
            description = read_description(self._network, self._task)
            schema = read_task_schema(self._network, description)
            test = decode_table(self._network.store.get(description.test, limit=MAX_BYTES))
            if test.feature_names != schema.features:
                raise InputError("the task's test rows have other features than its schema")
            self._parts = (schema, test)
        return self._parts


def _with(task: TaskInfo, settled: SettledRound) -> TaskInfo:
    return task if settled in task.settled else replace(task, settled=(*task.settled, settled))


def write_model(network: Connection, task: TaskInfo, number: int | None, out: Path) -> dict[str, Any]:
    """Write the model of a round as JSON; see `round_model` for what is refused. Returns the document."""
    if out.exists() or out.is_symlink():
        raise InputError(f"{shown(out)} exists already; name another file")
    found = round_model(network, task, number)
    description = read_description(network, task)
    schema = read_task_schema(network, description)
    if (schema.rows, schema.columns) != (network.document.plan.rows, network.document.plan.columns):
        raise InputError(f"task {task.task_id}: its schema has another shape than its class")
    document = found.to_json(schema, description.schema)
    try:
        write_file(out, (json.dumps(document, indent=1) + "\n").encode(), mode=0o666)
    except OSError as error:
        raise InputError(f"{shown(out)} cannot be written: {error.strerror}") from None
    return document
