"""Commands that look at finished runs one by one: `results`, `show` and `compare`."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers, reading
from contrastbench.cli.app import Folders, command, complain, console, echo, grid_of, note
from contrastbench.cli.options import AnyScale, Seeds, Settings, complete_target, seed_numbers, settings_by_name
from contrastbench.runner import files, states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.rows import Row
from contrastbench.runner.vocabulary import setting_text
from contrastbench.selection import KEY, read_targets, run_folder, select

FORMATS = ("table", "csv", "json")
KeyOrCell = Annotated[str, typer.Argument(help="a run's key, or PAPER/TABLE/CELL", autocompletion=complete_target)]


@command("results")
def list_results(
    folders: Folders,
    target: Annotated[
        str | None,
        typer.Argument(help="PAPER\\[/TABLE\\[/CELL]]; every paper if not given", autocompletion=complete_target),
    ] = None,
    dataset: Annotated[str, typer.Option(help="a data set, or a pattern such as 'IMDB-*'")] = "",
    method: Annotated[str, typer.Option(help="a method, or a pattern such as 'Hard*'")] = "",
    settings: Settings = None,
    seeds: Seeds = None,
    scale: AnyScale = None,
    status: Annotated[str, typer.Option(help="done, failed, diverged, ...; 'any' for all")] = "done",
    format: Annotated[str, typer.Option(help="table, csv or json")] = "table",
) -> None:
    """Lists finished runs, a line each, with their metrics; `contrastbench.results(...)` gives them in Python."""
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")
    changes = settings_by_name(settings)
    asked = read_targets(target and [target], scale, seed_numbers(seeds), changes, dataset=dataset, method=method)
    wanted = "" if status == "any" else status
    found = reading.find(asked.selections, "best", folders.runs, folders.results, complain, wanted, note)
    if not found:
        raise ValueError("no finished run fits; see `contrastbench results` without filters, or --status any")
    if format == "json":
        echo(json.dumps([{"origin": place, **row} for place, row in found], indent=1) + "\n")
    elif format == "csv":
        import pandas

        from contrastbench.report.tables import csv_text

        echo(csv_text(pandas.DataFrame([reading.flat(place, row) for place, row in found])))
    else:
        _print_results(found, _declared_metrics(row for _, row in found))


def _declared_metrics(rows: Iterable[Row]) -> list[str]:
    """The metrics of the rows' tables that some row has. Two at most, to keep lines short."""
    rows = list(rows)
    wanted = {(row["paper"], table, row["scale"]) for row in rows for table, _ in row["cells"]}
    known = [(papers.paper(name), table, scale) for name, table, scale in sorted(wanted)]
    cells = [cell for paper, table, scale in known if table in paper.tables for cell in paper.cells(table, scale)]
    measured = {name for row in rows for name in row["metrics"]}
    names = dict.fromkeys(cell.metric for cell in cells if cell.metric in measured)
    return list(names)[:2] or sorted(measured)[:2]


def _print_results(found: Sequence[tuple[str, Row]], metrics: Sequence[str]) -> None:
    several = len({row["scale"] for _, row in found}) > 1
    words = [name.removesuffix("_percent").replace("_", " ") + " %" * name.endswith("_percent") for name in metrics]
    grid = grid_of("key", "from", *["scale"] * several, "dataset", "method", "seed", *words, right=words)
    for place, row in found:
        values = [_number(row["metrics"][name]) if name in row["metrics"] else row["status"] for name in metrics]
        labels = [row["scale"]] * several + [row["dataset"], row["method"], str(row["seed"])]
        grid.add_row(row["key"][:8], place, *labels, *values)
    console.print(grid)
    console.print(
        f"{len(found)} runs; `contrastbench show KEY` tells all of one, --format csv or json gives every metric"
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if 1 <= abs(value) < 1000 else f"{value:.4g}"


# ---------------------------------------------------------------------------------------------------------------- one


@command("show")
def show_run(
    folders: Folders,
    key: Annotated[str, typer.Argument(help="a run's key, or the beginning of one, of a run here or a shipped row")],
) -> None:
    """Shows all of one run: its config, metrics, attempts and machine; of a second row what differs."""
    known = _rows_of_key(key, folders)
    try:
        folder = run_folder(folders.runs, key)
    except ValueError:
        if not known:
            raise ValueError(f"no run's key begins with {key!r}, here or shipped (looked in {folders.runs})") from None
        folder = None
    grid = grid_of("", "")
    grid.show_header = False
    shown: dict[str, Any] = {}
    for place, fields in [("", _about_folder(folder)), *known]:
        for name, value in fields.items():
            if value not in (None, [], {}) and name != "series" and (name not in shown or shown[name] != value):
                title = f"{name}, {place}" if name in shown or name == "metrics" else name
                grid.add_row(Text(title, "bold"), _text(value))
        shown |= fields
    console.print(grid)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} = {setting_text(each)}" for name, each in value.items())
    lines = value if isinstance(value, list) else [value]
    return "\n".join("/".join(map(str, each)) if isinstance(each, list) else str(each) for each in lines)


def _rows_of_key(key: str, folders: Folders) -> list[tuple[str, Row]]:
    """The rows of the one run whose key begins so, as (origin, row): made here, shipped, or both.

    Raises:
        ValueError: rows of several keys begin so.
    """
    if not KEY.fullmatch(key):
        raise ValueError(f"a key is 6 to 64 of the digits 0-9 and a-f, got {key!r}")
    every = reading.find(read_targets(None).selections, "both", folders.runs, folders.results, lambda problem: None)
    found = [(place, row) for place, row in every if row["key"].startswith(key)]
    if len(keys := dict.fromkeys(row["key"][:16] for _, row in found)) > 1:
        raise ValueError(f"the keys of {len(keys)} runs begin with {key!r}: {', '.join(list(keys)[:5])}")
    return found


def _about_folder(folder: Path | None) -> dict[str, Any]:
    """What the run's folder says: its state, every attempt at it, and its ticket."""
    if folder is None:
        return {}
    state = states.state_of(folder, slurm_queue.still_queued())
    about = {"folder": str(folder), "state": state.name + (f" ({state.problem})" if state.problem else "")}
    attempts = [path for path in folder.glob("claim.*") if path.suffix[1:].isdecimal()]
    for path in sorted(attempts, key=lambda path: int(path.suffix[1:])):
        owner = files.object_or_empty(path)
        job = f", job {owner['job']}" if owner.get("job") else ""
        about[f"attempt {path.suffix[1:]}"] = f"{owner.get('host', '?')}, process {owner.get('pid', '?')}{job}"
    for path in sorted(folder.glob("failed.*.json")):
        failed = files.object_or_empty(path)
        error = known if isinstance(known := failed.get("error"), dict) else {}
        about[path.name] = f"{failed.get('status')}: {error.get('type')}: {error.get('message')}"
    return about | files.object_or_empty(folder / "config.json")


# ---------------------------------------------------------------------------------------------------------------- two


@command("compare")
def compare_runs(folders: Folders, first: KeyOrCell, second: KeyOrCell, scale: AnyScale = None) -> None:
    """Compares two runs, or two cells seed by seed: what differs in their configs, and each metric's difference."""
    a, b = _side(first, scale, folders), _side(second, scale, folders)
    console.print(_differences(a, b, first, second))
    console.print(_metric_grid(a, b))
    if (pairs := len(a.keys() & b.keys())) > 1:
        least = f"; with {pairs} pairs it is {2.0 ** (1 - pairs):.3g} at least" if pairs < 9 else ""
        console.print(f"Pairs by seed: the interval is a t interval, p counts flips of signs{least}.", style="dim")


def _side(name: str, scale: str | None, folders: Folders) -> dict[int, Row]:
    """The finished rows of a key or a cell, by seed.

    Raises:
        ValueError: there are none, or they are of several methods, data sets or scales.
    """
    if KEY.fullmatch(name) and name not in papers.names():
        found = _rows_of_key(name, folders)
    else:
        found = reading.find([select(name, scale)], "best", folders.runs, folders.results, complain, note=note)
    rows = [row for _, row in found if row["status"] == "done"]
    exactly = [row for row in rows if name.endswith(f"/{row['dataset']}/{row['method']}")]
    rows = exactly or rows  # if a cell is named exactly, leave out the user's own variants of it
    kinds = {(row["dataset"], row["method"], row["scale"], row["stage"]) for row in rows}
    if not rows:
        raise ValueError(f"{name} has no finished run, here or shipped")
    if len(kinds) > 1:
        some = "; ".join(" ".join(kind) for kind in sorted(kinds)[:4])
        raise ValueError(f"{name} is several kinds of runs ({some}); name one cell, and a --scale where there are more")
    return {row["seed"]: row for row in reversed(rows)}


def _differences(a: dict[int, Row], b: dict[int, Row], first: str, second: str) -> Grid:
    sides = [next(iter(side.values())) for side in (a, b)]
    names = (*reading.LABELS, "protocol_version")
    facts = [{name: row[name] for name in names} | row["config"] for row in sides]
    grid = grid_of("differs in", first, second)
    for name in dict.fromkeys((*facts[0], *facts[1])):
        values = [setting_text(side.get(name, "-")) for side in facts]
        if values[0] != values[1] and (name != "seed" or len(a) == len(b) == 1):
            grid.add_row(name, *values)
    if not grid.row_count:
        grid.add_row("config and labels", "the same", "the same")
    return grid


def _metric_grid(a: dict[int, Row], b: dict[int, Row]) -> Grid:
    """Each metric that both have: means, and the mean difference over the seeds that both have, with its interval."""
    rows_a, rows_b = list(a.values()), list(b.values())
    shared = sorted(a.keys() & b.keys())
    judged = ("95 % interval", f"p ({len(shared)} pairs)") if len(shared) > 1 else ()
    grid = grid_of("metric", f"first (n={len(a)})", f"second (n={len(b)})", "second - first", *judged)
    for name in rows_a[0]["metrics"]:
        if all(name in row["metrics"] for row in (*rows_a, *rows_b)):
            means = [statistics.fmean(row["metrics"][name] for row in rows) for rows in (rows_a, rows_b)]
            pairs = {seed: b[seed]["metrics"][name] - a[seed]["metrics"][name] for seed in shared}
            grid.add_row(name, *(f"{mean:.6g}" for mean in means), *_difference_texts(pairs, means))
    return grid


def _difference_texts(pairs: dict[int, float], means: Sequence[float]) -> list[str]:
    """The mean difference, over the pairs if there are any, with its interval and p; rounding errors are 0."""
    from contrastbench.verdicts.statistics import compare_pairs

    smallest = 1e-12 * max(map(abs, means))
    found = compare_pairs({seed: 0.0 if abs(pair) <= smallest else pair for seed, pair in pairs.items()})
    mean = found.mean if pairs else means[1] - means[0]
    texts = ["0" if abs(mean) <= smallest else f"{mean:+.4g}"]
    if found.interval:
        texts += [f"{found.interval.low:+.4g} to {found.interval.high:+.4g}", f"{found.p:.3g}"]
    return texts
