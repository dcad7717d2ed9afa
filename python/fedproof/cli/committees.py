"""`fedproof contact`, `fedproof committee`, `fedproof dataset place | hand-over | take-over`: keys in other hands."""

from __future__ import annotations

from pathlib import Path

import click

from fedproof.cli.common import DATASET_ID, home_options, identity_option, opened, show
from fedproof.cli.dataset import dataset


@click.command()
@identity_option
@click.option("--out", default=None, type=click.Path(path_type=Path), help="File to write; default: print it.")
@home_options
def contact(name: str, out: Path | None, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """The public address and HPKE key of an identity, for others to seal to."""
    from fedproof.app.contact import contact_json, contact_of, write_contact

    with opened(home_folder, quiet) as (home, _):
        document = contact_json(contact_of(home, name))
    if out is not None:
        write_contact(out, document)
    show(as_json or out is None, document, [f"{out}: the contact of {name}"])


@click.group()
def committee() -> None:
    """Hold shares of tier keys for providers that may be offline."""


@committee.command()
@click.argument("datasets", type=DATASET_ID, nargs=-1)
@identity_option
@home_options
def release(datasets: tuple[int, ...], name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Answer grants as a member of committees: seal this member's shares to the grantees; default for all DATASETS."""
    from fedproof.app.committees import release as run

    with opened(home_folder, quiet) as (home, terminal):
        done = run(home, name, datasets, terminal)
    document = {
        "released": [
            {"dataset": s.dataset_id, "version": s.version, "tier": s.tier, "grantee": s.grantee, "tx": s.tx_hash}
            for s in done.released
        ],
        "refused": done.refused,
    }
    lines = [f"{len(done.released)} share(s) released", *(f"  not released: {each}" for each in done.refused)]
    show(as_json, document, lines)


@dataset.command()
@click.argument("dataset_id", type=DATASET_ID)
@click.option("--member", "members", multiple=True, required=True, help="Contact file, or an identity of this home.")
@click.option("--threshold", default=1, show_default=True, help="Members that may collude and learn nothing.")
@identity_option
@home_options
def place(
    dataset_id: int, members: tuple[str, ...], threshold: int, name: str, home_folder: Path | None, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Leave the keys of the present version with a committee, which answers grants while this node is away."""
    from fedproof.app.committees import place as run

    with opened(home_folder, quiet) as (home, terminal):
        placed = run(home, name, dataset_id, members, threshold, terminal)
    document = {
        "dataset": dataset_id,
        "version": placed.version,
        "escrow": placed.escrow_id.hex(),
        "members": len(members),
        "shares_needed": threshold + 1,
        "tx": placed.tx_hash,
    }
    show(as_json, document, [f"any {threshold + 1} of {len(members)} members open dataset {dataset_id} to a grant"])


@dataset.command("hand-over")
@click.argument("dataset_id", type=DATASET_ID)
@click.argument("to")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@identity_option
@home_options
def hand_over(
    dataset_id: int, to: str, out: Path, name: str, home_folder: Path | None, as_json: bool, quiet: bool
) -> None:
    """Seal a dataset's keys to its new owner TO: a contact file, or an identity of this home."""
    from fedproof.app.committees import hand_over as run

    with opened(home_folder, quiet) as (home, _):
        made = run(home, name, dataset_id, to, out)
    show(as_json, made, [f"{out}: keys of {len(made['versions'])} version(s) for {made['to']} alone"])


@dataset.command("take-over")
@click.argument("dataset_id", type=DATASET_ID)
@click.argument("file", type=click.Path(path_type=Path))
@identity_option
@home_options
def take_over(dataset_id: int, file: Path, name: str, home_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Go on as the provider of a dataset with the keys that its last owner handed over."""
    from fedproof.app.committees import take_over as run

    with opened(home_folder, quiet) as (home, _):
        made = run(home, name, dataset_id, file)
    lines = [f"{name} holds the keys of version(s) {', '.join(map(str, made['versions']))} of dataset {dataset_id}"]
    if not made["complete"]:
        lines.append(f"  the key of the present version {made['present_version']} was not in it")
    show(as_json, made, lines)
