"""Places each cell in its table's grid; finds the words for it, and the sentences below the table."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Sample, counts_runs, group_by
from contrastbench.verdicts.gains import Gain, Pooled, gains, orders, pooled_gains
from contrastbench.verdicts.published import Published

MISSING = "–"


class Grid:
    """A table's rows and columns as the paper prints them.

    A table has two axes, and its cells may differ in more than these. What else differs joins a label: the metric the
    column's; the data set the column's too, or the row's where columns are metrics and ``by_dataset`` is not set.
    """

    def __init__(self, table: JoinedTable, *, by_dataset: bool = False) -> None:
        self.table = table
        self.by_dataset = by_dataset
        self.axis_columns = table.columns
        names = ("dataset", "metric")
        self._marked = len({(cell.variant, cell.protocol) for cell in table.cells}) > 1
        self._varies = {name: len({getattr(cell, name) for cell in table.cells}) > 1 for name in names}

    @property
    def kind(self) -> str:
        """What all cells share and a reader must know, as ``quick scale, clean protocol``."""
        kinds = {(cell.variant, cell.protocol) for cell in self.table.cells}
        words = [f"{self.table.scale} scale"]
        if len(kinds) == 1:
            variant, protocol = kinds.pop()
            words += ["as in the code"] * (variant == "as_code") + ["clean protocol"] * (protocol == "clean")
        return ", ".join(words)

    @cached_property
    def rows(self) -> dict[str, dict[str, JoinedCell]]:
        """Row label -> column label -> cell, in the order declared."""
        grid: dict[str, dict[str, JoinedCell]] = defaultdict(dict)
        for cell in self.table.cells:
            grid[self.row_label(cell)][self.column_label(cell)] = cell
        return dict(grid)

    @cached_property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(self.column_label(cell) for cell in self.table.cells))

    def row_label(self, cell: JoinedCell) -> str:
        names = [name for name in self._settings_shown.get(cell.method, ()) if name in cell.settings]
        return ", ".join([self._plain_row(cell), *(f"{name} {plain(cell.settings[name])}" for name in names)])

    def column_label(self, cell: JoinedCell) -> str:
        others = [name for name in ("dataset", "metric") if name not in self._on_rows() and self._varies[name]]
        others = [name for name in others if name != self.axis_columns]
        return ", ".join([attribute(cell, self.axis_columns), *(attribute(cell, name) for name in others)])

    def _on_rows(self) -> set[str]:
        own_rows = self.axis_columns == "metric" and self._varies["dataset"] and not self.by_dataset
        return {"method", "dataset"} if own_rows else {"method"}

    def _plain_row(self, cell: JoinedCell) -> str:
        method = cell.label if self._marked else cell.method  # what all cells share stands in the title
        return f"{cell.dataset}: {method}" if "dataset" in self._on_rows() else method

    @cached_property
    def _settings_shown(self) -> dict[str, list[str]]:
        """Per method, the settings that must be shown, because without them two cells would stand in one place."""
        places = group_by(self.table.cells, lambda cell: (self._plain_row(cell), self.column_label(cell)))
        shown: dict[str, list[str]] = {}
        for cells in places.values():
            names = dict.fromkeys(name for cell in cells for name in cell.settings)
            varying = [name for name in names if len({plain(cell.settings.get(name)) for cell in cells}) > 1]
            if len(cells) > 1:
                shown[cells[0].method] = varying
        return shown


def attribute(cell: JoinedCell, name: str) -> str:
    """A field of the cell, or the value of one of its settings, as a label."""
    if name == "method":
        return cell.label
    if name == "metric":
        return words(cell.metric)
    value = getattr(cell, name) if name in ("dataset", "metric", "variant", "protocol") else cell.settings.get(name)
    return plain(value)


def plain(value: Any) -> str:
    """A setting as people write it: 0.1, 2, none."""
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


UNITS = {"percent": "(%)", "seconds": "(s)", "mb": "(MB)", "nats": "(nats)", "degrees": "(°)", "x100": "× 100"}
SPELT = {"knn": "kNN", "top1": "top-1", "mse": "MSE", "n": "N"}


def words(metric: str) -> str:
    """``test_knn_top1_percent`` as people say it: test kNN top-1 (%)."""
    if counts_runs(metric):
        return "runs that " + metric.removesuffix("_percent").replace("_", " ") + " (%)"
    *names, last = metric.split("_")
    return " ".join([*map(_spelt, names), UNITS.get(last) or _spelt(last)])


def _spelt(word: str) -> str:
    if word in ("svm", "sts", "stsb", "mrpc", "trec", "sst2", "mpqa", "sick", "nmi", "ari") or word[:3] == "sts":
        return word.upper()
    return SPELT.get(word) or re.sub(r"^(hr|ndcg|mrr)(\d*)$", lambda m: m[1].upper() + f"@{m[2]}" * bool(m[2]), word)


def number_text(value: float, metric: str) -> str:
    """A measured value: two decimals for percentages, four significant digits otherwise."""
    return f"{value:.2f}" if metric.endswith("_percent") else f"{value:.4g}"


def sample_text(sample: Sample, metric: str) -> str:
    """``88.70 ± 0.91 (8/10, 2 failed)``: mean, sd and seeds, with failed, missing and additional ones counted."""
    count = len(sample.done)
    counts = [str(count) if count >= sample.expected else f"{count}/{sample.expected}"]
    counts += [f"{sample.expected} declared"] if 0 < sample.expected < count else []
    counts += [f"{len(sample.failed)} failed"] if sample.failed else []
    if not sample.done:
        return f"{MISSING} ({', '.join(counts)})" if sample.failed else MISSING
    mean, sd = sample.summary.mean, sample.summary.sd
    if counts_runs(metric):
        return f"{sum(value > 50 for value in sample.values)} of {', '.join(counts)}"
    if sd == 0:
        return f"{number_text(mean, metric)} ({', '.join(counts)}, no variation measured)"
    spread = f" ± {number_text(sd, metric)}" if count > 1 else ""
    return f"{number_text(mean, metric)}{spread} ({', '.join(counts)})"


def published_text(number: Published | None, unconfirmed: str = " (unconfirmed)") -> str:
    """The printed number with its own digits, and the word ``unconfirmed`` if nobody confirmed it."""
    if number is None:
        return MISSING
    spread = f" ± {number.spread_text or format(number.spread, 'g')}" if number.spread is not None else ""
    return f"{number.value_text or format(number.value, 'g')}{spread}" + unconfirmed * (not number.confirmed)


def numbers_text(cell: JoinedCell) -> str:
    """Every published number of the cell, the judged one first: ``82.50 ± 1.42, also 88.50``."""
    return ", also ".join(map(published_text, [cell.judged, *(number for number, _ in cell.others)]))


def verdict_text(cell: JoinedCell) -> str:
    """``✗ differs (+2.1); 88.50: ? undecided``: sign, word and hint; then the verdict on each further number, and the
    mark of data that are not the published ones."""
    verdict = cell.verdict
    words = f"{verdict.kind.sign} {verdict.kind}" + (f" ({verdict.hint})" if verdict.hint else "")
    further = (f"; {published_text(number)}: {v.kind.sign} {v.kind}" for number, v in cell.others if cell.best_known)
    return words + "".join(further) + "".join(f"; {mark}" for mark in cell.best_known.marks)


# ----------------------------------------------------------------------------------------- the sentences below a table


def findings(table: JoinedTable) -> list[str]:
    """Every sentence: the order of methods, the gains over all data sets, and every gain published or measured."""
    grid, pooled = Grid(table), pooled_gains(table)
    # One seed against one, with nothing claimed, says nothing: the two numbers stand in the table.
    single = [gain for gain in gains(table) if gain.paired.n >= 2 or gain.published]
    return [
        *_order_and_signs(table),
        *(_pooled_sentence(each, len(pooled)) for each in pooled),
        *(_gain_sentence(gain, grid) for gain in single),
    ]


def summary(table: JoinedTable) -> list[str]:
    """The findings in few lines: no single gains, and one line for all pooled gains that no test supports."""
    return [*_order_and_signs(table), *_pooled_briefly(pooled_gains(table))]


def _order_and_signs(table: JoinedTable) -> list[str]:
    sentences = [
        f"Order of {order.methods} methods on {order.dataset} ({order.metric}) against the paper's: "
        f"Kendall's tau {order.tau:+.2f}."
        for order in orders(table)
    ]
    if kept := [gain.share_kept for gain in gains(table) if gain.share_kept is not None]:
        held = sum(share > 0 for share in kept)
        sentences.append(f"{held} of {len(kept)} published differences to the baseline have the published sign.")
    return sentences


def _pooled_briefly(pooled: tuple[Pooled, ...]) -> Iterable[str]:
    """A line for each gain that is significant after Holm, and one that names the others."""
    yield from (_pooled_sentence(each, len(pooled)) for each in pooled if each.p_holm <= 0.05)
    if others := [f"{each.method} minus {each.other} {each.mean:+.2f}" for each in pooled if each.p_holm > 0.05]:
        yield f"Over all data sets, not significant after Holm over {_comparisons(len(pooled))}: {'; '.join(others)}."


def _pooled_sentence(pooled: Pooled, family: int) -> str:
    sets, pairs = len(pooled.pairs), sum(pooled.pairs.values())
    return (
        f"Over all data sets: {pooled.method} minus {pooled.other} {pooled.mean:+.2f} "
        f"[{pooled.interval.low:+.2f}, {pooled.interval.high:+.2f}]; p = {pooled.p:.2g}, {pooled.p_holm:.2g} after "
        f"Holm over {_comparisons(family)} ({sets} data sets, {pairs} pairs by seed)."
    )


def _comparisons(count: int) -> str:
    return f"{count} comparison{'s' * (count > 1)}"


def _gain_sentence(gain: Gain, grid: Grid) -> str:
    """One line: who over whom and where, published, measured and kept."""
    pair = gain.paired
    who = f"{grid.row_label(gain.cell)} over {grid.row_label(gain.baseline)}, {grid.column_label(gain.cell)}"
    kept = f" ({gain.share_kept:.0%} of it)" if gain.share_kept is not None else ""
    interval = f" [{pair.interval.low:+.3g}, {pair.interval.high:+.3g}]" if pair.interval else ""
    parts = [f"published {gain.published:+.3g}"] if gain.published else []
    parts += [f"measured {pair.mean:+.3g}{interval} over {pair.n} paired seed{'s' * (pair.n != 1)}{kept}"]
    return f"Gain of {who}: {'; '.join(parts)}."
