"""`fedproof net`: a whole network on this machine, to try things out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import (
    epochs_option,
    json_option,
    model_option,
    progress,
    quiet_option,
    show,
    statement_options,
)
from fedproof.cli.terminal import short
from fedproof.errors import StateError

DEFAULT = "fedproof-net"
_folder = click.argument("folder", default=DEFAULT, type=click.Path(path_type=Path))


@click.group()
def net() -> None:
    """A chain and all nodes as processes of this machine, in one folder (default fedproof-net)."""


@net.command()
@_folder
@click.option("--participants", default=3, show_default=True, type=click.IntRange(2, 64), help="Nodes that train.")
@click.option("--workers", default=3, show_default=True, type=click.IntRange(3, 64), help="Members of the committee.")
@click.option(
    "--threshold",
    default=1,
    show_default=True,
    type=click.IntRange(1, 31),
    help="Workers that may collude and learn nothing.",
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 1000), help="Rounds of a task.")
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(0, 2**64 - 1),
    help="Splits the records and starts the model; never a secret.",
)
@model_option
@epochs_option
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
    "--block-time", default=1, show_default=True, type=click.IntRange(1, 3600), help="Seconds between two blocks."
)
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Port of the chain.  [default: a free one]")
@click.option(
    "--anvil",
    default=None,
    type=click.Path(path_type=Path),
    help="The program of the chain.  [default: on the path, or from npm in ./node_modules]",
)
@json_option
@quiet_option
def prepare(as_json: bool, quiet: bool, **chosen: Any) -> None:
    """Make FOLDER: a chain with all contracts, keys and money, datasets listed, access granted. Nothing runs yet."""
    from fedproof.app.network_prepare import NetworkOptions
    from fedproof.app.network_prepare import prepare as work

    with progress(quiet) as terminal:
        made = work(NetworkOptions(**chosen), terminal)
    document = {"folder": str(made.folder), "url": made.url, "nodes": [node.name for node in made.nodes]}
    lines = [f"{len(made.nodes)} nodes in {made.folder}; start them: fedproof net start {chosen['folder']}"]
    show(as_json, document, lines)


@net.command()
@_folder
@click.option("--no-task", is_flag=True, help="Start the processes alone.")
@click.option("--no-wait", is_flag=True, help="Do not wait for a round; the task starts when this runs again.")
@click.option(
    "--patience",
    default=300,
    show_default=True,
    type=click.IntRange(10, 86_400),
    help="Seconds to wait at most while nothing moves.",
)
@json_option
@quiet_option
def start(folder: Path, no_task: bool, no_wait: bool, patience: int, as_json: bool, quiet: bool) -> None:
    """Start what does not run, open a task and wait for its next round."""
    from fedproof.app.network_run import StartOptions
    from fedproof.app.network_run import start as work

    with progress(quiet) as terminal:
        found = work(folder, StartOptions(not no_task, not no_wait, patience), terminal)
    show(as_json, found, _lines(found))


@net.command()
@_folder
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Show every process, and the task. The exit code is 9 when a process has crashed."""
    from fedproof.app.network_run import crashed
    from fedproof.app.network_run import status as work

    found = work(folder)
    show(as_json, found, _lines(found))
    if crashed(found):
        raise SystemExit(StateError.exit_code)


@net.command()
@_folder
@click.option(
    "--timeout",
    default=30,
    show_default=True,
    type=click.IntRange(0, 3600),
    help="Seconds after which a node that does not end is killed.",
)
@json_option
@quiet_option
def stop(folder: Path, timeout: int, as_json: bool, quiet: bool) -> None:
    """End all processes; `start` goes on where they stopped."""
    from fedproof.app.network_run import stop_network

    with progress(quiet) as terminal:
        stop_network(folder, terminal, timeout)
    show(as_json, {"folder": str(folder), "stopped": True}, [f"stopped; go on with: fedproof net start {folder}"])


@net.command()
@_folder
@json_option
@quiet_option
def clean(folder: Path, as_json: bool, quiet: bool) -> None:
    """End all processes and delete FOLDER, if `net prepare` made it."""
    from fedproof.app.network_run import clean as work

    with progress(quiet) as terminal:
        work(folder, terminal)
    show(as_json, {"folder": str(folder), "removed": True}, [f"{folder} is removed"])


def _lines(found: dict[str, Any]) -> list[str]:
    """The table for people."""
    rows = [{"name": "anvil", "last_block": None, "reason": found["chain"]["url"], **found["chain"]}, *found["nodes"]]
    lines = [f"{'':16} {'state':12} {'pid':>8} {'memory':>9} {'block':>8}"]
    for row in rows:
        state = row["state"] if row["exit"] is None or row["state"] == "stopped" else f"{row['state']} ({row['exit']})"
        memory = "" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**20:.0f} MiB"
        block, pid = ("" if row[name] is None else row[name] for name in ("last_block", "pid"))
        lines.append(f"{row['name']:16} {state:12} {pid:>8} {memory:>9} {block:>8}  {short(row['reason'])}".rstrip())
    task = found["task"]
    if found["task_unknown"] is not None:
        return [*lines, f"task unknown: {short(found['task_unknown'])}"]
    if task is None:
        return [*lines, "no task"]
    return [*lines, task["text"], f"each update comes with a {task['statement']}"]
