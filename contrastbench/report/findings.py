"""The sentences below a table: the methods' order, the gains over all data sets, and the gain on each of them."""

from __future__ import annotations

from collections.abc import Iterable

from contrastbench.report.layout import Grid
from contrastbench.verdicts.cells import JoinedTable
from contrastbench.verdicts.gains import Gain, Pooled, gains, orders, pooled_gains


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
    family = len(pooled)
    yield from (_pooled_sentence(each, family) for each in pooled if each.p_holm <= 0.05)
    others = [f"{each.method} minus {each.other} {each.mean:+.2f}" for each in pooled if each.p_holm > 0.05]
    if others:
        yield f"Over all data sets, not significant after Holm over {_comparisons(family)}: {'; '.join(others)}."


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
