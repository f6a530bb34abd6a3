"""`contrastbench reproduce`, which run_all.sh is: run what is missing, write the page, end with one screen."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places
from contrastbench.cli.before import data_is_here, with_data, write_each_ticket
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.display import Display, duration
from contrastbench.cli.launching import Launcher, Options, launcher_of
from contrastbench.cli.measured import metrics_missing
from contrastbench.cli.options import Device, Scale, Seeds, Slots, Targets, Threads
from contrastbench.cli.planning import planned_runs
from contrastbench.runner import files, states
from contrastbench.runner.plan import Planned
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.states import folder_of

FINDINGS = 3  # on the screen; the page has all
LONGEST_FINDING = 150  # characters
SECONDS_BETWEEN_LINES = 60.0  # where the output is a file
SUFFIXES = (".py", ".html", ".css", ".js")  # of the code that makes a page


@app.command("reproduce")
@one_line_errors
def reproduce(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    device: Device = None,
    threads: Threads = None,
    slots: Slots = None,
) -> None:
    """Runs what is missing, writes the HTML page, and ends with one screen of what was done and found."""
    launcher = launcher_of("local", Options(device, threads, slots))
    before = planned_runs(targets, scale, seeds)
    if not targets:  # who asks for everything gets what can be had
        before = with_data(before)
    to_run = [each for each in before if each.is_to_run]
    data_is_here((each.run for each in to_run), None)
    began = time.monotonic()
    names = list(dict.fromkeys(each.run.paper for each in before))
    from contrastbench.cli.first import first_part

    first = first_part(before) if to_run and len(names) > 1 else None
    if first and (soon := [each for each in to_run if each.run.key in first.keys]):
        _launch(soon, launcher)
        first.print()
    _launch([each for each in before if each.is_to_run and not _has_ended(each)], launcher)
    keys = {each.run.key for each in before}
    after = [each for each in planned_runs(targets, scale, seeds) if each.run.key in keys] if to_run else before
    said = _read_or_say(names, targets, scale)
    hours = (time.monotonic() - began) / 3600
    _print_screen(after, {each.run.key for each in to_run}, said, scale, hours)
    missing = metrics_missing(targets, scale, seeds, None)
    for line in missing:
        complain(line)
    if missing or any(each.state.name != "done" for each in after):
        raise typer.Exit(1)


def _launch(to_run: Sequence[Planned], launcher: Launcher) -> None:
    if to_run:
        jobs = write_each_ticket(to_run)
        with Display(console, len(jobs), SECONDS_BETWEEN_LINES) as display:
            launcher.start(jobs, display)


def _has_ended(each: Planned) -> bool:
    """Whether a run has left its row since it was planned; False if its folder cannot be read."""
    return os.path.exists(folder_of(each.run, places.runs) / "row.json")


def _read_or_say(names: Sequence[str], targets: list[str] | None, scale: str) -> dict[str, Any]:
    """Writes the page and returns what the rows say, per paper. If nothing changed since the last time, reads that."""
    kept = places.results / "report" / "screen.json"
    page = places.results / "report" / "index.html"
    digest = _digest(names, targets, scale)
    try:
        said = files.read_object(kept)
        if said["digest"] == digest and page.exists():
            return said
    except (OSError, ValueError, KeyError):
        pass
    if console.is_terminal:
        with console.status("writing the report"):
            said = _say(names, targets, scale, page)
    else:
        said = _say(names, targets, scale, page)
    files.write_json(kept, {**said, "digest": digest}, sync=False)
    return said


def _digest(names: Sequence[str], targets: list[str] | None, scale: str) -> str:
    """Changes whenever a row, a published number or the code that makes the page does."""
    digest = hashlib.sha256(json.dumps([targets, scale, str(places.runs), str(places.results)]).encode())
    for path in _sources(names):
        found = path.stat()
        digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _sources(names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        yield from sorted((places.runs / name).glob("*/row.json"))
        yield from sorted(path for path in papers.paper(name).folder.iterdir() if path.is_file())
        yield from sorted((places.results / name).glob("rows*.jsonl"))
    yield from sorted(path for path in (PROJECT / "contrastbench").rglob("*") if path.suffix in SUFFIXES)


def _say(names: Sequence[str], targets: list[str] | None, scale: str, page: Path) -> dict[str, Any]:
    """Gathers the papers, writes their page and counts what it says of the cells that were asked for."""
    from contrastbench.drawing import write_page
    from contrastbench.evidence import EQUAL, OTHER_MACHINE, agreement, gather
    from contrastbench.readmes.blocks import findings_of

    gathered = {name: gather(papers.paper(name), places.runs, places.results) for name in names}
    write_page(list(gathered.values()), page)
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for selection in asked_for(targets, scale).selections:
        name = selection.paper.name
        if name in gathered:  # else it has nothing at this scale
            asked = {(table, cell.name, cell.runs[0].scale) for table, cell in selection.cells()}
            cells = [cell for table in gathered[name].tables for cell in table.cells if cell.here.done]
            here = [cell for cell in cells if (cell.table, cell.name, cell.scale) in asked]
            verdicts[name].update(cell.verdict.kind for cell in here)
    found = {name: findings_of(papers.paper(name).folder / "README.md") for name in names}
    agreements = {name: agreement(each) for name, each in gathered.items()}
    return {
        "verdicts": {name: dict(counts) for name, counts in verdicts.items()},
        "findings": {name: findings[:FINDINGS] for name, findings in found.items()},
        "equal": {name: [each.counts[EQUAL], each.counts.total()] for name, each in agreements.items()},
        "elsewhere": sum(each.counts[OTHER_MACHINE] for each in agreements.values()),
        "judged": sum(each.judged for each in agreements.values()),
        "outside": sum(each.outside for each in agreements.values()),
        "differing": [line for each in agreements.values() for line in each.differing],
    }


KINDS = {"reproduced": "✓", "differs": "✗", "undecided": "?", "not comparable": "○"}


def _print_screen(
    planned: Sequence[Planned], started: set[str], said: dict[str, Any], scale: str, hours: float
) -> None:
    """At most 24 lines of 80 characters, whatever was run."""
    names = list(said["verdicts"])
    took = f" in {duration(hours)}" if started else ", all from before"
    several = f"{len(names)} papers" if len(names) > 1 else names[0]
    console.print(Text(f"{len(planned)} runs of {several} at {scale} scale{took}", "bold"))
    console.print(_paper_grid(planned, started, said))
    console.print(Text(", ".join(f"{sign} {kind}" for kind, sign in KINDS.items()) + " (cells, against print)", "dim"))
    if said["elsewhere"]:
        console.print(Text(_of_other_machines(said), "dim"))
    for line in said["differing"][:1]:  # `verify` lists all
        console.print(Text(_short(line, 78), "red"))
    for each in [each for each in planned if each.state.name != "done"][:2]:
        what = f"{each.state.name}: {each.run.dataset} {each.run.method}, contrastbench show {each.run.key[:12]}"
        console.print(Text(_short(what, 78), "red"))
    for name, finding in _chosen_findings(said["findings"]):
        console.print(Text.assemble((f"{name}: ", "bold"), _short(finding, LONGEST_FINDING - len(name))))
    console.print(f"report: {_relative(places.results / 'report' / 'index.html')}", soft_wrap=True)
    for follow in (f"table {names[0]}", f"plan {names[0]} --scale paper"):
        console.print(f"next:   contrastbench {follow}", soft_wrap=True)


def _of_other_machines(said: dict[str, Any]) -> str:
    """Why rows are not equal to the shipped ones, and whether that matters."""
    why = f"{said['elsewhere']} rows are not, since another kind of machine made the shipped ones."
    agreeing = f" {said['judged'] - said['outside']} of {said['judged']} cells with them agree within the seeds' noise."
    return f"as shipped: equal bit for bit. {why}{agreeing if said['judged'] else ''}"


def _paper_grid(planned: Sequence[Planned], started: set[str], said: dict[str, Any]) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column in ("paper", "done", "before", "failed", "as shipped", *KINDS.values()):
        grid.add_column(column, justify="left" if column == "paper" else "right")
    for name, verdicts in said["verdicts"].items():
        own = [each for each in planned if each.run.paper == name]
        done = [each.run.key in started for each in own if each.state.name == "done"]
        failed = sum(each.state.name in states.FAILURES for each in own)
        same, both = said["equal"][name]
        counts = (str(verdicts.get(kind, "") or "") for kind in KINDS)
        numbers = (str(sum(done)), str(len(done) - sum(done)), str(failed), f"{same} of {both}" if both else "-")
        grid.add_row(name, *numbers, *counts)
    return grid


def _chosen_findings(findings: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The first of each paper, then the second ones, until there are three."""
    ranked = [(rank, name, text) for name, texts in findings.items() for rank, text in enumerate(texts)]
    return [(name, text) for _, name, text in sorted(ranked, key=lambda each: each[0])[:FINDINGS]]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rsplit(' ', 1)[0]} …"


def _relative(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
