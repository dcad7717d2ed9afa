"""What a listing costs for each data value, and listing a large dataset in blocks through the provider's node.

    .venv/bin/python benches/listing.py --rows 1000000

A value is a feature of a row of the capacity class; the law is that of `fedproof.statements.listing`. Sealing (see
`prepare.py`) and the store's disk are part of the blocks' time, as a provider meets them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _measure import Figure, show

from fedproof.app.home import Home
from fedproof.app.telling import Silent
from fedproof.data import Schema
from fedproof.learning.fixed import Int
from fedproof.nodes.offering import Block, Offering
from fedproof.nodes.params import ListingKit
from fedproof.nodes.provider import Provider
from fedproof.nodes.state import StateFile
from fedproof.proving.transcript import Challenges
from fedproof.statements.listing import ListingStatement

CLASSES = ((256, 31), (1024, 50), (4096, 50))
TOKEN = 10**18


class Rows:
    """Random rows in blocks, the same at every pass; one block is in memory at a time."""

    def __init__(self, rows: int, class_rows: int, features: int) -> None:
        self.rows, self.class_rows, self.features = rows, class_rows, features

    def __len__(self) -> int:
        """Number of blocks."""
        return -(-self.rows // self.class_rows)

    def __iter__(self) -> Iterator[Block]:
        """Block by block."""
        for number in range(len(self)):
            rng = np.random.default_rng(number)
            count = min(self.class_rows, self.rows - number * self.class_rows)
            features: Int = rng.integers(-2048, 2048, (count, self.features))
            yield features, rng.integers(0, 2, count)


def provider(home: Home, folder: Path, rows: int, columns: int) -> Provider:
    """A provider's node of a class."""
    class_id = home.class_of(rows, columns)
    srs, keys = home.class_keys(class_id)
    kit = ListingKit(home.market, home.store, srs, keys, class_id, rows, columns)
    return Provider(kit, home.account("bench"), StateFile(folder, "provider"))


def offering(blocks: Rows) -> Offering:
    """With records in Tier 3 and nothing else."""
    names = tuple(f"c{k:02d}" for k in range(blocks.features))
    ones = (1.0,) * blocks.features
    schema = Schema("bench", names, (0.0,) * blocks.features, ones, ("no", "yes"), blocks.class_rows, ())
    return Offering(schema, (0, 0, 0, TOKEN, 0, 0), blocks)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="the listing proof, and listing in blocks")
    parser.add_argument("--rows", type=int, default=100_000, help="of the dataset in blocks (default 100,000)")
    parser.add_argument("--repeat", type=int, default=5, help="proofs of each class (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as base:
        Home.create(Path(base) / "home", Silent())
        with Home.open(Path(base) / "home", Silent()) as home:
            for rows, columns in CLASSES:
                node = provider(home, Path(base) / f"one-{rows}", rows, columns)
                values, circuit = rows * (columns - 1), node.kit.keys.circuit.r1cs
                name = f"{rows} x {columns}"
                proofs = Figure(f"listing proof {name}", "s")
                block = next(iter(Rows(rows, rows, columns - 1)))
                for number in range(chosen.repeat + 1):
                    started = time.perf_counter()
                    node._prove(block, blinding(), challenges)
                    if number:
                        proofs.samples.append(time.perf_counter() - started)
                per_value = [1e9 * sample / values for sample in proofs.samples]
                figures += [
                    proofs,
                    Figure(f"  for each value {name}", "ns", per_value),
                    Figure(f"  constraints {name}", "", [circuit.num_constraints]),
                    Figure(f"  constraints by the law {name}", "", [ListingStatement(rows, columns).cost()]),
                    Figure(f"  constraints for 1,000 values {name}", "", [1000 * circuit.num_constraints / values]),
                ]
            rows, columns = CLASSES[-1]
            blocks = Rows(chosen.rows, rows, columns - 1)
            node = provider(home, Path(base) / "many", rows, columns)
            started = time.perf_counter()
            listed = node.list_dataset(offering(blocks)).minted
            whole = time.perf_counter() - started
            gas = [home.chain.receipt(b.tx_hash).gas_used for b in home.market.blocks(listed.dataset_id, 1)]
            figures += [
                Figure(f"listing {chosen.rows:,} x {columns - 1} in {len(blocks)} blocks", "s", [whole]),
                Figure("  for each block", "s", [whole / len(blocks)]),
                Figure("  gas of a further block", "", [float(each) for each in gas] or [0.0]),
                Figure("  peak memory", "MiB", [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]),
            ]
            assert home.market.dataset(listed.dataset_id).blocks == len(blocks)
    show(figures, chosen.json)


def blinding() -> object:
    """Fresh blinding of a commitment."""
    from fedproof import _core
    from fedproof.statements.layout import DATASET_BLINDING

    return _core.fr_random(DATASET_BLINDING)


def challenges(point: bytes) -> Challenges:
    """Challenges that depend on D; their values do not change what a proof costs."""
    from fedproof import _core

    seed = int.from_bytes(_core.keccak256(point), "big") % _core.MODULUS
    return Challenges(seed, (seed * seed) % _core.MODULUS)


if __name__ == "__main__":
    main()
