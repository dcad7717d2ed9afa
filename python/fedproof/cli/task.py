"""`fedproof task`: training tasks of a federation on a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fedproof.cli.common import raw_start_option, read_start, show, start_option
from fedproof.cli.network import network_options, opened_network, signer, signing_options
from fedproof.cli.terminal import encodable, printable

TASK = click.IntRange(1, (1 << 256) - 1)
WINDOWS = """Windows are counted in blocks. Each must be several times the confirmations that participants and workers
    wait for: the freeze window holds five steps of complaints and answers, each a fifth of it."""


@click.group()
def task() -> None:
    """Open training tasks, follow them, and take out their models."""


@task.command("open", epilog=WINDOWS)
@click.option("--name", required=True, help="Of the task, for people.")
@click.option("--rounds", required=True, type=int, help="Rounds to settle; the deployment's masks bound it.")
@click.option(
    "--participants",
    required=True,
    type=int,
    help="Most participants, up to 255; when so many have enrolled, the first round opens by itself.",
)
@click.option("--min-updates", default=3, show_default=True, type=int, help="A round of fewer is refused; 2 at least.")
@click.option(
    "--worker",
    "worker_files",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public keys of a committee member: the output of fedproof keys show KEYS --json. Three or more times.",
)
@click.option(
    "--threshold", default=None, type=int, help="Workers that learn nothing together.  [default: floor((M - 1) / 2)]"
)
@click.option("--reward", required=True, help="Tokens for each round, shared by proven rows.")
@click.option("--bond", required=True, help="Tokens that each participant, and each complaint, puts at stake.")
@click.option("--worker-bond", default="0", show_default=True, help="Tokens that each worker puts at stake.")
@click.option("--submit-blocks", default=300, show_default=True, type=int, help="Blocks to train and submit in.")
@click.option(
    "--freeze-blocks", default=50, show_default=True, type=int, help="Blocks to check and complain in; 10 at least."
)
@click.option(
    "--settle-blocks", default=300, show_default=True, type=int, help="Blocks to sum in, before a round is stalled."
)
@click.option("--schema", required=True, help="schema.json of the datasets, or its content id.")
@click.option("--test", required=True, help="Public test rows: a CSV or Parquet file, or a content id.")
@click.option("--label", default=None, help="Label column of the test file.")
@click.option("--seed", default=None, type=int, help="Of the start model.  [default: drawn, and remembered]")
@start_option
@raw_start_option
@signing_options
@network_options
def open_command(
    worker_files: tuple[Path, ...], schema: str, test: str, label: str | None, reward: str, bond: str,
    worker_bond: str, threshold: int | None, start_file: Path | None, raw_start: bool, as_json: bool, quiet: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Open a task and pay in the rewards of all its rounds. All is checked before anything is sent.

    Repeat the very same command after an interruption: it finishes the task, and never opens a second one. Another
    --name or --seed makes another task.
    """
    from fedproof.app.amounts import parse_tokens, show_tokens
    from fedproof.app.opening import Opening, default_threshold
    from fedproof.app.taskfile import read_schema, read_test, read_workers
    from fedproof.app.taskfile import read_start as read_arrays
    from fedproof.app.taskopen import open_task

    workers = read_workers(worker_files)
    arrays = start_file is not None and start_file.suffix == ".npz"
    start = None if arrays else read_start(start_file, raw_start)
    amounts: dict[str, Any] = {
        name: _tokens(parse_tokens, option, text)
        for name, option, text in (
            ("reward", "--reward", reward),
            ("bond", "--bond", bond),
            ("worker_bond", "--worker-bond", worker_bond),
        )
    }
    numbers = {name: given.pop(name) for name in _NUMBERS}
    with opened_network(quiet, given) as (network, terminal):
        plan = network.document.plan
        found = read_schema(schema, plan, network.store)
        opening = Opening(
            schema=found,
            test=read_test(test, label, found, network.store),
            workers=workers,
            threshold=default_threshold(len(workers)) if threshold is None else threshold,
            start=read_arrays(start_file, plan) if arrays and start_file is not None else start,
            **amounts,
            **numbers,
        )
        opening.check(plan)
        with signer(given) as (account, state):
            made = open_task(network, account, state, opening, network.cache, terminal)
    again = "" if made.fresh else " already"
    lines = [
        f"task {made.task_id} is open{again}; {show_tokens(made.escrow)} tokens are in escrow",
        f"each update comes with a {made.statement}",
    ]
    show(as_json, made.to_json(), lines)


_NUMBERS = (
    "name", "rounds", "participants", "min_updates", "submit_blocks", "freeze_blocks", "settle_blocks", "seed",
)  # fmt: skip


def _tokens(parse: Any, option: str, text: str) -> int:
    from fedproof.errors import InputError

    try:
        return int(parse(text))
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


@task.command()
@click.argument("task_id", type=TASK, metavar="TASK")
@click.option("--at", default=None, type=click.IntRange(1), help="Wait for so many participants first.")
@click.option("--timeout", default=0.0, type=click.FloatRange(0), help="Seconds to wait at most.  [default: no end]")
@signing_options
@network_options
def start(task_id: int, at: int | None, timeout: float, as_json: bool, quiet: bool, **where: Any) -> None:
    """Close the enrolment of TASK and open its first round, before all places are taken; the sponsor alone can."""
    from fedproof.app.tasks import start_task

    with opened_network(quiet, where) as (network, terminal), signer(where) as (account, state):
        made = start_task(network, account, state, task_id, terminal, at=at, timeout=timeout)
    show(as_json, made.to_json(), [made.line()])


@task.command()
@click.argument("task_id", type=TASK, metavar="[TASK]", required=False)
@network_options
def status(task_id: int | None, as_json: bool, quiet: bool, **where: Any) -> None:
    """Where TASK stands; without it, one line for each task."""
    from fedproof.app.taskstatus import all_tasks, task_status

    with opened_network(quiet, where) as (network, _):
        found = all_tasks(network) if task_id is None else [task_status(network, task_id)]
    if task_id is None:
        lines = [printable(each.line()) for each in found]
        show(as_json, [each.to_json() for each in found], lines or ["no tasks"])
    else:
        show(as_json, found[0].to_json(), found[0].lines())


@task.command()
@click.argument("task_id", type=TASK, metavar="TASK")
@click.option("--until-round", default=None, type=click.IntRange(1), help="End when this round is done.")
@network_options
def watch(task_id: int, until_round: int | None, as_json: bool, quiet: bool, **where: Any) -> None:
    """A line for each thing that happens in TASK, from its beginning to its end; with --json an object for each."""
    from fedproof.app.taskwatch import Watch

    with opened_network(quiet, where) as (network, _):
        for each in Watch(network, task_id, until_round).run():
            block = "" if each.block is None else f"block {each.block}: "
            click.echo(json.dumps(each.to_json()) if as_json else encodable(printable(block + each.text)))


@task.command()
@click.argument("task_id", type=TASK, metavar="TASK")
@click.option("--round", "number", default=None, type=click.IntRange(0), help="0 is the start.  [default: the newest]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="JSON file to write.")
@network_options
def model(task_id: int, number: int | None, out: Path, as_json: bool, quiet: bool, **where: Any) -> None:
    """Fetch the model of a round of TASK, check it against the chain, and write it with the names of its features."""
    from fedproof.app.taskmodel import write_model

    with opened_network(quiet, where) as (network, _):
        made = write_model(network, network.federation.task_info(task_id), number, out)
    document = {"task": task_id, "round": made["round"], "file": str(out), "content_id": made["content_id"]}
    show(as_json, document, [f"{out}: the model of round {made['round']}, as the chain committed to it"])


@task.command()
@click.argument("task_id", type=TASK, metavar="TASK")
@signing_options
@network_options
def close(task_id: int, as_json: bool, quiet: bool, **where: Any) -> None:
    """End TASK if it stands still, settle its stalled round if one is due, and give the sponsor back what is left."""
    from fedproof.app.amounts import show_tokens
    from fedproof.app.tasks import close_task

    with opened_network(quiet, where) as (network, terminal), signer(where) as (account, state):
        made = close_task(network, account, state, task_id, terminal)
    before = [f"all was done before: {show_tokens(made.refunded)} tokens went back to the sponsor"]
    end = f"task {task_id} has ended ({made.ending}); {show_tokens(made.left)} tokens are left to be claimed"
    show(as_json, made.to_json(), [*(made.done or before), end])


@task.command()
@click.argument("task_id", type=TASK, metavar="TASK")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder, for fedproof verify.")
@network_options
def export(task_id: int, out: Path, as_json: bool, quiet: bool, **where: Any) -> None:
    """Write all that an auditor of the ended TASK needs into a folder: fedproof verify FOLDER --rpc URL."""
    from fedproof.app.export import export_task

    with opened_network(quiet, where) as (network, _):
        made = export_task(network, task_id, out)
    show(as_json, made.to_json(), [f"{out}: {made.blobs} blobs and {made.blocks} blocks of task {task_id}"])
