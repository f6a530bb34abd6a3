"""Curves over a setting, in pairs: each point is the gain over a baseline on seeds that all points of the line share.

Means of whatever seeds each point has would draw effects that are not there: one point has three seeds, its neighbour
ten. The means of all seeds stand in the tables.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.figure import Figure

from contrastbench.report.layout import words
from contrastbench.report.style import INK, Look, looks, new_panels, styled
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, counts_runs, group_by, setting_of, without_setting
from contrastbench.verdicts.claims import Claim, Curve
from contrastbench.verdicts.gains import counterpart, gain_by_seed
from contrastbench.verdicts.statistics import Interval, estimate, summarise, t_interval, wilson_interval
from contrastbench.verdicts.verdict import is_finite

Points = Mapping[float, Mapping[int, float]]  # x -> seed -> value
Means = Mapping[float, tuple[float, Interval | None]]  # x -> mean and its interval
LABELS = {"beta": "β", "tau_plus": "τ⁺", "alpha": "α", "lambda": "λ", "eps": "ε"}
SAME_AT_ZERO = {("beta", "HCL"): "DCL"}  # setting and method -> what the method is where the setting is 0
FEWEST = 3  # seeds of an interval: that of two is as wide as the figure
MOST_DOTS = 10  # seeds of a point that are drawn one by one; more hide the interval
GROUPS = ("method", "dataset", "variant", "protocol", "stage")


@dataclass(frozen=True)
class Panel:
    """One panel of a figure.

    Attributes:
        y: the metric.
        lines: name -> points; all points of a line have the same seeds.
        flat: name -> gain of a method that has no value of x, drawn across the panel.
        published: name -> x -> the printed gain, or the printed value where ``baseline`` is empty.
        baseline: what the gains are over; "" where the values themselves are drawn.
        marks: x at which the paper claims the best value.
        pooled: name -> x -> mean gain over data sets and its interval; such a line has no seeds.
        ticks: further x that the axis names, as that of the baseline.
    """

    title: str
    y: str
    lines: Mapping[str, Points]
    flat: Mapping[str, float] = field(default_factory=dict)
    published: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    baseline: str = ""
    marks: Sequence[float] = ()
    pooled: Mapping[str, Means] = field(default_factory=dict)
    ticks: Sequence[float] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see: no line with two points, or zero at every one."""
        values = [v for points in self.lines.values() for seeds in points.values() for v in seeds.values()]
        return all(len(points) < 2 for points in self.lines.values()) or not any(values)

    @property
    def means(self) -> dict[str, Means]:
        """Each line's points as a mean and its interval."""
        lines = {name: points for name, points in self.lines.items() if points}
        of_seeds = {name: {at: self._mean(list(seeds.values())) for at, seeds in points.items()}
                    for name, points in lines.items()}  # fmt: skip
        return {**of_seeds, **self.pooled}

    def _mean(self, values: Sequence[float]) -> tuple[float, Interval | None]:
        summary = summarise(values)
        if counts_runs(self.y) and not self.baseline:
            return summary.mean, wilson_interval(sum(value > 50 for value in values), len(values))
        return summary.mean, t_interval(summary) if summary.n >= FEWEST else None


def paired_points(gains: Points) -> Points:
    """The points with only the seeds that all of them have; a point that has none of the others' is dropped."""
    left = {x: dict(by_seed) for x, by_seed in sorted(gains.items()) if by_seed}
    while left and not (common := set.intersection(*(set(by_seed) for by_seed in left.values()))):
        del left[min(left, key=lambda x: len(left[x]))]
    return {x: {seed: by_seed[seed] for seed in sorted(common)} for x, by_seed in left.items()}


def curve_panels(panels: Sequence[Panel], x: str, *, title: str = "", widest: int = 3) -> Figure:
    """Draws the panels; lines are named once, beside them.

    Args:
        title: of the figure; how many seeds its points have is added.
    """
    style = looks(name for panel in panels for name in (*panel.lines, *panel.pooled, *panel.flat))
    alike = len({panel.title for panel in panels}) == 1  # then said once
    parts = [title, panels[0].title if alike else "", _seeds_text(panels) if title else ""]
    with styled():
        figure, axes = new_panels(len(panels), widest, lambda columns, lines: (3.4 * columns + 2.2, 2.9 * lines + 0.4))
        handles: dict[str, Any] = {}
        for drawn, panel in zip(axes, panels, strict=True):
            _draw(drawn, panel, x, style)
            handles.update(zip(*reversed(drawn.get_legend_handles_labels()), strict=True))
            if not alike:
                drawn.set_title(textwrap.fill(panel.title, 32))
        if said := ", ".join(filter(None, parts)):
            beside = int(10 * (figure.get_figwidth() - 2.2))  # characters that leave room for the legend
            figure.suptitle(textwrap.fill(said, beside), x=0.01, ha="left", fontsize=10, fontweight="bold")
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return figure


def _seeds_text(panels: Sequence[Panel]) -> str:
    """``5 seeds``, or ``3 to 50 seeds`` where points differ."""
    counts = {len(seeds) for panel in panels for points in panel.lines.values() for seeds in points.values()}
    least, most = (min(counts), max(counts)) if counts else (0, 0)
    return f"{f'{least} to ' * (least < most)}{most} seed{'s' * (most != 1)}" if counts else ""


def _draw(axes: Any, panel: Panel, x: str, style: Mapping[str, Look]) -> None:
    means = panel.means
    values = {at for points in means.values() for at in points} | set(panel.ticks)
    place = placing(values.union(*panel.published.values()))
    if panel.baseline:
        axes.axhline(0.0, color=INK, linewidth=0.8, label=panel.baseline)
    for number, (name, points) in enumerate(means.items()):
        aside = 0.05 * (number - (len(means) - 1) / 2)  # lines stand side by side at each x
        _draw_line(axes, panel, name, {at: place(at) + aside for at in points}, points, style[name])
        if name in panel.lines:
            printed = panel.published.get(name, {})
            xs = [place(at) + aside for at in printed]
            axes.plot(xs, list(printed.values()), linestyle="", **_open_diamond(style[name]))
    for name, gain in panel.flat.items():
        axes.axhline(gain, color=style[name].colour, linestyle=(0, (4, 2)), linewidth=1.2, label=name)
    for mark in panel.marks:
        axes.axvline(place(mark), color=INK, linestyle=":", linewidth=1, label="claimed best")
    if panel.published:
        axes.plot([], [], linestyle="", label="published", **_open_diamond(Look(INK, "D")))
    _finish(axes, panel, x, sorted(values), place)


def _draw_line(axes: Any, panel: Panel, name: str, xs: Mapping[float, float], means: Means, look: Look) -> None:
    seeds = [(xs[at], value) for at, seeds in panel.lines.get(name, {}).items() for value in seeds.values()]
    if seeds and not counts_runs(panel.y) and len(seeds) <= MOST_DOTS * len(means):
        axes.plot(*zip(*seeds, strict=True), ".", color=look.colour, alpha=0.25, markersize=3.5)
    for at, (_, interval) in means.items():
        if interval and interval.low < interval.high:
            axes.plot([xs[at], xs[at]], interval, color=look.colour, linewidth=1.2)
    values = [mean for mean, _ in means.values()]
    axes.plot(list(xs.values()), values, marker=look.marker, color=look.colour, label=name or "_nolegend_")


def _open_diamond(look: Look) -> dict[str, Any]:
    return {"marker": "D", "markersize": 7, "markerfacecolor": "none", "markeredgecolor": look.colour}


def placing(values: Iterable[float]) -> Callable[[float], float]:
    """Where each x stands: by the logarithm if the values double rather than step, with 0 one step from the smallest.

    Negative values stand the same way on the other side of 0.
    """
    sizes = sorted({abs(value) for value in values if value})
    if len(sizes) < 2 or sizes[-1] / sizes[0] < 8:
        step = min((b - a for a, b in zip(sizes, sizes[1:], strict=False)), default=1.0)
        return lambda value: value / step
    return lambda value: math.copysign(1 + math.log2(abs(value) / sizes[0]), value) if value else 0.0


def _finish(axes: Any, panel: Panel, x: str, values: Sequence[float], place: Callable[[float], float]) -> None:
    zero = {SAME_AT_ZERO.get((x, name.split(" ")[0].split(",")[0])) for name in (*panel.lines, *panel.pooled)}
    names = {0.0: f"0\n{only}"} if len(zero) == 1 and (only := zero.pop()) else {}
    axes.set_xticks([place(at) for at in values], [names.get(at, f"{at:g}") for at in values])
    if 0 in values and place(2.0) - place(1.0) == place(4.0) - place(2.0):  # a logarithm has no zero: the axis breaks
        for side in {math.copysign(1.0, value) for value in values if value}:
            axes.plot(side * 0.5, 0, marker=(2, 0, -25), markersize=9, color=INK, clip_on=False,
                      transform=axes.get_xaxis_transform(), zorder=5)  # fmt: skip
    axes.set_xlabel(LABELS.get(x, x.replace("_", " ")))
    axes.set_ylabel(f"{words(panel.y)}:\ngain over {panel.baseline}" if panel.baseline else words(panel.y))
    axes.yaxis.label.set_size(8)


# ------------------------------------------------------------------------------------------------- from a table


def ablation(table: JoinedTable, x: str, claims: Iterable[Claim] = ()) -> Figure | None:
    """Draws the table's cells over one of their settings: a panel per data set and metric, a line per method.

    Where the paper claims the best value is marked.

    None if no method was measured at two values of ``x``, or if every gain is zero.
    """
    panels = [panel_of(cells, x, claims) for cells in panels_of(table)]
    shown = [panel for panel in panels if not panel.is_empty]
    if len({panel.title for panel in shown}) < len(shown):  # several metrics of a data set
        alike = len({panel.title for panel in shown}) == 1
        own = [words(panel.y) if alike else f"{panel.title}, {words(panel.y)}" for panel in shown]
        shown = [replace(panel, title=title) for panel, title in zip(shown, own, strict=True)]
    datasets = dict.fromkeys(cell.dataset for cell in table.cells)
    parts = [f"{table.paper}/{table.name}", *(datasets if len(datasets) == 1 < len(shown) else ())]
    title = f"{', '.join(parts)}, {table.scale} scale"
    return curve_panels(shown, x, title=title) if shown else None


def claimed_best(claims: Iterable[Claim], cell: JoinedCell, x: str) -> Sequence[float]:
    """The values of ``x`` that the paper, and not this suite, says are best in the cell's table."""
    place = f"{cell.table}/{cell.scale}"
    fitting = (
        claim.best
        for claim in claims
        if isinstance(claim, Curve) and claim.x == x and place in claim.at and claim.best and not claim.ours
        if cell.dataset in (claim.datasets or (cell.dataset,)) and cell.better != "none"
    )
    return next(fitting, ())


def panels_of(table: JoinedTable) -> list[list[JoinedCell]]:
    """The table's cells by metric and data set, in the order declared."""
    return list(group_by(table.cells, lambda cell: (cell.metric, cell.dataset)).values())


def panel_of(
    cells: Sequence[JoinedCell],
    x: str,
    claims: Iterable[Claim] = (),
    *,
    group: str = "method",
    values: bool = False,
) -> Panel:
    """The panel of one metric: gains over the cells' baseline, or values where it was not measured.

    A method without a value of ``x`` is a line across; the baseline itself is the line at zero.

    Args:
        cells: of one data set, unless ``group`` is another than "method".
        group: what has a line: a method, or the value of that label or setting.
        values: draws values all the same, and the baseline as a line across.
    """
    measured = [cell for cell in cells if cell.best_known.done]
    names, first = {cell.baseline for cell in measured}, cells[0]
    zero = next((cell for cell in measured if {cell.method} == names), None)
    if values or counts_runs(first.metric) or (zero and zero.better == "none"):
        zero = None
    lines, published = {}, {}
    for name, line in lines_of(cells, x, group).items():
        by_x = {setting_of(c, x) or 0.0: _gains(c, zero, cells) for c in line if c.best_known.done}
        if not (points := paired_points(by_x)) or (zero and {cell.method for cell in line} == {zero.method}):
            continue
        lines[name] = points
        printed = [(setting_of(cell, x) or 0.0, _printed(cell, zero)) for cell in line]
        if known := {at: value for at, value in printed if value is not None}:
            published[name] = known
    flat = {
        cell.method: summarise(list(_gains(cell, zero, cells).values())).mean
        for cell in measured
        if (zero or values) and setting_of(cell, x) is None and cell is not zero
    }
    own = setting_of(zero, x) if zero else None
    ticks, marks = [] if own is None else [own], claimed_best(claims, first, x)
    title = first.dataset if group == "method" else ""
    return Panel(title, first.metric, lines, flat, published, zero.method if zero else "", marks, ticks=ticks)


def cells_over(cells: Sequence[JoinedCell], x: str, y: str, group: str = "method") -> list[JoinedCell]:
    """The cells with another metric of their rows, and with their config's value of ``x`` among their settings.

    A baseline that no setting of its table tells from the others keeps none, so that it is no point of a line.

    Raises:
        ValueError: no finished row has ``x``, ``y`` or ``group``; the message lists what there is.
    """
    configs = [cell.config for cell in cells]
    own = [*configs, *(cell.settings for cell in cells)]
    numbers = {name for settings in own for name, value in settings.items() if is_finite(value)}
    metrics = {name for cell in cells for row in cell.best_known.done for name in row["metrics"]}
    for what, name, known in (("x", x, numbers), ("y", y, metrics), ("group", group, {*GROUPS}.union(*configs))):
        if name not in known:
            there = ", ".join(sorted(known)) or "nothing"
            raise ValueError(f"unknown {what} {name!r}; the finished rows have: {there}")
    swept = {cell.method for cell in cells if x in cell.settings or cell.config.get(x) in cell.settings.values()}
    across = {cell.baseline for cell in cells} - swept
    changed = []
    for cell in cells:
        here, shipped = (
            replace(each, metric=y, done=tuple(row for row in each.done if is_finite(row["metrics"].get(y))))
            for each in (cell.here, cell.shipped)
        )
        at = {} if cell.method in across else {x: cell.settings.get(x, cell.config.get(x))}
        other: dict[str, Any] = {} if y == cell.metric else {"published": (), "claimed": None, "better": "higher"}
        changed.append(replace(cell, metric=y, here=here, shipped=shipped, settings={**cell.settings, **at}, **other))
    return changed


def pooled_panel(title: str, panels: Sequence[Panel]) -> Panel:
    """The panels of several data sets as one: at each x the mean over them of the mean gain, with its interval."""
    first = panels[0]
    pooled: dict[str, dict[float, tuple[float, Interval]]] = {}
    for name in first.lines:
        common = set.intersection(*(set(panel.lines.get(name, {})) for panel in panels))
        for at in sorted(common):
            if found := estimate([list(panel.lines[name][at].values()) for panel in panels]):
                pooled.setdefault(name, {})[at] = found.mean, found.interval()
    return Panel(title, first.y, {}, baseline=first.baseline, marks=first.marks, pooled=pooled, ticks=first.ticks)


def _gains(cell: JoinedCell, baseline: JoinedCell | None, cells: Sequence[JoinedCell]) -> dict[int, float]:
    if baseline is None:
        return cell.best_known.by_seed
    other = counterpart(cell, baseline.method, [each for each in cells if each.dataset == cell.dataset])
    return gain_by_seed(cell, other) if other else dict.fromkeys(cell.best_known.by_seed, 0.0)


def _printed(cell: JoinedCell, baseline: JoinedCell | None) -> float | None:
    if not cell.judged or cell.ambiguous:
        return None
    if baseline is None:
        return cell.judged.value
    return cell.claimed if cell.baseline == baseline.method else None


def lines_of(cells: Iterable[JoinedCell], x: str, group: str) -> dict[str, list[JoinedCell]]:
    """The cells that have a number as their setting ``x``, by the line that they are points of.

    A method's line has its name without the value of ``x``; variant and protocol are named where the name alone is that
    of several lines.
    """
    points = [cell for cell in cells if setting_of(cell, x) is not None]
    if group != "method":
        return group_by(points, lambda cell: str(getattr(cell.runs[0], group, cell.config.get(group))))

    def bare(cell: JoinedCell, name: str) -> str:
        return without_setting(name, x, setting_of(cell, x))

    kinds = {(bare(cell, cell.method), cell.variant, cell.protocol) for cell in points}
    count = Counter(name for name, *_ in kinds)
    return group_by(points, lambda c: bare(c, c.label if count[bare(c, c.method)] > 1 else c.method))
