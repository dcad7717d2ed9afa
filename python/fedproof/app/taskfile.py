"""What a sponsor brings to a task: the workers' public keys, the public schema, and the public test rows."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from eth_utils.address import is_checksum_address
from numpy.typing import NDArray

from fedproof.app.keystore import PublicKeys
from fedproof.app.strict import Field, read_json
from fedproof.data import Schema, Table
from fedproof.data.draft import label_text
from fedproof.data.limits import MAX_ROWS, MAX_VALUES
from fedproof.data.load import MAX_LISTED
from fedproof.data.naming import clean_name, fault, quoted, shown
from fedproof.data.public import MAX_BYTES, decode_table, encode_table
from fedproof.data.schema import MAX_SCHEMA_BYTES
from fedproof.data.tablefile import Batch, TableFile, open_table
from fedproof.errors import InputError, SealingError
from fedproof.learning.model import GlobalModel
from fedproof.learning.plans import Plan
from fedproof.sealing.hpke import check_public_key
from fedproof.statements.labels import LabelKind
from fedproof.storage import BlobStore
from fedproof.storage.folders import open_plain

_CONTENT_ID: Final = re.compile(r"[0-9a-f]{64}")
_WORKER_BYTES: Final = 1 << 16
_START_BYTES: Final = 64 << 20
_HEADERS: Final = 1 << 20
"""What the headers of a start file's arrays may take together, in bytes."""


def read_workers(paths: Sequence[Path]) -> tuple[PublicKeys, ...]:
    """The committee, in order, from what `fedproof keys show KEYS --json` printed for each.

    Raises:
        InputError: a file is not such a document, or two name one address or one key.
    """
    found = [_read_worker(path) for path in paths]
    for place, (path, worker) in enumerate(zip(paths, found, strict=True)):
        for other, before in zip(paths[:place], found[:place], strict=True):
            if worker.address == before.address or worker.hpke_public == before.hpke_public:
                raise InputError(_twice(path, worker, other, before))
    return tuple(found)


def _twice(path: Path, worker: PublicKeys, other: Path, before: PublicKeys) -> str:
    if path == other:
        return f"{shown(path)} is given twice: name each worker once"
    what = f"address {worker.address}" if worker.address == before.address else "HPKE key"
    return (
        f"{shown(path)} and {shown(other)} have the same {what}: each member of a committee needs keys of its own, for "
        "it reads one share alone"
    )


def _read_worker(path: Path) -> PublicKeys:
    where = shown(path)
    top = Field.of(read_json(_read(path, _WORKER_BYTES, "fedproof keys show KEYS --json"), where, _WORKER_BYTES), where)
    address = top.text("address", r"0x[0-9a-fA-F]{40}")
    if not is_checksum_address(address):
        raise InputError(f"{where}: address has no valid checksum: copy it again")
    suite = top.choice("hpke_suite", ("x25519", "mlkem768x25519"))
    key = bytes.fromhex(top.text("hpke_public_key", r"([0-9a-f]{2}){32,2048}", wanted="hexadecimal bytes"))
    if top.has("folder"):
        top.text("folder", r"(?s).*")
    top.done()
    expected = {"x25519": 32, "mlkem768x25519": 1216}[suite]
    if len(key) != expected:
        raise InputError(f"{where}: hpke_public_key has {len(key)} bytes, a key of {suite} has {expected}")
    try:
        check_public_key(key)
    except SealingError as error:
        raise InputError(f"{where}: hpke_public_key: {error}") from None
    return PublicKeys(address, suite, key)


def read_schema(given: str, plan: Plan, store: BlobStore) -> Schema:
    """The public schema: a file as `dataset prepare` wrote it (`schema.json`), or the content id of one.

    Raises:
        InputError: it is no schema, or not of the deployment's shape.
        StorageError: no such blob.
    """
    if _CONTENT_ID.fullmatch(given):
        data, where = store.get(given, limit=MAX_SCHEMA_BYTES), f"blob {given}"
        schema = _decode(data, where, plan.rows, plan.columns)
    else:
        where = shown(Path(given))
        schema = schema_from_file(Path(given), plan.rows, plan.columns)
    kind = LabelKind.of(plan.model)
    if schema.label_kind != kind:
        raise InputError(
            f"{where}: a schema with labels of kind {schema.label_kind}, and this deployment is for a "
            f"{plan.model.kind} on labels of kind {kind}: name the schema of the datasets that shall take part"
        )
    return schema


def schema_from_file(path: Path, rows: int, columns: int) -> Schema:
    """A schema as `dataset prepare` wrote it, for this shape; InputError for anything else."""
    data = _read(path, MAX_SCHEMA_BYTES, "schema.json of a folder that fedproof dataset prepare made")
    return _decode(data, shown(path), rows, columns)


def _decode(data: bytes, where: str, rows: int, columns: int) -> Schema:
    try:
        schema = Schema.decode(data)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if (schema.rows, schema.columns) != (rows, columns):
        raise InputError(
            f"{where}: a schema of {schema.rows} x {schema.columns}, and this deployment trains on datasets of "
            f"{rows} x {columns}: name the schema of the datasets that shall take part"
        )
    return schema


def read_test(given: str, label: str | None, schema: Schema, store: BlobStore) -> Table:
    """The public test rows: a CSV or Parquet file with the schema's features and a label, or a content id.

    Args:
        label: the label column of a file; its cells name the schema's classes.

    Raises:
        InputError: it is no such table, or of other features or classes than the schema; with row and column.
        StorageError: no such blob.
    """
    if _CONTENT_ID.fullmatch(given):
        if label is not None:
            raise InputError("--label is for test rows from a file; a content id has its labels: leave it out")
        table = decode_table(store.get(given, limit=MAX_BYTES))
        target = schema.target.name if schema.target else ""
        if (table.feature_names, table.class_names, table.target) != (schema.features, schema.classes, target):
            raise InputError(f"blob {given}: its features or classes are not those of the schema")
        return table
    return rows_from_file(Path(given), label, schema)


def rows_from_file(path: Path, label: str | None, schema: Schema) -> Table:
    """Public rows from a CSV or Parquet file; arguments and errors as `read_test`."""
    if label is None:
        raise InputError("--label is missing: name the column of the test file that holds the class")
    table = _from_file(open_table(path), label, schema)
    encode_table(table)  # what is too large is refused here
    return table


def _from_file(file: TableFile, label: str, schema: Schema) -> Table:
    kinds = _kinds(file, label, schema)
    features: list[NDArray[np.float64]] = []
    labels: list[float] = []
    for batch in file.batches(kinds):
        features.append(_features(file.path, batch, schema))
        labels += _targets(file.path, batch, label) if schema.target else _labels(file.path, batch, label, schema)
        if len(labels) > min(MAX_ROWS, MAX_VALUES // len(schema.features)):
            raise InputError(f"{shown(file.path)}: too many rows; a few thousand show the accuracy as well")
    if not labels:
        raise InputError(f"{shown(file.path)} has a header but no records; test rows are needed")
    name = file.path.stem if clean_name(file.path.stem) else "test"
    values: NDArray[Any] = np.array(labels, dtype=np.float64 if schema.target else np.int64)
    target = schema.target.name if schema.target else ""
    return Table(name, np.concatenate(features), schema.features, values, schema.classes, target)


def _kinds(file: TableFile, label: str, schema: Schema) -> dict[str, str]:
    """How each column is read; others than the schema's are not looked at."""
    if label in schema.features:
        raise InputError(f"--label {quoted(label)} is a feature of the schema; name the column that is predicted")
    for name in (*schema.features, label):
        if name not in file.names:
            what = "the label" if name == label else "a feature of the schema"
            raise InputError(f"{shown(file.path)} has no column {quoted(name)}, {what}: name another file or column")
    stated = file.kinds or {}
    numbers = {name: "boolean" if stated.get(name) == "boolean" else "number" for name in schema.features}
    return numbers | {label: "number" if schema.target else "text"}


def _features(path: Path, batch: Batch, schema: Schema) -> NDArray[np.float64]:
    for name in schema.features:
        gaps = np.isnan(batch.numbers[name])
        if gaps.any():
            raise fault(path, batch.rows[int(np.argmax(gaps))], "the value is missing; fill it or remove the row", name)
    return np.column_stack([batch.numbers[name] for name in schema.features])


def _targets(path: Path, batch: Batch, label: str) -> list[float]:
    values = batch.numbers[label]
    gaps = np.isnan(values)
    if gaps.any():
        raise fault(path, batch.rows[int(np.argmax(gaps))], "the label is missing; fill it or remove the row", label)
    return [float(value) for value in values]


def _labels(path: Path, batch: Batch, label: str, schema: Schema) -> Iterator[int]:
    codes = {name: code for code, name in enumerate(schema.classes)}
    one_against_all = len(codes) == 2 and schema.classes[0] == f"not {schema.classes[1]}"
    for row, cell in zip(batch.rows, batch.texts[label], strict=True):
        if cell is None:
            raise fault(path, row, "the label is missing; fill it or remove the row", label)
        code = codes.get(cell, codes.get(label_text(cell)))
        if code is None and not one_against_all:
            classes = " or ".join(map(quoted, schema.classes[:MAX_LISTED]))
            raise fault(path, row, f"a label that is no class of the schema, which has {classes}", label)
        yield 0 if code is None else code


def read_start(path: Path, plan: Plan) -> GlobalModel:
    """A start model from a `.npz` file: the arrays of the model in their order, as `numpy.savez` numbers them.

    Raises:
        InputError: no such file, or arrays of other shapes, or values that no model of the plan can have.
    """
    data = _read(path, _START_BYTES, "a .npz file of the model's arrays, as numpy.savez writes it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            inflated = sum(each.file_size for each in held.infolist())
        if inflated > 16 * plan.model.parameters + _HEADERS:  # before any of it is in memory
            raise ValueError
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            given = [file[name] for name in file.files]
        if any(array.dtype.kind not in "biuf" for array in given):
            raise ValueError
        arrays = [array.astype(np.float64) for array in given]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - zip, inflate and header each have errors of their own, and more than they document
        raise InputError(f"{shown(path)}: no .npz file of arrays of numbers; numpy.savez writes one") from None
    try:
        return GlobalModel.of_arrays(plan, arrays)
    except InputError as error:
        raise InputError(f"{shown(path)}: {error}") from None


def _read(path: Path, limit: int, maker: str) -> bytes:
    try:
        with open_plain(path) as file:
            parts = []
            while piece := file.read(limit + 1):
                parts.append(piece)
                if sum(map(len, parts)) > limit:
                    raise InputError(f"{shown(path)}: more than {limit} bytes; it should be {maker}")
    except OSError as error:
        raise InputError(f"{shown(path)} cannot be read: {error.strerror}; it should be {maker}") from None
    return b"".join(parts)
