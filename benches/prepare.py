"""Drafting the schema of 1,000,000 rows of 50 columns, CSV and Parquet, preparing them with a public file for the
scales, then sealing and opening tier 4: seconds and memory.

Each step is a process of its own, so that its peak is its own.

.venv/bin/python benches/prepare.py --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from _measure import Figure, show

STEP = """
import json, resource, sys, time
from pathlib import Path
step, folder, source = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
started = time.perf_counter()
if step in ("draft", "prepare"):
    from fedproof.app.prepare import Drafted, Options, Prepared, prepare
    from fedproof.app.telling import Silent
    made = prepare(Options(source, folder / "out", public=source.with_name("public.csv")), Silent())
    assert isinstance(made, Drafted if step == "draft" else Prepared)
else:
    from fedproof.app.prepared import Prepared
    from fedproof.sealing import TierKey
    from fedproof.storage import BlobStore
    from fedproof.storage.bundle import open_tier, seal_tier
    store, key = BlobStore.open(folder / "store"), TierKey(5, bytes(32))
    if step == "seal":
        index = seal_tier(store, key.down_to(4), b"bench", Prepared.load(folder / "out").tier_files(4))
        (folder / "index").write_text(index)
    elif step == "open":
        open_tier(store, key, b"bench", (folder / "index").read_text(), folder / "opened")
    else:
        assert sum(len(labels) for _, labels in Prepared.load(folder / "out").blocks())
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
STEPS = ("draft", "prepare", "blocks", "seal", "open")
GROUP = 50_000


def write_sources(folder: Path, rows: int, columns: int) -> list[Path]:
    """The same table as CSV and as Parquet, made in pieces."""
    rng = np.random.default_rng(7)
    names = [f"c{k:02d}" for k in range(columns - 2)]
    schema = pa.schema([("patient_id", pa.string()), *((name, pa.float64()) for name in names), ("label", pa.int64())])
    paths = [folder / "table.csv", folder / "table.parquet"]
    with pc.CSVWriter(paths[0], schema) as text, pq.ParquetWriter(paths[1], schema) as binary:
        for start in range(0, rows, GROUP):
            count = min(GROUP, rows - start)
            features = np.round(rng.normal(size=(len(names), count)), 6)
            people = [f"P{start + k:08d}" for k in range(count)]
            table = pa.table([people, *features, (features[0] + rng.normal(size=count) > 0).astype(np.int64)], schema)
            text.write(table)
            binary.write(table)
            if not start:
                pc.write_csv(table.slice(0, 1000), folder / "public.csv")
    return paths


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="preparing, sealing and opening a large table")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50, help="identifier and label included (default 50)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        for source in write_sources(Path(scratch), chosen.rows, chosen.columns):
            folder = Path(scratch) / source.suffix[1:]
            folder.mkdir()
            for step in STEPS:
                command = [sys.executable, "-c", STEP, step, str(folder), str(source)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                seconds, busy, peak = json.loads(done.stdout)
                name = f"{step}, {chosen.rows:,} x {chosen.columns}, {source.suffix[1:]}"
                figures += [
                    Figure(name, "s", [seconds]),
                    Figure(f"{name}: processor", "s", [busy]),
                    Figure(f"{name}: peak", "MiB", [peak], at_most=2048),
                ]
                print(f"{name}: {seconds:.1f} s, {peak:.0f} MiB", file=sys.stderr)
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
