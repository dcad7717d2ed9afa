"""How long work says where it is: the application layer tells, the command line decides how it looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Teller(Protocol):
    """Receives progress, a line each."""

    def step(self, text: str) -> None:
        """Something is done."""

    def doing(self, text: str) -> None:
        """Something that may take seconds begins."""


class Silent:
    """Tells nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def doing(self, text: str) -> None:
        """Nothing."""


@dataclass
class Stopwatch:
    """Seconds spent under each name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the time of a block to a name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
