"""Names that reports can print on one line, and text of others quoted safely in messages."""

from pathlib import Path

from fedproof.errors import InputError

MAX_NAME_LENGTH = 128
"""Characters of a feature, class or table name."""

MAX_TEXT_LENGTH = 4096
"""Characters of a description, a licence or a note."""


def clean_name(name: str) -> bool:
    """Whether a name can be printed on one line: not blank, no control or invisible characters, not too long."""
    return name.strip() == name and 0 < len(name) <= MAX_NAME_LENGTH and name.isprintable()


def clean_text(text: str) -> bool:
    """Whether a longer text can be printed: no control or invisible characters but line breaks, not too long."""
    return len(text) <= MAX_TEXT_LENGTH and all(letter.isprintable() or letter == "\n" for letter in text)


def quoted(text: object) -> str:
    """Any text as a short quoted piece of one line, for messages."""
    short = str(text)
    return repr(short if len(short) <= 60 else short[:57] + "...")


def shown(path: Path) -> str:
    """A path for messages, in full; escaped where it would break the line."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def fault(path: Path, row: int, problem: str, column: str | None = None) -> InputError:
    """The error of one row of a file (its line number) and, where it is known, of one column."""
    place = f"row {row}" if column is None else f"row {row}, column {quoted(column)}"
    return InputError(f"{shown(path)}, {place}: {problem}")
