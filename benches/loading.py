"""Loading the proving key of a domain of 2^18 from a file, with its digest checked.

    .venv/bin/python benches/loading.py

Once from a mapped file, hashed in place and copied once, and once as the keyring loads it, in pieces
(docs/decisions/0026). The file is in the system's cache, as it is for a node that starts again.
"""

from __future__ import annotations

import hashlib
import mmap
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _measure import Figure, options, show

from fedproof import _core
from fedproof.app.keyfile import encode_key_file, read_key_file

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import chain

IDENTITY = bytes(32)
POWER = 18


def mapped(path: Path, digest: bytes, skipped: int) -> _core.ProvingKey:
    """The key behind so many bytes of a file with this digest."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole,
        memoryview(whole) as view,
        view[skipped:] as part,
    ):
        if hashlib.sha256(view).digest() != digest:
            raise SystemExit("the file is damaged")
        return _core.ProvingKey.from_bytes(part)


def loaded(path: Path) -> _core.ProvingKey:
    """The key, as the keyring loads it."""
    with path.open("rb") as file:
        return read_key_file(file, IDENTITY, _core.ProvingKey.from_chunks, 1)[0]


def figures(name: str, call: Callable[[], object], repeat: int) -> list[Figure]:
    """Seconds and processor seconds of a call, after one that is not counted."""
    call()
    seconds = Figure(f"{name}", "s", at_most=0.2)
    processor = Figure(f"{name}, processor", "s")
    for _ in range(repeat):
        started, used = time.perf_counter(), time.process_time()
        call()
        seconds.samples.append(time.perf_counter() - started)
        processor.samples.append(time.process_time() - used)
    return [seconds, processor]


def main() -> None:
    """Measure."""
    chosen = options(f"loading a proving key of 2^{POWER}", repeat=7)
    r1cs, _ = chain.matrices(chain.lengths(POWER))
    key = _core.ProvingKey.setup(r1cs).to_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys"
        path.write_bytes(encode_key_file(IDENTITY, [key]))
        whole = path.read_bytes()
        digest, skipped = hashlib.sha256(whole).digest(), len(whole) - len(key)
        del whole
        found = [
            Figure("key file, MB", "", [path.stat().st_size / 1e6]),
            *figures("mapped file", lambda: mapped(path, digest, skipped), chosen.repeat),
            *figures("as the keyring", lambda: loaded(path), chosen.repeat),
        ]
    show(found, chosen.json)


if __name__ == "__main__":
    main()
