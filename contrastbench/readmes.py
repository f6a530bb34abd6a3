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

import difflib
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from contrastbench.report.tables import LAYOUTS, markdown, sheet
from contrastbench.runner import files
from contrastbench.runner.vocabulary import SCALES
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Sample
from contrastbench.verdicts.gains import Pooled, gain_by_seed, gains, pooled_gains
from contrastbench.verdicts.judging import Judged, count_outcomes, most_telling
from contrastbench.verdicts.statistics import Interval, compare_pairs, differs_among, spread_ratio

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

    def _of_table(self, of: Callable[..., Values], is_gain: bool) -> Callable[..., str]:
        def written(table: str, *parts: str, digits: int = 1, sign: bool = is_gain, interval: bool = is_gain) -> str:
            return write_numbers(of(self._table(table), *parts), digits=digits, sign=sign, interval=interval)

        return written

    def _of_file(self, of: Callable[..., float]) -> Callable[..., str]:
        return lambda file, *parts, digits=1: f"{of(self.lines(file), *parts):.{digits}f}"

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
        return files.read_csv(self._folder / name)


# ---------------------------------------------------------------------------------------------- numbers of a table


def _cell(table: JoinedTable, *place: str) -> JoinedCell:
    """The measured cell of (data set, method[, metric]); a method is named alone or by its whole label."""
    names = (lambda cell: (cell.dataset,), lambda cell: (cell.method, cell.label), lambda cell: (cell.metric,))
    found = [cell for cell in table.cells if all(part in of(cell) for part, of in zip(place, names, strict=False))]
    if not found or not found[0].best_known.done:
        raise ValueError(f"no measured cell {' | '.join(place)} in {table.paper}/{table.name}/{table.scale}")
    return found[0]


def _sample(table: JoinedTable, *place: str) -> Sample:
    return _cell(table, *place).best_known


def _ends(value: float, interval: Interval | None) -> Values:
    return (value, *interval) if interval else (value,)


def _first(table: JoinedTable, *place: str) -> Values:
    *cell, count = place
    by_seed = _sample(table, *cell).by_seed
    return (statistics.fmean(value for seed, value in by_seed.items() if seed < int(count)),)


def _seed(table: JoinedTable, *place: str) -> Values:
    *cell, seed = place
    known = {str(seed): value for seed, value in _sample(table, *cell).by_seed.items()}
    if seed not in known:
        raise ValueError(f"no seed {seed!r} of {' | '.join(cell)} in {table.name}; there are {', '.join(known)}")
    return (known[seed],)


def _off(table: JoinedTable, *place: str) -> Values:
    verdict = _cell(table, *place).verdict
    if verdict.difference is None:
        raise ValueError(f"{' | '.join(place)} of {table.name} is {verdict.kind}: {verdict.reason}")
    return _ends(verdict.difference, verdict.interval)


def _difference(ours: JoinedCell, theirs: JoinedCell) -> Values:
    pairs = compare_pairs(gain_by_seed(ours, theirs))
    return _ends(pairs.mean, pairs.interval)


def _gains_on(table: JoinedTable, dataset: str) -> list[list[float]]:
    """Of each method on the data set the differences to the baseline by seed."""
    found = [gain for gain in gains(table) if gain.cell.dataset == dataset]
    by_seed = [list(gain_by_seed(gain.cell, gain.baseline).values()) for gain in found]
    if not any(by_seed):
        raise ValueError(f"nothing on {dataset} is compared in {table.paper}/{table.name}/{table.scale}")
    return [values for values in by_seed if values]


def _differing(table: JoinedTable, dataset: str) -> Values:
    found = _gains_on(table, dataset)
    return (float(sum(differs_among(values, len(found)) for values in found)),)


def _pooled(table: JoinedTable, method: str, other: str) -> Pooled:
    for claim in pooled_gains(table):
        if (claim.method, claim.other) == (method, other):
            return claim
    raise ValueError(f"{table.paper}/{table.name} pools no claim {method} | {other}")


# What follows the table's name in a template, and what is made of it. A metric may be left out: it is the first then.
OF_TABLES: dict[str, Callable[..., Values]] = {
    "mean": lambda table, *cell: _ends((known := _sample(table, *cell)).summary.mean, known.interval),
    "first": _first,  # data set | method [| metric] | n: the mean of the seeds below n
    "seed": _seed,  # data set | method [| metric] | seed: the value of that seed
    "sd": lambda table, *cell: (_sample(table, *cell).summary.sd,),
    "n": lambda table, *cell: (float(_sample(table, *cell).summary.n),),
    # the median seconds of the cell's runs
    "seconds": lambda table, *cell: (statistics.median(row["seconds"] for row in _sample(table, *cell).done),),
    "off": _off,  # data set | method [| metric]: ours minus published
    # in pairs by seed
    "gain": lambda table, dataset, method, other, *metric: _difference(
        _cell(table, dataset, method, *metric), _cell(table, dataset, other, *metric)
    ),
    # of the same runs
    "between": lambda table, dataset, method, metric, other: _difference(
        _cell(table, dataset, method, metric), _cell(table, dataset, method, other)
    ),
    "compared": lambda table, dataset: (float(len(_gains_on(table, dataset))),),  # methods with a gain
    "differing": _differing,  # data set: methods whose gain is not 0, corrected for all of the data set
    # sd over the other's sd
    "spread": lambda table, dataset, method, other: _ends(
        *spread_ratio(_sample(table, dataset, method).summary, _sample(table, dataset, other).summary)
    ),
    # over all data sets, and the p of the same claim
    "pooled": lambda table, method, other: _ends((claim := _pooled(table, method, other)).mean, claim.interval),
    "p": lambda table, method, other: (_pooled(table, method, other).p,),
    "p_after_holm": lambda table, method, other: (_pooled(table, method, other).p_holm,),
}
WITH_SIGN_AND_INTERVAL = ("gain", "off", "between", "pooled")
DIRECTLY = ("table", "claim", "claims", "claims_in_short", "telling_claims", "lines")


# ------------------------------------------------------------------------------------------------ numbers of a file


def _column(lines: Lines, column: str, where: str) -> list[float]:
    """The column's numbers in the lines that have ``loss=hcl; batch=256``; those without a number are left out."""
    wanted = dict(part.strip().split("=", 1) for part in where.split(";"))
    if unknown := {column, *wanted} - set(lines[0]):
        raise ValueError(f"the file has no column {', '.join(unknown)}; it has {', '.join(lines[0])}")
    found = [float(line[column]) for line in lines if line[column] and wanted.items() <= line.items()]
    if not found:
        raise ValueError(f"the file has no {column} where {where}")
    return found


def _one_number(lines: Lines, column: str, where: str) -> float:
    if len(found := _column(lines, column, where)) > 1:
        raise ValueError(f"{len(found)} lines of the file have {column} where {where}; name more columns")
    return found[0]


def _times(lines: Lines, column: str, both: str, more: str, less: str) -> float:
    return _one_number(lines, column, f"{both}; {more}") / _one_number(lines, column, f"{both}; {less}")


OF_FILES: dict[str, Callable[..., float]] = {
    "read": _one_number,  # file | column | column=value; column=value
    "least": lambda lines, column, where: min(_column(lines, column, where)),
    "times": _times,  # file | column | what both share | the larger one's | the smaller one's: their quotient
}
