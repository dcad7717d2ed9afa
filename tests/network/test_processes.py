"""What real node processes survive: being killed anywhere, liars, a chain and a store that fail, and cut cables.

After each fault the round ends or closes by rule, no update is lost or counted twice, no log holds a secret, and the
audit accepts the result (`Crew.check`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedproof.app.network import node_folder
from fedproof.errors import LedgerError
from fedproof.ledger.committee import Stake
from fedproof.ledger.federation import Stage
from tests.contracts.test_bn254 import point_outside_the_subgroup
from tests.network.crew import NODES, PARTICIPANTS, WORKERS, Crew
from tests.support import netns, proxy
from tests.support.fulldisk import SmallDisk, need_small_disk
from tests.support.leaks import found_in, needles, process_list
from tests.support.reorg import reorganise

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.xdist_group("network")]
EVERYBODY = (*PARTICIPANTS, *WORKERS)


@pytest.fixture(autouse=True)
def _calm(crew: Crew) -> Iterator[None]:
    """Whatever a test did, the next one starts with honest nodes and a chain that answers."""
    yield
    crew.proxy.clear()


# -- killed (31) --


def test_every_node_is_killed_at_every_step_of_a_task(crew: Crew) -> None:
    crew.only()
    marks = {name: crew.scratch / f"{name}.crashes" for name in NODES}
    task_id = crew.open(submit_blocks=400, freeze_blocks=60, settle_blocks=200)
    done = threading.Event()

    def supervise() -> None:
        while not done.is_set():
            for name in NODES:
                process = crew.running.get(name)
                if process is not None and process.poll() is not None:
                    crew.kill(name)
                if name not in crew.running:
                    crew.launch(name, crash=str(marks[name]))
            time.sleep(0.2)

    thread = threading.Thread(target=supervise)
    thread.start()
    try:
        crew.wait(lambda: crew.task(task_id).enrolled == 3, 200)
        crew.federation.open_round(crew.network.sponsor().account, task_id)
        task = crew.check(task_id, 0b111, 300)
    finally:
        done.set()
        thread.join()
        crew.only()
    died = {line.split("/")[0] for path in marks.values() for line in path.read_text().splitlines()}
    assert died >= {
        *("saved enrol", "sent enrol", "reserved", "kept shares", "made", "saved submit", "sent submit"),
        *("saved bond", "sent bond", "published", "saved output", "sent output", "summed", "aggregated"),
        *("saved finalize", "sent finalize", "read", "stepped"),
    }
    assert len(crew.federation.updates(task_id, task.settled[0].round)) == 3


def test_no_secret_shows_in_logs_reports_exports_stores_or_process_lists(crew: Crew, tmp_path: Path) -> None:
    """Process lists are looked at all the while; the errors are those of a wrong passphrase and of damaged files."""
    seen: dict[bytes, str] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.update((content, name) for name, content in process_list())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        crew.only()
        for name in EVERYBODY:
            crew.launch(name, own=True)
        task_id = crew.open()
        crew.start(task_id)
        crew.check(task_id, 0b111)
    finally:
        done.set()
        thread.join()
    hidden = needles(crew.secrets())
    kinds = {whose.split(": ")[1] for whose in hidden.values()}
    assert kinds >= {"passphrase", "account key", "HPKE key", "masks", "tier_key", "blindings", "secret", "note_key"}
    public = [*crew.published(), *errors(crew, tmp_path)]
    assert any("audit-" in name for name, _ in public)
    assert any(b"node" in content and b"participant" in content for content in seen)
    for name, content in (*public, *((name, content) for content, name in seen.items())):
        assert not (hits := found_in(content, hidden)), f"{name} holds {sorted(hits)}"
    private = b"".join(
        path.read_bytes() for name in NODES for path in node_folder(crew.network.folder, name).rglob("state.json")
    )
    assert {"masks", "tier_key"} <= {whose.split(": ")[1] for whose in found_in(private, hidden)}  # the search searches


def errors(crew: Crew, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """What a participant's node says whose files are not as they were; each command ends with an error."""
    state = next(node_folder(crew.network.folder, PARTICIPANTS[0]).rglob("state.json"))
    source = node_folder(crew.network.folder, PARTICIPANTS[0])
    damage: dict[str, tuple[Path, bytes]] = {
        "a wrong passphrase": (source / "passphrase", b"another one altogether\n"),
        "a state that was cut off": (state, state.read_bytes()[:-40]),
        "a state with one field of another kind": (state, state.read_bytes().replace(b'"masks": "', b'"masks": "zz')),
    }
    for what, (path, content) in damage.items():
        folder = scratch / what.replace(" ", "-")
        shutil.copytree(source, folder / "nodes" / source.name)
        (folder / "nodes" / source.name / path.relative_to(source)).write_bytes(content)
        config = folder / "nodes" / source.name / "node.toml"
        done = subprocess.run(
            [sys.executable, "-m", "fedproof", "node", "participant", "--config", str(config)],
            env={**os.environ, "FEDPROOF_RPC": crew.proxy.url},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        yield what, done.stdout + done.stderr


def test_the_next_worker_settles_when_the_leader_dies_between_sum_and_settlement(crew: Crew) -> None:
    crew.only(*PARTICIPANTS, *WORKERS[1:])
    crew.launch(WORKERS[0], crash_at="summed")  # the first of round 1
    task_id = crew.open()
    crew.start(task_id)
    task = crew.check(task_id, 0b111)
    assert crew.running[WORKERS[0]].poll() is not None
    assert task.settled[0].leader == crew.addresses[WORKERS[1]]


# -- liars and the silent (23, 26) --


def test_a_worker_process_that_lies_is_named_and_slashed(crew: Crew) -> None:
    crew.only(*PARTICIPANTS, *WORKERS[:2])
    crew.launch(WORKERS[2], lie=True)
    task_id = crew.open()
    crew.start(task_id)
    crew.check(task_id, 0b111)
    liar = crew.addresses[WORKERS[2]]
    crew.wait(lambda: crew.federation.committee.stake(task_id, liar) == Stake.SLASHED)
    assert crew.federation.committee.accusations(task_id, 1, liar) == 2


def test_an_update_with_a_point_outside_the_subgroup_is_rejected_and_the_round_ends(crew: Crew) -> None:
    """A pairing with such a point fails, neither false nor true; it must deadlock nobody (protocol, section 7)."""
    crew.only(*PARTICIPANTS[1:], *WORKERS)
    crew.launch(PARTICIPANTS[0], point="".join(f"{word:064x}" for word in point_outside_the_subgroup()))
    task_id = crew.open()
    crew.start(task_id)
    bad = next(
        each.index
        for each in crew.federation.enrolments(task_id)
        if each.participant == crew.addresses[PARTICIPANTS[0]]
    )
    crew.check(task_id, 0b111 ^ 1 << bad)
    assert any("update.rejected" in line for name in WORKERS for line in crew.said(name))
    assert any("task.expelled" in line for line in crew.said(PARTICIPANTS[0]))


def test_a_worker_that_wakes_up_after_the_round_changes_nothing(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(rounds=2, freeze_blocks=20)
    crew.start(task_id)
    crew.wait(lambda: bool(crew.task(task_id).accepted))
    late = crew.running[WORKERS[0]]  # who would lead
    late.send_signal(signal.SIGSTOP)
    crew.wait(lambda: bool(crew.task(task_id).settled), 120)
    late.send_signal(signal.SIGCONT)
    crew.wait(lambda: crew.task(task_id).stage == Stage.ENDED, 120)
    task, me = crew.task(task_id), crew.addresses[WORKERS[0]]
    assert [each.accepted for each in task.settled] == [0b111, 0b111]
    assert task.settled[0].leader != me
    # its output of the first round is taken, too, if it still sends it, and nobody needs it
    assert crew.federation.committee.outputs(task_id, round=2, worker=me)  # it is one of them again
    assert crew.federation.committee.stake(task_id, me) == Stake.BONDED
    crew.check_no_secrets()


def test_with_t_workers_left_the_task_ends_by_rule_and_pays(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(settle_blocks=12)
    crew.start(task_id)
    crew.wait_for(task_id, Stage.REJECTING)
    crew.kill(*WORKERS[:2])
    task = crew.check(task_id, 0b111)
    assert task.settled[0].new_model is None
    crew.wait(lambda: not any(crew.federation.claimable(task_id, crew.addresses[name])[0] for name in PARTICIPANTS))


def test_yesterdays_update_is_refused_today(crew: Crew) -> None:
    """The bytes of a submission, and its content in a transaction of today."""
    crew.only(*EVERYBODY)
    yesterday = crew.open()
    crew.start(yesterday)
    crew.check(yesterday, 0b111)
    submitted = crew.chain.events(
        crew.federation.contract, "UpdateSubmitted", crew.task(yesterday).opened_block, None, {"task": yesterday}
    )[0]
    old = crew.chain.rpc.request("eth_getTransactionByHash", submitted.tx_hash)
    who = next(name for name, address in crew.addresses.items() if address.lower() == old["from"])
    raw = crew.chain.rpc.request("eth_getRawTransactionByHash", submitted.tx_hash)
    crew.kill(who)
    task_id = crew.open()
    crew.launch(who)
    crew.start(task_id)
    from fedproof.app.keystore import unlock
    from fedproof.app.passphrase import read_passphrase

    folder = node_folder(crew.network.folder, who)
    account = unlock(folder / "keys", read_passphrase(folder / "passphrase")).account
    with pytest.raises(LedgerError):
        crew.chain.rpc.request("eth_sendRawTransaction", raw)  # its nonce is spent
    with pytest.raises(LedgerError):
        crew.chain.transact_raw(old["to"], bytes.fromhex(old["input"][2:]), account)
    crew.check(task_id, 0b111)


# -- the chain (30) --

FAULTS: dict[str, proxy.Fault] = {
    "429": proxy.status(429),
    "500": proxy.status(500),
    "garbage": proxy.garbage(),
    "slow": proxy.slow(0.3),
    "hangs up": proxy.hang_up,
    "sends and hangs up": proxy.done_then_hang_up,
}


def test_a_chain_node_that_fails_in_every_way_only_delays(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(submit_blocks=200, freeze_blocks=60, settle_blocks=200)
    crew.start(task_id)
    for name, fault in FAULTS.items():
        only = {"eth_sendRawTransaction"} if name == "sends and hangs up" else None
        with crew.proxy.fault(fault, only=only):
            time.sleep(2)
    with crew.proxy.fault(proxy.stale(max(0, crew.chain.block_number() - 3))):
        time.sleep(3)
    crew.check(task_id, 0b111, 150)
    assert all(process.poll() is None for process in crew.running.values())


def test_a_chain_node_is_restarted_in_the_middle_of_a_round(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(submit_blocks=100)
    crew.start(task_id)
    crew.wait(lambda: crew.task(task_id).accepted != 0)
    crew.anvil.stop()
    time.sleep(3)
    crew.anvil.start()
    crew.check(task_id, 0b111, 120)


def drop_since(crew: Crew, block: int) -> int:
    """Take back every transaction since a block; returns how many."""
    head = crew.chain.block_number()
    hashes = [
        tx
        for number in range(block, head + 1)
        for tx in crew.chain.rpc.request("eth_getBlockByNumber", hex(number), False)["transactions"]
    ]
    reorganise(crew.chain.rpc, head - block + 1, drop=hashes)
    crew.federation.forget()
    return len(hashes)


def test_a_submission_that_the_chain_takes_back_is_sent_again(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(submit_blocks=100)
    crew.start(task_id)
    crew.wait(lambda: crew.task(task_id).accepted != 0)
    event = crew.chain.events(crew.federation.contract, "UpdateSubmitted", argument_filters={"task": task_id})[0]
    time.sleep(1)  # the nodes have read it
    assert drop_since(crew, event.block_number) >= 1
    crew.check(task_id, 0b111, 120)
    assert any("chain.reorganised" in line for name in EVERYBODY for line in crew.said(name))


def test_a_settlement_that_the_chain_takes_back_is_made_again(crew: Crew) -> None:
    crew.only(*EVERYBODY)
    task_id = crew.open(settle_blocks=100)
    crew.start(task_id)
    crew.wait(lambda: bool(crew.task(task_id).settled))
    assert drop_since(crew, crew.task(task_id).settled[0].block_number) >= 1
    crew.check(task_id, 0b111, 120)


# -- the store (36) --


def test_sealed_shares_that_are_missing_cut_off_or_swapped_come_again(crew: Crew) -> None:
    crew.only(*WORKERS)
    for name, worker, how in zip(PARTICIPANTS, (1, 2, 3), ("missing", "cut off", "swapped"), strict=True):
        crew.launch(name, spoil=[worker, how])
    task_id = crew.open(freeze_blocks=50)
    crew.start(task_id)
    task = crew.check(task_id, 0b111, 150)
    complaints = crew.federation.committee.complaints(task_id)
    assert {each.worker for each in complaints} == {crew.addresses[name] for name in WORKERS}
    assert {each.participant for each in complaints} == {crew.addresses[name] for name in PARTICIPANTS}
    assert len(crew.federation.committee.outputs(task_id, round=task.settled[0].round)) >= 2


# -- the machine (32) --


def test_a_full_disk_is_named_and_nothing_is_lost(crew: Crew) -> None:
    need_small_disk()
    name = PARTICIPANTS[0]
    crew.only(*PARTICIPANTS[1:], *WORKERS)
    state = node_folder(crew.network.folder, name) / "state"
    kept = state.with_name("kept")
    state.rename(kept)
    state.mkdir(mode=0o700)
    with SmallDisk(state, 64 << 20) as disk:
        shutil.copytree(kept, state, dirs_exist_ok=True)
        crew.launch(name, own=True, clock=0)
        task_id = crew.open(submit_blocks=120)
        crew.start(task_id, 3)
        with disk.full():
            crew.wait(lambda: any("free space" in line for line in crew.said(name)[-20:]), 60)
        crew.wait(lambda: crew.task(task_id).accepted == 0b111 or crew.running[name].poll() is not None, 60)
        if crew.running[name].poll() is not None:  # it ended with one line, and goes on when it is started again
            assert crew.running[name].poll() == 9
            crew.kill(name)
            crew.launch(name, own=True, clock=0)
        crew.check(task_id, 0b111, 120)
        crew.stop_gently(name)
        shutil.rmtree(kept)  # what is left of a log of the database would be read into one that has gone on since
        shutil.copytree(state, kept)
    state.rmdir()
    kept.rename(state)


def test_a_second_process_on_one_state_folder_ends_with_one_line(crew: Crew) -> None:
    crew.kill(WORKERS[0])
    before = len(crew.said(WORKERS[0]))
    crew.only(WORKERS[0])
    crew.wait(lambda: any("node.started" in line for line in crew.said(WORKERS[0])[before:]))
    config = node_folder(crew.network.folder, WORKERS[0]) / "node.toml"
    command = [sys.executable, "-m", "fedproof", "node", "worker", "--config", str(config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 9
    assert "in use by another process" in second.stderr.splitlines()[-1]
    assert "Traceback" not in second.stderr


def test_clocks_that_are_an_hour_off_change_nothing(crew: Crew) -> None:
    crew.only(*PARTICIPANTS[1:], *WORKERS[1:])
    crew.launch(PARTICIPANTS[0], clock=3600)
    crew.launch(WORKERS[0], own=True, clock=-3600)
    task_id = crew.open()
    crew.start(task_id)
    crew.check(task_id, 0b111)
    assert crew.stop_gently(WORKERS[0]) == 0  # SIGTERM


# -- the network --


def test_nodes_that_were_cut_off_come_back(crew: Crew) -> None:
    """A participant misses a deadline behind a cut cable, and the first leader the freeze behind another."""
    netns.need_namespaces()
    crew.only(*PARTICIPANTS[1:], *WORKERS[1:])
    with netns.NetworkNamespace() as hospital, netns.NetworkNamespace() as leader:
        for name, space in ((PARTICIPANTS[0], hospital), (WORKERS[0], leader)):
            url = f"http://{space.host_address}:{crew.anvil.port}"
            crew.launch(name, prefix=space.command(), rpc=url)
        task_id = crew.open(rounds=2, submit_blocks=24)
        crew.wait(lambda: crew.task(task_id).enrolled == 3, 60)
        hospital.disconnect()
        crew.federation.open_round(crew.network.sponsor().account, task_id)
        crew.wait_for(task_id, Stage.REJECTING)
        leader.disconnect()
        crew.wait(lambda: bool(crew.task(task_id).settled), 120)
        first = crew.task(task_id).settled[0]
        assert first.accepted == 0b011 or first.accepted.bit_count() == 2
        assert first.leader != crew.addresses[WORKERS[0]]
        hospital.connect()
        leader.connect()
        crew.wait(lambda: crew.task(task_id).stage == Stage.ENDED, 120)
        assert [each.accepted.bit_count() for each in crew.task(task_id).settled] == [2, 3]
        crew.check_no_secrets()
        crew.kill(PARTICIPANTS[0], WORKERS[0])
