"""`fedproof node check`: a healthy node passes, and each thing that can be wrong is shown failing by its name."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eth_utils.abi import event_abi_to_log_topic

from fedproof.app import keystore, nodecheck, nodecheck_chain
from fedproof.app.demo import GRANT_SECONDS, LOCK_EPOCHS, THRESHOLDS, TOKEN
from fedproof.app.deployment import DeploymentFile
from fedproof.app.health import HealthServer, Vitals
from fedproof.app.joining import checked_mark, publish, set_mark
from fedproof.app.keyring import Keyring
from fedproof.app.network import LIGHT_WORK, NodeEntry
from fedproof.app.network_config import write_config
from fedproof.app.nodecheck import Checkup, check_node
from fedproof.app.nodecheck_chain import check_clock
from fedproof.app.presence import announced
from fedproof.app.running import JOURNAL, owner
from fedproof.app.secret import Secret
from fedproof.app.telling import Silent
from fedproof.app.world import World, build, create_folder
from fedproof.data.schema import Schema
from fedproof.errors import LedgerError
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.model import GlobalModel
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger import Chain, SendingPolicy, load_artifact
from fedproof.ledger.rpc import RpcError
from fedproof.nodes.holder import Holder
from fedproof.nodes.journal import Journal
from fedproof.nodes.offering import Offering
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.statements.models.vectors import model_vector
from tests.app.test_health import LOG

pytestmark = pytest.mark.slow

PLAN = TrainingPlan.of(TrainingSpec(32, 2, mask_count=9))
ROLES = ("provider", "participant", "worker")
Answer = Callable[..., Any]


class Tampered:
    """A chain's RPC of which some methods answer something else."""

    def __init__(self, rpc: Any) -> None:
        self._rpc = rpc
        self.answers: dict[str, Answer] = {}

    @property
    def url(self) -> str:
        return "http://node"

    def request(self, method: str, *params: Any) -> Any:
        answer = self.answers.get(method)
        return self._rpc.request(method, *params) if answer is None else answer(*params)


@dataclass
class Place:
    """A deployment with one node of each role in `folder/nodes`, a listed dataset, and a task that enrols."""

    folder: Path
    world: World
    keys: dict[str, keystore.NodeKeys] = field(default_factory=dict)


def make_node(place: Place, role: str, port: int = 1) -> None:
    folder = place.folder / "nodes" / role
    folder.mkdir(parents=True)
    (folder / "passphrase").touch(0o600)
    (folder / "passphrase").write_bytes(b"some good words\n")
    keystore.create(folder / "keys", Secret(b"some good words"), work=LIGHT_WORK)
    place.keys[role] = keystore.unlock(folder / "keys", Secret(b"some good words"), role)
    write_config(folder, NodeEntry(role, role, port), "http://node", 2, [1])
    chain, token = place.world.chain, place.world.deployment.market.token
    chain.dev.give(place.keys[role].account.address, 10**18)
    chain.transact(token.functions.transfer(place.keys[role].account.address, 60 * TOKEN), place.world.operator)


def enter_market(place: Place) -> None:
    """One dataset of the provider, granted to the participant, and answered."""
    world, d = place.world, place.world.deployment
    schema = Schema("tiny", ("a",), (0.0,), (1.0,), ("no", "yes"), PLAN.rows)
    with StateFile(place.folder / "nodes/provider/datasets/1", "provider") as state:
        provider = Provider(d.listing, place.keys["provider"].account, state)
        offering = Offering(schema, THRESHOLDS, [(np.ones((3, 1), np.int64), np.array([0, 1, 1]))])
        provider.list_dataset(offering)
        with StateFile(place.folder / "nodes/participant/access", "participant") as access:
            holder = Holder(d, place.keys["participant"].account, access, world.operator)
            holder.lock(1000 * TOKEN, d.market.vault.current_epoch() + LOCK_EPOCHS)
            holder.request_access(1, GRANT_SECONDS)
        assert len(provider.answer_grants()) == 1


def open_task(place: Place, hpke: bytes, bond: int = 50 * TOKEN) -> int:
    d, chain, world = place.world.deployment, place.world.chain, place.world
    others = [(chain.new_account(f"other-{each}", funded=False).address, bytes([each]) * 32) for each in (1, 2)]
    return world.federation.open_task(
        world.operator,
        training_key=d.keys["training"].verifying,
        aggregation_key=d.keys["aggregation"].verifying,
        description=bytes(31) + b"\x01",
        model=d.srs.commit(model_vector(PLAN, GlobalModel.start(PLAN, 1).layers)),
        class_id=d.class_id,
        rounds=1,
        mask_count=PLAN.mask_count,
        threshold=1,
        committee=[(place.keys["worker"].account.address, hpke), *others],
        min_updates=2,
        max_participants=2,
        submit_blocks=20,
        freeze_blocks=5,
        settle_blocks=20,
        reward_per_round=TOKEN,
        enrol_bond=bond,
        worker_bond=bond,
    ).task_id


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("check") / "run"
    create_folder(folder)
    world = build(folder, PLAN, Keyring(None), None, Silent())
    world.chain.dev.set_next_timestamp(int(time.time()))  # its own clock begins in the past
    place = Place(folder, world)
    document = publish(world.deployment, world.federation, folder / "public/deployment.json")
    (folder / "cache").mkdir()
    for ref in (document.powers, *document.keys.values()):
        shutil.copy(folder / "public/blobs" / ref.blob, folder / "cache")
    set_mark(checked_mark(document, folder / "cache"))  # that a first check looks at all keys, others show
    for role in ROLES:
        make_node(place, role)
    enter_market(place)
    open_task(place, place.keys["worker"].hpke.public)
    yield place
    world.close()


@dataclass
class Scene:
    """A copy of the nodes of a place, to be spoilt, over the place's chain."""

    place: Place
    folder: Path
    rpc: Tampered
    development: bool = True

    def node(self, role: str) -> Path:
        return self.folder / "nodes" / role

    def edit(self, role: str, old: str, new: str) -> None:
        path = self.node(role) / "node.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def check(self, role: str = "worker", **more: Any) -> Checkup:
        return check_node(self.node(role) / "node.toml", **more)

    def fails(self, name: str, code: int, text: str, role: str = "worker") -> Checkup:
        """Exactly this check fails, with this exit code and these words."""
        found = self.check(role)
        failed = [each for each in found.checks if each.status == "FAIL"]
        assert [each.name for each in failed] == [name], found.checks
        assert re.search(text, failed[0].text), failed[0].text
        assert "\n" not in failed[0].text
        assert (failed[0].exit_code, found.exit_code) == (code, code)
        return found

    def warns(self, name: str, text: str, role: str = "worker") -> None:
        found = self.check(role)
        assert [each.name for each in found.checks if each.status == "warn"] == [name], found.checks
        assert re.search(text, next(each.text for each in found.checks if each.name == name))
        assert found.exit_code == 0


@pytest.fixture
def scene(made: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    folder = tmp_path / "run"
    shutil.copytree(made.folder, folder, ignore=shutil.ignore_patterns("blobs"))
    found = Scene(made, folder, Tampered(made.world.chain.rpc))

    def connect(*_: Any) -> Chain:
        dev = made.world.chain.dev if found.development else None
        return Chain(found.rpc, chain_id=made.world.chain.chain_id, dev=dev, policy=SendingPolicy())

    monkeypatch.setattr(nodecheck_chain, "connect", connect)
    snapshot = made.world.chain.dev.snapshot()
    made.world.chain.dev.set_next_timestamp(max(int(time.time()), made.world.chain.timestamp() + 1))
    made.world.chain.mine()  # the newest block is of now, however long the tests before took
    yield found
    made.world.chain.dev.revert(snapshot)
    made.world.federation.forget()


@pytest.mark.parametrize("role", ROLES)
def test_a_healthy_node_passes(scene: Scene, role: str) -> None:
    found = scene.check(role)
    assert {each.status for each in found.checks} == {"ok"}, found.checks
    assert found.exit_code == 0
    names = [each.name for each in found.checks]
    assert names[:6] == ["config", "keys", "deployment", "state", "journal", "disk"]
    last = {"provider": "dataset 1", "participant": "bond", "worker": "bond"}
    assert names[-1] == last[role]
    assert json.dumps([each.to_json() for each in found.checks])


def test_nothing_is_said_of_what_cannot_be_looked_at(scene: Scene) -> None:
    scene.edit("worker", "role =", "rule =")
    assert [each.name for each in scene.fails("config", 2, "role").checks] == ["config"]


@pytest.mark.parametrize(("data", "mode"), [(b"other words\n", 0o600), (b"some good words\n", 0o644)])
def test_keys(scene: Scene, data: bytes, mode: int) -> None:
    path = scene.node("worker") / "passphrase"
    path.write_bytes(data)
    path.chmod(mode)
    scene.fails("keys", 8, "wrong|open to other")


def test_deployment(scene: Scene) -> None:
    (scene.folder / "public/deployment.json").unlink()
    assert scene.fails("deployment", 2, "is missing").checks[-1].name == "disk"


def test_state(scene: Scene) -> None:
    folder = scene.node("worker") / "state"
    with StateFile(folder, "worker"):
        scene.fails("state", 9, "in use by another process")
    with StateFile(folder, "worker") as state:
        state.put(a=1)
    (folder / "state.json").write_text("{")
    scene.fails("state", 9, "not JSON")
    shutil.rmtree(folder)
    folder.write_text("")
    scene.fails("state", 9, "state folder")


def test_a_state_of_another_account_or_federation(scene: Scene) -> None:
    folder = scene.node("worker") / "state"
    mine = owner(
        scene.place.keys["worker"].account.address, DeploymentFile.read(scene.folder / "public/deployment.json")
    )
    for wrong, words in (({"account": "0x2"}, "is the state of 0x2"), ({"federation": "0x3"}, "another federation")):
        with StateFile(folder, "worker") as state:
            state.put(owner=mine | wrong)
        scene.fails("state", 9, words)
    with StateFile(folder, "worker") as state:
        state.put(owner=mine)
    assert scene.check().exit_code == 0


def test_a_node_that_runs_is_told_from_another_process(scene: Scene) -> None:
    with HealthServer(Vitals("worker"), LOG) as server, StateFile(scene.node("worker") / "state", "worker"):
        scene.edit("worker", "port = 1\n", f"port = {server.port}\n")
        found = scene.check()
        assert {each.status for each in found.checks} == {"ok"}, found.checks
        assert "this node runs on" in next(each.text for each in found.checks if each.name == "state")


def test_a_node_without_a_health_page_that_runs(scene: Scene) -> None:
    scene.edit("worker", "port = 1\n", "port = 0\n")
    config, state = scene.node("worker") / "node.toml", scene.node("worker") / "state"
    keys = scene.node("worker") / "keys"
    with StateFile(state, "worker"), keystore.held(keys), announced(state, config):
        found = {each.name: each for each in scene.check().checks}
        assert {each.status for each in found.values()} == {"ok"}, found
        assert f"this node runs on {state} (pid {os.getpid()})" in found["state"].text
        assert found["keys"].text.endswith("the running node holds them")
        other = scene.node("worker") / "other.toml"
        shutil.copy(config, other)
        failed = {each.name: each for each in check_node(other).checks if each.status == "FAIL"}
        assert re.search("another node runs with the keys in", failed["keys"].text)
        assert re.search(
            rf"in use by another process, the node of {config} \(pid {os.getpid()}\): stop it", failed["state"].text
        )
        assert [each.exit_code for each in failed.values()] == [8, 9]
    assert not (state / "running.json").exists()
    (state / "running.json").write_text("left by a node that was killed")
    assert {each.status for each in scene.check().checks} == {"ok"}
    with StateFile(state, "worker"):
        scene.fails("state", 9, "in use by another process")


def test_keys_that_another_node_runs_with(scene: Scene) -> None:
    with keystore.held(scene.node("worker") / "keys"):
        scene.fails("keys", 8, "another node runs with the keys in .*: make keys for each node")


def test_journal(scene: Scene) -> None:
    (scene.node("worker") / "state").mkdir()
    Journal(scene.node("worker") / "state" / JOURNAL, 7).close()
    scene.fails("journal", 9, "chain 7")


def test_disk(scene: Scene) -> None:
    scene.edit("worker", "min_free_mib = 64", "min_free_mib = 1099511627776")
    scene.fails("disk", 7, "state.min_free_mib")


def test_store(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f'[store]\nurl = "{scene.folder}/missing"\n[http]'
    scene.edit("worker", "[http]", text)
    assert scene.fails("store", 7, "is not there: mount it").checks[-1].name == "proving keys"
    assert not (scene.folder / "missing").exists()
    monkeypatch.setattr(nodecheck.BlobStore, "get", lambda *_, **__: b"")
    scene.edit("worker", text, "[http]")
    assert next(each for each in scene.check().checks if each.name == "store").status == "FAIL"


def test_chain(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    scene.edit("worker", "http://node", "http://127.0.0.1:9")
    scene.edit("worker", "poll_seconds = 1.0", "retries = 0")
    assert scene.fails("chain", 6, "no usable answer").checks[-1].name == "chain"


def test_depth(scene: Scene) -> None:
    scene.development = False
    scene.fails("chain.depth", 2, "chain.confirmations must be 1 or more")


def test_synced(scene: Scene) -> None:
    scene.rpc.answers["eth_syncing"] = lambda: {"currentBlock": "0x5", "highestBlock": "0x10"}
    scene.fails("chain.synced", 6, "block 0x5 of 0x10")
    scene.rpc.answers.clear()
    scene.edit("worker", "confirmations = 0", "confirmations = 9999")
    scene.fails("chain.synced", 6, "fewer than chain.confirmations")


def test_clock(scene: Scene) -> None:
    chain = nodecheck_chain.connect(None, None)  # type: ignore[arg-type]
    now = chain.timestamp()
    assert check_clock(chain, 60, lambda: now + 60.0) == "the newest block is 60 s old"
    assert isinstance(check_clock(chain, 60, lambda: now + 61.0), nodecheck.Caution)
    with pytest.raises(LedgerError, match="ahead of this machine's clock"):
        check_clock(chain, 60, lambda: now - 61.0)
    scene.development = False
    with pytest.raises(LedgerError, match="the node gets no blocks"):
        check_clock(nodecheck_chain.connect(None, None), 60, lambda: now + 61.0)  # type: ignore[arg-type]
    scene.development = True
    scene.place.world.chain.dev.set_next_timestamp(now + 50_000_000)
    scene.place.world.chain.mine()
    assert "chain.clock" in [each.name for each in scene.check().checks if each.status == "FAIL"]


def test_contracts(scene: Scene) -> None:
    scene.rpc.answers["eth_getCode"] = lambda *_: "0x00"
    assert scene.fails("contracts", 6, "not the").checks[-1].name == "contracts"


def test_calls(scene: Scene) -> None:
    def refuse(request: Any, block: str) -> Any:
        if block != "latest":
            raise RpcError("eth_call", -32000, "missing trie node")
        return scene.place.world.chain.rpc.request("eth_call", request, block)

    scene.rpc.answers["eth_call"] = refuse
    scene.fails("chain.calls", 6, "answers no call as of block")


def test_logs(scene: Scene) -> None:
    def refuse(query: dict[str, Any]) -> Any:
        early = int(query["toBlock"], 16) < 20 and query["toBlock"] == query["fromBlock"]
        return [] if early else scene.place.world.chain.rpc.request("eth_getLogs", query)

    scene.rpc.answers["eth_getLogs"] = refuse
    scene.fails("chain.logs", 6, "has no logs of block")


def test_balance(scene: Scene) -> None:
    scene.edit("worker", "poll_seconds = 1.0", "min_balance = 1.5")
    scene.fails("balance", 6, r"less than chain.min_balance = 1.5: .*fedproof market fund 0x\w{40} 100$")


def test_proving_keys(scene: Scene) -> None:
    shutil.rmtree(scene.folder / "cache")
    scene.warns("proving keys", "6 files of .* MiB .* --fetch")
    scene.warns("proving keys", "6 files", "participant")  # grants are looked at all the same
    assert not (scene.folder / "cache").exists()
    assert {each.status for each in scene.check(fetch=True).checks} == {"ok"}
    assert {each.status for each in scene.check().checks} == {"ok"}
    blob = next(path for path in (scene.folder / "cache").iterdir() if not path.name.startswith("checked-"))
    blob.write_bytes(b"x")
    scene.warns("proving keys", "1 files")


@pytest.mark.parametrize("cached", [True, False])
def test_proving_keys_of_another_build(scene: Scene, cached: bool) -> None:
    if not cached:
        shutil.rmtree(scene.folder / "cache")
    path = scene.folder / "public/deployment.json"
    document = json.loads(path.read_text())
    document["keys"]["training"]["circuit"] = "00" * 32
    path.write_text(json.dumps(document))
    scene.fails("proving keys", 8, "another circuit")


def test_datasets_of_a_provider(scene: Scene) -> None:
    folder = scene.node("provider") / "datasets/1"
    state = json.loads((folder / "state.json").read_text())
    whole = json.dumps(state)
    with StateFile(folder, "provider"):
        scene.fails("dataset 1", 9, "in use by another process", "provider")
    state["data"]["versions"]["1"]["commitments"] = ["00" * 64]
    (folder / "state.json").write_text(json.dumps(state))
    scene.fails("dataset 1", 9, "no dataset that is listed", "provider")
    state["data"].update(taken=1)
    (folder / "state.json").write_text(json.dumps(state))
    scene.fails("dataset 1", 9, "keys of version 1 of dataset 1 are not", "provider")
    (folder / "state.json").write_text(whole)
    registry, world = scene.place.world.deployment.market.registry, scene.place.world
    owner = scene.place.keys["provider"].account
    world.chain.transact(registry.functions.transferFrom(owner.address, world.operator.address, 1), owner)
    scene.fails("dataset 1", 9, "not of this node's", "provider")
    shutil.rmtree(folder)
    scene.fails("dataset 1", 9, "holds no saved state", "provider")


def test_access_of_a_participant(scene: Scene) -> None:
    folder = scene.node("participant") / "access"
    with StateFile(folder, "participant") as state:
        scene.fails("access", 9, "in use", "participant")
        state.put(other=1)
    document = json.loads((folder / "state.json").read_text())
    document["role"] = "holder"  # as in a marketplace home
    (folder / "state.json").write_text(json.dumps(document))
    assert {each.status for each in scene.check("participant").checks} == {"ok"}
    del document["data"]["hpke"]
    (folder / "state.json").write_text(json.dumps(document))
    scene.fails("access", 9, "has taken no grant", "participant")
    scene.edit("participant", '"access"', '"other"')
    scene.fails("access", 9, "participant.access", "participant")


def test_grants_of_a_participant(scene: Scene) -> None:
    scene.edit("participant", "[participant]", "[participant]\ndatasets = [7]")
    scene.fails("grants", 9, "dataset 7, which participant.datasets names", "participant")
    scene.edit("participant", "datasets = [7]\n", "")
    scene.rpc.answers["eth_getLogs"] = lambda query: without(scene, query, "KeyDelivered")
    scene.warns("dataset 1", "granted, and not usable yet.*has not delivered the key", "participant")
    scene.rpc.answers["eth_getLogs"] = lambda query: without(scene, query, "AccessGranted")
    scene.fails("grants", 9, "no running grant", "participant")


def without(scene: Scene, query: dict[str, Any], event: str) -> Any:
    found = next(each for each in load_artifact("DatasetRegistry").abi if each.get("name") == event)
    topic = "0x" + event_abi_to_log_topic(found).hex()
    logs = scene.place.world.chain.rpc.request("eth_getLogs", query)
    return [log for log in logs if log["topics"][0] != topic]


@pytest.mark.parametrize("role", ["participant", "worker"])
def test_tokens_for_bonds(scene: Scene, role: str) -> None:
    token, world = scene.place.world.deployment.market.token, scene.place.world
    account = scene.place.keys[role].account
    scene.edit(role, 'max_bond = "50"', 'max_bond = "70"')
    scene.warns("bond", "60 tokens, fewer than max_bond = 70", role)
    scene.edit(role, 'max_bond = "70"', 'max_bond = "40"')
    scene.warns("bond", "more than max_bond = 40", role)
    scene.edit(role, 'max_bond = "40"', 'max_bond = "50"')
    world.chain.transact(token.functions.transfer(world.operator.address, 20 * TOKEN), account)
    scene.fails("bond", 6, "has 40 tokens, and a task asks for a bond of 50", role)


def test_committees_of_a_worker(scene: Scene) -> None:
    assert "task 1" in next(each.text for each in scene.check().checks if each.name == "committees")
    number = open_task(scene.place, bytes(31) + b"\x07")
    scene.fails("committees", 8, f"task {number} knows another HPKE key")


def test_what_is_shown_is_one_clean_line(scene: Scene) -> None:
    (scene.folder / "public/deployment.json").write_text('{"version": "\\u0000"}')
    text = scene.fails("deployment", 2, "version").checks[2].text
    assert text.isprintable()
