"""The application `mediatech`: what all of its commands have in common.

What belongs here: the typer application, the order in which its help lists the commands, options and arguments that
commands of several modules take, how errors end a command, and how anything is printed, asked or shown in progress.
What does not: commands, and what only the commands of one module share.
"""

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from mediatech_assets import __version__
from mediatech_assets.errors import ConfigurationError, MediatechError, unusable_file

#: Exit code: it was done, but some input could not be used.
INPUT_REFUSED = 3

#: Commands as the help lists them: from a first look to what is seldom needed.
_LISTED = (
    "demo",
    "update",
    "status",
    "search",
    "sql",
    "skip-archive",
    "releases",
    "review",
    "approve",
    "reject",
    "publish",
    "rollback",
    "verify",
    "prune",
    "purge",
    "ui",
    "doctor",
    "vectors",
)


class _Listed(TyperGroup):
    """The group of all commands. Their order is one for people, whichever module is imported first."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002 - a private type of typer
        """Names of the commands, in the order of the help."""
        return sorted(self.commands, key=_LISTED.index)


app = typer.Typer(
    name="mediatech",
    cls=_Listed,
    help="Turns public French data into datasets for search engines and chatbots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

#: Tables sent to a file or a pipe have room for their columns.
_WIDTH_ELSEWHERE = 160

out = Console(width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE)
err = Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH_ELSEWHERE)

Datasets = Annotated[
    str, typer.Option("--datasets", help="Datasets, comma-separated; all when not given.", show_default=False)
]
OfDataset = Annotated[str, typer.Argument(help="Name of the dataset.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def examples(*lines: str) -> str:
    """Examples for the end of a command's help; the mark at the start keeps the lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def explained(command: Callable[..., None]) -> Callable[..., None]:
    """Shows errors meant for people as two lines, and ends with exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:  # noqa: ANN401 - whatever the command takes
        try:
            command(*args, **options)
        except MediatechError as error:
            _fail(error)
        except OSError as error:
            _fail(unusable_file(error))
        except KeyboardInterrupt:
            err.print("stopped; running the same command again goes on where it was", markup=False)
            raise typer.Exit(130) from None

    return run


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def dataset_names(text: str) -> list[str]:
    """Names of the datasets asked for.

    Raises:
        ConfigurationError: one of them does not exist.
    """
    from mediatech_assets.datasets.registry import all_datasets, dataset_named

    return [dataset_named(name).name for name in comma_separated(text)] or list(all_datasets())


def comma_separated(text: str) -> list[str]:
    """The parts of an option that takes several values."""
    return [part.strip() for part in text.split(",") if part.strip()]


@contextmanager
def progress_shown() -> Iterator[None]:
    """Bars and one line a layer on a terminal; timed log lines elsewhere."""
    from mediatech_assets.console import TerminalReporter, line_handler
    from mediatech_assets.progress import shown_by

    logger = logging.getLogger("mediatech")
    package = logging.getLogger("mediatech_assets")
    handler = line_handler(err)
    for log in (logger, package):
        log.setLevel(logging.INFO)
        log.propagate = False
        log.addHandler(handler)
    try:
        if err.is_terminal:
            with TerminalReporter(err) as reporter, shown_by(reporter):
                yield
        else:
            yield
    finally:
        for log in (logger, package):
            log.removeHandler(handler)


def confirm(question: str, option: str) -> None:
    """Asks a person; leaves when the answer is no.

    Raises:
        ConfigurationError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to confirm at", f"give {option}")
    # Not typer's: with it, a space goes to standard output, which belongs to the result.
    err.print(f"{question} [y/N] ", end="", markup=False, highlight=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        err.print("nothing was done", markup=False)
        raise typer.Exit(1)


def _fail(error: MediatechError) -> NoReturn:
    err.print(f"error: {error.problem}", style="bold red", markup=False, highlight=False, soft_wrap=True)
    err.print(f"  -> {error.remedy}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1) from None


def say(text: str) -> None:
    """Prints a line for people as it is: no markup, no folding."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Prints what `--json` promises: one value, on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
