"""The marketplace that the contract tests share, with honest ways to use it."""

from __future__ import annotations

from dataclasses import dataclass

from eth_typing import ChecksumAddress
from web3.contract import Contract

from fedproof.ledger import Account, Chain
from fedproof.ledger.market_types import UNIT, DatasetMinted, Terms
from fedproof.ledger.marketplace import Marketplace
from fedproof.proving.keys import VerifyingKey
from fedproof.proving.linked import LinkedProof
from fedproof.statements.notes import LeanImt, nullifier_of, owner_of
from tests.contracts import toy
from tests.contracts.support import load_test_artifact

ROWS, COLUMNS = 64, 3
EPOCH_LENGTH = 3600
MAX_DURATION = 7200
THRESHOLDS = (0, 100 * UNIT, 200 * UNIT, 300 * UNIT, 0, 500 * UNIT)
X25519_KEY = bytes(range(32))


@dataclass
class World:
    """A marketplace with one capacity class, a provider and a grantee who has locked a balance."""

    chain: Chain
    market: Marketplace
    harness: Contract
    owner: Account
    provider: Account
    grantee: Account
    stranger: Account
    class_id: int
    secret: int = 77

    def terms(self, **changes: object) -> Terms:
        given = {"class_id": self.class_id, "schema": b"\x05" * 32, "thresholds": THRESHOLDS}
        return Terms(**{**given, **changes})  # type: ignore[arg-type]

    def prove_listing(self, minter: Account, terms: Terms, rows: int = 40, seed: int = 1) -> tuple[bytes, LinkedProof]:
        """A commitment and an honest listing proof for it."""
        values = toy.vector(seed)
        commitment = toy.srs().commit(values)
        circuit_id = toy.listing_keys().circuit.circuit_id
        proof = toy.prove_listing(
            rows,
            values,
            lambda d: self.market.listing_challenges(minter.address, terms, commitment, rows, circuit_id, d),
        )
        return commitment, proof

    def mint(self, terms: Terms | None = None) -> DatasetMinted:
        terms = terms or self.terms()
        commitment, proof = self.prove_listing(self.provider, terms)
        return self.market.mint_dataset(self.provider, terms, commitment, 40, proof)

    def update(
        self, terms: Terms | None = None, seed: int = 2, sender: Account | None = None, dataset_id: int = 1
    ) -> DatasetMinted:
        """An honest next version, by default of other values under the same terms."""
        terms, sender = terms or self.terms(), sender or self.provider
        commitment, proof = self.prove_listing(sender, terms, seed=seed)
        return self.market.update_dataset(sender, dataset_id, terms, commitment, 40, proof)

    def prove_block(
        self, minter: Account, place: tuple[int, int, int], rows: int = 40, seed: int = 9
    ) -> tuple[bytes, LinkedProof]:
        """A commitment and an honest proof for block `place`: dataset, version, number."""
        values = toy.vector(seed)
        commitment = toy.srs().commit(values)
        circuit_id = toy.listing_keys().circuit.circuit_id
        return commitment, toy.prove_listing(
            rows,
            values,
            lambda d: self.market.block_challenges(minter.address, place, commitment, rows, circuit_id, d),
        )

    def give(self, account: Account, amount: int, allow: str | None = None) -> None:
        """Tokens of the owner; with `allow` the account lets a contract take as many."""
        self.chain.transact(self.market.token.functions.transfer(account.address, amount), self.owner)
        if allow is not None:
            self.chain.transact(self.market.token.functions.approve(allow, amount), account)

    def balance(self, account: Account | str) -> int:
        address = account if isinstance(account, str) else account.address
        return int(self.chain.call(self.market.token.functions.balanceOf(address)))

    def lock(self, amount: int = 500 * UNIT, secret: int | None = None, epochs: int = 5) -> int:
        """Locks tokens of the owner and returns the new root."""
        owner = owner_of(self.secret if secret is None else secret)
        return self.market.vault.deposit(self.owner, amount, owner, self.market.vault.current_epoch() + epochs).root

    def public_inputs(
        self,
        dataset_id: int,
        tier: int,
        duration: int,
        root: int,
        grantee: Account | str | None = None,
        key: bytes = X25519_KEY,
    ) -> list[int]:
        """What an honest eligibility proof is about."""
        grantee = grantee or self.grantee
        address = grantee if isinstance(grantee, str) else grantee.address
        t = self.market.eligibility_terms(dataset_id, address, tier, duration, key)
        return [root, t.scope, nullifier_of(self.secret, t.scope), t.threshold, t.signal, t.epoch]

    def tree(self) -> LeanImt:
        return LeanImt(self.market.vault.leaves())

    def deploy_blob(self, blob: bytes) -> ChecksumAddress:
        return self.chain.deploy_data(blob, self.owner)

    def deploy_key(self, key: VerifyingKey) -> ChecksumAddress:
        return self.deploy_blob(key.encode())


def build(chain: Chain) -> World:
    """Deploys a marketplace with one capacity class of toy keys."""
    owner, provider, grantee, stranger = (chain.new_account(n) for n in ("owner", "provider", "grantee", "stranger"))
    # Early in an epoch, so that none ends by itself while the tests run.
    chain.dev.set_next_timestamp((chain.timestamp() // EPOCH_LENGTH + 1) * EPOCH_LENGTH + 1)
    market = Marketplace.deploy(
        chain,
        owner,
        spend_key=toy.spend_keys().verifying,
        epoch_length=EPOCH_LENGTH,
        max_duration=MAX_DURATION,
        allow_development_keys=True,
    )
    harness = chain.deploy(load_test_artifact("ProofHarness"), sender=owner)
    class_id = market.register_class(
        owner, ROWS, COLUMNS, toy.listing_keys().verifying, toy.eligibility_keys().verifying
    )
    return World(chain, market, harness, owner, provider, grantee, stranger, class_id)
