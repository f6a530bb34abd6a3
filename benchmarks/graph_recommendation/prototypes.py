"""NCL-rec's clusters of users and of items: k-means of E_0, as faiss does it (25 rounds from random points).

Dimensions: n nodes, K clusters, D width.

Source: Lin et al. 2022, arXiv:2202.06200, section 3.3; RUCAIBox/NCL ncl.py (faiss.Kmeans).
"""

import torch
from torch import Tensor

ROUNDS = 25
ROWS = 512  # at a time


def clustered(x: Tensor, clusters: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres [K, D] and each row's cluster [n].

    Raises:
        ValueError: fewer rows than clusters.
    """
    if not 1 <= clusters <= len(x):
        raise ValueError(f"clusters must be in [1, {len(x)}], the number of nodes of one side; got {clusters}")
    centres = x[torch.randperm(len(x), generator=rng)[:clusters].to(x.device)]
    before = nearest = None
    for _ in range(ROUNDS):
        before, nearest = nearest, nearest_centre(x, centres)
        if before is not None and torch.equal(nearest, before):  # and so will it be in all rounds that are left
            return centres, nearest
        counts = torch.bincount(nearest, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        empty = (counts == 0).nonzero().squeeze(1)
        centres = sums / counts.clamp_min(1)[:, None]
        if len(empty):  # each splits one of the largest clusters: a step to both sides, as in faiss
            largest = counts.argsort(descending=True)[: len(empty)]
            step = torch.where(torch.arange(x.shape[1], device=x.device) % 2 == 0, 1, -1) / 1024
            centres[empty[: len(largest)]] = centres[largest] * (1 + step)
            centres[largest] = centres[largest] * (1 - step)
    return centres, nearest_centre(x, centres)


def nearest_centre(x: Tensor, centres: Tensor) -> Tensor:
    squares = centres.square().sum(dim=1)
    return torch.cat([_first_smallest(torch.addmm(squares, some, centres.T, alpha=-2)) for some in x.split(ROWS)])


def _first_smallest(rows: Tensor) -> Tensor:
    """Each row's place of its smallest value; of equal ones the first. NumPy finds it ten times as fast on a CPU."""
    return torch.from_numpy(rows.numpy().argmin(axis=1)) if rows.device.type == "cpu" else rows.argmin(dim=1)
