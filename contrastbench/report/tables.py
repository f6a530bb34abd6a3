"""Lays a joined table out as texts, for a terminal, Markdown and LaTeX; and as CSV, one line a cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from contrastbench.report.layout import (
    Grid,
    findings,
    number_text,
    numbers_text,
    published_text,
    sample_text,
    summary,
    verdict_text,
)
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Sample
from contrastbench.verdicts.gains import counterpart, gain_by_seed
from contrastbench.verdicts.statistics import Interval, compare_pairs
from contrastbench.verdicts.verdict import Kind

if TYPE_CHECKING:
    import pandas

LAYOUTS = ("auto", "long", "grid", "brief")
PLACES = ("shipped", "here")
QUIET = (Kind.NOT_COMPARABLE, Kind.NOT_RUN, Kind.OURS)
UNCONFIRMED = "*"
COLOURS = {Kind.REPRODUCED: "green", Kind.CONSISTENT: "green", Kind.DIFFERS: "red", Kind.UNDECIDED: "yellow"}


class Sheet(NamedTuple):
    """A table as texts: a title, a header, lines, and the notes below."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    labels: int = 2  # leading columns that name the line; the rest are numbers

    def ends_group(self, place: int) -> bool:
        """Whether a rule may follow the line: several lines are one method, of which the first has its name."""
        is_grouped = self.header[1] == "" and place + 1 < len(self.lines)
        return is_grouped and self.lines[place + 1][0] != ""


def sheet(
    table: JoinedTable, layout: str = "auto", *, places: tuple[str, ...] = PLACES, analysis: bool = True
) -> Sheet:
    """Lays out one table.

    Args:
        layout: "long" has one line a cell with columns published | shipped | here | verdict; "grid" is the paper's
            own grid, each method on several lines; "auto" takes "grid" where that has two columns or more; "brief" has
            one line a method and only the columns with a finished run, the paper's number beside ours where it has one.
        places: whose rows are shown, "shipped", "here" or both.
        analysis: adds order of methods, gains and paired comparisons as notes.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; possible: {', '.join(LAYOUTS)}")
    grid = Grid(table)
    title = f"{table.paper} / {table.name} ({grid.kind}): {table.title}"
    notes = (*_notes(table), *(findings(table) if analysis else ()))
    if layout == "brief":
        return _brief(table, grid, title)
    names = ("published", *places, "verdict")
    if layout == "grid" or (layout == "auto" and len(grid.columns) > 1):
        signs = f"{', '.join(f'{kind.sign} {kind}' for kind in QUIET)}."
        return Sheet(title, ("method", "", *grid.columns), tuple(_grid_lines(grid, names)), (signs, *notes))
    lines = tuple(
        (row, column, *(cell_text(cell, name) for name in names))
        for row, cells in grid.rows.items()
        for column, cell in cells.items()
    )
    return Sheet(title, ("method", grid.axis_columns, *names), lines, notes)


def _grid_lines(grid: Grid, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A line for each of ``names``; a method without any published number has none for it and for the verdict."""
    for row, cells in grid.rows.items():
        is_printed = any(cell.judged for cell in cells.values())
        shown = [name for name in names if is_printed or name in PLACES]
        for name in shown:
            words = (cell_text(cells[column], name, QUIET) if column in cells else "" for column in grid.columns)
            yield (row if name == shown[0] else "", name, *words)


def cell_text(cell: JoinedCell, name: str, quiet: Sequence[Kind] = ()) -> str:
    """What a table says about a cell under ``published``, ``shipped``, ``here`` or ``verdict``.

    Args:
        quiet: verdicts of which the sign alone is said: the columns of a grid are narrow.
    """
    if name == "published":
        return numbers_text(cell)
    if name == "verdict":
        return cell.verdict.kind.sign if cell.verdict.kind in quiet else verdict_text(cell)
    return sample_text(getattr(cell, name), cell.metric)


def _brief(table: JoinedTable, grid: Grid, title: str) -> Sheet:
    measured = [c for c in grid.columns if any(c in row and row[c].best_known.done for row in grid.rows.values())]
    lines = tuple(
        (label, *(_brief_text(row[column], table) if column in row else "" for column in measured))
        for label, row in grid.rows.items()
    )
    texts = [text for line in lines for text in line]
    notes = ["Ours: mean ± sd (seeds)."]
    if any(cell.judged for cell in table.cells):
        signs = "; ".join(f"{kind.sign} {kind}" for kind in list(Kind)[:5])
        notes = [f"{notes[0]} In brackets the published numbers, and the verdict on the first: {signs}."]
    if any(UNCONFIRMED in text for text in texts):
        notes += [f"{UNCONFIRMED} not confirmed, so not judged."]
    if any("by seed" in text for text in texts):
        baselines = {cell.baseline for cell in table.cells}
        other = baselines.pop() if len(baselines) == 1 else "the row's baseline"
        notes += [f"By seed: the difference to {other} over the seeds that both have, where n differs."]
    notes += [*_what_would_decide(grid), *_data_marks(table)]
    return Sheet(title, ("method", *measured), lines, (*notes, *summary(table)), labels=1)


def _brief_text(cell: JoinedCell, table: JoinedTable) -> str:
    ours = sample_text(cell.best_known, cell.metric) + _difference_text(cell, table)
    if not cell.judged:
        return ours
    printed = (published_text(number, UNCONFIRMED) for number in (cell.judged, *(number for number, _ in cell.others)))
    kind, hint = cell.verdict.kind, cell.verdict.hint
    verdict = kind.sign + (f" {hint}" if kind in (Kind.DIFFERS, Kind.CONSISTENT) else "")
    return f"{ours} [{', '.join(dict.fromkeys(printed))} {verdict}]"


def _difference_text(cell: JoinedCell, table: JoinedTable) -> str:
    """The paired difference to the baseline where means of other seeds mislead: the two have other numbers of seeds."""
    alike = [c for c in table.cells if (c.dataset, c.metric) == (cell.dataset, cell.metric)]
    baseline = counterpart(cell, cell.baseline, alike)
    if baseline is None or len(cell.best_known.done) == len(baseline.best_known.done):
        return ""
    if cell.deterministic or baseline.deterministic:  # one number is that of every seed
        return ""
    pairs = compare_pairs(gain_by_seed(cell, baseline))
    return f"; by seed {'+' if pairs.mean > 0 else ''}{number_text(pairs.mean, cell.metric)}" if pairs.n > 1 else ""


def _what_would_decide(grid: Grid) -> list[str]:
    hints = [
        f"{label}, {column}: {cell.verdict.hint}"
        for label, row in grid.rows.items()
        for column, cell in row.items()
        if cell.verdict.kind == Kind.UNDECIDED and cell.verdict.hint
    ]
    return [f"What would decide the undecided: {'; '.join(hints)}."] if hints else []


def _notes(table: JoinedTable) -> list[str]:
    metrics = list(dict.fromkeys(cell.metric for cell in table.cells))
    notes = [f"Measured: mean ± sd (number of seeds) of {', '.join(metrics)}. Published: as printed."]
    if table.scale != "paper":
        notes.append(f"At {table.scale} scale nothing is judged against the paper.")
    notes += _data_marks(table)
    if table.unmatched:
        places = ", ".join(f"{n.dataset}/{n.method} {published_text(n)}" for n in table.unmatched[:5])
        more = f" and {len(table.unmatched) - 5} more" if len(table.unmatched) > 5 else ""
        notes.append(f"Published and not measured: {places}{more}.")
    return notes


def _data_marks(table: JoinedTable) -> list[str]:
    """One note for each mark of the data that numbers were measured on, with the data sets or cells that have it."""
    measured = [cell for cell in table.cells if cell.best_known.done]
    notes = []
    for mark in dict.fromkeys(mark for cell in measured for mark in cell.best_known.marks):
        others = {cell.dataset for cell in measured if mark not in cell.best_known.marks}
        marked = [cell for cell in measured if mark in cell.best_known.marks]
        names = dict.fromkeys(cell.name if cell.dataset in others else cell.dataset for cell in marked)
        notes.append(f"{mark}: {', '.join(names) if others else 'every measured number'}.")
    return notes


# -------------------------------------------------------------------------------------- terminal, Markdown, LaTeX


def terminal(sheet: Sheet, width: int) -> Group:
    """The sheet for ``rich.print``; one wider than ``width`` is cut between columns and printed in several parts.

    What the rows say is text, never markup.
    """
    parts = (_rich_table(sheet, columns) for columns in _parts(sheet, width))
    return Group(Text(sheet.title, style="bold"), *parts, Text("\n".join(sheet.notes), style="dim"))


def _parts(sheet: Sheet, width: int) -> list[list[int]]:
    """The columns of each part: always the first two, then as many more as fit, one at least."""
    widths = [max(map(len, column)) + 3 for column in zip(sheet.header, *sheet.lines, strict=True)]
    parts: list[list[int]] = []
    for place in range(2, len(widths)):
        if parts and 2 + sum(widths[known] for known in (*parts[-1], place)) <= width:
            parts[-1].append(place)
        else:
            parts.append([0, 1, place])
    return parts


def _rich_table(sheet: Sheet, columns: Sequence[int]) -> RichTable:
    made = RichTable(box=box.SIMPLE_HEAD)
    for place in columns:
        made.add_column(Text(sheet.header[place]), justify="left" if place < sheet.labels else "right", overflow="fold")
    colours = {kind.sign: COLOURS.get(kind, "dim") for kind in Kind}
    for number, line in enumerate(sheet.lines):
        style = {place: colours.get(line[place][:1], "") for place in columns if place >= sheet.labels}
        made.add_row(*(Text(line[p], style.get(p, "")) for p in columns), end_section=sheet.ends_group(number))
    return made


def markdown(sheet: Sheet, *, title: bool = True) -> str:
    """GitHub's Markdown; pipes and angle brackets in names stay text."""
    align = ["---"] * sheet.labels + ["---:"] * (len(sheet.header) - sheet.labels)
    lines = [_pipes(sheet.header), _pipes(align), *map(_pipes, sheet.lines)]
    head = [f"**{_escape_markdown(sheet.title)}**", ""] if title else []
    notes = [f"- {_escape_markdown(note)}" for note in sheet.notes]
    return "\n".join([*head, *lines, *([""] if notes else []), *notes]) + "\n"


def _pipes(texts: Iterable[str]) -> str:
    return f"| {' | '.join(_escape_markdown(text) for text in texts)} |"


def _escape_markdown(text: str) -> str:
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{sign}" if sign in "|\\`*_[]~" else sign for sign in text)


def latex(sheet: Sheet) -> str:
    """A ``table*`` and the notes as a list below it; needs ``\\usepackage{booktabs,graphicx}`` and nothing else."""
    columns = "l" * sheet.labels + "r" * (len(sheet.header) - sheet.labels)
    lines = [r"\begin{table*}", r"\centering\small", rf"\caption{{{_escape_latex(sheet.title)}}}"]
    lines += [r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"]  # a wide table shrinks to the page
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _ampersands(sheet.header), r"\midrule"]
    for number, line in enumerate(sheet.lines):
        lines += [_ampersands(line), *[r"\addlinespace"] * sheet.ends_group(number)]
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    if sheet.notes:
        items = (rf"\item {_escape_latex(note)}" for note in sheet.notes)
        lines += [r"\begin{itemize}\footnotesize", *items, r"\end{itemize}"]
    return "\n".join(lines) + "\n"


_LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", '"': "''", "–": "--", "−": "$-$", "±": r"$\pm$", "·": r"$\cdot$"},
    **{"✓": r"$\surd$", "✗": r"$\times$", "○": r"$\circ$", "≈": r"$\approx$", "∞": r"$\infty$"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "τ": r"$\tau$"},
}


def _escape_latex(text: str) -> str:
    """Every character that LaTeX would act on, or that its default fonts lack, as a command."""
    known = (_LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return "".join(sign if len(sign) > 1 or ord(sign) < 128 else "?" for sign in known)


def _ampersands(texts: Iterable[str]) -> str:
    return " & ".join(_escape_latex(text) for text in texts) + r" \\"


# ---------------------------------------------------------------------------------------------------------- CSV


def cells_frame(tables: Iterable[JoinedTable]) -> pandas.DataFrame:
    """Every cell on one line at full precision: what it is, what is printed, shipped and here, and the verdict."""
    import pandas

    return pandas.DataFrame([_cell_line(cell) for table in tables for cell in table.cells])


def _cell_line(cell: JoinedCell) -> dict[str, Any]:
    number, verdict = cell.judged, cell.verdict
    names = ("paper", "table", "scale", "dataset", "method", "metric")
    printed = ("value", "spread", "spread_kind", "n", "confirmed", "margin")
    fewest, most = verdict.seeds_needed or (None, None)
    return {
        **{name: getattr(cell, name) for name in names},
        "settings": ";".join(f"{name}={value}" for name, value in cell.settings.items()),
        **{"variant": cell.variant, "protocol": cell.protocol},
        **{f"published_{name}": getattr(number, name) if number else None for name in printed},
        **_sample_columns("shipped", cell.shipped),
        **_sample_columns("here", cell.here),
        "failed": len(cell.best_known.failed or cell.here.failed),
        "missing": cell.best_known.missing if cell.best_known else cell.here.missing,
        **{"verdict": str(verdict.kind), "reason": verdict.reason, "difference": verdict.difference},
        **_ends("difference", verdict.interval),
        **{"seeds_needed": fewest, "seeds_needed_most": most},
    }


def _sample_columns(name: str, sample: Sample) -> dict[str, Any]:
    summary = sample.summary
    sd = summary.sd if summary.n > 1 else None
    ours = {f"{name}_mean": summary.mean if sample.done else None, f"{name}_sd": sd, f"{name}_n": len(sample.done)}
    return {**ours, **_ends(name, sample.interval)}


def _ends(name: str, interval: Interval | None) -> dict[str, Any]:
    return {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}


WHOLE_NUMBERS = ("published_n", "seeds_needed", "seeds_needed_most")
FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.]+(e[+-]?\d+)?$)")  # but for a number with its sign


def csv_text(frame: pandas.DataFrame) -> str:
    """The frame as CSV; a text that a spreadsheet would calculate gets an apostrophe in front, numbers stay numbers."""
    whole = frame.astype({name: "Int64" for name in WHOLE_NUMBERS if name in frame})
    texts = whole.map(lambda value: f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value)
    return texts.to_csv(index=False, lineterminator="\n")
