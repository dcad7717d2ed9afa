"""Progress on standard error, and text made safe to print."""

from __future__ import annotations

import time
from threading import Timer
from typing import Final

from rich.console import Console
from rich.markup import escape

PATIENCE: Final = 5.0
"""Seconds after which something under way is a line of its own where no spinner shows it."""


def printable(text: str) -> str:
    """One line without control characters: what a run folder or a CSV file holds may come from anyone."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def clean(line: str) -> str:
    """A line of ours without control characters, spaces kept: names in it may be a stranger's."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def short(text: str, most: int = 120) -> str:
    """`printable`, cut to what fits a line: a stranger's card may hold a megabyte."""
    line = printable(text[: 4 * most])
    return line if len(line) <= most else f"{line[: most - 1]}…"


def encodable(text: str) -> str:
    """Text that any terminal takes: a path may hold bytes that are no letters."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class Terminal:
    """Progress on standard error: a line for each step, and for what takes seconds a spinner, or in a file a line."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._status = self._console.status("starting")
        self._started = time.monotonic()
        self._waiting: Timer | None = None
        self._tells = not quiet and not self._console.is_terminal
        if self._console.is_terminal and not quiet:
            self._status.start()

    def doing(self, text: str) -> None:
        """Show what is under way."""
        self._status.update(escape(printable(text)))
        self._forget()
        if self._tells:
            self._waiting = Timer(PATIENCE, self._print, [f"{text} ..."])
            self._waiting.daemon = True
            self._waiting.start()

    def step(self, text: str) -> None:
        """Print what is done."""
        self._forget()
        self._print(text)

    def close(self) -> None:
        """Stop the spinner."""
        self._forget()
        self._status.stop()

    def _forget(self) -> None:
        """Do not tell any more what was under way."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _print(self, text: str) -> None:
        # the text holds names of files and columns: nothing in it is markup
        self._console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {escape(printable(text))}")
