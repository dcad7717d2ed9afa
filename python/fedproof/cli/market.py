"""`fedproof market`: make a marketplace to try things out in, and give its identities tokens."""

from __future__ import annotations

from pathlib import Path

import click

from fedproof.cli.common import home_option, home_options, json_option, opened, progress, quiet_option, show


@click.group()
def market() -> None:
    """A marketplace home: chain, contracts, store and identities in one folder."""


@market.command()
@home_option
@click.option(
    "--rpc", default=None, help="A development chain, such as anvil's URL; default: one embedded in the home."
)
@click.option("--store", default=None, help="Folder or URL of the blobs.  [default: blobs/ in the home]")
@json_option
@quiet_option
def init(home_folder: Path | None, rpc: str | None, store: str | None, as_json: bool, quiet: bool) -> None:
    """Deploy a marketplace and make its home. Keys come from one dealer: for development only."""
    from fedproof.app.home import Home, default_home

    folder = home_folder or default_home()
    with progress(quiet) as terminal:
        Home.create(folder, terminal, rpc, store)
    lines = [f"{folder} is ready; give an identity tokens: fedproof market fund NAME 5000 --deposits"]
    show(as_json, {"home": str(folder)}, lines)


@market.command()
@click.argument("source")
@home_option
@click.option("--rpc", default=None, help="Where this machine reaches the chain.  [default: as in SOURCE]")
@click.option("--store", default=None, help="Where this machine reaches the blobs.  [default: as in SOURCE]")
@json_option
@quiet_option
def join(source: str, home_folder: Path | None, rpc: str | None, store: str | None, as_json: bool, quiet: bool) -> None:
    """Make a home of one's own on the marketplace of another: SOURCE is its folder, or a folder or URL with a copy of
    its market.json and keys/, which are public."""
    from fedproof.app.home import Home, default_home

    folder = home_folder or default_home()
    with progress(quiet) as terminal:
        made = Home.join(folder, source, terminal, rpc, store)
    show(
        as_json,
        {"home": str(folder), "chain_id": made["chain_id"]},
        [f"{folder} is a home on chain {made['chain_id']}"],
    )


@market.command("add-class")
@click.argument("rows", type=int)
@click.argument("columns", type=int)
@home_options
def add_class(rows: int, columns: int, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Open the capacity class of ROWS x COLUMNS to everybody; COLUMNS counts the features and one more."""
    from fedproof.app.selling import check_shape

    check_shape(rows, columns)
    with opened(home_folder, quiet) as (home, _):
        made = home.class_of(rows, columns)
    document = {"class": made, "rows": rows, "columns": columns}
    show(as_json, document, [f"capacity class {made} takes datasets of {rows} x {columns}"])


@market.command()
@click.argument("name")
@click.argument("tokens")
@click.option("--deposits", is_flag=True, help="To the account that deposits notes; another takes grants.")
@home_options
def fund(name: str, tokens: str, deposits: bool, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Give an identity tokens of the operator, as a sale would."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.selling import fund as give

    amount = parse_tokens(tokens)
    with opened(home_folder, quiet) as (home, _):
        tx = give(home, name, amount, deposits=deposits)
        address = (home.depositor(name) if deposits else home.account(name)).address
    show(as_json, {"identity": name, "address": address, "tokens": tokens, "tx": tx}, [f"{name} got {tokens} tokens"])


@market.command()
@home_options
def classes(home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """The capacity classes: shapes of datasets that can be listed."""
    with opened(home_folder, quiet) as (home, _):
        count = int(home.chain.call(home.market.registry.functions.classCount()))
        found = [(number, home.market.capacity_class(number)) for number in range(1, count + 1)]
    document = [{"class": n, "rows": c.rows, "columns": c.columns, "closed": c.closed} for n, c in found]
    show(as_json, document, [f"{n}  {c.rows} rows x {c.columns} columns{'  closed' * c.closed}" for n, c in found])


@market.command()
@click.argument("duration")
@home_options
def wait(duration: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Move the clock of a development chain: locks run out and grants end."""
    from fedproof.app.amounts import parse_duration
    from fedproof.app.buying import pass_time

    seconds = parse_duration(duration)
    with opened(home_folder, quiet) as (home, _):
        now = pass_time(home, seconds)
        epoch = home.market.vault.current_epoch()
    show(as_json, {"time": now, "epoch": epoch}, [f"chain time {now}, epoch {epoch}"])
