"""`fedproof setup`: keys that many make together, so that nobody has to be trusted with their secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedproof.cli.common import (
    F,
    epochs_option,
    json_option,
    labels_option,
    model_option,
    progress,
    quiet_option,
    show,
    statement_options,
)

if TYPE_CHECKING:
    from fedproof.app.setups import SetupFile

_file = click.argument("file", type=click.Path(path_type=Path))
_out = click.argument("out", type=click.Path(path_type=Path))
_first_option = click.option(
    "--first",
    default=None,
    type=click.Path(path_type=Path),
    help="With a second phase: the first that it was made over.",
)


def _output(command: F) -> F:
    return json_option(quiet_option(command))


@click.group()
def setup() -> None:
    """Keys by many: each contributes and forgets, and one who really forgot is enough.

    One runs `start`, and all contribute to the file, one after another; a beacon ends it. Then one runs `keys`, and all
    contribute to that file; another beacon. `finish` verifies everything and puts both into a folder, which
    `market init --setup` and `verify --setup` take. What is passed on is public.
    """


@setup.command()
@click.argument("rows", type=int)
@click.argument("columns", type=int)
@_out
@model_option
@epochs_option
@statement_options
@labels_option
@click.option("--schema", default=None, type=click.Path(path_type=Path), help="schema.json of the datasets.")
@click.option("--public", default=None, type=click.Path(path_type=Path), help="Public rows, a CSV or Parquet file.")
@click.option("--label", default=None, help="Label column of the public rows.")
@_output
def start(rows: int, columns: int, out: Path, as_json: bool, quiet: bool, **asked: Any) -> None:
    """Begin a first phase in OUT, large enough for tasks on datasets of ROWS x COLUMNS; the plan goes to OUT.plan."""
    from fedproof.app.founding import plan_of
    from fedproof.app.selling import check_shape
    from fedproof.app.setups import check_new, plan_file, start_first, write_setup

    check_shape(rows, columns)
    check_new(out)
    check_new(plan_file(out))
    plan = plan_of(rows, columns, **asked)
    with progress(quiet) as terminal:
        terminal.doing("compiling circuits")
        made = start_first(plan)
        write_setup(plan_file(out), plan.encode())
        write_setup(out, made.encode())
    show(
        as_json,
        {"first": str(out), "plan": str(plan_file(out)), "rows": made.phase.size},
        [
            f"{out} begins a first phase for circuits of {made.phase.size:,} rows",
            f"each contributor makes the next file: fedproof setup contribute {out} NEXT --name NAME",
        ],
    )


@setup.command()
@_file
@_out
@click.option("--plan", "plan_path", required=True, type=click.Path(path_type=Path), help="What `start` wrote.")
@_output
def keys(file: Path, out: Path, plan_path: Path, as_json: bool, quiet: bool) -> None:
    """Begin the second phase in OUT, over the finished first phase in FILE, which is verified."""
    from fedproof.app.setups import check_new, read_first, read_plan, start_second, write_setup

    check_new(out)
    plan = read_plan(plan_path)
    with progress(quiet) as terminal:
        made = start_second(read_first(file), plan, terminal)
        write_setup(out, made.encode())
    names = list(made.phases.parts)
    show(
        as_json,
        {"second": str(out), "keys": names, "purpose": made.purpose},
        [f"{out} begins the second phase of {', '.join(names)}, {made.purpose}"],
    )


@setup.command()
@_file
@_out
@click.option("--name", required=True, help="Who contributes, for all to read; 1 to 100 bytes.")
@_first_option
@_output
def contribute(file: Path, out: Path, name: str, first: Path | None, as_json: bool, quiet: bool) -> None:
    """Add secrets of this machine to FILE, and write OUT, which goes to the next. The secrets are forgotten.

    FILE is verified before: secrets that multiply what somebody else made up would serve a forger.
    """
    _add(file, out, name, None, first, as_json, quiet)


@setup.command()
@_file
@_out
@click.argument("value")
@click.option(
    "--hashes",
    "log",
    default=20,
    show_default=True,
    type=click.IntRange(0, 24),
    help="The value is hashed 2^N times, so that who can bias it has time to try fewer. Announce it, too.",
)
@click.option("--name", default="beacon", show_default=True, help="Where the value is from, for all to read.")
@_first_option
@_output
def beacon(
    file: Path, out: Path, value: str, log: int, name: str, first: Path | None, as_json: bool, quiet: bool
) -> None:
    """End FILE with VALUE, 64 hexadecimal digits that nobody could know at the last contribution, and write OUT.

    Announce before which value it will be, such as the hash of a block to come; another one for each phase. Nobody can
    contribute after it.
    """
    from fedproof.app.setups import beacon_of

    _add(file, out, name, beacon_of(value, log), first, as_json, quiet)


def _add(file: Path, out: Path, name: str, beacon: Any, first: Path | None, as_json: bool, quiet: bool) -> None:
    from fedproof.app.setups import check_new, read_first, read_setup, write_setup

    check_new(out)
    with progress(quiet) as terminal:
        given = None if first is None else read_first(first)
        made = read_setup(file).contribute(name, beacon, terminal, given)
        write_setup(out, made.encode())
    digest = made.contributions[-1].digest.hex()
    show(
        as_json,
        _document(made) | {"file": str(out)},
        _next_steps(out, made, name, digest, beacon is not None),
    )


def _next_steps(out: Path, made: SetupFile, name: str, digest: str, ended: bool) -> list[str]:
    lines = [f"{out} has the contribution of {name}, {made.purpose}"]
    if not ended:
        return [*lines, f"publish its digest where others know that it is from you: {digest}"]
    step = f"keys {out} SECOND --plan FILE" if made.number == 1 else f"finish FIRST {out} FOLDER"
    return [f"{out} is finished, {made.purpose}; its digest is {digest}", f"next: fedproof setup {step}"]


@setup.command()
@_file
@_first_option
@_output
def verify(file: Path, first: Path | None, as_json: bool, quiet: bool) -> None:
    """Check FILE and tell who contributed. A second phase takes the circuits of this package, and --first."""
    from fedproof.app.setups import names_of, read_first, read_setup

    with progress(quiet) as terminal:
        found, given = read_setup(file), None if first is None else read_first(first)
        found.verify(terminal, given)
    lines = names_of(found.contributions) or ["nobody contributed yet"]
    if given is not None and given is not found:
        lines = ["first phase", *names_of(given.contributions), "second phase", *lines]
    show(as_json, _document(found) | {"file": str(file)}, [*lines, f"{file} holds, {found.purpose}"])


@setup.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@_output
def finish(first: Path, second: Path, folder: Path, as_json: bool, quiet: bool) -> None:
    """Verify both phases, and put them into FOLDER, for: fedproof market init --setup FOLDER."""
    from fedproof.app import setups

    with progress(quiet) as terminal:
        one, two = setups.read_first(first), setups.read_second(second)
        made = setups.finish(one, two, folder, terminal)
    show(
        as_json,
        {"folder": str(folder), "keys": {name: digest.hex() for name, digest in made.items()}}
        | {"first": _document(one), "second": _document(two)},
        [
            *("first phase", *setups.names_of(one.contributions), "second phase", *setups.names_of(two.contributions)),
            f"{folder} makes the keys of {', '.join(made)}, {two.purpose}; it is public",
        ],
    )


def _document(found: SetupFile) -> dict[str, Any]:
    return {
        "phase": found.number,
        "purpose": found.purpose,
        "contributions": [
            {
                "name": one.name,
                "digest": one.digest.hex(),
                "beacon": None if one.beacon is None else {"value": one.beacon.value.hex(), "log": one.beacon.log},
            }
            for one in found.contributions
        ],
    }
