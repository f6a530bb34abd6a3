"""How often the verdict errs, by simulation: ``python tests/verdicts/error_rates.py``.

Runs are drawn from a normal distribution with standard deviation 1, the published numbers likewise, and the verdict is
the one that the report gives. Shifts and margins below are in standard deviations of one run.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from contrastbench import papers
from contrastbench.evidence import gather
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import t_quantile
from contrastbench.verdicts.verdict import JUDGED, MARGINS, Verdict, verdict

SEEDS = (3, 5, 10, 50)
LOOKS = (3, 5, 10)  # of somebody who adds seeds until a cell is decided
NO_MARGIN = 1e-9  # nothing is equal within it: every perfect rerun is judged by "differs" alone
SHIFT = 4.0  # a true difference, for the power of "differs"
MARGIN = 4.0  # a margin, for the power of "reproduced"
REAL_MARGIN = 1.0  # one percentage point is about one standard deviation of a run in the tables here


@dataclass(frozen=True)
class Paper:
    """What is printed: the mean of ``runs`` runs with standard deviation ``sd``; their spread too, or not."""

    runs: int
    spread: bool
    sd: float = 1.0

    @property
    def name(self) -> str:
        unequal = f", sd {self.sd:g} times ours" if self.sd != 1 else ""
        if not self.spread:
            return ("one run" if self.runs == 1 else f"mean of {self.runs}, no spread") + unequal
        return f"mean ± sd of {self.runs}{unequal}"

    def print(self, rng: np.random.Generator, margin: float, shift: float) -> Published:
        runs = rng.normal(-shift, self.sd, self.runs)
        spread = float(runs.std(ddof=1)) if self.spread else None
        kind, n = ("seeds", self.runs) if self.spread else ("", None)
        return Published("", "", "", "", float(runs.mean()), spread, kind, n, margin=margin)


PAPERS = (
    Paper(1, spread=False),
    Paper(1, spread=False, sd=2.0),
    Paper(5, spread=False),
    *(Paper(runs, spread=True) for runs in (3, 5, 10)),
    *(Paper(10, spread=True, sd=sd) for sd in (0.5, 2.0)),
)


# What is asked of simulated cells: the verdict counted, the margin, the true difference.
QUESTIONS = {
    "false differs": ("differs", NO_MARGIN, 0.0),  # a perfect rerun is called different
    "false reproduced": ("reproduced", MARGIN, MARGIN),  # a difference as large as the margin is called reproduced
    f"differs at {SHIFT:g} sd": ("differs", NO_MARGIN, SHIFT),
    f"reproduced, margin {MARGIN:g} sd": ("reproduced", MARGIN, 0.0),
    f"reproduced, margin {REAL_MARGIN:g} sd": ("reproduced", REAL_MARGIN, 0.0),
}
GOOD = ("reproduced", "consistent")


def rate(question: str, seeds: int, paper: Paper, replications: int, seed: int = 0) -> float:
    """How often a simulated cell gets the verdict, in percent, for one number of seeds and kind of published number.

    Args:
        question: one of QUESTIONS.
        replications: simulated cells; the error of a rate near 5 % is 22 / sqrt(replications) points.
        seed: of the simulation; the same seed gives the same table.
    """
    kind, margin, shift = QUESTIONS[question]
    stream = list(QUESTIONS).index(question)
    rng = np.random.default_rng([seed, stream, seeds, paper.runs, paper.spread, int(10 * paper.sd)])
    kinds = [_verdict(rng, seeds, paper, margin, shift) for _ in range(replications)]
    return 100.0 * kinds.count(kind) / replications


def _verdict(rng: np.random.Generator, seeds: int, paper: Paper, margin: float, shift: float) -> str:
    return verdict(rng.normal(size=seeds).tolist(), paper.print(rng, margin, shift)).kind


def naive_rates(seeds: int, paper: Paper, replications: int, seed: int = 0) -> tuple[float, float | None]:
    """How often two usual rules call a perfect rerun different, in percent.

    Returns:
        The one-sample t-test against the printed mean, and "our mean lies outside the paper's +- sd" (None where no
        spread is printed).
    """
    rng = np.random.default_rng([seed, 4, seeds, paper.runs, paper.spread, int(10 * paper.sd)])
    ours = rng.normal(size=(replications, seeds))
    theirs = rng.normal(0.0, paper.sd, size=(replications, paper.runs))
    off = np.abs(ours.mean(1) - theirs.mean(1))
    half = t_quantile(0.975, seeds - 1) * ours.std(1, ddof=1) / np.sqrt(seeds)
    outside = 100.0 * float(np.mean(off > theirs.std(1, ddof=1))) if paper.spread else None
    return 100.0 * float(np.mean(off > half)), outside


def looking_again(paper: Paper, replications: int, seed: int = 0) -> float:
    """How often a perfect rerun is called different at 3 seeds, or else at 5, or else at 10, in percent.

    This is what comes of adding seeds because a cell is undecided, and judging again.
    """
    rng = np.random.default_rng([seed, 5, paper.runs, paper.spread, int(10 * paper.sd)])
    count = 0
    for _ in range(replications):
        ours, published = rng.normal(size=max(LOOKS)).tolist(), paper.print(rng, NO_MARGIN, 0.0)
        count += any(verdict(ours[:n], published).kind == "differs" for n in LOOKS)
    return 100.0 * count / replications


def table_lines(replications: int) -> Iterator[str]:
    """The table for the documentation, in Markdown."""
    yield f"| seeds | published | {' | '.join(QUESTIONS)} | one-sample t errs | outside ± sd errs |"
    yield "| ---: | --- " + "| ---: " * (len(QUESTIONS) + 2) + "|"
    for seeds in SEEDS:
        for paper in PAPERS:
            numbers = [rate(question, seeds, paper, replications) for question in QUESTIONS]
            numbers += [number for number in naive_rates(seeds, paper, replications) if number is not None]
            words = [f"{number:.1f}" for number in numbers] + [""] * (not paper.spread)
            yield f"| {seeds} | {paper.name} | {' | '.join(words)} |"
    yield ""
    yield "| published | false differs at 3, else 5, else 10 seeds |"
    yield "| --- | ---: |"
    for paper in PAPERS:
        yield f"| {paper.name} | {looking_again(paper, replications):.1f} |"


@dataclass(frozen=True)
class RealCell:
    """A judged cell of the suite: its name, our seeds and sd, and what is printed for it."""

    name: str
    seeds: int
    sd: float
    printed: Published
    claimed: float | None

    @property
    def gap(self) -> float:
        """The gap that must not be overlooked."""
        assert self.printed.margin is not None
        return max(abs(self.claimed), self.printed.margin) if self.claimed else MARGINS * self.printed.margin


def real_cells() -> list[RealCell]:
    """The cells with five seeds or more that are judged against a printed number of their protocol."""
    cells = [
        cell
        for name in papers.names()
        for table in gather(papers.paper(name)).tables
        for cell in table.cells
        if cell.verdict.kind in JUDGED and len(cell.shipped.done) >= 5 and not cell.deterministic
    ]
    return [
        RealCell(f"{c.dataset}/{c.method}, {c.metric}", len(c.shipped.done), c.shipped.summary.sd, c.judged, c.claimed)
        for c in cells
        if c.judged
    ]


def real_rates(cell: RealCell, replications: int, seed: int = 0) -> tuple[float, float, float, float]:
    """Of the cell's perfect reruns and of misses as large as the gap: how often it says what, in percent.

    Returns:
        Perfect reruns that are reproduced or consistent; perfect reruns that differ; misses that differ; perfect
        reruns that are undecided and name the gap that would not show.
    """
    rng = np.random.default_rng(seed)
    verdicts: dict[float, list[Verdict]] = {0.0: [], cell.gap: []}
    for shift, found in verdicts.items():
        for _ in range(replications):
            runs = rng.normal(shift, cell.sd, cell.printed.n or (5 if cell.printed.spread is not None else 1))
            spread = float(runs.std(ddof=1)) if cell.printed.spread is not None else None
            printed = replace(cell.printed, value=float(runs.mean()), spread=spread, value_text="")
            ours = rng.normal(0.0, cell.sd, cell.seeds).tolist()
            found.append(verdict(ours, printed, claimed=cell.claimed))
    perfect, missed = verdicts.values()
    good = sum(each.kind in GOOD for each in perfect)
    unsure = sum(each.kind == "undecided" and "would not show" in each.reason for each in perfect)
    differ, found_out = (sum(each.kind == "differs" for each in some) for some in (perfect, missed))
    return tuple(100.0 * count / replications for count in (good, differ, found_out, unsure))


def real_lines(replications: int) -> Iterator[str]:
    """The table of real cells, in Markdown."""
    yield "| cell | seeds | our sd | gap | perfect rerun good | differs | miss differs | says it cannot tell |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for cell in real_cells():
        rates = " | ".join(f"{rate:.1f}" for rate in real_rates(cell, replications))
        yield f"| {cell.name} | {cell.seeds} | {cell.sd:.2f} | {cell.gap:.2g} | {rates} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulates how often the verdict errs; prints a Markdown table, in %.")
    parser.add_argument("--replications", type=int, default=20_000, help="simulated cells per rate")
    parser.add_argument("--real", action="store_true", help="of the suite's own judged cells instead")
    given = parser.parse_args()
    for line in (real_lines if given.real else table_lines)(given.replications):
        print(line, flush=True)


if __name__ == "__main__":
    main()
