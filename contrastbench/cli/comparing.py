"""The command that compares two runs, or two cells seed by seed."""

from __future__ import annotations

import statistics
from typing import Annotated

import typer
from rich.table import Table as Grid

from contrastbench import papers, reading
from contrastbench.cli import completing
from contrastbench.cli.app import app, complain, console, one_line_errors
from contrastbench.cli.inspecting import places_of, rows_of_key, value_text
from contrastbench.cli.options import AnyScale
from contrastbench.runner.rows import Row
from contrastbench.selection import KEY, select


@app.command("compare")
@one_line_errors
def compare_runs(
    first: Annotated[str, typer.Argument(help="a run's key, or PAPER/TABLE/CELL", autocompletion=completing.targets)],
    second: Annotated[str, typer.Argument(help="the same, for the other side", autocompletion=completing.targets)],
    scale: AnyScale = None,
) -> None:
    """Compares two runs, or two cells seed by seed: what differs in their configs, and each metric's difference."""
    a, b = _side(first, scale), _side(second, scale)
    console.print(_differences(a, b, first, second))
    console.print(_metric_grid(a, b))


def _side(name: str, scale: str | None) -> dict[int, Row]:
    """The finished rows of a key or a cell, by seed.

    Raises:
        ValueError: there are none, or they are of several methods, data sets or scales.
    """
    by_key = KEY.fullmatch(name) and name not in papers.names()
    found = rows_of_key(name) if by_key else reading.find([select(name, scale)], *places_of("best"), complain)
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
    row_a, row_b = next(iter(a.values())), next(iter(b.values()))
    grid = _folding("differs in", first, second)
    facts = [
        {name: row[name] for name in (*reading.LABELS, "protocol_version")} | row["config"] for row in (row_a, row_b)
    ]
    for name in dict.fromkeys((*facts[0], *facts[1])):
        values = [value_text(side.get(name, "-")) for side in facts]
        if values[0] != values[1] and (name != "seed" or len(a) == len(b) == 1):
            grid.add_row(name, *values)
    if not grid.row_count:
        grid.add_row("config and labels", "the same", "the same")
    return grid


def _metric_grid(a: dict[int, Row], b: dict[int, Row]) -> Grid:
    """Each metric that both have: means, and the mean difference over the seeds that both have."""
    rows_a, rows_b = list(a.values()), list(b.values())
    paired = sorted(set(a) & set(b)) if len(a) > 1 or len(b) > 1 else []
    grid = _folding("metric", f"first (n={len(a)})", f"second (n={len(b)})", "second - first")
    for name in rows_a[0]["metrics"]:
        if all(name in row["metrics"] for row in (*rows_a, *rows_b)):
            means = [statistics.mean(row["metrics"][name] for row in rows) for rows in (rows_a, rows_b)]
            pairs = [b[seed]["metrics"][name] - a[seed]["metrics"][name] for seed in paired]
            spread = f" ± {statistics.stdev(pairs):.3g} ({len(pairs)} pairs)" if len(pairs) > 1 else ""
            difference = statistics.mean(pairs) if pairs else means[1] - means[0]
            grid.add_row(name, *(f"{mean:.6g}" for mean in means), f"{difference:+.4g}{spread}")
    return grid


def _folding(*columns: str) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        grid.add_column(column, overflow="fold")
    return grid
