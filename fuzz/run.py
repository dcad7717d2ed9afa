"""Run harnesses with coverage feedback: `python -m fuzz.run NAME ... [--seconds N | --runs N]`; all without a name.

Each harness is a process of its own, for libFuzzer ends its process. With `--together` all of them share one: the first
byte of an input names its harness. What is found is kept in `fuzz/findings/`.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz.harness import CORPUS, MAX_BYTES, Harness

TIMEOUT, MEMORY_MIB = 10, 4096
"""Seconds that one input may take, and memory of the whole process."""
FINDINGS = CORPUS.parent / "findings"


def harnesses() -> dict[str, Harness]:
    """All of them by name."""
    from fuzz import decoders, files, native

    return {each.name: each for each in (*decoders.HARNESSES, *files.HARNESSES, *native.HARNESSES)}


def fuzz(names: list[str], options: list[str]) -> None:
    """Fuzz harnesses in this process; never returns."""
    import atheris

    with atheris.instrument_imports(include=["fedproof"], enable_loader_override=False):
        known = harnesses()
    from fuzz.mutate import mutate

    chosen = [known[name] for name in names]
    seeds = [harness.seeds() for harness in chosen]
    head = _head(names)

    def change(data: bytes, limit: int, seed: int) -> bytes:
        draw = random.Random(seed)  # noqa: S311  # the fuzzer's own
        place = data[0] % len(chosen) if head and data else 0
        if head and draw.random() < 0.1:  # another one's turn, from a seed
            place = draw.randrange(len(chosen))
            data = bytes([place]) + draw.choice(seeds[place])
        body = data[head:]
        changed = mutate(body, draw, seeds[place]) if draw.random() < 0.6 else atheris.Mutate(body, len(body) + 8)
        return (bytes([place])[:head] + bytes(changed))[:limit]

    def test(data: bytes) -> None:
        chosen[data[0] % len(chosen) if head and data else 0](data[head:])

    atheris.Setup([sys.argv[0], *options], test, custom_mutator=change)
    atheris.Fuzz()


def _head(names: list[str]) -> int:
    """How many bytes say whose input it is."""
    return int(len(names) > 1)


def _corpus(names: list[str], folder: Path) -> None:
    """The seeds of these harnesses, as one process takes them."""
    known = harnesses()
    for place, name in enumerate(names):
        for number, data in enumerate(known[name].seeds()):
            (folder / f"{name}-{number}").write_bytes(bytes([place])[: _head(names)] + data)


def _run(names: list[str], given: argparse.Namespace) -> bool:
    """One process; whether it found nothing."""
    FINDINGS.mkdir(exist_ok=True)
    title = names[0] if len(names) == 1 else "together"
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:  # what coverage adds is not kept
        _corpus(names, Path(folder))
        options = [
            f"-max_len={MAX_BYTES}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY_MIB}", f"-seed={given.seed}",
            f"-artifact_prefix={FINDINGS}/{title}-", "-verbosity=0", "-print_final_stats=1",
            *([f"-max_total_time={given.seconds}"] if given.seconds else []),
            *([f"-runs={given.runs}"] if given.runs else []), folder,
        ]  # fmt: skip
        environment = os.environ | {"FUZZ_OPTIONS": "\n".join(options)}
        command = [sys.executable, "-m", "fuzz.run", "--one", *names]
        done = subprocess.run(  # noqa: S603  # this very program
            command, env=environment, cwd=CORPUS.parent.parent, capture_output=True, text=True, check=False
        )
    runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
    print(f"{title}: {'nothing' if done.returncode == 0 else 'FOUND SOMETHING'} after {runs} inputs", flush=True)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:], sep="\n", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run the harnesses that are named, one process after another; 1 where one found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seconds", type=int, default=0, help="for each process")
    parser.add_argument("--runs", type=int, default=0, help="inputs for each process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", action="store_true", help="all in one process")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        fuzz(given.names, os.environ["FUZZ_OPTIONS"].split("\n"))
    names = given.names or list(harnesses())
    quiet = [_run(each, given) for each in ([names] if given.together else [[name] for name in names])]
    return 0 if all(quiet) else 1


if __name__ == "__main__":
    sys.exit(main())
