"""The sentences below a table: the methods' order, the pooled claims, and the gains published and measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from contrastbench.report.layout import Grid
from contrastbench.verdicts.cells import JoinedTable
from contrastbench.verdicts.comparisons import Analysis, Claim, Pooled, analyse
from contrastbench.verdicts.pairs import LEVEL_OF_TEST


def findings(table: JoinedTable) -> list[str]:
    """The sentences below a table: the order of methods, the pooled claims, and every gain published or measured."""
    analysis = analyse(table)
    grid = Grid(table)
    # One seed against one, with nothing claimed, says nothing: the two numbers stand in the table.
    claims = [claim for claim in analysis.claims if claim.paired.n >= 2 or claim.published]
    return [
        *_order_and_signs(analysis),
        *(_said_of_pooled(claim, len(analysis.pooled)) for claim in analysis.pooled),
        *(_said_of_claim(claim, grid) for claim in claims),
        *_impossibilities(analysis, table),
    ]


def summary(table: JoinedTable) -> list[str]:
    """The findings in few lines: no single gains, and one line for all claims that no test supports."""
    analysis = analyse(table)
    return [*_order_and_signs(analysis), *_pooled_briefly(analysis.pooled), *_impossibilities(analysis, table)]


def _order_and_signs(analysis: Analysis) -> list[str]:
    said = [
        f"Order of {order.methods} methods on {order.dataset} ({order.metric}) against the paper's: "
        f"Kendall's tau {order.tau:+.2f}."
        for order in analysis.orders
        if not math.isnan(order.tau)
    ]
    if kept := [claim.kept for claim in analysis.claims if claim.kept is not None]:
        held = sum(share > 0 for share in kept)
        said.append(f"{held} of {len(kept)} published differences to the baseline have the published sign.")
    return said


def _pooled_briefly(claims: Sequence[Pooled]) -> Iterable[str]:
    """A line for each claim that holds after Holm, and one that names the others."""
    for claim in claims:
        if claim.p_holm <= LEVEL_OF_TEST:
            yield _said_of_pooled(claim, len(claims))
    others = [f"{c.method} minus {c.other} {c.mean:+.2f}" for c in claims if c.p_holm > LEVEL_OF_TEST]
    if others:
        yield f"Over all data sets, not significant after Holm over {_claims(len(claims))}: {'; '.join(others)}."


def _said_of_pooled(claim: Pooled, family: int) -> str:
    sets, pairs = len(claim.pairs), sum(claim.pairs.values())
    return (
        f"Over all data sets: {claim.method} minus {claim.other} {claim.mean:+.2f} "
        f"[{claim.interval.low:+.2f}, {claim.interval.high:+.2f}]; p = {claim.p:.2g}, {claim.p_holm:.2g} after Holm "
        f"over {_claims(family)} ({sets} data sets, {pairs} pairs by seed)."
    )


def _claims(count: int) -> str:
    return f"{count} claim{'s' * (count > 1)}"


def _said_of_claim(claim: Claim, grid: Grid) -> str:
    """One line: who over whom and where, published, measured, kept, and what the paired test says."""
    pair = claim.paired
    who = f"{grid.row_label(claim.cell)} over {grid.row_label(claim.baseline)}, {grid.column_label(claim.cell)}"
    kept = f" ({claim.kept:.0%} of it)" if claim.kept is not None else ""
    interval = f" [{pair.interval.low:+.3g}, {pair.interval.high:+.3g}]" if pair.interval else ""
    parts = [f"published {claim.published:+.3g}"] if claim.published else []
    parts += [f"measured {pair.mean:+.3g}{interval} over {pair.n} paired seed{'s' * (pair.n != 1)}{kept}"]
    if not pair.impossible:
        parts += [f"p = {pair.p_holm:.2g} after Holm" + (", significant" if pair.significant else ", not significant")]
    return f"Gain of {who}: {'; '.join(parts)}."


def _impossibilities(analysis: Analysis, table: JoinedTable) -> list[str]:
    """Why nothing could be significant, once for the table; only if no pooled test speaks for its data sets."""
    if len({cell.dataset for cell in table.cells}) > 1 and analysis.pooled:
        return []
    reasons = (claim.paired.impossible for claim in analysis.claims if claim.paired.n >= 2)
    return [f"{reason[0].upper()}{reason[1:]}." for reason in dict.fromkeys(reasons) if reason]
