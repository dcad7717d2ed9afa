"""`fedproof dataset`: what a data owner does, and what anybody may look up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import (
    DATASET_ID,
    home_options,
    identity_option,
    json_option,
    opened,
    progress,
    quiet_option,
    show,
)
from fedproof.cli.terminal import short

threshold_option = click.option(
    "--threshold", "thresholds", multiple=True, metavar="TIER=TOKENS", help="Tokens to have locked; offers the tier."
)
price_option = click.option("--price", "prices", multiple=True, metavar="TIER=TOKENS", help="What a grant costs.")


@click.group()
def dataset() -> None:
    """List datasets and look them up."""


@dataset.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option(
    "--schema",
    default=None,
    type=click.Path(path_type=Path),
    help="Schema to use, or to draft; datasets can share it.  [OUT.schema.toml]",
)
@click.option("--schema-only", is_flag=True, help="Draft the schema and stop.")
@click.option("--accept-draft", is_flag=True, help="Go on with a fresh draft that has no open points.")
@click.option(
    "--public", default=None, type=click.Path(path_type=Path), help="Public file that gives centre and scale."
)
@click.option("--private-scale", is_flag=True, help="Take centre and scale from the private records: publishes them.")
@click.option("--label", default=None, help="Label column.")
@click.option("--positive", default=None, help="The class that is 1 against all others.")
@click.option(
    "--labels",
    default=None,
    type=click.Choice(["binary", "classes", "target"]),
    help="Two classes, all of them, or a number to predict.  [default: binary]",
)
@click.option("--identifier", "identifiers", multiple=True, help="Column that only Tier 5 shows.")
@click.option("--drop", multiple=True, help="Column to leave out.")
@click.option("--name", default=None, help="Name of the dataset on its card.  [default: as in the schema]")
@click.option("--domain", default="", help="Domain, such as oncology; the catalogue filters by it.")
@click.option("--licence", default="", help="Licence of the data.")
@click.option("--description", default="", help="What the data is.")
@click.option("--block-rows", default=None, type=int, help="Rows of the capacity class: 32, 64, 128, ...")
@click.option("--note", default="", help="What is new in this version.")
@click.option(
    "--previous", default=None, type=click.Path(path_type=Path), help="Prepared folder of the version before."
)
@json_option
@quiet_option
def prepare(as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Turn a CSV or Parquet file into the files of a listing, by a schema that you can edit."""
    from fedproof.app.prepare import Drafted, Options
    from fedproof.app.prepare import prepare as run

    with progress(quiet) as terminal:
        made = run(Options(**chosen), terminal)
    if isinstance(made, Drafted):
        lines = [
            f"{made.path} is drafted; look it over and run this again",
            *(f"  to fill in: {p}" for p in made.open_points),
        ]
        show(as_json, {"schema": str(made.path), "open_points": list(made.open_points)}, lines)
        return
    document = {
        "folder": str(made.folder),
        "name": made.name,
        "rows": made.rows,
        "class": {"rows": made.capacity_rows, "columns": made.columns},
        "blocks": len(made.blocks_written),
        "tiers": list(made.tiers),
    }
    show(as_json, document, [
        f"{made.name}: {made.rows} rows in {document['blocks']} block(s) of {made.capacity_rows} x {made.columns}",
        f"look at {made.folder}/tier1 .. tier5, change what you like, then: fedproof dataset mint {made.folder}",
    ])  # fmt: skip


@dataset.command()
@click.argument("folder", type=click.Path(path_type=Path))
@identity_option
@threshold_option
@price_option
@home_options
def mint(
    folder: Path, name: str, thresholds: tuple[str, ...], prices: tuple[str, ...], home_folder: Path | None,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """List a prepared dataset; after an interruption the same command goes on."""
    from fedproof.app.amounts import parse_by_tier
    from fedproof.app.prepared import Prepared
    from fedproof.app.selling import mint as run
    from fedproof.errors import InputError

    asked, cost = parse_by_tier(thresholds, "--threshold"), parse_by_tier(prices, "--price")
    if not any(asked):
        raise InputError("no tier is offered: give --threshold, such as --threshold 3=1000")
    prepared = Prepared.load(folder)
    with opened(home_folder, quiet) as (home, terminal):
        minted = run(home, name, prepared, asked, cost, terminal)
    document = {"dataset": minted.dataset_id, "version": minted.version, "tx": minted.tx_hash}
    show(as_json, document, [f"dataset {minted.dataset_id} is listed"])


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@click.argument("folder", type=click.Path(path_type=Path))
@identity_option
@threshold_option
@price_option
@home_options
def update(
    dataset_id: int, folder: Path, name: str, thresholds: tuple[str, ...], prices: tuple[str, ...],
    home_folder: Path | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """List the next version of a dataset, under new keys; running grants get them. Thresholds and prices that are not
    named stay; --threshold TIER=0 takes a tier from the offer."""
    from fedproof.app.amounts import parse_changes
    from fedproof.app.prepared import Prepared
    from fedproof.app.selling import update as run

    asked, cost = parse_changes(thresholds, "--threshold"), parse_changes(prices, "--price")
    prepared = Prepared.load(folder)
    with opened(home_folder, quiet) as (home, terminal):
        made = run(home, name, dataset_id, prepared, asked, cost, terminal)
    document = {"dataset": dataset_id, "version": made.version, "tx": made.tx_hash}
    show(as_json, document, [f"dataset {dataset_id} is at version {made.version}"])


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@identity_option
@home_options
def retire(dataset_id: int, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """End new grants of a dataset, for good; grants that run stay."""
    with opened(home_folder, quiet) as (home, _):
        home.market.retire(home.account(name), dataset_id)
    show(as_json, {"dataset": dataset_id, "retired": True}, [f"dataset {dataset_id} takes no new grants"])


@dataset.command()
@click.option("--again", multiple=True, metavar="GRANTEE", help="Address or identity that gets its keys once more.")
@identity_option
@home_options
def deliver(again: tuple[str, ...], name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Answer grants: seal the tiers' keys to everybody who holds one and has no key yet."""
    from fedproof.app.sales import address_of
    from fedproof.app.selling import answer_grants

    with opened(home_folder, quiet) as (home, terminal):
        done = answer_grants(home, name, terminal, [address_of(home, who) for who in again])
    lines = [f"{len(done['delivered'])} key(s) delivered", *(f"  not delivered: {each}" for each in done["refused"])]
    show(as_json, done, lines)


@dataset.command("show")
@click.argument("dataset_id", type=DATASET_ID)
@home_options
def show_one(dataset_id: int, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Everything that is free to know of a dataset: Tier 0."""
    from fedproof.app.catalogue import entry

    with opened(home_folder, quiet) as (home, _):
        found = entry(home.market, home.store, dataset_id)
    document = found.to_json()
    lines = [
        f"dataset {found.dataset_id}, version {found.version}: {short(found.name) or '(no card)'}",
        f"  {short(str(found.card.get('description', '')), 400)}",
        f"  domain {short(found.domain) or '-'}, licence {short(str(found.card.get('licence', ''))) or '-'}",
        f"  {found.rows} rows, class {found.class_rows} x {found.class_columns}, owner {found.owner}",
        *(f"  tier {t['tier']}: {t['threshold']} tokens locked, price {t['price']}" for t in document["tiers"]),
        *(f"  version {h['version']}: {h['rows']} rows, block {h['block']}" for h in document["history"]),
        *(["  retired: no new grants"] if found.retired else []),
        *([f"  card: {short(found.card_error)}"] if found.card_error else []),
    ]
    show(as_json, document, [line for line in lines if line.strip()])


def filter_options(command: Any) -> Any:
    """What `list` and `search` filter by."""
    for option in reversed(
        (
            click.option("--domain", default=None, help="Domain on the card."),
            click.option("--owner", default=None, help="Address or identity of the owner."),
            click.option("--min-rows", default=None, type=int),
            click.option("--max-rows", default=None, type=int),
            click.option("--tier", default=None, type=click.IntRange(0, 5), help="Offers this tier."),
            click.option("--max-price", default=None, help="Price in tokens, of --tier or of any tier."),
            click.option("--retired", is_flag=True, help="Show retired datasets, too."),
        )
    ):
        command = option(command)
    return command


@dataset.command("list")
@filter_options
@home_options
def list_all(home_folder: Path | None, as_json: bool, quiet: bool, **chosen: Any) -> None:
    """All datasets, filtered."""
    _search(home_folder, as_json, quiet, None, chosen)


@dataset.command()
@click.argument("text")
@filter_options
@home_options
def search(text: str, home_folder: Path | None, as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Datasets whose card holds all words of TEXT."""
    _search(home_folder, as_json, quiet, text, chosen)


def _search(home_folder: Path | None, as_json: bool, quiet: bool, text: str | None, chosen: dict[str, Any]) -> None:
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.catalogue import Filters
    from fedproof.app.catalogue import search as run
    from fedproof.app.sales import address_of

    price = chosen.pop("max_price")
    with opened(home_folder, quiet) as (home, _):
        owner = chosen.pop("owner")
        owner = None if owner is None else address_of(home, owner)
        limit = None if price is None else parse_tokens(price)
        found = run(home.market, home.store, Filters(text=text, owner=owner, max_price=limit, **chosen))
    lines = [
        f"{each.dataset_id:>4}  {each.rows:>9} rows  tiers {','.join(str(t['tier']) for t in each.tiers())}  "
        f"{short(each.domain) or '-'}  {short(each.name)}"
        for each in found
    ]
    show(as_json, [each.to_json() for each in found], lines or ["no dataset matches"])
