"""A log line holds what was meant to be in it, and no secret however hard one tries."""

from __future__ import annotations

import base64
import io
import json
import logging
import pickle  # nothing is loaded: a secret must refuse to be dumped
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedproof.app.logs import Format, Log, open_log, reason, safe_text, safe_url, shown_value
from fedproof.app.secret import HIDDEN, Secret, redact, remember
from fedproof.errors import LedgerError
from fedproof.ledger.accounts import account_from_key
from fedproof.sealing import KeyPair


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    """The loggers as they were."""
    loggers = [logging.getLogger(), logging.getLogger("fedproof")]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate


def opened(form: Format = "json", level: str = "info") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return open_log("hospital-1", level, form, stream), stream


def test_a_json_line_has_time_level_node_event_and_fields() -> None:
    log, stream = opened()
    log.info("round.submitted", task=3, amount=10**30, file=Path("a/b"), note="Zürich\nnext", done=True, none=None)
    line = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert set(line) == {"time", "level", "node", "event", "fields"}
    assert (line["level"], line["node"], line["event"]) == ("info", "hospital-1", "round.submitted")
    assert line["time"].endswith("Z")
    assert line["time"][10] == "T"
    assert line["fields"] == {
        "task": 3, "amount": 10**30, "file": "a/b", "note": "Zürich next", "done": True, "none": None,
    }  # fmt: skip


def test_a_text_line_is_one_line() -> None:
    log, stream = opened("text")
    log.warning("chain.slow", seconds=2.5, text="a\nb\x1b[31m\u2028fake")
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().rstrip().endswith('warning hospital-1 chain.slow seconds=2.5 text="a b?[31m fake"')


def test_levels_are_kept_and_a_second_opening_replaces_the_first() -> None:
    log, stream = opened(level="warning")
    log.info("not.shown")
    log.debug("not.shown")
    log, second = opened(level="info")
    log.info("shown.once")
    assert stream.getvalue() == ""
    assert second.getvalue().count("shown.once") == 1


def test_what_varies_is_no_event() -> None:
    log, _ = opened()
    with pytest.raises(ValueError, match="constant"):
        log.info("task 3 failed")


KEY = secrets.token_bytes(32)
WRITTEN: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "upper case hex": lambda key: key.hex().upper(),
    "0x": lambda key: "0x" + key.hex(),
    "repr": repr,
    "number": lambda key: str(int.from_bytes(key, "big")),
    "base64": lambda key: base64.b64encode(key).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key).decode(),
    "inside other text": lambda key: f"x{key.hex()}y",
}


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("how", WRITTEN)
def test_a_known_secret_is_taken_out_of_every_line(form: Format, how: str) -> None:
    remember(KEY)
    log, stream = opened(form)
    text = WRITTEN[how](KEY)
    log.info("oops", text=text, inside=[text], deep={"a": {"b": text}})
    log.failed("oops", LedgerError(f"it says {text}"))
    logging.getLogger("somebody.else").warning("it says %s", text)
    said = stream.getvalue()
    assert said.count("\n") == 3
    assert HIDDEN in said
    for written in WRITTEN.values():
        assert written(KEY).strip("xy=") not in said


def test_a_passphrase_is_taken_out_also_where_json_escapes_it() -> None:
    phrase = 'grün "und\\ lang'
    Secret(phrase.encode())
    for form in ("json", "text"):
        log, stream = opened(form)  # type: ignore[arg-type]
        log.error("oops", text=f"it is {phrase}!", other=repr(phrase))
        said = stream.getvalue()
        assert "und" not in said
        assert said.count(HIDDEN) == 2


def test_values_that_are_secret_by_type_or_name_are_not_printed() -> None:
    pair = KeyPair.generate()
    account = account_from_key(secrets.token_bytes(32))
    log, stream = opened()
    fresh = secrets.token_bytes(32)  # not known to the redactor
    log.info(
        "oops", a=fresh, b=pair, c=account, d=Secret(b"short"), e=int.from_bytes(fresh, "big"), f=[fresh], g={1: fresh}
    )
    log.info("oops", passphrase="open sesame", note_key="1234", hpke_private="1", seed=1, masks=[1, 2], password="x")
    first, second = (json.loads(line)["fields"] for line in stream.getvalue().splitlines())
    assert first == {
        "a": "<bytes>", "b": "<KeyPair>", "c": "<Account>", "d": "<Secret>", "e": "<int>",
        "f": ["<bytes>"], "g": {"1": "<bytes>"},
    }  # fmt: skip
    assert set(second.values()) == {HIDDEN}


def test_public_names_are_not_taken_for_secrets() -> None:
    for name in ("task", "bypass", "passed", "seeds_sown", "public_key", "masked", "round"):
        assert shown_value(name, 1) == 1


URLS = {
    "https://user:pw@node.example:8545/v3/0123abcd?key=zzz": "https://node.example:8545",
    "http://[::1]:8545/x": "http://[::1]:8545",
    "s3://key:word@bucket/path": "s3://bucket",
    "http://node:99999/key": HIDDEN,
}


@pytest.mark.parametrize("url", URLS)
def test_urls_show_their_host_alone(url: str) -> None:
    assert safe_url(url) == URLS[url]
    assert safe_text(f"cannot reach {url} now") == f"cannot reach {URLS[url]} now"
    log, stream = opened()
    log.info("chain.connected", url=url)
    logging.getLogger("urllib3.connectionpool").warning("retrying %s", url)
    for part in ("user", "pw", "0123abcd", "zzz", "word", "99999"):
        assert part not in stream.getvalue()


def test_foreign_exceptions_show_kind_and_place_alone() -> None:
    log, stream = opened()
    try:
        raise KeyError("something private")
    except KeyError as error:
        log.failed("oops", error)
        logging.getLogger("other").exception("it failed")
        why = reason(error)
    assert why.startswith("at test_logs.py:")
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["fields"]["kind"] for line in said] == ["KeyError", "KeyError"]
    assert "private" not in stream.getvalue()


def test_libraries_are_silent_below_warnings() -> None:
    _, stream = opened(level="debug")
    logging.getLogger("urllib3.connectionpool").debug("POST /v3/key")
    logging.getLogger("web3").info("key")
    assert stream.getvalue() == ""


def test_a_secret_shows_and_copies_nothing() -> None:
    secret: Any = Secret(b"0123456789")
    assert repr(secret) == str(secret) == f"{secret}" == HIDDEN
    assert secret.reveal() == b"0123456789"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert redact("x 0123456789 y") == f"x {HIDDEN} y"


def test_short_values_are_not_looked_for() -> None:
    remember(b"")
    remember(b"the")
    assert redact("in the end") == "in the end"
