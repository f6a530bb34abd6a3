"""ProtoNCE: an image must find its clusters' centres as well as its other view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastbench.losses.nce import infonce_queue
from contrastbench.losses.parts import check_rows, dot_products, unit


@dataclass(frozen=True)
class Clustering:
    """One k-means clustering of the data: prototypes [K, D], concentrations phi [K] > 0, clusters of the B queries."""

    prototypes: Tensor
    concentration: Tensor
    assigned: Tensor

    def __post_init__(self) -> None:
        check_rows("prototypes", self.prototypes)
        phi = self.concentration
        asked = phi.device.type == "cpu"  # elsewhere the question would be a wait
        if phi.shape != self.prototypes.shape[:1] or (asked and not (phi > 0).all()):
            raise ValueError(f"concentration must be [{len(self.prototypes)}] and above 0, got {phi}")


def proto_nce(
    query: Tensor, key: Tensor, queue: Tensor, *, clusterings: Sequence[Clustering], temperature: float
) -> Tensor:
    """PCL's loss: InfoNCE against a queue, and the mean over M clusterings of finding one's own prototype.

        L = infonce_queue + 1/M sum_m mean_i [ -q_i.c_own / phi_own + log sum_j exp(q_i.c_j / phi_j) ]

    All prototypes are in the sum; the authors' code samples some of them when there are many.

    Args:
        query, key, queue, temperature: as in :func:`contrastbench.losses.infonce_queue`.
        clusterings: M >= 1 of them; their tensors get no gradient.

    Returns:
        Scalar, mean over the queries, in nats.

    Source: Li et al. 2021, arXiv:2005.04966, eq. 11.
    """
    if not clusterings:
        raise ValueError("clusterings must hold at least one clustering, got none")
    terms = [_own_prototype(query, clustering) for clustering in clusterings]
    return infonce_queue(query, key, queue, temperature=temperature) + torch.stack(terms).mean()


def concentrations(
    z: Tensor, prototypes: Tensor, assigned: Tensor, *, temperature: float, smooth: float = 10.0
) -> Tensor:
    """The spread phi of each cluster, scaled so that its mean is the temperature.

        phi_c = sum_{i in c} |u_i - c| / (n_c * log(n_c + smooth)),   then phi <- temperature * phi / mean(phi)

    Args:
        z: [R, D] embeddings of all data, any norm; prototypes: [K, D]; assigned: [R] cluster numbers.
        temperature, smooth: > 0. A cluster of fewer than 2 members gets the largest phi of all.

    Source: Li et al. 2021, arXiv:2005.04966, eq. 12 (smooth is its alpha).
    """
    u, centres = unit(z.detach()), unit(prototypes.detach())
    sizes = torch.bincount(assigned, minlength=len(centres)).to(u.dtype)
    distance = torch.linalg.vector_norm(u - centres[assigned], dim=1)
    phi = u.new_zeros(len(centres)).index_add_(0, assigned, distance) / (sizes * (sizes + smooth).log()).clamp_min(1)
    phi = torch.where(sizes < 2, phi.max(), phi)
    if not phi.min() > 0:
        raise ValueError("every cluster of 2 or more members must have some spread, got a cluster of equal embeddings")
    return temperature * phi / phi.mean()


def _own_prototype(query: Tensor, clustering: Clustering) -> Tensor:
    scores = dot_products(unit(query), unit(clustering.prototypes.detach())) / clustering.concentration.detach()
    return torch.nn.functional.cross_entropy(scores, clustering.assigned)
