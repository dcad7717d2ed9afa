"""Everything that reads bytes of others gives a value or a typed refusal, and soon."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from fuzz.core import SEEDS, kept
from fuzz.harness import MAX_BYTES, Harness
from fuzz.mutate import mutate
from fuzz.run import harnesses

HARNESSES = harnesses()
CHANGES = int(os.environ.get("FEDPROOF_FUZZ_CHANGES", "400"))
SECONDS = int(os.environ.get("FEDPROOF_FUZZ_SECONDS", "60"))
SLOW = 5.0
"""Seconds that no input may take, on a loaded machine."""

# how often a card or a system answers says nothing: their readers report instead of raising
REPORTING = {"card", "core-arrays", "core-system"}


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=list(HARNESSES))
def test_every_seed_is_valid(harness: Harness) -> None:
    """A seed that is refused starts nowhere: after a change of format, `python -m fuzz.corpus` writes new ones."""
    assert harness.seeds()
    for seed in harness.seeds():
        assert len(seed) <= MAX_BYTES
        assert harness(seed)


@pytest.mark.parametrize("harness", HARNESSES.values(), ids=list(HARNESSES))
def test_changed_seeds_are_read_or_refused(harness: Harness) -> None:
    seeds = harness.seeds()
    refused = 0
    for number in range(CHANGES):
        draw = random.Random(f"{harness.name} {number}")
        data = mutate(draw.choice(seeds), draw, seeds)[:MAX_BYTES]
        start = time.monotonic()
        try:
            refused += not harness(data)
        except Exception as error:  # noqa: BLE001  # that is what is looked for
            pytest.fail(f"{harness.name} raised {type(error).__name__}: {error} for {data.hex()}")
        assert time.monotonic() - start < SLOW, data.hex()
    assert refused > CHANGES // 10 or harness.name in REPORTING


@pytest.mark.parametrize("name", SEEDS)
def test_what_was_found_to_reach_the_core_is_read_or_refused(name: str) -> None:
    """The inputs that coverage of the core led to, by the same readers; `fuzz/rust` need not be built for that."""
    inputs = kept(name)
    assert len(inputs) > 10
    for each in SEEDS[name]:
        for data in inputs.values():
            start = time.monotonic()
            HARNESSES[each](data)
            assert time.monotonic() - start < SLOW, data.hex()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this platform")
def test_coverage_finds_nothing_new() -> None:
    """All harnesses in one process, for as long as a run of the tests may take; see fuzz/README.md for a release."""
    command = [sys.executable, "-m", "fuzz.run", "--together", "--seconds", str(SECONDS)]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=SECONDS + 300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(done.stdout.split()[-2]) > 1000
