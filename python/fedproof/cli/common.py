"""What the commands of a marketplace home share: options, progress, and output for people or scripts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedproof.cli.terminal import Terminal, clean, encodable

if TYPE_CHECKING:  # what a command needs it imports when it runs: the chain's libraries take a second
    from fedproof.app.home import Home
    from fedproof.app.startmodel import Start

F = TypeVar("F", bound=Callable[..., Any])

WORD_BITS = 256
MAX_EPOCHS = 1 << 20


class DatasetId(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on, and 8.1 must do
    """The id of a dataset, a positive 256-bit word on chain."""

    name = "dataset_id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or click's error in one line."""
        text = str(value)
        # a word has 78 digits at most
        if text.isascii() and text.isdecimal() and len(text) <= 78 and 0 < int(text) < 1 << WORD_BITS:
            return int(text)
        shown = text if len(text) <= 60 else text[:57] + "..."
        self.fail(f"{shown!r} is no dataset id: ids are whole numbers from 1; see: fedproof dataset list", param, ctx)


DATASET_ID = DatasetId()
EPOCHS = click.IntRange(0, MAX_EPOCHS)  # the vault locks no longer

home_option = click.option(
    "--home",
    "home_folder",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the marketplace home.  [default: $FEDPROOF_HOME or fedproof-home]",
)
model_option = click.option(
    "--model",
    default="logistic",
    show_default=True,
    help="What is trained: logistic, linear, softmax, or mlp with the widths of its hidden layers, as mlp:16,8 (which "
    "mlp alone is). Nodes with trainers of their own take arrays:16x30,16, too, with --statement bounded.",
)
epochs_option = click.option(
    "--epochs", default=1, show_default=True, type=click.IntRange(1, 64), help="Local epochs of each round."
)
start_option = click.option(
    "--start",
    "start_file",
    default=None,
    type=click.Path(path_type=Path),
    help="Start near this model: an ONNX file, a layer list in JSON, or what fedproof task model wrote. Its weights, "
    "each moved by a draw within 1/1000; its architecture must be the one that is trained. For bounded updates and "
    "task open also a .npz of arrays, taken as they are: take fresh values for each task.",
)
raw_start_option = click.option(
    "--raw-start", is_flag=True, help="The model of --start reads features in their units, not standardised ones."
)
_statement_option = click.option(
    "--statement",
    default="training",
    show_default=True,
    type=click.Choice(["training", "bounded"]),
    help="What each update is proven to be: exactly what training gives, or bounded in its L2 norm, for models outside "
    "the family, which is no proof of training.",
)
_norm_option = click.option(
    "--norm",
    default=None,
    type=float,
    help="Bound of the L2 norm, in units of a weight, with --statement bounded.  [default: 1]",
)


def statement_options(command: F) -> F:
    """`--statement` and `--norm`."""
    return _statement_option(_norm_option(command))


labels_option = click.option(
    "--labels",
    default=None,
    help='What labels are: binary, target, or their number, such as "classes 3".  [default: as the model has them]',
)
identity_option = click.option("--as", "name", required=True, help="Identity that acts; its secrets are in the home.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")


def home_options(command: F) -> F:
    """`--home`, `--json` and `--quiet`."""
    return home_option(json_option(quiet_option(command)))


def read_start(path: Path | None, raw: bool, given: dict[str, Any] | None = None) -> Start | None:
    """What `--start` names. Where `--model` is not given its architecture goes into `given`, for it is the file's."""
    from fedproof.app.startmodel import Start
    from fedproof.errors import InputError

    if path is None:
        if raw:
            raise InputError("--raw-start says how --start FILE is read; give that, too")
        return None
    start = Start.read(path, raw)
    source = click.get_current_context().get_parameter_source("model")
    if given is not None and source is click.core.ParameterSource.DEFAULT:
        given["model"] = start.asked()
    return start


@contextlib.contextmanager
def opened(home_folder: Path | None, quiet: bool) -> Iterator[tuple[Home, Terminal]]:
    """An open home and the progress that belongs to it."""
    from fedproof.app.home import Home, default_home

    with progress(quiet) as terminal, Home.open(home_folder or default_home(), terminal) as home:
        yield home, terminal


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Terminal]:
    """Progress on standard error until the block ends."""
    terminal = Terminal(quiet)
    try:
        yield terminal
    finally:
        terminal.close()


def show(as_json: bool, document: Any, lines: list[str]) -> None:
    """Print a document for scripts, or lines for people."""
    click.echo(json.dumps(document, indent=2) if as_json else encodable("\n".join(map(clean, lines))))
