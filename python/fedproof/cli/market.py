"""`fedproof market`: make a marketplace to try things out in, and give its identities tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import (
    epochs_option,
    home_option,
    home_options,
    json_option,
    labels_option,
    model_option,
    opened,
    progress,
    quiet_option,
    read_start,
    show,
    statement_options,
)


@click.group()
def market() -> None:
    """A marketplace home: chain, contracts, store and identities in one folder."""


@market.command()
@home_option
@click.option(
    "--rpc", default=None, help="A development chain, such as anvil's URL; default: one embedded in the home."
)
@click.option("--store", default=None, help="Folder or URL of the blobs.  [default: blobs/ in the home]")
@click.option(
    "--tasks",
    nargs=2,
    type=int,
    default=None,
    metavar="ROWS COLUMNS",
    help="Deploy a federation, too, for training on datasets of this capacity class, and write its deployment.json.",
)
@model_option
@epochs_option
@click.option(
    "--start",
    "start_file",
    default=None,
    type=click.Path(path_type=Path),
    help="Train the architecture of this model (ONNX, layer list or task model), near which tasks can start then.",
)
@statement_options
@labels_option
@click.option(
    "--schema",
    default=None,
    type=click.Path(path_type=Path),
    help="schema.json of the datasets: with the public rows it gives labels, and scales that fit them.",
)
@click.option("--public", default=None, type=click.Path(path_type=Path), help="Public rows, a CSV or Parquet file.")
@click.option("--label", default=None, help="Label column of the public rows.")
@click.option(
    "--setup",
    "setup_folder",
    default=None,
    type=click.Path(path_type=Path),
    help="Use the keys of this folder, made by many: see fedproof setup. With --rpc in place of --tasks.",
)
@json_option
@quiet_option
def init(
    home_folder: Path | None,
    rpc: str | None,
    store: str | None,
    tasks: tuple[int, int] | None,
    setup_folder: Path | None,
    start_file: Path | None,
    as_json: bool,
    quiet: bool,
    **asked: Any,
) -> None:
    """Deploy a marketplace and make its home. Without --setup its keys come from one dealer: for development only."""
    from fedproof.app.founding import DEPLOYMENT_FILE, plan_of
    from fedproof.app.home import Home, default_home
    from fedproof.app.selling import check_shape
    from fedproof.app.training import model_text
    from fedproof.errors import InputError
    from fedproof.learning.plans import statement_text

    plan = None
    folder = home_folder or default_home()
    document = {"home": str(folder)}
    lines = [f"{folder} is ready; give an identity tokens: fedproof market fund NAME 5000 --deposits"]
    if setup_folder is not None and (tasks is not None or start_file is not None):
        raise InputError("--setup brings the plan that its keys were made for: leave --tasks and --start out")
    if tasks is None and start_file is not None:
        raise InputError("--start belongs to --tasks: it says what the tasks train")
    if tasks is not None:
        check_shape(*tasks)
        if rpc is None:
            raise InputError("--tasks needs --rpc: the nodes of a federation meet on a chain, not inside of a home")
        start = read_start(start_file, False, asked)
        plan = plan_of(*tasks, **asked)
        if start is not None:  # a federation fixes the architecture; its tasks start from the file
            start.check(plan)
    with progress(quiet) as terminal:
        plan = Home.create(folder, terminal, rpc, store, plan, setup_folder)
    if plan is None and setup_folder is not None:
        lines.append("it has no federation, for that needs --rpc; the keys of the setup are used for all else")
    if plan is not None:
        document["deployment"] = str(folder / DEPLOYMENT_FILE)
        document["model"] = model_text(plan)
        document["statement"] = plan.statement
        lines.append(f"its tasks ask for a {statement_text(plan)}, on a {model_text(plan)}")
        lines.append(f"{folder / DEPLOYMENT_FILE} is what nodes join the federation from; it is public")
    show(as_json, document, lines)


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
@click.option("--labels", default="binary", show_default=True, help='What labels are: binary, target, or "classes 3".')
@home_options
def add_class(rows: int, columns: int, labels: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Open the capacity class of ROWS x COLUMNS to everybody; COLUMNS counts the features and one more."""
    from fedproof.app.selling import check_shape
    from fedproof.statements.labels import LabelKind

    check_shape(rows, columns)
    kind = LabelKind.parse(labels)
    with opened(home_folder, quiet) as (home, _):
        made = home.class_of(rows, columns, kind)
    document = {"class": made, "rows": rows, "columns": columns, "labels": str(kind)}
    show(as_json, document, [f"capacity class {made} takes datasets of {rows} x {columns} with {kind} labels"])


@market.command()
@click.argument("name")
@click.argument("tokens")
@click.option("--deposits", is_flag=True, help="To the account that deposits notes; another takes grants.")
@home_options
def fund(name: str, tokens: str, deposits: bool, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Give an identity, or an address, tokens of the operator, as a sale would; an address gets gas money, too."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.sales import address_of
    from fedproof.app.selling import fund as give

    amount = parse_tokens(tokens)
    with opened(home_folder, quiet) as (home, _):
        tx = give(home, name, amount, deposits=deposits)
        address = home.depositor(name).address if deposits else address_of(home, name)
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
