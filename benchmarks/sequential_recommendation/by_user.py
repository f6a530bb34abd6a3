"""Compares two runs user by user: who finds the next item of more users, and is that chance?

    python -m benchmarks.sequential_recommendation.by_user RUN OTHER

A run is named by its key, or the beginning of it. Every trained run keeps the rank of each user's test item. Both runs
must be of the same data. Seeds say whether a method is better on average, users whether this run is better than that
one.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from scipy import stats
from torch import Tensor

from contrastbench.evaluation.ranking import RULES, gains_of_ranks

RUNS = Path("runs") / "sequential_recommendation"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the key of a run")
    parser.add_argument("other", help="the key of the run that it is compared with")
    parser.add_argument("--rule", choices=RULES, default="zeroed")
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"the folder of runs (default: {RUNS})")
    options = parser.parse_args()
    try:
        ranks = [read_ranks(options.runs, key, options.rule) for key in (options.run, options.other)]
        for metric in ("hr10", "ndcg10"):
            print(f"{metric} {options.rule}, percent: {compare(*ranks, metric)}")
    except ValueError as error:
        sys.exit(f"error: {error}")


def read_ranks(runs: Path, key: str, rule: str) -> Tensor:
    """int [2, U]: the numbers that score higher than each user's item, and as high.

    Raises:
        ValueError: no run or several have such a key, or the run keeps no ranks.
    """
    found = sorted(runs.glob(f"{key}*/artefact.pt"))
    if len(found) != 1:
        raise ValueError(f"{len(found)} runs in {runs} that keep something have a key that begins with {key!r}")
    kept = torch.load(found[0], map_location="cpu", weights_only=True)
    if rule not in kept.get("ranks", {}):
        raise ValueError(f"{found[0]} keeps no ranks under the rule {rule!r}: only trained and tested runs do")
    return kept["ranks"][rule]


def compare(ours: Tensor, theirs: Tensor, metric: str) -> str:
    """Both means, their difference with its 95 % interval over users, and how many users each finds better.

    Raises:
        ValueError: the runs have other users.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"the runs have {ours.shape[1]} and {theirs.shape[1]} users; they must be of the same data")
    size = 1 + int(max(ours.sum(dim=0).max(), theirs.sum(dim=0).max()))
    mine, other = (100 * gains_of_ranks(*ranks.long(), size)[metric] for ranks in (ours, theirs))
    difference = mine - other
    half = stats.t.ppf(0.975, len(difference) - 1) * float(difference.std()) / math.sqrt(len(difference))
    mean, more, less = float(difference.mean()), int((difference > 0).sum()), int((difference < 0).sum())
    p = stats.binomtest(more, more + less).pvalue if more + less else 1.0
    means = f"{float(mine.mean()):.2f} and {float(other.mean()):.2f}"
    interval = f"[{mean - half:+.2f}, {mean + half:+.2f}]"
    users = f"better for {more} users, worse for {less} (sign test p = {p:.2g})"
    return f"{means}, difference {mean:+.2f} {interval}; {users}"


if __name__ == "__main__":
    main()
