"""Opening a tier: the chain alone decides what a proof is about, and no balance opens a dataset twice in an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fedproof import _core
from fedproof.errors import InputError
from fedproof.ledger import Account
from fedproof.ledger.market_types import AccessGranted
from fedproof.ledger.rpc import RpcError
from fedproof.proving.transcript import EXTENSION, FIRST_GRANT, eligibility_scope, eligibility_signal, hpke_key_word
from fedproof.statements.notes import nullifier_of
from tests.contracts import toy
from tests.contracts.support import P, R, call_with_gas, int_words, rejects, send_raw_calldata, to_bytes
from tests.contracts.world import EPOCH_LENGTH, MAX_DURATION, THRESHOLDS, X25519_KEY, World

HYBRID_KEY = bytes(k % 251 for k in range(1216))
INVALID_PROOF = _core.keccak256(b"InvalidProof()")[:4]


@dataclass(frozen=True)
class Request:
    """A grant that is asked for, with what its proof is about."""

    dataset_id: int
    tier: int
    duration: int
    key: bytes
    root: int
    nullifier: int
    proof: bytes
    price: int = 0
    version: int | None = None

    def call(self, world: World):  # type: ignore[no-untyped-def]  # a web3 function
        return world.market.access_dataset_call(
            self.dataset_id,
            self.tier,
            self.duration,
            self.key,
            self.root,
            self.nullifier,
            self.proof,
            self.price,
            self.version,
        )

    def send(self, world: World, sender: Account | None = None) -> AccessGranted:
        receipt = world.chain.transact(self.call(world), sender or world.grantee)
        (event,) = (each for each in receipt.events if each.name in ("AccessGranted", "AccessExtended"))
        return AccessGranted.of(event)


def request(
    world: World,
    tier: int = 3,
    duration: int = 600,
    key: bytes = X25519_KEY,
    change: Callable[[list[int]], list[int]] = list,
    grantee: Account | None = None,
    dataset_id: int = 1,
    root: int | None = None,
) -> Request:
    """An honest request, but for what `change` does to the public inputs that are proven."""
    root = world.market.vault.deposits()[-1].root if root is None else root
    public = world.public_inputs(dataset_id, tier, duration, root, grantee, key)
    proof = toy.prove_eligibility(change(list(public)))
    price = world.market.dataset(dataset_id).prices[tier]
    return Request(dataset_id, tier, duration, key, public[0], public[2], proof, price)


@pytest.fixture
def listed(world: World) -> World:
    """The dataset 1, and a note of 500 locked for five epochs."""
    world.mint()
    world.lock()
    return world


def at_time(world: World, timestamp: int) -> None:
    """The latest block and the next one get this time and the one after."""
    world.chain.dev.set_next_timestamp(timestamp)
    world.chain.mine()


def test_a_proven_balance_opens_a_tier(listed: World) -> None:
    asked = request(listed)
    granted = asked.send(listed)
    chain, market = listed.chain, listed.market
    assert granted.expiry == chain.timestamp() + 600
    assert (granted.dataset_id, granted.grantee, granted.tier) == (1, listed.grantee.address, 3)
    assert (granted.extension, granted.nullifier, granted.hpke_key) == (False, asked.nullifier, X25519_KEY)
    assert market.grants(datasetId=1) == market.grants(grantee=listed.grantee.address) == [granted]
    assert market.grants(tier=2) == []
    kept = market.grant(1, listed.grantee.address, 3)
    assert (kept.expiry, kept.hpke_key_hash) == (granted.expiry, hpke_key_word(X25519_KEY)[:27])
    assert chain.call(market.registry.functions.isSpent(asked.nullifier)) is True


def test_accepts_a_hybrid_key(listed: World) -> None:
    assert request(listed, key=HYBRID_KEY).send(listed).hpke_key == HYBRID_KEY


def test_a_tier_opens_those_below_and_none_above(listed: World) -> None:
    request(listed, tier=3).send(listed)
    opened = [tier for tier in range(8) if listed.market.has_access(1, listed.grantee.address, tier)]
    assert opened == [0, 1, 2, 3]
    assert [tier for tier in range(8) if listed.market.has_access(1, listed.stranger.address, tier)] == [0]
    assert not any(listed.market.has_access(2, listed.grantee.address, tier) for tier in range(8))


def test_the_public_inputs_are_those_of_the_python_transcript(listed: World) -> None:
    market, chain = listed.market, listed.chain
    for tier, duration, key in ((1, 1, X25519_KEY), (5, 7200, HYBRID_KEY)):
        terms = market.eligibility_terms(1, listed.grantee.address, tier, duration, key)
        assert terms.epoch == market.vault.current_epoch() == chain.timestamp() // EPOCH_LENGTH
        assert terms.threshold == THRESHOLDS[tier]
        assert terms.scope == eligibility_scope(
            chain_id=chain.chain_id,
            registry=market.registry.address,
            dataset=1,
            epoch=terms.epoch,
            purpose=FIRST_GRANT,
        )
        assert terms.signal == eligibility_signal(
            tier=tier, duration=duration, grantee=listed.grantee.address, hpke_key_hash=hpke_key_word(key)
        )
    request(listed).send(listed)
    extension = market.eligibility_terms(1, listed.grantee.address, 3, 1, X25519_KEY)
    assert extension.scope == eligibility_scope(
        chain_id=chain.chain_id,
        registry=market.registry.address,
        dataset=1,
        epoch=extension.epoch,
        purpose=EXTENSION,
    )


@pytest.mark.parametrize("position", range(6), ids=["root", "scope", "nullifier", "threshold", "signal", "epoch"])
@pytest.mark.parametrize("difference", [1, -1])
def test_rejects_a_proof_of_another(listed: World, position: int, difference: int) -> None:
    """Among them: a threshold one unit too low, the last and the next epoch, a scope of the prover's choosing."""

    def change(public: list[int]) -> list[int]:
        public[position] += difference
        return public

    with rejects("InvalidProof"):
        request(listed, change=change).send(listed)


@pytest.mark.parametrize("item", ["chain", "registry", "dataset", "epoch", "purpose"])
def test_rejects_a_scope_with_another(listed: World, item: str) -> None:
    def change(public: list[int]) -> list[int]:
        scope = eligibility_scope(
            chain_id=listed.chain.chain_id + (item == "chain"),
            registry=listed.market.vault.address if item == "registry" else listed.market.registry.address,
            dataset=1 + (item == "dataset"),
            epoch=public[5] - (item == "epoch"),
            purpose=EXTENSION if item == "purpose" else FIRST_GRANT,
        )
        assert scope != public[1]
        return [public[0], scope, *public[2:]]

    with rejects("InvalidProof"):
        request(listed, change=change).send(listed)


@pytest.mark.parametrize("item", ["tier", "duration", "grantee", "key"])
def test_rejects_a_signal_with_another(listed: World, item: str) -> None:
    def change(public: list[int]) -> list[int]:
        public[4] = eligibility_signal(
            tier=2 if item == "tier" else 3,
            duration=601 if item == "duration" else 600,
            grantee=(listed.stranger if item == "grantee" else listed.grantee).address,
            hpke_key_hash=hpke_key_word(b"\x09" * 32 if item == "key" else X25519_KEY),
        )
        return public

    with rejects("InvalidProof"):
        request(listed, change=change).send(listed)


@pytest.mark.parametrize(
    "changes", [{"tier": 5}, {"tier": 2}, {"duration": 601}, {"key": b"\x09" * 32}, {"key": HYBRID_KEY}], ids=str
)
def test_rejects_a_request_that_asks_for_more_than_its_proof(listed: World, changes: dict[str, object]) -> None:
    with rejects("InvalidProof"):
        replace(request(listed), **changes).send(listed)  # type: ignore[arg-type]


def test_rejects_a_copied_request_from_another_address(listed: World) -> None:
    asked = request(listed)
    with rejects("InvalidProof"):
        asked.send(listed, listed.stranger)
    asked.send(listed)


def test_rejects_a_request_for_another_dataset(listed: World) -> None:
    listed.mint()
    with rejects("InvalidProof"):
        replace(request(listed), dataset_id=2).send(listed)


def test_rejects_a_nullifier_of_the_senders_choosing(listed: World) -> None:
    asked = request(listed)
    with rejects("InvalidProof"):
        replace(asked, nullifier=asked.nullifier + 1).send(listed)


def test_rejects_a_spent_nullifier(listed: World) -> None:
    """The same secret in the same epoch, from another address, with other notes: the nullifier is the same."""
    asked = request(listed)
    asked.send(listed)
    with rejects("NullifierSpent", asked.nullifier):
        asked.send(listed)
    other_root = listed.lock(1000)
    again = request(listed, grantee=listed.stranger, root=other_root)
    assert again.nullifier == asked.nullifier
    with rejects("NullifierSpent", asked.nullifier):
        again.send(listed, listed.stranger)


def test_one_nullifier_in_two_transactions_of_one_block_counts_once(listed: World) -> None:
    first, second = request(listed), request(listed, grantee=listed.stranger)
    assert first.nullifier == second.nullifier
    chain = listed.chain
    with chain.hold_mining():
        sent = [
            chain.send(first.call(listed), listed.grantee, gas=600_000),
            chain.send(second.call(listed), listed.stranger, gas=600_000),
        ]
    receipts = [chain.rpc.request("eth_getTransactionReceipt", each.tx_hash) for each in sent]
    assert receipts[0]["blockNumber"] == receipts[1]["blockNumber"]
    assert sorted(int(receipt["status"], 16) for receipt in receipts) == [0, 1]
    assert len(listed.market.grants()) == 1


def test_a_nullifier_is_free_again_in_the_next_epoch(listed: World) -> None:
    first = request(listed)
    first.send(listed)
    at_time(listed, (listed.market.vault.current_epoch() + 1) * EPOCH_LENGTH)
    second = request(listed, grantee=listed.stranger)
    assert second.nullifier != first.nullifier
    second.send(listed, listed.stranger)


def test_rejects_a_proof_of_the_last_epoch(listed: World) -> None:
    asked = request(listed)
    at_time(listed, (listed.market.vault.current_epoch() + 1) * EPOCH_LENGTH)
    with rejects("InvalidProof"):
        asked.send(listed)


@pytest.mark.parametrize("root", [0, 1, R, R + 5])
def test_rejects_a_root_that_the_vault_never_had(listed: World, root: int) -> None:
    with rejects("UnknownRoot", root):
        replace(request(listed), root=root).send(listed)


def test_rejects_the_root_of_another_vault(listed: World) -> None:
    tree = listed.tree()
    tree.insert(12345)
    asked = request(listed, root=tree.root)
    with rejects("UnknownRoot", tree.root):
        asked.send(listed)


def test_accepts_an_old_root(listed: World) -> None:
    """A locked note is unspent whatever was deposited since, and its nullifier does not depend on the root."""
    old = listed.market.vault.deposits()[-1].root
    listed.lock(7, secret=1)
    listed.lock(7, secret=2)
    request(listed, root=old).send(listed)


@pytest.mark.parametrize("over", [0, 1])
def test_rejects_a_nullifier_at_or_over_r(listed: World, over: int) -> None:
    """x + r is the same field element under another name: one balance would have many nullifiers."""
    asked = request(listed)
    alias = asked.nullifier + R if over else R
    with rejects("ScalarTooLarge", alias):
        replace(asked, nullifier=alias).send(listed)


@pytest.mark.parametrize("tier", [0, 4, 6, 255])
def test_rejects_a_tier_that_is_not_offered(listed: World, tier: int) -> None:
    with rejects("TierNotOffered", 1, tier):
        replace(request(listed), tier=tier).send(listed)


@pytest.mark.parametrize("duration", [0, MAX_DURATION + 1, 2**32 - 1])
def test_rejects_a_duration_out_of_range(listed: World, duration: int) -> None:
    with rejects("DurationOutOfRange", duration, MAX_DURATION):
        request(listed, duration=duration).send(listed)


@pytest.mark.parametrize("duration", [1, MAX_DURATION])
def test_accepts_the_least_and_the_greatest_duration(listed: World, duration: int) -> None:
    assert request(listed, duration=duration).send(listed).expiry == listed.chain.timestamp() + duration


def test_rejects_a_dataset_that_does_not_exist(listed: World) -> None:
    for dataset_id in (0, 2):
        with rejects("NoSuchDataset", dataset_id):
            replace(request(listed), dataset_id=dataset_id).send(listed)


def test_rejects_access_to_a_retired_dataset(listed: World) -> None:
    asked = request(listed)
    listed.market.retire(listed.provider, 1)
    with rejects("DatasetIsRetired", 1):
        asked.send(listed)


@pytest.mark.parametrize("version", [0, 2, 65_535])
def test_rejects_another_version_than_the_present_one(listed: World, version: int) -> None:
    asked = request(listed)
    with rejects("WrongVersion", 1):
        replace(asked, version=version).send(listed)
    asked.send(listed)


def test_rejects_access_in_a_closed_class(listed: World) -> None:
    asked = request(listed)
    listed.market.close_class(listed.owner, listed.class_id)
    with rejects("ClassNotOpen", listed.class_id):
        asked.send(listed)


@pytest.mark.parametrize("length", [0, 31, 33, 64, 1184, 1215, 1217])
def test_rejects_a_key_of_another_length(listed: World, length: int) -> None:
    asked = request(listed)
    call = listed.market.registry.functions.accessDataset(
        1, 3, 600, bytes(length), 0, 1, asked.root, asked.nullifier, int_words(asked.proof)
    )
    with rejects("BadHpkeKey", length):
        listed.chain.transact(call, listed.grantee)
    with pytest.raises(InputError, match="HPKE public key"):
        replace(asked, key=bytes(length)).call(listed)


@pytest.mark.parametrize(
    ("start", "values", "error"),
    [
        (0, [0] * 8, "PointAtInfinity"),
        (0, [1, 3], "NotOnCurve"),
        (0, [P + 1, 2], "CoordinateTooLarge"),
        (2, [P], "CoordinateTooLarge"),
        (2, [1, 2, 3, 4], "PrecompileFailed"),
        (6, [0, 0], "PointAtInfinity"),
        (6, [1, 3], "NotOnCurve"),
    ],
)
def test_rejects_a_malformed_proof(listed: World, start: int, values: list[int], error: str) -> None:
    asked = request(listed)
    words = int_words(asked.proof)
    words[start : start + len(values)] = values
    with rejects(error):
        replace(asked, proof=to_bytes(words)).send(listed)


def test_rejects_bytes_behind_the_request(listed: World) -> None:
    for key in (X25519_KEY, HYBRID_KEY):
        call = request(listed, key=key).call(listed)
        for extra in (b"\0", bytes(32)):
            with pytest.raises(RpcError) as caught:
                send_raw_calldata(listed.chain, call, extra, listed.grantee)
            assert (caught.value.data or b"")[:4] == _core.keccak256(b"TrailingBytes(uint256,uint256)")[:4]
        send_raw_calldata(listed.chain, call, b"", listed.grantee)


def test_rejects_a_proof_under_another_key(listed: World) -> None:
    public = listed.public_inputs(1, 3, 600, listed.market.vault.deposits()[-1].root)
    forged = toy.prove_eligibility(public, toy.eligibility_keys("another statement"))
    with rejects("InvalidProof"):
        replace(request(listed), proof=forged).send(listed)


def test_a_starved_request_reverts_and_never_says_invalid(listed: World) -> None:
    call = request(listed).call(listed)
    outcomes: set[object] = set()
    for gas in range(40_000, 460_000, 8_000):
        try:
            outcomes.add(call_with_gas(listed.chain, call, gas, listed.grantee))
        except RpcError as error:
            outcomes.add((error.data or b"")[:4])
    assert INVALID_PROOF not in outcomes
    assert None in outcomes  # the call returns nothing when it succeeds
    assert len(outcomes) > 1


def test_a_running_grant_of_one_tier_makes_no_extension_of_another(listed: World) -> None:
    """Else a cheap grant would open a second way to a dear one with the same balance in the same epoch."""
    request(listed, tier=1).send(listed)
    upgrade = request(listed, tier=5)
    with rejects("NullifierSpent"):
        upgrade.send(listed)
    scope = listed.market.eligibility_terms(1, listed.grantee.address, 1, 1, X25519_KEY).scope
    wrong = nullifier_of(listed.secret, scope)

    def as_extension(public: list[int]) -> list[int]:
        return [public[0], scope, wrong, *public[3:]]

    with rejects("InvalidProof"):
        replace(request(listed, tier=5, change=as_extension), nullifier=wrong).send(listed)


def test_a_grant_ends_in_the_second_it_says(listed: World) -> None:
    granted = request(listed).send(listed)
    for offset, expected in ((-1, True), (0, False), (1, False)):
        at_time(listed, granted.expiry + offset)
        assert listed.market.has_access(1, listed.grantee.address, 3) is expected
    kept = listed.market.grant(1, listed.grantee.address, 3)
    assert kept.expiry == granted.expiry


def test_terms_and_access_are_told_for_any_tier(listed: World) -> None:
    market, grantee = listed.market, listed.grantee.address
    thresholds = [market.eligibility_terms(1, grantee, tier, 1, X25519_KEY).threshold for tier in (*range(7), 255)]
    assert thresholds == [*THRESHOLDS, 0, 0]
    with rejects("NoSuchDataset", 2):
        market.eligibility_terms(2, grantee, 1, 1, X25519_KEY)
    assert not any(market.has_access(1, grantee, tier) for tier in (1, 5, 6, 255))
    assert market.has_access(1, grantee, 0)
