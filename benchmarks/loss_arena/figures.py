"""The arena's figure, made from rows alone: a line for each loss, a panel for each data set."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.loss_arena.tables import BASELINE, METRICS, UNTRAINED, metric_of
from contrastbench.report.style import INK, new_figure
from contrastbench.verdicts.statistics import Paired, compare_pairs, differs_among

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite")
SHORTEST, PER_LINE = 1.4, 0.27  # inches of height
YOURS, BETTER, WORSE, UNDECIDED = "#d55e00", "#117733", "#882255", "#777777"


class Against(NamedTuple):
    """A loss on a data set against NT-Xent, over the seeds that both have."""

    dataset: str
    method: str
    pairs: Paired
    is_real: bool  # the interval of all losses of the data set together (Bonferroni) leaves 0 out


def against_baseline(rows: Iterable[Row]) -> Iterator[Against]:
    """Compares every loss on every data set with NT-Xent, from rows of the largest scale that has any."""
    done = [row for row in rows if row["status"] == "done" and row["scale"] in SCALES]
    scale = max((row["scale"] for row in done), key=SCALES.index, default="")
    values: dict[str, dict[str, dict[int, float]]] = {}  # data set -> method -> seed -> value
    for row in sorted(done, key=lambda row: list(METRICS).index(row["stage"])):
        if row["scale"] == scale:
            value = row["metrics"][metric_of(row["stage"], scale)]
            values.setdefault(row["dataset"], {}).setdefault(row["method"], {})[row["seed"]] = value
    for dataset, methods in values.items():
        baseline = methods.pop(BASELINE, {})
        for method, own in methods.items() if baseline else ():
            pairs = {seed: value - baseline[seed] for seed, value in own.items() if seed in baseline}
            is_real = differs_among([*pairs.values()], len(methods))
            yield Against(dataset, method, compare_pairs(pairs), is_real)


def figure_arena(rows: Sequence[Row]) -> Figure | None:
    """Each loss's paired difference to NT-Xent with its interval, at the greatest scale that has rows."""
    found = [each for each in against_baseline(rows) if each.method != UNTRAINED]
    if not found:
        return None
    methods = list(dict.fromkeys(each.method for each in found))
    datasets = list(dict.fromkeys(each.dataset for each in found))
    size = (2.2 + 2.1 * len(datasets), SHORTEST + PER_LINE * len(methods))
    figure, panels = new_figure(*size, ncols=len(datasets), sharey=True, squeeze=False)
    for axes, dataset in zip(panels[0], datasets, strict=True):
        _draw(axes, [each for each in found if each.dataset == dataset], methods)
        axes.set(title=dataset, xlabel="minus NT-Xent")
    panels[0][0].set_yticks(range(len(methods)), methods)
    panels[0][0].invert_yaxis()
    return figure


def _draw(axes: Any, found: Iterable[Against], methods: Sequence[str]) -> None:
    axes.axvline(0, color=INK, linewidth=0.8)
    for each in found:
        mean = each.pairs.mean
        colour = UNDECIDED if not each.is_real else BETTER if mean > 0 else WORSE
        colour = YOURS if each.method.startswith("yours") else colour
        place = methods.index(each.method)
        axes.plot(each.pairs.interval or (mean, mean), [place, place], color=colour, linewidth=1.5)
        axes.plot([mean], [place], "o", color=colour, markersize=4)


FIGURES = {"arena": figure_arena}
