"""`fedproof dataset offer | buy | transfer`: who owns a dataset gets the income of its later grants."""

from __future__ import annotations

from pathlib import Path

import click

from fedproof.cli.common import DATASET_ID, home_options, identity_option, opened, show
from fedproof.cli.dataset import dataset


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@click.argument("to")
@identity_option
@home_options
def transfer(dataset_id: int, to: str, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Give a dataset to an address or identity. Running grants stay; later income is the new owner's."""
    from fedproof.app.sales import transfer as run

    with opened(home_folder, quiet) as (home, _):
        tx = run(home, name, dataset_id, to)
    show(as_json, {"dataset": dataset_id, "to": to, "tx": tx}, [f"dataset {dataset_id} belongs to {to}"])


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@click.option("--price", required=True, help="Price in tokens.")
@click.option("--buyer", default=None, help="Address or identity that may buy; default anybody.")
@identity_option
@home_options
def offer(
    dataset_id: int, price: str, buyer: str | None, name: str, home_folder: Path | None, as_json: bool, quiet: bool
) -> None:
    """Offer a dataset for sale."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.sales import offer as run
    from fedproof.app.sales import offer_json

    amount = parse_tokens(price)
    with opened(home_folder, quiet) as (home, _):
        made = run(home, name, dataset_id, amount, buyer)
    show(as_json, offer_json(made), [f"dataset {dataset_id} is for sale at {price} tokens"])


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@click.option("--at-most", required=True, help="The most to pay, in tokens.")
@identity_option
@home_options
def buy(dataset_id: int, at_most: str, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Buy a dataset that is for sale."""
    from fedproof.app.amounts import parse_tokens
    from fedproof.app.sales import buy as run
    from fedproof.app.sales import offer_json

    most = parse_tokens(at_most)
    with opened(home_folder, quiet) as (home, _):
        made = run(home, name, dataset_id, most)
    show(as_json, offer_json(made), [f"dataset {dataset_id} belongs to {name}"])
