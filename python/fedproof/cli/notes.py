"""`fedproof notes`: hold tokens in notes whose amounts nobody sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import EPOCHS, home_options, identity_option, opened, show

epochs_option = click.option("--epochs", default=20, show_default=True, type=EPOCHS, help="Lock for so many epochs.")


@click.group()
def notes() -> None:
    """Lock tokens in notes, pay others, and withdraw: amounts show at the edges alone."""


@notes.command()
@identity_option
@home_options
def balance(name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Tokens and notes of an identity. This shows secrets of yours: the amounts of your notes."""
    from fedproof.app.buying import balance as run

    with opened(home_folder, quiet) as (home, _):
        found = run(home, name)
    lines = [
        f"{name}: {found['tokens']} tokens at {found['address']}, {found['depositor_tokens']} for deposits",
        f"  pay notes to {found['note_address']}",
        *(
            f"  note of {n['tokens']} tokens, " + ("unlocked" if n["unlocked"] else f"locked until {n['unlock_epoch']}")
            for n in found["notes"]
        ),
    ]
    show(as_json, found, lines)


@notes.command()
@click.argument("tokens")
@epochs_option
@identity_option
@home_options
def deposit(tokens: str, epochs: int, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Lock tokens in a note. The amount shows here, and never again."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.buying import deposit as run

    amount = parse_tokens(tokens)
    with opened(home_folder, quiet) as (home, terminal):
        made = run(home, name, amount, epochs)
        terminal.step(f"{tokens} tokens locked until epoch {made.unlock_epoch}")
    show(as_json, {"unlock_epoch": made.unlock_epoch, "tx": made.tx_hash}, [f"locked until epoch {made.unlock_epoch}"])


@notes.command()
@click.argument("address")
@click.argument("tokens")
@click.option("--epochs", default=0, type=EPOCHS, help="Lock the new note for so many epochs.  [default: not at all]")
@identity_option
@home_options
def pay(
    address: str, tokens: str, epochs: int, name: str, home_folder: Path | None, as_json: bool, quiet: bool
) -> None:
    """Pay unlocked notes to a note address; nobody sees whom or how much."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.buying import lock_until, wallet_of
    from fedproof.sealing.memo import NoteAddress

    to, amount = NoteAddress.parse(address), parse_tokens(tokens)
    with opened(home_folder, quiet) as (home, terminal):
        terminal.doing("proving the spend")
        made = wallet_of(home, name).pay(to, amount, lock_until(home, epochs) if epochs else None)
    show(as_json, {"tx": made.tx_hash}, ["paid"])


@notes.command()
@click.argument("tokens", nargs=-1, required=True)
@identity_option
@home_options
def split(tokens: tuple[str, ...], name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """See to it that there are unlocked notes of these amounts."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.buying import wallet_of

    amounts = [parse_tokens(each) for each in tokens]
    with opened(home_folder, quiet) as (home, terminal):
        terminal.doing("proving spends")
        made = wallet_of(home, name).split(amounts)
    _spent(as_json, made)


@notes.command()
@identity_option
@home_options
def join(name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Make one note of all unlocked ones."""
    from fedproof.app.buying import wallet_of

    with opened(home_folder, quiet) as (home, terminal):
        terminal.doing("proving spends")
        made = wallet_of(home, name).join()
    _spent(as_json, made)


@notes.command()
@click.argument("tokens")
@click.option("--to", default=None, help="Address or identity that gets them; default the account that deposits.")
@identity_option
@home_options
def withdraw(tokens: str, to: str | None, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Pay unlocked notes out as tokens. Amount and recipient show."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.buying import withdraw as run

    amount = parse_tokens(tokens)
    with opened(home_folder, quiet) as (home, terminal):
        terminal.doing("proving the spend")
        made, warning = run(home, name, amount, to)
    lines = [f"{tokens} tokens paid to {made.recipient}", *([f"  {warning}"] if warning else [])]
    show(as_json, {"tx": made.tx_hash, "recipient": made.recipient, "warning": warning}, lines)


def _spent(as_json: bool, made: list[Any]) -> None:
    show(as_json, [each.tx_hash for each in made], [f"{len(made)} spend(s)"])
