"""Sealing and opening one large file of a tier, beside the same work done plainly; and the memory that it takes.

Plainly: AES-256-GCM over chunks of 1 MiB, SHA-256 of the ciphertext, one file written and synced. Both take turns, so
that a disk which slows down meets both.

.venv/bin/python benches/sealing.py --mib 1024
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from _measure import Figure, show
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedproof.sealing import TierKey
from fedproof.storage import BlobStore
from fedproof.storage.bundle import open_tier, seal_tier

CHUNK = 1 << 20
TAG = 16
CONTEXT = b"benchmark"


def plain_seal(source: Path, out: Path, cipher: AESGCM) -> str:
    """Encrypt chunk by chunk, hash what is written, sync."""
    digest = sha256()
    with source.open("rb") as plain, out.open("wb") as sealed:
        index = 0
        while chunk := plain.read(CHUNK):
            piece = cipher.encrypt(index.to_bytes(12, "big"), chunk, None)
            digest.update(piece)
            sealed.write(piece)
            index += 1
        sealed.flush()
        os.fsync(sealed.fileno())
    return digest.hexdigest()


def plain_open(sealed_file: Path, out: Path, cipher: AESGCM) -> str:
    """Hash and decrypt chunk by chunk, sync."""
    digest = sha256()
    with sealed_file.open("rb") as sealed, out.open("wb") as plain:
        index = 0
        while piece := sealed.read(CHUNK + TAG):
            digest.update(piece)
            plain.write(cipher.decrypt(index.to_bytes(12, "big"), piece, None))
            index += 1
        plain.flush()
        os.fsync(plain.fileno())
    return digest.hexdigest()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="sealing and opening a large file")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file (default 1024)")
    parser.add_argument("--repeat", type=int, default=3, help="samples of each figure (default 3)")
    parser.add_argument("--folder", type=Path, help="where to work (default: the system's folder for such files)")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    names = ("plain: seal", "seal_tier", "plain: open", "open_tier")
    figures = {name: Figure(f"{name}, {chosen.mib} MiB", "s") for name in names}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        folder = Path(scratch)
        source = folder / "records.bin"
        with source.open("wb") as file:
            for _ in range(chosen.mib):
                file.write(os.urandom(CHUNK))
        for k in range(chosen.repeat + 1):
            seconds = once(folder, source, bool(k % 2))
            if k:  # the first run warms up
                for name, value in zip(names, seconds, strict=True):
                    figures[name].samples.append(value)
    ratios = [
        Figure(f"{what}: times the plain way, percent", "", [100 * ours / plain], at_most=150)
        for what, ours, plain in (
            ("sealing", figures["seal_tier"].median, figures["plain: seal"].median),
            ("opening", figures["open_tier"].median, figures["plain: open"].median),
        )
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show([*figures.values(), *ratios, Figure("peak resident memory", "MiB", [peak])], chosen.json)


def once(folder: Path, source: Path, ours_first: bool) -> tuple[float, float, float, float]:
    """Seconds of: plain sealing, ours, plain opening, ours."""
    work = folder / "work"
    work.mkdir()
    cipher, key = AESGCM(bytes(32)), TierKey.generate()
    store = BlobStore.open(work / "store")
    index: list[str] = []
    pairs: tuple[tuple[Callable[[], object], Callable[[], object]], ...] = (
        (
            lambda: plain_seal(source, work / "sealed", cipher),
            lambda: index.append(seal_tier(store, key.down_to(4), CONTEXT, [source])),
        ),
        (
            lambda: plain_open(work / "sealed", work / "opened", cipher),
            lambda: open_tier(store, key, CONTEXT, index[0], work / "out"),
        ),
    )
    out: list[float] = []
    for pair in pairs:
        seconds = {}
        for k in (1, 0) if ours_first else (0, 1):
            started = time.perf_counter()
            pair[k]()
            seconds[k] = time.perf_counter() - started
        out += (seconds[0], seconds[1])
    assert (work / "out" / source.name).stat().st_size == source.stat().st_size
    shutil.rmtree(work)
    os.sync()
    return out[0], out[1], out[2], out[3]


if __name__ == "__main__":
    main()
