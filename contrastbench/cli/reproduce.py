"""`contrastbench reproduce`, which run_all.sh is: run what is missing, write the page, end with one screen."""

import dataclasses
import hashlib
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table as Grid
from rich.text import Text

import contrastbench
from contrastbench import papers
from contrastbench.cli.app import Folders, command, complain_of, console, grid_of
from contrastbench.cli.launch import fetch_missing_data, launch, with_data
from contrastbench.cli.options import How, Scale, Seeds, Slots, Targets, Which
from contrastbench.cli.planning import metrics_missing, planned_runs
from contrastbench.cli.report import OUTCOMES, TELLING, claim_line, print_table
from contrastbench.runner import files, states
from contrastbench.runner.plan import Planned
from contrastbench.runner.states import folder_of
from contrastbench.runner.vocabulary import Run, chain, duration
from contrastbench.selection import Targets as AskedFor

MOST_LINES = 24  # of the closing screen
SUFFIXES = (".py", ".html", ".css", ".js")  # of the code that makes a page


@command("reproduce")
def reproduce(
    folders: Folders, targets: Targets = None, scale: Scale = "quick", seeds: Seeds = None, slots: Slots = None
) -> None:
    """Runs what is missing, writes the HTML page, and ends with one screen of what was done and found."""
    asked, how = Which(targets, scale, seeds).read(), How(slots=slots)
    before = planned_runs(asked, folders)
    if not targets:  # who asks for everything gets what can be had
        before = with_data(before)
    to_run = [each for each in before if each.is_to_run]
    fetch_missing_data(each.run for each in to_run)
    began = time.monotonic()
    names = list(dict.fromkeys(each.run.paper for each in before))
    if to_run and len(names) > 1:
        place, cells = first_part(before, folders)
        keys = chain(run for runs in cells.values() for run in runs)
        if soon := [each for each in to_run if each.run.key in keys]:
            launch(soon, how, folders.runs)
            _print_cells(place, cells, folders)
    left = [each for each in to_run if not os.path.exists(folder_of(each.run, folders.runs) / "row.json")]
    launch(left, how, folders.runs)
    meant = {each.run.key for each in before}
    after = [each for each in planned_runs(asked, folders) if each.run.key in meant] if to_run else before
    summary = _read_or_summarise(names, asked, folders)
    hours = (time.monotonic() - began) / 3600
    _print_screen(after, {each.run.key for each in to_run}, summary, folders, scale, hours)
    missing = metrics_missing(asked, folders.runs)
    complain_of(missing)
    if missing or any(each.state.name != "done" for each in after):
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------------------ what is shown first

Place = tuple[str, str, str]  # paper, table and the scale of its runs


def first_part(planned: Sequence[Planned], folders: Folders) -> tuple[Place, dict[str, list[Run]]]:
    """Chooses the runs that come first, so that there are verdicts to read while the rest runs.

    Takes the table with the most cells that have a verdict against a printed number, by rows from here or shipped, and
    gives those cells; none if there is no verdict.
    """
    from contrastbench.verdicts.verdict import JUDGED

    asked: Mapping[Place, dict[str, list[Run]]] = defaultdict(dict)
    for each in planned:
        for table, name in each.cells:
            asked[each.run.paper, table, each.run.scale].setdefault(name, []).append(each.run)
    judged = {
        place: {cell.name for cell in table.cells if cell.verdict.kind in JUDGED} & asked[place].keys()
        for paper in dict.fromkeys(each.run.paper for each in planned)
        for place, table in _tables(paper, folders).items()
        if place in asked
    }
    place, names = max(judged.items(), key=lambda each: len(each[1]), default=(("", "", ""), set[str]()))
    return place, {name: asked[place][name] for name in names}


def _tables(paper: str, folders: Folders) -> dict[Place, Any]:
    from contrastbench.evidence import gather

    tables = gather(papers.paper(paper), folders.runs, folders.results).tables
    return {(table.paper, table.name, table.scale): table for table in tables}


def _print_cells(place: Place, names: Container[str], folders: Folders) -> None:
    """Prints some cells of a table as `table` does, but without tests, which need all of its cells."""
    table = _tables(place[0], folders)[place]
    shown = dataclasses.replace(table, cells=[cell for cell in table.cells if cell.name in names], unmatched=())
    print_table(shown, analysis=False)


# --------------------------------------------------------------------------------------------------- what the rows say


def _read_or_summarise(names: Sequence[str], asked: AskedFor, folders: Folders) -> dict[str, Any]:
    """Writes the page and returns what the rows say, per paper. If nothing changed since the last time, reads that."""
    kept, page = (folders.report / name for name in ("screen.json", "index.html"))
    digest = _digest(names, asked, folders)
    try:
        summary = files.read_object(kept)
        if summary["digest"] == digest and page.exists():
            return summary
    except (OSError, ValueError, KeyError):
        pass
    with console.status("writing the report"):
        summary = _summarise(names, asked, folders, page)
    files.write_json(kept, {**summary, "digest": digest}, sync=False)
    return summary


def _digest(names: Sequence[str], asked: AskedFor, folders: Folders) -> str:
    """Changes whenever a row, a published number or the code that makes the page does."""
    scale = asked.selections[0].scale if asked.selections else ""
    digest = hashlib.sha256(json.dumps([asked.typed, scale, str(folders)]).encode())
    sources = [path for path in Path(contrastbench.__file__).parent.rglob("*") if path.suffix in SUFFIXES]
    for name in names:
        sources += [*(folders.runs / name).glob("*/row.json"), *(folders.results / name).glob("rows*.jsonl")]
        sources += [path for path in papers.paper(name).folder.iterdir() if path.is_file()]
    for path in sorted(sources):
        found = path.stat()
        digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _summarise(names: Sequence[str], asked: AskedFor, folders: Folders, page: Path) -> dict[str, Any]:
    """Gathers the papers, writes their page, and says what the rows of this machine alone say."""
    from contrastbench.drawing import write_page
    from contrastbench.evidence import EQUAL, OTHER_MACHINE, agreement, gather
    from contrastbench.verdicts.cells import count_numbers
    from contrastbench.verdicts.judging import most_telling

    evidence = {name: gather(papers.paper(name), folders.runs, folders.results) for name in names}
    write_page(list(evidence.values()), page)
    own = {name: dataclasses.replace(each, shipped=[]) for name, each in evidence.items()}
    agreements = {name: agreement(each) for name, each in evidence.items()}
    telling = most_telling({name: each.claims for name, each in own.items()}, TELLING)
    numbers = sum((count_numbers(each.published, each.tables) for each in own.values()), Counter[str]())
    return {
        "claims": {name: Counter(judged.outcome for judged in each.claims) for name, each in own.items()},
        "telling": [[each.outcome, each.claim.sentence, each.facts] for _, each in telling],
        "numbers": numbers,
        "equal": {name: [each.counts[EQUAL], each.counts.total()] for name, each in agreements.items()},
        "elsewhere": sum(each.counts[OTHER_MACHINE] for each in agreements.values()),
        "judged": sum(each.judged for each in agreements.values()),
        "outside": sum(each.outside for each in agreements.values()),
        "differing": [line for each in agreements.values() for line in each.differing],
    }


# ---------------------------------------------------------------------------------------------------------- the screen


def _print_screen(
    planned: Sequence[Planned], started: set[str], summary: dict[str, Any], folders: Folders, scale: str, hours: float
) -> None:
    """At most 24 lines of 80 characters, whatever was run. All of it is of this machine's own runs."""
    names = list(summary["claims"])
    took = f" in {duration(hours)}" if started else ", all from before"
    several = f"{len(names)} papers" if len(names) > 1 else names[0]
    signs = ", ".join(f"{sign} {outcome}" for outcome, (sign, _) in OUTCOMES.items())
    lines = [Text(f"claims, from these runs alone: {signs}", "dim")]
    if summary["elsewhere"]:
        lines.append(Text(_of_other_machines(summary), "dim"))
    lines += [Text(line, "red") for line in summary["differing"][:1]]  # `verify` lists all
    for each in [each for each in planned if each.state.name != "done"][:2]:
        what = f"{each.state.name}: {each.run.dataset} {each.run.method}, contrastbench show {each.run.key[:12]}"
        lines.append(Text(what, "red"))
    lines.append(Text(_of_numbers(summary["numbers"])))
    page = folders.report / "index.html"
    follow = [
        f"report: {page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page}",
        "next:   contrastbench claims",
        f"next:   contrastbench plan {names[0]} --scale paper",
    ]
    telling = [claim_line(*claim) for claim in summary["telling"]]
    room = MOST_LINES - 2 - len(names) - len(follow) - sum(map(_height, lines))
    console.print(Text(f"{len(planned)} runs of {several} at {scale} scale{took}", "bold"))
    console.print(_paper_grid(planned, started, summary))
    for line in lines:
        console.print(line)
    for line in telling:
        if (room := room - _height(line)) >= 0:
            console.print(line)
    for text in follow:
        console.print(text, soft_wrap=True)


def _height(line: Text) -> int:
    return len(line.wrap(console, console.width))


def _of_numbers(numbers: Mapping[str, int]) -> str:
    """``Of 1,480 printed numbers 1,200 can be run here; these runs meet 12: 4 reproduced, 8 undecided``."""
    from contrastbench.verdicts.verdict import JUDGED

    met = {kind: numbers[kind] for kind in JUDGED if numbers.get(kind)}
    counted = ", ".join(f"{count} {kind}" for kind, count in met.items())
    declared = f"Of {numbers.get('printed', 0):,} printed numbers {numbers.get('declared', 0):,} can be run"
    return f"{declared}; these runs meet {sum(met.values())}{': ' if met else ''}{counted}."


def _of_other_machines(summary: dict[str, Any]) -> str:
    """Why rows are not equal to the shipped ones, and whether that matters."""
    why = f"{summary['elsewhere']} rows are not, since another kind of machine made the shipped ones."
    judged = summary["judged"]
    agreeing = f" {judged - summary['outside']} of {judged} cells with them agree within the seeds' noise."
    return f"as shipped: equal bit for bit. {why}{agreeing if judged else ''}"


def _paper_grid(planned: Sequence[Planned], started: set[str], summary: dict[str, Any]) -> Grid:
    columns = ["done", "before", "failed", "as shipped", *(sign for sign, _ in OUTCOMES.values())]
    grid = grid_of("paper", *columns, right=columns)
    for name, outcomes in summary["claims"].items():
        own = [each for each in planned if each.run.paper == name]
        done = [each.run.key in started for each in own if each.state.name == "done"]
        failed = sum(each.state.name in states.FAILURES for each in own)
        same, both = summary["equal"][name]
        counts = (str(outcomes.get(outcome, "") or "") for outcome in OUTCOMES)
        numbers = (str(sum(done)), str(len(done) - sum(done)), str(failed), f"{same} of {both}" if both else "-")
        grid.add_row(name, *numbers, *counts)
    return grid
