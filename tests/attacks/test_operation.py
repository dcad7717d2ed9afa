"""Attacks on operation: lines 30 to 36 of the table in docs/security.md.

Each is the small and fast one of its kind. Whole tasks of processes that are killed, cut off and starved are in
tests/network, which the table names.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedproof
from fedproof import _core
from fedproof.data import load
from fedproof.data.public import decode_table
from fedproof.data.schema import Schema
from fedproof.errors import FedproofError, InputError, LedgerError, StateError, StorageError
from fedproof.learning.architecture import Model
from fedproof.learning.clipping import BoundedPlan
from fedproof.learning.model import GlobalModel, TaskDescription
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger import Chain, SendingPolicy
from fedproof.nodes.state import StateFile
from fedproof.proving.keys import VerifyingKey
from fedproof.sealing import KeyPair, TierKey, open_sealed, read_header
from fedproof.sealing.escrow import Escrow
from fedproof.sealing.memo import NoteAddress, NoteMessage
from fedproof.sharing import Output, Share
from fedproof.storage import BlobStore
from tests.contracts import toy
from tests.ledger.conftest import deploy_probe
from tests.support.flaky import (
    Exchange,
    FlakyNode,
    Handler,
    content,
    execute_then,
    execute_then_drop,
    refusal,
    result,
    status,
    swallow,
)
from tests.support.fulldisk import SmallDisk
from tests.support.leaks import found_in, needles, process_list

POLICY = SendingPolicy(receipt_seconds=20.0, poll_seconds=0.02)
SEND = "eth_sendRawTransaction"


# 30

FAULTS: dict[str, list[Handler]] = {
    "busy, then an answer that is cut off": [status(429), execute_then_drop],
    "an error page, then taken and forgotten": [content(b"<html>502"), swallow],
    "sent twice": [execute_then_drop, Exchange.drop],
    "null where a hash should be": [status(500), content(b"null")],
    "taken, and said to have timed out": [execute_then(refusal(-32000, "request timed out"))],
    "taken, and said to revert": [execute_then(refusal(3, "execution reverted"))],
    "taken, and said to be too late": [execute_then(status(408, b"late"))],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_one_act_is_one_transaction_whatever_the_line_does(faults: list[Handler]) -> None:
    with (
        FlakyNode() as node,
        Chain.connect(node.url, timeout=1.0, retries=4, policy=POLICY, pause=lambda _: None) as chain,
    ):
        alice = chain.new_account("alice")
        probe = deploy_probe(chain, alice)
        node.seen.clear()
        node.faults[SEND] = list(faults)
        chain.transact(probe.functions.store(4, 2, b"x"), alice)
        logs = node.chain.request("eth_getLogs", {"address": probe.address, "fromBlock": "0x0", "toBlock": "latest"})
        assert len(logs) == 1
        assert len({params[0] for params in node.asked(SEND)}) == 1


def test_another_chain_is_refused_at_the_door() -> None:
    with FlakyNode() as node:
        node.faults["eth_chainId"] = [result("0x1")] * 9
        with pytest.raises(LedgerError, match="chain"):
            Chain.connect(node.url, chain_id=31_337, timeout=1.0, retries=1, pause=lambda _: None)


# 31, 32

WRITER = """
import sys
from pathlib import Path
from fedproof.nodes.state import StateFile
with StateFile(Path(sys.argv[1]), "worker") as state:
    count = state.get("count", 0)
    print(count, flush=True)
    while True:
        count += 1
        state.put(count=count, ballast="x" * 20000)
        print(count, flush=True)
"""


def test_what_a_process_said_it_saved_is_there_after_kill_9(tmp_path: Path) -> None:
    """Killed twice in the middle of writing; each start goes on where the last one was, or one further."""
    last, draw, arguments = 0, random.Random(5), [sys.executable, "-c", WRITER, str(tmp_path / "node")]
    for _ in range(2):
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            assert last <= first <= last + 1
            time.sleep(draw.uniform(0.02, 0.1))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        last = int(said[-1]) if said else first
    with StateFile(tmp_path / "node", "worker") as state:
        assert last <= state.get("count") <= last + 1


def test_a_full_disk_a_torn_file_and_a_second_process_are_one_clear_line_each(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    with StateFile(folder, "worker") as state:
        state.put(served={"1": "a"})
        with pytest.raises(StateError, match="in use by another process"):
            StateFile(folder, "worker")
    whole = state.path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"\0" * len(whole), whole.replace(b"worker", b"leader")):
        state.path.write_bytes(damage)
        with pytest.raises(StateError, match="restore it") as caught:
            StateFile(folder, "worker")
        assert "\n" not in str(caught.value)
        assert state.path.read_bytes() == damage  # nothing is made anew in its place
    state.path.unlink()
    with pytest.raises(StateError, match="is lost"):
        StateFile(folder, "worker")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_keeps_what_was_saved(tmp_path: Path) -> None:
    try:
        disk = SmallDisk(tmp_path, 1 << 20).__enter__()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        with StateFile(tmp_path / "node", "worker") as state:
            state.put(count=1)
            with disk.full(), pytest.raises(StateError, match="free space"):
                state.put(count=2, ballast="x" * 100_000)
            assert state.get("count") == 1
            state.put(count=3)
        with StateFile(tmp_path / "node", "worker") as state:
            assert state.get("count") == 3
        store = BlobStore.open(tmp_path / "blobs")
        kept = store.put(b"kept")
        with disk.full(), pytest.raises(StorageError):
            store.put(os.urandom(200_000))
        assert store.get(kept) == b"kept"
    finally:
        disk.__exit__(None, None, None)


# 33


def test_no_secret_is_in_a_representation_or_an_error() -> None:
    pair, tier, values = KeyPair.generate(), TierKey.generate(), _core.fr_random(3)
    from fedproof.sharing import worker_index

    share = Share(worker_index(2), values)
    account = Chain.embedded().new_account("somebody")
    secrets = [pair.private.hex(), tier.encode().hex(), *(str(v) for v in _core.fr_to_ints(values))]
    texts = [f"{each!r} {each!s}" for each in (pair, tier, share, account, {"a": [pair, tier, share]})]
    with pytest.raises(FedproofError) as caught:
        open_sealed(pair, bytes(80), b"context")
    texts += [repr(caught.value), str(caught.value), str(caught.value.__cause__)]
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %s", (pair, share), None)
    texts.append(record.getMessage())
    for secret in secrets:
        assert not [text for text in texts if secret in text or secret[:16] in text]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc here")
def test_the_search_for_secrets_finds_each_that_is_leaked_on_purpose(tmp_path: Path) -> None:
    """What `network/processes` relies on: in any form, inside of other bytes, and in the list of processes."""
    secret = b"\x17" + os.urandom(31)  # of this run alone: others may be looking
    hidden = needles([("somebody: key", secret)])
    number = int.from_bytes(secret, "big")
    leaks = [
        b"key=" + secret, f"key=0x{secret.hex()}".encode(), secret.hex().upper().encode(), f"{number:064x}".encode(),
        f'{{"key": {number}}}'.encode(), str(int.from_bytes(secret, "little")).encode(),
        *(base64.b64encode(b"key:"[:before] + secret + b" and more") for before in range(5)),
        *(base64.urlsafe_b64encode(b"key:"[:before] + secret + b" and more") for before in range(5)),
    ]  # fmt: skip
    for leak in leaks:
        assert found_in(b"a line of a log: " + leak + b"\n", hidden) == {"somebody: key"}
    assert not found_in(b"a line of a log: " + secret[:31] + secret.hex()[2:].encode(), hidden)
    assert not any(found_in(content, hidden) for _, content in process_list())
    for arguments, environment in (([secret.hex()], {}), ([], {"KEY": base64.b64encode(secret).decode()})):
        command = [sys.executable, "-c", "input(chr(10))", *arguments]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as child:
            assert child.stdout is not None
            child.stdout.readline()  # before, its own command line may not be there yet
            shown = {name for name, content in process_list() if found_in(content, hidden)}
            child.communicate(b"\n")
        assert shown == {f"{'environ' if environment else 'cmdline'} of process {child.pid}"}


def test_no_command_takes_a_secret_on_its_command_line() -> None:
    """What is an argument is in every process list: keys and passphrases come from files and from the terminal."""
    from fedproof.cli.main import cli

    def options(command: Any) -> list[str]:
        inner = [options(each) for each in getattr(command, "commands", {}).values()]
        return [name for each in command.params for name in each.opts] + [name for each in inner for name in each]

    suspicious = ("passphrase", "password", "secret", "private-key", "mnemonic", "seed-phrase")
    found = [name for name in options(cli) if any(word in name for word in suspicious)]
    assert [name for name in found if not name.endswith(("-file", "-from"))] == []


# 34

DECODERS: dict[str, Callable[[bytes], object]] = {
    "verifying key": VerifyingKey.decode,
    "powers": _core.Srs.from_bytes,
    "circuit": _core.R1cs.from_bytes,
    "proving key": _core.ProvingKey.from_bytes,
    "plan": TrainingPlan.decode,
    "bounded plan": BoundedPlan.decode,
    "model family": Model.decode,
    "model": GlobalModel.decode,
    "description": TaskDescription.decode,
    "schema": Schema.decode,
    "test table": decode_table,
    "escrow": Escrow.decode,
    "note": NoteMessage.decode,
    "address of a note": lambda data: NoteAddress.parse(data.decode("latin-1")),
    "tier key": TierKey.decode,
    "head of a record file": read_header,
    "share": lambda data: Share.decode(data, index=1, length=4),
    "output": lambda data: Output.decode(data, index=1, length=4),
    "private key": KeyPair.from_private_bytes,
}


def junk(draw: random.Random) -> list[bytes]:
    nested = b"[" * 5000 + b"]" * 5000
    huge = json.dumps({"version": 2, "rows": 10**18, "columns": 10**18, "layers": [10**9] * 50}).encode()
    counts = [size.to_bytes(4, order) * 6 for size in (2**31 - 1, 2**32 - 1) for order in ("little", "big")]
    good = [
        toy.eligibility_keys().verifying.encode(),
        toy.srs().to_bytes(),
        toy.eligibility_keys().circuit.r1cs.to_bytes(),
    ]
    cut = [blob[: draw.randrange(len(blob))] for blob in good]
    spoiled = [bytes([*blob[:40], *(b ^ 0xFF for b in blob[40:48]), *blob[48:]]) for blob in good]
    return [
        b"", b"\0" * 200, b"\xff" * 300, nested, huge, b"{}", b"null", b'{"version": 2}', *counts, *cut, *spoiled,
        *(draw.randbytes(draw.randrange(1, 400)) for _ in range(25)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
def test_junk_is_refused_in_a_sentence_and_in_little_memory(name: str) -> None:
    decode = DECODERS[name]
    tracemalloc.start()
    try:
        for data in junk(random.Random(name)):
            with contextlib.suppress(FedproofError, ValueError):
                decode(data)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_nothing_in_the_package_reads_what_could_run() -> None:
    """No pickle in any dress, no eval, and no numpy file that holds objects."""
    bad = []
    for path in Path(fedproof.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                loads = called.endswith(("pickle.load", "pickle.loads", "marshal.loads", "joblib.load", "yaml.load"))
                runs = called in ("eval", "exec", "__import__")
                objects = any(
                    each.arg == "allow_pickle" and ast.unparse(each.value) != "False" for each in node.keywords
                )
                if loads or runs or objects:
                    bad.append(f"{path.name}: {ast.unparse(node)}")
    assert bad == []


# 35

GOOD = [f"{k}.5,{100 - k},{k % 2}" for k in range(40)]
BAD: dict[str, tuple[bytes, str]] = {
    "NaN in the last row": (b"dose,age,label\n" + "\n".join([*GOOD[:-1], "nan,1,0"]).encode(), "row 41"),
    "infinity": (b"dose,age,label\n" + "\n".join(["inf,1,0", *GOOD]).encode(), "row 2"),
    "text": (b"dose,age,label\n" + "\n".join([*GOOD, "low,1,1"]).encode(), "row 42"),
    "a missing cell": (b"dose,age,label\n" + "\n".join([*GOOD, "1,1"]).encode(), "row 42"),
    "empty": (b"", "empty"),
    "one row": (b"dose,age,label\n1,2,0\n", "at least 32"),
    "one class": (b"dose,age,label\n" + "\n".join(f"{k},1,0" for k in range(40)).encode(), "one class"),
    "no label column": (b"dose\n" + b"1\n" * 40, "label"),
    "bytes of something else": (b"\x89PNG\r\n\x1a\n" + bytes(5000), "file"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_records_are_one_line_that_says_what_and_where(tmp_path: Path, what: str) -> None:
    data, where = BAD[what]
    path = tmp_path / "records.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(str(path))
    text = str(caught.value)
    assert where in text
    assert "records.csv" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.int64),
        np.zeros(4, np.uint64),
        np.zeros((4, 3), np.uint64),
        np.full((2, 4), 2**64 - 1, np.uint64),
    ],
    ids=["dtype", "one dimension", "three limbs", "limbs beyond r"],
)
def test_an_array_of_another_kind_does_not_pass_the_native_boundary(array: Any) -> None:
    for function in (_core.fr_to_ints, _core.fr_to_bytes, toy.srs().commit):
        with pytest.raises((ValueError, TypeError)):
            function(array)


# 36


def test_a_blob_that_is_missing_swapped_or_cut_off_is_found_out(tmp_path: Path) -> None:
    store = BlobStore.open(tmp_path)
    first, second = store.put(b"the first share" * 9), store.put(b"the second share" * 9)
    places = {cid: next(path for path in tmp_path.rglob(cid)) for cid in (first, second)}
    kept = {cid: path.read_bytes() for cid, path in places.items()}
    places[first].write_bytes(kept[second])
    for damage in (kept[second], kept[first][:-1], kept[first] + b"\0", b""):
        places[first].write_bytes(damage)
        with pytest.raises(StorageError, match=first[:8]):
            store.get(first)
    places[first].unlink()
    with pytest.raises(StorageError):
        store.get(first)
    assert store.get(second) == kept[second]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "..", "a" * 63, "A" * 64, "a" * 63 + "/", "%2e%2e", "a" * 64 + "\0"]
)
def test_a_name_that_is_no_content_id_reaches_no_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(b"outside")
    store = BlobStore.open(tmp_path / "blobs")
    for read in (store.get, lambda blob: next(iter(store.get_unchecked(blob)))):
        with pytest.raises(FedproofError):
            read(name)


PUTTER = """
import sys
from pathlib import Path
from fedproof.storage import BlobStore
store = BlobStore.open(Path(sys.argv[1]))
for _ in range(25):
    for k in range(8):
        store.put(bytes([k]) * 999)
"""


def test_two_processes_that_put_and_damage_one_store_leave_no_false_blob(tmp_path: Path) -> None:
    """A writer races with somebody who empties files: a reader gets the right bytes or an error."""
    store, blobs = BlobStore.open(tmp_path), [bytes([k]) * 999 for k in range(8)]
    ids = [store.put(blob) for blob in blobs]
    draw, wrong = random.Random(1), 0
    with subprocess.Popen([sys.executable, "-c", PUTTER, str(tmp_path)]) as writer:
        while writer.poll() is None:
            k = draw.randrange(len(blobs))
            with contextlib.suppress(OSError):
                next(iter(tmp_path.rglob(ids[k]))).write_bytes(b"")
            try:
                assert store.get(ids[k]) == blobs[k]
            except StorageError:
                store.put(blobs[k])
                wrong += 1
    assert writer.returncode == 0
    assert wrong > 0
