"""What the analysis of a table found, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from contrastbench.report.analysis import Analysis, Claim, Order, analyse
from contrastbench.report.join import JoinedTable
from contrastbench.report.layout import Grid


def findings(table: JoinedTable) -> list[str]:
    """The sentences for under a table: order of methods, each gain claimed and measured, and what no test can show."""
    analysis = analyse(table)
    grid = Grid(table)
    # One seed against one, with nothing claimed, says nothing: the two numbers stand in the table.
    claims = [claim for claim in analysis.claims if claim.paired.n >= 2 or (claim.gain and claim.paired.n)]
    return [*_overall(analysis), *(_claim(claim, grid) for claim in claims), *_impossible(analysis)]


def summary(table: JoinedTable) -> list[str]:
    """The findings without a sentence for each gain."""
    analysis = analyse(table)
    return [*_overall(analysis), *_impossible(analysis)]


def _overall(analysis: Analysis) -> list[str]:
    claims = [claim for claim in analysis.claims if claim.paired.n and claim.gain]
    return [
        *(_order(order) for order in analysis.orders if not math.isnan(order.tau)),
        *([_summary(claims)] if claims else []),
    ]


def _order(order: Order) -> str:
    return (
        f"Order of {order.methods} methods on {order.dataset} ({order.metric}) against the paper's: "
        f"Kendall's tau {order.tau:+.2f}."
    )


def _summary(claims: Sequence[Claim]) -> str:
    gains = [claim.gain for claim in claims if claim.gain and claim.gain.published]
    held = sum(gain.same_sign for gain in gains)
    return f"{held} of {len(gains)} claimed gains have the claimed sign."


def _claim(claim: Claim, grid: Grid) -> str:
    """One line: who over whom and where, claimed, measured, kept, and what the paired test says."""
    who = (
        f"Gain of {grid.row_label(claim.cell)} over {grid.row_label(claim.baseline)}, {grid.column_label(claim.cell)}: "
    )
    return who + "; ".join([*_claimed(claim), *_paired(claim)]) + "."


def _claimed(claim: Claim) -> Iterable[str]:
    if claim.gain and claim.gain.published:
        yield f"claimed {claim.gain.published:+.3g}"


def _paired(claim: Claim) -> Iterable[str]:
    pair = claim.paired
    kept = f" ({claim.gain.share_kept:.0%} of the claim)" if claim.gain and claim.gain.published else ""
    seeds = f"{pair.n} paired seed{'s' * (pair.n != 1)}"
    interval = f" [{pair.interval.low:+.3g}, {pair.interval.high:+.3g}]" if pair.interval else ""
    yield f"measured {pair.mean:+.3g}{interval} over {seeds}{kept}"
    if not pair.impossible:
        yield f"p = {pair.p_holm:.2g} after Holm" + (", significant" if pair.significant else ", not significant")


def _impossible(analysis: Analysis) -> list[str]:
    """Said once for the table and not at each comparison."""
    reasons = (claim.paired.impossible for claim in analysis.claims if claim.paired.n >= 2)
    return [f"{reason[0].upper()}{reason[1:]}." for reason in dict.fromkeys(reasons) if reason]
