"""Documents and sealed forms that come as bytes: from the chain, a store, a node, or a payee."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from typing import Any

from fedproof.app import catalogue, home, keystore, startmodel
from fedproof.app.deployment import DeploymentFile
from fedproof.app.keyfile import decode_key_file
from fedproof.data import Schema
from fedproof.data.block import decode_block
from fedproof.data.public import decode_table
from fedproof.data.records import Records
from fedproof.errors import FedproofError
from fedproof.interop.onnx_in import read_onnx
from fedproof.interop.onnx_served import read_served
from fedproof.learning.architecture import Model
from fedproof.learning.arrays import OtherModel
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.learning.plans import decode_plan, proves
from fedproof.ledger import receipts, rpc
from fedproof.ledger.abi import decode_result
from fedproof.ledger.artifacts import Artifact, load_artifact
from fedproof.ledger.knowledge import AbiIndex
from fedproof.ledger.record import ChainRecord
from fedproof.ledger.transactions import encode_signed, fee_limits, read_signed
from fedproof.nodes.shapes import first_damaged
from fedproof.proving.keys import VerifyingKey
from fedproof.sealing import handover, hpke, memo
from fedproof.sealing.escrow import Escrow
from fedproof.sealing.records import HEADER_BYTES, open_records, read_header
from fedproof.sealing.tiers import TierKey
from fedproof.sharing.share import Output, Share
from fedproof.statements.labels import LabelKind
from fedproof.storage import bundle
from fuzz.harness import Harness, one_form

KEY = TierKey(5, bytes(range(32)))
PAIR = hpke.KeyPair.from_private_bytes(bytes((1, hpke.Suite.X25519)) + bytes(range(1, 33)))
SCHEMA = Schema("ward", ("age", "dose"), (50.0, 2.5), (10.0, 0.5), ("no", "yes"), 64)
HANDOVER = handover.HandoverContext(1, bytes(20), 7)
MEMO = memo.MemoContext(1, bytes(20))
CONTEXT = b"dataset"
IDENTITY = bytes(32)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _records(data: bytes) -> object:
    read_header(data[:HEADER_BYTES])
    return sum(map(len, open_records(KEY, CONTEXT, [data[:100], data[100:]])))


def _handover(data: bytes) -> object:
    """What is inside is the sender's alone, so it is sealed here."""
    sealed = hpke.seal(PAIR.public, data, HANDOVER.info(bytes(20)))
    return handover.open_handover(PAIR, bytes(20), sealed, HANDOVER)


def _memo(data: bytes) -> object:
    return memo.open_memo(PAIR, data, 0, 5, MEMO), memo.open_memo(PAIR, data, 1, 5, MEMO)


def _hpke(data: bytes) -> object:
    try:
        hpke.check_public_key(data)
    except FedproofError:
        hpke.open_sealed(PAIR, data, CONTEXT)
    return None


def _private(data: bytes) -> object:
    pair = hpke.KeyPair.from_private_bytes(data)
    return pair.suite, repr(pair)


class _OneBlob:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def get(self, _: str, limit: int) -> bytes:
        return self.data[:limit]


def _card(data: bytes) -> object:
    found, why = catalogue._card(_OneBlob(data), b"\x01" * 32)  # type: ignore[arg-type]
    assert why is not None or json.dumps(found, allow_nan=False)
    return found


def _model(data: bytes) -> object:
    found = GlobalModel.decode(data)
    assert found.encode() == data
    return found.real()


def _plan(data: bytes) -> object:
    plan = decode_plan(data)
    assert plan.encode() == data
    return proves(plan), plan.weight_scales(), plan.digest()


def _shape(data: bytes) -> object:
    document = _loads(data)
    return first_damaged(document) if isinstance(document, dict) else None


def _loads(data: bytes) -> Any:
    """What the caller of a reader of values has parsed before."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise FedproofError("not JSON") from None


def _node(data: bytes) -> object:
    """An answer of a chain's node. Objects alone, as `Chain` sees to."""
    raw = _loads(data)
    if not isinstance(raw, dict):
        return None
    encode_signed(raw)
    for name in ("status", "gasUsed", "blockNumber"):
        if isinstance(raw.get(name), str) and raw[name].startswith("0x"):
            with contextlib.suppress(FedproofError):
                assert 0 <= rpc.parse_quantity(raw[name], "a number") < 1 << 256
    return receipts.parse_receipt(raw, 0, _abis())


@cache
def _abis() -> AbiIndex:
    return AbiIndex()


@cache
def _function() -> Any:
    from fedproof.ledger.abi import contract_object

    return contract_object(load_artifact("Federation"), "0x" + "11" * 20).functions.taskOf(1)


def _signed(data: bytes) -> object:
    return fee_limits(read_signed(data))


def _startmodel(data: bytes) -> object:
    return startmodel._decode(data, None)


def _onnx(data: bytes) -> object:
    read_served(data)
    return read_onnx(data)


def _keystore(data: bytes) -> object:
    from pathlib import Path

    path = Path("chain.json")
    document = keystore._parse(path, data, {"version": int, "crypto": dict, "address": str}, exact=False)
    keystore._check_crypto(path, document["crypto"])
    return document


def _key_file(data: bytes) -> object:
    return decode_key_file(data, IDENTITY)


HARNESSES = [
    Harness("verifying-key", one_form(VerifyingKey.decode)),
    Harness("other-model", one_form(OtherModel.decode)),
    Harness("any-plan", _plan),
    Harness("model-description", one_form(Model.decode)),
    Harness("training-plan", one_form(TrainingPlan.decode)),
    Harness("bounded-plan", one_form(BoundedPlan.decode)),
    Harness("global-model", _model),
    Harness("task-description", one_form(TaskDescription.decode)),
    Harness("share", one_form(lambda data: Share.decode(data, index=3, length=2))),
    Harness("output", one_form(lambda data: Output.decode(data, index=3, length=2))),
    Harness("sealed-records", _records),
    Harness("tier-key", one_form(TierKey.decode)),
    Harness("note-address", lambda data: repr(memo.NoteAddress.parse(_text(data)))),
    Harness("note-message", one_form(memo.NoteMessage.decode)),
    Harness("memo", _memo),
    Harness("handover", _handover),
    Harness("hpke-message", _hpke),
    Harness("hpke-private-key", _private),
    Harness("escrow", one_form(Escrow.decode)),
    Harness("bundle-index", lambda data: bundle._decode(data, 5)),
    Harness("schema", one_form(Schema.decode)),
    Harness("public-table", decode_table),
    Harness("block", lambda data: decode_block(data, SCHEMA)),
    Harness("records", one_form(Records.decode)),
    Harness("label-kind", lambda data: LabelKind.parse(_text(data))),
    Harness("state-shapes", _shape),
    Harness("deployment", DeploymentFile.decode),
    Harness("card", _card),
    Harness("market-json", lambda data: home._decode(data, "market.json")),
    Harness("keystore", _keystore),
    Harness("key-file", _key_file),
    Harness("start-model", _startmodel),
    Harness("onnx", _onnx),
    Harness("chain-export", lambda data: ChainRecord.from_json(_loads(data)).to_json()),
    Harness("node-answer", _node),
    Harness("signed-transaction", _signed),
    Harness("abi-result", lambda data: decode_result(_function(), data)),
    Harness("artifact", lambda data: Artifact.from_json(data, "Probe")),
]
