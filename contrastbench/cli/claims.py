"""`contrastbench claims`: what the papers claim, and whether the rows hold it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import Folders, command, console
from contrastbench.cli.options import one_of

if TYPE_CHECKING:
    from contrastbench.verdicts.claims import Judged

OUTCOMES = {  # of a claim: its sign and colour; named here because the statistics take a second to import
    **{"holds": ("✓", "green"), "fails": ("✗", "red")},
    **{"undecided": ("?", "yellow"), "not run": ("–", "dim")},
}
TELLING = 5  # claims shown of all papers


@command("claims")
def show_claims(
    folders: Folders,
    paper: Annotated[
        str | None,
        typer.Argument(help="a paper; the most telling of all if not given", autocompletion=one_of(papers.names)),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="only from rows made on this machine, without shipped ones")
    ] = False,
) -> None:
    """Shows what the papers claim and whether it holds: with PAPER every claim of it, with its effect and interval."""
    import dataclasses

    from contrastbench.evidence import gather

    names = [paper] if paper else papers.names()
    evidence = {name: gather(papers.paper(name), folders.runs, folders.results) for name in names}
    if here:
        evidence = {name: dataclasses.replace(each, shipped=[]) for name, each in evidence.items()}
    judged = {name: each.claims for name, each in evidence.items() if each.claims}
    if not judged:
        raise ValueError(f"{paper} declares no claims" if paper else "no paper declares claims")
    if paper:
        console.print(claims_grid(judged[paper]))
    else:
        print_summary(judged)
    console.print("Effects are means of differences in pairs by seed, with their 95 % interval.", style="dim")


def print_summary(judged: Mapping[str, Sequence[Judged]], count: int = TELLING) -> None:
    """A line a paper, then the claims that tell most."""
    from contrastbench.verdicts.claims import count_outcomes, most_telling

    for name, own in judged.items():
        console.print(Text.assemble((f"{name}: ", "bold"), count_outcomes(own)), soft_wrap=True)
    for _, each in most_telling(judged, count):
        console.print(
            Text.assemble(_sign(each), " ", each.claim.sentence, (f" {each.numbers}, {each.protocol}", "dim"))
        )


def claims_grid(judged: Sequence[Judged]) -> Grid:
    """A line a claim: its outcome, the sentence, where it is printed, and what was found."""
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column, options in {"": {}, "claim": {"ratio": 3}, "printed in": {"ratio": 1}, "found": {"ratio": 3}}.items():
        grid.add_column(column, overflow="fold", **options)  # type: ignore[arg-type]
    for each in judged:
        found = "; ".join(filter(None, (", ".join(filter(None, (each.numbers, each.protocol))), each.remark)))
        grid.add_row(_sign(each), each.claim.sentence, each.claim.where, found or str(each.outcome))
    return grid


def _sign(judged: Judged) -> Text:
    return Text(*OUTCOMES[judged.outcome])
