"""The application: the folders that its commands use, how it prints, and how a command ends."""

import dataclasses
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table as Grid
from rich.text import Text

from contrastbench.runner.provenance import PROJECT, git, home

app = typer.Typer(
    help="Reruns the published tables of contrastive learning and says, cell by cell, whether they hold.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
    if getattr(sys, _name) is None:  # closed by the caller; the next file that is opened would take its number
        setattr(sys, _name, open(os.devnull, _mode))  # noqa: SIM115
WIDE = 160  # characters of a line if the output is no terminal
# Rows, errors and file names may hold anything, so no text is read as markup. Colours are given as styled Text.
PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
BOXES = dict.fromkeys((*range(9), *range(11, 32), 127, *range(128, 160)), "�")


class HarmlessConsole(Console):
    """Shows control characters of names and messages as a box: a terminal would obey them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else text.translate(BOXES), style, control)


console = HarmlessConsole(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDE, **PLAIN)
complaints = HarmlessConsole(stderr=True, **PLAIN)


@dataclass(frozen=True)
class Folders:
    """Where a command reads and writes."""

    runs: Path
    results: Path

    @property
    def report(self) -> Path:
        """Where the page and the figures go: beside the rows that are shown, but not into what a wheel installed."""
        return (home() / "results" if self.results == PROJECT / "results" else self.results) / "report"


def _print_version(wanted: bool) -> None:
    if wanted:
        commit = git()["commit"]
        console.print(f"contrastbench {metadata.version('contrastbench')}" + (f" ({commit[:12]})" if commit else ""))
        raise typer.Exit


@app.callback()
def choose_folders(
    context: typer.Context,
    runs: Annotated[
        Path | None, typer.Option(envvar="CONTRASTBENCH_RUNS", help="this machine's run folders; runs/ if not given")
    ] = None,
    results: Annotated[
        Path, typer.Option(envvar="CONTRASTBENCH_RESULTS", help="the shipped rows, tables and figures")
    ] = PROJECT / "results",
    data_root: Annotated[
        Path | None, typer.Option(envvar="CONTRASTBENCH_DATA", help="a folder with data sets, read before any download")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="the version, and the commit")
    ] = False,
) -> None:
    context.obj = Folders((runs or home() / "runs").absolute(), results.absolute())
    if data_root is not None:
        if not data_root.is_dir():
            complain(f"data root {data_root} is not a folder; give an existing one or none")
            raise typer.Exit(2)
        os.environ["CONTRASTBENCH_DATA"] = str(data_root.absolute())


def grid_of(*columns: str | Text, right: Container[str | Text] = ()) -> Grid:
    """A grid without lines, whose long words fold; the columns in ``right`` are numbers."""
    grid = Grid(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return grid


def complain(message: str) -> None:
    complaints.print(Text.assemble(("error:", "red"), " ", message), soft_wrap=True)


def note(message: str) -> None:
    complaints.print(Text(message, "yellow"), soft_wrap=True)


def echo(text: str) -> None:
    """Prints a text as it is, for a file or another program; a terminal gets no control characters."""
    typer.echo(text.translate(BOXES) if sys.stdout.isatty() else text, nl=False)


def complain_of(problems: Iterable[str]) -> None:
    for problem in problems:
        complain(problem)


def in_one_line(error: Exception) -> str:
    """The error in one line; an error of the file system as the file and what is wrong with it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename2 or error.filename or 'write'}: {error.strerror.lower()}"  # 2: a rename's new name
    return " ".join(str(error).split())


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, its workers' runs saved."""


def end_on_sigterm() -> None:
    """Makes SIGTERM raise ``Terminated`` in the main thread."""

    def end(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


Command = Callable[..., Any]


def command(name: str, group: typer.Typer = app) -> Callable[[Command], Command]:
    """Makes a function a command that ends in one line: bad input exits with 2, Ctrl-C with 130, SIGTERM with 143.

    Any other exception is a defect of ours and keeps its traceback. A parameter ``folders`` gets the command line's.
    One whose type is a dataclass stands for several options, the dataclass's fields.
    """

    def added(function: Command) -> Command:
        parameters = inspect.signature(function, eval_str=True).parameters
        kinds = {each.name: each.annotation for each in parameters.values() if each.name != "folders"}
        groups: dict[str, Any] = {name: kind for name, kind in kinds.items() if dataclasses.is_dataclass(kind)}

        @functools.wraps(function)
        def guarded(context: typer.Context, **given: Any) -> Any:
            for parameter, kind in groups.items():
                given[parameter] = kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
            if "folders" in parameters:
                given["folders"] = context.obj
            try:
                return function(**given)
            except (ValueError, OSError) as error:
                complain(in_one_line(error))
                raise typer.Exit(2) from None
            except KeyboardInterrupt as stop:
                complaints.print("stopped; nothing is lost, the same command goes on")
                raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from None

        named = inspect.Parameter.KEYWORD_ONLY
        options = [inspect.Parameter("context", named, annotation=typer.Context)]
        for parameter, each in parameters.items():
            fields = inspect.signature(groups[parameter], eval_str=True).parameters if parameter in groups else {}
            options += [own.replace(kind=named) for own in fields.values() or [each] if own.name != "folders"]
        guarded.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        return group.command(name)(guarded)

    return added
