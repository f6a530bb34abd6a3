"""The arena's figure, made from rows alone: a line for each loss, a panel for each data set."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.loss_arena.outcome import Against, against_baseline
from benchmarks.loss_arena.tables import BASELINE, UNTRAINED
from contrastbench.report.style import INK, new_figure

Row = dict[str, Any]
SHORTEST, PER_LINE = 1.4, 0.27  # inches of height
YOURS, BETTER, WORSE, UNDECIDED = "#d55e00", "#117733", "#882255", "#777777"


def figure_arena(rows: Sequence[Row]) -> Figure | None:
    """Each loss's paired difference to NT-Xent with its interval, at the greatest scale that has rows."""
    found = [each for each in against_baseline(rows) if each.method not in (BASELINE, UNTRAINED)]
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
        low, high = each.interval or (each.difference, each.difference)
        colour = UNDECIDED if not each.is_real else BETTER if each.difference > 0 else WORSE
        colour = YOURS if each.method.startswith("yours") else colour
        place = methods.index(each.method)
        axes.plot([low, high], [place, place], color=colour, linewidth=1.5)
        axes.plot([each.difference], [place], "o", color=colour, markersize=4)


FIGURES = {"arena": figure_arena}
