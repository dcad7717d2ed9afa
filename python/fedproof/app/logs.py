"""The log of a node: one line for each event, for machines (JSON) or for people, over the standard library.

    log = open_log("hospital-1", "info", "json")
    log.info("round.submitted", task=3, round=2)

Nothing secret is passed to a log. Should somebody do it all the same, three things stand in the way: only plain values
are printed (bytes, keys and accounts show their type alone), fields with the name of a secret are hidden, and every
known secret (`secret.remember`) is taken out of the finished line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path, PurePath
from typing import Any, Final, Literal, TextIO
from urllib.parse import urlsplit

from fedproof.app.secret import HIDDEN, redact
from fedproof.errors import FedproofError

Format = Literal["json", "text"]
LEVELS: Final = ("debug", "info", "warning", "error")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_SECRET_NAME: Final = re.compile(
    r"(^|_)(pass(phrase|word|wd)?|secrets?|private|seed|masks?|blindings?|credentials?|authorization|note_key|tier_key)"
    r"(_|$)",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_LARGEST: Final = 1 << 128  # amounts are below it; what is larger is a field element
_LONGEST: Final = 2000
_LIBRARIES: Final = ("urllib3", "web3", "asyncio", "fsspec")


class Log:
    """What a node says. Events have constant dotted names; what varies goes into fields."""

    def __init__(self, logger: logging.Logger, node: str) -> None:
        self._logger = logger
        self.node = node

    def debug(self, event: str, **fields: object) -> None:
        """Detail for whoever looks for a fault."""
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something needs an eye; the node goes on."""
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something failed."""
        self._say(logging.ERROR, event, fields)

    def failed(self, event: str, error: BaseException, **fields: object) -> None:
        """An exception: the words of one of ours, of any other the kind and the place alone."""
        self.error(event, kind=type(error).__name__, reason=reason(error), **fields)

    def _say(self, level: int, event: str, fields: dict[str, object]) -> None:
        if not _NAME.fullmatch(event):
            raise ValueError("an event's name is constant: small letters, digits, _ and dots")
        if self._logger.isEnabledFor(level):
            shown = {name: shown_value(name, value) for name, value in fields.items()}
            self._logger.log(level, event, extra={"node": self.node, "fields": shown})


def open_log(node: str, level: str = "info", form: Format = "json", stream: TextIO | None = None) -> Log:
    """Send the log of this process to a stream (standard error by default), and that of libraries from warnings on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(node, form))
    ours = logging.getLogger("fedproof")
    root = logging.getLogger()
    for logger in (ours, root):
        for old in [each for each in logger.handlers if isinstance(each.formatter, _Formatter)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
    ours.setLevel(level.upper())
    ours.propagate = False
    for library in _LIBRARIES:  # at lower levels they print whole URLs and payloads
        logging.getLogger(library).setLevel(logging.WARNING)
    return Log(ours, node)


def safe_url(url: str) -> str:
    """A URL without user, password, path and query: each of them may be a credential."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}"


def safe_text(text: str) -> str:
    """One printable line in which no URL shows more than its host, and no known secret shows."""
    line = redact(" ".join(text.split()))
    line = _URL.sub(lambda found: safe_url(found.group()), line)
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:_LONGEST]


def reason(error: BaseException) -> str:
    """Why something failed, for a log or a health page."""
    if isinstance(error, FedproofError):
        return safe_text(str(error))
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"at {Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "at an unknown place"


def shown_value(name: str, value: object) -> Any:
    """What a log shows of a field."""
    if _SECRET_NAME.search(name):
        return HIDDEN
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST else "<int>"
    if isinstance(value, str | PurePath):
        return safe_text(str(value))
    if isinstance(value, list | tuple):
        return [shown_value(name, each) for each in value]
    if isinstance(value, dict):
        return {str(key): shown_value(str(key), each) for key, each in value.items()}
    return f"<{type(value).__name__}>"


class _Formatter(logging.Formatter):
    """Finished lines. Records of libraries have no fields; their text is one."""

    def __init__(self, node: str, form: Format) -> None:
        super().__init__()
        self._node = node
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """One line; never a traceback, which may quote values."""
        fields = getattr(record, "fields", None)
        event = record.getMessage()
        if not isinstance(fields, dict):
            fields, event = {"logger": record.name, "text": safe_text(event)}, "library"
            if record.exc_info and record.exc_info[1] is not None:
                fields |= {"kind": type(record.exc_info[1]).__name__, "reason": reason(record.exc_info[1])}
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        node, level = getattr(record, "node", self._node), record.levelname.lower()
        if self._form == "json":
            line = json.dumps({"time": moment, "level": level, "node": node, "event": event, "fields": fields})
        else:
            told = "".join(f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
            line = f"{moment} {level:7} {node} {event}{told}"
        return redact(line)
