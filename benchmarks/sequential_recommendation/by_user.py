"""Compares methods user by user: which one finds the next item of more users, and is that chance?

    python -m benchmarks.sequential_recommendation.by_user main --scale paper --output FILE

Every run keeps the rank of each user's test item. Each method of the table is compared with its baseline over the seeds
that both were run with.

A user's gain is averaged over the seeds first. The interval over users says whether these trained models differ for
users like these; the one over seeds, where there are several, whether the method would win again if trained anew.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from benchmarks.sequential_recommendation.tables import PAPER
from contrastbench.evaluation.ranking import RULES, gains_of_ranks
from contrastbench.runner import Cell, measured_on
from contrastbench.timing import write
from contrastbench.verdicts.statistics import compare_pairs

RUNS = Path("runs") / "sequential_recommendation"
METRICS = ("hr10", "ndcg10")
COMPARISON = ["scale", "dataset", "method", "over", "metric"]  # columns that tell the lines of a file apart

Compared = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=PAPER.tables)
    parser.add_argument("--scale", default="paper", help="default: paper")
    parser.add_argument("--rule", choices=RULES, default="zeroed")
    parser.add_argument("--runs", type=Path, nargs="+", default=[RUNS], help=f"folders of runs (default: {RUNS})")
    parser.add_argument("--output", type=Path, help="a CSV file; its lines of other comparisons stay")
    options = parser.parse_args()
    kept = {path.parent.name: path for folder in options.runs for path in sorted(folder.glob("*/artefact.pt"))}
    try:
        found = list(compare_table(options.table, options.scale, kept, options.rule))
    except ValueError as error:
        sys.exit(f"error: {error}")
    if not found:
        sys.exit("error: no method here and its baseline keep ranks under the same seed")
    for line in found:
        print(", ".join(f"{name} {value}" for name, value in line.items()))
    if options.output:
        write([{**line, "commit": measured_on("cpu")["commit"]} for line in found], options.output, COMPARISON)


def read_ranks(path: Path, rule: str) -> Tensor:
    """int [2, U]: the numbers that score higher than each user's item, and as high.

    Raises:
        ValueError: the run keeps no ranks, or the file is not the one that its row names.
    """
    row = json.loads((path.parent / "row.json").read_text(encoding="utf-8"))
    if row["artefact_sha256"] != hashlib.sha256(path.read_bytes()).hexdigest():
        raise ValueError(f"{path} is not what its row recorded")
    kept = torch.load(path, map_location="cpu", weights_only=True)
    if rule not in kept.get("ranks", {}):
        raise ValueError(f"{path} keeps no ranks under the rule {rule!r}: only runs that were tested do")
    return kept["ranks"][rule]


def compare_table(table: str, scale: str, kept: Mapping[str, Path], rule: str) -> Iterator[Compared]:
    """A line for each method of the table and its baseline that share a seed among the runs that are ``kept``."""
    cells = {(cell.dataset, cell.method): cell for cell in PAPER.cells(table, scale)}
    for (dataset, method), cell in cells.items():
        over = cell.baseline or PAPER.tables[table].baseline
        seeds = shared_seeds(cell, cells[dataset, over], kept) if over != method and (dataset, over) in cells else {}
        if seeds:
            ours, theirs = ([read_ranks(kept[pair[place]], rule) for pair in seeds.values()] for place in (0, 1))
            for metric in METRICS:
                names = dict(zip(COMPARISON, (scale, dataset, method, over, f"{metric}_{rule}"), strict=True))
                yield {**names, "seeds": " ".join(map(str, seeds)), **compare(ours, theirs, metric)}


def shared_seeds(cell: Cell, other: Cell, kept: Mapping[str, Path]) -> dict[int, tuple[str, str]]:
    """The keys of both cells' runs by seed, where both are kept. A run with nothing random pairs with every seed."""
    ours, theirs = ({run.seed: run.key for run in each.runs if run.key in kept} for each in (cell, other))
    if cell.deterministic and ours:
        ours = dict.fromkeys(theirs, *ours.values())
    return {seed: (key, theirs[seed]) for seed, key in ours.items() if seed in theirs}


def compare(ours: Sequence[Tensor], theirs: Sequence[Tensor], metric: str) -> Compared:
    """Both means in percent, and their difference with its 95 % intervals over users and over seeds.

    Args:
        ours, theirs: for each seed the ranks [2, U] of the same users.

    Raises:
        ValueError: the runs have other users.
    """
    counts = {ranks.shape[1] for ranks in (*ours, *theirs)}
    if len(counts) > 1:
        raise ValueError(f"the runs have {' and '.join(map(str, sorted(counts)))} users; they must be of the same data")
    mine, other = (torch.stack([100 * _gains(ranks, metric) for ranks in each]) for each in (ours, theirs))
    difference = mine - other
    of_users, of_seeds = difference.mean(dim=0), difference.mean(dim=1)
    mean, error = float(of_users.mean()), float(of_users.std()) / len(of_users) ** 0.5
    half = float(stats.t.ppf(0.975, len(of_users) - 1)) * error
    seeds = compare_pairs(dict(enumerate(of_seeds.tolist()))).interval
    more, less = int((of_users > 0).sum()), int((of_users < 0).sum())
    return {
        "ours": round(float(mine.mean()), 4),
        "theirs": round(float(other.mean()), 4),
        "difference": round(mean, 4),
        "over_users": f"[{mean - half:+.2f}, {mean + half:+.2f}]",
        "over_seeds": f"[{seeds[0]:+.2f}, {seeds[1]:+.2f}]" if seeds else "",
        "users_better": more,
        "users_worse": less,
        "sign_test_p": f"{stats.binomtest(more, more + less).pvalue if more + less else 1.0:.2g}",
    }


def _gains(ranks: Tensor, metric: str) -> Tensor:
    better, equal = ranks.long()
    return gains_of_ranks(better, equal, 1 + int((better + equal).max()))[metric]


if __name__ == "__main__":
    main()
