"""Gas of listing a dataset and of taking a grant, on anvil with real proofs.

    .venv/bin/python benches/market_gas.py

The gas of both does not depend on the statements' size: the verifier sees public inputs alone. So toy statements with
the public inputs of the real ones are proven. `without precompiles` leaves out what the calls of the curve precompiles
(6, 7 and 8) cost, as a trace of the transaction says: no verifier can do with less of those than the proof asks for.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from _measure import Figure, options, show

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the toy world is the contract tests'

from tests.contracts import toy  # noqa: E402
from tests.contracts.world import X25519_KEY, World, build  # noqa: E402
from tests.support.anvil import AnvilProcess  # noqa: E402

from fedproof.ledger import Chain  # noqa: E402
from fedproof.ledger.market_types import UNIT  # noqa: E402

MOST_MINT = 245_000
MOST_ACCESS = 330_000
PRICES = (0, *(10**6 * UNIT + k * UNIT for k in range(1, 6)))
THRESHOLDS = (0, *(10**7 * UNIT + k * UNIT for k in range(1, 6)))
_CALLS = ("CALL", "STATICCALL", "DELEGATECALL", "CALLCODE")


def precompile_gas(chain: Chain, tx_hash: str) -> int:
    """What a transaction spent on calls of the precompiles 6, 7 and 8, from its trace."""
    trace = chain.rpc.request("debug_traceTransaction", tx_hash, {"disableStorage": True})
    steps: list[dict[str, Any]] = trace["structLogs"]
    total = 0
    for step, following in pairwise(steps):
        if step["op"] in _CALLS and int(step["stack"][-2], 16) in (6, 7, 8):
            # a precompile has no steps of its own: the next one is the caller's, after the call
            total += step["gas"] - following["gas"]
    return total


def grant(world: World, dataset_id: int, secret: int, *, extend: bool = False) -> int:
    """Gas of a first grant of tier 3 with an X25519 key, or of its extension."""
    world.secret = secret
    root = world.lock(2 * 10**7 * UNIT, secret)
    for _ in range(1 + extend):
        public = world.public_inputs(dataset_id, 3, 600, root)
        price = world.market.dataset(dataset_id).prices[3]
        call = world.market.access_dataset_call(
            dataset_id, 3, 600, X25519_KEY, root, public[2], toy.prove_eligibility(public), price
        )
        receipt = world.chain.transact(call, world.grantee)
    return receipt.gas_used


def mint(world: World, prices: tuple[int, ...], seed: int) -> tuple[int, int]:
    """Gas of a listing with everything set, and of its precompiles."""
    files, card = (bytes(32), *(bytes([k]) * 32 for k in range(1, 6))), b"\x07" * 32
    terms = world.terms(thresholds=THRESHOLDS, prices=prices, card=card, sealed_files=files)
    commitment, proof = world.prove_listing(world.provider, terms, seed=seed)
    receipt = world.chain.transact(world.market.mint_dataset_call(terms, commitment, 40, proof), world.provider)
    return receipt.gas_used, precompile_gas(world.chain, receipt.tx_hash)


def main() -> None:
    """Measure."""
    chosen = options("gas of listings and grants", repeat=3)
    listing = Figure("mintDataset, all prices set", "gas")
    first = Figure("mintDataset, without precompiles, a provider's first", "gas")
    bare = Figure("mintDataset, without precompiles", "gas", at_most=MOST_MINT)
    free = Figure("accessDataset, X25519 key, free tier", "gas", at_most=MOST_ACCESS)
    paid = Figure("accessDataset, X25519 key, with a price", "gas")
    longer = Figure("accessDataset, extension of a free grant", "gas")
    with AnvilProcess("--steps-tracing") as anvil, Chain.connect(anvil.url) as chain:
        world = build(chain)
        world.give(world.grantee, 10**9 * UNIT, allow=world.market.registry.address)
        mint(world, PRICES, 98)
        world.provider = chain.new_account("another provider")
        whole, curve = mint(world, PRICES, 99)  # the first token opens a slot for its holder's balance
        first.samples.append(whole - curve)
        for k in range(chosen.repeat):
            whole, curve = mint(world, PRICES, 2 * k + 1)
            listing.samples.append(whole)
            bare.samples.append(whole - curve)
            dataset = world.market.datasets()
            paid.samples.append(grant(world, dataset, 1000 + 3 * k))
            mint(world, (0,) * 6, 2 * k + 2)
            free.samples.append(grant(world, dataset + 1, 1001 + 3 * k))
            mint(world, (0,) * 6, 2 * k + 2)
            longer.samples.append(grant(world, dataset + 2, 1002 + 3 * k, extend=True))
    show([listing, bare, first, free, paid, longer], chosen.json)


if __name__ == "__main__":
    main()
