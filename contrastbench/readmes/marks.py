"""What a mark in a Markdown file can name: a number of a table's cells, or of a CSV file of measurements."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from contrastbench.verdicts.cells import JoinedCell, JoinedTable
from contrastbench.verdicts.gains import Pooled, gain_by_seed, pooled_gains
from contrastbench.verdicts.statistics import Interval, paired, spread_ratio

Values = tuple[float, ...]  # a number, or a number and the two ends of its interval
Lines = Sequence[Mapping[str, str]]  # of a CSV file


def _cell(table: JoinedTable, parts: Sequence[str]) -> JoinedCell:
    """The measured cell of (data set, method[, metric]); a method is named alone or by its whole label."""
    found = [cell for cell in table.cells if _is_named(cell, parts)]
    if not found or not found[0].best_known.done:
        raise ValueError(f"no measured cell {' | '.join(parts)} in {table.paper}/{table.name}/{table.scale}")
    return found[0]


def _is_named(cell: JoinedCell, parts: Sequence[str]) -> bool:
    possible = ((cell.dataset,), (cell.method, cell.label), (cell.metric,))
    return all(part in names for part, names in zip(parts, possible, strict=False))


def _ends(value: float, interval: Interval | None) -> Values:
    return (value, *interval) if interval else (value,)


def _mean(table: JoinedTable, parts: Sequence[str]) -> Values:
    sample = _cell(table, parts).best_known
    return _ends(sample.summary.mean, sample.interval)


def _first(table: JoinedTable, parts: Sequence[str]) -> Values:
    *cell, count = parts
    values = [value for seed, value in _cell(table, cell).best_known.by_seed.items() if seed < int(count)]
    return (statistics.fmean(values),)


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
    pairs = paired(gain_by_seed(_cell(table, [dataset, method, *metric]), _cell(table, [dataset, other, *metric])))
    return _ends(pairs.mean, pairs.interval)


def _between(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, metric, other = parts
    pairs = paired(gain_by_seed(_cell(table, [dataset, method, metric]), _cell(table, [dataset, method, other])))
    return _ends(pairs.mean, pairs.interval)


def _spread(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, other, *metric = parts
    one, two = (_cell(table, [dataset, name, *metric]).best_known.summary for name in (method, other))
    return _ends(*spread_ratio(one, two))


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
    "spread": _spread,  # table | data set | method | other [| metric]: sd over the other's sd, with its interval
    # table | method | other: over all data sets, with its interval, and the p of the same claim
    "pooled": lambda table, parts: _ends((claim := _pooled(table, parts)).mean, claim.interval),
    "p": lambda table, parts: (_pooled(table, parts).p,),
    "p after Holm": lambda table, parts: (_pooled(table, parts).p_holm,),
}


def _chosen(lines: Lines, parts: Sequence[str]) -> list[float]:
    """The column's numbers in the lines that have ``loss=hcl; batch=256``; those without a number are left out."""
    column, where = parts
    wanted = dict(part.strip().split("=", 1) for part in where.split(";"))
    if unknown := {column, *wanted} - set(lines[0]):
        raise ValueError(f"the file has no column {', '.join(unknown)}; it has {', '.join(lines[0])}")
    found = [float(line[column]) for line in lines if line[column] and wanted.items() <= line.items()]
    if not found:
        raise ValueError(f"the file has no {column} where {where}")
    return found


def _sole(lines: Lines, parts: Sequence[str]) -> float:
    if len(found := _chosen(lines, parts)) > 1:
        raise ValueError(f"{len(found)} lines of the file have {' where '.join(parts)}; name more columns")
    return found[0]


def _times(lines: Lines, parts: Sequence[str]) -> float:
    column, both, more, less = parts
    return _sole(lines, [column, f"{both}; {more}"]) / _sole(lines, [column, f"{both}; {less}"])


OF_FILES: dict[str, Callable[[Lines, Sequence[str]], float]] = {
    "read": _sole,  # file | column | column=value; column=value
    "least": lambda lines, parts: min(_chosen(lines, parts)),
    "times": _times,  # file | column | what both share | the larger one's | the smaller one's: their quotient
}
