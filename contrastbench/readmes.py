"""Pages are made from a ``README.md.jinja`` beside them: prose, with numbers, tables and claims that come from rows.

    The WL kernel is ahead of InfoGraph by {{ gain("main/paper", "DD", "WL kernel", "InfoGraph") }} on DD.
    {{ table("main/paper/brief") }}
    {{ claims() }}

A table is named paper/table/scale; in a paper's own README the paper may be left out, and the scale too if the table
was measured at one scale only. All show shipped rows; what was measured on the reader's machine is in the report. Times
and memory come from CSV files that scripts of the paper wrote beside its rows:

    {{ times("speed.csv", "milliseconds", "loss=hcl; batch=256", "contender=formula", "contender=ours", digits=2) }}
    {% for line in lines("by_user.csv") %}| {{ line.method }} | {{ line.difference }} |
    {% endfor %}
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from contrastbench.report.tables import LAYOUTS, markdown, sheet
from contrastbench.runner.vocabulary import SCALES
from contrastbench.verdicts.cells import JoinedCell, JoinedTable
from contrastbench.verdicts.gains import Pooled, gain_by_seed, gains, pooled_gains
from contrastbench.verdicts.judging import Judged, count_outcomes, most_telling
from contrastbench.verdicts.statistics import Interval, compare_pairs, differs_among, spread_ratio
from contrastbench.verifying import lines_of

Values = tuple[float, ...]  # a number, or a number and the two ends of its interval
Lines = Sequence[Mapping[str, str]]  # of a CSV file
Claims = Mapping[str, Sequence[Judged]]  # by paper

NOTE = "<!-- Made from {name} and the shipped rows by `contrastbench collect --into results`; edit that file. -->\n"


def check(path: Path, made: str) -> list[str]:
    """One line for each line of a README that does not follow from its template and the rows, which give ``made``."""
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    words = {"+": "the rows and the template give", "-": "not"}
    differing = difflib.ndiff(there.splitlines(), made.splitlines())
    return [f"{path}: {words[line[0]]} {line[2:]!r}" for line in differing if line[0] in words]


def render(template: Path, tables: Iterable[JoinedTable], claims: Claims, paper: str, results: Path) -> str:
    """The README that a template gives.

    Args:
        tables, claims: everything measured, and the claims of each paper, judged.
        paper: the paper whose README it is, so that names may leave it out; "" for others.
        results: the folder of the shipped rows, with a folder for each paper.

    Raises:
        ValueError: the template names what there is not, or is no template.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.globals = _Known(list(tables), claims, paper, results).functions()
    try:
        return NOTE.format(name=template.name) + environment.from_string(template.read_text(encoding="utf-8")).render()
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise ValueError(f"{template}: {error}") from error


def write_numbers(values: Values, *, digits: int, sign: bool, interval: bool) -> str:
    """``+1.9 [1.3, 2.5]``."""
    number = f"{values[0]:{'+' if sign else ''}.{digits}f}"
    if not interval:
        return number
    if len(values) < 3:
        raise ValueError(f"{number} has no interval; say interval=False")
    return f"{number} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"


class _Known:
    """What a template may name."""

    def __init__(self, tables: Sequence[JoinedTable], claims: Claims, paper: str, results: Path) -> None:
        self._tables, self._judged, self._paper, self._folder = tables, claims, paper, results / paper

    def functions(self) -> dict[str, Any]:
        made = {name: self._of_table(of, name in WITH_SIGN_AND_INTERVAL) for name, of in OF_TABLES.items()}
        made |= {name: self._of_file(of) for name, of in OF_FILES.items()}
        return made | {name: getattr(self, name) for name in DIRECTLY}

    def _of_table(self, of: Callable[[JoinedTable, Sequence[str]], Values], is_gain: bool) -> Callable[..., str]:
        def written(table: str, *parts: str, digits: int = 1, sign: bool = is_gain, interval: bool = is_gain) -> str:
            return write_numbers(of(self._table(table), parts), digits=digits, sign=sign, interval=interval)

        return written

    def _of_file(self, of: Callable[[Lines, Sequence[str]], float]) -> Callable[..., str]:
        return lambda file, *parts, digits=1: f"{of(self.lines(file), parts):.{digits}f}"

    def _table(self, name: str) -> JoinedTable:
        parts = name.split("/")
        if self._paper and parts[0] != self._paper:
            parts.insert(0, self._paper)
        scale = parts.pop() if parts[-1] in SCALES else ""
        found = [t for t in self._tables if [t.paper, t.name] == parts and scale in ("", t.scale)]
        measured = [t for t in found if any(cell.best_known for cell in t.cells)] or found
        if len(measured) != 1:
            among = dict.fromkeys(f"{t.paper}/{t.name}/{t.scale}" for t in measured or self._tables)
            raise ValueError(f"not one table is named {name!r}; possible: {', '.join(among) or 'none'}")
        return measured[0]

    def table(self, name: str) -> str:
        """A table as Markdown; ``/long``, ``/grid`` or ``/brief`` behind its name fixes the layout."""
        whole, _, layout = name.rpartition("/")
        name, layout = (whole, layout) if layout in LAYOUTS else (name, "auto")
        return markdown(sheet(self._table(name), layout, places=("shipped",)), title=False)

    def claim(self, name: str, digits: int = 1) -> str:
        """The effect of one of the paper's claims, by its id, with the interval."""
        tests = {each.claim.id: each.test for each in self._judged[self._paper]}
        if not (test := tests.get(name)):
            raise ValueError(f"no claim with rows has the id {name!r}; possible: {', '.join(tests)}")
        return write_numbers(_ends(test.effect, test.interval), digits=digits, sign=True, interval=bool(test.interval))

    def claims(self) -> str:
        """A list of the paper's claims, each with its outcome."""
        judged = self._judged[self._paper]
        return "\n".join(f"- **{each.claim.sentence}** ({each.claim.where}) {each.words}" for each in judged)

    def claims_in_short(self) -> str:
        """A line a paper: how many of its claims hold."""
        return "\n".join(f"- `{paper}`: {count_outcomes(judged)}" for paper, judged in self._judged.items() if judged)

    def telling_claims(self, count: int) -> str:
        """The claims of all papers that tell a reader most, each with its outcome."""
        telling = most_telling(self._judged, count)
        return "\n".join(f"- {each.claim.sentence} {each.words} (`{paper}`)" for paper, each in telling)

    def lines(self, name: str) -> Lines:
        """The lines of a CSV file beside the paper's rows."""
        if not (self._folder / name).exists():
            raise ValueError(f"there is no file {self._folder / name}")
        return lines_of(self._folder / name)


# ---------------------------------------------------------------------------------------------- numbers of a table


def _cell(table: JoinedTable, parts: Sequence[str]) -> JoinedCell:
    """The measured cell of (data set, method[, metric]); a method is named alone or by its whole label."""
    names = (lambda cell: (cell.dataset,), lambda cell: (cell.method, cell.label), lambda cell: (cell.metric,))
    found = [cell for cell in table.cells if all(part in of(cell) for part, of in zip(parts, names, strict=False))]
    if not found or not found[0].best_known.done:
        raise ValueError(f"no measured cell {' | '.join(parts)} in {table.paper}/{table.name}/{table.scale}")
    return found[0]


def _ends(value: float, interval: Interval | None) -> Values:
    return (value, *interval) if interval else (value,)


def _mean(table: JoinedTable, parts: Sequence[str]) -> Values:
    sample = _cell(table, parts).best_known
    return _ends(sample.summary.mean, sample.interval)


def _first(table: JoinedTable, parts: Sequence[str]) -> Values:
    *cell, count = parts
    by_seed = _cell(table, cell).best_known.by_seed
    return (statistics.fmean(value for seed, value in by_seed.items() if seed < int(count)),)


def _seed(table: JoinedTable, parts: Sequence[str]) -> Values:
    *cell, seed = parts
    known = _cell(table, cell).best_known.by_seed
    if not seed.isdigit() or int(seed) not in known:
        raise ValueError(
            f"no seed {seed!r} of {' | '.join(cell)} in {table.name}; there are {', '.join(map(str, known))}"
        )
    return (known[int(seed)],)


def _off(table: JoinedTable, parts: Sequence[str]) -> Values:
    verdict = _cell(table, parts).verdict
    if verdict.difference is None:
        raise ValueError(f"{' | '.join(parts)} of {table.name} is {verdict.kind}: {verdict.reason}")
    return _ends(verdict.difference, verdict.interval)


def _gain(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, other, *metric = parts
    return _difference(_cell(table, [dataset, method, *metric]), _cell(table, [dataset, other, *metric]))


def _between(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, metric, other = parts
    return _difference(_cell(table, [dataset, method, metric]), _cell(table, [dataset, method, other]))


def _difference(ours: JoinedCell, theirs: JoinedCell) -> Values:
    pairs = compare_pairs(gain_by_seed(ours, theirs))
    return _ends(pairs.mean, pairs.interval)


def _spread(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, other, *metric = parts
    one, two = (_cell(table, [dataset, name, *metric]).best_known.summary for name in (method, other))
    return _ends(*spread_ratio(one, two))


def _gains_on(table: JoinedTable, parts: Sequence[str]) -> list[list[float]]:
    """Of each method on (data set) the differences to the baseline by seed."""
    (dataset,) = parts
    found = [gain for gain in gains(table) if gain.cell.dataset == dataset]
    by_seed = [list(gain_by_seed(gain.cell, gain.baseline).values()) for gain in found]
    if not any(by_seed):
        raise ValueError(f"nothing on {dataset} is compared in {table.paper}/{table.name}/{table.scale}")
    return [values for values in by_seed if values]


def _differing(table: JoinedTable, parts: Sequence[str]) -> Values:
    found = _gains_on(table, parts)
    return (float(sum(differs_among(values, len(found)) for values in found)),)


def _pooled(table: JoinedTable, parts: Sequence[str]) -> Pooled:
    found = [claim for claim in pooled_gains(table) if [claim.method, claim.other] == list(parts)]
    if not found:
        raise ValueError(f"{table.paper}/{table.name} pools no claim {' | '.join(parts)}")
    return found[0]


OF_TABLES: dict[str, Callable[[JoinedTable, Sequence[str]], Values]] = {
    "mean": _mean,  # table | data set | method [| metric], with the interval of the mean
    "first": _first,  # table | data set | method [| metric] | n: the mean of the seeds below n
    "seed": _seed,  # table | data set | method [| metric] | seed: the value of that seed
    "sd": lambda table, parts: (_cell(table, parts).best_known.summary.sd,),
    "n": lambda table, parts: (float(_cell(table, parts).best_known.summary.n),),
    # the median seconds of the cell's runs
    "seconds": lambda table, parts: (statistics.median(r["seconds"] for r in _cell(table, parts).best_known.done),),
    "off": _off,  # ours minus published, with its interval
    "gain": _gain,  # table | data set | method | other [| metric], in pairs by seed, with its interval
    "between": _between,  # table | data set | method | metric | other metric: of the same runs, with its interval
    "compared": lambda table, parts: (float(len(_gains_on(table, parts))),),  # table | data set: methods with a gain
    "differing": _differing,  # table | data set: those whose gain is not 0, corrected for all of the data set
    "spread": _spread,  # table | data set | method | other [| metric]: sd over the other's sd, with its interval
    # table | method | other: over all data sets, with its interval, and the p of the same claim
    "pooled": lambda table, parts: _ends((claim := _pooled(table, parts)).mean, claim.interval),
    "p": lambda table, parts: (_pooled(table, parts).p,),
    "p_after_holm": lambda table, parts: (_pooled(table, parts).p_holm,),
}
WITH_SIGN_AND_INTERVAL = ("gain", "off", "between", "pooled")
DIRECTLY = ("table", "claim", "claims", "claims_in_short", "telling_claims", "lines")


# ------------------------------------------------------------------------------------------------ numbers of a file


def _column(lines: Lines, parts: Sequence[str]) -> list[float]:
    """The column's numbers in the lines that have ``loss=hcl; batch=256``; those without a number are left out."""
    column, where = parts
    wanted = dict(part.strip().split("=", 1) for part in where.split(";"))
    if unknown := {column, *wanted} - set(lines[0]):
        raise ValueError(f"the file has no column {', '.join(unknown)}; it has {', '.join(lines[0])}")
    found = [float(line[column]) for line in lines if line[column] and wanted.items() <= line.items()]
    if not found:
        raise ValueError(f"the file has no {column} where {where}")
    return found


def _one_number(lines: Lines, parts: Sequence[str]) -> float:
    if len(found := _column(lines, parts)) > 1:
        raise ValueError(f"{len(found)} lines of the file have {' where '.join(parts)}; name more columns")
    return found[0]


def _times(lines: Lines, parts: Sequence[str]) -> float:
    column, both, more, less = parts
    return _one_number(lines, [column, f"{both}; {more}"]) / _one_number(lines, [column, f"{both}; {less}"])


OF_FILES: dict[str, Callable[[Lines, Sequence[str]], float]] = {
    "read": _one_number,  # file | column | column=value; column=value
    "least": lambda lines, parts: min(_column(lines, parts)),
    "times": _times,  # file | column | what both share | the larger one's | the smaller one's: their quotient
}
