"""Fuzz the core with coverage of its own: `python -m fuzz.core [NAME ...] [--seconds N]`; all harnesses without a name.

Builds `fuzz/rust`, which is libFuzzer over the readers of `src/fuzzing.rs`, with the toolchain that is there: sanitizer
coverage is a pass of any rustc. Dependencies are instrumented too, so that the first build takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from fuzz.harness import CORPUS, MAX_BYTES
from fuzz.run import FINDINGS, TIMEOUT

ROOT = CORPUS.parent.parent
CRATE = ROOT / "fuzz" / "rust"
SEEDS = {
    "field": ["core-field-bytes"],
    "points": ["core-point"],
    "precompiles": ["core-points"],
    "powers": ["core-powers"],
    "phase-one": ["core-phase-one"],
    "phase-two": ["core-phase-two"],
    "system": ["core-r1cs"],
    "rows": ["core-system"],
    "key": ["core-proving-key-unchecked", "core-proving-key-chunks"],
    "key-made": ["core-r1cs"],
    "proof": ["core-verify"],
    "sums": ["core-arrays"],
}
"""Harnesses of `src/fuzzing.rs`, and those of Python that give the same bytes to the same readers."""
MEMORY_MIB = 2048
"""Of the whole process; what one input may take is in `fuzz/rust/src/main.rs`."""
_COVERAGE = ("level=4", "inline-8bit-counters", "pc-table", "trace-compares")
FLAGS = [
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    *(f"-Cllvm-args=-sanitizer-coverage-{option}" for option in _COVERAGE),
    "-Ccodegen-units=1",
]


def kept(name: str) -> dict[str, bytes]:
    """The inputs of a harness that are kept: one for each piece of code that a run of it came to."""
    with zipfile.ZipFile(CRATE / "corpus" / f"{name}.zip") as file:
        return {each: file.read(each) for each in file.namelist()}


def seeds(name: str) -> dict[str, bytes]:
    """What a harness starts from: what is kept, and the valid inputs of the repository."""
    folders = [CORPUS / folder for folder in SEEDS[name] if (CORPUS / folder).is_dir()]
    valid = {f"{path.parent.name}-{path.name}": path.read_bytes() for folder in folders for path in folder.iterdir()}
    return kept(name) | valid


def build() -> Path:
    """The binary of all harnesses."""
    target = ROOT / "target" / "fuzz"  # of this checkout alone: the core's library has one name for all of them
    host = next(
        line.removeprefix("host: ")
        for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines()  # noqa: S607
        if line.startswith("host: ")
    )
    # with a target named, scripts and macros that run while it is built are not instrumented
    command = ["cargo", "build", "--release", "--locked", "--target", host]
    environment = os.environ | {
        "RUSTFLAGS": " ".join(FLAGS),
        "CARGO_TARGET_DIR": str(target),
        "PYO3_PYTHON": sys.executable,
    }
    subprocess.run(command, cwd=CRATE, env=environment, check=True)  # noqa: S603
    return target / host / "release" / "fedproof-fuzz-core"


def fuzz(binary: Path, name: str, seconds: int, seed: int, keep: Path | None) -> bool:
    """One process; whether it found nothing. With `keep`, a corpus goes on growing there."""
    FINDINGS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="corpus-") as folder:
        corpus = Path(folder) if keep is None else keep / name
        corpus.mkdir(parents=True, exist_ok=True)
        for each, data in seeds(name).items():
            (corpus / each).write_bytes(data)
        options = [
            f"-max_len={MAX_BYTES}", f"-timeout={TIMEOUT}", f"-rss_limit_mb={MEMORY_MIB}", f"-seed={seed}",
            f"-max_total_time={seconds}", "-len_control=0", "-use_value_profile=1", "-print_final_stats=1",
            f"-artifact_prefix={FINDINGS}/core-{name}-",
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603
            [binary, *options, corpus], env=os.environ | {"HARNESS": name}, capture_output=True, text=True, check=False
        )
    runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
    print(f"core {name}: {'nothing' if done.returncode == 0 else 'FOUND SOMETHING'} after {runs} inputs", flush=True)
    if done.returncode:
        print(done.stderr[-3000:], flush=True)
    return done.returncode == 0


def main() -> int:
    """Run the harnesses that are named, one process after another; 1 where one found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SEEDS, []], metavar="NAME")
    parser.add_argument("--seconds", type=int, default=600, help="for all of them together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder of corpora that grow from run to run")
    given = parser.parse_args()
    binary, names = build(), given.names or list(SEEDS)
    each = max(1, given.seconds // len(names))
    quiet = [fuzz(binary, name, each, given.seed, given.keep) for name in names]
    return 0 if all(quiet) else 1


if __name__ == "__main__":
    sys.exit(main())
