"""A deployment is published once and joined from the document alone; whatever is changed in between is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedproof import _core
from fedproof.app.deployment import LIMIT, STORES, BlobRef, DeploymentFile
from fedproof.app.joining import check_contracts, checked_mark, join, publish
from fedproof.app.keyfile import encode_key_file
from fedproof.app.keyring import Keyring
from fedproof.app.telling import Silent
from fedproof.app.world import World, build, create_folder, make_keys
from fedproof.errors import FedproofError, InputError, KeyFileError, LedgerError, StorageError
from fedproof.learning.architecture import Model
from fedproof.learning.choose import choose_precision
from fedproof.learning.fixed import TrainingSpec
from fedproof.learning.plan import TrainingPlan
from fedproof.ledger import Chain
from fedproof.nodes.params import Deployment
from fedproof.storage import BlobStore
from fedproof.storage.content import content_id

pytestmark = pytest.mark.slow

SPEC = TrainingSpec(32, 2, mask_count=2)
PLAN = TrainingPlan.of(SPEC)


@dataclass
class Published:
    """A deployment with its document."""

    world: World
    document: DeploymentFile
    path: Path
    blobs: Path
    cache: Path

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def join(self, cache: Path | None = None, **changes: Any) -> Deployment:
        """What a node that has joined before makes of a document, by default of this one."""
        return join(replace(self.document, **changes), self.world.chain, cache or self.cache)[0]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("deployment") / "run"
    create_folder(folder)
    world = build(folder, PLAN, Keyring(None), None, Silent())
    path = folder / "deployment.json"
    document = publish(world.deployment, world.federation, path)
    found = Published(world, document, path, folder / "public" / "blobs", folder / "cache")
    found.join()
    yield found
    world.close()


class Counting(BlobStore):
    """A store that says how often it was read."""

    reads = 0

    def get(self, *args: Any, **more: Any) -> bytes:
        self.reads += 1
        return super().get(*args, **more)


def test_a_node_joins_from_the_document_alone(published: Published, tmp_path: Path) -> None:
    document = DeploymentFile.read(published.path)
    assert document == published.document
    told: list[str] = []
    deployment, federation = join(document, published.world.chain, tmp_path / "cache", notice=told.append)
    ours = published.world.deployment
    assert federation.address == published.world.federation.address
    assert (deployment.plan, deployment.class_id) == (PLAN, ours.class_id)
    assert deployment.market.addresses == ours.market.addresses
    assert {name: key.verifying for name, key in deployment.keys.items()} == {
        name: key.verifying for name, key in ours.keys.items()
    }
    assert deployment.srs.to_bytes() == ours.srs.to_bytes()
    assert sum(line.startswith("fetching") for line in told) == 6


def test_the_second_time_nothing_is_fetched(published: Published, tmp_path: Path) -> None:
    empty = Counting.open(tmp_path / "empty")
    join(published.document, published.world.chain, published.cache, store=empty)
    assert empty.reads == 0


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda _: b""]
)
def test_a_damaged_cache_is_fetched_again(
    published: Published, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    shutil.copytree(published.cache, tmp_path / "cache")
    kept = tmp_path / "cache" / published.document.keys["aggregation"].blob
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    store = Counting.open(published.blobs)
    deployment, _ = join(published.document, published.world.chain, tmp_path / "cache", store=store)
    assert len(dict(deployment.keys)) == 5  # read now
    assert (store.reads, kept.read_bytes()) == (1, whole)


def test_the_document_is_public(published: Published) -> None:
    assert set(published.json) == {
        "version", "chain_id", "contracts", "store", "class_id", "plan", "powers", "keys",
    }  # fmt: skip


# -- the document --


def paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths to all values of a document, tables included."""
    found = [path] if path else []
    for key in value if isinstance(value, dict) else ():
        found += paths(value[key], (*path, key))
    return found


def changed(document: dict[str, Any], path: tuple[str, ...], change: Callable[[Any], Any]) -> bytes:
    copy = json.loads(json.dumps(document))
    table = copy
    for key in path[:-1]:
        table = table[key]
    made = change(table[path[-1]])
    if made is None:
        del table[path[-1]]
    else:
        table[path[-1]] = made
    return json.dumps(copy).encode()


WRONG: dict[str, Callable[[Any], Any]] = {
    "missing": lambda _: None,
    "a list": lambda _: [],
    "a truth": lambda _: True,
    "a fraction": lambda _: 1.5,
    "a negative number": lambda _: -1,
    "a huge number": lambda _: 1 << 70,
    "an empty text": lambda _: "",
    "another text": lambda _: "x\n",
    "a longer text": lambda value: value + "0" if isinstance(value, str) else "0",
    "an odd table": lambda value: {**value, "more": 1} if isinstance(value, dict) else {},
    "another letter case": lambda value: value.swapcase() if isinstance(value, str) else [],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_every_field_of_a_wrong_kind_is_refused_by_its_name(published: Published, wrong: str) -> None:
    document = published.json
    for path in paths(document):
        if path == ("store",) and wrong in ("a longer text", "another letter case"):
            continue  # another store, which holds nothing
        with pytest.raises(InputError) as caught:
            DeploymentFile.decode(changed(document, path, WRONG[wrong]))
        line = str(caught.value)
        assert "\n" not in line
        assert path[-1] in line or wrong == "an odd table" or "deployment: plan: " in line
        assert line.startswith("deployment: ")


def test_what_is_no_document_is_refused(published: Published, tmp_path: Path) -> None:
    text = published.path.read_text()
    double = text.replace('"class_id": 1', '"class_id": 2, "class_id": 1')
    assert double != text
    more = json.dumps(published.json | {"rpc": "http://user:secret@node"})
    for data in ("", "[]", "{", "null", "[" * 100_000, text + " " * LIMIT, double, more, text.replace("1", "NaN", 1)):
        with pytest.raises(InputError) as caught:
            DeploymentFile.decode(data.encode())
        assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="ask who runs the federation"):
        DeploymentFile.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be read"):
        DeploymentFile.read(tmp_path)


def test_another_version_is_named(published: Published) -> None:
    with pytest.raises(InputError, match="version 1; this build knows version 2: ask who runs the federation"):
        DeploymentFile.decode(changed(published.json, ("version",), lambda _: 1))


@pytest.mark.parametrize("store", ["s3://key:word@bucket/x", "https://user@host/"])
def test_a_store_with_credentials_is_not_published(published: Published, tmp_path: Path, store: str) -> None:
    with pytest.raises(InputError, match="store holds credentials") as caught:
        publish(published.world.deployment, published.world.federation, tmp_path / "d.json", store_url=store)
    assert "word" not in str(caught.value)
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize("store", ["blobs", "/srv/blobs", *(f"{scheme}://x/y" for scheme in STORES if scheme)])
def test_a_store_may_be_a_folder_or_of_a_few_kinds(published: Published, store: str) -> None:
    document = changed(published.json, ("store",), lambda _: store)
    assert DeploymentFile.decode(document).store == store


@pytest.mark.parametrize(
    "store",
    [
        "ssh://host/x", "sftp://host/x", "ftp://host/x", "http://host/x", "https://host/x", "webhdfs://host/x",
        "github://x", "file:///etc", "local:///etc", "dir://x", "jupyter://host/x", "S3://bucket", " s3://x",
        "simplecache::s3://bucket", "filecache::ssh://host/x", "s3://bucket::ssh://host/x", "zip://x::/etc/y.zip",
    ],
)  # fmt: skip
def test_a_strangers_document_names_no_other_driver(published: Published, store: str) -> None:
    """It would run here, with the credentials that its user has for other things."""
    with pytest.raises(InputError, match=r"deployment\.store must be a folder or begin with s3://"):
        DeploymentFile.decode(changed(published.json, ("store",), lambda _: store))


# -- another's values --


def test_another_value_in_any_field_does_not_join(published: Published, tmp_path: Path) -> None:
    """What is of the right kind, and not the deployment's."""
    d = published.document
    for name, (address, tx_hash) in d.contracts.items():
        for other, (another, another_hash) in d.contracts.items():
            if name != other:
                for made in ((another, tx_hash), (address, another_hash), (another, another_hash)):
                    with pytest.raises(LedgerError):
                        published.join(contracts=d.contracts | {name: made})
    for field, value in (("chain_id", d.chain_id + 1), ("class_id", 2), ("class_id", 7)):
        with pytest.raises(FedproofError):
            published.join(**{field: value})
    with pytest.raises(StorageError, match="not there"):
        published.join(tmp_path / "fresh", store=str(tmp_path / "another"))
    for field, value in (
        ("rows", 64), ("columns", 3), ("epochs", 2), ("mask_count", 3), ("delta_fraction_bits", 13),
        ("logit_fraction_bits", 6), ("logit_limit", 4),
    ):  # fmt: skip
        with pytest.raises((KeyFileError, InputError)):
            published.join(plan=TrainingPlan.of(replace(SPEC, **{field: value})))
    for model in (Model.linear(1), Model.softmax(1, 2), Model.perceptron(1, (2,), 1)):
        with pytest.raises(KeyFileError):
            published.join(plan=choose_precision(model, np.ones((1, 1), dtype=np.int64), 32, mask_count=2))
    for name, ref in d.keys.items():
        for other in [each for each in d.keys if each != name]:
            for swapped in (d.keys[other], replace(ref, circuit=d.keys[other].circuit)):
                with pytest.raises(KeyFileError, match=f"the {name} key is of another circuit"):
                    published.join(keys=d.keys | {name: swapped})
        another_blob = next(each for each in d.keys.values() if each != ref)
        for size in (ref.size, another_blob.size):
            with pytest.raises(FedproofError):
                published.join(keys=d.keys | {name: replace(ref, blob=another_blob.blob, size=size)})
        for size in (ref.size - 1, ref.size + 1):
            with pytest.raises(StorageError):
                published.join(keys=d.keys | {name: replace(ref, size=size)})
    with pytest.raises(FedproofError):
        published.join(powers=d.keys["spend"])
    with pytest.raises(StorageError):
        published.join(powers=replace(d.powers, size=d.powers.size + 1))


def test_another_chain_does_not_join(published: Published, tmp_path: Path) -> None:
    with Chain.embedded(chain_id=5) as chain, pytest.raises(LedgerError, match="the chain is 5"):
        join(published.document, chain, tmp_path)
    with Chain.embedded() as chain, pytest.raises(LedgerError):
        join(published.document, chain, tmp_path)


def test_a_chain_that_was_started_anew_is_told_from_a_wrong_file(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every development chain has the same number."""
    document = DeploymentFile.read(published.path)
    words = f"{published.path} and the chain at .* do not belong together: it has no transaction 0x.* made AccessToken;"
    with Chain.embedded() as chain, pytest.raises(LedgerError, match=words + ".*started anew.*market init") as said:
        check_contracts(document, chain)
    assert "\n" not in str(said.value)
    monkeypatch.setattr(Chain, "is_development", False)
    with Chain.embedded() as chain, pytest.raises(LedgerError, match=words) as said:
        check_contracts(document, chain)
    assert "anew" not in str(said.value)
    gone = {**document.contracts, "Federation": (document.federation, "0x" + "00" * 32)}
    with pytest.raises(LedgerError, match="ask a node that keeps old transactions"):
        check_contracts(replace(document, contracts=gone), published.world.chain)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('{"version": 1, "chain_id": 1, "rpc": null, "store": "b", "contracts": {}, "keys": null}', "market init"),
        ('{"version": 1, "mark": "fedproof-network", "port": 1}', "public/deployment.json"),
    ],
)
def test_a_document_that_is_taken_for_it_is_told_by_its_kind(tmp_path: Path, text: str, meant: str) -> None:
    (tmp_path / "market.json").write_text(text)
    with pytest.raises(InputError, match=r"market\.json is the .*no deployment file: name .*" + meant):
        DeploymentFile.read(tmp_path / "market.json")


def test_contracts_that_do_not_belong_together_are_refused(published: Published) -> None:
    world = published.world
    token = world.chain.deploy("AccessToken", 10**30, sender=world.operator)
    made = (token.address, world.chain.deployment_receipt(token.address).tx_hash)
    contracts = published.document.contracts | {"AccessToken": made}
    with pytest.raises(LedgerError, match="belongs to another"):
        check_contracts(replace(published.document, contracts=contracts), world.chain)


# -- keys --


def other_key(published: Published, name: str, data: bytes, circuit: str | None = None) -> dict[str, BlobRef]:
    """The keys with one exchanged for a blob that is in the store, under its right content id."""
    ref = published.document.keys[name]
    blob = published.world.deployment.store.put(data)
    return published.document.keys | {name: BlobRef(blob, len(data), circuit or ref.circuit)}


@pytest.fixture(scope="module")
def foreign() -> dict[str, Any]:
    """Keys of the very same circuits, by another dealer."""
    return make_keys(PLAN, Keyring(None))[1]


def test_a_swapped_blob_is_refused_by_its_content(published: Published, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in published.blobs.iterdir():
        (blobs / path.name).write_bytes(path.read_bytes())
    one, two = (published.document.keys[name].blob for name in ("training", "listing"))
    (blobs / one).write_bytes((published.blobs / two).read_bytes())
    shutil.copytree(published.cache, tmp_path / "cache")
    (tmp_path / "cache" / one).unlink()
    with pytest.raises(StorageError, match=r"larger than|another id"):
        published.join(tmp_path / "cache", store=str(blobs))
    assert not (tmp_path / "cache" / one).exists()


@pytest.mark.parametrize("name", ["spend", "listing", "eligibility"])
def test_a_key_by_another_dealer_is_not_the_chains(
    published: Published, foreign: dict[str, Any], tmp_path: Path, name: str
) -> None:
    key = foreign[name]
    data = encode_key_file(key.circuit.circuit_id, [key.proving.to_bytes()])
    with pytest.raises(KeyFileError, match=f"the {name} key .* is not the one on the chain"):
        published.join(keys=other_key(published, name, data))


def test_powers_by_another_dealer_are_refused(published: Published, tmp_path: Path) -> None:
    powers = _core.Srs.generate(published.world.deployment.srs.size, [1, published.world.deployment.layout.masks])
    data = powers.to_bytes()
    ref = BlobRef(published.world.deployment.store.put(data), len(data))
    with pytest.raises(KeyFileError, match="is not the one on the chain"):
        published.join(powers=ref)
    fewer = _core.Srs.generate(published.world.deployment.srs.size, [1]).to_bytes()
    with pytest.raises(KeyFileError):
        published.join(powers=BlobRef(published.world.deployment.store.put(fewer), len(fewer)))


def test_a_key_that_only_says_to_be_of_the_circuit_is_refused(published: Published, tmp_path: Path) -> None:
    keys = published.world.deployment.keys
    inside, circuit = keys["listing"].proving.to_bytes(), keys["training"].circuit.circuit_id
    whole = keys["training"].proving.to_bytes()
    for data, said in (
        (encode_key_file(circuit, [inside]), "it belongs to another circuit"),
        (encode_key_file(keys["listing"].circuit.circuit_id, [inside]), "belongs to another circuit"),
        (encode_key_file(circuit, [whole, b"\0"]), "2 parts"),
        (encode_key_file(circuit, [whole[:-32]]), "training key: "),
        (whole, "not a fedproof key file"),
    ):
        with pytest.raises(KeyFileError, match=said):
            published.join(keys=other_key(published, "training", data))


def test_a_key_with_a_point_off_its_curve_is_refused_when_it_comes(published: Published) -> None:
    """Its verifying key is the chain's; a proof made with it could tell of the witness."""
    key = published.world.deployment.keys["aggregation"]
    whole = key.proving.to_bytes()
    for at in (len(whole) // 2, len(whole) - 40):
        bent = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        data = encode_key_file(key.circuit.circuit_id, [bent])
        keys = other_key(published, "aggregation", data)
        with pytest.raises(KeyFileError, match="aggregation key: "):
            published.join(keys=keys)
        assert not (published.cache / keys["aggregation"].blob).exists()


def test_keys_that_were_in_the_cache_already_are_checked_as_if_they_came(published: Published, tmp_path: Path) -> None:
    """As when a cache is copied from somebody, with the mark of another document."""
    cache, key = tmp_path / "cache", published.world.deployment.keys["spend"]
    shutil.copytree(published.cache, cache)
    whole = key.proving.to_bytes()
    bent = whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
    data = encode_key_file(key.circuit.circuit_id, [bent])
    ref = replace(published.document.keys["spend"], blob=content_id(data), size=len(data))
    (cache / ref.blob).write_bytes(data)
    document = replace(published.document, keys=published.document.keys | {"spend": ref})
    assert checked_mark(published.document, cache).exists()
    told: list[str] = []
    with pytest.raises(KeyFileError, match="spend key: "):
        join(document, published.world.chain, cache, notice=told.append)
    assert told == ["compiling circuits and checking all keys"]  # nothing was fetched
    assert not checked_mark(document, cache).exists()


def test_contracts_made_elsewhere_need_their_transactions(published: Published, tmp_path: Path) -> None:
    """Another process publishes: it names the transactions that made the contracts."""
    creations = {name: made[1] for name, made in published.document.contracts.items()}
    made = publish(published.world.deployment, published.world.federation, tmp_path / "d.json", creations=creations)
    assert made == published.document
    swapped = creations | {"Federation": creations["AccessToken"]}
    with pytest.raises(LedgerError):
        publish(published.world.deployment, published.world.federation, tmp_path / "e.json", creations=swapped)
    assert not (tmp_path / "e.json").exists()
