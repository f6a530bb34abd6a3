"""Prints a sheet of texts for a terminal, in Markdown or in LaTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from contrastbench.report.tables import Sheet

COLOURS = {"reproduced": "green", "differs": "red", "undecided": "yellow", "not comparable": "dim", "not run": "dim"}


def terminal(sheet: Sheet, width: int) -> Group:
    """The sheet for ``rich.print``; one wider than ``width`` is cut between columns and printed in several parts.

    What the rows say is text, never markup.
    """
    parts = (_rich_table(sheet, columns) for columns in _parts(sheet, width))
    return Group(Text(sheet.title, style="bold"), *parts, Text("\n".join(sheet.notes), style="dim"))


def _parts(sheet: Sheet, width: int) -> list[list[int]]:
    """The columns of each part: always the first two, then as many more as fit, one at least."""
    lines = [sheet.header, *(line.texts for line in sheet.lines)]
    widths = [max(len(texts[place]) for texts in lines) + 3 for place in range(len(sheet.header))]
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
    for line in sheet.lines:
        kinds = line.kinds or ("",) * len(line.texts)
        cells = [Text(line.texts[place], style=COLOURS.get(kinds[place], "")) for place in columns]
        made.add_row(*cells, end_section=line.ends_group and sheet.header[1] == "")
    return made


def markdown(sheet: Sheet, *, title: bool = True) -> str:
    """GitHub's Markdown; pipes and angle brackets in names stay text."""
    align = ["---"] * sheet.labels + ["---:"] * (len(sheet.header) - sheet.labels)
    lines = [_pipes(sheet.header), _pipes(align), *(_pipes(line.texts) for line in sheet.lines)]
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
    for number, line in enumerate(sheet.lines, start=1):
        lines.append(_ampersands(line.texts))
        if line.ends_group and number < len(sheet.lines) and sheet.header[1] == "":
            lines.append(r"\addlinespace")
    lines += [r"\bottomrule", r"\end{tabular}}", r"\end{table*}"]
    if sheet.notes:
        items = (rf"\item {_escape_latex(note)}" for note in sheet.notes)
        lines += [r"\begin{itemize}\footnotesize", *items, r"\end{itemize}"]
    return "\n".join(lines) + "\n"


_LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", '"': "''", "–": "--", "−": "$-$", "±": r"$\pm$"},
    **{"✓": r"$\surd$", "✗": r"$\times$", "○": r"$\circ$", "∞": r"$\infty$"},
    **{"α": r"$\alpha$", "β": r"$\beta$", "τ": r"$\tau$"},
}


def _escape_latex(text: str) -> str:
    """Every character that LaTeX would act on, or that its default fonts lack, as a command."""
    known = (_LATEX.get(sign, sign) for sign in " ".join(text.split()))
    return "".join(sign if len(sign) > 1 or ord(sign) < 128 else "?" for sign in known)


def _ampersands(texts: Iterable[str]) -> str:
    return " & ".join(_escape_latex(text) for text in texts) + r" \\"
