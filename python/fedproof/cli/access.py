"""`fedproof access`: what a data user does with grants."""

from __future__ import annotations

from pathlib import Path

import click

from fedproof.cli.common import DATASET_ID, home_options, identity_option, opened, show

tier_option = click.option("--tier", required=True, type=int, help="Tier to ask for, 1 to 5.")
most_option = click.option("--at-most", "most", default="0", show_default=True, help="Tokens to pay for it at most.")
duration_option = click.option("--duration", required=True, help="How long: 45s, 90m, 12h, 30d, 2w.")


@click.group()
def access() -> None:
    """Ask for access to a dataset, and open what it opens."""


@access.command()
@click.argument("dataset_id", type=DATASET_ID)
@identity_option
@tier_option
@duration_option
@most_option
@home_options
def request(
    dataset_id: int,
    name: str,
    tier: int,
    duration: str,
    most: str,
    home_folder: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take a grant by a proof of locked tokens that shows neither amount nor note; pays the tier's price."""
    _grant(dataset_id, name, tier, duration, most, home_folder, as_json, quiet, extend=False)


@access.command()
@click.argument("dataset_id", type=DATASET_ID)
@identity_option
@tier_option
@duration_option
@most_option
@home_options
def extend(
    dataset_id: int,
    name: str,
    tier: int,
    duration: str,
    most: str,
    home_folder: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Extend a grant, before or after its end, for the same key."""
    _grant(dataset_id, name, tier, duration, most, home_folder, as_json, quiet, extend=True)


def _grant(
    dataset_id: int, name: str, tier: int, duration: str, most: str, folder: Path | None, as_json: bool, quiet: bool,
    extend: bool,
) -> None:  # fmt: skip
    from fedproof.app.amounts import parse_duration, parse_tokens, show_tokens
    from fedproof.app.buying import request as run

    seconds, limit = parse_duration(duration), parse_tokens(most)
    with opened(folder, quiet) as (home, terminal):
        granted = run(home, name, dataset_id, tier, seconds, terminal, extend=extend, most=limit)
    document = {
        "dataset": dataset_id,
        "tier": tier,
        "grantee": granted.grantee,
        "expiry": granted.expiry,
        "price": show_tokens(granted.price),
        "tx": granted.tx_hash,
    }
    show(as_json, document, [f"tier {tier} of dataset {dataset_id} until chain time {granted.expiry}"])


@access.command()
@click.argument("dataset_id", type=DATASET_ID, required=False)
@identity_option
@home_options
def status(dataset_id: int | None, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Grants of an identity, and whether their keys have come."""
    from fedproof.app.buying import status as run

    with opened(home_folder, quiet) as (home, _):
        found = run(home, name, dataset_id)
    lines = [
        f"dataset {s.dataset_id}, tier {s.tier}: "
        + (f"{s.seconds_left} s left" if s.seconds_left else "ended")
        + (f", key of version {s.delivered} of {s.version}" if s.delivered else "")
        + (f", {s.shares} of {s.shares_needed} shares from the committee" if s.shares_needed else "")
        + ("" if s.has_key else ", no key yet")
        for s in found
    ]
    show(as_json, [s.to_json() for s in found], lines or ["no grants"])


@access.command("open")
@click.argument("dataset_id", type=DATASET_ID)
@identity_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the files.")
@click.option("--tier", default=None, type=int, help="Only this tier; default all that the grant opens.")
@click.option("--version", default=None, type=int, help="Version of the dataset; default the newest that has a key.")
@click.option("--max-size", default=None, type=click.IntRange(0), help="Most bytes to take.  [default: what has room]")
@home_options
def open_files(
    dataset_id: int, name: str, out: Path, tier: int | None, version: int | None, max_size: int | None,
    home_folder: Path | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Open the files of a grant, and check the records against the chain."""
    from fedproof.app.buying import open_granted

    with opened(home_folder, quiet) as (home, terminal):
        made = open_granted(home, name, dataset_id, out, terminal, tier, version, max_size)
    lines = [f"tier {tier}: {path}" for tier, paths in made["files"].items() for path in paths]
    show(as_json, made, lines)
