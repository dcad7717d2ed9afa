"""Progress on standard error, and text made safe to print."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape


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
    """Progress on standard error: a line for each step, a spinner for what takes seconds."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._status = self._console.status("starting")
        self._started = time.monotonic()
        if self._console.is_terminal and not quiet:
            self._status.start()

    def doing(self, text: str) -> None:
        """Show what is under way."""
        self._status.update(escape(printable(text)))

    def step(self, text: str) -> None:
        """Print what is done."""
        # the text holds names of files and columns: nothing in it is markup
        self._console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {escape(printable(text))}")

    def close(self) -> None:
        """Stop the spinner."""
        self._status.stop()
