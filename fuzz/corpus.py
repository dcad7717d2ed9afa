"""Writes the seeds, a few valid inputs for each harness: `python -m fuzz.corpus [NAME ...]`, where a format changed."""

from __future__ import annotations

import io
import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.core.support import G1, G2, System, fr, random_system
from tests.interop import graphs
from tests.learning.bounded import PLAN as BOUNDED
from tests.learning.scenes import KINDS, make_plan
from tests.sealing.test_escrow_form import escrow

from fedproof import _core
from fedproof.app import keystore
from fedproof.app.contact import contact_json
from fedproof.app.deployment import CONTRACTS, BlobRef, DeploymentFile, statements_of
from fedproof.app.keyfile import encode_key_file
from fedproof.app.nodeconfig import ROLES
from fedproof.app.nodetemplate import template
from fedproof.app.secret import Secret
from fedproof.data import Table
from fedproof.data.block import encode_block
from fedproof.data.draft import draft_plan, write_plan
from fedproof.data.public import encode_table
from fedproof.data.records import Records
from fedproof.data.tablefile import open_table
from fedproof.learning.architecture import Model
from fedproof.learning.arrays import OtherModel
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.ledger import Chain
from fedproof.ledger.abi import CODEC, component_types
from fedproof.ledger.market_types import Addresses
from fedproof.nodes.state import StateFile
from fedproof.sealing import handover, hpke, memo
from fedproof.sealing.escrow import Member
from fedproof.sealing.records import seal_records
from fedproof.sharing.share import Output, Share
from fedproof.storage import bundle
from fuzz import decoders
from fuzz.decoders import CONTEXT, IDENTITY, KEY, MEMO, PAIR, SCHEMA
from fuzz.harness import CORPUS

ID, WORD = "ab" * 32, "cd" * 32
LOGISTIC = make_plan(KINDS["logistic"])
DEEP = make_plan(KINDS["deep perceptron"])
OTHER = replace(BOUNDED, described=OtherModel(((2, 2), ())))
CSV = b"age,dose,outcome\n" + b"1.5,2,yes\n-3,4e2,no\n" * 20
QUOTED = b'\xef\xbb\xbf"age ""in years""","dose, mg","label"\r\n' + b'1,2,"a"\r\n3,4,"b"\r\n' * 20


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _keys() -> list[bytes]:
    from tests.proving.test_keys import VK

    return [VK.encode()]


def _index() -> list[bytes]:
    entries = [bundle.Entry("a.csv", 3, ID), bundle.Entry("ä b.csv", 0, WORD)]  # type: ignore[arg-type]
    return [bundle._encode(5, entries), bundle._encode(5, entries[:1])]


def _records() -> list[bytes]:
    features = np.array([[1, -2], [3, 4]], dtype=np.int64)
    blinding = bytes(64)
    narrow = Records(SCHEMA.digest, features, np.array([0, 1]), blinding)
    return [narrow.encode(), Records(SCHEMA.digest, features, np.array([5, 1]), blinding).encode()]


def _deployment() -> list[bytes]:
    from eth_utils.address import to_checksum_address

    addresses = [to_checksum_address("0x" + f"{k:02x}" * 20) for k in range(1, len(CONTRACTS) + 1)]
    document = DeploymentFile(
        chain_id=31_337,
        contracts={name: (address, "0x" + WORD) for name, address in zip(CONTRACTS, addresses, strict=True)},
        store="s3://bucket/blobs",
        class_id=1,
        plan=LOGISTIC,
        powers=BlobRef(ID, 900, ""),  # type: ignore[arg-type]
        keys={name: BlobRef(ID, 70, WORD) for name in statements_of(LOGISTIC)},  # type: ignore[arg-type]
    )
    return [document.encode()]


def _market() -> list[bytes]:
    contracts = {name: "0x" + f"{k:02x}" * 20 for k, name in enumerate(Addresses.__dataclass_fields__, 1)}
    return [
        _json({"version": 1, "chain_id": 1, "rpc": "http://a", "store": "s3://b", "contracts": contracts, "keys": None})
    ]


def _keystore() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        keystore.create(Path(folder) / "keys", Secret(b"a long passphrase of a test"))
        return [next((Path(folder) / "keys").glob("chain*")).read_bytes()]


def _start() -> list[bytes]:
    layers = [[[0.5], [1.0], [-0.25]]]
    model = Model.logistic(2)
    wrote = {
        "model": model.document(), "weights": [1, 2, 3], "weight_scales": [4], "features": ["a", "b"],
        "centre": [0.0, 1.0], "scale": [1.0, 2.0], "target": None,
    }  # fmt: skip
    return [_json(wrote), *[data for data in [_json(layers)] if _taken("start-model", data)]]


def _taken(name: str, data: bytes) -> bool:
    return next(each for each in decoders.HARNESSES if each.name == name)(data)


def _chain() -> dict[str, list[bytes]]:
    """An export, a receipt, and two signed transactions."""
    chain = Chain.embedded(timestamp=1_800_000_000, block_interval=2)
    alice = chain.new_account("alice")
    from tests.ledger.conftest import deploy_probe

    probe = deploy_probe(chain, alice)
    receipt = chain.transact(probe.functions.store(1, 2, b"note"), alice, value=3)
    export = json.loads(json.dumps(chain.export()))
    raw = [bytes.fromhex(each["raw"][2:]) for block in export["blocks"] for each in block["transactions"]]
    small = export | {"blocks": export["blocks"][-1:]}
    answer = chain.rpc.request("eth_getTransactionReceipt", receipt.tx_hash)
    sent = chain.rpc.request("eth_getTransactionByHash", receipt.tx_hash)
    return {
        "chain-export": [_json(small)],
        "node-answer": [_json(dict(sent) | dict(answer))],
        "signed-transaction": [each for each in raw if len(each) < 2000],
    }


def _abi() -> list[bytes]:
    types = component_types(decoders._function().abi["outputs"])
    return [CODEC.encode(types, [_zero(kind) for kind in types])]


def _zero(kind: str) -> Any:
    if kind.startswith("("):
        inner, depth, part = [], 0, ""
        for letter in kind[1:-1] + ",":
            depth += (letter == "(") - (letter == ")")
            if letter == "," and not depth:
                inner.append(_zero(part))
                part = ""
            else:
                part += letter
        return tuple(inner)
    if kind.endswith("[]"):
        return []
    if kind.endswith("]"):
        return [_zero(kind[: kind.rindex("[")])] * int(kind[kind.rindex("[") + 1 : -1])
    if kind == "address":
        return "0x" + "00" * 20
    if kind == "bool":
        return False
    if kind.startswith("bytes"):
        return bytes(int(kind[5:] or 0))
    return "" if kind == "string" else 0


def _parquet() -> list[bytes]:
    out = io.BytesIO()
    table = pa.table({"age": [1.5, 2.0], "dose": pa.array([1, 2], pa.int32()), "outcome": ["yes", "no"]})
    pq.write_table(table, out)
    return [out.getvalue()]


def _plans() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(CSV)
        return [write_plan(draft_plan(open_table(path), "ward", label="outcome", positive="yes")[0]).encode()]


def _state() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder, StateFile(Path(folder), "worker") as state:
        state.put(**_SHAPES)
        return [(Path(folder) / "state.json").read_bytes()]


_SHAPES: dict[str, Any] = {
    "secret": "0x1f", "hpke": PAIR.private.hex(), "outbox": {}, "datasets": {"1": "folder"}, "taken": 3,
    "versions": {"1": {"tier_key": KEY.encode().hex(), "digest": "ab", "sealed": ["cd"]}}, "escrows": {"1": {}},
    "trained": {"a": [1]}, "ready": {},
}  # fmt: skip


def _native() -> dict[str, list[bytes]]:
    system, z = random_system(3, public=1, committed=2, rows=5)
    plain, _ = random_system(4, public=1, committed=0, rows=3)
    r1cs, r1cs2 = system.build(), plain.build()
    key, key2 = (_core.ProvingKey.setup(each, bytes(32)) for each in (r1cs, r1cs2))
    vk, proof, d = key.verifying_key(), key.prove(r1cs, fr(*z), bytes(32)), key.commit(fr(*z[2:4]))
    head = [vk["alpha_g1"], vk["beta_g2"], vk["delta_g2"], vk["eta_g2"] or b"", *vk["ic"]]
    keys = [key.to_bytes(), key2.to_bytes()]
    small = System(1, 2, 5, [({1: 1, 2: 2}, {3: 1}, {4: 1})])
    numbers = [1, 0, 3, 1, 0, 1, 1, 0, 0, 1, 2, 0, 0, 1, 2, 0]
    vector = _core.fr_from_ints([1, 2, 3]).tobytes()
    beacon = (bytes(32), 1)
    first = _core.PhaseOne.start(1).contribute("a", seed=bytes(32)).contribute("b", beacon)
    large = _core.PhaseOne.start(3).contribute("a", seed=bytes(32)).contribute("b", seed=bytes(32))
    over = large.contribute("c", beacon)
    second = _core.PhaseTwo.start(small.build(), over).contribute("a", small.build(), over, seed=bytes(32))
    second = second.contribute("b", small.build(), over, (bytes([1]) * 32, 1))
    return {
        "core-field-bytes": [_core.fr_to_bytes(fr(1, -1))],
        "core-powers": [_core.Srs.generate(4, [2], bytes(32)).to_bytes()],
        "core-phase-one": [first.to_bytes(), _core.PhaseOne.start(1).to_bytes()],
        "core-phase-two": [second.to_bytes()],
        "core-r1cs": [r1cs.to_bytes(), small.build().to_bytes()],
        "core-proving-key": keys,
        "core-proving-key-unchecked": keys,
        "core-proving-key-chunks": keys,
        "core-point": [G1, G2, bytes(64)],
        "core-points": [G1 + G2, bytes(192), G1 + G2 + G1[:32] + G1[32:] + G2],
        "core-verify": [b"".join([*head, proof, d, _core.fr_to_bytes(fr(*z[1:2]))])],
        "core-arrays": [bytes([3, 1]) + vector + _core.fr_from_ints([7]).tobytes()],
        "core-system": [struct.pack(f">{len(numbers)}h", *numbers)],
    }


def seeds() -> dict[str, Callable[[], list[bytes]]]:
    """What makes the seeds of each harness."""
    address = memo.NoteAddress(5, PAIR.public)
    hybrid = hpke.KeyPair.generate("mlkem768x25519")
    note = memo.NoteMessage(10, 3, 9)
    plan = b"".join([bytes([handover.VERSION]), b"\0\1", bytes(32), b"\0\2", bytes(range(32))])
    table = Table("ward", np.array([[1.0], [-2.5]]), ("x",), np.array([0, 1]), ("no", "yes"))
    task = TaskDescription("ward", ID, ID, ID, LOGISTIC, ID)
    shared = _core.fr_from_ints([1, 2])
    gemm = graphs.blob([graphs.GEMM1, graphs.RELU, graphs.GEMM2, graphs.SOFTMAX], "p")
    return {
        "verifying-key": _keys,
        "other-model": lambda: [OtherModel(((3, 4), (4,), ()), "classes 3").encode()],
        "any-plan": lambda: [LOGISTIC.encode(), BOUNDED.encode(), OTHER.encode()],
        "model-description": lambda: [plan.model.encode() for plan in (LOGISTIC, DEEP)],
        "training-plan": lambda: [LOGISTIC.encode(), DEEP.encode()],
        "bounded-plan": lambda: [BOUNDED.encode(), OTHER.encode()],
        "global-model": lambda: [GlobalModel.start(each, 1).encode() for each in (LOGISTIC, DEEP, OTHER)],
        "task-description": lambda: [task.encode(), replace(task, plan=OTHER).encode()],
        "share": lambda: [Share(3, shared).encode()],  # type: ignore[arg-type]
        "output": lambda: [Output(3, shared).encode()],  # type: ignore[arg-type]
        "sealed-records": lambda: [b"".join(seal_records(KEY, CONTEXT, [bytes(5000)], chunk_log2=12))],
        "tier-key": lambda: [KEY.encode()],
        "note-address": lambda: [str(address).encode()],
        "note-message": lambda: [note.encode()],
        "memo": lambda: [memo.seal_memo(MEMO, [(PAIR.public, 5, note)] * 2)],
        "handover": lambda: [plan],
        "hpke-message": lambda: [hpke.seal(PAIR.public, b"x", CONTEXT), PAIR.public, hybrid.public],
        "hpke-private-key": lambda: [PAIR.private, hybrid.private],
        "escrow": lambda: [escrow().encode()],
        "bundle-index": _index,
        "schema": lambda: [SCHEMA.encode()],
        "public-table": lambda: [encode_table(table)],
        "block": lambda: [encode_block(SCHEMA, np.array([[1, -2]], dtype=np.int64), np.array([1], dtype=np.int64))],
        "records": _records,
        "label-kind": lambda: [b"binary", b"classes 10", b"target"],
        "state-shapes": lambda: [_json(_SHAPES)],
        "deployment": _deployment,
        "card": lambda: [_json({"title": "ward", "tiers": {"1": ["a"]}, "notes": [], "rows": 3})],
        "market-json": _market,
        "keystore": _keystore,
        "key-file": lambda: [encode_key_file(IDENTITY, [b"abc", b""])],
        "start-model": _start,
        "onnx": lambda: [gemm],
        "chain-export": lambda: _chain()["chain-export"],
        "node-answer": lambda: _chain()["node-answer"],
        "signed-transaction": lambda: _chain()["signed-transaction"],
        "abi-result": _abi,
        "artifact": lambda: [_json(_ARTIFACT)],
        "csv": lambda: [CSV, QUOTED],
        "table-csv": lambda: [CSV, QUOTED],
        "table-parquet": _parquet,
        "data-plan": _plans,
        "node-toml": lambda: [template(role).encode() for role in ROLES],
        "contact": lambda: [_json(contact_json(Member(bytes(range(20)), PAIR.public)))],
        "state-file": _state,
        **{name: lambda name=name: _native()[name] for name in _native()},  # type: ignore[misc]
    }


_ARTIFACT = {
    "contractName": "Probe", "abi": [], "bytecode": "0x00", "deployedBytecode": "0x00", "linkReferences": {},
    "sourceHash": ID,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Write the seeds of these harnesses, or of all."""
    for name, make in seeds().items():
        if names and name not in names:
            continue
        folder = CORPUS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for number, data in enumerate(dict.fromkeys(make()), 1):
            (folder / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])
