"""The `fedproof` command: one line for each error, numbered exit codes, `--json` where a script would want it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from fedproof import __version__
from fedproof.cli import sales  # noqa: F401  # adds its commands to `dataset`
from fedproof.cli.access import access
from fedproof.cli.committees import committee, contact
from fedproof.cli.common import (
    epochs_option,
    model_option,
    raw_start_option,
    read_start,
    start_option,
    statement_options,
)
from fedproof.cli.dataset import dataset
from fedproof.cli.keys import keys
from fedproof.cli.market import market
from fedproof.cli.net import net
from fedproof.cli.node import node
from fedproof.cli.notes import notes
from fedproof.cli.setup import setup
from fedproof.cli.task import task
from fedproof.cli.terminal import Terminal, clean, encodable, printable
from fedproof.errors import FedproofError, InputError

INTERNAL_ERROR = 70
_HELP = getattr(click.exceptions, "NoArgsIsHelpError", ())  # from click 8.2 on; before, it is no error
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fedproof")
def cli() -> None:
    """Federated learning you can verify.

    Exit codes: 0 done, 2 wrong input, 3 proof, 4 share, 5 seal, 6 chain, 7 storage, 8 keys, 9 saved state,
    10 audit failed, 70 internal error, 130 interrupted.
    """


@cli.command()
@click.option("--participants", default=3, show_default=True, type=click.IntRange(2, 64), help="Hospitals that train.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 1000), help="Rounds of the task.")
@click.option("--workers", default=3, show_default=True, type=click.IntRange(3, 64), help="Members of the committee.")
@click.option(
    "--threshold",
    default=1,
    show_default=True,
    type=click.IntRange(1, 31),
    help="Workers that may collude and learn nothing.",
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**64 - 1),
    help="Splits the records and starts the model; never a secret.",
)
@model_option
@epochs_option
@start_option
@raw_start_option
@statement_options
@click.option(
    "--data",
    default=None,
    help="A CSV with a label column, or a scikit-learn set: breast-cancer, wine, digits, iris, diabetes.  "
    "[default: one that fits the model]",
)
@click.option(
    "--label", default=None, help="Label column of a CSV; default label, target, class, diagnosis, y, or the last."
)
@click.option("--positive", default=None, help="The class that is 1 against all others; it makes two classes.")
@click.option(
    "--run",
    "run_folder",
    default=None,
    type=click.Path(path_type=Path),
    help="Where the run is kept; must not exist.  [default: fedproof-run-<time>]",
)
@click.option(
    "--rpc", default=None, help="A development chain to use in place of the embedded one, such as anvil's URL."
)
@click.option(
    "--report",
    "report_file",
    default=None,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the report (JSON) here.",
)
@click.option("--no-cache", is_flag=True, help="Make all keys anew and keep none.")
@click.option("--json", "as_json", is_flag=True, help="Print the report on standard output.")
@click.option("--quiet", is_flag=True, help="No progress.")
def demo(
    run_folder: Path | None, report_file: Path | None, as_json: bool, quiet: bool, no_cache: bool,
    start_file: Path | None, raw_start: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Play a whole federated task on this machine, proven from listing to payment."""
    from fedproof.app.demo import DemoOptions, run_demo
    from fedproof.app.report import check_report_file, summary, write_report

    if report_file is not None:
        check_report_file(report_file)
    chosen["start"] = read_start(start_file, raw_start, chosen)
    terminal = Terminal(quiet)
    try:
        folder = run_folder or Path(time.strftime("fedproof-run-%Y%m%d-%H%M%S"))
        report = run_demo(DemoOptions(folder=folder, cache=not no_cache, **chosen), terminal)
        if report_file is not None:
            write_report(report, report_file)
    finally:
        terminal.close()
    click.echo(json.dumps(report, indent=2) if as_json else encodable(summary(report, folder)))


@cli.command()
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--rpc", default=None, help="A node of the chain of a run that was not made on the embedded one.")
@click.option(
    "--setup",
    "setup_folder",
    default=None,
    type=click.Path(path_type=Path),
    help="Folder of the setup that made the keys, by many: verify that, too, and that these are its keys.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.option("--quiet", is_flag=True, help="Print the verdict alone.")
def verify(run_folder: Path, rpc: str | None, setup_folder: Path | None, as_json: bool, quiet: bool) -> None:
    """Audit a finished run from its public folder alone: every commitment, proof, challenge and payment."""
    from fedproof.app.audit import audit_run

    terminal = Terminal(quiet)
    try:
        audit = audit_run(run_folder, terminal, rpc, setup_folder)
    finally:
        terminal.close()
    if as_json:
        click.echo(json.dumps(audit.to_json(), indent=2))
    else:
        lines = [] if quiet else [f"ok    {check}" for check in audit.checks]
        lines += [] if quiet else [f"note  {note}" for note in audit.notes]
        verdict = f"The run checks out: {len(audit.checks)} checks, no secret used. Each update came with a"
        where = "Task {task} of the federation {federation} on chain {chain_id}.".format(**audit.about)
        click.echo("\n".join([*map(clean, lines), f"{verdict} {audit.statement}. {where}"]))


cli.add_command(market)
cli.add_command(dataset)
cli.add_command(access)
cli.add_command(notes)
cli.add_command(committee)
cli.add_command(contact)
cli.add_command(keys)
cli.add_command(node)
cli.add_command(net)
cli.add_command(task)
cli.add_command(setup)


def main() -> NoReturn:
    """Entry point. Every error that users can cause is one line on standard error with its exit code."""
    try:
        cli.main(standalone_mode=False)
    except FedproofError as error:
        _fail(str(error), error.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except click.ClickException as error:
        if getattr(error, "ctx", None) is not None and isinstance(error, _HELP):
            click.echo(error.format_message(), err=True)  # of a group without a command: its help, in lines
            sys.exit(error.exit_code)
        _fail(error.format_message(), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)
    except MemoryError:
        _fail("the input is too large for the memory of this machine; use less of it at once", InputError.exit_code)
    except RecursionError:
        _fail("the input is nested too deeply; is it the right file?", InputError.exit_code)
    except Exception as error:  # noqa: BLE001  # the last resort: one line, never a traceback with values in it
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else "?"
        _fail(
            f"internal error ({type(error).__name__} at {place}); please report it with the command you ran",
            INTERNAL_ERROR,
        )
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"fedproof: {printable(message)}", err=True)
    sys.exit(code)
