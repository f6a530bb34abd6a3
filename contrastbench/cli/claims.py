"""`contrastbench claims`: what the papers claim, and whether the rows hold it up."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import Folders, command, console, grid_of
from contrastbench.cli.options import one_of

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
    from contrastbench.evidence import gather
    from contrastbench.verdicts.judging import count_outcomes, most_telling

    judged = {}
    for name in [paper] if paper else papers.names():
        evidence = gather(papers.paper(name), folders.runs, folders.results)
        if claims := (dataclasses.replace(evidence, shipped=[]) if here else evidence).claims:
            judged[name] = claims
    if not judged:
        raise ValueError(f"{paper} declares no claims" if paper else "no paper declares claims")
    if paper:
        grid = grid_of("", "claim", "printed in", "found")
        for column, ratio in zip(grid.columns, (None, 3, 1, 3), strict=True):
            column.ratio = ratio
        for each in judged[paper]:
            found = "; ".join(filter(None, (each.facts, each.remark)))
            sign = Text(*OUTCOMES[each.outcome])
            grid.add_row(sign, each.claim.sentence, each.claim.where, found or str(each.outcome))
        console.print(grid)
    else:
        for name, claims in judged.items():
            console.print(Text.assemble((f"{name}: ", "bold"), count_outcomes(claims)), soft_wrap=True)
        for _, each in most_telling(judged, TELLING):
            console.print(claim_line(each.outcome, each.claim.sentence, each.facts))
    console.print("Effects are means of differences in pairs by seed, with their 95 % interval.", style="dim")


def claim_line(outcome: str, sentence: str, facts: str) -> Text:
    return Text.assemble(OUTCOMES[outcome], f" {sentence} ", (facts, "dim"))
