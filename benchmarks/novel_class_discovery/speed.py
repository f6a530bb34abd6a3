"""Times NCL with generated hard negatives three ways, in turns.

    python -m benchmarks.novel_class_discovery.speed --output results/novel_class_discovery/speed.csv

The loop goes from anchor to anchor as the authors' code does; "vectors" mixes all hard negatives and multiplies them
with the anchors; "cosines" never makes a mix. All three draw the same partners and give the same loss and gradient,
which is checked first. Each way's time is the median of its turns on the clock on the wall, with two threads: the
machine should be quiet. With one thread it is processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from contrastbench import losses
from contrastbench.randomness import generator
from contrastbench.runner import measured_on

# Anchors, entries of each queue, width, far entries, rounds, hard negatives kept, neighbours: what the code has.
SIZES = {
    "CIFAR-10": (64, 2000, 512, 50, 5, 400, 200),
    "CIFAR-100": (45, 2000, 512, 400, 5, 400, 50),
}
WAYS = ("loop", "vectors", "cosines", "no hard negatives")
Line = dict[str, str | int | float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="a CSV file; without it the times are printed alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=25)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    facts = {"threads": chosen.threads, "turns": chosen.turns, **measured_on("cpu")}
    lines = [{**line, **facts} for name in SIZES for line in timed(name, chosen.threads, chosen.turns)]
    print(*(f"{line['setting']}, {line['way']}: {line['milliseconds']} ms" for line in lines), sep="\n")
    if chosen.output:
        pd.DataFrame(lines).to_csv(chosen.output, index=False)


def timed(name: str, threads: int, turns: int) -> list[Line]:
    """Milliseconds of draws, loss and gradient for each way, and each as a multiple of "cosines"."""
    ways = {kind: _way(kind, name) for kind in WAYS}
    _check_equal(*(ways[kind]() for kind in ("cosines", "loop", "vectors")))
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {kind: [] for kind in ways}
    for _ in range(turns):
        for kind, way in ways.items():
            start = clock()
            way()
            seconds[kind].append(clock() - start)
    median = {kind: statistics.median(each) for kind, each in seconds.items()}
    return [
        {
            **{"setting": name, "way": kind, "milliseconds": round(1000 * value, 1)},
            "times_cosines": round(value / median["cosines"], 2),
        }
        for kind, value in median.items()
    ]


def _way(kind: str, name: str) -> Callable[[], tuple[Tensor, Tensor]]:
    anchors, entries, width, safe, rounds, keep, neighbours = SIZES[name]
    rng = generator(0, "speed")
    query, key = torch.randn(2, anchors, width, generator=rng)
    unlabelled, labelled = torch.randn(2, entries, width, generator=rng)
    query.requires_grad_()
    mixes = {"safe": safe, "rounds": rounds}

    def loss() -> Tensor:
        draws = generator(1, "speed")
        if kind == "loop":
            partners = losses.draw_partners(anchors, entries, **mixes, rng=draws)
            return one_by_one(query, key, unlabelled, labelled, partners, keep, neighbours)
        hard = {}
        if kind == "vectors":
            hard["hard_negatives"] = losses.hard_negative_generation(
                query, unlabelled, labelled, **mixes, keep=keep, rng=draws
            )
        elif kind == "cosines":
            partners = losses.draw_partners(anchors, entries, **mixes, rng=draws)
            hard["hard_cosines"] = losses.hard_negative_cosines(query, unlabelled, labelled, partners, keep=keep)
        return losses.ncl(query, key, unlabelled, neighbours=neighbours, variant="as_code", **hard)

    def way() -> tuple[Tensor, Tensor]:
        value = loss()
        (gradient,) = torch.autograd.grad(value, query)
        return value.detach(), gradient

    return way


def one_by_one(
    query: Tensor, key: Tensor, unlabelled: Tensor, labelled: Tensor, partners: Tensor, keep: int, neighbours: int
) -> Tensor:
    """NCL as the authors' code has it, one anchor after the other."""
    q, k, u, other = (normalize(z, dim=1) for z in (query, key, unlabelled, labelled))
    total = torch.zeros(())
    for i in range(len(q)):
        far = u[(u @ q[i].detach()).argsort()[: partners.shape[2]]]
        mixes = [mix for drawn in partners[i] for mix in (far + 2 * other[drawn], 2 * far + other[drawn])]
        candidates = normalize(torch.cat(mixes), dim=1)
        hard = candidates[(candidates @ q[i].detach()).argsort(descending=True)[:keep]]
        known = torch.cat([(q[i] @ k[i])[None], u @ q[i]]) / 0.05
        target = torch.zeros_like(known)
        target[known.argsort(descending=True)[:neighbours]] = 0.8 / neighbours
        target[0] = 0.2
        log_shares = torch.cat([known, hard @ q[i] / 0.05]).log_softmax(dim=0)
        total = total - (target * log_shares[: len(known)]).sum()
    return total / len(q)


def _check_equal(first: tuple[Tensor, Tensor], *others: tuple[Tensor, Tensor]) -> None:
    for other in others:
        for ours, theirs in zip(first, other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


if __name__ == "__main__":
    main()
